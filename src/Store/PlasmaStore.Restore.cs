using System.Globalization;
using System.Runtime.CompilerServices;
using FastPlasma.Allocator;
using FastPlasma.Copying;
using FastPlasma.Files;
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
    /// <summary>How often a look meets an object between two states before the caller sleeps; each time another has moved it on.</summary>
    private const int BringRounds = 16;

    /// <summary>Copies a part of an object's payload, from memory or straight from disk: an object on disk stays there, and nothing is pinned afterwards.</summary>
    /// <param name="id">The object.</param>
    /// <param name="offset">Where to begin, in bytes from the payload's beginning.</param>
    /// <param name="destination">Filled as far as the payload goes; counted as a copy.</param>
    /// <returns>Bytes copied: the destination's length, or less at the payload's end.</returns>
    /// <exception cref="PlasmaException">There is no such object (<see cref="PlasmaStatus.NotFound"/>), its copy on disk cannot be read (<see cref="PlasmaStatus.NotResident"/>; the message says why), or all pin slots are taken.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="offset"/> is not inside the payload.</exception>
    public int ReadInto(in ObjectId id, long offset, Span<byte> destination) => TryReadInto(id, offset, destination, out int bytes, out string? problem) switch
    {
        PlasmaStatus.Ok => bytes,
        PlasmaStatus.TooManyPins => throw _slots.TooManyPins(),
        PlasmaStatus.NotResident => throw new PlasmaException(PlasmaStatus.NotResident, $"Object {id} cannot be read from disk: {problem}."),
        PlasmaStatus status => throw new PlasmaException(status, $"There is no sealed object {id} in store '{Name}'."),
    };

    /// <summary>As <see cref="ReadInto"/>, with a status: Ok, NotFound, NotResident or TooManyPins.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="offset"/> is not inside the payload.</exception>
    public PlasmaStatus TryReadInto(in ObjectId id, long offset, Span<byte> destination, out int bytes) => TryReadInto(id, offset, destination, out bytes, out _);

    private PlasmaStatus TryReadInto(in ObjectId id, long offset, Span<byte> destination, out int bytes, out string? problem)
    {
        ThreadSlots thread = Enter();
        try
        {
            bytes = 0;
            problem = null;
            for (int round = 0; ; round++) // Ends: each repetition means that the object moved between memory and disk, or that another of the id came; after some it counts as away.
            {
                PlasmaStatus status = TryPin(thread, id, out PlasmaObject obj);
                if (status == PlasmaStatus.Ok)
                {
                    using (obj)
                    {
                        bytes = PartOf(obj.Length, offset, destination.Length);
                        obj.CopyTo(offset, destination[..bytes]);
                        return status;
                    }
                }
                if (status != PlasmaStatus.NotFound || !IsAway(id, out StateWord state, out uint entryIndex))
                    return status;
                status = TryReadCopy(thread, id, entryIndex, state.Generation, offset, destination, out bytes, out problem);
                if (status != PlasmaStatus.NotFound || round == BringRounds)
                    return status;
            }
        }
        finally
        {
            Leave(thread);
            if (IsClosing)
                TryDetach();
        }
    }

    /// <summary>Reads from the copy on disk under a pin, which keeps the copy as it keeps memory. NotFound when the entry is no longer there in that generation, or has no whole copy.</summary>
    private PlasmaStatus TryReadCopy(ThreadSlots thread, in ObjectId id, uint entryIndex, uint generation, long offset, Span<byte> destination, out int bytes, out string? problem)
    {
        bytes = 0;
        problem = null;
        ObjectEntry* entry = _entries + entryIndex;
        if (!_slots.TryAcquire(thread, out int slot, out long sequence))
            return PlasmaStatus.TooManyPins;
        try
        {
            PinSlot* pin = _slots.Slot(slot);
            pin->Since = CoarseClock.UtcTicks;
            Interlocked.Exchange(ref pin->Word, new SlotWord(SlotKind.Pin, generation, entryIndex).Value); // PUBLISH pin, as in TryPin; a finisher looks at it before it frees the copy.
            var state = new StateWord(Volatile.Read(ref entry->State));
            var spill = new SpillPlace(Volatile.Read(ref entry->SpillPlace)); // Stays as it is while the entry is there.
            if (state.Generation != generation || !state.IsPresent || !spill.IsPlace || !ObjectId.Same(in entry->Id, in id))
                return PlasmaStatus.NotFound;
            ObjectImage image = ImageOf(entry, state);
            bytes = PartOf(image.PayloadBytes, offset, destination.Length);
            if (_spill is null)
                problem = "this attachment has no access to the spill files";
            else if (bytes > 0)
                problem = _spill.ReadRange(spill, image, offset, destination[..bytes])?.Message.TrimEnd('.');
            if (problem is not null)
                return PlasmaStatus.NotResident;
            thread.Count(Counter.GetCopiedBytes, bytes);
            return PlasmaStatus.Ok;
        }
        finally
        {
            EndMove(slot, sequence);
        }
    }

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

    private static int PartOf(long payloadBytes, long offset, int bytes) => offset >= 0 && offset <= payloadBytes
        ? (int)Math.Min(bytes, payloadBytes - offset)
        : throw new ArgumentOutOfRangeException(nameof(offset), offset, $"The offset is {offset}; the payload has {payloadBytes} bytes.");

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
        for (int round = 0; round < BringRounds && IsAway(id, out StateWord state, out uint entryIndex); round++)
        {
            if (state.State != ObjectState.Unloading || Access != StoreAccess.ReadWrite)
            {
                obj = default;
                return PlasmaStatus.NotResident;
            }
            Rescue(entryIndex, state);
            PlasmaStatus status = TryPin(thread, id, out obj);
            if (status != PlasmaStatus.NotFound)
                return status;
        }
        obj = default;
        return PlasmaStatus.NotFound;
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
    /// <param name="deadline">Until when to wait for memory.</param>
    /// <param name="ask">This attachment's request, if it cannot restore by itself.</param>
    /// <param name="obj">The pin.</param>
    /// <param name="again">Whether the caller should look again at once: something moved.</param>
    /// <param name="cancellationToken">Ends the wait for memory at once.</param>
    /// <returns>Ok; NotFound when there is nothing to bring, or somebody else brings it: then the caller sleeps on the id's word; NotResident when it cannot be brought; TooManyPins.</returns>
    private PlasmaStatus TryBring(ThreadSlots thread, in ObjectId id, Deadline deadline, ref RestoreAsk ask, out PlasmaObject obj, out bool again, CancellationToken cancellationToken)
    {
        obj = default;
        again = false;
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
                again = true;
                return PlasmaStatus.NotFound;
            case ObjectState.Spilled:
                return TryRestore(thread, id, entryIndex, state.Generation, deadline, out obj, out again, cancellationToken);
            default:
                return PlasmaStatus.NotFound; // Emptying or Restoring: whoever does it wakes us.
        }
    }

    private PlasmaStatus TryRestore(
        ThreadSlots thread, in ObjectId id, uint entryIndex, uint generation, Deadline deadline, out PlasmaObject obj, out bool again, CancellationToken cancellationToken)
    {
        obj = default;
        again = false;
        ObjectEntry* entry = _entries + entryIndex;
        if (!_slots.TryAcquire(thread, out int slot, out long sequence))
            return PlasmaStatus.TooManyPins;
        PinSlot* announcement = _slots.Slot(slot);
        announcement->Since = CoarseClock.UtcTicks;
        bool pinned = false;
        try
        {
            // PUBLISH announcement: before the state; recovery finds through it what we have in Restoring, and no finisher frees the entry while it stands. OBSERVE in Recovery and SlotScan.
            Interlocked.Exchange(ref announcement->Word, new SlotWord(SlotKind.Restore, generation, entryIndex).Value);
            // CRASH restore-announced: nothing but the announcement.
            FailPoint.Pass("restore-announced");
            var state = new StateWord(Volatile.Read(ref entry->State));
            if (!state.Is(ObjectState.Spilled, generation) || !ObjectId.Same(in entry->Id, in id))
            {
                again = true;
                return PlasmaStatus.NotFound;
            }
            StateWord restoring = state.With(ObjectState.Restoring, _participants.Index);

            // PUBLISH restore: one restorer; the others sleep on the id's word.
            if (Interlocked.CompareExchange(ref entry->State, restoring.Value, state.Value) != state.Value)
            {
                again = true;
                return PlasmaStatus.NotFound;
            }
            string? problem = null;
            bool restored = false, noMemory = false;
            try
            {
                // CRASH restore-begun, restore-read: recovery frees the block and makes the entry Spilled again.
                FailPoint.Pass("restore-begun");
                entry->Block.Count = 0; // The old place: nothing there is ours any more.
                problem = ReadBack(thread, entry, restoring, BlockOwner.Of(generation, entryIndex), deadline, out long offset, out noMemory, cancellationToken);
                if (problem is null)
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
                    GiveUpRestore(thread, entry, restoring, BlockOwner.Of(generation, entryIndex));
            }
            if (problem is not null)
            {
                NoteLate(thread, id, problem, noMemory ? AwayReason.Memory : AwayReason.Disk);
                if (!noMemory)
                {
                    ParticipantTable.CountSpill(_participants.Own, SpillCounter.RestoreErrors, 1);
                    Logger.LogError("Object {Id} of store '{Store}' cannot be brought back from disk: {Problem}.", id, Name, problem);
                }
                return PlasmaStatus.NotResident;
            }
            if (!restored)
                return PlasmaStatus.NotFound; // Deleted meanwhile: waited for again.
            // CRASH restored-unpinned: it is there; who waits for it looks after a slice.
            FailPoint.Pass("restored-unpinned");

            // The announcement has kept it from every unloader and finisher, and goes on as a pin.
            Volatile.Write(ref announcement->Word, new SlotWord(SlotKind.Pin, generation, entryIndex).Value);
            pinned = true;
            _waits.Wake(WaitWordOf(entry));
            NoteRestored(entryIndex);
            ParticipantTable.CountSpill(_participants.Own, SpillCounter.Restores, 1);
            ParticipantTable.CountSpill(_participants.Own, SpillCounter.RestoredBytes, entry->PayloadBytes);
            thread.Count(Counter.Gets);
            thread.Count(Counter.GetBytes, entry->PayloadBytes);
            PlasmaObject.Init(out obj, this, entry, _payload + entry->DataOffset, entry->PayloadBytes, slot, sequence);
            return PlasmaStatus.Ok;
        }
        finally
        {
            if (!pinned)
                EndMove(slot, sequence);
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

    /// <summary>Takes memory for an entry in Restoring and reads its copy into it. Null, or why not.</summary>
    private string? ReadBack(ThreadSlots thread, ObjectEntry* entry, StateWord state, ulong owner, Deadline deadline, out long offset, out bool noMemory, CancellationToken cancellationToken)
    {
        offset = 0;
        noMemory = false;
        var spill = new SpillPlace(Volatile.Read(ref entry->SpillPlace));
        ObjectImage image = ImageOf(entry, state);
        long needed = image.ImageBytes;
        if (!spill.IsPlace || image.Validate() is not null || needed <= 0 || needed > _capacity)
            throw _memory.Broken("a spilled object has the length", needed, _capacity);
        if (_spill is null)
            return "this attachment has no access to the spill files";
        int alignment = entry->AlignmentBytes is ChunkMap.PageBytes or (int)ChunkMap.ChunkBytes ? entry->AlignmentBytes : SizeClasses.QuantumBytes;
        noMemory = !TryAllocate(thread, needed, alignment, owner, entry, out offset) && !TryAllocateUntil(thread, needed, alignment, owner, entry, deadline, out offset, cancellationToken);
        if (noMemory)
            return string.Create(CultureInfo.InvariantCulture, $"the store has no memory of {needed} bytes for it; {DescribeFull(BuildFullReport(needed), TimeSpan.Zero)}");
        return _spill.Read(spill, image, _memory.WritablePayload + offset)?.Message.TrimEnd('.');
    }

    private bool TryAllocateUntil(ThreadSlots thread, long needed, int alignment, ulong owner, ObjectEntry* entry, Deadline deadline, out long offset, CancellationToken cancellationToken)
    {
        while (true) // Ends with memory, the deadline, a cancellation or the store's end.
        {
            uint sequence = _waits.Announce(_reclaimer.SpaceWord);
            if (TryAllocate(thread, needed, alignment, owner, entry, out offset))
                return true;
            if (deadline.HasPassed)
                return false;
            cancellationToken.ThrowIfCancellationRequested();
            ThrowIfClosing();
            WaitWords.Sleep(_reclaimer.SpaceWord, sequence, deadline.SliceMs(WaitWords.SliceMs), cancellationToken);
        }
    }

    /// <summary>Restoring → Spilled, with nothing of it in memory; or nothing, when it was deleted meanwhile.</summary>
    private void GiveUpRestore(ThreadSlots thread, ObjectEntry* entry, StateWord restoring, ulong owner)
    {
        BlockPlace place = entry->Block;
        long freed = _memory.Chunks.Contains(place) ? _allocator.Free(thread.Blocks, place, owner) : 0;
        // CRASH restore-freed: as restore-begun.
        FailPoint.Pass("restore-freed");
        Interlocked.CompareExchange(ref entry->State, restoring.With(ObjectState.Spilled).Value, restoring.Value);
        if (freed > 0)
            _waits.Wake(_reclaimer.SpaceWord);
        _waits.Wake(WaitWordOf(entry)); // Others may try; they meet the same or have more time.
    }

    private static void NoteLate(ThreadSlots thread, in ObjectId id, string text, AwayReason reason = AwayReason.Others) =>
        (thread.LateId, thread.LateReason, thread.LateText, thread.LateAway) = (id, NodeReason.Unknown, text, reason);

    /// <summary>Whether this thread's last get that was NotResident met a copy on disk that cannot be read.</summary>
    internal bool LateIsDisk => t_last is { } thread && thread.Owner == this && thread.LateAway == AwayReason.Disk;
}
