using System.Runtime.InteropServices;
using FastPlasma.Allocator;
using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Native;
using FastPlasma.Participants;

namespace FastPlasma.Reclaim;

/// <summary>Chooses victims among evictable objects that nobody reads, those used longest ago first.</summary>
/// <remarks>Last use is the later of the seal and of what the participants' hint tables say; hints are lossy, so the order is approximate. Gets write hints in their own block only.</remarks>
internal sealed unsafe class Evictor
{
    /// <summary>Candidates looked at per round, as a multiple of the bytes wanted: more makes the order better and the round longer.</summary>
    private const int Oversampling = 4;

    /// <summary>Small blocks are made free this much at a time.</summary>
    private const long SlabBatchBytes = 64 << 10;

    private readonly StoreMemory _memory;
    private readonly ParticipantTable _participants;
    private readonly SlotScan _scan;

    internal Evictor(StoreMemory memory, ParticipantTable participants, SlotScan scan) => (_memory, _participants, _scan) = (memory, participants, scan);

    /// <summary>One object that may go, and the memory that its block takes.</summary>
    internal readonly record struct Victim(uint Entry, uint Generation, long Bytes, long LastUse);

    /// <summary>Where a get of an evictable object leaves its hint. Lossy: another entry may overwrite it.</summary>
    internal static void Hint(ulong* hints, uint entry)
    {
        ulong* place = hints + entry % ParticipantBlock.HintCount;
        ulong value = ((ulong)CoarseClock.Tick << 32) | entry;
        if (*place != value) // Readers of one hot object write nothing in most gets.
            Volatile.Write(ref *place, value);
    }

    /// <summary>What a choice of victims is for.</summary>
    internal enum Aim
    {
        /// <summary>So many bytes, wherever they lie; less is fine.</summary>
        Bytes,

        /// <summary>One object record.</summary>
        Record,
    }

    /// <summary>Victims worth <paramref name="bytes"/>, oldest use first; as many as there are when all together are less.</summary>
    /// <param name="bytes">How much is wanted.</param>
    /// <param name="aim">Of what.</param>
    /// <param name="flags">Flags of the state word, one of which a victim has: what may go, or what may be moved to disk.</param>
    /// <param name="dirtyOnly">Only objects that have no copy on disk.</param>
    internal List<Victim> Choose(long bytes, Aim aim, ulong flags = StateWord.EvictableFlag, bool dirtyOnly = false)
    {
        // Objects without memory are left alone unless a record is wanted.
        List<Victim> candidates = Sample((v, entry) => (aim == Aim.Record || v.Bytes > 0) && !(dirtyOnly && entry.SpillPlace != 0), aim == Aim.Record ? 1 : bytes, flags);
        TakeOldest(candidates, aim == Aim.Record ? 1 : bytes);
        return candidates;
    }

    /// <summary>Victims among one attachment's objects worth <paramref name="bytes"/>, oldest use first; none when all of them together are less.</summary>
    internal List<Victim> ChooseOf(uint account, long bytes)
    {
        List<Victim> own = Sample((v, entry) => entry.QuotaAccount == account && v.Bytes > 0, bytes);
        if (own.Sum(static v => v.Bytes) < bytes)
            return [];
        TakeOldest(own, bytes);
        return own;
    }

    /// <summary>Victims after which a block of <paramref name="blockBytes"/> can be had, or none when evicting cannot help.</summary>
    internal List<Victim> ChooseForBlock(long blockBytes, bool inSlab, BlockAllocator allocator, ulong flags = StateWord.EvictableFlag)
    {
        if (inSlab)
        {
            // Any block at least as large will do; some more of the oldest, so that the next puts find room too.
            List<Victim> sameSize = Sample((v, entry) => !entry.Block.IsLarge && v.Bytes >= blockBytes, Math.Max(blockBytes, SlabBatchBytes), flags);
            if (sameSize.Count > 0)
            {
                TakeOldest(sameSize, Math.Max(blockBytes, SlabBatchBytes));
                return sameSize;
            }
        }
        List<Victim> all = Sample(static (v, _) => v.Bytes > 0, long.MaxValue, flags);
        return new EvictionWindow(_memory.Chunks, all).Find(blockBytes, wholeChunk: inSlab, countUnbacked: allocator.LastReservationError is null);
    }

    /// <summary>Objects with one of <paramref name="flags"/> (evictable, movable) that nobody pins, from the hand on, until they are worth <see cref="Oversampling"/> times <paramref name="bytes"/>.</summary>
    private List<Victim> Sample(Func<Victim, ObjectEntry, bool> fits, long bytes, ulong flags = StateWord.EvictableFlag)
    {
        var candidates = new List<Victim>();
        if (flags == StateWord.EvictableFlag && Volatile.Read(ref _memory.Header->EvictableUsed) == 0)
            return candidates; // Set before the first such object, so there is none; a full store of objects to keep says so at once.
        const long ticksPerTick = CoarseClock.PeriodMs * TimeSpan.TicksPerMillisecond;
        long now = CoarseClock.UtcTicks / ticksPerTick;
        Dictionary<uint, uint> hints = ReadHints();
        uint count = (uint)_memory.Geometry.ObjectCountMax;
        uint start = (uint)((ulong)Volatile.Read(ref _memory.Header->EvictHand) % count);
        uint step = 0;
        long found = 0;
        for (long wanted = bytes; step < count && found / Oversampling < bytes; wanted = Math.Max(wanted, wanted * 2)) // Ends with the entries; each round looks at all slots once and goes further than the last.
        {
            int known = candidates.Count;
            for (long round = 0; step < count && (found + round) / Oversampling < wanted; step++)
            {
                uint e = (start + step) % count;
                ObjectEntry* at = _memory.Entries + e;
                var state = new StateWord(Volatile.Read(ref at->State));
                if (state.State != ObjectState.Sealed || (state.Value & flags) == 0)
                    continue;
                ObjectEntry entry = *at; // Torn when it changes meanwhile; the condemn checks the generation, so that only makes the choice worse.
                long lastUse = entry.SealedAt;
                if (hints.TryGetValue(e, out uint tick)) // A hint has the low half of the tick, its age says the rest; above every seal of the same period, and never in the future.
                    lastUse = Math.Max(lastUse, (now - Math.Max(0, (int)((uint)now - tick)) + 2) * ticksPerTick);
                var victim = new Victim(e, state.Generation, BlockAllocator.BlockBytesAt(_memory.Chunks, entry.Block), lastUse);
                if (!fits(victim, entry))
                    continue;
                candidates.Add(victim);
                round += Math.Max(victim.Bytes, 1);
            }
            RemoveRead(candidates, known);
            foreach (Victim victim in CollectionsMarshal.AsSpan(candidates)[known..])
                found += Math.Max(victim.Bytes, 1);
        }
        Interlocked.Add(ref _memory.Header->EvictHand, step);
        return candidates;
    }

    /// <summary>Takes those from <paramref name="start"/> on out of a list that anybody pins, or all of them when that cannot be known.</summary>
    private void RemoveRead(List<Victim> candidates, int start)
    {
        ulong[] owners = [.. candidates.Skip(start).Select(static v => BlockOwner.Of(v.Generation, v.Entry))];
        if (owners.Length == 0)
            return;
        var unread = new UnreadOwners(owners, new ulong[UnreadOwners.TableLength(owners.Length)]);
        _scan.Visit(ref unread);
        int kept = start;
        for (int i = 0; i < owners.Length; i++)
            if (unread.Contains(owners[i]))
                candidates[kept++] = candidates[start + i];
        candidates.RemoveRange(kept, candidates.Count - kept);
    }

    private static void TakeOldest(List<Victim> candidates, long bytes)
    {
        candidates.Sort(static (a, b) => a.LastUse.CompareTo(b.LastUse));
        long chosen = 0;
        int take = 0;
        while (take < candidates.Count && chosen < bytes)
            chosen += Math.Max(candidates[take++].Bytes, 1);
        candidates.RemoveRange(take, candidates.Count - take);
    }

    private Dictionary<uint, uint> ReadHints()
    {
        var hints = new Dictionary<uint, uint>();
        int high = _participants.High;
        for (int k = 0; k < high; k++)
            if (Volatile.Read(ref _participants.Block(k)->Attached) != 0)
                Merge(hints, new ReadOnlySpan<ulong>(ParticipantTable.Hints(_participants.Block(k)), ParticipantBlock.HintCount));
        Span<ulong> foreign = stackalloc ulong[ParticipantBlock.HintCount];
        for (int d = 1; d < _scan.DomainCount; d++)
        {
            if (_scan.ForeignPins(d) is not { } pins)
                continue;
            for (int k = 0; k < StoreGeometry.ReaderParticipantCountMax; k++)
            {
                long at = PinsHeader.SizeBytes + (long)k * ParticipantBlock.SizeBytes + ParticipantBlock.HintsOffset;
                if (pins.ReadAt(at, MemoryMarshal.AsBytes(foreign)) == ParticipantBlock.HintCount * sizeof(ulong))
                    Merge(hints, foreign);
            }
        }
        return hints;
    }

    private static void Merge(Dictionary<uint, uint> hints, ReadOnlySpan<ulong> table)
    {
        foreach (ulong hint in table)
        {
            uint entry = (uint)hint, tick = (uint)(hint >> 32);
            if (hint != 0 && (!hints.TryGetValue(entry, out uint known) || known < tick))
                hints[entry] = tick;
        }
    }

    /// <summary>Whether an announcement names an entry in its present generation.</summary>
    internal static bool IsPresent(StoreMemory memory, SlotWord word) =>
        word.Entry < (uint)memory.Geometry.ObjectCountMax && new StateWord(Volatile.Read(ref memory.Entries[word.Entry].State)).Generation == word.Generation;
}
