using FastPlasma.Native;

namespace FastPlasma.Allocator;

/// <summary>How hard an allocation tries.</summary>
internal enum Effort
{
    /// <summary>Hints, free chunks, and new memory from the system.</summary>
    Normal,

    /// <summary>Also chunks that have become empty, and blocks of up to twice the size.</summary>
    Pressure,

    /// <summary>Also blocks of any larger class, and a grain for an object that is much smaller: waste for as long as it lives, and better than nothing.</summary>
    Scatter,

    /// <summary>Also reads every word again: corrects hints and frees what the dead left.</summary>
    Exact,
}

/// <summary>Out-of-band allocator of a data file (in memory, or a spill file on disk): one compare-exchange per block, no locks, nothing to repair but block words and chunk words of the dead.</summary>
/// <remarks>
/// Invariant B1: a block belongs to the owner in its word and to nobody else. Invariant B2: a non-zero word that stays lies in a chunk whose use
/// (class, or Large) is the one it was taken for. Everything else here is a hint. The proofs are in docs/concurrency.md, section 6.
/// Any number of threads and processes may call at once; a <see cref="BlockCache"/> belongs to one thread.
/// </remarks>
internal sealed unsafe partial class BlockAllocator
{
    private readonly ChunkMap _map;
    private readonly ChunkBacking _reserver;
    private readonly IBlockOwners _owners;
    private readonly int _participant;

    internal BlockAllocator(ChunkMap map, ChunkBacking reserver, IBlockOwners owners, int participant)
    {
        _map = map;
        _reserver = reserver;
        _owners = owners;
        _participant = participant;
    }

    internal ChunkMap Map => _map;

    /// <summary>What the operating system answered when the last exact effort asked memory of it and was refused; null when it was not the system that refused.</summary>
    internal string? LastReservationError => _reserver.LastError;

    /// <summary>Whether a request is served by a slab block rather than by grains.</summary>
    internal static bool FitsSlab(long bytes, int alignmentBytes) =>
        alignmentBytes <= ChunkMap.PageBytes && RoundForAlignment(bytes, alignmentBytes) <= SizeClasses.SlabMaxBytes;

    /// <summary>Memory that a request really takes.</summary>
    internal static long BlockBytesFor(long bytes, int alignmentBytes) => FitsSlab(bytes, alignmentBytes)
        ? SizeClasses.BytesOf(SizeClasses.ClassOf(RoundForAlignment(bytes, alignmentBytes)))
        : GrainsFor(bytes) * ChunkMap.GrainBytes;

    /// <inheritdoc cref="BlockBytesAt(ChunkMap, in BlockPlace)"/>
    internal long BlockBytesAt(in BlockPlace place) => BlockBytesAt(_map, place);

    /// <summary>Memory that a place stands for, from the present use of its chunk.</summary>
    internal static long BlockBytesAt(ChunkMap map, in BlockPlace place)
    {
        if (place.Count == 0 || !map.Contains(place))
            return 0;
        if (place.IsLarge)
            return (long)place.Count * ChunkMap.GrainBytes;
        ChunkWord word = map.ReadWord((long)place.Index / ChunkMap.WordsPerChunk);
        return word.Class < SizeClasses.Count ? SizeClasses.BytesOf(word.Class) : 0;
    }

    /// <summary>Takes a block for <paramref name="owner"/>.</summary>
    /// <param name="cache">The calling thread's hints.</param>
    /// <param name="bytes">At least 1.</param>
    /// <param name="alignmentBytes">64, 4,096 or 2 MiB.</param>
    /// <param name="owner">Value for the block words; never 0, never used again after its blocks are freed.</param>
    /// <param name="place">In shared memory, where recovery looks: holds the candidate before each exchange.</param>
    /// <param name="effort">How hard to try.</param>
    /// <param name="dataOffset">Where the block begins in the data file.</param>
    internal bool TryAllocate(BlockCache cache, long bytes, int alignmentBytes, ulong owner, BlockPlace* place, Effort effort, out long dataOffset)
    {
        if (effort == Effort.Exact)
            _reserver.ForgetError(); // The last attempt before "full" is the one that is reported.
        long slabBytes = RoundForAlignment(bytes, alignmentBytes);
        if (!FitsSlab(bytes, alignmentBytes))
            return TryAllocateLarge(bytes, alignmentBytes, owner, place, effort, out dataOffset);

        int sizeClass = SizeClasses.ClassOf(slabBytes);
        if (TryAllocateBlock(cache, sizeClass, owner, place, out dataOffset))
            return true;
        if (effort == Effort.Normal)
            return Fail(place, out dataOffset);

        if (effort == Effort.Exact)
            RecountAll();
        if (RetireEmpty(exact: effort == Effort.Exact) > 0 && TryAllocateBlock(cache, sizeClass, owner, place, out dataOffset))
            return true;
        if (effort == Effort.Exact && TryAllocateBlock(cache, sizeClass, owner, place, out dataOffset))
            return true;
        int largest = effort >= Effort.Scatter ? SizeClasses.Count - 1 : SizeClasses.ClassOf(Math.Min(2 * SizeClasses.BytesOf(sizeClass), SizeClasses.SlabMaxBytes));
        ulong classes = 0, moreClasses = 0; // Those that have a block, as the hints say: one look at the chunks for all of them.
        for (long chunk = Math.Max(0, Volatile.Read(ref _map.Header->SlabLow)); chunk < _map.ChunkCount; chunk++)
        {
            ChunkWord word = _map.ReadWord(chunk);
            if (word.State != ChunkState.Slab || Volatile.Read(ref _map.Record(chunk)->FreeHint) <= 0)
                continue;
            if (word.Class < 64)
                classes |= 1UL << word.Class;
            else
                moreClasses |= 1UL << (word.Class - 64);
        }
        for (int larger = sizeClass + 1; larger <= largest; larger++)
        {
            if (((larger < 64 ? classes >> larger : moreClasses >> (larger - 64)) & 1) != 0
                && (alignmentBytes <= SizeClasses.QuantumBytes || SizeClasses.BytesOf(larger) % alignmentBytes == 0)
                && TryAllocateFromSlabs(cache, larger, owner, place, out dataOffset))
                return true;
        }
        return effort < Effort.Scatter && 2 * SizeClasses.BytesOf(sizeClass) < ChunkMap.GrainBytes
            ? Fail(place, out dataOffset)
            : TryAllocateLarge(bytes, alignmentBytes, owner, place, effort, out dataOffset);
    }

    /// <summary>Frees what <paramref name="owner"/> holds at a place; what it does not hold is left alone, so repeating a free is harmless. Returns bytes freed.</summary>
    /// <param name="cache">Hints of the calling thread, or null.</param>
    /// <param name="place">Validated by the caller with <see cref="ChunkMap.Contains"/>.</param>
    /// <param name="owner">As given at allocation.</param>
    internal long Free(BlockCache? cache, in BlockPlace place, ulong owner)
    {
        if (place.Count == 0)
            return 0;
        if (place.IsLarge)
            return (long)FreeGrains((long)place.FirstGrain, place.Count, owner) * ChunkMap.GrainBytes;

        long index = (long)place.Index, chunk = index / ChunkMap.WordsPerChunk;
        int sizeClass = _map.ReadWord(chunk).Class;
        // PUBLISH free: full fence; the last use of the block precedes it. OBSERVE in TryTake.
        if (Interlocked.CompareExchange(ref *_map.Word(index), 0, owner) != owner)
            return 0;
        Interlocked.Increment(ref _map.Record(chunk)->FreeHint);
        if (sizeClass >= SizeClasses.Count || index % ChunkMap.WordsPerChunk >= SizeClasses.BlocksPerChunk(sizeClass))
            return 0; // A candidate that was never confirmed, in a chunk that has become something else; as a hint it would lead behind the chunk.
        cache?.Push(sizeClass, index);
        return SizeClasses.BytesOf(sizeClass);
    }

    /// <summary>Chunks of a dead participant: what it was backing or punching is unbacked, what it was retiring is as it was before.</summary>
    /// <remarks>Pages that an unbacked chunk has all the same serve its next use; until then <see cref="Trim"/> does not see them.</remarks>
    internal void Recover(int participant)
    {
        for (long chunk = 0; chunk < _map.ChunkCount; chunk++)
        {
            ChunkWord word = _map.ReadWord(chunk);
            if (!word.IsTransient || word.Participant != participant)
                continue;
            ChunkWord repaired = word.State != ChunkState.Retiring
                ? new ChunkWord(ChunkState.Unbacked)
                : new ChunkWord(word.Class == ChunkWord.LargeClass ? ChunkState.Large : ChunkState.Slab, word.Class);
            Interlocked.CompareExchange(ref _map.Record(chunk)->Word, repaired.Value, word.Value);
        }
    }

    /// <summary>Backs up to <paramref name="bytes"/> bytes of chunks that nobody uses yet, so that later allocations find memory ready: at the end, where slabs are made, and at the start, where large runs begin, in turns.
    /// Returns bytes backed.</summary>
    internal long Populate(long bytes)
    {
        long done = 0, low = 0, high = _map.ChunkCount - 1;
        for (bool fromStart = false; low <= high && done < bytes;)
        {
            long chunk = fromStart ? low++ : high--;
            if (_map.ReadWord(chunk).State != ChunkState.Unbacked || !TryOwn(chunk, ChunkState.Unbacked))
                continue;
            fromStart = !fromStart;
            bool ok = _reserver.TryReserveData(chunk, 1); // Death here is that of slab-reserving.
            Disown(chunk, new ChunkWord(ok ? ChunkState.Free : ChunkState.Unbacked));
            if (!ok)
                break;
            done += ChunkMap.ChunkBytes;
        }
        return done;
    }

    /// <summary>Gives free chunks back to the system. Returns bytes given back.</summary>
    /// <param name="goesOn">Asked before each chunk.</param>
    internal long Trim(Func<bool>? goesOn = null)
    {
        RetireEmpty(exact: true);
        long done = 0;
        for (long chunk = 0; chunk < _map.ChunkCount; chunk++)
        {
            if (_map.ReadWord(chunk).State != ChunkState.Free)
                continue;
            if (goesOn?.Invoke() == false)
                break;
            var punching = new ChunkWord(ChunkState.Punching, 0, _participant);
            if (!TryChange(chunk, new ChunkWord(ChunkState.Free), punching))
                continue;
            // CRASH chunk-punching: the chunk stays Punching(p); recovery makes it Unbacked, whether or not the pages are gone.
            FailPoint.Pass("chunk-punching");
            bool ok = _reserver.TryPunch(chunk);
            TryChange(chunk, punching, new ChunkWord(ok ? ChunkState.Unbacked : ChunkState.Free));
            if (ok)
                done += ChunkMap.ChunkBytes;
        }
        return done;
    }

    /// <summary>Memory that allocations may find free, in chunks with a use, without one, and not yet backed, as the hints say.</summary>
    internal long FreeBytesByHints()
    {
        long free = 0;
        bool mayReserve = LastReservationError is null;
        for (long chunk = 0; chunk < _map.ChunkCount; chunk++)
        {
            ChunkWord word = _map.ReadWord(chunk);
            long hint = Math.Max(Volatile.Read(ref _map.Record(chunk)->FreeHint), 0);
            free += word.State switch
            {
                ChunkState.Free => ChunkMap.ChunkBytes,
                ChunkState.Unbacked => mayReserve ? ChunkMap.ChunkBytes : 0,
                ChunkState.Large => Math.Min(hint, ChunkMap.GrainsPerChunk) * ChunkMap.GrainBytes,
                ChunkState.Slab when word.Class < SizeClasses.Count => Math.Min(hint * SizeClasses.BytesOf(word.Class), ChunkMap.ChunkBytes),
                _ => 0,
            };
        }
        return free;
    }

    /// <summary>Memory in chunks that are backed and nobody's.</summary>
    internal long FreeBackedBytes()
    {
        long free = 0;
        for (long chunk = 0; chunk < _map.ChunkCount; chunk++)
            if (_map.ReadWord(chunk).State == ChunkState.Free)
                free += ChunkMap.ChunkBytes;
        return free;
    }

    // ---- slabs -------------------------------------------------------------------------------------------------------------

    private bool TryAllocateBlock(BlockCache cache, int sizeClass, ulong owner, BlockPlace* place, out long dataOffset)
    {
        while (cache.TryPop(sizeClass, out long word)) // Ends with the cache, which has a fixed depth.
            if (TryTake(cache, word, sizeClass, owner, place, out dataOffset))
                return true;
        int preferred = cache.ChunkOf(sizeClass);
        if (preferred >= 0 && TryScan(cache, preferred, sizeClass, owner, place, out dataOffset))
            return true;
        if (TryAllocateFromSlabs(cache, sizeClass, owner, place, out dataOffset))
            return true;
        // A new slab; others may fill it before us, so try again a few times before giving up.
        for (int attempt = 0; attempt < 8 && TryMakeSlab(sizeClass, out int chunk); attempt++)
            if (TryScan(cache, chunk, sizeClass, owner, place, out dataOffset))
                return true;
        dataOffset = 0;
        return false;
    }

    private bool TryAllocateFromSlabs(BlockCache cache, int sizeClass, ulong owner, BlockPlace* place, out long dataOffset)
    {
        var wanted = new ChunkWord(ChunkState.Slab, sizeClass);
        long low = Math.Max(0, Volatile.Read(ref _map.Header->SlabLow));
        for (long chunk = _map.ChunkCount - 1; chunk >= low; chunk--)
        {
            // A stale hint only makes us look in vain, or overlook a block until effort Exact.
            if (_map.ReadWord(chunk) == wanted && Volatile.Read(ref _map.Record(chunk)->FreeHint) > 0
                && TryScan(cache, (int)chunk, sizeClass, owner, place, out dataOffset))
                return true;
        }
        dataOffset = 0;
        return false;
    }

    private bool TryScan(BlockCache cache, int chunk, int sizeClass, ulong owner, BlockPlace* place, out long dataOffset)
    {
        dataOffset = 0;
        if (_map.ReadWord(chunk) != new ChunkWord(ChunkState.Slab, sizeClass))
            return false;
        ChunkRecord* record = _map.Record(chunk);
        int hint = Volatile.Read(ref record->FreeHint);
        int count = SizeClasses.BlocksPerChunk(sizeClass);
        int start = cache.ChunkOf(sizeClass) == chunk ? cache.CursorOf(sizeClass) : 0;
        ulong* words = _map.Word((long)chunk * ChunkMap.WordsPerChunk);
        for (int step = 0; step < count; step++)
        {
            int i = start + step < count ? start + step : start + step - count;
            if (words[i] != 0) // A stale zero fails in TryTake, a stale value skips one block.
                continue;
            if (TryTake(cache, (long)chunk * ChunkMap.WordsPerChunk + i, sizeClass, owner, place, out dataOffset))
            {
                cache.Prefer(sizeClass, chunk, i + 1 < count ? i + 1 : 0);
                return true;
            }
        }
        if (hint > 0)
            Interlocked.CompareExchange(ref record->FreeHint, 0, hint); // Unless somebody has freed in the meantime.
        return false;
    }

    private bool TryTake(BlockCache cache, long index, int sizeClass, ulong owner, BlockPlace* place, out long dataOffset)
    {
        dataOffset = 0;
        long chunk = index / ChunkMap.WordsPerChunk;
        place->Index = (ulong)index;
        place->Count = 1;
        // CRASH block-candidate: the place names a block whose word does not name us; recovery's exchange finds that and does nothing.
        FailPoint.Pass("block-candidate");
        // OBSERVE free: full fence. Everything that the last owner did with the block happened before, and the place above is there before the word.
        if (Interlocked.CompareExchange(ref *_map.Word(index), owner, 0) != 0)
            return false;
        // CRASH block-taken: place and word agree; recovery frees the block.
        FailPoint.Pass("block-taken");
        // OBSERVE retire, chunk: the word above was stored before this read, so either the retirer saw it or we see its change (docs/concurrency.md, 6).
        if (_map.ReadWord(chunk) == new ChunkWord(ChunkState.Slab, sizeClass))
        {
            ChunkRecord* record = _map.Record(chunk);
            Interlocked.Decrement(ref record->FreeHint);
            dataOffset = chunk * ChunkMap.ChunkBytes + index % ChunkMap.WordsPerChunk * SizeClasses.BytesOf(sizeClass);
            return true;
        }
        Interlocked.CompareExchange(ref *_map.Word(index), 0, owner);
        place->Count = 0;
        return false;
    }

    private bool TryMakeSlab(int sizeClass, out int chunk)
    {
        if (!MayMakeSlab())
        {
            chunk = -1;
            return false;
        }

        // Backed memory first (it is warm), then new memory; from the end of the file, to leave long runs at its start.
        for (int pass = 0; pass < 2; pass++)
        {
            ChunkState from = pass == 0 ? ChunkState.Free : ChunkState.Unbacked;
            for (long c = _map.ChunkCount - 1; c >= 0; c--)
            {
                if (_map.ReadWord(c).State != from || !TryOwn(c, from))
                    continue;
                // CRASH slab-reserving: as chunks-reserving.
                FailPoint.Pass("slab-reserving");
                ChunkRecord* record = _map.Record(c);
                bool backed = from == ChunkState.Free || _reserver.TryReserveData(c, 1);
                if (!backed || !_reserver.TryReserveWords(record, c, SizeClasses.BlocksPerChunk(sizeClass)))
                {
                    Disown(c, new ChunkWord(backed ? ChunkState.Free : ChunkState.Unbacked));
                    chunk = -1;
                    return false;
                }
                Lower(ref _map.Header->SlabLow, c);
                Volatile.Write(ref record->FreeHint, SizeClasses.BlocksPerChunk(sizeClass));
                Disown(c, new ChunkWord(ChunkState.Slab, sizeClass));
                chunk = (int)c;
                return true;
            }
        }
        chunk = -1;
        return false;
    }

    /// <summary>The last free chunk does not become a slab before another is cut into grains, which serve every size: else a small store of many sizes is full after one object of each. Two who ask at once may both be told yes.</summary>
    private bool MayMakeSlab()
    {
        int available = 0;
        for (long chunk = 0; chunk < _map.ChunkCount; chunk++)
        {
            ChunkState state = _map.ReadWord(chunk).State;
            if (state == ChunkState.Large || (state is ChunkState.Free or ChunkState.Unbacked && ++available == 2))
                return true;
        }
        return false;
    }

    // ---- pressure ----------------------------------------------------------------------------------------------------------

    /// <summary>Makes Free of slabs and large chunks that hold nothing. Returns how many.</summary>
    /// <param name="exact">Whether to ask the words which ones: a hint that is too low, as claims that a recount meets under way leave it, hides an empty chunk from the others.</param>
    internal int RetireEmpty(bool exact = false)
    {
        int retired = 0;
        for (long chunk = 0; chunk < _map.ChunkCount; chunk++)
        {
            ChunkWord word = _map.ReadWord(chunk);
            int blocks = ChunkMap.BlockCountOf(word);
            if (word.State is not (ChunkState.Slab or ChunkState.Large) || (exact ? AnyWordSet(chunk, blocks) : Volatile.Read(ref _map.Record(chunk)->FreeHint) < blocks))
                continue;
            var retiring = new ChunkWord(ChunkState.Retiring, word.Class, _participant);
            // PUBLISH retire: full fence before the words are read. OBSERVE in TryTake and TryClaimRun.
            if (!TryChange(chunk, word, retiring))
                continue;
            // CRASH chunk-retiring: recovery puts the chunk back to what it was.
            FailPoint.Pass("chunk-retiring");
            bool empty = !AnyWordSet(chunk, blocks);
            TryChange(chunk, retiring, empty ? new ChunkWord(ChunkState.Free) : word);
            retired += empty ? 1 : 0;
        }
        return retired;
    }

    /// <summary>Reads every word again: frees those of dead owners and corrects the hints.</summary>
    private void RecountAll()
    {
        for (long chunk = 0; chunk < _map.ChunkCount; chunk++)
        {
            ChunkWord word = _map.ReadWord(chunk);
            if (word.State is not (ChunkState.Slab or ChunkState.Large))
                continue;
            int blocks = ChunkMap.BlockCountOf(word), free = 0;
            ulong* words = _map.Word(chunk * ChunkMap.WordsPerChunk);
            int before = Volatile.Read(ref _map.Record(chunk)->FreeHint);
            ulong alive = 0; // Grains of one object follow each other.
            for (int i = 0; i < blocks; i++)
            {
                ulong value = Volatile.Read(ref words[i]);
                if (value != 0 && value == alive)
                    continue;
                if (value == 0 || (_owners.IsDead(value) && Interlocked.CompareExchange(ref words[i], 0, value) == value))
                    free++;
                else
                    alive = value;
            }
            if (free != before)
                Interlocked.CompareExchange(ref _map.Record(chunk)->FreeHint, free, before);
        }
    }

    private bool AnyWordSet(long chunk, int blocks)
    {
        ulong* words = _map.Word(chunk * ChunkMap.WordsPerChunk);
        for (int i = 0; i < blocks; i++)
            if (Volatile.Read(ref words[i]) != 0)
                return true;
        return false;
    }

    // ---- words -------------------------------------------------------------------------------------------------------------

    private bool TryOwn(long chunk, ChunkState from) => TryChange(chunk, new ChunkWord(from), new ChunkWord(ChunkState.Reserving, 0, _participant));

    // PUBLISH chunk: full fence; pages, hint and search bounds of the new use become visible before it does. OBSERVE in TryTake, TryClaimRun and whoever looks for a block.
    private void Disown(long chunk, ChunkWord to) => TryChange(chunk, new ChunkWord(ChunkState.Reserving, 0, _participant), to);

    private bool TryChange(long chunk, ChunkWord from, ChunkWord to) =>
        Interlocked.CompareExchange(ref _map.Record(chunk)->Word, to.Value, from.Value) == from.Value;

    private static void Lower(ref long word, long value)
    {
        for (long old = Volatile.Read(ref word); value < old; old = Volatile.Read(ref word)) // Ends: the word only falls.
            if (Interlocked.CompareExchange(ref word, value, old) == old)
                return;
    }

    private static void Raise(ref long word, long value)
    {
        for (long old = Volatile.Read(ref word); value > old; old = Volatile.Read(ref word)) // Ends: the word only rises.
            if (Interlocked.CompareExchange(ref word, value, old) == old)
                return;
    }

    private static bool Fail(BlockPlace* place, out long dataOffset)
    {
        place->Count = 0;
        dataOffset = 0;
        return false;
    }

    private static long GrainsFor(long bytes) => (bytes + ChunkMap.GrainBytes - 1) / ChunkMap.GrainBytes;

    private static long RoundForAlignment(long bytes, int alignmentBytes) =>
        alignmentBytes <= SizeClasses.QuantumBytes ? bytes : (bytes + alignmentBytes - 1) / alignmentBytes * alignmentBytes;
}
