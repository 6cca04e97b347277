namespace FastPlasma.Allocator;

// Runs of grains for objects above the largest size class, across chunk borders.
internal sealed unsafe partial class BlockAllocator
{
    private bool TryAllocateLarge(long bytes, int alignmentBytes, ulong owner, BlockPlace* place, Effort effort, out long dataOffset)
    {
        dataOffset = 0;
        long grains = GrainsFor(bytes);
        if (grains > _map.GrainCount)
            return Fail(place, out dataOffset);
        bool chunkAligned = alignmentBytes > ChunkMap.PageBytes;
        bool mayReserve = true;
        if (TryAllocateRun(grains, chunkAligned, owner, place, false, ref mayReserve, out dataOffset))
            return true;
        if (!mayReserve && TryAllocateRun(grains, chunkAligned, owner, place, false, ref mayReserve, out dataOffset))
            return true; // The system refused more memory; what is backed did.
        if (effort == Effort.Normal)
            return Fail(place, out dataOffset);
        if (effort == Effort.Exact)
            RecountAll();
        if ((RetireEmpty() > 0 || effort == Effort.Exact)
            && TryAllocateRun(grains, chunkAligned, owner, place, effort == Effort.Exact, ref mayReserve, out dataOffset))
            return true;
        return Fail(place, out dataOffset);
    }

    private bool TryAllocateRun(long grains, bool chunkAligned, ulong owner, BlockPlace* place, bool exact, ref bool mayReserve, out long dataOffset)
    {
        long runStart = 0, run = 0;
        for (long chunk = 0; chunk < _map.ChunkCount; chunk++)
        {
            ChunkWord word = _map.ReadWord(chunk);
            long first = chunk * ChunkMap.GrainsPerChunk;
            if (word.State == ChunkState.Free || (word.State == ChunkState.Unbacked && mayReserve))
            {
                Extend(first, ChunkMap.GrainsPerChunk, ref runStart, ref run);
            }
            else if (word.State == ChunkState.Large && (exact || Volatile.Read(ref _map.Record(chunk)->FreeHint) > 0))
            {
                ulong* words = _map.Grain(first);
                for (int i = 0; i < ChunkMap.GrainsPerChunk && run < grains; i++)
                {
                    if (words[i] != 0 || (chunkAligned && run == 0 && i != 0)) // A stale value is found out by the exchange.
                        run = 0;
                    else
                        Extend(first + i, 1, ref runStart, ref run);
                }
            }
            else
            {
                run = 0;
            }

            if (run < grains)
                continue;
            if (TryClaimRun(runStart, grains, owner, place, ref mayReserve, out long conflict))
            {
                dataOffset = runStart * ChunkMap.GrainBytes;
                return true;
            }
            // Go on in the chunk behind what was in the way, which may lie before this one. The next run begins at least a chunk behind the beginning of this one, so this ends.
            chunk = conflict / ChunkMap.GrainsPerChunk;
            run = 0;
        }
        dataOffset = 0;
        return false;
    }

    private static void Extend(long first, long count, ref long runStart, ref long run)
    {
        if (run == 0)
            runStart = first;
        run += count;
    }

    private bool TryClaimRun(long start, long grains, ulong owner, BlockPlace* place, ref bool mayReserve, out long conflict)
    {
        long firstChunk = start / ChunkMap.GrainsPerChunk, lastChunk = (start + grains - 1) / ChunkMap.GrainsPerChunk;
        for (long chunk = firstChunk; chunk <= lastChunk; chunk++)
        {
            if (_map.ReadWord(chunk).State != ChunkState.Large && !TryMakeLarge(ref chunk, lastChunk, ref mayReserve))
            {
                conflict = chunk * ChunkMap.GrainsPerChunk;
                return false;
            }
        }

        place->Index = (ulong)start | BlockPlace.LargeFlag;
        place->Count = (uint)grains;
        // CRASH grains-candidate, grains-partly: recovery walks the place and frees the grains that name us.
        for (long i = 0; i < grains; i++)
        {
            if (Interlocked.CompareExchange(ref *_map.Grain(start + i), owner, 0) != 0)
            {
                FreeGrains(start, i, owner, countHint: false);
                place->Count = 0;
                conflict = start + i;
                return false;
            }
        }
        for (long chunk = firstChunk; chunk <= lastChunk; chunk++)
        {
            // OBSERVE retire, as in TryTake.
            if (_map.ReadWord(chunk).State != ChunkState.Large)
            {
                FreeGrains(start, grains, owner, countHint: false);
                place->Count = 0;
                conflict = chunk * ChunkMap.GrainsPerChunk;
                return false;
            }
        }
        AddHints(start, grains, -1);
        conflict = 0;
        return true;
    }

    /// <summary>Makes Large of the chunks from <paramref name="chunk"/> on that are free or unbacked, backing neighbours in one system call; moves it to the last one made.</summary>
    private bool TryMakeLarge(ref long chunk, long lastChunk, ref bool mayReserve)
    {
        ChunkState from = _map.ReadWord(chunk).State;
        if (from is not (ChunkState.Free or ChunkState.Unbacked) || (from == ChunkState.Unbacked && !mayReserve))
            return false;
        long first = chunk, end = chunk;
        while (end <= lastChunk && _map.ReadWord(end).State == from && TryOwn(end, from))
            end++;
        if (end == first)
            return false;

        bool backed = from == ChunkState.Free;
        // CRASH chunks-reserving: the chunks stay Reserving(p); recovery makes them Unbacked.
        bool ok = backed || _reserver.TryReserveData(first, end - first);
        if (!ok)
            mayReserve = false;
        backed |= ok;
        for (long c = first; c < end; c++)
        {
            ok = ok && _reserver.TryReserveWords(_map.Record(c), c, ChunkMap.GrainsPerChunk);
            if (ok)
            {
                Raise(ref _map.Header->LargeHigh, c + 1);
                Volatile.Write(ref _map.Record(c)->FreeHint, ChunkMap.GrainsPerChunk);
            }
            Disown(c, ok ? new ChunkWord(ChunkState.Large, ChunkWord.LargeClass) : new ChunkWord(backed ? ChunkState.Free : ChunkState.Unbacked));
        }
        chunk = end - 1;
        return ok;
    }

    private int FreeGrains(long start, long count, ulong owner, bool countHint = true)
    {
        int freed = 0;
        for (long i = 0; i < count; i++)
        {
            // PUBLISH free, as in Free.
            if (Interlocked.CompareExchange(ref *_map.Grain(start + i), 0, owner) != owner)
                continue;
            freed++;
            if (countHint)
                Interlocked.Increment(ref _map.Record((start + i) / ChunkMap.GrainsPerChunk)->FreeHint);
        }
        return freed;
    }

    private void AddHints(long start, long count, int sign)
    {
        while (count > 0)
        {
            long inChunk = Math.Min(count, ChunkMap.GrainsPerChunk - start % ChunkMap.GrainsPerChunk);
            Interlocked.Add(ref _map.Record(start / ChunkMap.GrainsPerChunk)->FreeHint, sign * (int)inChunk);
            start += inChunk;
            count -= inChunk;
        }
    }
}
