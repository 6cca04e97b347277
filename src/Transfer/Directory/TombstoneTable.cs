namespace FastPlasma.Transfer.Directory;

/// <summary>Incarnations that were deleted, for as long as that is remembered. An end that is heard of later never moves one that is known.</summary>
internal sealed class TombstoneTable(TimeSpan life)
{
    /// <summary>Deletes that are remembered at most; the oldest go first, and a node that was away longer than they lived has to ask about its copies.</summary>
    internal const int CountMax = 1 << 20;

    private readonly Lock _lock = new();
    private readonly Dictionary<(ObjectId, ulong), (long End, long Number)> _ends = [];
    private readonly Queue<(ObjectId Id, ulong Incarnation)> _order = [];
    private long _added;
    private int _count;

    internal TimeSpan Life { get; } = life;

    internal int Count
    {
        get
        {
            lock (_lock)
                return _ends.Count;
        }
    }

    internal bool Contains(in ObjectId id, ulong incarnation)
    {
        if (Volatile.Read(ref _count) == 0)
            return false; // The usual case, asked for every object that moves.
        lock (_lock)
            return _ends.TryGetValue((id, incarnation), out (long End, long Number) it) && it.End > Environment.TickCount64;
    }

    /// <summary>Returns false if it was known.</summary>
    internal bool Add(in ObjectId id, ulong incarnation, TimeSpan left)
    {
        long end = Environment.TickCount64 + (long)Math.Min(left.TotalMilliseconds, Life.TotalMilliseconds);
        lock (_lock)
        {
            if (!_ends.TryAdd((id, incarnation), (end, _added)))
                return false;
            _added++;
            Volatile.Write(ref _count, _ends.Count);
            _order.Enqueue((id, incarnation));
            while (_order.Count > CountMax)
                _ends.Remove(_order.Dequeue()); // The table and its order have the same members.
            return true;
        }
    }

    /// <summary>Those that still live.</summary>
    internal List<Tombstone> All() => Since(0, out _);

    /// <summary>Those that still live and were added after an earlier look.</summary>
    /// <param name="mark">From that look; 0 for all.</param>
    /// <param name="next">For a later one: nothing that is added meanwhile is left out.</param>
    internal List<Tombstone> Since(long mark, out long next)
    {
        long now = Environment.TickCount64;
        lock (_lock)
        {
            next = _added;
            var all = new List<Tombstone>(mark == 0 ? _ends.Count : 0);
            if (mark == _added)
                return all;
            foreach (((ObjectId id, ulong incarnation), (long end, long number)) in _ends)
                if (end > now && number >= mark)
                    all.Add(new Tombstone(id, incarnation, TimeSpan.FromMilliseconds(end - now)));
            return all;
        }
    }

    /// <summary>Forgets those whose time is over.</summary>
    internal void Tick()
    {
        long now = Environment.TickCount64;
        lock (_lock)
        {
            while (_order.TryPeek(out (ObjectId, ulong) oldest) && _ends[oldest].End <= now)
                _ends.Remove(_order.Dequeue());
            Volatile.Write(ref _count, _ends.Count);
        }
    }
}
