using FastPlasma.Native;

namespace FastPlasma.Allocator;

// Runs of grains for objects above the largest size class, across chunk borders.
internal sealed unsafe partial class BlockAllocator
{
    /// <summary>How often a run that others took first is looked for again; each time they have got on.</summary>
    private const int ClaimAttemptsMax = 64;

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
        if ((RetireEmpty(exact: effort == Effort.Exact) > 0 || effort == Effort.Exact)
            && TryAllocateRun(grains, chunkAligned, owner, place, effort == Effort.Exact, ref mayReserve, out dataOffset))
            return true;
        return Fail(place, out dataOffset);
    }

    /// <summary>Takes the first of the shortest free runs that are long enough: long runs stay whole for long objects.</summary>
    private bool TryAllocateRun(long grains, bool chunkAligned, ulong owner, BlockPlace* place, bool exact, ref bool mayReserve, out long dataOffset)
    {
        for (int attempt = 0; attempt < ClaimAttemptsMax; attempt++)
        {
            long start = FindRun(grains, chunkAligned, exact, mayReserve);
            if (start < 0)
                break;
            if (TryClaimRun(start, grains, owner, place, ref mayReserve))
            {
                dataOffset = start * ChunkMap.GrainBytes;
                return true;
            }
        }

        dataOffset = 0;
        return false;
    }

    /// <summary>First grain of the shortest free run of at least <paramref name="grains"/>, as the words are now and as far as it looks; -1 when there is none.</summary>
    private long FindRun(long grains, bool chunkAligned, bool exact, bool mayReserve)
    {
        long best = -1, bestCount = long.MaxValue, runStart = 0, run = 0;
        long largeHigh = Volatile.Read(ref _map.Header->LargeHigh);
        for (long chunk = 0; chunk < _map.ChunkCount && bestCount > grains; chunk++)
        {
            if (chunk >= largeHigh && (best >= 0 || run >= grains))
                break; // What follows was never cut into grains. Only whole chunks between slabs could be shorter there than a best that is longer than a chunk, and an open run counts as far as it goes: not worth the walk.
            ChunkWord word = _map.ReadWord(chunk);
            long first = chunk * ChunkMap.GrainsPerChunk;
            if (word.State == ChunkState.Free || (word.State == ChunkState.Unbacked && mayReserve))
            {
                Extend(first, ChunkMap.GrainsPerChunk);
            }
            else if (word.State == ChunkState.Large && (exact || Volatile.Read(ref _map.Record(chunk)->FreeHint) > 0))
            {
                ulong* words = _map.Grain(first);
                for (int i = 0; i < ChunkMap.GrainsPerChunk; i++)
                {
                    if (words[i] != 0) // A stale value is found out by the exchange.
                        End();
                    else if (run > 0 || !chunkAligned || i == 0)
                        Extend(first + i, 1);
                }
            }
            else
            {
                End();
            }
        }

        End();
        return best;

        void Extend(long from, long count)
        {
            if (run == 0)
                runStart = from;
            run += count;
        }

        void End()
        {
            if (run >= grains && run < bestCount)
                (best, bestCount) = (runStart, run);
            run = 0;
        }
    }

    private bool TryClaimRun(long start, long grains, ulong owner, BlockPlace* place, ref bool mayReserve)
    {
        long firstChunk = start / ChunkMap.GrainsPerChunk, lastChunk = (start + grains - 1) / ChunkMap.GrainsPerChunk;
        for (long chunk = firstChunk; chunk <= lastChunk; chunk++)
        {
            if (_map.ReadWord(chunk).State != ChunkState.Large && !TryMakeLarge(ref chunk, lastChunk, ref mayReserve))
                return false;
        }

        place->Index = (ulong)start | BlockPlace.LargeFlag;
        place->Count = (uint)grains;
        // CRASH grains-candidate, grains-partly: recovery walks the place and frees the grains that name us.
        FailPoint.Pass("grains-candidate");
        for (long i = 0; i < grains; i++)
        {
            if (i > 0)
                FailPoint.Pass("grains-partly");
            if (Interlocked.CompareExchange(ref *_map.Grain(start + i), owner, 0) != 0)
            {
                FreeGrains(start, i, owner, countHint: false);
                place->Count = 0;
                return false;
            }
        }
        for (long chunk = firstChunk; chunk <= lastChunk; chunk++)
        {
            // OBSERVE retire, chunk, as in TryTake.
            if (_map.ReadWord(chunk).State != ChunkState.Large)
            {
                FreeGrains(start, grains, owner, countHint: false);
                place->Count = 0;
                return false;
            }
        }
        AddHints(start, grains, -1);
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
        FailPoint.Pass("chunks-reserving");
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
