using FastPlasma.Transfer.Wire;

namespace FastPlasma.Simulation;

/// <summary>All nodes of a run, and the directory.</summary>
internal sealed class Cluster
{
    private readonly List<SimNode> _nodes = [];

    internal Cluster(SimOptions options)
    {
        Options = options;
        Simulator = new Simulator(options.Seed);
        Directory = new SimDirectory(this);
        ChunkCount = Limits.ChunkCountOf(options.ObjectBytes);
        for (int i = 0; i < options.Nodes; i++)
            AddNode();
    }

    internal SimOptions Options { get; }

    internal Simulator Simulator { get; }

    internal SimDirectory Directory { get; }

    internal IReadOnlyList<SimNode> Nodes => _nodes;

    internal int ChunkCount { get; }

    internal long MessageCount { get; set; }

    internal IEnumerable<SimFetch> Fetches => _nodes.Where(static node => node.IsAlive).SelectMany(static node => node.Fetches.Values);

    internal SimNode AddNode()
    {
        var node = new SimNode(this, _nodes.Count);
        _nodes.Add(node);
        return node;
    }

    internal int BytesOf(int chunk)
    {
        int chunkBytes = Limits.ChunkBytesOf(Options.ObjectBytes);
        return (int)Math.Min(chunkBytes, Options.ObjectBytes - (long)chunk * chunkBytes);
    }
}

/// <summary>Where objects are: as Redis would say it, one round trip away.</summary>
internal sealed class SimDirectory(Cluster cluster)
{
    private readonly Dictionary<int, List<SimNode>> _where = [];

    internal void Announce(int id, SimNode node)
    {
        List<SimNode> where = _where.TryGetValue(id, out List<SimNode>? list) ? list : _where[id] = [];
        if (!where.Contains(node))
            where.Add(node);
    }

    internal void Withdraw(SimNode node)
    {
        foreach (List<SimNode> where in _where.Values)
            where.Remove(node);
    }

    internal void Locate(int id, SimNode asker, Action<SimNode[]> answer) =>
        cluster.Simulator.After(2 * cluster.Options.LatencyNs, () =>
        {
            if (!asker.IsAlive)
                return;
            SimNode[] found = [.. _where.GetValueOrDefault(id) ?? []];
            cluster.Simulator.Random.Shuffle(found);
            answer(found);
        });
}
