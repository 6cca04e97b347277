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

/// <content>Objects go to disk when memory is short: a copy is written while the object stays readable, then its memory is taken away. docs/concurrency.md, section 12.</content>
public sealed unsafe partial class PlasmaStore
{
    /// <summary>Objects whose memory is taken away after one look at all slots.</summary>
    private const int UnloadBatch = 32;

    /// <summary>How many copies one call writes at a time: enough to keep a disk busy.</summary>
    private const int CopiesAtATime = 4;

    /// <summary>So many bytes of small objects at least go to disk at once, so that the next puts find room too.</summary>
    private const long SpillBytesMin = 1 << 20;

    /// <summary>How long a create that finds nothing to move waits for what others are moving; and how long one move counts as one that goes on.</summary>
    private const int OthersMoveMs = 5000;

    /// <summary>One unloader at a time in this attachment: so nobody but it changes what is in Unloading or Emptying by this participant.</summary>
    private readonly Lock _unloading = new();

    /// <summary>What the last copy that could not be written met; null after one that could.</summary>
    private string? _spillProblem;

    /// <summary>Whether objects of this store can be on disk, also when this attachment cannot read them there.</summary>
    internal bool HasSpill => _hasSpill;

    /// <summary>What became of a copy.</summary>
    private enum CopyOutcome
    {
        /// <summary>The object is on disk, by us or by others.</summary>
        Clean,

        /// <summary>Somebody else writes it.</summary>
        Busy,

        /// <summary>It is no longer in memory in that generation, or no slot is free.</summary>
        Passed,

        /// <summary>The disk refused.</summary>
        Failed,
    }

    /// <summary>Moves objects to disk that nobody reads, those used longest ago first: writes copies of those that have none, and takes their memory. Objects that may be evicted stay.</summary>
    /// <param name="bytes">How much memory is wanted; as many objects as that takes.</param>
    /// <param name="cancellationToken">Ends the wait for a disk at once. Without it one that does not answer is waited for 30 seconds, and a second more for each 32 MiB.</param>
    /// <returns>Bytes of memory freed; less than wanted when there is no more, or the disk takes no more. 0 in a store without spill directories.</returns>
    /// <exception cref="InvalidOperationException">The store is open for reading only.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public long Unload(long bytes, CancellationToken cancellationToken = default)
    {
        RequireWriter();
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        ThreadSlots thread = Enter();
        try
        {
            long freed = 0;
            while (_spill is not null && freed < bytes) // Ends: each round frees something, or there is nothing left.
            {
                List<Evictor.Victim> victims = _evictor.Choose(bytes - freed, Evictor.Movable);
                bool failed = !CopyOut(thread, victims, new Deadline(PatienceFor(victims.Sum(static v => v.Bytes))), cancellationToken);
                long round = Unload(thread, victims);
                freed += round;
                if (round == 0 || failed)
                    break;
            }
            return freed;
        }
        finally
        {
            Leave(thread);
            if (IsClosing)
                TryDetach();
        }
    }

    /// <summary>Takes a block by moving objects to disk that nobody reads, or evicting those that may go, until there is room. False when nothing more can be moved.</summary>
    private bool TrySpillFor(ThreadSlots thread, long needed, int alignment, ulong owner, ObjectEntry* entry, Deadline deadline, out long offset, CancellationToken cancellationToken)
    {
        offset = 0;
        if (_spill is null || IsRefusedCheaply)
            return false;
        bool everywhere = false, looked = false;
        bool inSlab = BlockAllocator.FitsSlab(needed, alignment);
        long wanted = BlockAllocator.BlockBytesFor(needed, alignment), othersUntilMs = Environment.TickCount64 + OthersMoveMs;
        RingSpiller();
        for (int lost = 0; lost < LostEvictionsMax;) // Ends: each round moves something, or loses its victims to others, or waits for them within a bounded time, or there is nothing left that helps.
        {
            uint sequence = _waits.Announce(_reclaimer.SpaceWord);
            List<Evictor.Victim> victims = _evictor.ChooseForBlock(wanted, inSlab, _allocator.LastReservationError is null, Evictor.EvictableOrMovable, everywhere);
            if (victims.Count > 0)
            {
                looked = false;
                if (inSlab && victims.Sum(static v => v.Bytes) < SpillBytesMin)
                    victims.AddRange(_evictor.Choose(SpillBytesMin, Evictor.Movable)); // One that is in it already is moved once.
                if (!MoveOut(thread, victims, deadline, out bool failed, cancellationToken))
                    lost++;
                if (failed && (deadline.HasPassed || _spill.ProblemNow() is not null))
                    lost = LostEvictionsMax; // Another attempt would meet the same disk; what could be moved was.
            }
            else if (!everywhere)
            {
                everywhere = true;
                _evictor.Map.Rebuild(); // A death may have lost a candidate.
                continue;
            }
            else
            {
                if (!AnybodyMoves() && !looked)
                {
                    looked = true; // What somebody has just moved was nobody's victim before.
                    continue;
                }
                if (!AnybodyMoves() || Environment.TickCount64 >= othersUntilMs || deadline.HasPassed || IsClosing)
                    break;
                cancellationToken.ThrowIfCancellationRequested();
                WaitWords.Sleep(_reclaimer.SpaceWord, sequence, deadline.SliceMs(WaitWords.SliceMs), cancellationToken);
            }
            if (_allocator.TryAllocate(thread.Blocks, needed, alignment, owner, &entry->Block, Effort.Pressure, out offset))
                return true;
        }
        return false;
    }

    /// <summary>Makes room of victims: evicts those that may go, writes copies of the others where there are none, and takes their memory. False when nothing came of it.</summary>
    private bool MoveOut(ThreadSlots thread, List<Evictor.Victim> victims, Deadline deadline, out bool failed, CancellationToken cancellationToken)
    {
        List<Evictor.Victim> evictable = [], movable = [];
        foreach (Evictor.Victim victim in victims)
            (new StateWord(Volatile.Read(ref _entries[victim.Entry].State)).IsEvictable ? evictable : movable).Add(victim);
        int condemned = 0;
        if (evictable.Count > 0)
            Condemn(thread, evictable, PlasmaEventKind.Evicted, out condemned);
        failed = !CopyOut(thread, movable, deadline, cancellationToken);
        return Unload(thread, movable) > 0 || condemned > 0;
    }

    /// <summary>Takes the memory of victims that have a copy on disk and that nobody reads. Returns bytes freed.</summary>
    private long Unload(ThreadSlots thread, List<Evictor.Victim> victims)
    {
        if (victims.Count == 0)
            return 0;
        Span<Move> batch = stackalloc Move[UnloadBatch];
        long freed = 0;
        lock (_unloading)
        {
            for (int next = 0; next < victims.Count;)
            {
                int count = 0;
                try
                {
                    bool anySlot = true;
                    while (count < batch.Length && next < victims.Count && anySlot)
                    {
                        Evictor.Victim victim = victims[next++];
                        if (!new SpillPlace(Volatile.Read(ref _entries[victim.Entry].SpillPlace)).IsPlace)
                            continue;
                        batch[count] = default;
                        anySlot = _slots.TryAcquire(thread, out batch[count].Slot, out batch[count].Sequence);
                        if (anySlot)
                            BeginUnload(ref batch[count++], victim);
                    }
                    freed += EmptyUnread(thread, batch[..count]);
                    if (!anySlot)
                        break;
                }
                finally
                {
                    foreach (ref Move move in batch[..count])
                    {
                        Volatile.Write(ref _slots.Slot(move.Slot)->Word, 0);
                        _slots.EndRelease(move.Slot, move.Sequence);
                    }
                }
            }
        }
        if (freed > 0)
            _waits.Wake(_reclaimer.SpaceWord);
        return freed;
    }

    /// <summary>An object on its way out.</summary>
    private struct Move
    {
        internal int Slot;
        internal long Sequence;
        internal ulong Owner;
        internal StateWord Unloading;
    }

    private void BeginUnload(ref Move move, in Evictor.Victim victim)
    {
        ObjectEntry* entry = _entries + victim.Entry;
        PinSlot* announcement = _slots.Slot(move.Slot);
        announcement->Since = CoarseClock.UtcTicks;

        // PUBLISH announcement: before the state; recovery finds through it what we have in Unloading or Emptying. OBSERVE in Recovery.
        Interlocked.Exchange(ref announcement->Word, new SlotWord(SlotKind.Unload, victim.Generation, victim.Entry).Value);
        // CRASH unload-announced: nothing but the announcement.
        FailPoint.Pass("unload-announced");
        var state = new StateWord(Volatile.Read(ref entry->State));
        if (!state.IsSealed(victim.Generation) || !state.IsMovable || !new SpillPlace(Volatile.Read(ref entry->SpillPlace)).IsPlace)
            return;
        StateWord unloading = state.With(ObjectState.Unloading, _participants.Index);

        // PUBLISH unload: full fence, before the scan. OBSERVE in TryPin: a pin that the scan misses is validated later and does not see Sealed.
        if (Interlocked.CompareExchange(ref entry->State, unloading.Value, state.Value) != state.Value)
            return;
        // CRASH unload-begun: Unloading by a dead participant; a getter or recovery puts it back to Sealed.
        FailPoint.Pass("unload-begun");
        move.Unloading = unloading;
        move.Owner = BlockOwner.Of(victim.Generation, victim.Entry);
    }

    /// <summary>One look at all slots for a batch in Unloading: what is read goes back to Sealed, the rest is emptied.</summary>
    private long EmptyUnread(ThreadSlots thread, Span<Move> batch)
    {
        Span<ulong> owners = stackalloc ulong[UnloadBatch];
        bool any = false;
        for (int i = 0; i < batch.Length; i++)
            any |= (owners[i] = batch[i].Owner) != 0;
        if (!any)
            return 0;
        var unread = new UnreadOwners(owners[..batch.Length], stackalloc ulong[UnreadOwners.TableLength(UnloadBatch)]);
        _scan.Visit(ref unread); // OBSERVE pin: the exchanges to Unloading came before.
        long freed = 0;
        foreach (ref Move move in batch)
        {
            if (move.Owner == 0)
                continue;
            ObjectEntry* entry = _entries + BlockOwner.EntryOf(move.Owner);
            if (!unread.Contains(move.Owner))
            {
                ulong* back = WaitWordOf(entry);
                if (Interlocked.CompareExchange(ref entry->State, move.Unloading.With(ObjectState.Sealed).Value, move.Unloading.Value) == move.Unloading.Value)
                    _waits.Wake(back); // Who could not rescue it may sleep.
                continue;
            }

            // Place and id are those of this generation if the exchange below succeeds: they do not change before it.
            BlockPlace place = entry->Block;
            ulong* word = WaitWordOf(entry);
            StateWord emptying = move.Unloading.With(ObjectState.Emptying);

            // OBSERVE rescue: fails when a getter has put it back, or somebody deleted it.
            if (Interlocked.CompareExchange(ref entry->State, emptying.Value, move.Unloading.Value) != move.Unloading.Value)
                continue;
            // CRASH unload-emptying: recovery frees the memory words and makes it Spilled.
            FailPoint.Pass("unload-emptying");
            if (_memory.Chunks.Contains(place))
                freed += _allocator.Free(thread.Blocks, place, move.Owner);
            // CRASH unload-emptied: as unload-emptying, with nothing left to free.
            FailPoint.Pass("unload-emptied");

            // PUBLISH spilled: full fence; no memory word of this generation is left (E3). Fails when it was deleted meanwhile; whoever finishes it finds the words gone. OBSERVE in TryRestore.
            Interlocked.CompareExchange(ref entry->State, emptying.With(ObjectState.Spilled).Value, emptying.Value);
            // CRASH unload-unwoken: who waits for the id looks after a slice.
            FailPoint.Pass("unload-unwoken");
            _waits.Wake(word);
        }
        return freed;
    }

    /// <summary>Where those sleep who wait for the id that an entry carries now.</summary>
    private ulong* WaitWordOf(ObjectEntry* entry) => _memory.WaitOf(_index.HashOf(in entry->Id));

    /// <summary>Ends an announcement that kept the entry, as the release of a pin does.</summary>
    private void EndMove(int slot, long sequence)
    {
        PinSlot* announcement = _slots.Slot(slot);
        var word = new SlotWord(announcement->Word);
        Volatile.Write(ref announcement->Word, 0);
        if (word.Value != 0)
            ReleaseSlow(word); // Somebody may have deleted it meanwhile and could not free it, or wait for room.
        _slots.EndRelease(slot, sequence);
    }

    /// <summary>Whether any participant is moving an object to disk at this moment.</summary>
    private bool AnybodyMoves()
    {
        var moves = new MoveScan(_entries, _entryCount, CoarseClock.UtcTicks);
        _scan.VisitOwn(ref moves);
        return moves.Any;
    }

    /// <summary>Moves that began longer ago than they may take do not count: they may be stuck.</summary>
    private struct MoveScan(ObjectEntry* entries, uint entryCount, long now) : ISlotVisitor
    {
        internal bool Any { get; private set; }

        public static bool WantsNames => false;

        public void Visit(in SlotOwner owner, SlotWord word, long since)
        {
            if (word.Kind is SlotKind.Copy or SlotKind.Unload && word.Entry < entryCount)
                Any |= now - since < (OthersMoveMs + Math.Max(entries[word.Entry].PayloadBytes, 0) / (DiskTurns.BytesPerSecond / 1000)) * TimeSpan.TicksPerMillisecond;
        }

        public readonly void VisitUnreadable()
        {
            // Readers move nothing.
        }
    }

    /// <summary>The first problem of a kind is logged; all are told by whoever finds no room.</summary>
    private void NoteSpillProblem(string problem)
    {
        if (Interlocked.Exchange(ref _spillProblem, problem) is null)
            Logger.LogWarning("Objects of store '{Store}' cannot be moved to disk: {Problem}.", Name, problem);
        ParticipantTable.CountSpill(_participants.Own, SpillCounter.SpillErrors, 1);
    }

    /// <summary>What the entry says of its object. Whoever asks keeps it from becoming another's.</summary>
    private static ObjectImage ImageOf(ObjectEntry* entry, StateWord state) => new()
    {
        Id = entry->Id,
        PayloadBytes = entry->PayloadBytes,
        NameBytes = entry->NameBytes,
        ContentTypeBytes = entry->ContentTypeBytes,
        UserBytes = entry->UserBytes,
        Incarnation = entry->Incarnation,
        Checksum = state.HasChecksum ? entry->Checksum : 0,
        HasChecksum = state.HasChecksum,
        IsEvictable = state.IsEvictable,
        IsReplica = state.IsReplica,
        CreatedAtTicks = entry->CreatedAt,
        SealedAtTicks = entry->SealedAt,
        ExpiresAtTicks = state.Expires ? entry->ExpiresAt : 0,
    };
}
