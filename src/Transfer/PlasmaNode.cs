using System.Buffers;
using System.Diagnostics;
using System.Net.Sockets;
using FastPlasma.Nodes;
using FastPlasma.Transfer.Connections;
using FastPlasma.Transfer.Directory;
using FastPlasma.Transfer.Fetching;
using FastPlasma.Transfer.Nodes;
using FastPlasma.Transfer.Serving;
using FastPlasma.Transfer.Wire;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace FastPlasma.Transfer;

/// <summary>Makes a store part of a cluster: serves its objects to other nodes, and brings those that processes of this machine ask for and other nodes have. One per store.</summary>
/// <remarks>
/// While it runs, <see cref="PlasmaStore.TryGet(in ObjectId, TimeSpan, out PlasmaObject, TimeSpan, CancellationToken)"/> with a timeout, GetAsync, waits and Prefetch find objects of other nodes too, in every process that has the store open.
/// The store belongs to the caller and has to stay open until the node has stopped. All members may be called from any thread.
/// </remarks>
public sealed partial class PlasmaNode : IHostedService, IAsyncDisposable, IPeerHost, IServerHost, IDirectoryListener
{
    private const int DialMs = 3000, StuckMs = 30_000, StopMs = 15_000, BreakReceivesAfterMs = 250;

    private readonly PlasmaNodeOptions _options;
    private readonly ILogger _logger;
    private readonly TransferCounters _counters = new();
    private readonly RegionTable _regions = new();
    private readonly InterestTable _interests = new();
    private readonly TombstoneTable _tombstones;
    private readonly NodeThreads _threads;
    private readonly CancellationTokenSource _stop = new();
    private readonly SemaphoreSlim _life = new(1, 1); // Held by who starts or stops.
    private IObjectDirectory? _directory;
    private PeerTable? _peers;
    private FetchTable? _fetches;
    private Listener? _listener;
    private LocalRequests? _requests;
    private StoreEvents? _events;
    private ReplicaKeeper? _replicas;
    private CopyCheck? _copies;
    private Handshake.Self? _self;
    private volatile bool _stopping, _stopped;
    private bool _started;

    /// <summary>Prepares a node; <see cref="StartAsync"/> begins.</summary>
    /// <exception cref="ArgumentException">The options are impossible, or not safe.</exception>
    public PlasmaNode(PlasmaStore store, PlasmaNodeOptions? options = null, ILogger<PlasmaNode>? logger = null)
    {
        ArgumentNullException.ThrowIfNull(store);
        Store = store;
        _options = options ?? new PlasmaNodeOptions();
        if (_options.Validate() is { } wrong)
            throw new ArgumentException(wrong, nameof(options));
        _logger = (ILogger?)logger ?? NullLogger.Instance;
        _tombstones = new TombstoneTable(_options.TombstoneLife);
        _threads = new NodeThreads(_logger);
    }

    /// <summary>The store that it serves.</summary>
    public PlasmaStore Store { get; }

    /// <summary>Of this run of the node.</summary>
    public Guid Id { get; } = Guid.NewGuid();

    /// <summary>Where others dial it; known once it has started.</summary>
    public NodeEndpoint Endpoint { get; private set; }

    /// <summary>What it has moved since it began.</summary>
    public TransferStats Stats() => _counters.ToStats();

    /// <summary>The nodes that it knows.</summary>
    public IReadOnlyList<PeerInfo> Peers()
    {
        PeerTable peers = Running(_peers);
        peers.Known();
        return [.. peers.All.Select(static peer => new PeerInfo(peer.Endpoint, peer.NodeId, peer.StoreUuid, peer.IsUp, peer.PingUs, peer.Problem)).OrderBy(static peer => peer.Endpoint.ToString(), StringComparer.Ordinal)];
    }

    /// <summary>Why the directory cannot be asked at the moment; null if it can.</summary>
    public string? DirectoryProblem => _directory?.Problem;

    /// <summary>Objects that are being fetched.</summary>
    public int FetchCount => _fetches?.Count ?? 0;

    /// <summary>Threads of the node that run.</summary>
    internal int ThreadCount => _threads.Count;

    /// <summary>Begins to serve and to fetch. Does not wait for other nodes or the directory.</summary>
    /// <exception cref="InvalidOperationException">Another node serves this store, or this one was started or stopped before.</exception>
    /// <exception cref="IOException">The address cannot be had.</exception>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await _life.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            if (_started || _stopped)
                throw new InvalidOperationException(_stopped ? "The node has been stopped." : "The node was started before.");
            _started = true;
            using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _stop.Token);
            NodeRequests requests = NodeRequests.TryOpen(Store, out int other)
                ?? throw new InvalidOperationException($"Store '{Store.Name}' is served by {(other > 0 ? $"process {other}" : "another process")} already.");
            try
            {
                await StartPartsAsync(requests, either.Token).ConfigureAwait(false);
            }
            catch
            {
                if (_requests is null)
                    requests.Dispose();
                await StopPartsAsync().ConfigureAwait(false);
                throw;
            }
        }
        finally
        {
            _life.Release();
        }
        _logger.LogInformation("Store '{Store}' is served at {Endpoint}.", Store.Name, Endpoint);
    }

    private async Task StartPartsAsync(NodeRequests requests, CancellationToken cancellationToken)
    {
        _listener = new Listener(this, _options, _logger);
        NodeEndpoint advertised = _options.Advertise ?? _options.Listen;
        Endpoint = advertised.Port == 0 ? advertised with { Port = _listener.Port } : advertised;
        _self = new Handshake.Self(Id, Store.Uuid, _options.ClusterKey, _options.TombstoneLife, Endpoint);
        _directory = _options.Directory();
        _peers = new PeerTable(this, _directory, Endpoint);
        _fetches = new FetchTable(Store, _options, _peers, _directory, _tombstones, _regions, _counters, _threads) { Began = OnTransferBegan };
        _replicas = new ReplicaKeeper(this, _options.Replicas, _logger);
        _copies = new CopyCheck(Store, _options, _peers.Known, _directory, _logger);
        _copies.DoubtAll();
        _events = new StoreEvents(Store, OnStoreEvent, LookAtAll, _logger);
        await _directory.StartAsync(new NodeDescription(Id, Endpoint, Store.Uuid, _options.Name ?? $"{Environment.MachineName}/{Store.Name}"), this, cancellationToken).ConfigureAwait(false);
        cancellationToken.ThrowIfCancellationRequested();
        if (_directory.KnowsLocations)
            await LearnDeletesAsync(_directory, cancellationToken).ConfigureAwait(false);
        else
            foreach (Peer peer in _peers.Known())
                peer.Connect();
        _listener.Start(_self);
        _events.Start();
        _threads.Start("fastplasma node", Tick);
        _requests = new LocalRequests(requests, _fetches, _logger);
        StartControl();
    }

    /// <summary>Ends all connections and fetches, and leaves the cluster. The store keeps what it has. When this returns, no thread of the node uses the store any more.</summary>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        _stopping = true;
        await _stop.CancelAsync().ConfigureAwait(false); // Ends a start that is under way, and dials.
        await _life.WaitAsync(CancellationToken.None).ConfigureAwait(false);
        try
        {
            if (!_stopped)
                await StopPartsAsync().ConfigureAwait(false);
        }
        finally
        {
            _life.Release();
        }
    }

    /// <summary>Each part by itself: one that fails must not keep the others from ending.</summary>
    private async Task StopPartsAsync()
    {
        _stopping = _stopped = true;
        await _stop.CancelAsync().ConfigureAwait(false);
        Try(StopControl);
        foreach (IDisposable? part in (IDisposable?[])[_requests, _fetches, _replicas, _events, _listener, _peers])
            Try(() => part?.Dispose());
        if (!_threads.Join(TimeSpan.FromMilliseconds(StopMs)))
            _logger.LogWarning("{Count} threads of the node have not ended within {Seconds} s.", _threads.Count, StopMs / 1000);
        if (_directory is { } directory)
            await TryAsync(() => directory.DisposeAsync().AsTask()).ConfigureAwait(false);

        void Try(Action step) => TryAsync(() =>
        {
            step();
            return Task.CompletedTask;
        }).GetAwaiter().GetResult();

        async Task TryAsync(Func<Task> step)
        {
            try
            {
                await step().ConfigureAwait(false);
            }
#pragma warning disable CA1031 // Told, and the next part is ended.
            catch (Exception e)
#pragma warning restore CA1031
            {
                _threads.Report(e);
            }
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync() => await StopAsync(CancellationToken.None).ConfigureAwait(false);

    /// <summary>Brings objects of other nodes into the store.</summary>
    /// <param name="ids">Which; those that are here already count as here.</param>
    /// <param name="timeout">How long to look for them and to receive them. Nodes that have not answered by then count as not having them, so zero finds little but what is here.</param>
    /// <param name="priority">Who goes first.</param>
    /// <param name="progress">Told how many are here, now and then.</param>
    /// <param name="cancellationToken">Gives up; what has come stays.</param>
    public async Task<PullReport> PullAsync(ReadOnlyMemory<ObjectId> ids, TimeSpan timeout, TransferPriority priority = TransferPriority.Get, IProgress<int>? progress = null, CancellationToken cancellationToken = default)
    {
        FetchTable fetches = Running(_fetches);
        if (ids.IsEmpty)
            return new PullReport(0, []);
        var batch = new PullBatch(ids.Length);
        fetches.Request(ids.Span, batch, priority, FetchTable.DeadlineTicks(timeout));
        try
        {
            while (progress is not null && !batch.Done.IsCompleted) // Ends with the batch or the token.
            {
                await Task.WhenAny(batch.Done, Task.Delay(100, cancellationToken)).ConfigureAwait(false);
                cancellationToken.ThrowIfCancellationRequested();
                progress.Report(batch.HereCount);
            }
            await batch.Done.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            foreach (ObjectId id in ids.Span.ToArray())
                fetches.Leave(id, batch);
            throw;
        }
        return batch.ToReport();
    }

    /// <summary>Has another node pull objects of this store, and waits until they are there.</summary>
    /// <param name="ids">Which; they must be in the store.</param>
    /// <param name="target">Where to.</param>
    /// <param name="timeout">How long to wait.</param>
    /// <param name="progress">Told how many are there, now and then.</param>
    /// <param name="cancellationToken">Ends the wait; the other node may go on pulling.</param>
    public async Task<PullReport> PushAsync(ReadOnlyMemory<ObjectId> ids, NodeEndpoint target, TimeSpan timeout, IProgress<int>? progress = null, CancellationToken cancellationToken = default)
    {
        Peer peer = Running(_peers).Of(target) ?? throw new ArgumentException($"{target} is this node itself.", nameof(target));
        var push = new Push(Store, peer, ids.ToArray());
        return await push.RunAsync(FetchTable.DeadlineTicks(timeout), progress, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Which nodes have an object, this one included.</summary>
    /// <exception cref="IOException">The directory cannot be reached.</exception>
    public async Task<IReadOnlyList<ObjectLocation>> LocateAsync(ObjectId id, TimeSpan timeout, CancellationToken cancellationToken = default)
    {
        var locations = new List<ObjectLocation>();
        if (Store.TryDescribe(id, out ObjectImage here))
            locations.Add(new ObjectLocation(Endpoint, here.Incarnation, IsComplete: true, here.PayloadBytes));
        LocateProbe probe = await ProbeAsync(id, timeout, cancellationToken).ConfigureAwait(false);
        locations.AddRange(probe.Found.Select(static found => new ObjectLocation(found.Peer.Endpoint, found.Record.Incarnation, found.Record.Answer == ObjectAnswer.Complete, found.Record.PayloadBytes)));
        return locations;
    }

    /// <summary>Reads part of an object that may be on another node, straight into the caller's memory; the object does not come into this store.</summary>
    /// <param name="id">Which.</param>
    /// <param name="offset">From the payload's beginning.</param>
    /// <param name="destination">Filled as far as the payload goes; pinned meanwhile.</param>
    /// <param name="timeout">How long it may take.</param>
    /// <param name="cancellationToken">Ends it; the memory is not written to any more when this returns.</param>
    /// <returns>Bytes read: less than asked for at the payload's end.</returns>
    /// <exception cref="PlasmaException">No node has it.</exception>
    /// <exception cref="IOException">It could not be read.</exception>
    /// <exception cref="TimeoutException">The time was over.</exception>
    public async Task<int> ReadAsync(ObjectId id, long offset, Memory<byte> destination, TimeSpan timeout, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        if (Store.TryGet(id, out PlasmaObject obj))
        {
            using (obj)
            {
                int here = (int)Math.Clamp(obj.Length - offset, 0, destination.Length);
                if (here > 0)
                    obj.CopyTo(offset, destination.Span[..here]);
                return here;
            }
        }
        if (Store.TryDescribe(id, out ObjectImage image)) // On disk; NotFound if it is deleted at this very moment.
            return offset >= image.PayloadBytes ? 0 : Store.ReadInto(id, offset, destination.Span, cancellationToken);
        long deadline = FetchTable.DeadlineTicks(timeout);
        LocateProbe probe = await ProbeAsync(id, timeout, cancellationToken).ConfigureAwait(false);
        (Peer Peer, ObjectRecord Record)[] found = [.. probe.Found.Where(static found => found.Record.Answer == ObjectAnswer.Complete)];
        if (found.Length == 0)
            throw new PlasmaException(PlasmaStatus.NotFound, $"Object {id} is on no node that could be asked{(probe.Failed.Length > 0 ? $" ({probe.Failed.Length} could not: {probe.Failed[0].Reason})" : "")}.");
        int bytes = (int)Math.Clamp(found[0].Record.PayloadBytes - offset, 0, destination.Length);
        if (bytes == 0)
            return 0;
        using MemoryHandle pin = destination.Pin();
        IOException? last = null;
        foreach ((Peer peer, ObjectRecord record) in found)
        {
            RangeRead read;
            unsafe
            {
                read = new RangeRead(_regions, peer, record, offset, (byte*)pin.Pointer, bytes, _options.StreamsPerPeer);
            }
            try
            {
                await read.Done.WaitAsync(FetchTable.TimeLeft(deadline), cancellationToken).ConfigureAwait(false);
                return bytes;
            }
            catch (IOException e)
            {
                last = e; // From the next holder, then.
            }
            catch (Exception e) when (e is TimeoutException or OperationCanceledException)
            {
                read.Cancel("given up");
                await Task.WhenAny(read.Done, Task.Delay(BreakReceivesAfterMs, CancellationToken.None)).ConfigureAwait(false);
                read.BreakReceives(); // What has not come by now may not come soon.
                await read.Done.ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default).ConfigureAwait(false);
                if (e is OperationCanceledException)
                    throw;
                throw new TimeoutException($"{bytes} bytes of object {id} did not come from {peer.Endpoint} within {timeout.TotalSeconds:0.###} s.");
            }
        }
        throw last!;
    }

    /// <summary>Dials the peers that are not there.</summary>
    internal void ConnectAll()
    {
        foreach (Peer peer in Running(_peers).Known())
            peer.Connect();
    }

    /// <summary>For measurements.</summary>
    internal FetchTable Fetches => Running(_fetches);

    /// <summary>Peers that are there. Those that only a directory knows may not have been dialed yet; it says that they live.</summary>
    internal Peer[] UpPeers() => [.. Running(_peers).Known().Where(peer => peer.IsUp || (_directory!.KnowsLocations && peer.Problem is null))];

    /// <summary>What was deleted while this node was away goes before anybody can get it here.</summary>
    private async Task LearnDeletesAsync(IObjectDirectory directory, CancellationToken cancellationToken)
    {
        try
        {
            IReadOnlyList<Tombstone> deleted = await directory.TombstonesAsync(cancellationToken).ConfigureAwait(false);
            ((IDirectoryListener)this).Deleted(deleted.ToArray());
        }
        catch (IOException e)
        {
            _logger.LogWarning("Deletes that happened while this node was away are learned when the directory can be asked: {Reason}", e.Message);
        }
    }

    private async Task<LocateProbe> ProbeAsync(ObjectId id, TimeSpan timeout, CancellationToken cancellationToken)
    {
        PeerTable peers = Running(_peers);
        Peer[] ask = peers.Known();
        if (_directory!.KnowsLocations)
        {
            IReadOnlyList<ObjectLocation>[] where = await _directory.LocateAsync(new[] { id }, cancellationToken).ConfigureAwait(false);
            ask = [.. where[0].Select(location => peers.Of(location.Node)).OfType<Peer>()];
        }
        var probe = new LocateProbe(id, ask.Length);
        foreach (Peer peer in ask)
            if (peer is { IsFailing: true, Problem: { } problem })
                ((IAskTarget)probe).OnAskFailed(peer, problem); // Dialed again all the time; nobody has to wait for it.
            else
                peer.Ask(probe);
        await Task.WhenAny(probe.Done, Task.Delay(timeout < TimeSpan.Zero ? Timeout.InfiniteTimeSpan : timeout, cancellationToken)).ConfigureAwait(false);
        cancellationToken.ThrowIfCancellationRequested();
        return probe;
    }

    private void OnStoreEvent(PlasmaEvent e, ulong incarnation)
    {
        switch (e.Kind)
        {
            case PlasmaEventKind.Sealed:
                OnSealed(e.Id);
                _directory!.Announce([new LocalObject(e.Id, incarnation, e.PayloadBytes, IsComplete: true)]);
                _replicas!.OnSealed(e.Id);
                break;
            case PlasmaEventKind.Evicted or PlasmaEventKind.Expired: // Copies elsewhere expire by themselves.
                _directory!.Withdraw([new LocalObject(e.Id, incarnation, e.PayloadBytes, IsComplete: true)]);
                break;
            case PlasmaEventKind.Deleted:
                _directory!.Withdraw([new LocalObject(e.Id, incarnation, e.PayloadBytes, IsComplete: true)]);
                if (!_tombstones.Add(e.Id, incarnation, _options.TombstoneLife))
                    break; // The echo of a delete that came from elsewhere.
                Tombstone[] deleted = [new Tombstone(e.Id, incarnation, _options.TombstoneLife)];
                _directory.Delete(deleted);
                Span<DeleteRecord> records = DeleteRecords(deleted);
                foreach (Peer peer in _peers!.All)
                    peer.TryNotify(FrameType.Delete, (ReadOnlySpan<DeleteRecord>)records); // Those that are away are told when they are back.
                break;
        }
    }

    /// <summary>An object is here now: whoever waits for it, here or elsewhere, is told.</summary>
    private void OnSealed(in ObjectId id)
    {
        _fetches!.Find(id)?.OnSealedHere();
        List<ServerConnection> waiting = _interests.Take(id);
        if (waiting.Count == 0 || !Store.TryDescribe(id, out ObjectImage image))
            return;
        ObjectRecord record = ReplicaImage.ToRecord(image, ObjectAnswer.Complete);
        foreach (ServerConnection connection in waiting)
            connection.TellAppeared(record);
    }

    /// <summary>A large object begins to arrive: who waits for it here can take what there is.</summary>
    private void OnTransferBegan(LargeTransfer transfer)
    {
        ObjectRecord record = ReplicaImage.ToRecord(transfer.Image, ObjectAnswer.Partial);
        foreach (ServerConnection connection in _interests.Take(transfer.Image.Id))
            connection.TellAppeared(record);
    }

    /// <summary>Events were lost: everything that waits is looked at, and everything is announced again.</summary>
    private void LookAtAll()
    {
        foreach (ObjectId id in _interests.WaitedFor())
            if (Store.Contains(id))
                OnSealed(id);
        _fetches!.LookAtAll();
        ((IDirectoryListener)this).AnnounceAgain();
    }

    /// <summary>The tombstone first: a fetch that seals meanwhile sees it, or the delete sees the object.</summary>
    private void ApplyDelete(in ObjectId id, ulong incarnation, TimeSpan left)
    {
        if (left <= TimeSpan.Zero)
            return;
        _tombstones.Add(id, incarnation, left);
        _fetches?.Find(id)?.OnDeleted(incarnation);
        Store.DeleteIncarnation(id, incarnation);
    }

    private void Tick()
    {
        while (!_stopping) // Ends with the node.
        {
            Thread.Sleep(FetchTable.TickMs);
            try
            {
                long now = Environment.TickCount64;
                long silent = (long)_options.SilenceTimeout.TotalMilliseconds;
                _fetches!.Tick();
                foreach (Peer peer in _peers!.All)
                    peer.Tick(now, silent / 3, silent, StuckMs);
                _peers.Tick(now);
                _listener!.Tick(now, StuckMs);
                _interests.Tick();
                _copies!.Tick(now);
                _tombstones.Tick();
            }
            catch (ObjectDisposedException)
            {
                return; // The store was closed under the node.
            }
#pragma warning disable CA1031 // Deadlines of everybody hang on this thread: it goes on.
            catch (Exception e)
#pragma warning restore CA1031
            {
                _threads.Report(e);
            }
        }
    }

    private static DeleteRecord[] DeleteRecords(IReadOnlyCollection<Tombstone> tombstones) =>
        [.. tombstones.Select(static tombstone => new DeleteRecord { Id = tombstone.Id, Incarnation = tombstone.Incarnation, TombstoneMs = (ulong)tombstone.Left.TotalMilliseconds })];

    private T Running<T>(T? part)
        where T : class => !_stopped && part is not null ? part : throw new InvalidOperationException(_stopped ? "The node has been stopped." : "The node has not been started.");

    /// <summary>Who asked is not told.</summary>
    private sealed class Unheard : IFetchWaiter
    {
        internal static readonly Unheard Instance = new();

        public void OnFetched(in ObjectId id, NodeAnswer answer, string? reason)
        {
            // The object is here, or not: who pushed it looks.
        }

        public void OnProgress(in ObjectId id, NodeAnswer state)
        {
            // As above.
        }
    }
}
