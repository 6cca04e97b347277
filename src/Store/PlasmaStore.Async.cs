using System.Diagnostics.CodeAnalysis;
using FastPlasma.Nodes;
using FastPlasma.Waiting;

namespace FastPlasma;

public sealed partial class PlasmaStore
{
    /// <summary>How much longer than its deadline a thread that brings an object back is given to say why it could not.</summary>
    private static readonly TimeSpan s_graceOfPool = TimeSpan.FromMilliseconds(50), s_longestWait = TimeSpan.FromMilliseconds(int.MaxValue / 2);

    private AsyncWaiters? _asyncWaiters;

    /// <summary>Pins an object without blocking a thread while it waits.</summary>
    /// <exception cref="TimeoutException">The object was not sealed in time.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public ValueTask<PlasmaObject> GetAsync(ObjectId id, TimeSpan timeout, CancellationToken cancellationToken = default)
    {
        if (TryGet(id, out PlasmaObject obj))
            return new ValueTask<PlasmaObject>(obj);
        return new ValueTask<PlasmaObject>(GetAsyncSlow(id, timeout, cancellationToken));
    }

    [SuppressMessage("Reliability", "CA2000", Justification = "The handle goes to the caller.")]
    private async Task<PlasmaObject> GetAsyncSlow(ObjectId id, TimeSpan timeout, CancellationToken cancellationToken)
    {
        var deadline = new Deadline(timeout);
        int reason = NodeReason.Unknown;
        while (true) // Ends with the deadline, a cancellation or a pin; an object that is deleted right after its seal is waited for again.
        {
            using (Waiting.AsyncWaiters.Ticket ticket = Waiters.Add(id, deadline))
            {
                if (TryGet(id, out PlasmaObject obj))
                {
                    ticket.IsFound = true;
                    return obj;
                }
                if (_hasSpill && IsAway(id, out _, out _))
                {
                    (PlasmaStatus status, obj, string? why) = await BringAsync(id, deadline, cancellationToken).ConfigureAwait(false);
                    if (status == PlasmaStatus.Ok)
                    {
                        ticket.IsFound = true;
                        return obj;
                    }
                    if (status == PlasmaStatus.NotResident)
                        throw NotResident(id, timeout, why);
                    if (status == PlasmaStatus.TooManyPins)
                        throw _slots.TooManyPins();
                    continue; // Deleted meanwhile, or the time is over.
                }
                if (deadline.HasPassed)
                    throw new TimeoutException($"Object {id} was not sealed within {timeout}: {DescribeAbsence(id, reason)}.");
                ticket.Ask();
                try
                {
                    await ticket.Signalled.WaitAsync(TimeSpan.FromMilliseconds(deadline.SliceMs(int.MaxValue - 1)), cancellationToken).ConfigureAwait(false);
                }
                catch (TimeoutException)
                {
                    reason = ticket.Reason; // Looked at once more above, then reported with its reason.
                }
            }
        }
    }

    /// <summary>Memory and disk are waited for in a thread of the pool. It reports by its deadline, unless the pool has no thread for it: then it is left to itself, and what it brings stays in memory unpinned.</summary>
    private async Task<(PlasmaStatus Status, PlasmaObject Found, string? Reason)> BringAsync(ObjectId id, Deadline deadline, CancellationToken cancellationToken)
    {
        Task<(PlasmaStatus Status, PlasmaObject Found, string? Reason)> bring = Task.Run(() => Bring(id, deadline, cancellationToken), cancellationToken);
        TimeSpan wait = deadline.Left is { Ticks: >= 0 } left && left < s_longestWait ? left + s_graceOfPool : Timeout.InfiniteTimeSpan;
        await ((Task)bring).WaitAsync(wait, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (bring.IsCompleted)
            return await bring.ConfigureAwait(false);
        Interlocked.Increment(ref _diskWork);
        _ = bring.ContinueWith(EndLate, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        cancellationToken.ThrowIfCancellationRequested();
        return (PlasmaStatus.NotResident, default, "it has not come from disk yet: the thread pool had no thread for it");
    }

    /// <summary>What comes when nobody waits for it any more.</summary>
    private void EndLate(Task<(PlasmaStatus Status, PlasmaObject Found, string? Reason)> bring)
    {
        if (bring.IsCompletedSuccessfully)
            bring.Result.Found.Dispose();
        else
            _ = bring.Exception; // Told by the next get of the object.
        Interlocked.Decrement(ref _diskWork);
    }

    private (PlasmaStatus Status, PlasmaObject Found, string? Reason) Bring(ObjectId id, Deadline deadline, CancellationToken cancellationToken)
    {
        PlasmaStatus status = TryGet(id, deadline.Left, out PlasmaObject obj, default, cancellationToken);
        return (status, obj, status == PlasmaStatus.NotResident ? DescribeAbsence(id) : null);
    }

    private AsyncWaiters Waiters => LazyInitializer.EnsureInitialized(ref _asyncWaiters, () => new AsyncWaiters(this))!;
}
