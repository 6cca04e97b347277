using FastPlasma.Nodes;
using FastPlasma.Transfer.Fetching;

namespace FastPlasma.Transfer.Nodes;

/// <summary>Objects that are pulled together, and what became of them.</summary>
internal sealed class PullBatch(int count) : IFetchWaiter
{
    private readonly Lock _lock = new();
    private readonly TaskCompletionSource _done = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<PullFailure> _failures = [];
    private int _left = count, _here;

    /// <summary>Completes with the last object.</summary>
    internal Task Done => _done.Task;

    internal int HereCount => Volatile.Read(ref _here);

    public void OnFetched(in ObjectId id, NodeAnswer answer, string? reason)
    {
        if (answer == NodeAnswer.Fetched)
            Interlocked.Increment(ref _here);
        else
            lock (_lock)
                _failures.Add(new PullFailure(id, StatusOf(answer), reason ?? answer.ToString()));
        if (Interlocked.Decrement(ref _left) == 0)
            _done.TrySetResult();
    }

    public void OnProgress(in ObjectId id, NodeAnswer state)
    {
        // Told at the end.
    }

    internal PullReport ToReport()
    {
        lock (_lock)
            return new PullReport(HereCount, [.. _failures]);
    }

    private static PlasmaStatus StatusOf(NodeAnswer answer) => answer switch
    {
        NodeAnswer.NotFound => PlasmaStatus.NotFound,
        NodeAnswer.NoSpace => PlasmaStatus.StoreFull,
        NodeAnswer.TooLarge => PlasmaStatus.TooLarge,
        NodeAnswer.Stopping => PlasmaStatus.Closed,
        _ => PlasmaStatus.Timeout,
    };
}
