namespace FastPlasma.Transfer.Directory;

/// <summary>Incarnations that were deleted, for as long as that is remembered. An end that is heard of later never moves one that is known.</summary>
internal sealed class TombstoneTable(TimeSpan life)
{
    /// <summary>Deletes that are remembered at most; the oldest go first, and a node that was away longer than they lived has to ask about its copies.</summary>
    internal const int CountMax = 1 << 20;

    private readonly Lock _lock = new();
    private readonly Dictionary<(ObjectId, ulong), long> _ends = [];
    private readonly Queue<(ObjectId Id, ulong Incarnation)> _order = [];
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
            return _ends.TryGetValue((id, incarnation), out long end) && end > Environment.TickCount64;
    }

    /// <summary>Returns false if it was known.</summary>
    internal bool Add(in ObjectId id, ulong incarnation, TimeSpan left)
    {
        long end = Environment.TickCount64 + (long)Math.Min(left.TotalMilliseconds, Life.TotalMilliseconds);
        lock (_lock)
        {
            if (!_ends.TryAdd((id, incarnation), end))
                return false;
            _order.Enqueue((id, incarnation));
            while (_order.Count > CountMax)
                _ends.Remove(_order.Dequeue()); // The table and its order have the same members.
            Volatile.Write(ref _count, _ends.Count);
            return true;
        }
    }

    /// <summary>Those that still live.</summary>
    internal List<Tombstone> All()
    {
        long now = Environment.TickCount64;
        lock (_lock)
        {
            var all = new List<Tombstone>(_ends.Count);
            foreach (((ObjectId id, ulong incarnation), long end) in _ends)
                if (end > now)
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
            while (_order.TryPeek(out (ObjectId, ulong) oldest) && _ends[oldest] <= now)
                _ends.Remove(_order.Dequeue());
            Volatile.Write(ref _count, _ends.Count);
        }
    }
}
