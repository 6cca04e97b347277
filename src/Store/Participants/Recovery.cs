using System.Runtime.InteropServices;
using FastPlasma.Allocator;
using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Native;
using FastPlasma.Nodes;
using FastPlasma.Reclaim;
using FastPlasma.Spill;
using FastPlasma.Waiting;
using Microsoft.Extensions.Logging;

namespace FastPlasma.Participants;

/// <summary>Undoes or finishes what dead participants left. Every step is idempotent: a recoverer that dies gives the token back and the next one repeats.</summary>
internal sealed unsafe class Recovery
{
    private readonly StoreMemory _memory;
    private readonly ParticipantTable _participants;
    private readonly SlotScan _scan;
    private readonly Reclaimer _reclaimer;
    private readonly EventRing _events;
    private readonly WaitWords _waits;
    private readonly ILogger _logger;

    internal Recovery(
        StoreMemory memory, ParticipantTable participants, SlotScan scan, Reclaimer reclaimer, EventRing events, WaitWords waits, ILogger logger)
    {
        (_memory, _participants, _scan, _reclaimer, _events, _waits, _logger) = (memory, participants, scan, reclaimer, events, waits, logger);
    }

    /// <summary>Recovers one participant of the writers' domain if it is dead. True when this call did it.</summary>
    internal bool TryRecover(int index) => _participants.TryRecover(index, RecoverUnderToken);

    /// <summary>Looks at all participants of all domains. Returns how many were recovered.</summary>
    internal int RecoverAll()
    {
        int recovered = 0;
        int high = _participants.High;
        for (int k = 0; k < high; k++)
            if (k != _participants.Index && Volatile.Read(ref _participants.Block(k)->Attached) != 0 && TryRecover(k))
                recovered++;
        for (int d = 1; d < _scan.DomainCount && !_participants.ProbeLock.IsHeldByCurrentThread; d++)
        {
            try
            {
                recovered += RecoverForeign(d);
            }
            catch (OsException e)
            {
                _logger.LogWarning(e, "The reader domain of user {Uid} could not be recovered.", _memory.Domains[d].Uid); // Its pins count until it can.
            }
        }
        return recovered;
    }

    /// <summary>The repair of one participant. The caller holds its token.</summary>
    internal void RecoverUnderToken(int index)
    {
        ParticipantBlock* block = _participants.Block(index);
        int processId = block->ProcessId;
        int chunks = ParticipantTable.ChunkHigh(block), creations = 0, pins = 0, moves = 0;
        List<ulong>? copies = null;
        for (int c = 0; c < chunks; c++)
        {
            PinSlot* slots = ParticipantTable.Slots(ParticipantTable.Chunk(block, c));
            for (int i = 0; i < SlotChunk.SlotCount; i++)
            {
                var word = new SlotWord(Volatile.Read(ref slots[i].Word)); // OBSERVE announcement: whatever the dead one took or condemned, it had announced.
                switch (word.Kind)
                {
                    case SlotKind.Own when word.Entry < (uint)_memory.Geometry.ObjectCountMax:
                        creations += AbortCreation(index, word) ? 1 : 0;
                        break;
                    case SlotKind.Condemn when word.Entry < (uint)_memory.Geometry.ObjectCountMax:
                        // Finishing needs a scan of all slots, and this pins nothing: whoever is next short of memory does it.
                        _reclaimer.RequestWalk();
                        break;
                    case SlotKind.Unload or SlotKind.Restore when word.Entry < (uint)_memory.Geometry.ObjectCountMax:
                        moves += EndMove(index, word) ? 1 : 0;
                        break;
                    case SlotKind.Copy when word.Entry < (uint)_memory.Geometry.ObjectCountMax:
                        if (HasClaimed(index, word))
                            (copies ??= []).Add(BlockOwner.Of(word.Generation, word.Entry));
                        break;
                    case SlotKind.Pin:
                        pins++;
                        break;
                }
            }
        }
        _reclaimer.Allocator.Recover(index);
        if (_reclaimer.Spill is { } spill)
        {
            spill.Recover(index);
            if (copies is not null)
                EndCopies(spill, index, copies);
        }
        _events.Recover(index);

        // CRASH recovery-half: everything above is repeated by the next recoverer; slots and list are cleared only now.
        FailPoint.Pass("recovery-half");
        ulong* condemned = ParticipantTable.Condemned(block);
        bool anyCondemned = false;
        for (int i = 0; i < ParticipantBlock.CondemnedCount; i++)
            anyCondemned |= Volatile.Read(ref condemned[i]) != 0;
        if (anyCondemned)
            _reclaimer.RequestWalk(); // Before the list forgets them.
        for (int i = 0; i < ParticipantBlock.CondemnedCount; i++)
            Volatile.Write(ref condemned[i], 0);
        for (int c = 0; c < chunks; c++)
        {
            PinSlot* slots = ParticipantTable.Slots(ParticipantTable.Chunk(block, c));
            for (int i = 0; i < SlotChunk.SlotCount; i++)
                Volatile.Write(ref slots[i].Word, 0);
        }
        NodeMailbox.ForgetService(_memory.Header, index);
        SpaceQueue.Recover(_memory, index);
        Interlocked.Exchange(ref _memory.Header->NextExpiry, 0); // It may have died between a seal and this word, or before a walk was done: the next maintenance walks.

        // CRASH recovery-cleared: an empty participant that is still marked; the next recoverer clears the mark and wakes everybody.
        FailPoint.Pass("recovery-cleared");
        Interlocked.Exchange(ref block->Attached, 0);
        // CRASH recovery-unwoken: nobody wakes those who wait for what the dead one had; they look every slice.
        FailPoint.Pass("recovery-unwoken");
        _waits.WakeAll(); // It may have died between a change and its wake.
        if (_participants.Index >= 0)
            Interlocked.Increment(ref _participants.Own->Recoveries);
        _logger.LogInformation(
            "Recovered participant {Index} (process {ProcessId}, dead): {Creations} unfinished objects removed, {Pins} pins released.", index, processId, creations, pins);
        if (moves + (copies?.Count ?? 0) is > 0 and int moved)
            _logger.LogInformation("{Moves} moves of participant {Index} between memory and disk were undone or finished.", moved, index);
    }

    private bool AbortCreation(int participant, SlotWord word)
    {
        ObjectEntry* entry = _memory.Entry(word.Entry);
        var state = new StateWord(Volatile.Read(ref entry->State));
        if (state.Generation != word.Generation || state.Participant != participant)
            return false;
        if (state.State is ObjectState.Tentative or ObjectState.Creating)
        {
            // A rival may abort a Tentative entry at the same time; either way it is Aborted afterwards.
            Interlocked.CompareExchange(ref entry->State, state.With(ObjectState.Aborted).Value, state.Value);
            state = new StateWord(Volatile.Read(ref entry->State));
        }
        if (state.Generation != word.Generation || state.State != ObjectState.Aborted)
            return false;
        _reclaimer.Free(null, word.Entry, word.Generation);
        return true;
    }

    /// <summary>What the dead one had in Unloading is as it was, in Emptying and in Restoring on disk and nowhere else.</summary>
    /// <remarks>Only the participant itself or its recoverer changes these states, except a getter (Unloading → Sealed) and a deleter, whose exchange lets ours fail.</remarks>
    private bool EndMove(int participant, SlotWord announced)
    {
        ObjectEntry* entry = _memory.Entry(announced.Entry);
        BlockPlace place = entry->Block;
        Volatile.ReadBarrier(); // OBSERVE: the place is read before State; in another generation it is another object's.
        var state = new StateWord(Volatile.Read(ref entry->State));
        if (state.Is(ObjectState.Unloading, announced.Generation, participant))
            return Interlocked.CompareExchange(ref entry->State, state.With(ObjectState.Sealed).Value, state.Value) == state.Value;
        if (!state.Is(ObjectState.Emptying, announced.Generation, participant) && !state.Is(ObjectState.Restoring, announced.Generation, participant))
            return false;
        if (_memory.Chunks.Contains(place))
            _reclaimer.Allocator.Free(null, place, BlockOwner.Of(announced.Generation, announced.Entry));
        // CRASH recovery-move: the words are gone, the state is not changed; the next recoverer repeats this.
        FailPoint.Pass("recovery-move");
        return Interlocked.CompareExchange(ref entry->State, state.With(ObjectState.Spilled).Value, state.Value) == state.Value;
    }

    /// <summary>Whether the dead one's announcement of a copy came to a claim. The announcement still keeps the entry in that generation then.</summary>
    private bool HasClaimed(int participant, SlotWord announced)
    {
        ObjectEntry* entry = _memory.Entry(announced.Entry);
        return new StateWord(Volatile.Read(ref entry->State)).Generation == announced.Generation
            && Volatile.Read(ref entry->SpillPlace) == SpillPlace.Claim(participant).Value;
    }

    /// <summary>Takes claims back after what was taken on disk for them: while a claim stands nobody else takes or frees blocks there for the same entry and generation.</summary>
    private void EndCopies(SpillSpace spill, int participant, List<ulong> owners)
    {
        foreach (ulong owner in owners)
            spill.FreeAbandoned(owner);
        // CRASH recovery-copies: claims without anything on disk; the next recoverer repeats this.
        FailPoint.Pass("recovery-copies");
        foreach (ulong owner in owners)
            Interlocked.CompareExchange(ref _memory.Entry(BlockOwner.EntryOf(owner))->SpillPlace, 0, SpillPlace.Claim(participant).Value);
    }

    private int RecoverForeign(int domain)
    {
        if (_scan.ForeignPins(domain) is not { } pins || _scan.ForeignLock(domain) is not { } lockFile)
            return 0;
        lock (_participants.ProbeLock)
        {
            int recovered = 0;
            using var tokens = new LifeTokens(lockFile.Reopen(writable: true));
            Span<byte> head = stackalloc byte[128];
            for (int k = 0; k < StoreGeometry.ReaderParticipantCountMax; k++)
            {
                long at = PinsHeader.SizeBytes + (long)k * ParticipantBlock.SizeBytes;
                if (pins.ReadAt(at, head) < head.Length)
                    break;
                if (MemoryMarshal.Read<int>(head) == 0 || !tokens.TryAcquire(k))
                    continue;
                if (pins.ReadAt(at, head) == head.Length && MemoryMarshal.Read<int>(head) != 0)
                {
                    ClearForeignSlots(pins, at, Math.Clamp(MemoryMarshal.Read<int>(head[64..]), 0, ParticipantBlock.ReaderChunkCountMax));
                    recovered++;
                }
                tokens.Release(k);
            }
            return recovered;
        }
    }

    private static void ClearForeignSlots(SharedFile pins, long block, int chunks)
    {
        const int slotBytes = SlotChunk.SizeBytes - SlotChunk.CountersBytes;
        Span<byte> slots = stackalloc byte[slotBytes];
        for (int c = 0; c < chunks; c++)
        {
            // Only what is set is written: the marks are the reader's, and writing zeroes into holes of its file would take memory.
            long at = block + ParticipantBlock.SlotsOffset + (long)c * SlotChunk.SizeBytes + SlotChunk.CountersBytes;
            if (pins.ReadAt(at, slots) < slotBytes || !slots.ContainsAnyExcept((byte)0))
                continue;
            slots.Clear();
            pins.WriteAt(at, slots);
        }
        pins.WriteAt(block, BitConverter.GetBytes(0));
    }
}
