using System.Text;
using FastPlasma.Allocator;
using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Index;
using FastPlasma.Native;
using FastPlasma.Participants;
using FastPlasma.Reclaim;
using FastPlasma.Waiting;

namespace FastPlasma;

/// <content>How an object comes to be: its record, its memory, its place in the index, and the way back when one of them cannot be had.</content>
public sealed unsafe partial class PlasmaStore
{
    // Another thread may be recovering the dead one (another process that does so makes it look alive): looked at again so often before the id counts as taken.
    private const int RecoveryRounds = 100;

    private PlasmaStatus TryCreateCore(ThreadSlots thread, in ObjectId id, long payloadBytes, in ObjectOptions options, out ObjectWriter writer)
    {
        RequireWriter();
        _memory.ThrowIfFaulted();
        ArgumentOutOfRangeException.ThrowIfNegative(payloadBytes);
        int nameBytes = CheckText(options.Name, NameBytesMax, "Name"), typeBytes = CheckText(options.ContentType, ContentTypeBytesMax, "ContentType");
        if (options.Metadata.Length > MetadataBytesMax)
            throw new ArgumentException($"Metadata is {options.Metadata.Length} bytes long, at most {MetadataBytesMax} are allowed.", nameof(options));
        if (options.AlignmentBytes is not (0 or SizeClasses.QuantumBytes or ChunkMap.PageBytes or (int)ChunkMap.ChunkBytes))
            throw new ArgumentException($"AlignmentBytes is {options.AlignmentBytes}; it can be 64, 4096 or 2097152.", nameof(options));
        TimeSpan timeout = options.Timeout ?? _options.FullTimeout;
        if (timeout < TimeSpan.Zero && timeout != Timeout.InfiniteTimeSpan)
            throw new ArgumentException($"Timeout is {timeout}; it can be zero, positive or infinite.", nameof(options));
        int alignment = options.AlignmentBytes == 0 ? SizeClasses.QuantumBytes : options.AlignmentBytes;
        writer = default;
        if (payloadBytes > _capacity)
            return PlasmaStatus.TooLarge;
        long needed = ObjectEntry.BytesNeeded(payloadBytes, (long)nameBytes + typeBytes + options.Metadata.Length);
        if (needed > 0 && BlockAllocator.BlockBytesFor(needed, alignment) > Math.Min(_capacity, _options.QuotaBytes ?? long.MaxValue))
            return PlasmaStatus.TooLarge;

        ulong hash = _index.HashOf(id);
        bool waits = timeout != TimeSpan.Zero;
        Deadline deadline = waits ? new Deadline(timeout) : default;
        PlasmaStatus status = TryMake(thread, id, hash, payloadBytes, needed, alignment, nameBytes, typeBytes, options, waits || !_hasSpill ? timeout : PatienceFor(needed), out writer);
        if (status is not (PlasmaStatus.StoreFull or PlasmaStatus.TooManyObjects) || !waits)
            return status;
        var wait = new SpaceWait(this, needed, deadline);
        try
        {
            do // Ends with memory, with the id appearing, or with the deadline.
            {
                wait.Announce(options.CancellationToken);
                status = TryMake(thread, id, hash, payloadBytes, needed, alignment, nameBytes, typeBytes, options, deadline.Left, out writer);
            }
            while (status is PlasmaStatus.StoreFull or PlasmaStatus.TooManyObjects && wait.Sleep(options.CancellationToken));
            return status;
        }
        finally
        {
            wait.Dispose();
        }
    }

    /// <summary>One create that waits for space: its place in the queue, and its sleep.</summary>
    private ref struct SpaceWait
    {
        private readonly PlasmaStore _store;
        private readonly Deadline _deadline;
        private readonly int _place;
        private readonly ulong _ticket;
        private uint _sequence;
        private bool _hasSlept;

        internal SpaceWait(PlasmaStore store, long bytes, Deadline deadline)
        {
            (_store, _deadline) = (store, deadline);
            _place = store._spaceQueue.Enter(bytes, out _ticket);
        }

        /// <summary>Before each try. After a sleep, whoever has waited for longer goes first, for a millisecond.</summary>
        internal void Announce(CancellationToken cancellationToken)
        {
            ulong* word = _store._reclaimer.SpaceWord;
            if (_hasSlept && _store._spaceQueue.IsBehindAnother(_place, _ticket))
                WaitWords.Sleep(word, _store._waits.Announce(word), _deadline.SliceMs(SpaceQueue.PassMs), cancellationToken);
            _sequence = _store._waits.Announce(word);
        }

        /// <summary>After a try in vain: false when the time is over.</summary>
        internal bool Sleep(CancellationToken cancellationToken)
        {
            if (_deadline.HasPassed)
                return false;
            cancellationToken.ThrowIfCancellationRequested();
            _store.ThrowIfClosing();
            WaitWords.Sleep(_store._reclaimer.SpaceWord, _sequence, _deadline.SliceMs(WaitWords.SliceMs), cancellationToken);
            _hasSlept = true;
            return true;
        }

        /// <summary>Leaves the queue, and has the next one look: what was offered may be enough for it too.</summary>
        internal readonly void Dispose()
        {
            _store._spaceQueue.Leave(_place, _ticket);
            _store._waits.Wake(_store._reclaimer.SpaceWord);
        }
    }

    private PlasmaStatus TryMake(
        ThreadSlots thread, in ObjectId id, ulong hash, long payloadBytes, long needed, int alignment, int nameBytes, int typeBytes, in ObjectOptions options, TimeSpan left, out ObjectWriter writer)
    {
        writer = default;
        long lifeTicks = LifeTicksOf(options.TimeToLive);
        int recoveries = 0;
        while (true) // Ends: each repetition means that a rival for the same id made progress, or that a dead creator was recovered, of whom there are at most so many.
        {
            if (_index.TryFindCommitted(id, hash, out StateWord existing, out uint existingEntry) && existing.IsCommitted)
            {
                if (existing.IsPresent && IsExpired(existing, _memory.Entry(existingEntry)))
                {
                    if (!Expire(thread, existingEntry, existing.Generation))
                        return PlasmaStatus.TooManyPins;
                }
                else if (!IsLeftByDead(existing, ref recoveries))
                {
                    return PlasmaStatus.Exists;
                }
            }
            // Not held until the creation is handed out: while entries are tried the slot also names some that others got, and an abort by id must not end it for theirs.
            if (!_slots.TryReserve(thread, out int slot, out long sequence))
                return PlasmaStatus.TooManyPins;
            PinSlot* announcement = _slots.Slot(slot);
            uint entryIndex = 0, generation = 0;
            bool taken = false, committed = false;
            try
            {
                taken = TryTakeEntry(thread, announcement, out entryIndex, out generation, options, expires: lifeTicks != 0);
                if (!taken)
                    return PlasmaStatus.TooManyObjects;
                ObjectEntry* entry = _memory.Entries + entryIndex;
                entry->Id = id;
                entry->PayloadBytes = payloadBytes;
                entry->UserBytes = options.Metadata.Length;
                entry->NameBytes = (ushort)nameBytes;
                entry->ContentTypeBytes = (ushort)typeBytes;
                entry->CreatedAt = CoarseClock.UtcTicks;
                entry->SealedAt = 0;
                entry->ExpiresAt = lifeTicks; // Until the seal.
                entry->Checksum = 0;
                entry->Incarnation = IncarnationOf(generation, entryIndex);
                entry->QuotaAccount = _account;
                entry->AlignmentBytes = alignment;
                entry->SpillPlace = 0;
                long offset = 0;
                if (needed > 0)
                {
                    if (_options.QuotaBytes is long quota && !TryFitQuota(thread, BlockAllocator.BlockBytesFor(needed, alignment), quota))
                        return PlasmaStatus.StoreFull;
                    if (!TryAllocate(thread, needed, alignment, BlockOwner.Of(generation, entryIndex), entry, left, out offset, options.CancellationToken))
                        return PlasmaStatus.StoreFull;
                }
                entry->DataOffset = offset;

                // From here on by the numbers that were written, not by what the entry says: it is shared.
                byte* payload = _memory.WritablePayload + offset;
                long tailBytes = (long)nameBytes + typeBytes + options.Metadata.Length;
                if (tailBytes > 0)
                    WriteTail(payload + ObjectEntry.TailOffset(payloadBytes), nameBytes, typeBytes, options);
                switch (_index.Insert(id, hash, new IndexWord(hash, generation, entryIndex), out StateWord rival))
                {
                    case InsertResult.Committed:
                        committed = true;
                        writer = new ObjectWriter(this, entry, payload, payloadBytes, tailBytes, slot, sequence);
                        return PlasmaStatus.Ok;
                    case InsertResult.Exists when !(rival is { IsPresent: true, Expires: true }) && !IsLeftByDead(rival, ref recoveries): // An expired one is looked at again above.
                        return PlasmaStatus.Exists;
                    case InsertResult.Full:
                        return PlasmaStatus.TooManyObjects;
                }
            }
            finally
            {
                if (!committed)
                {
                    if (taken)
                        EndCreation(thread, entryIndex, generation);
                    Volatile.Write(ref announcement->Word, 0);
                    _slots.EndRelease(slot, sequence);
                }
            }
        }
    }

    /// <summary>Whether a Creating entry belonged to a dead participant that is recovered now, so that the id is free. Not more often than there can be participants.</summary>
    private bool IsLeftByDead(StateWord state, ref int recoveries)
    {
        if (state.State != ObjectState.Creating || _participants.IsAlive(state.Participant))
            return false;
        return _recovery.TryRecover(state.Participant) || ++recoveries <= RecoveryRounds;
    }

    private bool TryTakeEntry(ThreadSlots thread, PinSlot* announcement, out uint entryIndex, out uint generation, in ObjectOptions options, bool expires)
    {
        Retention retention = options.Retention ?? (Retention)_memory.Header->DefaultRetention;
        ulong flags = (retention == Retention.Evictable ? StateWord.EvictableFlag : _hasSpill ? StateWord.MovableFlag : 0) | (options.Checksum ? StateWord.ChecksumFlag : 0) | (expires ? StateWord.ExpiresFlag : 0);
        // PUBLISH candidates: before the first such entry is taken. OBSERVE in Evictor.
        if ((flags & StateWord.CandidateMask) != 0 && Volatile.Read(ref _memory.Header->EvictableUsed) == 0)
            Interlocked.Exchange(ref _memory.Header->EvictableUsed, 1);
        announcement->Since = CoarseClock.UtcTicks;
        // Once anything was evicted, candidates get their records in the order of all threads: it is the order in which searches for victims pass them.
        bool ordered = (flags & StateWord.CandidateMask) != 0 && Volatile.Read(ref _memory.Header->EntryCursor) != 0;
        while (!ordered && thread.FreeEntryCount > 0) // Ends with the cache.
        {
            entryIndex = thread.FreeEntries[--thread.FreeEntryCount];
            if (TryOwnEntry(announcement, entryIndex, flags, out generation))
                return true;
        }
        if (TryFindEntry(thread, announcement, flags, ordered, thread.RecordsAreShort ? RecordsLookedAt : uint.MaxValue, out entryIndex, out generation))
            return true;
        thread.RecordsAreShort = true;
        RecoverIfDue();
        if (_reclaimer.FinishAll(thread.Blocks) + ExpireDue(thread) > 0 && TryFindEntry(thread, announcement, flags, ordered, uint.MaxValue, out entryIndex, out generation))
            return true;
        for (int lost = 0; lost < LostEvictionsMax; lost++)
        {
            List<Evictor.Victim> victims = _evictor.ChooseRecord();
            if (victims.Count == 0)
                break;
            AddVictimsAhead(victims);
            Condemn(thread, victims, PlasmaEventKind.Evicted, out _);
            foreach (Evictor.Victim victim in victims)
            {
                entryIndex = victim.Entry;
                if (TryOwnEntry(announcement, entryIndex, flags, out generation))
                    return true; // Else somebody was faster, or reads it; there may be others.
            }
        }
        if (!IsRefusedCheaply)
        {
            _recovery.RecoverAll();
            _reclaimer.FinishAll(thread.Blocks);
            if (TryFindEntry(thread, announcement, flags, ordered: false, uint.MaxValue, out entryIndex, out generation))
            {
                thread.RecordsAreShort = false;
                return true;
            }
            CountRefusal();
        }
        entryIndex = generation = 0;
        return false;
    }

    /// <summary>Records that are looked at before one is evicted, while they are short.</summary>
    private const uint RecordsLookedAt = 64;

    /// <summary>Records that a thread takes from the common order at a time: the header's word is written once for so many.</summary>
    private const int RecordStretch = 16;

    /// <summary>Takes a free entry from the thread's cursor on, or from the cursor of all threads.</summary>
    private bool TryFindEntry(ThreadSlots thread, PinSlot* announcement, ulong flags, bool ordered, uint stepsMax, out uint entryIndex, out uint generation)
    {
        uint count = (uint)ObjectCountMax;
        for (uint step = 0; step < count && step < stepsMax; step++)
        {
            entryIndex = ordered ? NextInOrder(thread, count) : thread.EntryCursor;
            if (!ordered)
                thread.EntryCursor = entryIndex + 1 == count ? 0 : entryIndex + 1;
            if (TryOwnEntry(announcement, entryIndex, flags, out generation))
                return true;
        }
        entryIndex = generation = 0;
        return false;
    }

    /// <summary>The next record in the order of all threads. A thread that comes back after long drops what is left of its stretch: it would place its objects among the oldest.</summary>
    private uint NextInOrder(ThreadSlots thread, uint count)
    {
        const int staleShare = 8;
        if (thread.CandidateCursor == thread.CandidateEnd || Volatile.Read(ref _memory.Header->EntryCursor) - thread.CandidateEnd > count / staleShare)
        {
            thread.CandidateEnd = Interlocked.Add(ref _memory.Header->EntryCursor, RecordStretch);
            thread.CandidateCursor = thread.CandidateEnd - RecordStretch;
        }
        return (uint)((ulong)thread.CandidateCursor++ % count);
    }

    private bool TryOwnEntry(PinSlot* announcement, uint entryIndex, ulong flags, out uint generation)
    {
        ObjectEntry* entry = _memory.Entries + entryIndex;
        var state = new StateWord(Volatile.Read(ref entry->State));
        generation = state.Generation + 1;
        if (state.State != ObjectState.Free || state.Generation == uint.MaxValue) // A used-up entry rests for ever, so no generation comes twice.
            return false;

        // PUBLISH announcement: before it is taken, by the fence of the exchange below; recovery finds every entry of ours through our slots.
        Volatile.Write(ref announcement->Word, new SlotWord(SlotKind.Own, generation, entryIndex).Value);
        // CRASH entry-announced: the slot names an entry that is not ours; recovery ignores it.
        FailPoint.Pass("entry-announced");
        // PUBLISH take: full fence. OBSERVE free entry: index word and block words of the last generation are gone.
        if (Interlocked.CompareExchange(ref entry->State, new StateWord(generation, _participants.Index, ObjectState.Tentative, flags).Value, state.Value) != state.Value)
            return false;
        // CRASH entry-taken: the place may be the last owner's; its words do not name us.
        FailPoint.Pass("entry-taken");
        entry->Block.Count = 0;
        return true;
    }

    /// <summary>How often all victims may turn out to be gone or pinned before a create gives up; each time somebody else has got on.</summary>
    private const int LostEvictionsMax = 64;

    /// <summary>Takes a block, making room for it if need be. What has to go to disk first is waited for as long as there is time <paramref name="left"/>.</summary>
    private bool TryAllocate(ThreadSlots thread, long needed, int alignment, ulong owner, ObjectEntry* entry, TimeSpan left, out long offset, CancellationToken cancellationToken)
    {
        BlockPlace* place = &entry->Block;
        if (_allocator.TryAllocate(thread.Blocks, needed, alignment, owner, place, Effort.Normal, out offset))
            return true;
        Maintainer.Nudge(this);
        if (_allocator.TryAllocate(thread.Blocks, needed, alignment, owner, place, Effort.Pressure, out offset))
            return true;
        bool more = RecoverIfDue();
        more |= _reclaimer.FinishAll(thread.Blocks) + ExpireDue(thread) > 0;
        if (more && _allocator.TryAllocate(thread.Blocks, needed, alignment, owner, place, Effort.Pressure, out offset))
            return true;

        // Evict only what makes room for this block, and nothing when that cannot be.
        long wanted = BlockAllocator.BlockBytesFor(needed, alignment);
        bool inSlab = BlockAllocator.FitsSlab(needed, alignment);
        int thorough = -1; // Not known yet, 0, 1: a look at the whole store is the last effort, and has its limit.
        for (int lost = 0; lost < LostEvictionsMax;) // Ends: each round condemns something, or loses its victims to others, or there is nothing left that helps.
        {
            List<Evictor.Victim> victims = _evictor.ChooseForBlock(wanted, inSlab, _allocator.LastReservationError is null, Evictor.Evictable, everywhere: thorough == 1);
            if (victims.Count == 0 && thorough < 0)
            {
                if (inSlab && _allocator.TryAllocate(thread.Blocks, needed, alignment, owner, place, Effort.Scatter, out offset))
                    return true;
                thorough = IsRefusedCheaply ? 0 : 1;
                if (thorough == 0)
                    break;
                if (_recovery.RecoverAll() > 0 | _reclaimer.FinishAll(thread.Blocks) > 0 && _allocator.TryAllocate(thread.Blocks, needed, alignment, owner, place, Effort.Pressure, out offset))
                    return true;
                if (Volatile.Read(ref _memory.Header->EvictableUsed) != 0)
                    _evictor.Map.Rebuild();
                continue;
            }
            if (victims.Count == 0)
                break;
            AddVictimsAhead(victims);
            Condemn(thread, victims, PlasmaEventKind.Evicted, out int condemned);
            if (condemned == 0)
                lost++; // Others evict too, or pinned them meanwhile; what they freed may do.
            if (_allocator.TryAllocate(thread.Blocks, needed, alignment, owner, place, Effort.Pressure, out offset))
                return true;
        }
        if (TrySpillFor(thread, needed, alignment, owner, entry, new Deadline(left), out offset, cancellationToken))
            return true;
        if (thorough != 0 && _allocator.TryAllocate(thread.Blocks, needed, alignment, owner, place, Effort.Exact, out offset))
            return true;
        if (thorough != 0)
            CountRefusal();
        place->Count = 0;
        offset = 0;
        return false;
    }

    /// <summary>Looks at the whole store, word by word, that may end in vain in a tenth of a second in one process. After that the hints alone decide until the next tenth: a store that is full for good would be busy with saying so.</summary>
    private const int ThoroughRefusalsMax = 4;

    private uint _refusalTick;
    private int _refusals;
    private uint _recoverTick;

    private bool IsRefusedCheaply => Volatile.Read(ref _refusalTick) == CoarseClock.Tick && Volatile.Read(ref _refusals) >= ThoroughRefusalsMax;

    private void CountRefusal()
    {
        uint tick = CoarseClock.Tick;
        if (Volatile.Read(ref _refusalTick) != tick)
        {
            // Threads that come at once may count some less between them.
            Volatile.Write(ref _refusals, 0);
            Volatile.Write(ref _refusalTick, tick);
        }
        Interlocked.Increment(ref _refusals);
    }

    /// <summary>Recovers dead participants, ten times a second at most: it asks the system for each. True when there was one.</summary>
    private bool RecoverIfDue()
    {
        uint tick = CoarseClock.Tick;
        if (Volatile.Read(ref _recoverTick) == tick)
            return false;
        Volatile.Write(ref _recoverTick, tick);
        return _recovery.RecoverAll() > 0;
    }

    /// <summary>When readers of other users make a look at all pins dear, one eviction makes room for many creates: so much of the store, those used longest ago.</summary>
    private void AddVictimsAhead(List<Evictor.Victim> victims)
    {
        if (_scan.IsCostly)
            victims.AddRange(_evictor.Choose(_capacity / AheadShare, Evictor.Evictable)); // One that is in it already is condemned once.
    }

    private const int AheadShare = 16;

    /// <summary>Own Tentative or Creating → Aborted → word and block gone → Free.</summary>
    private void EndCreation(ThreadSlots? thread, uint entryIndex, uint generation)
    {
        ObjectEntry* entry = _memory.Entry(entryIndex);
        for (StateWord state = Read(entry); state.Generation == generation && state.State is ObjectState.Tentative or ObjectState.Creating; state = Read(entry))
            Interlocked.CompareExchange(ref entry->State, state.With(ObjectState.Aborted).Value, state.Value); // Ends: only towards Aborted; a rival may do it at the same time.

        static StateWord Read(ObjectEntry* entry) => new(Volatile.Read(ref entry->State));

        // CRASH creation-aborted: recovery goes on from Aborted.
        FailPoint.Pass("creation-aborted");
        if (_reclaimer.Free(thread?.Blocks, entryIndex, generation) > 0) // Not for a record alone: a creator that gives up for want of memory would wake itself, again and again.
            _waits.Wake(_reclaimer.SpaceWord);
        if (thread is not null)
            CacheFreeEntry(thread, entryIndex);
    }

    private static void CacheFreeEntry(ThreadSlots thread, uint entryIndex)
    {
        if (thread.FreeEntryCount < ThreadSlots.EntryCacheMax)
            thread.FreeEntries[thread.FreeEntryCount++] = entryIndex;
    }

    private static void WriteTail(byte* tail, int nameBytes, int typeBytes, in ObjectOptions options)
    {
        // SAFETY: the block was allocated for the payload and these three parts.
        Encoding.UTF8.GetBytes(options.Name, new Span<byte>(tail, nameBytes));
        Encoding.UTF8.GetBytes(options.ContentType, new Span<byte>(tail + nameBytes, typeBytes));
        options.Metadata.CopyTo(new Span<byte>(tail + nameBytes + typeBytes, options.Metadata.Length));
    }

    private ulong IncarnationOf(uint generation, uint entryIndex)
    {
        // A bijection of (generation, entry), keyed by the store's 64 random bits: never twice in this store. An id gets the same number in two stores only if their keys differ by exactly the
        // difference of two such pairs: 2^-64 for each pair of creations, and only those of one id count, because nobody compares incarnations of different ids. A copy of a store's files has its key too;
        // it has its UUID as well, by which nodes refuse each other.
        ulong x = (((ulong)generation << 32) | entryIndex) ^ _memory.HashSeed;
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
        return x ^ (x >> 31);
    }

    private static int CheckText(ReadOnlySpan<char> text, int bytesMax, string what)
    {
        if (text.IsEmpty)
            return 0;
        int bytes = Encoding.UTF8.GetByteCount(text);
        return bytes <= bytesMax ? bytes : throw new ArgumentException($"{what} is {bytes} bytes of UTF-8 long, at most {bytesMax} are allowed.", nameof(text));
    }
}
