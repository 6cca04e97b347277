namespace FastPlasma.Spill;

/// <summary>Threads of one attachment that read and write spill files for calls that have a deadline: a disk that does not answer keeps one of these in the kernel, and not the caller.</summary>
/// <remarks>A thread is made when none is idle, and ends after a while without work. How many there can be is for those to limit who hand work over: by turns (<see cref="DiskTurns"/>, <see cref="SpillSpace.WriteTurns"/>), which they take before.</remarks>
internal sealed class DiskThreads : TaskScheduler
{
    /// <summary>Why work was not begun, for people.</summary>
    internal const string Refused = "the system refuses a thread that could wait for the disk";

    /// <summary>How long to wait before the system is asked for a thread again.</summary>
    internal const int RefusedMs = 10;

    private const int IdleMs = 10_000;

    [ThreadStatic]
    private static bool t_isOne;

    private readonly object _gate = new();
    private readonly List<Worker> _idle = []; // The one that was busy last is the first to be busy again.
    private bool _isClosed;

    /// <summary>Whether the caller is such a thread, and may wait for a disk as long as that takes.</summary>
    internal static bool IsThisOne => t_isOne;

    /// <summary>Begins work in a thread of its own; null, and nothing is begun, when the system refuses one.</summary>
    internal Task<T>? TryStart<T>(Func<T> work)
    {
        var task = new Task<T>(work, TaskCreationOptions.HideScheduler);
        try
        {
            task.Start(this);
            return task;
        }
        catch (TaskSchedulerException e) when (e.InnerException is OutOfMemoryException or ThreadStartException)
        {
            return null;
        }
    }

    /// <summary>Waits for work without spinning: its thread may need the processor that the caller is on.</summary>
    internal static bool Wait(Task task, ref ManualResetEventSlim? ended, int timeoutMs, CancellationToken cancellationToken)
    {
        if (task.IsCompleted)
            return true;
        if (ended is null)
        {
            ended = new ManualResetEventSlim(initialState: false, spinCount: 0);
            _ = task.ContinueWith(static (_, e) => ((ManualResetEventSlim)e!).Set(), ended, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, Default);
        }
        return ended.Wait(timeoutMs, cancellationToken);
    }

    /// <summary>Idle threads end now; busy ones after their work.</summary>
    internal void Close()
    {
        Uninterrupted.Enter(_gate);
        _isClosed = true;
        foreach (Worker worker in _idle)
            Uninterrupted.Set(worker.Called);
        _idle.Clear();
        Monitor.Exit(_gate);
    }

    protected override void QueueTask(Task task)
    {
        Worker? idle = null;
        Uninterrupted.Enter(_gate);
        if (_idle.Count > 0)
        {
            idle = _idle[^1];
            _idle.RemoveAt(_idle.Count - 1);
        }
        Monitor.Exit(_gate);
        if (idle is not null)
        {
            idle.Task = task;
            Uninterrupted.Set(idle.Called);
            return;
        }
        try
        {
            new Thread(Run) { IsBackground = true, Name = "fastplasma-disk" }.UnsafeStart(task);
        }
        catch (ThreadInterruptedException)
        {
            TryExecuteTask(task); // Once, by whoever is first: nobody says whether the thread runs.
            Thread.CurrentThread.Interrupt();
        }
    }

    /// <summary>Whoever waits for work with a deadline does not do it himself.</summary>
    protected override bool TryExecuteTaskInline(Task task, bool taskWasPreviouslyQueued) => false;

    /// <summary>For debuggers: no task waits for a thread here.</summary>
    protected override IEnumerable<Task> GetScheduledTasks() => [];

    private void Run(object? first)
    {
        t_isOne = true;
        var self = new Worker { Task = (Task?)first };
        do // Ends when there was no work for a while.
            TryExecuteTask(self.Task!);
        while (IsCalled(self));
    }

    /// <summary>Waits for work; false when there is none for a while.</summary>
    private bool IsCalled(Worker self)
    {
        self.Task = null;
        self.Called.Reset();
        lock (_gate)
        {
            if (_isClosed)
                return false;
            _idle.Add(self);
        }
        if (!self.Called.Wait(IdleMs))
        {
            lock (_gate)
                if (_idle.Remove(self))
                    return false;
            self.Called.Wait(); // Somebody has just taken it, and is about to say for what.
        }
        return self.Task is not null;
    }

    private sealed class Worker
    {
        /// <summary>By whoever takes it out of the idle ones, before <see cref="Called"/>; null to end.</summary>
        internal Task? Task { get; set; }

        internal ManualResetEventSlim Called { get; } = new(initialState: false, spinCount: 0);
    }
}
