using FastPlasma.Nodes;

namespace FastPlasma.Transfer.Serving;

/// <summary>Objects that stay pinned for one data connection between its Posts, so that they are not evicted in the middle of a transfer: until they are released, or not asked for any more.</summary>
/// <remarks>The connection's thread uses it, the node's ticking thread lets leases run out; who sends holds the lock of its entry meanwhile.</remarks>
internal sealed unsafe class PinCache(PlasmaStore store) : IDisposable
{
    private const int CountMax = 64;

    internal sealed class Entry
    {
        internal PlasmaObject Object;
        internal ObjectImage Image;
        internal byte* Address;
        internal long UntilMs;
        internal int Users;
    }

    private readonly Lock _lock = new();
    private readonly Dictionary<(ObjectId, ulong), Entry> _entries = [];
    private bool _disposed;

    /// <summary>Pins an object, or uses the pin that is there; <see cref="End"/> follows.</summary>
    /// <returns>Null if it is not here in that incarnation.</returns>
    internal Entry? Begin(in ObjectId id, ulong incarnation, uint leaseMs)
    {
        long until = Environment.TickCount64 + Math.Clamp((long)leaseMs, 100, Fetching.FetchTable.LeaseMs);
        lock (_lock)
            if (_disposed || _entries.ContainsKey((id, incarnation)))
                return Use(id, incarnation, until);
        if (!store.TryGetOrBring(id, out PlasmaObject obj)) // Not under the lock: it may come from disk.
            return null;
        lock (_lock)
        {
            if (_disposed)
            {
                obj.Dispose();
                return null;
            }
            if (_entries.ContainsKey((id, incarnation)))
            {
                obj.Dispose();
            }
            else
            {
                ObjectImage image;
                byte* address;
                try
                {
                    image = store.ImageOf(obj, out address);
                }
                catch
                {
                    obj.Dispose();
                    throw;
                }
                if (image.Incarnation != incarnation)
                {
                    obj.Dispose();
                    return null;
                }
                if (_entries.Count >= CountMax)
                    RemoveOldest();
                _entries.Add((id, incarnation), new Entry { Object = obj, Image = image, Address = address });
            }
            return Use(id, incarnation, until);
        }
    }

    private Entry? Use(in ObjectId id, ulong incarnation, long untilMs)
    {
        if (_disposed || !_entries.TryGetValue((id, incarnation), out Entry? entry))
            return null;
        entry.UntilMs = untilMs;
        entry.Users++;
        return entry;
    }

    internal void End(Entry entry)
    {
        lock (_lock)
            entry.Users--;
    }

    internal void Release(in ObjectId id, ulong incarnation)
    {
        lock (_lock)
            if (_entries.TryGetValue((id, incarnation), out Entry? entry) && entry.Users == 0)
            {
                _entries.Remove((id, incarnation));
                entry.Object.Dispose();
            }
    }

    /// <summary>Ends leases that have run out.</summary>
    internal void Tick(long nowMs)
    {
        lock (_lock)
            foreach (((ObjectId, ulong) key, Entry entry) in _entries)
                if (entry.Users == 0 && entry.UntilMs < nowMs)
                {
                    entry.Object.Dispose();
                    _entries.Remove(key); // Allowed while a dictionary is walked.
                }
    }

    /// <summary>By the connection's thread, when it has ended.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            foreach (Entry entry in _entries.Values)
                entry.Object.Dispose();
            _entries.Clear();
        }
    }

    private void RemoveOldest()
    {
        ((ObjectId, ulong) Key, Entry Entry) oldest = default;
        foreach (((ObjectId, ulong) key, Entry entry) in _entries)
            if (entry.Users == 0 && (oldest.Entry is null || entry.UntilMs < oldest.Entry.UntilMs))
                oldest = (key, entry);
        if (oldest.Entry is null)
            return;
        oldest.Entry.Object.Dispose();
        _entries.Remove(oldest.Key);
    }
}
