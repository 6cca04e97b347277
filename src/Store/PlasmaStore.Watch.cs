using FastPlasma.Files;
using FastPlasma.Participants;
using FastPlasma.Reclaim;
using FastPlasma.Waiting;

namespace FastPlasma;

public sealed unsafe partial class PlasmaStore
{
    /// <summary>Follows seals, deletes and evictions from now on.</summary>
    public PlasmaSubscription Subscribe()
    {
        BeginSlowCall();
        try
        {
            return new PlasmaSubscription(this);
        }
        finally
        {
            EndSlowCall();
        }
    }

    /// <summary>Whether this attachment takes no more calls: Dispose was called, or this is a forked child.</summary>
    internal bool IsClosing => Volatile.Read(ref _openMark) != Volatile.Read(ref *_processMark);

    /// <summary>Whether Dispose was called.</summary>
    internal bool IsDisposed => Volatile.Read(ref _openMark) == Closed;

    /// <summary>Whether this process is a forked child of the one that opened the store: it has no mappings, and what it has copies of is its parent's.</summary>
    internal bool IsForked => Volatile.Read(ref *_processMark) != _openedIn;

    /// <summary>Next event of a cursor, waiting for it until the deadline.</summary>
    internal bool ReadEvent(ref EventCursor cursor, Deadline deadline, out PlasmaEvent e, out ulong incarnation, CancellationToken cancellationToken)
    {
        BeginSlowCall();
        try
        {
            while (true) // Ends with an event, the deadline, a cancellation or the store's end.
            {
                cancellationToken.ThrowIfCancellationRequested();
                ThrowIfClosing();
                _events.Follow();
                uint sequence = _waits.Announce(_events.WaitWordOfRing);
                if (cursor.TryNext(out e, out incarnation, out bool pending))
                    return true;
                if (deadline.HasPassed)
                    return false;
                WaitWords.Sleep(_events.WaitWordOfRing, sequence, deadline.SliceMs(pending ? 1 : WaitWords.SliceMs), cancellationToken);
            }
        }
        finally
        {
            EndSlowCall();
        }
    }

    internal bool TryReadEvent(ref EventCursor cursor, out PlasmaEvent e, out ulong incarnation)
    {
        BeginSlowCall();
        try
        {
            return cursor.TryNext(out e, out incarnation, out _);
        }
        finally
        {
            EndSlowCall();
        }
    }

    internal EventCursor NewCursor() => new(_events);

    /// <summary>Body of the thread behind asynchronous gets: tells every seal, and calls <paramref name="lookAtAll"/> once per slice and after losses, until that says false.</summary>
    internal void FollowSeals(Func<ObjectId, bool> onSealed, Func<Func<ObjectId, bool>, bool> lookAtAll)
    {
        BeginSlowCall();
        try
        {
            EventCursor cursor = NewCursor();
            long lostSeen = 0, lookedAtMs = 0;
            while (true) // Ends when nobody waits, or the store is closed.
            {
                ThrowIfClosing();
                _events.Follow();
                uint sequence = _waits.Announce(_events.WaitWordOfRing);
                bool pending = false;
                for (int budget = _events.Capacity; budget > 0 && cursor.TryNext(out PlasmaEvent e, out pending); budget--)
                    if (e.Kind == PlasmaEventKind.Sealed)
                        onSealed(e.Id);
                long now = Environment.TickCount64;
                if (cursor.Lost != lostSeen || now - lookedAtMs >= WaitWords.SliceMs)
                {
                    lostSeen = cursor.Lost;
                    lookedAtMs = now;
                    if (!lookAtAll(id => ContainsCore(id)))
                        return;
                }
                WaitWords.Sleep(_events.WaitWordOfRing, sequence, pending ? 1 : WaitWords.SliceMs, CancellationToken.None);
            }
        }
        finally
        {
            EndSlowCall();
        }
    }

    /// <summary>Recovers dead participants and frees what nobody reads any more; runs by itself once a second in every writer. Returns participants recovered.</summary>
    public int Maintain()
    {
        if (Access != StoreAccess.ReadWrite)
        {
            if (_participants.Domain != 0)
                VictimMap.ClearHints(_participants.Own); // Writers read what a reader of another user has read, and cannot clear it.
            return 0;
        }
        BeginSlowCall();
        try
        {
            int recovered = _recovery.RecoverAll();
            _scan.OpenForeign();
            _reclaimer.FinishAll(null);
            AdvanceClock();
            if (Volatile.Read(ref _memory.Header->NextExpiry) <= ExpiryClock)
                MakeRoomAhead(expire: true, evict: false);
            PopulateAhead();
            return recovered;
        }
        finally
        {
            EndSlowCall();
        }
    }

    private int _evictsAhead;
    private int _aheadIdle;

    /// <summary>Whether creates of this attachment were short of memory lately.</summary>
    internal bool EvictsAhead => Volatile.Read(ref _evictsAhead) != 0;

    /// <summary>A create was short of memory. True when eviction ahead was not under way, and is to begin.</summary>
    internal bool TryBeginEvictAhead() => !EvictsAhead && _memory.Header->EvictAheadBytes > 0 && Volatile.Read(ref _memory.Header->EvictableUsed) != 0 && Interlocked.Exchange(ref _evictsAhead, 1) == 0;

    /// <summary>Evicts until so much memory is free as the store is to keep. False once there has been enough, or nothing to evict, for so many times.</summary>
    internal bool ContinueEvictAhead(int idleMax)
    {
        if (!_maintenance.TryEnter())
            return false; // It is being detached.
        try
        {
            if (!IsClosing)
                _aheadIdle = MakeRoomAhead(expire: true, evict: true) > 0 ? 0 : _aheadIdle + 1;
            if (!IsClosing && _aheadIdle < idleMax)
                return true;
            _aheadIdle = 0;
            Volatile.Write(ref _evictsAhead, 0);
            return false;
        }
        finally
        {
            _maintenance.Exit();
        }
    }

    private long MakeRoomAhead(bool expire, bool evict)
    {
        ThreadSlots thread = Enter(); // The background thread takes a slot chunk only in processes that need this.
        try
        {
            long freed = expire ? ExpireDue(thread) : 0, target = Math.Min(_memory.Header->EvictAheadBytes, _capacity / 2);
            const long stepBytes = 4L << 20;
            while (evict && target > 0 && !IsClosing && !_scan.IsCostly) // Ends with enough free, or with nothing to evict: each round frees something. When a look at the slots is dear, creates evict for many at once themselves.
            {
                long free = _allocator.FreeBytesByHints();
                if (free >= target)
                    break;
                long now = Condemn(thread, _evictor.Choose(Math.Min(stepBytes, target - free), Evictor.Evictable), PlasmaEventKind.Evicted, out int condemned);
                freed += now;
                if (now == 0 || condemned == 0)
                    break;
            }
            return freed;
        }
        finally
        {
            Leave(thread);
        }
    }

    private void PopulateAhead()
    {
        long target = _memory.Header->PopulateTargetBytes;
        if (target <= 0)
            return;

        // In steps, so that a full file system or a closing store ends it soon; free backed chunks count as ready.
        long ready = _allocator.FreeBackedBytes();
        const long stepBytes = 8L << 20;
        while (ready < target && !IsClosing)
        {
            long done = _allocator.Populate(Math.Min(stepBytes, target - ready));
            if (done == 0)
                return;
            ready += done;
            Interlocked.Add(ref _memory.Header->PopulatedBytes, done);
        }
    }
}
