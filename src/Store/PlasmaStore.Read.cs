using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;
using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Index;
using FastPlasma.Inspect;
using FastPlasma.Native;
using FastPlasma.Nodes;
using FastPlasma.Participants;
using FastPlasma.Reclaim;
using FastPlasma.Waiting;

namespace FastPlasma;

public sealed unsafe partial class PlasmaStore
{
    /// <summary>Pins a sealed object for reading, from memory only. Wait-free; no system call, no allocation, no copy.</summary>
    /// <returns>False when no sealed object of that id exists now, or it is on disk: the forms with a timeout bring it back.</returns>
    /// <exception cref="PlasmaException">All pin slots of this process are taken (<see cref="PlasmaStatus.TooManyPins"/>).</exception>
    /// <exception cref="ObjectDisposedException">The store is closed.</exception>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public bool TryGet(in ObjectId id, out PlasmaObject obj)
    {
        ThreadSlots thread = EnterGet();
        try
        {
            PlasmaStatus status = TryPin(thread, id, out obj);
            return status == PlasmaStatus.Ok || (_hasSpill ? IsFoundLate(thread, status, id, out obj) : IsMissed(thread, status));
        }
        finally
        {
            Leave(thread);
        }
    }

    /// <summary>As <see cref="IsMissed"/> in a store that spills; true when the object was on its way out and was called back.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool IsFoundLate(ThreadSlots thread, PlasmaStatus status, in ObjectId id, out PlasmaObject obj)
    {
        ThrowIfForked();
        obj = default;
        if (status == PlasmaStatus.NotFound)
            status = TryPinRescued(thread, id, out obj);
        return status == PlasmaStatus.Ok || IsMissed(thread, status);
    }

    /// <summary>False, or the reason why not even that can be said.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool IsMissed(ThreadSlots thread, PlasmaStatus status)
    {
        ThrowIfForked();
        thread.Count(Counter.GetMisses);
        return status == PlasmaStatus.TooManyPins ? throw _slots.TooManyPins() : false;
    }

    /// <summary>Pins an object, waiting for its seal if need be, and bringing it back from disk if it is there, once for all who want it at the same time.</summary>
    /// <param name="id">The object.</param>
    /// <param name="timeout">Longest wait; zero looks once, and in memory only, <see cref="Timeout.InfiniteTimeSpan"/> waits for ever.</param>
    /// <param name="obj">The pin.</param>
    /// <param name="spin">How long to look again and again before sleeping; costs a core and saves the wake-up.</param>
    /// <param name="cancellationToken">Ends the wait at once.</param>
    /// <returns><see cref="PlasmaStatus.Ok"/>, <see cref="PlasmaStatus.NotFound"/> (timeout zero), <see cref="PlasmaStatus.Timeout"/>, <see cref="PlasmaStatus.NotResident"/> (it is on disk; timeout zero, or it could not be brought back) or <see cref="PlasmaStatus.TooManyPins"/>.</returns>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public PlasmaStatus TryGet(in ObjectId id, TimeSpan timeout, out PlasmaObject obj, TimeSpan spin = default, CancellationToken cancellationToken = default)
    {
        ThreadSlots thread = Enter();
        try
        {
            PlasmaStatus status = TryPin(thread, id, out obj);
            if (status != PlasmaStatus.NotFound)
                return status;
            thread.Count(Counter.GetMisses);
            if (timeout == TimeSpan.Zero)
                return _hasSpill ? TryPinRescued(thread, id, out obj) : status;
            return WaitFor(thread, id, new Deadline(timeout), spin, out obj, cancellationToken);
        }
        finally
        {
            Leave(thread);
            if (IsClosing)
                TryDetach();
        }
    }

    /// <summary>As <see cref="TryGet(in ObjectId, TimeSpan, out PlasmaObject, TimeSpan, CancellationToken)"/>, with exceptions.</summary>
    /// <exception cref="TimeoutException">The object was not sealed in time; the message says what is known of it.</exception>
    /// <exception cref="PlasmaException">All pin slots are taken; or the object is on disk and could not be brought back (<see cref="PlasmaStatus.NotResident"/>): the message says why, with file and offset where the disk is the reason.</exception>
    public PlasmaObject Get(in ObjectId id, TimeSpan timeout, TimeSpan spin = default, CancellationToken cancellationToken = default)
    {
        PlasmaStatus status = TryGet(id, timeout, out PlasmaObject obj, spin, cancellationToken);
        return status switch
        {
            PlasmaStatus.Ok => obj,
            PlasmaStatus.TooManyPins => throw _slots.TooManyPins(),
            PlasmaStatus.NotResident => throw NotResident(id, timeout),
            _ => throw Late(id, timeout),
        };
    }

    /// <summary>Whether a sealed object of that id exists now, in memory or on disk. Pins nothing.</summary>
    public bool Contains(in ObjectId id)
    {
        ThreadSlots thread = Enter();
        try
        {
            return ContainsCore(id);
        }
        finally
        {
            Leave(thread);
        }
    }

    internal bool ContainsCore(in ObjectId id)
    {
        ObjectIndex.CandidateWalk walk = _index.Walk(_index.HashOf(id));
        while (walk.Next(out IndexWord word, out _))
        {
            ObjectEntry* entry = _memory.Entry(word.Entry);
            if (ObjectIndex.CarriesId(entry, word.Generation, id, out StateWord state) && state.IsPresent && (!state.Expires || !HasExpired(entry)))
                return true;
        }
        return false;
    }

    /// <summary>The read path: docs/concurrency.md, section 2.</summary>
    /// <remarks>The word at the id's home place is the right one for most ids: it is tried with nothing to search for and nothing else to remember, so that all of it stays in registers. A walk does the rest.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private PlasmaStatus TryPin(ThreadSlots thread, in ObjectId id, out PlasmaObject obj)
    {
        ulong hash = _buckets.HashOf(in id);
        var word = new IndexWord(Volatile.Read(ref *_buckets.Home(hash))); // OBSERVE word.
        if (word.HasTagOf(hash) && !word.IsEmpty)
        {
            PlasmaStatus status = TryPinWord(thread, word, in id, out obj);
            return status != PlasmaStatus.NotFound ? status : TryPinByWalk(thread, in id, out obj);
        }
        if (_index.CountCandidates(hash) != 0)
            return TryPinByWalk(thread, hash, in id, out obj);
        obj = default;
        return PlasmaStatus.NotFound;
    }

    /// <summary>Hashes again: the rare caller that has tried a word in vain need not keep the hash meanwhile.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private PlasmaStatus TryPinByWalk(ThreadSlots thread, in ObjectId id, out PlasmaObject obj) => TryPinByWalk(thread, _buckets.HashOf(in id), in id, out obj);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private PlasmaStatus TryPinByWalk(ThreadSlots thread, ulong hash, in ObjectId id, out PlasmaObject obj)
    {
        ObjectIndex.CandidateWalk walk = _index.Walk(hash);
        while (walk.Next(out IndexWord word, out _))
        {
            PlasmaStatus status = TryPinWord(thread, word, in id, out obj);
            if (status != PlasmaStatus.NotFound)
                return status;
        }
        obj = default;
        return PlasmaStatus.NotFound;
    }

    /// <remarks>Whatever is rare is called last and does not come back, so that nothing of the rest has to be kept on the stack for it.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private PlasmaStatus TryPinWord(ThreadSlots thread, IndexWord word, in ObjectId id, out PlasmaObject obj)
    {
        Unsafe.SkipInit(out obj); // Set on Ok; every caller sets it on the way out otherwise.
        uint index = word.Entry, generation = word.Generation;
        if (index >= _entryCount)
            _memory.ThrowNoSuchEntry(index);
        ObjectEntry* entry = _entries + index;
        var state = new StateWord(Volatile.Read(ref entry->State));
        if (!state.IsSealed(generation))
            return PlasmaStatus.NotFound;
        if (!SlotTable.IsReady(thread))
            return TryPinInAnotherSlot(thread, word, in id, out obj);
        PinSlot* pin = thread.Pin;
        long sequence = SlotTable.Hold(thread);
        pin->Since = CoarseClock.UtcTicks;

        // PUBLISH pin: full fence, before State is read again. OBSERVE in SlotScan: either a reclaimer's scan sees the pin or we see Condemned.
        Interlocked.Exchange(ref pin->Word, new SlotWord(SlotKind.Pin, generation, word.Entry).Value);
        // CRASH pin-announced: one pin that recovery clears.
        FailPoint.Pass("pin-announced");
        if (new StateWord(Volatile.Read(ref entry->State)).IsSealed(generation) && ObjectId.Same(in entry->Id, in id))
        {
            long offset = entry->DataOffset, bytes = entry->PayloadBytes;
            if (!StoreMemory.IsInside(offset, bytes, _capacity)) // What follows the payload is checked by who reads it.
                ThrowBrokenObject(thread, sequence, bytes);
            thread.Count(Counter.Gets);
            thread.Count(Counter.GetBytes, bytes);
            PlasmaObject.Init(out obj, this, entry, _payload + offset, bytes, thread.Slot, sequence);
            return (state.Value & StateWord.TouchMask) == 0 ? PlasmaStatus.Ok : Touched(thread, word.Entry, sequence, bytes);
        }

        // A failed validation is a miss: at that instant the object was gone. Another id behind the same tag: on to the next word.
        Withdraw(thread, sequence);
        return PlasmaStatus.NotFound;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private PlasmaStatus TryPinInAnotherSlot(ThreadSlots thread, IndexWord word, in ObjectId id, out PlasmaObject obj)
    {
        if (_slots.TryReady(thread))
            return TryPinWord(thread, word, in id, out obj);
        obj = default;
        return PlasmaStatus.TooManyPins;
    }

    /// <summary>A get has found an object that may be evicted, or that expires: leaves a hint, or takes the pin back.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private PlasmaStatus Touched(ThreadSlots thread, uint entry, long sequence, long bytes)
    {
        var state = new StateWord(Volatile.Read(ref _entries[entry].State)); // Pinned: it keeps generation and flags.
        if (IsExpired(state, _entries + entry))
        {
            thread.Count(Counter.Gets, -1);
            thread.Count(Counter.GetBytes, -bytes);
            Withdraw(thread, sequence);
            return PlasmaStatus.NotFound;
        }
        VictimMap.Hint(_ownHints, entry);
        return PlasmaStatus.Ok;
    }

    /// <summary>Ends a pin that nobody was given yet.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Withdraw(ThreadSlots thread, long sequence)
    {
        Volatile.Write(ref thread.Pin->Word, 0);
        SlotTable.EndRelease(thread.Sequence, sequence);
    }

    private void ThrowBrokenObject(ThreadSlots thread, long sequence, long bytes)
    {
        Withdraw(thread, sequence);
        throw _memory.Broken("an object has the payload length", bytes, _capacity);
    }

    /// <summary>Pins a record that a walk has met; false when it is no longer sealed in that generation.</summary>
    internal bool TryPinEntry(uint entryIndex, uint generation, out PlasmaObject obj)
    {
        ThreadSlots thread = Enter();
        try
        {
            obj = default;
            ObjectEntry* entry = _memory.Entry(entryIndex);
            if (!_slots.TryAcquire(thread, out int slot, out long sequence))
                throw _slots.TooManyPins();
            PinSlot* pin = _slots.Slot(slot);
            pin->Since = CoarseClock.UtcTicks;
            Interlocked.Exchange(ref pin->Word, new SlotWord(SlotKind.Pin, generation, entryIndex).Value); // PUBLISH pin, as in TryPin.
            bool present = new StateWord(Volatile.Read(ref entry->State)).IsSealed(generation);
            long offset = entry->DataOffset, bytes = entry->PayloadBytes;
            if (present && bytes >= 0 && entry->UserBytes >= 0 && StoreMemory.IsInside(offset, ObjectEntry.BytesNeeded(bytes, entry->TailBytes), _capacity))
            {
                PlasmaObject.Init(out obj, this, entry, _payload + offset, bytes, slot, sequence);
                return true;
            }
            Volatile.Write(ref pin->Word, 0);
            _slots.EndRelease(slot, sequence);
            return false;
        }
        finally
        {
            Leave(thread);
        }
    }

    internal bool TryReadTail(uint entryIndex, uint generation, out string name, out string contentType)
    {
        name = contentType = "";
        if (!TryPinEntry(entryIndex, generation, out PlasmaObject obj))
            return false;
        using (obj)
            (name, contentType) = (obj.Name, obj.ContentType);
        return true;
    }

    /// <summary>Ends a pin; a second call with the same handle does nothing.</summary>
    internal void Release(int slot, long sequence, ObjectEntry* entry)
    {
        long* place = _sequences + slot;
        if (SlotTable.TryBeginRelease(place, sequence))
            ReleaseBegun(place, slot, sequence, entry);
        else
            ReleaseKept(slot, sequence, entry);
    }

    /// <summary>The address of a pin was given to an API: the pin stays until it is given back, or nothing is to be done at all.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void ReleaseKept(int slot, long sequence, ObjectEntry* entry)
    {
        if (_slots.TryBeginReleaseKept(slot, sequence))
            ReleaseBegun(_sequences + slot, slot, sequence, entry);
    }

    /// <summary>Gives back what <see cref="SlotTable.TryKeep"/> has kept.</summary>
    internal void EndKeeping(int slot, long sequence, ObjectEntry* entry)
    {
        if (_slots.EndKeeping(slot, sequence))
            ReleaseBegun(_sequences + slot, slot, sequence, entry);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void ReleaseBegun(long* place, int slot, long sequence, ObjectEntry* entry)
    {
        PinSlot* pin = _slots.Slot(slot);
        var word = new SlotWord(pin->Word);
        Volatile.Write(ref pin->Word, 0);

        // Without a fence: a condemn or a wish for space that comes at this very moment is found by the next finisher or slice instead.
        ulong state = Volatile.Read(ref entry->State);
        if ((state & StateWord.StateMask) != (ulong)ObjectState.Sealed << StateWord.StateShift || (Volatile.Read(ref *_spaceWord) & WaitWord.WaitersFlag) != 0)
            ReleaseSlow(word);
        SlotTable.EndRelease(place, sequence);
        if (IsDisposed)
            TryDetach();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void ReleaseSlow(SlotWord word)
    {
        if (Access == StoreAccess.ReadWrite)
        {
            Interlocked.MemoryBarrier();
            var state = new StateWord(Volatile.Read(ref _memory.Entry(word.Entry)->State));
            if (state.State == ObjectState.Condemned && state.Generation == word.Generation)
                _reclaimer.Finish(null, word.Entry, word.Generation, isUnpublished: false, out _);
        }
        if ((Volatile.Read(ref *_spaceWord) & WaitWord.WaitersFlag) != 0)
        {
            if (_memory.CanWriteWaits)
                _waits.Wake(_spaceWord);
            else
                Native.Futex.WakeAll((uint*)_spaceWord);
        }
    }

    private PlasmaException NotResident(in ObjectId id, TimeSpan timeout) =>
        timeout == TimeSpan.Zero ? new(PlasmaStatus.NotResident, $"Object {id} is on disk; a get with a timeout brings it back.") : NotResident(id, timeout, DescribeAbsence(id));

    private static PlasmaException NotResident(in ObjectId id, TimeSpan timeout, string? why) =>
        new(PlasmaStatus.NotResident, $"Object {id} is on disk and could not be brought back (timeout {timeout}): {why}.");

    private TimeoutException Late(in ObjectId id, TimeSpan timeout) => new($"Object {id} was not sealed within {timeout}: {DescribeAbsence(id)}.");

    /// <summary>What is known of an object that this thread has waited for in vain.</summary>
    internal string DescribeAbsence(in ObjectId id)
    {
        ThreadSlots? thread = t_last is { } last && last.Owner == this && last.LateId == id ? last : null;
        return thread?.LateText ?? DescribeAbsence(id, thread?.LateReason ?? NodeReason.Unknown);
    }

    /// <summary>What is known of an object that was waited for in vain.</summary>
    private string DescribeAbsence(in ObjectId id, int nodeReason)
    {
        BeginSlowCall();
        try
        {
            string known = "nobody has begun to create it";
            if (_index.TryFindCommitted(id, _index.HashOf(id), out StateWord state, out uint entry))
            {
                known = state.IsPresent && IsExpired(state, _memory.Entry(entry)) ? $"it expired at {StoreInspector.ToTime(_memory.Entry(entry)->ExpiresAt):u}"
                    : state.State == ObjectState.Sealed ? "it has been sealed since"
                    : state.State == ObjectState.Spilled ? "it is on disk"
                    : $"it is {state.State}, by {DescribeParticipant(state.Participant)}, since {StoreInspector.ToTime(_memory.Entry(entry)->CreatedAt):u}";
            }
            return NodeReason.Describe(nodeReason) is string said ? $"{known}; {said}" : known;
        }
        finally
        {
            EndSlowCall();
        }
    }

    private string DescribeParticipant(int index)
    {
        if (_participants.Domain != 0 || index >= _participants.High)
            return $"participant {index}";
        ParticipantBlock* block = _participants.Block(index);
        bool other = block->PidNamespace != OsIdentity.PidNamespace;
        string life = !_participants.IsAlive(index) ? "dead" : !other && OsIdentity.StateOf(block->ProcessId) is 'T' or 't' ? "stopped" : "alive";
        return $"process {block->ProcessId} ({ParticipantTable.CommandNameOf(block)}{(other ? ", number of another pid namespace" : "")}, {life})";
    }
}
