namespace FastPlasma.Transfer.Directory;

/// <summary>A change to be told.</summary>
/// <param name="Id">Of the object.</param>
/// <param name="Incarnation">Which creation.</param>
/// <param name="Value">Payload bytes; of a delete the end of its tombstone in milliseconds of <see cref="Environment.TickCount64"/>.</param>
/// <param name="Kind">What it is.</param>
internal readonly record struct RedisDirectoryChange(ObjectId Id, ulong Incarnation, long Value, RedisDirectoryChangeKind Kind);

/// <summary>Kinds of changes.</summary>
internal enum RedisDirectoryChangeKind : byte
{
    Complete,
    Partial,
    Withdraw,
    Delete,
}

/// <summary>Changes that wait to be told, in order and not more than so many. One reader.</summary>
/// <remarks>
/// Beyond its bound everything is forgotten, also what comes until the reader <see cref="Resume"/>s: all objects are announced again afterwards. The thread that does this, the walker, waits for room instead, and leaves most of it to
/// others, so that what happens meanwhile is told soon.
/// </remarks>
internal sealed class RedisDirectoryQueue(int countMax, int walkCountMax) : IDisposable
{
    private readonly object _lock = new();
    private readonly Queue<RedisDirectoryChange> _changes = [];
    private readonly SemaphoreSlim _some = new(0, 1);
    private bool _forgetting, _closed;
    private int _walker = -1;

    /// <summary>Whether changes were forgotten and still are.</summary>
    internal bool IsForgetting
    {
        get
        {
            lock (_lock)
                return _forgetting;
        }
    }

    internal int Count
    {
        get
        {
            lock (_lock)
                return _changes.Count;
        }
    }

    /// <summary>The calling thread waits for room from now on.</summary>
    internal void BeginWalk()
    {
        lock (_lock)
            _walker = Environment.CurrentManagedThreadId;
    }

    internal void EndWalk()
    {
        lock (_lock)
            _walker = -1;
    }

    internal void Add(in RedisDirectoryChange change)
    {
        lock (_lock)
        {
            if (_walker == Environment.CurrentManagedThreadId)
                while (_changes.Count >= walkCountMax && !_closed) // Ends when the reader takes some, or with the directory.
                    Monitor.Wait(_lock);
            if (_closed || _forgetting)
                return;
            if (_changes.Count >= countMax)
            {
                _changes.Clear();
                _forgetting = true;
            }
            else
            {
                _changes.Enqueue(change);
            }
            if (_some.CurrentCount == 0)
                _some.Release();
        }
    }

    /// <summary>Waits until there is something, or something was forgotten.</summary>
    internal Task WaitAsync(CancellationToken cancellationToken) => _some.WaitAsync(cancellationToken);

    /// <summary>Moves as many as there are, at most so many.</summary>
    internal void Take(List<RedisDirectoryChange> to, int count)
    {
        lock (_lock)
        {
            while (to.Count < count && _changes.TryDequeue(out RedisDirectoryChange change))
                to.Add(change);
            if (_changes.Count > 0 && _some.CurrentCount == 0)
                _some.Release();
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>Takes changes again after some were forgotten.</summary>
    internal void Resume()
    {
        lock (_lock)
            _forgetting = false;
    }

    /// <summary>Nothing is taken any more.</summary>
    internal void Close()
    {
        lock (_lock)
        {
            _closed = true;
            Monitor.PulseAll(_lock);
        }
    }

    public void Dispose() => _some.Dispose();
}
