using System.Runtime.CompilerServices;
using FastPlasma.Format;
using FastPlasma.Index;
using FastPlasma.Native;
using FastPlasma.Participants;
using FastPlasma.Reclaim;

namespace FastPlasma;

public sealed unsafe partial class PlasmaStore
{
    /// <summary>Removes a sealed object, in memory or on disk: gone for new gets at once; its memory and its copy on disk are freed after the last pin. The id may be created again meanwhile.</summary>
    /// <returns>Ok, NotFound, NotSealed (it is being created) or TooManyPins.</returns>
    public PlasmaStatus Delete(in ObjectId id) => DeleteCore(id, any: true, incarnation: 0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private PlasmaStatus DeleteCore(in ObjectId id, bool any, ulong incarnation)
    {
        RequireWriter();
        ThreadSlots thread = Enter();
        try
        {
            if (!_slots.TryAcquire(thread, out int slot, out long sequence))
                return PlasmaStatus.TooManyPins;
            PinSlot* announcement = _slots.Slot(slot);
            try
            {
                PlasmaStatus result = PlasmaStatus.NotFound;
                ulong hash = _index.HashOf(in id);
                ObjectIndex.CandidateWalk walk = _index.Walk(hash);
                while (walk.Next(out IndexWord word, out _))
                {
                    if (!ObjectIndex.CarriesId(_memory.Entry(word.Entry), word.Generation, id, out StateWord state))
                        continue;
                    if (state.State == ObjectState.Creating)
                        result = PlasmaStatus.NotSealed;
                    if (!state.IsPresent)
                        continue;
                    if (IsExpired(state, _memory.Entry(word.Entry)))
                        continue; // Gone; whoever looks for expired objects takes it away.
                    // Fixed while the object is there in this generation, which the condemn's exchange confirms.
                    if (!any && _memory.Entry(word.Entry)->Incarnation != incarnation)
                        continue;
                    announcement->Since = CoarseClock.UtcTicks;
                    if (!TryCondemn(announcement, word.Entry, word.Generation, hash, PlasmaEventKind.Deleted, out _))
                        continue;
                    thread.Count(Counter.Deletes);

                    // CRASH delete-condemned: recovery asks for a walk, which finishes the entry.
                    FailPoint.Pass("delete-condemned");
                    if (FinishOrRemember(thread, word.Entry, word.Generation))
                        CacheFreeEntry(thread, word.Entry);
                    return PlasmaStatus.Ok;
                }
                return result;
            }
            finally
            {
                Volatile.Write(ref announcement->Word, 0);
                _slots.EndRelease(slot, sequence);
            }
        }
        finally
        {
            Leave(thread);
        }
    }

    /// <summary>Drops evictable objects that nobody reads, those used longest ago first.</summary>
    /// <param name="bytes">How much memory is wanted; as many objects as that takes.</param>
    /// <returns>Bytes freed; less than wanted when there is no more.</returns>
    public long Evict(long bytes)
    {
        RequireWriter();
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        ThreadSlots thread = Enter();
        try
        {
            long freed = ExpireDue(thread);
            while (freed < bytes) // Ends: each round condemns something, or there is nothing left.
            {
                List<Evictor.Victim> victims = _evictor.Choose(bytes - freed, Evictor.Evictable);
                freed += Condemn(thread, victims, PlasmaEventKind.Evicted, out int condemned);
                if (condemned == 0)
                    break;
            }
            return freed;
        }
        finally
        {
            Leave(thread);
        }
    }

    /// <summary>Gives free payload memory back to the operating system. Returns bytes given back.</summary>
    public long Trim()
    {
        RequireWriter();
        BeginSlowCall();
        try
        {
            return _allocator.Trim();
        }
        finally
        {
            EndSlowCall();
        }
    }

    /// <summary>Condemns victims that are still what they were: to be evicted, those that nobody has pinned meanwhile; expired, all of them, and those that are read keep their memory until that ends. Returns bytes freed.</summary>
    private long Condemn(ThreadSlots thread, List<Evictor.Victim> victims, PlasmaEventKind kind, out int condemned)
    {
        bool evicts = kind == PlasmaEventKind.Evicted;
        if (evicts && victims.Count > 0 && Volatile.Read(ref _memory.Header->EntryCursor) == 0)
        {
            // From now on records are handed out in the order of age. Never 0 again: it only grows.
            Interlocked.CompareExchange(ref _memory.Header->EntryCursor, (long)ObjectCountMax + thread.EntryCursor, 0);
        }
        bool costly = _scan.IsCostly; // Read once: what is remembered in this call is finished in this call.
        Span<ulong> batch = stackalloc ulong[16];
        Span<int> slots = stackalloc int[16];
        Span<long> sequences = stackalloc long[16];
        long freed = 0;
        condemned = 0;
        for (int next = 0; next < victims.Count;)
        {
            int count = 0;
            try
            {
                while (count < batch.Length && next < victims.Count)
                {
                    Evictor.Victim victim = victims[next++];
                    // Pins of other users were read for the choice; when that is dear it is not done again for each victim: a pin that came since keeps its bytes, as after a delete.
                    bool pinned = evicts && (costly ? _scan.IsPinnedInOwn(victim.Generation, victim.Entry) : _scan.IsPinned(victim.Generation, victim.Entry));
                    if (pinned || !_slots.TryAcquire(thread, out slots[count], out sequences[count]))
                        break;
                    batch[count] = 0;
                    if (TryCondemn(_slots.Slot(slots[count++]), victim.Entry, victim.Generation, hash: null, kind, out long payloadBytes))
                    {
                        batch[count - 1] = BlockOwner.Of(victim.Generation, victim.Entry);
                        condemned++;
                        thread.Count(evicts ? Counter.Evictions : Counter.Expirations);
                        if (evicts)
                            thread.Count(Counter.EvictedBytes, payloadBytes);
                    }
                }
                if (!costly)
                    freed += _reclaimer.FinishBatch(thread.Blocks, batch[..count]);
            }
            finally
            {
                for (int i = 0; i < count; i++)
                {
                    if (batch[i] != 0)
                        _reclaimer.Remember(BlockOwner.EntryOf(batch[i]), BlockOwner.GenerationOf(batch[i]));
                    Volatile.Write(ref _slots.Slot(slots[i])->Word, 0);
                    _slots.EndRelease(slots[i], sequences[i]);
                }
            }
        }
        if (costly)
            freed += _reclaimer.FinishAll(thread.Blocks); // One look for all of them.
        return freed;
    }

    /// <summary>Frees an entry that <see cref="TryCondemn"/> has condemned, or puts it on the list for whoever is next short of memory. True when it is free.</summary>
    private bool FinishOrRemember(ThreadSlots thread, uint entryIndex, uint generation)
    {
        bool pinned = true;
        try
        {
            _reclaimer.Finish(thread.Blocks, entryIndex, generation, isUnpublished: true, out pinned);
        }
        finally
        {
            if (pinned)
                _reclaimer.Remember(entryIndex, generation);
        }
        return !pinned;
    }

    /// <summary>Sealed (or, of a deletion, on disk or between) → Condemned, unpublished, announced as an event. The caller finishes and clears the announcement.</summary>
    /// <remarks><paramref name="hash"/> is that of the entry's id in that generation, if the caller knows it.</remarks>
    private bool TryCondemn(PinSlot* announcement, uint entryIndex, uint generation, ulong? hash, PlasmaEventKind kind, out long payloadBytes)
    {
        ObjectEntry* entry = _memory.Entries + entryIndex;
        payloadBytes = 0;

        // PUBLISH announcement: before the entry is condemned; recovery and whoever is short of memory find it through us. OBSERVE in Recovery and Reclaimer.FinishAll.
        Interlocked.Exchange(ref announcement->Word, new SlotWord(SlotKind.Condemn, generation, entryIndex).Value);
        // CRASH condemn-announced: the object is still Sealed; recovery asks for a walk in vain.
        FailPoint.Pass("condemn-announced");
        while (true) // Ends: a failed exchange means that the state changed; only moves between memory and disk change it without ending the object, and each takes somebody a look at all slots or an access to the disk.
        {
            var state = new StateWord(Volatile.Read(ref entry->State));
            bool may = kind switch
            {
                PlasmaEventKind.Evicted => state.IsSealed(generation) && state.IsEvictable,
                PlasmaEventKind.Expired => state.Generation == generation && state.IsPresent && IsExpired(state, entry),
                _ => state.Generation == generation && state.IsPresent,
            };
            if (!may)
                return false;

            // While the object is there in this generation nothing here changes; the exchange below confirms that it still was. OBSERVE seal.
            ObjectId id = entry->Id;
            payloadBytes = entry->PayloadBytes;
            int metadataBytes = entry->UserBytes;
            ulong incarnation = entry->Incarnation;
            // PUBLISH condemn: full fence, before any scan. OBSERVE in Reclaimer and TryPin: a pin that the scan misses is validated later and sees this.
            if (Interlocked.CompareExchange(ref entry->State, state.With(ObjectState.Condemned).Value, state.Value) != state.Value)
                continue;
            // CRASH condemned-published: Condemned with a word in the index, which finds nothing any more; whoever finishes the entry removes it.
            FailPoint.Pass("condemned-published");
            ulong known = hash ?? _index.HashOf(in id);
            _index.Remove(known, new IndexWord(known, generation, entryIndex));
            _events.Publish(kind, id, payloadBytes, metadataBytes, incarnation);
            return true;
        }
    }
}
