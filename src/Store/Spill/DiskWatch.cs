using System.Globalization;
using FastPlasma.Waiting;

namespace FastPlasma.Spill;

/// <summary>Between work of several steps, each of which a disk may keep, and who waits for it: for each step as long as a disk is waited for, and not longer.</summary>
/// <remarks>Who waits gives up when a step takes too long. The work sees that before its next step, and ends there; what it has done by then is whole.</remarks>
/// <param name="patience">For one step; for each 32 MiB of it a second more.</param>
internal sealed class DiskWatch(TimeSpan patience)
{
    /// <summary>How often who waits looks: at the time that a step has taken, and at how far the work is.</summary>
    private const int LookMs = 50;

    private readonly Lock _gate = new();
    private string _path = "";
    private Deadline _deadline = new(Timeout.InfiniteTimeSpan);
    private bool _isGivenUp;
    private double _part;

    /// <summary>How long one step may take.</summary>
    internal static TimeSpan PatienceFor(TimeSpan patience, long bytes) => patience == Timeout.InfiniteTimeSpan ? patience : patience + TimeSpan.FromSeconds(bytes / DiskTurns.BytesPerSecond);

    /// <summary>By the work, before each step. False when nobody waits any more.</summary>
    /// <param name="path">What the step is about, for people.</param>
    /// <param name="bytes">How much the disk has to read or write for it.</param>
    internal bool TryBegin(string path, long bytes = 0)
    {
        lock (_gate)
        {
            (_path, _deadline) = (path, new Deadline(PatienceFor(patience, bytes)));
            return !_isGivenUp;
        }
    }

    /// <summary>By the work: how far it is, 0 to 1. Whoever waits passes it on, in his own thread.</summary>
    internal void Report(double part) => Volatile.Write(ref _part, part);

    /// <summary>Does work in a thread that may be left in a disk, and waits for it.</summary>
    /// <param name="path">What the first step is about.</param>
    /// <param name="patience">For each step; infinite: the caller does the work.</param>
    /// <param name="work">To be done; owns what it works with.</param>
    /// <param name="ended">Called when the work has ended or cannot be done, in whatever thread.</param>
    /// <param name="progress">Told by the caller how far the work is; may throw to stop it.</param>
    /// <param name="look">By the caller now and then; may throw to stop it.</param>
    /// <param name="threads">Where; null: in one for this.</param>
    /// <exception cref="TimeoutException">A step has taken too long; the message names its path. Or the system has refused a thread for as long.</exception>
    internal static T Run<T>(string path, TimeSpan patience, Func<DiskWatch, T> work, Action? ended = null, IProgress<double>? progress = null, Action? look = null, DiskThreads? threads = null)
    {
        var watch = new DiskWatch(patience);
        Task<T> task = watch.Start(threads, path, new Deadline(patience), work, ended, look);
        ManualResetEventSlim? signal = null;
        double told = 0;
        try
        {
            while (!DiskThreads.Wait(task, ref signal, LookMs, CancellationToken.None)) // Ends with the work, a step that takes too long, or an exception of the caller's.
            {
                if (watch.DescribeSilence() is { } silence)
                    throw new TimeoutException($"{silence}.");
                look?.Invoke();
                if (Volatile.Read(ref watch._part) is var part && part != told)
                    progress?.Report(told = part);
            }
        }
        finally
        {
            watch.GiveUp(); // Work that has ended does not see it.
        }
        return task.GetAwaiter().GetResult();
    }

    /// <summary>Does work in several directories at the same time, each in a thread that may be left there, and waits for each.</summary>
    /// <param name="paths">The directories; null where nothing is to be done.</param>
    /// <param name="patience">For each step; infinite: the caller does the work, in one after the other.</param>
    /// <param name="work">To be done in the directory of that index; owns what it works with.</param>
    /// <param name="late">Gets a result that comes when nobody waits for it any more, in the thread that it came from.</param>
    /// <param name="begins">Called before each is begun.</param>
    /// <param name="ended">Called for each that <paramref name="begins"/> was called for, when it has ended or cannot be done, in whatever thread.</param>
    /// <param name="threads">Where; null: in some for this.</param>
    /// <returns>For each its result, or that it has not answered.</returns>
    /// <exception cref="TimeoutException">The system has refused a thread for as long as a disk is waited for. Then, and after an exception of any work, the results of the others are handed to <paramref name="late"/>.</exception>
    internal static DiskAnswer<T>[] RunEach<T>(string?[] paths, TimeSpan patience, Func<int, DiskWatch, T> work, Action<T>? late = null, Action? begins = null, Action? ended = null, DiskThreads? threads = null)
    {
        var watches = new DiskWatch[paths.Length];
        var tasks = new Task<T>?[paths.Length];
        var answers = new DiskAnswer<T>[paths.Length];
        bool done = false;
        var start = new Deadline(patience);
        try
        {
            for (int d = 0; d < paths.Length; d++)
            {
                int index = d;
                if (paths[d] is not { } path)
                    continue;
                begins?.Invoke();
                tasks[d] = (watches[d] = new DiskWatch(patience)).Start(threads, path, start, watch => work(index, watch), ended);
            }
            for (int d = 0; d < paths.Length; d++)
            {
                if (tasks[d] is not { } task)
                    continue;
                ManualResetEventSlim? signal = null;
                string? silence = null;
                while (silence is null && !DiskThreads.Wait(task, ref signal, LookMs, CancellationToken.None)) // Ends with the work, or a step that takes too long.
                    silence = watches[d].DescribeSilence();
                answers[d] = silence is null ? new DiskAnswer<T>(task.GetAwaiter().GetResult(), null) : new DiskAnswer<T>(default, silence);
            }
            done = true;
            return answers;
        }
        finally
        {
            for (int d = 0; d < paths.Length; d++)
                if (tasks[d] is { } task && (!done || answers[d].Problem is not null))
                    watches[d].HandOver(task, late);
        }
    }

    private Task<T> Start<T>(DiskThreads? threads, string path, Deadline start, Func<DiskWatch, T> work, Action? ended, Action? look = null)
    {
        if (patience == Timeout.InfiniteTimeSpan)
        {
            try
            {
                return Task.FromResult(Do());
            }
            catch (Exception e)
            {
                return Task.FromException<T>(e); // Thrown by who waits.
            }
        }
        DiskThreads? own = threads is null ? new DiskThreads() : null;
        Task<T>? task = null;
        try
        {
            while ((task = (threads ?? own)!.TryStart(Do)) is null) // Ends with a thread, or the time.
            {
                look?.Invoke();
                if (start.HasPassed)
                    return Task.FromException<T>(new TimeoutException($"{path} is not waited for: {DiskThreads.Refused}."));
                Thread.Sleep(DiskThreads.RefusedMs);
            }
            return task;
        }
        finally
        {
            own?.Close();
            if (task is null)
                ended?.Invoke();
        }

        T Do()
        {
            try
            {
                TryBegin(path);
                return work(this);
            }
            finally
            {
                ended?.Invoke();
            }
        }
    }

    /// <summary>By who waits no longer: the work ends before its next step, and its result, if it has one, goes elsewhere.</summary>
    private void HandOver<T>(Task<T> task, Action<T>? late)
    {
        GiveUp();
        if (late is not null)
            _ = task.ContinueWith(ended => late(ended.Result), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously | TaskContinuationOptions.OnlyOnRanToCompletion, TaskScheduler.Default);
    }

    private void GiveUp()
    {
        lock (_gate)
            _isGivenUp = true;
    }

    /// <summary>What has not been answered for too long, for people; null while the step may still take its time.</summary>
    private string? DescribeSilence()
    {
        lock (_gate)
            return _deadline.HasPassed ? string.Create(CultureInfo.InvariantCulture, $"{_path} has not answered within {patience.TotalSeconds:0.###} s") : null;
    }
}

/// <summary>What has become of work in one directory.</summary>
/// <param name="Result">Of the work; counts if there is no <paramref name="Problem"/>.</param>
/// <param name="Problem">That the directory has not answered, for people.</param>
internal readonly record struct DiskAnswer<T>(T? Result, string? Problem);
