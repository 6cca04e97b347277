using FastPlasma.Transfer.Wire;

namespace FastPlasma.Transfer.Serving;

/// <summary>A requester that was told that an object is only partly here.</summary>
internal interface IRelaySubscriber
{
    /// <summary>Tells it what has arrived. Must not wait.</summary>
    void Tell(ReadOnlySpan<HaveRecord> records);
}
