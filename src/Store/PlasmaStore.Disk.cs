using FastPlasma.Spill;
using FastPlasma.Waiting;
using Microsoft.Extensions.Logging;

namespace FastPlasma;

/// <content>Waiting for a disk that may not answer: until a deadline, while others do what may take longer. docs/concurrency.md, section 12.</content>
public sealed unsafe partial class PlasmaStore
{
    private DiskThreads? _diskThreads;
    private int _diskWork; // Of this attachment in other threads, whether or not anybody waits for it.

    private DiskThreads DiskThreads => LazyInitializer.EnsureInitialized(ref _diskThreads, static () => new DiskThreads())!;

    /// <summary>How long calls wait for a disk that have no deadline of their own, for so many bytes.</summary>
    private TimeSpan PatienceFor(long bytes) => !HasDiskThreads ? Timeout.InfiniteTimeSpan : _options.DiskPatience + TimeSpan.FromSeconds(bytes / DiskTurns.BytesPerSecond);

    /// <summary>Whether other threads may work on the disk for this attachment.</summary>
    private bool HasDiskThreads => _options.DiskPatience != Timeout.InfiniteTimeSpan;

    /// <summary>Whether a call may stay in the kernel for as long as the disk likes.</summary>
    private bool HasAllTime(Deadline deadline, CancellationToken cancellationToken) => !HasDiskThreads || (deadline.IsNever && !cancellationToken.CanBeCanceled);

    /// <summary>Does work that the disk may keep: in this thread if there is all time, else in a thread for it, for whose end this one waits until the deadline.</summary>
    /// <param name="work">Owns what it works with; the attachment stays until it has ended.</param>
    /// <param name="deadline">Until when to wait.</param>
    /// <param name="late">Gets the result when nobody waits for it any more.</param>
    /// <param name="result">Of the work, if it has ended in time.</param>
    /// <param name="cancellationToken">Ends the wait at once.</param>
    /// <returns>Whether it has.</returns>
    private bool TryOnDisk<T>(Func<T> work, Deadline deadline, Action<T>? late, out T? result, CancellationToken cancellationToken)
    {
        if (HasAllTime(deadline, cancellationToken))
        {
            result = work();
            return true;
        }
        BeginDiskWork(); // The call that waits holds the attachment up to here.
        Task<T> task = DiskThreads.Start(work);
        bool ended = false;
        try
        {
            while (!(ended = IsEnded(task, deadline, cancellationToken)) && !deadline.HasPassed) // Ends with the work, the deadline, a cancellation or the store's end.
                ThrowIfClosing();
        }
        finally
        {
            if (ended)
                EndDiskWork();
            else
                _ = task.ContinueWith(EndUnwanted<T>, late, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        }
        result = ended ? task.GetAwaiter().GetResult() : default;
        return ended;
    }

    private void EndUnwanted<T>(Task<T> task, object? late)
    {
        try
        {
            if (task.IsCompletedSuccessfully)
                ((Action<T>?)late)?.Invoke(task.Result);
            else
                Logger.LogError(task.Exception, "Work on the disk for store '{Store}' has failed after nobody waited for it any more.", Name);
        }
        finally
        {
            EndDiskWork();
        }
    }

    /// <summary>Holds the attachment, and has Dispose wait for it for a while.</summary>
    private void BeginDiskWork()
    {
        Interlocked.Increment(ref _diskWork);
        Interlocked.Increment(ref _slowCalls);
    }

    private void EndDiskWork()
    {
        EndSlowCall(waits: false); // In a thread that nobody waits for, or inside of another call.
        Interlocked.Decrement(ref _diskWork); // Last: when Dispose sees none, what is to follow from the end of a call has followed.
    }

    /// <summary>Waits a slice, or until the deadline, for work in another thread.</summary>
    private static bool IsEnded(Task task, Deadline deadline, CancellationToken cancellationToken)
    {
        try
        {
            return task.Wait(deadline.SliceMs(WaitWords.SliceMs), cancellationToken);
        }
        catch (AggregateException) when (task.IsFaulted)
        {
            return true; // Whoever takes the result meets it.
        }
    }

    /// <summary>Detaches in another thread, because that may write catalogues, and waits for it as long as a disk is waited for.</summary>
    private void DetachByDisk(bool waits)
    {
        Task<bool> detach = DiskThreads.Start(() =>
        {
            Detach();
            return true;
        });
        var deadline = new Deadline(PatienceFor(0));
        while (waits && !IsEnded(detach, deadline, CancellationToken.None)) // Ends with the work, or with the patience.
        {
            if (!deadline.HasPassed)
                continue;
            Logger.LogWarning("Store '{Store}' is closed, and the objects on its disk can be found again only when that has answered: catalogues are being written.", Name);
            break;
        }
        if (waits && detach.IsCompleted)
            detach.GetAwaiter().GetResult();
        else
            _ = detach.ContinueWith(ended => Logger.LogError(ended.Exception, "Store '{Store}' could not be closed in order.", Name), CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
    }

    /// <summary>Why nothing has come from a place on disk in time.</summary>
    private static string DescribeSilence(SpillSpace space, SpillPlace place) => $"it has not come from disk yet: {space.DescribeReads(place)}";
}
