using FastPlasma.Allocator;
using FastPlasma.Files;
using FastPlasma.Format;

namespace FastPlasma.Reclaim;

/// <summary>Finds a stretch of memory that would be free if only certain objects in it went: around some objects first, which costs little, or else anywhere.</summary>
/// <remarks>What lies there is read off the block words, which name their owners. Nothing here is certain: who condemns the objects finds out.</remarks>
internal sealed unsafe class EvictionWindow
{
    /// <summary>Slabs of more blocks than this are cleared only when nothing else helps.</summary>
    private const int SlabBlocksMax = 4096;

    /// <summary>An object that was read lately is worth so many others.</summary>
    private const int VisitedWeight = 16;

    /// <summary>What losing one object costs beside its bytes.</summary>
    private const int ObjectCost = 4096;

    private readonly StoreMemory _memory;
    private readonly ChunkMap _map;
    private readonly VictimMap _victims;
    private readonly Evictor.MayGo _mayGo;
    private readonly bool _wholeChunk;
    private readonly bool _countUnbacked;
    private readonly long _grains;

    internal EvictionWindow(StoreMemory memory, VictimMap victims, Evictor.MayGo mayGo, long bytes, bool wholeChunk, bool countUnbacked)
    {
        (_memory, _map, _victims, _mayGo, _wholeChunk, _countUnbacked) = (memory, memory.Chunks, victims, mayGo, wholeChunk, countUnbacked);
        _grains = wholeChunk ? ChunkMap.GrainsPerChunk : (bytes + ChunkMap.GrainBytes - 1) / ChunkMap.GrainBytes;
    }

    /// <summary>Objects that have to go for a stretch that contains one of <paramref name="seeds"/>: the cheapest stretch first.</summary>
    internal IEnumerable<List<Evictor.Victim>> Around(List<Evictor.Victim> seeds)
    {
        var found = new List<(long Cost, List<Evictor.Victim> Victims)>();
        foreach (Evictor.Victim seed in seeds)
            if (Around(seed) is { } stretch)
                found.Add(stretch);
        return found.OrderBy(static stretch => stretch.Cost).Select(static stretch => stretch.Victims);
    }

    private (long Cost, List<Evictor.Victim> Victims)? Around(in Evictor.Victim seed)
    {
        BlockPlace place = _memory.Entries[seed.Entry].Block;
        if (place.Count == 0 || !_map.Contains(place))
            return null;
        long first, end;
        if (place.IsLarge)
        {
            (first, end) = ((long)place.FirstGrain, (long)place.FirstGrain + place.Count);
            if (_wholeChunk ? RoundUp(first) + ChunkMap.GrainsPerChunk <= end : end - first >= _grains)
                return (seed.Bytes, [seed]);
        }
        else
        {
            first = (long)place.Index / ChunkMap.WordsPerChunk * ChunkMap.GrainsPerChunk;
            end = first + ChunkMap.GrainsPerChunk;
        }
        if (_wholeChunk)
        {
            first = first / ChunkMap.GrainsPerChunk * ChunkMap.GrainsPerChunk;
            return Take(first, first + ChunkMap.GrainsPerChunk);
        }

        // As far right as needed and the rest left; then the other way round.
        long rightEnd = Extend(end, Math.Min(first + _grains, _map.GrainCount), +1), leftFirst = Extend(first, Math.Max(rightEnd - _grains, 0), -1);
        (long, List<Evictor.Victim>)? right = rightEnd - leftFirst >= _grains ? Take(Math.Min(leftFirst, first), Math.Max(rightEnd, end)) : null;
        leftFirst = Extend(first, Math.Max(end - _grains, 0), -1);
        rightEnd = Extend(end, Math.Min(leftFirst + _grains, _map.GrainCount), +1);
        (long, List<Evictor.Victim>)? left = rightEnd - leftFirst >= _grains ? Take(Math.Min(leftFirst, first), Math.Max(rightEnd, end)) : null;
        return right is null || (left is not null && left.Value.Item1 < right.Value.Item1) ? left : right;
    }

    /// <summary>How far memory that is free or may be made free goes from a grain on, towards <paramref name="limit"/>.</summary>
    private long Extend(long from, long limit, int direction)
    {
        long at = from;
        ulong last = 0;
        while (direction > 0 ? at < limit : at > limit) // Ends with the memory.
        {
            long grain = direction > 0 ? at : at - 1, chunk = grain / ChunkMap.GrainsPerChunk;
            ChunkWord word = _map.ReadWord(chunk);
            if (word.State == ChunkState.Large)
            {
                ulong owner = Volatile.Read(ref *_map.Grain(grain));
                if (owner != 0 && owner != last && !TryVictim(owner, out _, out _))
                    return at;
                last = owner;
                at += direction;
                continue;
            }
            if (word.State == ChunkState.Slab ? !MayClear(chunk, word) : word.State != ChunkState.Free && !(_countUnbacked && word.State == ChunkState.Unbacked))
                return at;
            at = direction > 0 ? (chunk + 1) * ChunkMap.GrainsPerChunk : chunk * ChunkMap.GrainsPerChunk;
        }
        return at;
    }

    private bool MayClear(long chunk, ChunkWord word)
    {
        int blocks = ChunkMap.BlockCountOf(word);
        if (blocks > SlabBlocksMax)
            return false;
        for (int i = 0; i < blocks; i++)
        {
            ulong owner = Volatile.Read(ref *_map.Word(chunk * ChunkMap.WordsPerChunk + i));
            if (owner != 0 && !TryVictim(owner, out _, out _))
                return false;
        }
        return true;
    }

    /// <summary>All objects in a stretch, and what they are worth; null when one of them has to stay.</summary>
    private (long Cost, List<Evictor.Victim> Victims)? Take(long first, long end)
    {
        var victims = new List<Evictor.Victim>();
        long cost = 0;
        ulong last = 0;
        for (long grain = first; grain < end;)
        {
            long chunk = grain / ChunkMap.GrainsPerChunk;
            ChunkWord word = _map.ReadWord(chunk);
            int blocks = ChunkMap.BlockCountOf(word);
            if (word.State == ChunkState.Large)
            {
                if (!TryAdd(Volatile.Read(ref *_map.Grain(grain++))))
                    return null;
                continue;
            }
            if (word.State == ChunkState.Slab)
            {
                for (int i = 0; i < blocks; i++)
                    if (!TryAdd(Volatile.Read(ref *_map.Word(chunk * ChunkMap.WordsPerChunk + i))))
                        return null;
            }
            else if (word.State != ChunkState.Free && !(_countUnbacked && word.State == ChunkState.Unbacked))
            {
                return null;
            }
            grain = (chunk + 1) * ChunkMap.GrainsPerChunk;
        }
        return victims.Count == 0 ? null : (cost, victims);

        bool TryAdd(ulong owner)
        {
            if (owner == 0 || owner == last)
                return true;
            last = owner; // Grains of one object follow each other.
            if (!TryVictim(owner, out Evictor.Victim victim, out bool visited))
                return false;
            victims.Add(victim);
            cost += (victim.Bytes + ObjectCost) * (visited ? VisitedWeight : 1);
            return true;
        }
    }

    private bool TryVictim(ulong owner, out Evictor.Victim victim, out bool visited)
    {
        victim = default;
        visited = false;
        uint e = BlockOwner.EntryOf(owner), generation = BlockOwner.GenerationOf(owner);
        if (e >= (uint)_memory.Geometry.ObjectCountMax)
            return false;
        ObjectEntry* entry = _memory.Entries + e;
        var state = new StateWord(Volatile.Read(ref entry->State));
        if (!state.IsSealed(generation) || !_mayGo(state, in *entry))
            return false;
        visited = _victims.IsVisited(e);
        victim = new Evictor.Victim(e, generation, BlockAllocator.BlockBytesAt(_map, entry->Block));
        return true;
    }

    /// <summary>The stretch anywhere in the store whose memory is used least, objects that were read lately counting more. Reads every word: for the last effort.</summary>
    /// <param name="pinned">Owners that are read; null when that is not known, and then nothing is found.</param>
    internal List<Evictor.Victim> Anywhere(HashSet<ulong>? pinned)
    {
        if (pinned is null)
            return [];
        var costs = new int[_map.GrainCount]; // Of each grain; -1 stays.
        ulong last = 0;
        int lastCost = 0;
        for (long chunk = 0; chunk < _map.ChunkCount; chunk++)
        {
            ChunkWord word = _map.ReadWord(chunk);
            Span<int> here = costs.AsSpan((int)(chunk * ChunkMap.GrainsPerChunk), ChunkMap.GrainsPerChunk);
            if (word.State == ChunkState.Large)
            {
                for (int i = 0; i < here.Length; i++)
                    here[i] = CostOf(Volatile.Read(ref *_map.Grain(chunk * ChunkMap.GrainsPerChunk + i)));
            }
            else if (word.State == ChunkState.Slab)
            {
                int blocks = ChunkMap.BlockCountOf(word), used = 0;
                for (int i = 0; i < blocks && used >= 0; i++)
                {
                    int cost = CostOf(Volatile.Read(ref *_map.Word(chunk * ChunkMap.WordsPerChunk + i)));
                    used = cost < 0 ? -1 : used + cost;
                }
                here.Fill(used < 0 ? -1 : (used + blocks - 1) / Math.Max(blocks, 1));
            }
            else
            {
                here.Fill(word.State == ChunkState.Free || (_countUnbacked && word.State == ChunkState.Unbacked) ? 0 : -1);
            }
        }

        long run = 0, sum = 0, best = long.MaxValue, bestEnd = -1;
        for (long grain = 0; grain < costs.Length; grain++)
        {
            if (_wholeChunk && grain % ChunkMap.GrainsPerChunk == 0)
                (run, sum) = (0, 0);
            if (costs[grain] < 0)
            {
                (run, sum) = (0, 0);
                continue;
            }
            run++;
            sum += costs[grain];
            if (run > _grains)
                sum -= costs[grain - _grains];
            if (run >= _grains && sum < best)
                (best, bestEnd) = (sum, grain + 1);
        }
        return bestEnd < 0 || Take(bestEnd - _grains, bestEnd) is not { } stretch ? [] : stretch.Victims;

        int CostOf(ulong owner)
        {
            if (owner == 0)
                return 0;
            if (owner == last)
                return lastCost;
            (last, lastCost) = (owner, pinned.Contains(owner) || !TryVictim(owner, out _, out bool visited) ? -1 : visited ? VisitedWeight : 1);
            return lastCost;
        }
    }

    private static long RoundUp(long grain) => (grain + ChunkMap.GrainsPerChunk - 1) / ChunkMap.GrainsPerChunk * ChunkMap.GrainsPerChunk;
}
