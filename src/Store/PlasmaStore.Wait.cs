using System.Diagnostics;
using System.Numerics;
using System.Runtime.Intrinsics.X86;
using FastPlasma.Format;
using FastPlasma.Index;
using FastPlasma.Nodes;
using FastPlasma.Participants;
using FastPlasma.Spill;
using FastPlasma.Waiting;

namespace FastPlasma;

public sealed unsafe partial class PlasmaStore
{
    /// <summary>Pins several objects at once.</summary>
    /// <param name="ids">May contain an id several times; each place gets its own pin.</param>
    /// <param name="objects">As long as <paramref name="ids"/>; places of missing objects get an invalid handle.</param>
    /// <param name="timeout">How long to wait for the missing ones.</param>
    /// <param name="cancellationToken">Ends the wait at once; nothing stays pinned then.</param>
    /// <returns>How many are pinned.</returns>
    /// <exception cref="ArgumentException"><paramref name="objects"/> is shorter than <paramref name="ids"/>.</exception>
    public int Get(ReadOnlySpan<ObjectId> ids, Span<PlasmaObject> objects, TimeSpan timeout = default, CancellationToken cancellationToken = default) =>
        Get(ids, ids.Length, objects, timeout, cancellationToken);

    /// <summary>As <see cref="Get(ReadOnlySpan{ObjectId}, Span{PlasmaObject}, TimeSpan, CancellationToken)"/>, but waits for <paramref name="needed"/> of them only.</summary>
    internal int Get(ReadOnlySpan<ObjectId> ids, int needed, Span<PlasmaObject> objects, TimeSpan timeout, CancellationToken cancellationToken)
    {
        if (objects.Length < ids.Length)
            throw new ArgumentException($"{ids.Length} handles are needed, there is room for {objects.Length}.", nameof(objects));
        objects[..ids.Length].Clear();
        ThreadSlots thread = Enter();
        bool completed = false;
        try
        {
            int found = new BatchGet(this, thread, objects).Run(ids, needed, timeout, cancellationToken);
            completed = true;
            return found;
        }
        finally
        {
            if (!completed)
            {
                foreach (ref PlasmaObject obj in objects[..ids.Length])
                {
                    obj.Dispose();
                    obj = default;
                }
            }
            Leave(thread);
            if (IsClosing)
                TryDetach();
        }
    }

    /// <summary>Waits until at least <paramref name="count"/> of the objects are sealed. Pins nothing.</summary>
    /// <param name="ids">What to wait for.</param>
    /// <param name="count">0 to the number of ids.</param>
    /// <param name="timeout">Longest wait.</param>
    /// <param name="ready">As long as <paramref name="ids"/>; says which were seen sealed.</param>
    /// <param name="cancellationToken">Ends the wait at once.</param>
    /// <returns>How many are ready; less than <paramref name="count"/> when the time is over.</returns>
    public int Wait(ReadOnlySpan<ObjectId> ids, int count, TimeSpan timeout, Span<bool> ready, CancellationToken cancellationToken = default)
    {
        if (ready.Length < ids.Length)
            throw new ArgumentException($"{ids.Length} places are needed, there is room for {ready.Length}.", nameof(ready));
        if (count < 0 || count > ids.Length)
            throw new ArgumentOutOfRangeException(nameof(count), count, $"count is {count}; it can be 0 to {ids.Length}, the number of ids.");
        ready[..ids.Length].Clear();
        ThreadSlots thread = Enter();
        try
        {
            return new BatchWait(this, ready).Run(ids, count, timeout, cancellationToken);
        }
        finally
        {
            Leave(thread);
            if (IsClosing)
                TryDetach();
        }
    }

    private PlasmaStatus WaitFor(ThreadSlots thread, in ObjectId id, Deadline deadline, TimeSpan spin, out PlasmaObject obj, CancellationToken cancellationToken)
    {
        NodeAsk ask = default;
        RestoreAsk restore = default;
        bool found = false;
        try
        {
            PlasmaStatus status = WaitFor(thread, id, deadline, spin, ref ask, ref restore, out obj, cancellationToken);
            found = status == PlasmaStatus.Ok;
            if (status == PlasmaStatus.Timeout)
                (thread.LateId, thread.LateReason, thread.LateText) = (id, ask.Reason(Mailbox), null);
            return status;
        }
        finally
        {
            ask.End(Mailbox, found);
            restore.End(Mailbox);
        }
    }

    private PlasmaStatus WaitFor(
        ThreadSlots thread, in ObjectId id, Deadline deadline, TimeSpan spin, ref NodeAsk ask, ref RestoreAsk restore, out PlasmaObject obj, CancellationToken cancellationToken)
    {
        PlasmaStatus status;
        bool away = IsAway(id, out _, out _);
        if (!away)
            ask.Look(Mailbox, id, deadline, NodePriority.Get);
        if (spin > TimeSpan.Zero && !away)
        {
            long spinUntil = Stopwatch.GetTimestamp() + (long)(spin.TotalSeconds * Stopwatch.Frequency);
            do
            {
                for (int i = 0; i < 16; i++)
                {
                    if (ContainsCore(id) && (status = TryPin(thread, id, out obj)) != PlasmaStatus.NotFound)
                        return status;
                    Thread.SpinWait(1);
                }
                cancellationToken.ThrowIfCancellationRequested();
                if (IsClosing)
                    break;
            }
            while (Stopwatch.GetTimestamp() < spinUntil && !deadline.HasPassed);
        }

        ulong* word = _memory.WaitOf(_index.HashOf(id));
        while (true) // Ends with the deadline, a cancellation, the seal, or the object from disk; each sleep is at most one slice.
        {
            uint sequence = _waits.Announce(word);
            status = TryPin(thread, id, out obj);
            if (status != PlasmaStatus.NotFound)
                return status;
            cancellationToken.ThrowIfCancellationRequested();
            ThrowIfClosing();
            if (_hasSpill)
            {
                status = TryBring(thread, id, deadline, waitsForMemory: true, ref restore, out obj, out AnotherLook again, cancellationToken);
                if (status != PlasmaStatus.NotFound)
                    return status;
                if (again != AnotherLook.None && !deadline.HasPassed)
                    continue;
            }
            if (deadline.HasPassed)
                return AtDeadline(thread, id, out obj);
            if (!_hasSpill || !IsAway(id, out _, out _))
                ask.Look(Mailbox, id, deadline, NodePriority.Get);
            long before = Environment.TickCount64;
            WaitWords.Sleep(word, sequence, deadline.SliceMs(WaitWords.SliceMs), cancellationToken);
            if (Environment.TickCount64 - before >= WaitWords.SliceMs - 1)
                RecoverDeadCreator(id);
        }
    }

    /// <summary>The last look: an object may have moved between those before, and then it is no timeout.</summary>
    private PlasmaStatus AtDeadline(ThreadSlots thread, in ObjectId id, out PlasmaObject obj)
    {
        PlasmaStatus status = _hasSpill ? TryPinRescued(thread, id, out obj) : TryPin(thread, id, out obj);
        if (status == PlasmaStatus.NotFound)
            return PlasmaStatus.Timeout;
        if (status == PlasmaStatus.NotResident && !DescribeAway(thread, id))
            NoteLate(thread, id, "it was moved between memory and disk all the while");
        return status;
    }

    /// <summary>At a deadline: whether the object is there and only its bytes did not come, and then why as far as is known.</summary>
    private bool DescribeAway(ThreadSlots thread, in ObjectId id)
    {
        if (!IsAway(id, out StateWord state, out uint entryIndex))
            return false;
        NoteLate(thread, id, Access != StoreAccess.ReadWrite
            ? "this attachment is read-only, and no writer of the store has brought it"
            : _spill is not null && (state.State == ObjectState.Spilled || (state.State == ObjectState.Restoring && state.Participant == _participants.Index)) ? DescribeSilence(_spill, new SpillPlace(Volatile.Read(ref _entries[entryIndex].SpillPlace)))
            : $"{DescribeParticipant(state.Participant)} has it in hand");
        return true;
    }

    /// <summary>Whoever waits for a creator, or for one that moves the object, that has died makes the id free, or the object movable, for the next one.</summary>
    private void RecoverDeadCreator(in ObjectId id)
    {
        if (Access == StoreAccess.ReadWrite && _index.TryFindCommitted(id, _index.HashOf(id), out StateWord state, out _)
            && state.State is ObjectState.Creating or ObjectState.Tentative or ObjectState.Unloading or ObjectState.Emptying or ObjectState.Restoring && !_participants.IsAlive(state.Participant))
            _recovery.TryRecover(state.Participant);
    }

    /// <summary>Frame of a wait for several ids: follows the event ring, so its time does not grow with what is not ready; looks at everything whenever something was lost, and every slice.</summary>
    private ref struct BatchWait(PlasmaStore store, Span<bool> ready)
    {
        private readonly Span<bool> _ready = ready;

        internal int Run(ReadOnlySpan<ObjectId> ids, int count, TimeSpan timeout, CancellationToken cancellationToken)
        {
            int found = LookAtAll(ids);
            if (found >= count || timeout == TimeSpan.Zero)
                return found; // Nobody begins to follow the ring for that.
            using var follower = new Follower(store, ids, new Deadline(timeout), NodePriority.Wait);
            do
            {
                if (follower.LookAtAll)
                {
                    found += LookAtAll(ids);
                }
                else
                {
                    foreach (int i in follower.Hits)
                        if (!_ready[i])
                        {
                            _ready[i] = true;
                            found++;
                        }
                }
            }
            while (found < count && follower.Next(ids, cancellationToken));
            return found;
        }

        private int LookAtAll(ReadOnlySpan<ObjectId> ids)
        {
            int found = 0;
            for (int i = 0; i < ids.Length; i++)
            {
                if (_ready[i] || !store.ContainsCore(ids[i]))
                    continue;
                _ready[i] = true;
                found++;
            }
            return found;
        }
    }

    /// <summary>Ids whose lines are fetched ahead at a time: as many misses as a core can have outstanding, about, and few enough to stay in the first cache.</summary>
    private const int PrefetchMax = 32;

    /// <summary>Begins to load what a get of each id reads, so that the misses of all of them overlap: buckets first, then the records that they name. Changes nothing; a wrong guess costs time only.</summary>
    private void PrefetchLines(ReadOnlySpan<ObjectId> ids)
    {
        if (!Sse.IsSupported || ids.Length < 2)
            return;
        Span<ulong> hashes = stackalloc ulong[PrefetchMax];
        for (int i = 0; i < ids.Length; i++)
        {
            hashes[i] = _buckets.HashOf(in ids[i]);
            Sse.Prefetch0(_buckets.First(hashes[i]));
            Sse.Prefetch0(_buckets.Second(hashes[i]));
        }
        foreach (ulong hash in hashes[..ids.Length])
        {
            ulong* bucket = _buckets.First(hash);
            uint matches = BucketTable.Match(bucket, hash);
            if (matches == 0)
            {
                bucket = _buckets.Second(hash);
                matches = BucketTable.Match(bucket, hash);
            }
            if (matches == 0)
                continue;
            uint entry = new IndexWord(Volatile.Read(ref bucket[BitOperations.TrailingZeroCount(matches)])).Entry;
            if (entry < _entryCount)
                Sse.Prefetch0(_entries + entry);
        }
    }

    private ref struct BatchGet(PlasmaStore store, ThreadSlots thread, Span<PlasmaObject> objects)
    {
        private readonly Span<PlasmaObject> _objects = objects;
        private RestoreAsk[]? _asks;
        private HashSet<int>? _lost; // On disk, and cannot be brought back.

        private readonly int LostCount => _lost?.Count ?? 0;

        internal int Run(ReadOnlySpan<ObjectId> ids, int count, TimeSpan timeout, CancellationToken cancellationToken)
        {
            int found = 0;
            for (int start = 0; start < ids.Length; start += PrefetchMax)
            {
                store.PrefetchLines(ids.Slice(start, Math.Min(PrefetchMax, ids.Length - start)));
                for (int i = start; i < Math.Min(start + PrefetchMax, ids.Length); i++)
                    found += TryOne(ids, i);
            }
            if (found >= count || timeout == TimeSpan.Zero)
            {
                thread.Count(Counter.GetMisses, ids.Length - found);
                return found;
            }
            var deadline = new Deadline(timeout);
            try
            {
                found += BringAll(ids, count - found, deadline, cancellationToken);
                if (found >= count || found + LostCount == ids.Length)
                    return found; // Nobody begins to follow the ring for that, and the rest does not come.
                using var follower = new Follower(store, ids, deadline, NodePriority.Get);
                do
                {
                    if (follower.LookAtAll)
                    {
                        for (int i = 0; i < ids.Length; i++)
                            found += TryOne(ids, i);
                        found += BringAll(ids, count - found, deadline, cancellationToken);
                    }
                    else
                    {
                        foreach (int i in follower.Hits)
                            found += TryOne(ids, i);
                    }
                }
                while (found < count && found + LostCount < ids.Length && follower.Next(ids, cancellationToken));
                return found;
            }
            finally
            {
                thread.Count(Counter.GetMisses, ids.Length - found);
                foreach (ref RestoreAsk ask in _asks.AsSpan())
                    ask.End(store.Mailbox);
            }
        }

        /// <summary>Brings objects back from disk, as many as are needed; a writer several at a time.</summary>
        private int BringAll(ReadOnlySpan<ObjectId> ids, int needed, Deadline deadline, CancellationToken cancellationToken)
        {
            if (!store._hasSpill)
                return 0;
            int found = store.Access == StoreAccess.ReadWrite ? BringTogether(ids, needed, deadline, cancellationToken) : 0;
            for (int i = 0; i < ids.Length && found < needed; i++)
            {
                if (_objects[i].IsValid || _lost?.Contains(i) == true)
                    continue;
                cancellationToken.ThrowIfCancellationRequested();
                AnotherLook again = AnotherLook.AtOnce;
                for (int round = 0; again == AnotherLook.AtOnce && round < BringRounds; round++) // What has to wait for a turn is looked at again after the others.
                {
                    PlasmaStatus status = store.TryPin(thread, ids[i], out _objects[i]);
                    if (status == PlasmaStatus.NotFound)
                        status = store.TryBring(thread, ids[i], deadline, waitsForMemory: true, ref (_asks ??= new RestoreAsk[ids.Length])[i], out _objects[i], out again, cancellationToken);
                    else
                        again = AnotherLook.None;
                    if (status == PlasmaStatus.TooManyPins)
                        throw store._slots.TooManyPins();
                    if (status == PlasmaStatus.NotResident)
                        (_lost ??= []).Add(i);
                    found += status == PlasmaStatus.Ok ? 1 : 0;
                }
            }
            return found;
        }

        private int BringTogether(ReadOnlySpan<ObjectId> ids, int needed, Deadline deadline, CancellationToken cancellationToken)
        {
            var places = new List<int>();
            for (int i = 0; i < ids.Length && places.Count < needed; i++)
                if (!_objects[i].IsValid && _lost?.Contains(i) != true && store.IsAway(ids[i], out _, out _))
                    places.Add(i);
            if (places.Count < 2)
                return 0; // Left to the caller.
            var wanted = new ObjectId[places.Count];
            for (int i = 0; i < wanted.Length; i++)
                wanted[i] = ids[places[i]];
            var brought = new PlasmaObject[wanted.Length];
            PlasmaStore by = store;
            try
            {
                Parallel.For(0, wanted.Length, new ParallelOptions { MaxDegreeOfParallelism = CopiesAtATime, CancellationToken = cancellationToken }, i =>
                {
                    if (!by.TryEnter(out ThreadSlots? own))
                        return;
                    try
                    {
                        RestoreAsk none = default;
                        by.TryBring(own, wanted[i], deadline, waitsForMemory: true, ref none, out brought[i], out _, cancellationToken); // What is not brought is looked at again, with its reason.
                    }
                    finally
                    {
                        Leave(own);
                    }
                });
            }
            catch (AggregateException e)
            {
                Array.ForEach(brought, static obj => obj.Dispose());
                throw e.InnerExceptions[0];
            }
            catch
            {
                Array.ForEach(brought, static obj => obj.Dispose());
                throw;
            }
            int found = 0;
            for (int i = 0; i < brought.Length; i++)
            {
                if (!brought[i].IsValid)
                    continue;
                _objects[places[i]] = brought[i];
                found++;
            }
            return found;
        }

        private readonly int TryOne(ReadOnlySpan<ObjectId> ids, int i)
        {
            if (_objects[i].IsValid)
                return 0;
            PlasmaStatus status = store.TryPin(thread, ids[i], out _objects[i]);
            if (status == PlasmaStatus.TooManyPins)
                throw store._slots.TooManyPins();
            return status == PlasmaStatus.Ok ? 1 : 0;
        }
    }

    /// <summary>Rounds of a wait for several ids.</summary>
    private sealed class Follower : IDisposable
    {
        private readonly PlasmaStore _store;
        private readonly Dictionary<ObjectId, int> _first = [];
        private readonly int[] _nextSame;
        private readonly Deadline _deadline;
        private readonly NodeAsks _asks;
        private EventCursor _cursor;
        private long _lostSeen;
        private long _lookedAtMs;
        private bool _over;

        internal Follower(PlasmaStore store, ReadOnlySpan<ObjectId> ids, Deadline deadline, NodePriority priority)
        {
            _store = store;
            _deadline = deadline;
            _asks = new NodeAsks(store, priority, _deadline);
            _cursor = new EventCursor(store._events); // Before the first look at all, so nothing falls between.
            _nextSame = new int[ids.Length];
            for (int i = 0; i < ids.Length; i++)
            {
                _nextSame[i] = _first.TryGetValue(ids[i], out int same) ? same : -1;
                _first[ids[i]] = i;
            }
            LookAtAll = true;
            _lookedAtMs = Environment.TickCount64;
        }

        /// <summary>Whether this round has to look at every id.</summary>
        internal bool LookAtAll { get; private set; }

        /// <summary>Places whose id was sealed since the last round.</summary>
        internal List<int> Hits { get; } = [];

        /// <summary>Waits for the next round; false when the time is over.</summary>
        internal bool Next(ReadOnlySpan<ObjectId> ids, CancellationToken cancellationToken)
        {
            Hits.Clear();
            LookAtAll = false;
            while (true) // Ends with a hit, a slice, the deadline or a cancellation.
            {
                cancellationToken.ThrowIfCancellationRequested();
                _store.ThrowIfClosing();
                int pauseMs = _asks.Pump(ids, _nextSame);
                _store._events.Follow();
                uint sequence = _store._waits.Announce(_store._events.WaitWordOfRing);
                bool pending = false;
                for (int budget = _store._events.Capacity; budget > 0 && _cursor.TryNext(out PlasmaEvent e, out pending); budget--)
                {
                    if (e.Kind != PlasmaEventKind.Sealed || !_first.TryGetValue(e.Id, out int i))
                        continue;
                    for (; i >= 0; i = _nextSame[i])
                        Hits.Add(i);
                }
                long now = Environment.TickCount64;
                LookAtAll = _cursor.Lost != _lostSeen || now - _lookedAtMs >= WaitWords.SliceMs;
                if (LookAtAll)
                {
                    _lostSeen = _cursor.Lost;
                    _lookedAtMs = now;
                }
                if (Hits.Count > 0 || LookAtAll)
                {
                    bool again = !_over; // One round after the deadline still counts what it brings.
                    _over = _deadline.HasPassed;
                    return again;
                }
                if (_deadline.HasPassed)
                    return false;
                WaitWords.Sleep(_store._events.WaitWordOfRing, sequence, _deadline.SliceMs(pending ? 1 : pauseMs), cancellationToken);
            }
        }

        public void Dispose() => _asks.Dispose();
    }
}
