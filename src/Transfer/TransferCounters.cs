namespace FastPlasma.Transfer;

/// <summary>What a node has moved since it began; all cumulative.</summary>
internal sealed class TransferCounters
{
    private long _receivedBytes, _badBytes, _discardedBytes, _brokenBytes, _sentBytes, _relayedBytes, _objectsReceived, _objectsSent, _copiedBytes, _refused, _failedFetches;

    internal void CountReceived(long bytes, bool isGood)
    {
        Interlocked.Add(ref _receivedBytes, bytes);
        if (!isGood)
            Interlocked.Add(ref _badBytes, bytes);
    }

    internal void CountDiscarded(long bytes) => Interlocked.Add(ref _discardedBytes, bytes);

    internal void CountBroken(long bytes) => Interlocked.Add(ref _brokenBytes, bytes);

    internal void CountSent(long bytes, bool isRelay)
    {
        Interlocked.Add(ref _sentBytes, bytes);
        if (isRelay)
            Interlocked.Add(ref _relayedBytes, bytes);
    }

    internal void CountObjectReceived() => Interlocked.Increment(ref _objectsReceived);

    internal void CountObjectSent(int count = 1) => Interlocked.Add(ref _objectsSent, count);

    internal void CountCopied(long bytes) => Interlocked.Add(ref _copiedBytes, bytes);

    internal void CountRefused() => Interlocked.Increment(ref _refused);

    internal void CountFailedFetch() => Interlocked.Increment(ref _failedFetches);

    internal TransferStats ToStats() => new()
    {
        ReceivedBytes = Volatile.Read(ref _receivedBytes),
        BadBytes = Volatile.Read(ref _badBytes),
        DiscardedBytes = Volatile.Read(ref _discardedBytes),
        BrokenBytes = Volatile.Read(ref _brokenBytes),
        SentBytes = Volatile.Read(ref _sentBytes),
        RelayedBytes = Volatile.Read(ref _relayedBytes),
        ObjectsReceived = Volatile.Read(ref _objectsReceived),
        ObjectsSent = Volatile.Read(ref _objectsSent),
        CopiedBytes = Volatile.Read(ref _copiedBytes),
        RefusedConnections = Volatile.Read(ref _refused),
        FailedFetches = Volatile.Read(ref _failedFetches),
    };
}

/// <summary>What a node has moved since it began.</summary>
public sealed record TransferStats
{
    /// <summary>Payload and metadata bytes received into the store or into a caller's buffer, also those that had to come again.</summary>
    public long ReceivedBytes { get; init; }

    /// <summary>Of these, bytes whose checksum was wrong.</summary>
    public long BadBytes { get; init; }

    /// <summary>Bytes that came when nobody wanted them any more.</summary>
    public long DiscardedBytes { get; init; }

    /// <summary>Length of the chunks, and of the small objects of an answer, in whose middle the connection broke; they are asked for again, of whoever has them. At most one chunk, or one answer, for each connection that breaks.</summary>
    public long BrokenBytes { get; init; }

    /// <summary>Bytes sent from the store.</summary>
    public long SentBytes { get; init; }

    /// <summary>Of these, bytes of objects that were still being received.</summary>
    public long RelayedBytes { get; init; }

    /// <summary>Objects that arrived whole.</summary>
    public long ObjectsReceived { get; init; }

    /// <summary>Objects that were sent inside one answer.</summary>
    public long ObjectsSent { get; init; }

    /// <summary>Bytes copied in user space on their way, on this side: 0 without TLS.</summary>
    public long CopiedBytes { get; init; }

    /// <summary>Connections that were not let in.</summary>
    public long RefusedConnections { get; init; }

    /// <summary>Fetches that ended without the object.</summary>
    public long FailedFetches { get; init; }
}
