using FastPlasma.Transfer.Fetching;
using FastPlasma.Transfer.Nodes;

namespace FastPlasma.Transfer;

// How processes of this machine, and metrics, look at the node.
public sealed partial class PlasmaNode
{
    private readonly DateTimeOffset _preparedAt = DateTimeOffset.UtcNow;
    private NodeControl? _control;
    private NodeMeter? _meter;
    private StoreMeter? _storeMeter;

    /// <summary>Nodes to which a connection stands.</summary>
    internal int UpPeerCount => _peers?.All.Count(static peer => peer.IsUp) ?? 0;

    /// <summary>Connections of other nodes.</summary>
    internal int ConnectionCount => _listener?.ConnectionCount ?? 0;

    internal NodeReport Report() => new(
        Environment.ProcessId, Id, _options.Name ?? $"{Environment.MachineName}/{Store.Name}", Endpoint, _preparedAt,
        _options.Tls is not null ? "tls" : _options.ClusterKey.IsEmpty ? "none" : "key", FetchCount, ConnectionCount, Stats(), Peers(), DirectoryProblem);

    /// <summary>As <see cref="PullAsync"/>, and these nodes are asked too, whether the directory knows them or not.</summary>
    internal Task<PullReport> PullFromAsync(ReadOnlyMemory<ObjectId> ids, IReadOnlyList<NodeEndpoint> from, TimeSpan timeout, TransferPriority priority, CancellationToken cancellationToken)
    {
        Peer[] sources = [.. from.Select(PeerOf)];
        Task<PullReport> pull = PullAsync(ids, timeout, priority, null, cancellationToken);
        foreach (Peer source in sources)
            foreach (ref readonly ObjectId id in ids.Span)
                _fetches!.Find(id)?.Offered(source);
        return pull;
    }

    /// <summary>As <see cref="LocateAsync"/>, and these nodes are asked too.</summary>
    internal async Task<IReadOnlyList<ObjectLocation>> LocateAtAsync(ObjectId id, IReadOnlyList<NodeEndpoint> peers, TimeSpan timeout, CancellationToken cancellationToken)
    {
        Peer[] others = [.. peers.Select(PeerOf).Except(Running(_peers).Known())];
        var probe = new LocateProbe(id, others.Length);
        foreach (Peer other in others)
            other.Ask(probe);
        Task<IReadOnlyList<ObjectLocation>> known = LocateAsync(id, timeout, cancellationToken);
        await Task.WhenAny(probe.Done, Task.Delay(timeout, cancellationToken)).ConfigureAwait(false);
        return [.. await known.ConfigureAwait(false), .. probe.Found.Select(static found => LocationOf(found.Peer, found.Record)).ExceptBy((await known.ConfigureAwait(false)).Select(static at => at.Node), static at => at.Node)];
    }

    /// <summary>How much of these objects is here, 0 to 1; of large ones on their way what has come counts.</summary>
    internal double ShareHere(ReadOnlySpan<ObjectId> ids)
    {
        double here = 0;
        foreach (ref readonly ObjectId id in ids)
        {
            if (_fetches?.Find(id)?.Large is { } large)
                here += (double)large.VerifiedCount / large.ChunkCount;
            else if (Store.Contains(id))
                here++;
        }
        return ids.IsEmpty ? 1 : here / ids.Length;
    }

    private static ObjectLocation LocationOf(Peer peer, in Wire.ObjectRecord record) => new(peer.Endpoint, record.Incarnation, record.Answer == Wire.ObjectAnswer.Complete, record.PayloadBytes);

    private Peer PeerOf(NodeEndpoint endpoint) => Running(_peers).Of(endpoint) ?? throw new ArgumentException($"{endpoint} is this node itself.");

    private void StartControl()
    {
        _meter = new NodeMeter(this);
        _storeMeter = new StoreMeter(Store);
        _control = NodeControl.TryStart(this, _logger);
    }

    /// <summary>Before anything else ends: while this is the store's service, nobody else has the socket's name.</summary>
    private void StopControl()
    {
        _control?.Dispose();
        _meter?.Dispose();
        _storeMeter?.Dispose();
    }
}
