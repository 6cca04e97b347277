using System.Globalization;
using System.Runtime.CompilerServices;
using FastPlasma.Allocator;
using FastPlasma.Format;
using FastPlasma.Native;
using FastPlasma.Nodes;
using FastPlasma.Participants;
using FastPlasma.Reclaim;
using FastPlasma.Spill;
using FastPlasma.Waiting;
using Microsoft.Extensions.Logging;

namespace FastPlasma;

/// <content>Objects come back from disk when they are wanted, once for all who want them. docs/concurrency.md, section 12.</content>
public sealed unsafe partial class PlasmaStore
{
    /// <summary>How long a get waits for a turn to read before it looks whether the object has come without it.</summary>
    private const int TurnLookMs = 10;

    /// <summary>What to do when an object was not brought.</summary>
    private enum AnotherLook
    {
        /// <summary>Nothing more, or sleep until somebody brings it.</summary>
        None,

        /// <summary>Look again at once: something moved.</summary>
        AtOnce,

        /// <summary>Look again, for a moment was waited for a turn at the disk in vain; others may have brought it.</summary>
        Later,
    }

    /// <summary>How often a look meets an object between two states before the caller sleeps; each time another has moved it on.</summary>
    private const int BringRounds = 16;

    /// <summary>How long a node's thread waits for memory to bring an object back for another node.</summary>
    private static readonly TimeSpan s_serveTimeout = TimeSpan.FromSeconds(2);

    /// <summary>As <see cref="TryGet(in ObjectId, out PlasmaObject)"/>, but brings the object back if it is on disk. It does not wait for a seal.</summary>
    internal bool TryGetOrBring(in ObjectId id, out PlasmaObject obj)
    {
        if (TryGet(id, out obj))
            return true;
        return _hasSpill && TryGet(id, TimeSpan.Zero, out obj) switch
        {
            PlasmaStatus.Ok => true,
            PlasmaStatus.NotResident => TryGet(id, s_serveTimeout, out obj) == PlasmaStatus.Ok,
            _ => false,
        };
    }

    /// <summary>What another store has to know to hold a copy, of an object in memory or on disk; its bytes are not touched.</summary>
    internal bool TryDescribe(in ObjectId id, out ObjectImage image)
    {
        ThreadSlots thread = Enter();
        try
        {
            image = default;
            if (!_index.TryFindCommitted(id, _index.HashOf(id), out StateWord state, out uint entryIndex) || !state.IsPresent || !_slots.TryAcquire(thread, out int slot, out long sequence))
                return false;
            try
            {
                ObjectEntry* entry = _entries + entryIndex;
                _slots.Slot(slot)->Since = CoarseClock.UtcTicks;
                Interlocked.Exchange(ref _slots.Slot(slot)->Word, new SlotWord(SlotKind.Pin, state.Generation, entryIndex).Value); // PUBLISH pin, as in TryPin: the entry stays what it is.
                uint generation = state.Generation;
                state = new StateWord(Volatile.Read(ref entry->State));
                if (state.Generation != generation || !state.IsPresent || !ObjectId.Same(in entry->Id, in id))
                    return false;
                image = ImageOf(entry, state);
                return image.Validate() is null;
            }
            finally
            {
                EndMove(slot, sequence);
            }
        }
        finally
        {
            Leave(thread);
        }
    }

    /// <summary>Whether an object of that id is there, and not in memory at this moment.</summary>
    private bool IsAway(in ObjectId id, out StateWord state, out uint entryIndex)
    {
        if (_hasSpill && _index.TryFindCommitted(id, _index.HashOf(id), out state, out entryIndex))
            return state.IsAway && !IsExpired(state, _memory.Entry(entryIndex));
        state = default;
        entryIndex = 0;
        return false;
    }

    /// <summary>A get from memory that has found nothing: the object may be on its way out, which a writer calls back.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private PlasmaStatus TryPinRescued(ThreadSlots thread, in ObjectId id, out PlasmaObject obj)
    {
        for (int round = 0; round < BringRounds; round++)
        {
            if (IsAway(id, out StateWord state, out uint entryIndex))
            {
                if (state.State != ObjectState.Unloading || Access != StoreAccess.ReadWrite)
                    break;
                Rescue(entryIndex, state);
            }
            PlasmaStatus status = TryPin(thread, id, out obj);
            if (status != PlasmaStatus.NotFound || !ContainsCore(id))
                return status; // Else it has moved between the looks.
        }
        obj = default;
        return PlasmaStatus.NotResident;
    }

    /// <summary>Unloading → Sealed: the unloader finds out by its exchange.</summary>
    private void Rescue(uint entryIndex, StateWord unloading)
    {
        ref ulong word = ref _memory.Entry(entryIndex)->State;
        // PUBLISH rescue: the same word as before the unload but for the participant. OBSERVE in EmptyUnread.
        if (Interlocked.CompareExchange(ref word, unloading.With(ObjectState.Sealed).Value, unloading.Value) == unloading.Value)
            _waits.Wake(WaitWordOf(_entries + entryIndex));
    }

    /// <summary>Brings an object into memory and pins it, if it is on disk.</summary>
    /// <param name="thread">The caller's.</param>
    /// <param name="id">The object.</param>
    /// <param name="deadline">Until when to wait.</param>
    /// <param name="waitsForMemory">Whether also for memory that others have to free.</param>
    /// <param name="ask">This attachment's request, if it cannot restore by itself.</param>
    /// <param name="obj">The pin.</param>
    /// <param name="again">Whether the caller should look again.</param>
    /// <param name="cancellationToken">Ends the wait at once.</param>
    /// <returns>Ok; NotFound when there is nothing to bring, or no time left for it, or somebody else brings it: then the caller sleeps on the id's word; NotResident when it cannot be brought; TooManyPins.</returns>
    private PlasmaStatus TryBring(ThreadSlots thread, in ObjectId id, Deadline deadline, bool waitsForMemory, ref RestoreAsk ask, out PlasmaObject obj, out AnotherLook again, CancellationToken cancellationToken)
    {
        obj = default;
        again = AnotherLook.None;
        if (!IsAway(id, out StateWord state, out uint entryIndex))
            return PlasmaStatus.NotFound;
        if (Access != StoreAccess.ReadWrite)
        {
            string? refused = ask.Look(Mailbox, RestoreWord, _waits, id, deadline);
            if (refused is null)
                return PlasmaStatus.NotFound;
            NoteLate(thread, id, refused, AwayReason.Disk);
            return PlasmaStatus.NotResident;
        }
        switch (state.State)
        {
            case ObjectState.Unloading:
                Rescue(entryIndex, state);
                again = AnotherLook.AtOnce;
                return PlasmaStatus.NotFound;
            case ObjectState.Spilled when !deadline.HasPassed:
                return TryRestore(thread, id, entryIndex, state.Generation, deadline, waitsForMemory, out obj, out again, cancellationToken);
            default:
                return PlasmaStatus.NotFound; // Of Emptying and Restoring whoever does it wakes us.
        }
    }

    private PlasmaStatus TryRestore(
        ThreadSlots thread, in ObjectId id, uint entryIndex, uint generation, Deadline deadline, bool waitsForMemory, out PlasmaObject obj, out AnotherLook again, CancellationToken cancellationToken)
    {
        obj = default;
        again = AnotherLook.None;
        ObjectEntry* entry = _entries + entryIndex;
        if (_spill is null)
        {
            NoteLate(thread, id, "this attachment has no access to the spill files", AwayReason.Disk);
            return PlasmaStatus.NotResident;
        }

        // Before anything is taken for it: a disk that does not answer must not take memory from who needs none of its objects. Both are looked at again below.
        var place = new SpillPlace(Volatile.Read(ref entry->SpillPlace));
        var turn = new ReadTurn(_spill.ReadTurns(place), Math.Clamp(entry->PayloadBytes, 0, _capacity));
        if (!turn.TryTake(deadline.SliceMs(TurnLookMs)))
        {
            cancellationToken.ThrowIfCancellationRequested();
            ThrowIfClosing();
            again = AnotherLook.Later;
            return PlasmaStatus.NotFound;
        }
        Landing? landing = null;
        try
        {
            PlasmaStatus status = TryPrepare(thread, id, entryIndex, generation, turn, deadline, waitsForMemory, out landing, out again, cancellationToken);
            if (landing is null)
                return status;
        }
        finally
        {
            if (landing is null)
                turn.GiveBack();
        }

        // From here on slot, entry, block and turn are the landing's, whoever it runs in.
        if (!TryOnDisk(landing.Run, deadline, landing.EndUnwanted, out bool restored, cancellationToken))
        {
            NoteLate(thread, id, DescribeSilence(_spill, place));
            return PlasmaStatus.NotResident;
        }
        if (landing.IsRefused)
        {
            Thread.Sleep(deadline.SliceMs(DiskThreads.RefusedMs)); // With nothing that others may need.
            if (!deadline.HasPassed)
            {
                again = AnotherLook.Later;
                return PlasmaStatus.NotFound;
            }
            NoteLate(thread, id, $"it has not come from disk: {DiskThreads.Refused}");
            return PlasmaStatus.NotResident;
        }
        if (landing.Problem is { } unreadable)
        {
            NoteLate(thread, id, unreadable, AwayReason.Disk);
            return PlasmaStatus.NotResident;
        }
        if (!restored)
            return PlasmaStatus.NotFound; // Deleted meanwhile: waited for again.
        thread.Count(Counter.Gets);
        thread.Count(Counter.GetBytes, entry->PayloadBytes);
        PlasmaObject.Init(out obj, this, entry, _payload + entry->DataOffset, entry->PayloadBytes, landing.Slot, landing.Sequence);
        return PlasmaStatus.Ok;
    }

    /// <summary>A turn to read that is given back once.</summary>
    private sealed class ReadTurn(DiskTurns? turns, long bytes)
    {
        private bool _isTaken;

        internal bool TryTake(int waitMs) => _isTaken = turns is null || turns.TryTake(bytes, waitMs); // Without such a directory the read finds that out and says it.

        internal void GiveBack()
        {
            if (_isTaken)
                turns?.GiveBack(bytes);
            _isTaken = false;
        }
    }

    /// <summary>Announces a restore, makes the entry Restoring and takes memory for it. The status counts when there is no <paramref name="landing"/>.</summary>
    private PlasmaStatus TryPrepare(
        ThreadSlots thread, in ObjectId id, uint entryIndex, uint generation, ReadTurn turn, Deadline deadline, bool waitsForMemory, out Landing? landing, out AnotherLook again, CancellationToken cancellationToken)
    {
        again = AnotherLook.AtOnce;
        landing = null;
        ObjectEntry* entry = _entries + entryIndex;
        if (!_slots.TryAcquire(thread, out int slot, out long sequence))
        {
            again = AnotherLook.None;
            return PlasmaStatus.TooManyPins;
        }
        PinSlot* announcement = _slots.Slot(slot);
        announcement->Since = CoarseClock.UtcTicks;
        try
        {
            // PUBLISH announcement: before the state; recovery finds through it what we have in Restoring, and no finisher frees the entry while it stands. OBSERVE in Recovery and SlotScan.
            Interlocked.Exchange(ref announcement->Word, new SlotWord(SlotKind.Restore, generation, entryIndex).Value);
            // CRASH restore-announced: nothing but the announcement.
            FailPoint.Pass("restore-announced");
            var state = new StateWord(Volatile.Read(ref entry->State));
            if (!state.Is(ObjectState.Spilled, generation) || !ObjectId.Same(in entry->Id, in id))
                return PlasmaStatus.NotFound;
            StateWord restoring = state.With(ObjectState.Restoring, _participants.Index);

            // PUBLISH restore: one restorer; the others sleep on the id's word.
            if (Interlocked.CompareExchange(ref entry->State, restoring.Value, state.Value) != state.Value)
                return PlasmaStatus.NotFound;
            again = AnotherLook.None;
            try
            {
                // CRASH restore-begun, restore-read: recovery frees the block and makes the entry Spilled again.
                FailPoint.Pass("restore-begun");
                entry->Block.Count = 0; // The old place: nothing there is ours any more.
                var place = new SpillPlace(Volatile.Read(ref entry->SpillPlace));
                ObjectImage image = ImageOf(entry, restoring);
                string? problem = TakeMemory(thread, entry, place, image, BlockOwner.Of(generation, entryIndex), turn, deadline, waitsForMemory, out long offset, out again, cancellationToken);
                if (problem is null)
                    landing = new Landing(this, id, entryIndex, restoring, place, image, offset, slot, sequence, turn);
                else
                    NoteLate(thread, id, problem);
            }
            finally
            {
                if (landing is null)
                    GiveUpRestore(entry, restoring, BlockOwner.Of(generation, entryIndex));
            }
            return again == AnotherLook.None ? PlasmaStatus.NotResident : PlasmaStatus.NotFound;
        }
        finally
        {
            if (landing is null)
                EndMove(slot, sequence);
        }
    }

    /// <summary>Memory for an entry in Restoring. Null, or why there is none.</summary>
    private string? TakeMemory(
        ThreadSlots thread, ObjectEntry* entry, SpillPlace place, in ObjectImage image, ulong owner, ReadTurn turn, Deadline deadline, bool waitsForMemory, out long offset, out AnotherLook again, CancellationToken cancellationToken)
    {
        long needed = image.ImageBytes;
        if (!place.IsPlace || image.Validate() is not null || needed <= 0 || needed > _capacity)
            throw _memory.Broken("a spilled object has the length", needed, _capacity);
        int alignment = entry->AlignmentBytes is ChunkMap.PageBytes or (int)ChunkMap.ChunkBytes ? entry->AlignmentBytes : SizeClasses.QuantumBytes;
        again = AnotherLook.None;
        if (_allocator.TryAllocate(thread.Blocks, needed, alignment, owner, &entry->Block, Effort.Normal, out offset))
            return null;
        turn.GiveBack(); // Others, which find memory, may read while this one makes room.
        if (!TryAllocate(thread, needed, alignment, owner, entry, deadline.Left, out offset, cancellationToken)
            && !(waitsForMemory && TryAllocateUntil(thread, needed, alignment, owner, entry, deadline, out offset, cancellationToken)))
            return string.Create(CultureInfo.InvariantCulture, $"the store has no memory of {needed} bytes for it; {DescribeFull(BuildFullReport(needed), TimeSpan.Zero)}");
        if (turn.TryTake(deadline.SliceMs(WaitWords.SliceMs)))
            return null;
        again = AnotherLook.Later; // Not with memory that others may need.
        return DescribeSilence(_spill!, place);
    }

    /// <summary>The disk's part of a restore, for whatever thread: it owns the announcement, the entry in Restoring and the block.</summary>
    private sealed class Landing(PlasmaStore store, ObjectId id, uint entryIndex, StateWord restoring, SpillPlace place, ObjectImage image, long offset, int slot, long sequence, ReadTurn turn)
    {
        internal int Slot => slot;

        internal long Sequence => sequence;

        /// <summary>Why the copy could not be read, or null.</summary>
        internal string? Problem { get; private set; }

        /// <summary>Whether it was not to be read.</summary>
        internal bool IsRefused { get; private set; }

        /// <summary>Whether the object is in memory again and the slot its pin; if not, the slot is given back.</summary>
        internal bool Run(bool mayUseDisk)
        {
            ObjectEntry* entry = store._entries + entryIndex;
            bool restored = false;
            try
            {
                IsRefused = !mayUseDisk;
                if (mayUseDisk)
                    Problem = store._spill!.Read(place, image, store._memory.WritablePayload + offset)?.Message.TrimEnd('.');
                if (mayUseDisk && Problem is null)
                {
                    FailPoint.Pass("restore-read");
                    entry->DataOffset = offset;

                    // PUBLISH restored: full fence; bytes and place become visible before Sealed does. OBSERVE in TryPin.
                    restored = Interlocked.CompareExchange(ref entry->State, restoring.With(ObjectState.Sealed).Value, restoring.Value) == restoring.Value;
                }
            }
            finally
            {
                if (!restored)
                {
                    store.GiveUpRestore(entry, restoring, BlockOwner.Of(restoring.Generation, entryIndex));
                    store.EndMove(slot, sequence);
                }
                turn.GiveBack();
            }
            if (Problem is not null)
            {
                ParticipantTable.CountSpill(store._participants.Own, SpillCounter.RestoreErrors, 1);
                store.Logger.LogError("Object {Id} of store '{Store}' cannot be brought back from disk: {Problem}.", id, store.Name, Problem);
            }
            if (!restored)
                return false;
            // CRASH restored-unpinned: it is there; who waits for it looks after a slice.
            FailPoint.Pass("restored-unpinned");

            // The announcement has kept it from every unloader and finisher, and goes on as a pin.
            Volatile.Write(ref store._slots.Slot(slot)->Word, new SlotWord(SlotKind.Pin, restoring.Generation, entryIndex).Value);
            store._waits.Wake(store.WaitWordOf(entry));
            store.NoteRestored(entryIndex);
            ParticipantTable.CountSpill(store._participants.Own, SpillCounter.Restores, 1);
            ParticipantTable.CountSpill(store._participants.Own, SpillCounter.RestoredBytes, entry->PayloadBytes);
            return true;
        }

        /// <summary>What has come for nobody stays in memory, unpinned.</summary>
        internal void EndUnwanted(bool restored)
        {
            if (restored)
                store.EndMove(slot, sequence);
            else if (Problem is not null && store._spillAhead is not null)
                store._unreadable[id] = Environment.TickCount64 + UnreadableMs;
        }
    }

    /// <summary>Whoever looks for victims finds it again, and passes it the first time.</summary>
    private void NoteRestored(uint entryIndex)
    {
        if (Volatile.Read(ref _memory.Header->EvictableUsed) == 0)
            Interlocked.Exchange(ref _memory.Header->EvictableUsed, 1); // PUBLISH candidates, as in TryTakeEntry: the object may have come with the store.
        _evictor.Map.Add(entryIndex);
        VictimMap.Hint(_ownHints, entryIndex);
    }

    private bool TryAllocateUntil(ThreadSlots thread, long needed, int alignment, ulong owner, ObjectEntry* entry, Deadline deadline, out long offset, CancellationToken cancellationToken)
    {
        while (true) // Ends with memory, the deadline, a cancellation or the store's end.
        {
            uint sequence = _waits.Announce(_reclaimer.SpaceWord);
            if (TryAllocate(thread, needed, alignment, owner, entry, deadline.Left, out offset, cancellationToken))
                return true;
            if (deadline.HasPassed)
                return false;
            cancellationToken.ThrowIfCancellationRequested();
            ThrowIfClosing();
            WaitWords.Sleep(_reclaimer.SpaceWord, sequence, deadline.SliceMs(WaitWords.SliceMs), cancellationToken);
        }
    }

    /// <summary>Restoring → Spilled, with nothing of it in memory; or nothing, when it was deleted meanwhile.</summary>
    private void GiveUpRestore(ObjectEntry* entry, StateWord restoring, ulong owner)
    {
        BlockPlace place = entry->Block;
        long freed = _memory.Chunks.Contains(place) ? _allocator.Free(null, place, owner) : 0;
        // CRASH restore-freed: as restore-begun.
        FailPoint.Pass("restore-freed");
        Interlocked.CompareExchange(ref entry->State, restoring.With(ObjectState.Spilled).Value, restoring.Value);
        if (freed > 0)
            _waits.Wake(_reclaimer.SpaceWord);
        _waits.Wake(WaitWordOf(entry)); // Others may try; they meet the same or have more time.
    }

    private static void NoteLate(ThreadSlots thread, in ObjectId id, string text, AwayReason reason = AwayReason.Time) =>
        (thread.LateId, thread.LateReason, thread.LateText, thread.LateAway) = (id, NodeReason.Unknown, text, reason);

    /// <summary>Whether this thread's last get that was NotResident met a copy on disk that cannot be read.</summary>
    internal bool LateIsDisk => t_last is { } thread && thread.Owner == this && thread.LateAway == AwayReason.Disk;
}
