using System.Runtime.InteropServices;
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

    private readonly StoreMemory _memory;
    private readonly ParticipantTable _participants;
    private readonly SlotScan _scan;

    internal Evictor(StoreMemory memory, ParticipantTable participants, SlotScan scan) => (_memory, _participants, _scan) = (memory, participants, scan);

    /// <summary>One object that may go.</summary>
    internal readonly record struct Victim(uint Entry, uint Generation, long Bytes, long LastUse);

    /// <summary>Where a get of an evictable object leaves its hint. Lossy: another entry may overwrite it.</summary>
    internal static void Hint(ulong* hints, uint entry)
    {
        ulong* place = hints + entry % ParticipantBlock.HintCount;
        ulong value = ((ulong)CoarseClock.Tick << 32) | entry;
        if (*place != value) // Readers of one hot object write nothing in most gets.
            Volatile.Write(ref *place, value);
    }

    /// <summary>Victims worth at least <paramref name="bytes"/>, oldest use first; none when all evictable objects together are less, unless <paramref name="allowLess"/>.</summary>
    /// <param name="bytes">Memory wanted.</param>
    /// <param name="allowLess">Whether a part of it helps.</param>
    /// <param name="forRecord">Whether a record is wanted, so that objects without memory count as one byte; otherwise they are left alone.</param>
    internal List<Victim> Choose(long bytes, bool allowLess, bool forRecord = false)
    {
        const long ticksPerTick = CoarseClock.PeriodMs * TimeSpan.TicksPerMillisecond;
        long now = CoarseClock.UtcTicks / ticksPerTick;
        Dictionary<uint, uint> hints = ReadHints();
        HashSet<ulong> pinned = ReadPinned();
        var candidates = new List<Victim>();
        long found = 0;
        uint count = (uint)_memory.Geometry.ObjectCountMax;
        uint start = (uint)(Volatile.Read(ref _memory.Header->EvictHand) % count);
        uint step = 0;
        for (; step < count && found / Oversampling < bytes; step++)
        {
            uint e = start + step < count ? start + step : start + step - count;
            ObjectEntry* entry = _memory.Entries + e;
            var state = new StateWord(Volatile.Read(ref entry->State));
            if (state.State != ObjectState.Sealed || !state.IsEvictable || pinned.Contains(BlockOwner.Of(state.Generation, e)))
                continue;
            long size = ObjectEntry.BytesNeeded(entry->PayloadBytes, entry->TailBytes); // A stale size of a vanished object only makes the estimate worse.
            if (size <= 0 && !forRecord)
                continue;
            long lastUse = entry->SealedAt;
            if (hints.TryGetValue(e, out uint tick))
                lastUse = Math.Max(lastUse, (now - (int)((uint)now - tick) + 2) * ticksPerTick); // A hint has the low half of the tick, its age says the rest; above every seal of the same period.
            candidates.Add(new Victim(e, state.Generation, Math.Max(size, 1), lastUse));
            found += Math.Max(size, 1);
        }
        if (found < bytes && !allowLess)
            return [];
        Interlocked.Add(ref _memory.Header->EvictHand, step);
        candidates.Sort(static (a, b) => a.LastUse.CompareTo(b.LastUse));
        long chosen = 0;
        int take = 0;
        while (take < candidates.Count && chosen < bytes)
            chosen += candidates[take++].Bytes;
        candidates.RemoveRange(take, candidates.Count - take);
        return candidates;
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
            SharedFile pins = _scan.ForeignPins(d);
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

    private HashSet<ulong> ReadPinned()
    {
        var scan = new PinnedScan([]);
        _scan.Visit(ref scan);
        return scan.Pinned;
    }

    private readonly struct PinnedScan(HashSet<ulong> pinned) : ISlotVisitor
    {
        internal readonly HashSet<ulong> Pinned = pinned;

        public static bool WantsNames => false;

        public void Visit(in SlotOwner owner, SlotWord word, long since)
        {
            if (word.Kind == SlotKind.Pin)
                Pinned.Add(BlockOwner.Of(word.Generation, word.Entry));
        }
    }
}
