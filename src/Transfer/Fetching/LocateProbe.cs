using FastPlasma.Transfer.Wire;

namespace FastPlasma.Transfer.Fetching;

/// <summary>Asks peers whether they have an object, and how much of it; takes no bytes.</summary>
internal sealed unsafe class LocateProbe : IAskTarget
{
    private readonly TaskCompletionSource _done = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _lock = new();
    private readonly List<(Peer Peer, ObjectRecord Record)> _found = [];
    private readonly List<(Peer Peer, string Reason)> _failed = [];
    private int _left;

    /// <summary>Waits for so many answers.</summary>
    internal LocateProbe(ObjectId id, int peerCount)
    {
        Id = id;
        _left = peerCount;
        if (peerCount == 0)
            _done.SetResult();
    }

    public ObjectId Id { get; }

    public TransferPriority Priority => TransferPriority.Get;

    /// <summary>Completes with the last answer.</summary>
    internal Task Done => _done.Task;

    /// <summary>Peers that have it, or part of it, so far.</summary>
    internal (Peer Peer, ObjectRecord Record)[] Found
    {
        get
        {
            lock (_lock)
                return [.. _found];
        }
    }

    internal (Peer Peer, string Reason)[] Failed
    {
        get
        {
            lock (_lock)
                return [.. _failed];
        }
    }

    AskRecord IAskTarget.ToRecord(Peer peer) => new() { Id = Id, Flags = AskRecord.NoBytes };

    void IAskTarget.OnAnswer(Peer peer, in ObjectRecord record)
    {
        lock (_lock)
            if (record.Answer is ObjectAnswer.Complete or ObjectAnswer.Partial)
                _found.Add((peer, record));
        Count();
    }

    byte* IAskTarget.BeginInline(Peer peer, in ObjectRecord record, long imageBytes) => throw new ProtocolException($"{peer.Endpoint}: bytes that were not asked for");

    void IAskTarget.EndInline(Peer peer, in ObjectRecord record, ReceiveEnd end)
    {
        // Never begun.
    }

    void IAskTarget.OnAskFailed(Peer peer, string reason)
    {
        lock (_lock)
            _failed.Add((peer, reason));
        Count();
    }

    private void Count()
    {
        if (Interlocked.Decrement(ref _left) == 0)
            _done.TrySetResult();
    }
}
