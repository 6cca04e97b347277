using FastPlasma.Spill;
using FastPlasma.Waiting;
using Microsoft.Extensions.Logging;

namespace FastPlasma;

/// <content>Waiting for a disk that may not answer: until a deadline, while others do what may take longer. docs/concurrency.md, section 12.</content>
public sealed unsafe partial class PlasmaStore
{
    private DiskThreads? _ownDiskThreads;
    private int _diskWork; // Of this attachment in other threads, whether or not anybody waits for it.

    /// <summary>How many calls that go through a whole directory, or over all of them, are under way at a time: each may leave a thread in a disk that does not answer.</summary>
    private const int LongTurns = 8;

    private readonly SemaphoreSlim _longTurns = new(LongTurns, LongTurns);

    private DiskThreads OwnDiskThreads => LazyInitializer.EnsureInitialized(ref _ownDiskThreads, static () => new DiskThreads())!;

    /// <summary>How long calls wait for a disk that have no deadline of their own, for so many bytes.</summary>
    private TimeSpan PatienceFor(long bytes) => DiskWatch.PatienceFor(_options.DiskPatience, bytes);

    /// <summary>Whether other threads may work on the disk for this attachment.</summary>
    private bool HasDiskThreads => _options.DiskPatience != Timeout.InfiniteTimeSpan;

    /// <summary>Whether a call may stay in the kernel for as long as the disk likes.</summary>
    private bool HasAllTime(Deadline deadline, CancellationToken cancellationToken) => !HasDiskThreads || (deadline.IsNever && !cancellationToken.CanBeCanceled);

    /// <summary>Does work that the disk may keep: in this thread if there is all time, else in a thread for it, for whose end this one waits until the deadline.</summary>
    /// <param name="work">Owns what it works with; the attachment stays until it has ended. Told whether it may use the disk: not when the system refuses a thread, then it gives back what it owns and says that.</param>
    /// <param name="deadline">Until when to wait.</param>
    /// <param name="late">Gets the result when nobody waits for it any more.</param>
    /// <param name="result">Of the work, if it has ended in time.</param>
    /// <param name="cancellationToken">Ends the wait at once.</param>
    /// <returns>Whether it has.</returns>
    private bool TryOnDisk<T>(Func<bool, T> work, Deadline deadline, Action<T>? late, out T? result, CancellationToken cancellationToken)
    {
        if (HasAllTime(deadline, cancellationToken))
        {
            result = work(true);
            return true;
        }
        BeginDiskWork(); // The call that waits holds the attachment up to here.
        if (OwnDiskThreads.TryStart(() => work(true)) is not { } task)
        {
            EndDiskWork();
            result = work(false);
            return true;
        }
        bool ended = false;
        try
        {
            ended = IsEnded(task, deadline, isStuck: null, cancellationToken);
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

    /// <summary>Waits for work in another thread. False when the deadline has passed, or it is stuck.</summary>
    private bool IsEnded(Task task, Deadline deadline, Func<bool>? isStuck, CancellationToken cancellationToken)
    {
        ManualResetEventSlim? ended = null;
        while (!DiskThreads.Wait(task, ref ended, deadline.SliceMs(WaitWords.SliceMs), cancellationToken)) // Ends with the work, the deadline, a cancellation or the store's end.
        {
            ThrowIfClosing();
            if (deadline.HasPassed || isStuck?.Invoke() == true)
                return false;
        }
        return true;
    }

    /// <summary>Work of several steps on the disk, each of which is waited for as long as a disk is waited for; the attachment stays until it has ended.</summary>
    /// <exception cref="TimeoutException">A step has taken too long, or earlier work is not answered.</exception>
    private T RunOnDisk<T>(SpillSpace space, Func<DiskWatch, T> work, IProgress<double>? progress = null)
    {
        string paths = string.Join(", ", space.Paths);
        if (!TryTakeTurn(_longTurns, new Deadline(PatienceFor(0)), CancellationToken.None))
            throw new TimeoutException($"{LongTurns} calls that look through the spill directories of store '{Name}' are under way, and none has ended: {paths}.");
        BeginDiskWork();
        return DiskWatch.Run(paths, _options.DiskPatience, work, EndLongWork, progress, ThrowIfClosing, OwnDiskThreads);
    }

    private void EndLongWork()
    {
        _longTurns.Release();
        EndDiskWork();
    }

    /// <summary>Waits for one of the turns that limit how many threads can be left in a disk.</summary>
    private bool TryTakeTurn(SemaphoreSlim turns, Deadline deadline, CancellationToken cancellationToken)
    {
        while (!turns.Wait(deadline.SliceMs(WaitWords.SliceMs), cancellationToken)) // Ends with a turn, the deadline, a cancellation or the store's end.
        {
            ThrowIfClosing();
            if (deadline.HasPassed)
                return false;
        }
        return true;
    }

    /// <summary>Why nothing has come from a place on disk in time.</summary>
    private static string DescribeSilence(SpillSpace space, SpillPlace place) => $"it has not come from disk yet: {space.DescribeReads(place)}";
}
