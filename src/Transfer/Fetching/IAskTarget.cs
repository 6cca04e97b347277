using FastPlasma.Transfer.Wire;

namespace FastPlasma.Transfer.Fetching;

/// <summary>How a receive into memory ended.</summary>
internal enum ReceiveEnd : byte
{
    /// <summary>The connection broke: some bytes may have come, not all.</summary>
    Broken = 0,

    /// <summary>All came, and their check is right.</summary>
    Good = 1,

    /// <summary>All came, and their check is wrong.</summary>
    Damaged = 2,
}

/// <summary>Who asked a peer about an object. Calls come from the thread that receives from that peer and must not wait.</summary>
internal unsafe interface IAskTarget
{
    ObjectId Id { get; }

    TransferPriority Priority { get; }

    /// <summary>What to ask; the flags of an <see cref="AskRecord"/>, and how long the peer is to remember.</summary>
    AskRecord ToRecord(Peer peer);

    /// <summary>The peer's answer, of any kind but Inline.</summary>
    void OnAnswer(Peer peer, in ObjectRecord record);

    /// <summary>The image follows in the stream.</summary>
    /// <returns>Where it is to be received to; null lets it go by. If not null, <see cref="EndInline"/> follows.</returns>
    byte* BeginInline(Peer peer, in ObjectRecord record, long imageBytes);

    /// <summary>The image has been received, or not.</summary>
    void EndInline(Peer peer, in ObjectRecord record, ReceiveEnd end);

    /// <summary>The peer will not answer.</summary>
    void OnAskFailed(Peer peer, string reason);
}

/// <summary>Memory that chunks are received into. Calls come from the thread that receives.</summary>
internal unsafe interface IRegion
{
    /// <summary>A chunk's bytes begin to arrive.</summary>
    /// <returns>Where they go; null if nobody wants them any more, and they have to go by. If not null, <see cref="EndReceive"/> follows.</returns>
    /// <exception cref="ProtocolException">They were never asked for like this.</exception>
    byte* BeginReceive(DataLink link, in ChunkRecord chunk);

    /// <summary>The receive is over; the memory is not written to any more.</summary>
    void EndReceive(DataLink link, in ChunkRecord chunk, ReceiveEnd end);

    /// <summary>The server cannot send it.</summary>
    void OnRefused(DataLink link, in ChunkRecord chunk);

    /// <summary>The connection has ended; nothing that was asked over it will come.</summary>
    void OnLinkDown(DataLink link, string reason);
}
