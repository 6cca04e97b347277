using System.Text;
using FastPlasma.Allocator;
using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Native;
using FastPlasma.Participants;
using FastPlasma.Reclaim;
using FastPlasma.Spill;

namespace FastPlasma.Inspect;

/// <summary>Sums over a walk of records, chunks and grains.</summary>
internal sealed class MemoryTotals
{
    internal long BackedBytes, UsedBytes, ObjectBytes, SlabFreeBytes, LargestFreeRunBytes, CondemnedBytes, EvictableBytes, CreatingBytes, KeepBytes, PinnedBytes;

    /// <summary>Of objects that are on disk only, and of those that are in memory and on disk.</summary>
    internal long SpilledBytes, CleanBytes;
    internal int SealedCount, CreatingCount, CondemnedCount, SpilledCount;
}

/// <summary>Reads a store as a whole, to show it. Everything is read while others work, so sums may be off by what changed meanwhile.</summary>
internal sealed unsafe class StoreInspector(PlasmaStore store)
{
    private readonly StoreMemory _memory = store.Memory;
    private readonly ParticipantTable _participants = store.Participants;
    private readonly ulong _pidNamespace = OsIdentity.PidNamespace;

    /// <summary>One record, read consistently: null when it changed meanwhile or is free.</summary>
    private ObjectEntry? ReadEntry(uint index, out StateWord state)
    {
        ObjectEntry* entry = _memory.Entries + index;
        state = new StateWord(Volatile.Read(ref entry->State));
        if (state.State == ObjectState.Free)
            return null;
        ObjectEntry copy = *entry;
        Volatile.ReadBarrier();
        return Volatile.Read(ref entry->State) == state.Value ? copy : null;
    }

    internal List<ObjectInfo> List()
    {
        Dictionary<ulong, List<PinHolder>> holders = Holders(out Dictionary<ulong, (SlotOwner Owner, long Since)> creators);
        var list = new List<ObjectInfo>();
        for (uint e = 0; e < (uint)_memory.Geometry.ObjectCountMax; e++)
        {
            if (ReadEntry(e, out StateWord state) is not ObjectEntry entry || state.State is ObjectState.Tentative or ObjectState.Aborted)
                continue;
            if (state.IsPresent && store.IsExpired(state, &entry))
                continue; // Gone, though its memory may be there for a second.
            ulong key = BlockOwner.Of(state.Generation, e);
            (string name, string type) = ReadTexts(e, state, entry);
            list.Add(new ObjectInfo
            {
                Id = entry.Id,
                State = state.State,
                Name = name,
                ContentType = type,
                PayloadBytes = entry.PayloadBytes,
                MetadataBytes = entry.UserBytes,
                BlockBytes = state.HasMemory ? store.Allocator.BlockBytesAt(entry.Block) : 0,
                IsOnDisk = state.IsPresent && new SpillPlace(entry.SpillPlace).IsPlace,
                CreatedAt = ToTime(entry.CreatedAt),
                SealedAt = entry.SealedAt == 0 ? null : ToTime(entry.SealedAt),
                Retention = state.IsEvictable ? Retention.Evictable : Retention.Keep,
                ExpiresAt = state.Expires && entry.SealedAt != 0 ? ToTime(entry.ExpiresAt) : null,
                Incarnation = entry.Incarnation,
                IsReplica = state.IsReplica,
                CreatorProcessId = creators.GetValueOrDefault(key).Owner.ProcessId,
                Holders = holders.GetValueOrDefault(key) ?? [],
            });
        }
        return list;
    }

    internal MemoryTotals Totals()
    {
        var totals = new MemoryTotals();
        Dictionary<ulong, List<PinHolder>> holders = Holders(out _);
        for (uint e = 0; e < (uint)_memory.Geometry.ObjectCountMax; e++)
        {
            if (ReadEntry(e, out StateWord state) is not ObjectEntry entry)
                continue;
            long block = state.HasMemory ? store.Allocator.BlockBytesAt(entry.Block) : 0;
            totals.UsedBytes += block;
            totals.ObjectBytes += Math.Min(block, ObjectEntry.BytesNeeded(entry.PayloadBytes, entry.TailBytes));
            bool pinned = holders.ContainsKey(BlockOwner.Of(state.Generation, e));
            if (pinned)
                totals.PinnedBytes += block;
            switch (state.State)
            {
                case ObjectState.Spilled:
                    totals.SealedCount++;
                    totals.SpilledCount++;
                    totals.SpilledBytes += ObjectEntry.BytesNeeded(entry.PayloadBytes, entry.TailBytes);
                    break;
                case ObjectState.Sealed or ObjectState.Unloading or ObjectState.Emptying or ObjectState.Restoring:
                    totals.SealedCount++;
                    if (new SpillPlace(entry.SpillPlace).IsPlace)
                        totals.CleanBytes += block;
                    if (!state.IsEvictable)
                        totals.KeepBytes += block;
                    else if (!pinned)
                        totals.EvictableBytes += block;
                    break;
                case ObjectState.Condemned:
                    totals.CondemnedCount++;
                    totals.CondemnedBytes += block;
                    break;
                default:
                    totals.CreatingCount++;
                    totals.CreatingBytes += block;
                    break;
            }
        }
        AddChunks(totals);
        return totals;
    }

    internal List<ParticipantInfo> Participants()
    {
        var pins = new SlotCounts([]);
        store.Scan.Visit(ref pins);
        var list = new List<ParticipantInfo>();
        int high = _participants.High;
        for (int k = 0; k < high; k++)
        {
            ParticipantBlock* block = _participants.Block(k);
            if (Volatile.Read(ref block->Attached) != 0)
                list.Add(Describe(block, _memory.Domains[_participants.Domain].Uid, k, pins.Of(_participants.Domain, k), _participants.IsAlive(k)));
        }
        if (_participants.Domain != 0)
            return list;
        byte* head = stackalloc byte[128];
        for (int d = 1; d < store.Scan.DomainCount; d++)
        {
            if (store.Scan.ForeignPins(d) is not { } file)
                continue;
            using LifeTokens? tokens = store.Scan.ForeignLock(d) is { } lockFile ? new LifeTokens(lockFile.Reopen(writable: true)) : null;
            for (int k = 0; k < StoreGeometry.ReaderParticipantCountMax; k++)
            {
                var block = (ParticipantBlock*)head;
                if (file.ReadAt(PinsHeader.SizeBytes + (long)k * ParticipantBlock.SizeBytes, new Span<byte>(head, 128)) == 128 && block->Attached != 0)
                    list.Add(Describe(block, _memory.Domains[d].Uid, k, pins.Of(d, k), alive: tokens is null || tokens.IsHeldElsewhere(k)));
            }
        }
        return list;
    }

    /// <summary>Participants of the own domain whose process is gone and whose token is held all the same.</summary>
    internal List<string> KeptTokens()
    {
        var notes = new List<string>();
        uint ownUid = _memory.Domains[_participants.Domain].Uid;
        foreach (ParticipantInfo p in Participants())
        {
            if (!p.TokenKept)
                continue;
            IEnumerable<int> keepers = p.Uid == ownUid ? LifeTokens.KeepersOf(_participants.LockPath, p.Index) : [];
            string who = string.Join(", ", keepers.Select(static id => $"process {id} ({OsIdentity.CommandNameOf(id)})"));
            notes.Add($"Participant {p.Index} of user {p.Uid}: process {p.ProcessId} ({p.ProcessName}), attached since {p.AttachedAt:u}, is gone, but its life token is held: "
                + $"a forked child keeps it{(who.Length == 0 ? "" : $": {who}")}. Its {p.Pins} pins and {p.Creating} unfinished objects are recovered when that ends.");
        }
        return notes;
    }

    /// <summary>Counts of all participants that ever were, of all domains.</summary>
    internal OperationCounts StoreCounts()
    {
        var sum = new OperationCounts();
        int high = _participants.High;
        for (int k = 0; k < high; k++)
            sum = PlasmaStore.Combine(sum, store.CountsOf(_participants.Block(k)), 1);
        if (_participants.Domain != 0)
            return sum;
        Span<ulong> counters = stackalloc ulong[SlotChunk.CounterCount], sums = stackalloc ulong[SlotChunk.CounterCount];
        sums.Clear();
        for (int d = 1; d < store.Scan.DomainCount; d++)
        {
            if (store.Scan.ForeignPins(d) is not { } file)
                continue;
            for (int k = 0; k < StoreGeometry.ReaderParticipantCountMax; k++)
            {
                long at = PinsHeader.SizeBytes + (long)k * ParticipantBlock.SizeBytes;
                ParticipantBlock block = default;
                if (file.ReadAt(at, new Span<byte>(&block, 128)) < 128)
                    break;
                int chunks = Math.Clamp(block.ChunkHigh, 0, ParticipantBlock.ReaderChunkCountMax);
                for (int c = 0; c < chunks; c++)
                {
                    if (file.ReadAt(at + ParticipantBlock.SlotsOffset + (long)c * SlotChunk.SizeBytes, System.Runtime.InteropServices.MemoryMarshal.AsBytes(counters)) < SlotChunk.CountersBytes)
                        break;
                    for (int i = 0; i < sums.Length; i++)
                        sums[i] += counters[i];
                }
            }
        }
        return PlasmaStore.Combine(sum, PlasmaStore.ToCounts(sums, 0), 1);
    }

    internal StoreFullReport FullReport(long requestedBytes)
    {
        MemoryTotals totals = Totals();
        var bytesOf = new Dictionary<ulong, long>();
        for (uint e = 0; e < (uint)_memory.Geometry.ObjectCountMax; e++)
            if (ReadEntry(e, out StateWord state) is ObjectEntry entry && state.HasMemory)
                bytesOf[BlockOwner.Of(state.Generation, e)] = store.Allocator.BlockBytesAt(entry.Block);
        var scan = new HolderScan([], [], _memory);
        store.Scan.Visit(ref scan);
        return new StoreFullReport(
            requestedBytes, _memory.Geometry.CapacityBytes, totals.UsedBytes, totals.PinnedBytes, totals.KeepBytes, totals.CondemnedBytes, totals.CreatingBytes,
            totals.LargestFreeRunBytes, store.Allocator.LastReservationError,
            Sum(scan.Pins.Select(p => (p.Value.Owner, p.Key.Key, p.Value.Pins, p.Value.Since)), bytesOf),
            Sum(scan.Creators.Where(c => bytesOf.ContainsKey(c.Key)).Select(c => (c.Value.Owner, c.Key, 0, c.Value.Since)), bytesOf));
    }

    /// <summary>By attachment: how much it keeps, most first.</summary>
    private List<MemoryHolder> Sum(IEnumerable<(SlotOwner Owner, ulong Key, int Pins, long Since)> found, Dictionary<ulong, long> bytesOf) =>
    [
        .. found.GroupBy(static f => f.Owner)
            .Select(g => new MemoryHolder(
                g.Key.ProcessId, g.Key.CommandName ?? "?", g.Count(), g.Sum(static f => f.Pins), g.Sum(f => bytesOf.GetValueOrDefault(f.Key)), ToTime(g.Min(static f => f.Since)),
                Stopped: !IsOther(g.Key.PidNamespace) && OsIdentity.StateOf(g.Key.ProcessId) is 'T' or 't', IsOther(g.Key.PidNamespace)))
            .OrderByDescending(static h => h.Bytes),
    ];

    private bool IsOther(ulong pidNamespace) => pidNamespace != _pidNamespace;

    private void AddChunks(MemoryTotals totals)
    {
        ChunkMap map = _memory.Chunks;
        long run = 0;
        for (long chunk = 0; chunk < map.ChunkCount; chunk++)
        {
            ChunkWord word = map.ReadWord(chunk);
            if (word.State is not (ChunkState.Unbacked or ChunkState.Reserving))
                totals.BackedBytes += ChunkMap.ChunkBytes;
            int blocks = ChunkMap.BlockCountOf(word);
            ulong* words = map.Word(chunk * ChunkMap.WordsPerChunk);
            int free = 0;
            for (int i = 0; i < blocks; i++)
                free += Volatile.Read(ref words[i]) == 0 ? 1 : 0;
            if (word.State is ChunkState.Unbacked or ChunkState.Free || (word.State == ChunkState.Slab && free == blocks))
            {
                run += ChunkMap.ChunkBytes; // An empty slab is retired when somebody needs the chunk.
            }
            else if (word.State == ChunkState.Large)
            {
                for (int i = 0; i < ChunkMap.GrainsPerChunk; i++)
                {
                    if (Volatile.Read(ref words[i]) == 0)
                        run += ChunkMap.GrainBytes;
                    else
                        (totals.LargestFreeRunBytes, run) = (Math.Max(totals.LargestFreeRunBytes, run), 0);
                }
            }
            else
            {
                (totals.LargestFreeRunBytes, run) = (Math.Max(totals.LargestFreeRunBytes, run), 0);
                if (word.State == ChunkState.Slab)
                    totals.SlabFreeBytes += (long)free * SizeClasses.BytesOf(word.Class);
            }
        }
        totals.LargestFreeRunBytes = Math.Max(totals.LargestFreeRunBytes, run);
    }

    private Dictionary<ulong, List<PinHolder>> Holders(out Dictionary<ulong, (SlotOwner Owner, long Since)> creators)
    {
        var scan = new HolderScan([], [], _memory);
        store.Scan.Visit(ref scan);
        creators = scan.Creators;
        var result = new Dictionary<ulong, List<PinHolder>>();
        foreach (((ulong key, _, _), (SlotOwner owner, int pins, long since)) in scan.Pins)
        {
            if (!result.TryGetValue(key, out List<PinHolder>? list))
                result[key] = list = [];
            list.Add(new PinHolder(owner.ProcessId, owner.CommandName ?? "?", pins, ToTime(since), IsOther(owner.PidNamespace)));
        }
        return result;
    }

    /// <summary>Name and media type lie in the payload file, so they are read only under a pin.</summary>
    private (string Name, string ContentType) ReadTexts(uint index, StateWord state, in ObjectEntry entry)
    {
        if (entry.NameBytes + entry.ContentTypeBytes == 0 || state.State != ObjectState.Sealed)
            return ("", "");
        return store.TryReadTail(index, state.Generation, out string name, out string type) ? (name, type) : ("", "");
    }

    private ParticipantInfo Describe(ParticipantBlock* block, uint uid, int index, (int Pins, int Creating) slots, bool alive) => new(
        uid, index, block->ProcessId, ParticipantTable.CommandNameOf(block), (StoreAccess)block->Access, ToTime(block->AttachedAt), slots.Pins, slots.Creating, alive,
        TokenKept: alive && !IsOther(block->PidNamespace) && OsIdentity.StateOf(block->ProcessId) is null, IsOther(block->PidNamespace));

    internal static DateTimeOffset ToTime(long utcTicks) => new(Math.Clamp(utcTicks, 0, DateTime.MaxValue.Ticks), TimeSpan.Zero);

    private readonly struct SlotCounts(Dictionary<(int Domain, int Index), (int Pins, int Creating)> counts) : ISlotVisitor
    {
        public static bool WantsNames => false;

        public void VisitUnreadable()
        {
            // Not shown: nothing is known of it.
        }

        internal (int Pins, int Creating) Of(int domain, int index) => counts.GetValueOrDefault((domain, index));

        public void Visit(in SlotOwner owner, SlotWord word, long since)
        {
            (int pins, int creating) = counts.GetValueOrDefault((owner.Domain, owner.Index));
            counts[(owner.Domain, owner.Index)] = word.Kind switch
            {
                SlotKind.Pin => (pins + 1, creating),
                SlotKind.Own => (pins, creating + 1),
                _ => (pins, creating),
            };
        }
    }

    private readonly struct HolderScan(
        Dictionary<(ulong Key, int Domain, int Index), (SlotOwner Owner, int Pins, long Since)> pins, Dictionary<ulong, (SlotOwner Owner, long Since)> creators, StoreMemory memory) : ISlotVisitor
    {
        public static bool WantsNames => true;

        public void VisitUnreadable()
        {
            // Not shown: nothing is known of it.
        }

        internal Dictionary<(ulong Key, int Domain, int Index), (SlotOwner Owner, int Pins, long Since)> Pins => pins;

        internal Dictionary<ulong, (SlotOwner Owner, long Since)> Creators => creators;

        public void Visit(in SlotOwner owner, SlotWord word, long since)
        {
            if (!Evictor.IsPresent(memory, word))
                return; // A foreign participant may announce anything, and much of it.
            ulong key = BlockOwner.Of(word.Generation, word.Entry);
            if (word.Kind == SlotKind.Own)
                creators[key] = (owner, since);
            if (word.Kind != SlotKind.Pin)
                return;
            (SlotOwner _, int count, long oldest) = pins.GetValueOrDefault((key, owner.Domain, owner.Index), (owner, 0, long.MaxValue));
            pins[(key, owner.Domain, owner.Index)] = (owner, count + 1, Math.Min(oldest, since));
        }
    }
}
