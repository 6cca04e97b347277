namespace FastPlasma.Load.Peers.PlasmaLike;

/// <summary>The server's objects: where they lie and who reads them. One caller at a time.</summary>
internal sealed unsafe class ObjectTable
{
    private readonly Dictionary<Key, int> _index;
    private readonly Entry[] _entries;
    private readonly Stack<int> _free;
    private readonly byte* _memory;
    private SizeClassArena _arena;

    internal ObjectTable(byte* memory, long bytes, int objectCountMax)
    {
        _memory = memory;
        _arena.Reset(0, bytes);
        _arena.Allocate(memory, 1); // Offset 0 means none.
        _index = new Dictionary<Key, int>(objectCountMax);
        _entries = new Entry[objectCountMax];
        _free = new Stack<int>(Enumerable.Range(0, objectCountMax).Reverse());
    }

    internal ReplyStatus Create(in Key key, long length, out int handle, out long offset)
    {
        (handle, offset) = (-1, 0);
        if (_index.ContainsKey(key))
            return ReplyStatus.Exists;
        if (_free.Count == 0 || (offset = _arena.Allocate(_memory, length)) == 0)
            return ReplyStatus.Full;
        handle = _free.Pop();
        _entries[handle] = new Entry { Key = key, Offset = offset, Length = length, Readers = 1 }; // The creator counts as a reader until it seals.
        _index.Add(key, handle);
        return ReplyStatus.Ok;
    }

    internal void Seal(int handle)
    {
        _entries[handle].IsSealed = true;
        Release(handle);
    }

    internal ReplyStatus Get(in Key key, out int handle, out long offset, out long length)
    {
        (offset, length) = (0, 0);
        if (!_index.TryGetValue(key, out handle) || !_entries[handle].IsSealed)
            return ReplyStatus.NotFound;
        ref Entry entry = ref _entries[handle];
        entry.Readers++;
        (offset, length) = (entry.Offset, entry.Length);
        return ReplyStatus.Ok;
    }

    internal bool Contains(in Key key) => _index.TryGetValue(key, out int handle) && _entries[handle].IsSealed;

    internal ReplyStatus Delete(in Key key)
    {
        if (!_index.TryGetValue(key, out int handle) || !_entries[handle].IsSealed)
            return ReplyStatus.NotFound;
        _index.Remove(key);
        ref Entry entry = ref _entries[handle];
        entry.IsDeleted = true;
        if (entry.Readers == 0)
            Free(handle);
        return ReplyStatus.Ok;
    }

    internal void Release(int handle)
    {
        ref Entry entry = ref _entries[handle];
        if (--entry.Readers == 0 && entry.IsDeleted)
            Free(handle);
    }

    /// <summary>Ends what a client held that has gone: its reads, and objects that it has not sealed.</summary>
    internal void Abandon(int handle)
    {
        ref Entry entry = ref _entries[handle];
        if (!entry.IsSealed)
        {
            _index.Remove(entry.Key);
            entry.IsDeleted = true;
        }

        Release(handle);
    }

    private void Free(int handle)
    {
        _arena.Free(_memory, _entries[handle].Offset, _entries[handle].Length);
        _free.Push(handle);
    }

    private struct Entry
    {
        internal Key Key;
        internal long Offset, Length;
        internal int Readers;
        internal bool IsSealed, IsDeleted;
    }
}
