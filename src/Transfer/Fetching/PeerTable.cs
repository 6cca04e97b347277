using System.Collections.Concurrent;
using FastPlasma.Transfer.Directory;

namespace FastPlasma.Transfer.Fetching;

/// <summary>The nodes that this one asks, by where they are dialed.</summary>
internal sealed class PeerTable(IPeerHost host, IObjectDirectory directory, NodeEndpoint? self) : IDisposable
{
    private readonly ConcurrentDictionary<NodeEndpoint, Peer> _peers = new();

    // Read by those that make peers while Dispose runs: a peer that is made later is disposed by who made it.
    private int _disposed;

    /// <summary>All that were asked lately.</summary>
    internal ICollection<Peer> All => _peers.Values;

    /// <summary>The peer at an address; null for this node itself.</summary>
    internal Peer? Of(NodeEndpoint endpoint)
    {
        if (endpoint == self)
            return null;
        Peer peer = _peers.GetOrAdd(endpoint, static (at, table) => table.Make(at), this);
        if (Volatile.Read(ref _disposed) != 0)
            peer.Dispose();
        return peer;
    }

    /// <summary>Peers that the directory knows, whether they can be reached or not.</summary>
    internal Peer[] Known() => [.. directory.Nodes.Select(node => Of(node.Endpoint)).OfType<Peer>()];

    /// <summary>Forgets those that were named once and have not been wanted for long.</summary>
    internal void Tick(long nowMs)
    {
        foreach (KeyValuePair<NodeEndpoint, Peer> entry in _peers)
            if (entry.Value.IsForgettable(nowMs) && _peers.TryRemove(entry))
                entry.Value.Dispose(); // Who still knows it, and asks it all the same, is told that it cannot be asked, and looks for others.
    }

    private Peer Make(NodeEndpoint endpoint) => new(host, endpoint, keep: !directory.KnowsLocations && directory.Nodes.Any(node => node.Endpoint == endpoint));

    public void Dispose()
    {
        Volatile.Write(ref _disposed, 1);
        foreach (Peer peer in _peers.Values)
            peer.Dispose();
    }
}
