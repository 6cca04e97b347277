using FastPlasma.Native;

namespace FastPlasma.Transfer.Connections;

/// <summary>Where this product ends and a transport begins: bytes in order between two nodes, sent from and received into memory that stays in place. Over TCP it is a socket; queue pairs of RDMA verbs can stand here (docs/protocol.md).</summary>
/// <remarks>One thread may send while another receives; each direction belongs to one thread at a time. <see cref="Abort"/> may be called by any thread at any time.</remarks>
internal interface ITransferConnection : IDisposable
{
    /// <summary>The other end, to show.</summary>
    string RemoteAddress { get; }

    /// <summary>Bytes that this transport itself copied in user space, by ciphers for example.</summary>
    long CopiedBytes { get; }

    /// <summary>When bytes were last received, in milliseconds of <see cref="Environment.TickCount64"/>; also in the middle of a long receive.</summary>
    long ReceivedAtMs { get; }

    /// <summary>When bytes were last taken for sending, likewise.</summary>
    long SentAtMs { get; }

    /// <summary>Sends all parts, in order.</summary>
    /// <exception cref="IOException">The connection is broken or aborted.</exception>
    void Send(ReadOnlySpan<IoPart> parts);

    /// <summary>Sends as much from the beginning of the parts as fits without waiting.</summary>
    /// <returns>Bytes sent, 0 if none fit; always 0 from a transport that cannot know.</returns>
    /// <exception cref="IOException">The connection is broken or aborted.</exception>
    nint TrySend(ReadOnlySpan<IoPart> parts);

    /// <summary>Fills all parts, in order.</summary>
    /// <returns>False if the stream ended before the first byte.</returns>
    /// <exception cref="IOException">The connection is broken or aborted, or ended in the middle.</exception>
    bool Receive(ReadOnlySpan<IoPart> parts);

    /// <summary>Receives what is there, and waits only until there is enough.</summary>
    /// <param name="address">Where to.</param>
    /// <param name="atLeast">Bytes that are waited for, at least 1.</param>
    /// <param name="atMost">Room.</param>
    /// <returns>Bytes received, <paramref name="atLeast"/> to <paramref name="atMost"/>; 0 if the stream ended before the first.</returns>
    /// <exception cref="IOException">The connection is broken or aborted, or ended in the middle.</exception>
    unsafe int ReceiveSome(byte* address, int atLeast, int atMost);

    /// <summary>Breaks the connection: calls that wait in it end with an exception.</summary>
    void Abort();
}
