namespace FastPlasma.Spill;

/// <summary>Threads of one attachment that read and write spill files for calls that have a deadline: a disk that does not answer keeps one of these in the kernel, and not the caller.</summary>
/// <remarks>A thread is made when none is idle, and ends after a while without work. How many there can be is for those to limit who hand work over: by turns (<see cref="DiskTurns"/>, <see cref="SpillSpace.WriteTurns"/>), which they take before.</remarks>
internal sealed class DiskThreads : TaskScheduler
{
    private const int IdleMs = 10_000;

    private readonly object _gate = new(); // A Lock has no Wait.
    private readonly Queue<Task> _queue = [];
    private int _idle;
    private bool _isClosed;

    /// <summary>Begins work in a thread of its own. On a system that refuses one the caller does the work, and waits for the disk: then it has ended when this returns.</summary>
    internal Task<T> Start<T>(Func<T> work) => Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.HideScheduler, this);

    /// <summary>Idle threads end now; busy ones after their work.</summary>
    internal void Close()
    {
        lock (_gate)
        {
            _isClosed = true;
            Monitor.PulseAll(_gate);
        }
    }

    protected override void QueueTask(Task task)
    {
        Uninterrupted.Enter(_gate);
        bool isTaken = _queue.Count < _idle; // Each that waits takes one.
        if (isTaken)
        {
            _queue.Enqueue(task);
            Monitor.Pulse(_gate);
        }
        Monitor.Exit(_gate);
        if (isTaken)
            return;
        try
        {
            new Thread(Run) { IsBackground = true, Name = "fastplasma-disk" }.UnsafeStart(task);
        }
        catch (Exception e) when (e is OutOfMemoryException or ThreadStartException or ThreadInterruptedException)
        {
            TryExecuteTask(task); // Once, whoever is first.
        }
    }

    /// <summary>Whoever waits for work with a deadline does not do it himself.</summary>
    protected override bool TryExecuteTaskInline(Task task, bool taskWasPreviouslyQueued) => false;

    protected override IEnumerable<Task> GetScheduledTasks()
    {
        lock (_gate)
            return [.. _queue];
    }

    private void Run(object? first)
    {
        for (var task = (Task?)first; task is not null; task = Next()) // Ends when there was no work for a while.
            TryExecuteTask(task);
    }

    private Task? Next()
    {
        long end = Environment.TickCount64 + IdleMs;
        lock (_gate)
        {
            while (true) // Ends with work, or with the time.
            {
                if (_queue.TryDequeue(out Task? task))
                    return task;
                long left = end - Environment.TickCount64;
                if (left <= 0 || _isClosed)
                    return null;
                _idle++;
                Monitor.Wait(_gate, (int)left);
                _idle--;
            }
        }
    }
}
