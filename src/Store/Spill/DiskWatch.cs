using System.Globalization;
using System.Runtime.ExceptionServices;
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
    /// <param name="work">To be done; owns what it works with. Not called when the system refuses a thread.</param>
    /// <param name="ended">Called when the work has ended or is not to be done, in whatever thread.</param>
    /// <param name="progress">Told by the caller how far the work is; may throw to stop it.</param>
    /// <param name="look">By the caller now and then; may throw to stop it.</param>
    /// <param name="threads">Where; null: in one for this.</param>
    /// <exception cref="TimeoutException">A step has taken too long; the message names its path.</exception>
    /// <exception cref="IOException">The system refuses a thread.</exception>
    internal static T Run<T>(string path, TimeSpan patience, Func<DiskWatch, T> work, Action? ended = null, IProgress<double>? progress = null, Action? look = null, DiskThreads? threads = null)
    {
        var watch = new DiskWatch(patience);
        Task<DiskAnswer<T>> task = watch.Start(threads, path, work, ended);
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
        DiskAnswer<T> answer = task.GetAwaiter().GetResult();
        return answer.Problem is null ? answer.Result! : throw new IOException($"{path}: {answer.Problem}.");
    }

    /// <summary>Does work in several directories at the same time, each in a thread that may be left there, and waits for each.</summary>
    /// <param name="paths">The directories; null where nothing is to be done.</param>
    /// <param name="patience">For each step; infinite: the caller does the work, in one after the other.</param>
    /// <param name="work">To be done in the directory of that index; owns what it works with. Not called when the system refuses a thread.</param>
    /// <param name="late">Gets a result that comes when nobody waits for it any more, in the thread that it came from.</param>
    /// <param name="ended">Called for each that is to be done, when it has ended or cannot be done, in whatever thread.</param>
    /// <param name="threads">Where; null: in some for this.</param>
    /// <returns>For each its result, or why there is none.</returns>
    internal static DiskAnswer<T>[] RunEach<T>(string?[] paths, TimeSpan patience, Func<int, DiskWatch, T> work, Action<T>? late = null, Action? ended = null, DiskThreads? threads = null)
    {
        var watches = new DiskWatch[paths.Length];
        var tasks = new Task<DiskAnswer<T>>?[paths.Length];
        for (int d = 0; d < paths.Length; d++)
        {
            int index = d;
            if (paths[d] is { } path)
                tasks[d] = (watches[d] = new DiskWatch(patience)).Start(threads, path, watch => work(index, watch), ended);
        }
        var answers = new DiskAnswer<T>[paths.Length];
        Exception? error = null;
        for (int d = 0; d < paths.Length; d++)
        {
            if (tasks[d] is not { } task)
                continue;
            ManualResetEventSlim? signal = null;
            string? silence = null;
            while (silence is null && !DiskThreads.Wait(task, ref signal, LookMs, CancellationToken.None)) // Ends with the work, or a step that takes too long.
                silence = watches[d].DescribeSilence();
            if (silence is not null)
            {
                watches[d].GiveUp();
                answers[d] = new DiskAnswer<T>(default, silence);
                End(task, late);
                tasks[d] = null;
            }
            else if (task.IsCompletedSuccessfully)
                answers[d] = task.Result;
            else
                error ??= task.Exception!.InnerException;
        }
        if (error is null)
            return answers;
        foreach (Task<DiskAnswer<T>> task in tasks.OfType<Task<DiskAnswer<T>>>())
            End(task, late); // All or nothing.
        ExceptionDispatchInfo.Throw(error);
        return answers;
    }

    private Task<DiskAnswer<T>> Start<T>(DiskThreads? threads, string path, Func<DiskWatch, T> work, Action? ended)
    {
        TryBegin(path);
        if (patience == Timeout.InfiniteTimeSpan)
        {
            try
            {
                return Task.FromResult(Do(mayUseDisk: true));
            }
            catch (Exception e)
            {
                return Task.FromException<DiskAnswer<T>>(e); // Thrown by who waits.
            }
        }
        if (threads is not null)
            return threads.Start(Do);
        threads = new DiskThreads();
        Task<DiskAnswer<T>> task = threads.Start(Do);
        threads.Close();
        return task;

        DiskAnswer<T> Do(bool mayUseDisk)
        {
            try
            {
                return mayUseDisk ? new DiskAnswer<T>(work(this), null) : new DiskAnswer<T>(default, DiskThreads.Refused);
            }
            finally
            {
                ended?.Invoke();
            }
        }
    }

    /// <summary>Hands a result over that nobody waits for.</summary>
    private static void End<T>(Task<DiskAnswer<T>> task, Action<T>? late) => _ = task.ContinueWith(
        ended =>
        {
            if (ended.Result.Problem is null)
                late?.Invoke(ended.Result.Result!);
        },
        CancellationToken.None,
        TaskContinuationOptions.ExecuteSynchronously | TaskContinuationOptions.OnlyOnRanToCompletion,
        TaskScheduler.Default);

    /// <summary>By who waits: the work ends before its next step.</summary>
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
/// <param name="Problem">Why there is none, for people: the directory has not answered, or the system refused a thread.</param>
internal readonly record struct DiskAnswer<T>(T? Result, string? Problem);
