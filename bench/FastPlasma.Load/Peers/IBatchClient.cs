namespace FastPlasma.Load.Peers;

/// <summary>A client that can ask for several objects at once, where that saves something: round trips, a transaction, an epoch.</summary>
internal interface IBatchClient : IPeerClient
{
    /// <summary>Bytes of a key.</summary>
    internal const int KeyBytes = 28;

    /// <summary>Gets objects and gives them back: all requests are on their way before the first answer is awaited. Returns how many there were.</summary>
    /// <param name="keys">The keys one after the other, <see cref="KeyBytes"/> each; about 32 of them is what the servers are good at.</param>
    /// <param name="touch">As in <see cref="IPeerClient.Get"/>.</param>
    /// <param name="payloadBytes">The sum of the objects' lengths.</param>
    /// <param name="sum">The sum of all their bytes, or 0.</param>
    int GetMany(ReadOnlySpan<byte> keys, bool touch, out long payloadBytes, out ulong sum);
}
