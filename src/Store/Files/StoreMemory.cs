using System.Runtime.CompilerServices;
using FastPlasma.Allocator;
using FastPlasma.Format;
using FastPlasma.Native;

namespace FastPlasma.Files;

/// <summary>The mapped meta and data files of one attachment, with typed places in them.</summary>
/// <remarks>
/// Gets go through <see cref="Payload"/>, which is read-only in every process; creates through <see cref="WritablePayload"/>, which only writers have.
/// A forked child inherits meta only, in which a get may look before it finds out that it has no slot. A reader maps meta read-only; one of the store's own uid also maps the wait words writable, so that it can announce that it sleeps.
/// </remarks>
internal sealed unsafe class StoreMemory : IDisposable
{
    private readonly MappedView _meta;
    private readonly MappedView _read;
    private readonly MappedView? _write;
    private readonly MappedView? _waits;
    private readonly byte* _waitBase;
    private readonly ObjectEntry* _entries;
    private readonly uint _entryCount;

    internal StoreMemory(SharedFile metaFile, SharedFile dataFile, in StoreGeometry geometry, StoreAccess access, bool mayWriteWaits)
    {
        MetaFile = metaFile;
        DataFile = dataFile;
        Geometry = geometry;
        CanWrite = access == StoreAccess.ReadWrite;
        CanWriteWaits = CanWrite || mayWriteWaits;
        try
        {
            _meta = MappedView.Map(metaFile, 0, geometry.MetaBytes, CanWrite);
            _read = MappedView.Map(dataFile, 0, geometry.CapacityBytes, writable: false, hugeAligned: true);
            _read.ExcludeFromFork();
            _read.ExcludeFromDump();
            if (CanWrite)
            {
                _write = MappedView.Map(dataFile, 0, geometry.CapacityBytes, writable: true, hugeAligned: true);
                _write.ExcludeFromFork();
                _write.ExcludeFromDump();
            }
            else if (mayWriteWaits)
            {
                _waits = MappedView.Map(metaFile, geometry.WaitOffset, geometry.RingOffset - geometry.WaitOffset, writable: true);
            }
        }
        catch
        {
            Dispose();
            throw;
        }

        byte* m = _meta.Pointer;
        Header = (StoreHeader*)m;
        Domains = (DomainRecord*)(m + StoreHeader.SizeBytes);
        _waitBase = _waits is null ? m + geometry.WaitOffset : _waits.Pointer;
        RingHead = (ulong*)(m + geometry.RingOffset);
        RingSlots = (EventSlot*)(m + geometry.RingOffset + StoreGeometry.RingHeadBytes);
        Stash = (ulong*)(m + geometry.StashOffset);
        Buckets = (ulong*)(m + geometry.BucketsOffset);
        _entries = (ObjectEntry*)(m + geometry.EntriesOffset);
        _entryCount = (uint)geometry.ObjectCountMax;
        Policy = m + geometry.PolicyOffset;
        Chunks = new ChunkMap(
            (AllocatorHeader*)(m + geometry.AllocatorOffset), (ChunkRecord*)(m + geometry.ChunksOffset), (ulong*)(m + geometry.WordsOffset), geometry.ChunkCount);
        Payload = _read.Pointer;
        WritablePayload = _write is null ? null : _write.Pointer;
        HashSeed = Header->HashSeed;
    }

    internal SharedFile MetaFile { get; }
    internal SharedFile DataFile { get; }
    internal StoreGeometry Geometry { get; }
    internal bool CanWrite { get; }

    /// <summary>Whether this attachment can announce sleepers in the wait words.</summary>
    internal bool CanWriteWaits { get; }

    internal StoreHeader* Header { get; }
    internal DomainRecord* Domains { get; }
    internal ulong* RingHead { get; }
    internal EventSlot* RingSlots { get; }
    internal ulong* Stash { get; }
    internal ulong* Buckets { get; }
    internal ObjectEntry* Entries => _entries;

    /// <summary>Words of eviction, as <see cref="PolicyLayout"/> says.</summary>
    internal byte* Policy { get; }

    internal SpaceWaiter* Waiters => (SpaceWaiter*)(Policy + PolicyLayout.WaitersOffset);

    internal ChunkMap Chunks { get; }
    internal byte* Payload { get; }
    internal byte* WritablePayload { get; }
    internal ulong HashSeed { get; }
    internal MappedView ReadView => _read;
    internal MappedView? WriteView => _write;

    // SAFETY: index is below WaitWord.Count; the callers mask or use the named constants.
    internal ulong* Wait(int index) => (ulong*)(_waitBase + (long)index * WaitWord.StrideBytes);

    /// <summary>Wait word of an id's hash.</summary>
    internal ulong* WaitOf(ulong hash) => Wait((int)(hash >> 40) & (WaitWord.HashedCount - 1));

    /// <summary>The entry that a number from shared memory names; the validating exit of entry numbers.</summary>
    /// <exception cref="PlasmaFormatException">There is no such entry; the store is marked faulted.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal ObjectEntry* Entry(uint index)
    {
        if (index >= _entryCount)
            ThrowNoSuchEntry(index);
        return _entries + index;
    }

    internal void ThrowNoSuchEntry(uint index) => throw Broken("an index or slot word names entry", index, _entryCount);

    /// <summary>Whether payload and tail of an entry lie inside the data file; values from shared memory.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool IsInside(long offset, long bytes, long capacity) => (ulong)offset <= (ulong)capacity && (ulong)bytes <= (ulong)(capacity - offset);

    /// <summary>Marks the store faulted and says why.</summary>
    internal PlasmaFormatException Broken(string what, long value, long limit)
    {
        if (CanWrite)
            Interlocked.CompareExchange(ref Header->Fault, 1, 0);
        return new PlasmaFormatException($"The shared state of {MetaFile.Path} is broken: {what} {value}, the limit is {limit}. The store refuses further work.");
    }

    /// <exception cref="PlasmaFormatException">Somebody found the shared state broken before.</exception>
    internal void ThrowIfFaulted()
    {
        if (Volatile.Read(ref Header->Fault) != 0)
            throw new PlasmaFormatException($"{MetaFile.Path} was found broken by a process that uses it (fault {Header->Fault}); run verify, then destroy and create it again.");
    }

    public void Dispose()
    {
        _waits?.Dispose();
        _write?.Dispose();
        _read?.Dispose();
        _meta?.Dispose();
        CloseFiles();
    }

    /// <summary>All that a forked child gives up: of the mappings it has only the first, and something else may lie where the others are in its parent.</summary>
    internal void CloseFiles()
    {
        DataFile.Dispose();
        MetaFile.Dispose();
    }
}
