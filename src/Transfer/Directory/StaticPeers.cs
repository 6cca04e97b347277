namespace FastPlasma.Transfer.Directory;

/// <summary>The directory that needs nothing installed: a list of nodes that was given. It knows nobody's objects, so each node is asked itself; deletes are told from node to node.</summary>
public sealed class StaticPeers : IObjectDirectory
{
    private readonly NodeDescription[] _nodes;

    /// <summary>Takes the list; this node's own address in it does no harm.</summary>
    public StaticPeers(IEnumerable<NodeEndpoint> peers)
    {
        ArgumentNullException.ThrowIfNull(peers);
        _nodes = [.. peers.Distinct().Select(static peer => new NodeDescription(Guid.Empty, peer, Guid.Empty, peer.ToString()))];
        Nodes = _nodes;
    }

    /// <inheritdoc/>
    public bool KnowsLocations => false;

    /// <inheritdoc/>
    public IReadOnlyList<NodeDescription> Nodes { get; private set; }

    /// <inheritdoc/>
    public string? Problem => null;

    /// <inheritdoc/>
    public ValueTask StartAsync(NodeDescription self, IDirectoryListener listener, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(self);
        Nodes = [.. _nodes.Where(node => node.Endpoint != self.Endpoint)];
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask<IReadOnlyList<ObjectLocation>[]> LocateAsync(ReadOnlyMemory<ObjectId> ids, CancellationToken cancellationToken)
    {
        var answers = new IReadOnlyList<ObjectLocation>[ids.Length];
        Array.Fill(answers, []);
        return ValueTask.FromResult(answers);
    }

    /// <inheritdoc/>
    public void Watch(ReadOnlySpan<ObjectId> ids, TimeSpan howLong)
    {
        // The nodes that were asked remember it.
    }

    /// <inheritdoc/>
    public void Announce(ReadOnlySpan<LocalObject> objects)
    {
        // Nobody keeps locations.
    }

    /// <inheritdoc/>
    public void Withdraw(ReadOnlySpan<LocalObject> objects)
    {
        // As above.
    }

    /// <inheritdoc/>
    public void Correct(ObjectId id, ObjectLocation wrong)
    {
        // As above.
    }

    /// <inheritdoc/>
    public void Delete(ReadOnlySpan<Tombstone> tombstones)
    {
        // The node tells its peers itself.
    }

    /// <inheritdoc/>
    public ValueTask<IReadOnlyList<Tombstone>> TombstonesAsync(CancellationToken cancellationToken) => ValueTask.FromResult<IReadOnlyList<Tombstone>>([]);

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
