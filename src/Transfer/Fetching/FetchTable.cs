using System.Collections.Concurrent;
using System.Diagnostics;
using FastPlasma.Nodes;
using FastPlasma.Transfer.Directory;
using FastPlasma.Transfer.Nodes;
using FastPlasma.Transfer.Scheduling;
using FastPlasma.Transfer.Wire;

namespace FastPlasma.Transfer.Fetching;

/// <summary>All objects that are being fetched: at most one fetch for each id, and how many large ones at a time.</summary>
internal sealed class FetchTable(PlasmaStore store, PlasmaNodeOptions options, PeerTable peers, IObjectDirectory directory, TombstoneTable tombstones, RegionTable regions, TransferCounters counters, NodeThreads threads) : IDisposable
{
    /// <summary>How often deadlines are looked at.</summary>
    internal const int TickMs = 100;

    internal const int TellMsMax = 60_000, LeaseMs = 30_000;

    private const int LocateCountMax = 512, TogetherMax = 1024;

    /// <summary>How long the rest of a chunk may come for a transfer that was given up, before its connection is broken so that the memory can go back.</summary>
    internal const int ClosingMs = 500;

    private readonly Lock _lock = new();
    private readonly ConcurrentDictionary<ObjectId, Fetch> _fetches = []; // Written under the lock; looked at without, by whoever hears of an object.
    private readonly AdmissionQueue<Fetch> _admission = new(options.TransfersMax, Random.Shared);
    private readonly List<(LargeTransfer Transfer, long SinceMs)> _closing = [];
    private readonly List<Fetch> _ticked = []; // Of the node's ticking thread.
    private bool _stopped;

    internal PlasmaStore Store { get; } = store;

    internal TombstoneTable Tombstones { get; } = tombstones;

    /// <summary>Told of each large object that begins to arrive.</summary>
    internal Action<LargeTransfer>? Began { get; init; }

    internal NodeThreads Threads { get; } = threads;

    internal RegionTable Regions { get; } = regions;

    internal TransferCounters Counters { get; } = counters;

    internal int Streams { get; } = options.StreamsPerPeer;

    internal long StallMs { get; } = (long)options.StallTimeout.TotalMilliseconds;

    internal bool KnowsLocations => directory.KnowsLocations;

    internal int Count => _fetches.Count;

    /// <summary>Wants objects. Each is told to the waiter once, at once if it is here.</summary>
    internal void Request(ReadOnlySpan<ObjectId> ids, IFetchWaiter who, TransferPriority priority, long deadlineTicks)
    {
        List<Fetch> begun = [];
        foreach (ref readonly ObjectId id in ids)
        {
            if (Store.Contains(id))
            {
                who.OnFetched(id, NodeAnswer.Fetched, null);
                continue;
            }
            while (true) // Ends: a fetch that cannot be joined has left the table, or is about to.
            {
                Fetch? fetch;
                bool isNew = false;
                lock (_lock)
                {
                    if (_stopped)
                    {
                        fetch = null;
                    }
                    else if (!_fetches.TryGetValue(id, out fetch))
                    {
                        fetch = new Fetch(this, id, priority);
                        _fetches[id] = fetch;
                        isNew = true;
                    }
                }
                if (fetch is null)
                {
                    who.OnFetched(id, NodeAnswer.Stopping, "the node is being stopped");
                    break;
                }
                if (!fetch.TryJoin(who, priority, deadlineTicks))
                {
                    Thread.Yield();
                    continue;
                }
                if (isNew)
                    begun.Add(fetch);
                break;
            }
            if (begun.Count < TogetherMax)
                continue;
            Begin(begun); // The first are on their way while the others are still being taken in.
            begun = [];
        }
        Begin(begun);
    }

    private void Begin(List<Fetch> begun)
    {
        // What was sealed here after the first look and before the fetch was in the table is seen by this one; what comes later is told by its event.
        for (int i = begun.Count - 1; i >= 0; i--)
            if (Store.Contains(begun[i].Id))
            {
                begun[i].OnSealedHere();
                begun.RemoveAt(i);
            }
        if (begun.Count > 0)
            Locate(begun);
    }

    /// <summary>Somebody does not want it any more.</summary>
    internal void Leave(in ObjectId id, IFetchWaiter who) => Find(id)?.Leave(who);

    internal Fetch? Find(in ObjectId id) => _fetches.GetValueOrDefault(id);

    /// <summary>Finds nodes to ask, and asks them.</summary>
    internal void Locate(List<Fetch> fetches)
    {
        if (!directory.KnowsLocations)
        {
            Peer[] all = peers.Known();
            Ask(fetches, _ => all, located: false);
            return;
        }
        for (int i = 0; i < fetches.Count; i += LocateCountMax)
            _ = LocateAsync(fetches.GetRange(i, Math.Min(LocateCountMax, fetches.Count - i)));
    }

    private async Task LocateAsync(List<Fetch> fetches)
    {
        try
        {
            ObjectId[] ids = [.. fetches.Select(static fetch => fetch.Id)];
            IReadOnlyList<ObjectLocation>[] locations = await directory.LocateAsync(ids, CancellationToken.None).ConfigureAwait(false);
            Ask(
                fetches,
                i =>
                {
                    // In another order each time: of several that have an object not always the same is asked.
                    Peer[] where = [.. locations[i].Select(location => peers.Of(location.Node)).OfType<Peer>()];
                    Random.Shared.Shuffle(where);
                    return where;
                },
                located: true);
            ObjectId[] nowhere = [.. ids.Where((_, i) => locations[i].Count == 0)];
            if (nowhere.Length > 0)
                directory.Watch(nowhere, TimeSpan.FromMilliseconds(TellMsMax));
        }
#pragma warning disable CA1031 // Nobody awaits this; whatever the directory throws, it cannot be asked.
        catch (Exception e)
#pragma warning restore CA1031
        {
            if (e is not (IOException or ObjectDisposedException or OperationCanceledException or TimeoutException))
                Threads.Report(e);
            foreach (Fetch fetch in fetches)
                fetch.LocateFailed(e.Message);
        }
    }

    private static void Ask(List<Fetch> fetches, Func<int, Peer[]> candidates, bool located)
    {
        var byPeer = new Dictionary<Peer, List<IAskTarget>>();
        var ask = new List<Peer>();
        for (int i = 0; i < fetches.Count; i++)
        {
            fetches[i].AddCandidates(candidates(i), located, ask);
            foreach (Peer peer in ask)
                (byPeer.TryGetValue(peer, out List<IAskTarget>? list) ? list : byPeer[peer] = []).Add(fetches[i]);
        }
        foreach ((Peer peer, List<IAskTarget> list) in byPeer)
            peer.Ask(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(list));
    }

    internal void Correct(in ObjectId id, Peer peer, ulong incarnation) => directory.Correct(id, new ObjectLocation(peer.Endpoint, incarnation, true, -1));

    /// <summary>A large object, or one that has to wait for memory, may begin when its turn comes: the most urgent first, then the oldest.</summary>
    internal void Admit(Fetch fetch)
    {
        lock (_lock)
            _admission.Add(fetch, (int)fetch.Priority);
        PumpAdmission();
    }

    internal void OnTransferBegan(Fetch fetch, LargeTransfer transfer)
    {
        ObjectImage image = transfer.Image;
        Began?.Invoke(transfer);
        directory.Announce([new LocalObject(fetch.Id, image.Incarnation, image.PayloadBytes, IsComplete: false)]);
    }

    internal void OnEnded(Fetch fetch, NodeAnswer answer)
    {
        bool waiting;
        lock (_lock)
        {
            if (_fetches.TryGetValue(fetch.Id, out Fetch? there) && there == fetch)
                _fetches.TryRemove(fetch.Id, out _);
            _admission.Remove(fetch);
            waiting = _admission.WaitingCount > 0;
        }
        if (answer != NodeAnswer.Fetched)
            Counters.CountFailedFetch();
        if (waiting)
            PumpAdmission();
        if (answer != NodeAnswer.Fetched)
            WaitForEnd(fetch, fetch.Large);
    }

    /// <summary>The fetch holds no memory any more, and another may have its place.</summary>
    /// <param name="fetch">Which.</param>
    /// <param name="closed">Its transfer that was given up, if any.</param>
    internal void OnStartedOver(Fetch fetch, LargeTransfer? closed)
    {
        LeaveAdmission(fetch);
        WaitForEnd(fetch, closed);
    }

    /// <summary>A transfer that was given up may still be written to.</summary>
    private void WaitForEnd(Fetch fetch, LargeTransfer? closed)
    {
        if (closed is null)
            return;
        if (!closed.IsEnded)
            lock (_lock)
                _closing.Add((closed, Environment.TickCount64));
        directory.Withdraw([new LocalObject(fetch.Id, closed.Image.Incarnation, closed.Image.PayloadBytes, IsComplete: false)]);
    }

    internal void LeaveAdmission(Fetch fetch)
    {
        bool waiting;
        lock (_lock)
        {
            _admission.Remove(fetch);
            waiting = _admission.WaitingCount > 0;
        }
        if (waiting)
            PumpAdmission();
    }

    /// <summary>A node is there that was not: who lacks a source asks it soon.</summary>
    internal void OnPeerUp()
    {
        Fetch[] all;
        lock (_lock)
            all = [.. _fetches.Values];
        foreach (Fetch fetch in all)
            fetch.AskSoon();
    }

    /// <summary>Events of the store were lost: those whose object is there are ended.</summary>
    internal void LookAtAll()
    {
        Fetch[] all;
        lock (_lock)
            all = [.. _fetches.Values];
        foreach (Fetch fetch in all)
            if (Store.Contains(fetch.Id))
                fetch.OnSealedHere();
    }

    internal void Tick()
    {
        long nowMs = Environment.TickCount64, nowTicks = Stopwatch.GetTimestamp();
        List<Fetch> all = _ticked;
        all.Clear(); // What an exception may have left.
        LargeTransfer[] closing;
        lock (_lock)
        {
            foreach ((_, Fetch fetch) in _fetches)
                all.Add(fetch);
            _closing.RemoveAll(static entry => entry.Transfer.IsEnded);
            closing = _closing.Count == 0 ? [] : [.. _closing.Where(entry => nowMs - entry.SinceMs > ClosingMs).Select(static entry => entry.Transfer)];
        }
        foreach (LargeTransfer transfer in closing)
            transfer.BreakReceives();
        foreach (Fetch fetch in all)
        {
            fetch.Tick(nowMs, nowTicks);
            fetch.Large?.Tick(nowMs);
        }
        all.Clear();
    }

    public void Dispose()
    {
        Fetch[] all;
        lock (_lock)
        {
            _stopped = true;
            all = [.. _fetches.Values];
        }
        foreach (Fetch fetch in all)
            fetch.End(NodeAnswer.Stopping, "the node is being stopped");
    }

    /// <summary>Until a point in time of <see cref="Stopwatch"/>.</summary>
    internal static TimeSpan TimeLeft(long deadlineTicks) =>
        deadlineTicks == long.MaxValue ? Timeout.InfiniteTimeSpan : TimeSpan.FromSeconds(Math.Max(0, (deadlineTicks - Stopwatch.GetTimestamp()) / (double)Stopwatch.Frequency));

    internal static long DeadlineTicks(TimeSpan timeout)
    {
        double ticks = timeout.TotalSeconds * Stopwatch.Frequency;
        return timeout == Timeout.InfiniteTimeSpan || ticks > long.MaxValue / 4 ? long.MaxValue : Stopwatch.GetTimestamp() + (long)ticks;
    }

    private void PumpAdmission()
    {
        while (true) // Ends with the queue or the places.
        {
            Fetch? next;
            lock (_lock)
            {
                if (!_admission.TryAdmit(out next))
                    return;
            }
            Threads.Queue(() => next.Create(mayWait: false));
        }
    }
}
