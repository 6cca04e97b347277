using FastPlasma.Allocator;
using FastPlasma.Format;

namespace FastPlasma.Reclaim;

/// <summary>Finds a stretch of memory that would be free if only evictable objects in it went: the one whose most recently used object was used longest ago.</summary>
internal sealed unsafe class EvictionWindow
{
    private const long Free = long.MinValue, Blocked = long.MaxValue;

    private readonly ChunkMap _map;
    private readonly Dictionary<ulong, Evictor.Victim> _victims;

    internal EvictionWindow(ChunkMap map, List<Evictor.Victim> candidates)
    {
        _map = map;
        _victims = candidates.ToDictionary(v => BlockOwner.Of(v.Generation, v.Entry));
    }

    /// <summary>Objects that have to go; none when no stretch would be long enough.</summary>
    /// <param name="bytes">Length of the stretch.</param>
    /// <param name="wholeChunk">Whether it has to be one chunk, for a new slab.</param>
    /// <param name="countUnbacked">Whether memory that the system has not given yet can be had.</param>
    internal List<Evictor.Victim> Find(long bytes, bool wholeChunk, bool countUnbacked)
    {
        long grains = wholeChunk ? ChunkMap.GrainsPerChunk : (bytes + ChunkMap.GrainBytes - 1) / ChunkMap.GrainBytes;
        long bestEnd = -1, bestUse = Blocked, run = 0;

        // Newest use within the last so many grains, by a queue of falling uses: each grain enters and leaves once.
        var newest = new LinkedList<(long Grain, long Use)>();
        for (long grain = 0; grain < _map.GrainCount; grain++)
        {
            if (wholeChunk && grain % ChunkMap.GrainsPerChunk == 0)
                Reset();
            long use = UseOf(grain, countUnbacked);
            if (use == Blocked)
            {
                Reset();
                continue;
            }
            run++;
            while (newest.Last is { } last && last.Value.Use <= use)
                newest.RemoveLast();
            newest.AddLast((grain, use));
            while (newest.First!.Value.Grain <= grain - grains)
                newest.RemoveFirst();
            if (run >= grains && newest.First.Value.Use < bestUse)
                (bestEnd, bestUse) = (grain + 1, newest.First.Value.Use);
        }
        return bestEnd < 0 ? [] : VictimsIn(bestEnd - grains, bestEnd);

        void Reset()
        {
            run = 0;
            newest.Clear();
        }
    }

    /// <summary>When a grain was used last by an object that may go; <see cref="Free"/>, or <see cref="Blocked"/>.</summary>
    private long UseOf(long grain, bool countUnbacked)
    {
        long chunk = grain / ChunkMap.GrainsPerChunk;
        ChunkWord word = _map.ReadWord(chunk);
        switch (word.State)
        {
            case ChunkState.Free:
                return Free;
            case ChunkState.Unbacked:
                return countUnbacked ? Free : Blocked;
            case ChunkState.Large:
                return UseOf(Volatile.Read(ref *_map.Grain(grain)));
            case ChunkState.Slab when grain % ChunkMap.GrainsPerChunk == 0:
                _slabUse = Free; // A slab goes as a whole or not at all.
                for (int i = 0; i < ChunkMap.BlockCountOf(word) && _slabUse != Blocked; i++)
                    _slabUse = Math.Max(_slabUse, UseOf(Volatile.Read(ref *_map.Word(chunk * ChunkMap.WordsPerChunk + i))));
                return _slabUse;
            case ChunkState.Slab:
                return _slabUse;
            default:
                return Blocked;
        }
    }

    private long _slabUse;

    private long UseOf(ulong owner) => owner == 0 ? Free : _victims.TryGetValue(owner, out Evictor.Victim victim) ? victim.LastUse : Blocked;

    private List<Evictor.Victim> VictimsIn(long start, long end)
    {
        var found = new Dictionary<ulong, Evictor.Victim>();
        for (long grain = start; grain < end; grain++)
        {
            long chunk = grain / ChunkMap.GrainsPerChunk;
            ChunkWord word = _map.ReadWord(chunk);
            if (word.State == ChunkState.Large)
                Add(Volatile.Read(ref *_map.Grain(grain)));
            else if (word.State == ChunkState.Slab && (grain == start || grain % ChunkMap.GrainsPerChunk == 0))
                for (int i = 0; i < ChunkMap.BlockCountOf(word); i++)
                    Add(Volatile.Read(ref *_map.Word(chunk * ChunkMap.WordsPerChunk + i)));
        }
        return [.. found.Values];

        void Add(ulong owner)
        {
            if (owner != 0 && _victims.TryGetValue(owner, out Evictor.Victim victim))
                found[owner] = victim;
        }
    }
}
