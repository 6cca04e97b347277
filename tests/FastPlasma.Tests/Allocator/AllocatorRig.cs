using System.Runtime.InteropServices;
using FastPlasma.Allocator;
using FastPlasma.Native;

namespace FastPlasma.Tests;

/// <summary>An allocator without a store: chunk records and block words in one memory file, the data in another, and a set of owners that count as dead.</summary>
internal sealed unsafe class AllocatorRig : IDisposable
{
    internal const int PlaceCountMax = 8192;

    private readonly SharedFile _meta;
    private readonly MappedView _metaView;
    private readonly MappedView _dataView;
    private readonly BlockPlace* _places = (BlockPlace*)NativeMemory.AllocZeroed(PlaceCountMax, BlockPlace.SizeBytes);
    private readonly long _wordsOffset;

    /// <param name="chunkCount">Capacity in chunks of 2 MiB.</param>
    /// <param name="data">Data file to use instead of a memory file; the rig takes it over.</param>
    internal AllocatorRig(int chunkCount, SharedFile? data = null)
    {
        long recordBytes = ((long)chunkCount * ChunkRecord.SizeBytes + ChunkMap.PageBytes - 1) / ChunkMap.PageBytes * ChunkMap.PageBytes;
        _wordsOffset = ChunkMap.PageBytes + recordBytes;
        long metaBytes = _wordsOffset + (long)chunkCount * ChunkMap.WordsPerChunk * ChunkMap.WordBytes;
        _meta = SharedFile.CreateAnonymous("rig.meta");
        Data = data ?? SharedFile.CreateAnonymous("rig.data");
        _meta.SetSize(metaBytes);
        _meta.Reserve(0, _wordsOffset);
        Data.SetSize(chunkCount * ChunkMap.ChunkBytes);
        _metaView = MappedView.Map(_meta, 0, metaBytes, writable: true);
        _dataView = MappedView.Map(Data, 0, chunkCount * ChunkMap.ChunkBytes, writable: true, hugeAligned: true);
        byte* m = _metaView.Pointer;
        Map = new ChunkMap((AllocatorHeader*)m, (ChunkRecord*)(m + ChunkMap.PageBytes), (ulong*)(m + _wordsOffset), chunkCount);
        Map.Header->SlabLow = chunkCount;
    }

    internal ChunkMap Map { get; }

    internal SharedFile Data { get; }

    internal DeadOwners Dead { get; } = new();

    internal byte* Payload => _dataView.Pointer;

    internal long CapacityBytes => Map.ChunkCount * ChunkMap.ChunkBytes;

    internal BlockPlace* Place(int index) => index < PlaceCountMax ? _places + index : throw new ArgumentOutOfRangeException(nameof(index));

    /// <summary>The allocator of one participant, as each process has its own.</summary>
    internal BlockAllocator AllocatorOf(int participant) => new(Map, new ChunkReserver(Data, _meta, _wordsOffset, null, fault: false, collapse: false), Dead, participant);

    internal void SetChunk(long chunk, ChunkState state, int sizeClass = 0, int participant = 0) =>
        Volatile.Write(ref Map.Record(chunk)->Word, new ChunkWord(state, sizeClass, participant).Value);

    /// <summary>Word number <paramref name="i"/> of what a place names.</summary>
    internal ulong* WordOf(in BlockPlace place, uint i = 0) => place.IsLarge ? Map.Grain((long)place.FirstGrain + i) : Map.Word((long)place.Index);

    /// <summary>All block words that are not zero, in chunks that have a use.</summary>
    internal Dictionary<ulong, int> CountWords()
    {
        var counts = new Dictionary<ulong, int>();
        for (long chunk = 0; chunk < Map.ChunkCount; chunk++)
        {
            int blocks = ChunkMap.BlockCountOf(Map.ReadWord(chunk));
            for (int i = 0; i < blocks; i++)
            {
                ulong value = *Map.Word(chunk * ChunkMap.WordsPerChunk + i);
                if (value != 0)
                    counts[value] = counts.GetValueOrDefault(value) + 1;
            }
        }
        return counts;
    }

    internal ChunkState[] States() => [.. Enumerable.Range(0, Map.ChunkCount).Select(chunk => Map.ReadWord(chunk).State)];

    public void Dispose()
    {
        _dataView.Dispose();
        _metaView.Dispose();
        Data.Dispose();
        _meta.Dispose();
        NativeMemory.Free(_places);
    }

    internal sealed class DeadOwners : IBlockOwners
    {
        private readonly HashSet<ulong> _dead = [];

        internal void Add(ulong owner) => _dead.Add(owner);

        public bool IsDead(ulong blockWord) => _dead.Contains(blockWord);
    }
}
