using System.Collections.Concurrent;
using System.Diagnostics;
using FastPlasma.Allocator;
using FastPlasma.Format;
using FastPlasma.Native;
using FastPlasma.Nodes;
using FastPlasma.Participants;
using FastPlasma.Reclaim;
using FastPlasma.Spill;
using FastPlasma.Waiting;

namespace FastPlasma;

/// <content>What the background thread of a writing attachment does for the disk.</content>
public sealed unsafe partial class PlasmaStore
{
    /// <summary>Free memory below the first part of the capacity is too little: objects are moved out until the second part is free. Copies are written ahead until free memory and clean objects are the third part.</summary>
    private const double FreeMin = 1.0 / 8, FreeGoal = 3.0 / 16, ReadyGoal = 3.0 / 8;

    /// <summary>Objects that one round moves, in bytes at least: some of the disk's time, so that requests do not wait long.</summary>
    private const long RoundBytes = 64 << 20;

    /// <summary>Requests that one round serves.</summary>
    private const int RestoresARound = 64;

    /// <summary>How long one request is waited for, and the copies of one round; what takes longer goes on by itself.</summary>
    private const int ServeMs = 250, AheadMs = 1000;

    /// <summary>How long an error of the disk that came too late for its request is kept for the requester's next one.</summary>
    private const int UnreadableMs = 2000;

    /// <summary>How long an object that was brought back for somebody else stays pinned for them.</summary>
    private const int RestoredKeptMs = 200;

    private readonly List<(PlasmaObject Pin, long UntilMs)> _restoredForOthers = []; // The spiller's thread only.
    private readonly ConcurrentDictionary<ObjectId, long> _unreadable = []; // Until when, in milliseconds. By whoever reads for nobody any more; taken by the spiller.
    private readonly ForeignRequests _foreignRequests = new(); // The same.
    private SpillAhead? _spillAhead;
    private volatile bool _mayMoveAhead; // From the end of opening on: catalogues are taken back before anything on disk is changed.
    private int _askedToSpill;
    private uint _copyCursor;

    private ulong* RestoreWord => _memory.Wait(WaitWord.SpillerIndex);

    /// <summary>Starts the background thread, as the last step of opening the store.</summary>
    private void StartSpilling(LifeTokens token)
    {
        try
        {
            (_spillAhead = new SpillAhead(this, token)).Start();
        }
        catch
        {
            // The maintainer knows the store already: it is to leave it alone before the mappings go.
            Volatile.Write(ref _openMark, Closed);
            Maintainer.Unregister(this);
            lock (_maintenance)
                throw;
        }
    }

    /// <summary>Whoever is short of memory says so: the spiller goes on ahead of the next who is.</summary>
    private void RingSpiller()
    {
        Volatile.Write(ref _askedToSpill, 1);
        _waits.Wake(RestoreWord);
    }

    /// <summary>One round of the background thread: serve requests, move objects, sleep if there is no more to do. False when the attachment takes no more calls.</summary>
    internal bool TrySpillRound(Func<bool> isOurTurn)
    {
        if (!TryBeginSlowCall())
        {
            DropRestored(long.MaxValue);
            return false;
        }
        try
        {
            uint sequence = _waits.Announce(RestoreWord); // PUBLISH flag, before the looks. OBSERVE in RestoreAsk and RingSpiller.
            bool more = ServeRestores();
            if (_mayMoveAhead && isOurTurn())
                more |= MoveAhead();
            DropRestored(Environment.TickCount64);
            if (!more)
                WaitWords.Sleep(RestoreWord, sequence, WaitWords.SliceMs, CancellationToken.None);
            return true;
        }
        finally
        {
            if (IsClosing)
                DropRestored(long.MaxValue);
            EndSlowCall();
        }
    }

    /// <summary>Moves objects out while too little memory is free, or writes copies ahead. True when there is more to do.</summary>
    private bool MoveAhead()
    {
        long free = _allocator.FreeBytesByHints();
        if (free >= _capacity * ReadyGoal || !TryEnter(out ThreadSlots? thread))
            return false;
        try
        {
            if (free < _capacity * FreeMin || (Interlocked.Exchange(ref _askedToSpill, 0) != 0 && free < _capacity * FreeGoal))
            {
                long wanted = Math.Min((long)(_capacity * FreeGoal) - free, RoundBytes);
                List<Evictor.Victim> victims = _evictor.Choose(wanted, Evictor.Movable);
                return victims.Count > 0 && MoveOut(thread, victims, new Deadline(TimeSpan.FromMilliseconds(AheadMs)), out bool failed, CancellationToken.None) && !failed;
            }
            long ready = free + CleanBytes();
            if (ready >= _capacity * ReadyGoal)
                return false;
            List<Evictor.Victim> dirty = NextDirty(Math.Min((long)(_capacity * ReadyGoal) - ready, RoundBytes));
            return dirty.Count > 0 && CopyOut(thread, dirty, new Deadline(TimeSpan.FromMilliseconds(AheadMs)), CancellationToken.None);
        }
        finally
        {
            Leave(thread);
        }
    }

    /// <summary>Objects without a copy that were not read lately, from where the last search ended: in the order of age, as searches for victims go, whose marks are left alone.</summary>
    private List<Evictor.Victim> NextDirty(long bytes)
    {
        var dirty = new List<Evictor.Victim>();
        for (int step = 0; step < ObjectCountMax && bytes > 0; step++)
        {
            uint e = _copyCursor;
            _copyCursor = e + 1 == (uint)ObjectCountMax ? 0 : e + 1;
            ObjectEntry* entry = _entries + e;
            var state = new StateWord(Volatile.Read(ref entry->State));
            if (state.State != ObjectState.Sealed || !state.IsMovable || Volatile.Read(ref entry->SpillPlace) != 0 || _evictor.Map.IsVisited(e))
                continue;
            long block = _allocator.BlockBytesAt(entry->Block);
            if (block == 0)
                continue;
            dirty.Add(new Evictor.Victim(e, state.Generation, block)); // The copy looks at it again.
            bytes -= block;
        }
        return dirty;
    }

    /// <summary>Memory of objects that have a copy on disk.</summary>
    private long CleanBytes()
    {
        long clean = 0;
        for (uint e = 0; e < (uint)ObjectCountMax; e++)
        {
            ObjectEntry* entry = _entries + e;
            if (new StateWord(Volatile.Read(ref entry->State)) is { State: ObjectState.Sealed, IsMovable: true } && new SpillPlace(Volatile.Read(ref entry->SpillPlace)).IsPlace)
                clean += _allocator.BlockBytesAt(entry->Block);
        }
        return clean;
    }

    /// <summary>Brings back what attachments ask for that cannot write. True when there may be more.</summary>
    private bool ServeRestores()
    {
        int served = 0, high = _participants.High;
        for (int k = 0; k < high; k++)
        {
            ParticipantBlock* block = _participants.Block(k);
            if (k == _participants.Index || Volatile.Read(ref block->Attached) == 0)
                continue;
            NodeRecord* records = ParticipantTable.Requests(block);
            for (int r = 0; r < ParticipantBlock.RequestCount; r++)
            {
                var word = new NodeRecordWord(Volatile.Read(ref records[r].Word)); // OBSERVE asked: the fields are read after it.
                if (word.State != NodeRecordState.Asked || word.Priority != (int)NodePriority.Restore)
                    continue;
                (ObjectId id, long deadline) = (records[r].Id, records[r].Deadline);
                Volatile.ReadBarrier();
                if (Volatile.Read(ref records[r].Word) != word.Value)
                    continue; // The fields may be those of another request, which rings.
                RestoreAnswer answer = Serve(id, deadline, ref served);
                if (answer != RestoreAnswer.None)
                    Interlocked.CompareExchange(ref records[r].Word, word.With(NodeRecordState.Answered, 0, (byte)answer).Value, word.Value);
            }
        }
        for (int d = 1; d < _scan.DomainCount; d++)
            foreach (ForeignRequest request in _foreignRequests.Read(_scan.ForeignPins(d), ofDisk: true))
                if (request.IsWhole)
                    Serve(request.Record.Id, request.Record.Deadline, ref served);
        return served >= RestoresARound;
    }

    /// <summary>Brings one object back, if it is away, and keeps it for a moment so that the requester can pin it.</summary>
    private RestoreAnswer Serve(in ObjectId id, long deadlineTicks, ref int served)
    {
        if (served >= RestoresARound || Stopwatch.GetTimestamp() >= deadlineTicks || !IsAway(id, out _, out _) || !TryEnter(out ThreadSlots? thread))
            return RestoreAnswer.None;
        try
        {
            if (_unreadable.TryRemove(id, out _))
                return RestoreAnswer.Unreadable;
            RestoreAsk none = default;
            var deadline = new Deadline(TimeSpan.FromMilliseconds(ServeMs)); // What takes longer comes all the same, and wakes the requester.
            for (int round = 0; round < BringRounds; round++)
            {
                PlasmaStatus status = TryBring(thread, id, deadline, waitsForMemory: false, ref none, out PlasmaObject obj, out AnotherLook again, CancellationToken.None);
                served += status is PlasmaStatus.Ok or PlasmaStatus.NotResident ? 1 : 0;
                if (status == PlasmaStatus.Ok)
                {
                    _restoredForOthers.Add((obj, Environment.TickCount64 + RestoredKeptMs));
                    return RestoreAnswer.None;
                }
                if (status == PlasmaStatus.NotResident)
                    return thread.LateAway == AwayReason.Disk ? RestoreAnswer.Unreadable : RestoreAnswer.None; // Memory may come: the next rounds try again, until the requester's deadline.
                if (again != AnotherLook.AtOnce)
                    break;
            }
            return RestoreAnswer.None;
        }
        finally
        {
            Leave(thread);
        }
    }

    private void DropRestored(long nowMs)
    {
        foreach ((ObjectId id, long untilMs) in _unreadable)
            if (untilMs <= nowMs)
                _unreadable.TryRemove(id, out _);
        for (int i = _restoredForOthers.Count - 1; i >= 0; i--)
        {
            if (_restoredForOthers[i].UntilMs > nowMs)
                continue;
            _restoredForOthers[i].Pin.Dispose();
            _restoredForOthers.RemoveAt(i);
        }
    }
}
