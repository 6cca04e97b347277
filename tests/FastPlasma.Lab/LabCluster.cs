using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;

namespace FastPlasma.Lab;

/// <summary>What one node moved.</summary>
internal readonly record struct NodeTraffic(long ReceivedBytes, long BadBytes, long DiscardedBytes, long SentBytes, long RelayedBytes)
{
    internal static NodeTraffic Parse(string text)
    {
        long[] n = [.. text.Split(' ').Select(static word => long.Parse(word, CultureInfo.InvariantCulture))];
        return new NodeTraffic(n[0], n[1], n[2], n[3], n[4]);
    }

    public static NodeTraffic operator -(NodeTraffic a, NodeTraffic b) =>
        new(a.ReceivedBytes - b.ReceivedBytes, a.BadBytes - b.BadBytes, a.DiscardedBytes - b.DiscardedBytes, a.SentBytes - b.SentBytes, a.RelayedBytes - b.RelayedBytes);
}

/// <summary>An object that went from the first node to others at the same time.</summary>
/// <param name="Seconds">Until the last receiver had it.</param>
/// <param name="ReceiverSeconds">Of each receiver.</param>
/// <param name="Traffic">Of each node, the source first.</param>
internal sealed record SpreadRun(double Seconds, double[] ReceiverSeconds, NodeTraffic[] Traffic);

/// <summary>Nodes that all know each other, one on each host of a lab.</summary>
internal sealed class LabCluster : IDisposable
{
    private const int FirstPort = 7430, LoopbackPort = 27_430;

    private readonly List<LabNode> _nodes = [];

    /// <summary>Starts the nodes and waits until all connections between them stand.</summary>
    internal LabCluster(NetworkLab lab, int storeMebibytes, string options = "")
    {
        Lab = lab;
        string key = Convert.ToHexString(RandomNumberGenerator.GetBytes(32));
        try
        {
            foreach (LabHost host in lab.Hosts)
                _nodes.Add(LabNode.Start(host, lab.Problem is null ? FirstPort : LoopbackPort + host.Index));
            foreach (LabNode node in _nodes)
                node.Begin(storeMebibytes, key, _nodes.Select(static node => node.Endpoint), options);
            foreach (LabNode node in _nodes)
                node.Receive();
            string others = $"lab await-peers {_nodes.Count - 1}";
            foreach (LabNode node in _nodes)
                node.Send(others);
            foreach (LabNode node in _nodes)
                node.Receive();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    internal NetworkLab Lab { get; }

    internal IReadOnlyList<LabNode> Nodes => _nodes;

    /// <summary>Puts an object on the first node and has so many others pull it at once.</summary>
    internal SpreadRun Spread(string name, long bytes, int receivers)
    {
        _nodes[0].Call(string.Create(CultureInfo.InvariantCulture, $"lab put {name} {bytes} {name.Length}"));
        string expected = _nodes[0].Call($"lab describe {name}");
        NodeTraffic[] before = Traffic();
        long start = Stopwatch.GetTimestamp();
        foreach (LabNode node in _nodes.Skip(1).Take(receivers))
            node.Send($"lab pull 150 {name}");
        double[] seconds = new double[receivers];
        for (int i = 0; i < receivers; i++)
            seconds[i] = double.Parse(_nodes[i + 1].Receive(), CultureInfo.InvariantCulture);
        double total = Stopwatch.GetElapsedTime(start).TotalSeconds;
        NodeTraffic[] after = Traffic();
        foreach (LabNode node in _nodes.Skip(1).Take(receivers))
            if (node.Call($"lab describe {name}") is var got && got != expected)
                throw new LabException($"{node.Endpoint} has {got} instead of {expected}");
        _nodes[0].Call($"lab delete {name}");
        return new SpreadRun(total, seconds, [.. after.Select((traffic, i) => traffic - before[i])]);
    }

    private NodeTraffic[] Traffic() => [.. _nodes.Select(static node => NodeTraffic.Parse(node.Call("lab stats")))];

    public void Dispose()
    {
        foreach (LabNode node in _nodes)
            node.Dispose();
    }
}
