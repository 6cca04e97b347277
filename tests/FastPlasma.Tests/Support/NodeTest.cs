using System.Diagnostics;
using FastPlasma.Transfer;
using FastPlasma.Transfer.Directory;

namespace FastPlasma.Tests;

/// <summary>Nodes with stores of their own in this process, on loopback ports that the system chooses.</summary>
public abstract class NodeTest : StoreTest
{
    private readonly List<PlasmaNode> _nodes = [];

    private protected static PlasmaOptions NodeStore { get; } = new() { CapacityBytes = 64 << 20, ObjectCountMax = 4096 };

    private protected static TimeSpan Soon { get; } = TimeSpan.FromSeconds(20);

    private protected static NodeEndpoint AnyPort { get; } = new("127.0.0.1", 0);

    /// <summary>A running node that knows these others.</summary>
    private protected PlasmaNode StartNode(IEnumerable<NodeEndpoint>? peers = null, PlasmaNodeOptions? options = null, PlasmaOptions? store = null)
    {
        NodeEndpoint[] known = [.. peers ?? []];
        return StartNode(Anonymous(store ?? NodeStore), () => new StaticPeers(known), options);
    }

    /// <summary>A running node of a store, with a directory of its own.</summary>
    private protected PlasmaNode StartNode(PlasmaStore store, Func<IObjectDirectory> directory, PlasmaNodeOptions? options = null)
    {
        var node = new PlasmaNode(store, (options ?? new PlasmaNodeOptions()) with { Listen = options?.Listen.Port > 0 ? options.Listen : AnyPort, Directory = directory });
        _nodes.Add(node);
        node.StartAsync(CancellationToken.None).GetAwaiter().GetResult();
        return node;
    }

    /// <summary>Waits for something that happens by itself.</summary>
    private protected static void Until(Func<bool> condition, string what, int seconds = 20)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            Assert.True(Stopwatch.GetElapsedTime(start).TotalSeconds < seconds, $"{what}: not within {seconds} s");
            Thread.Sleep(2);
        }
    }

    private protected static byte[] Random(int seed, int bytes)
    {
        byte[] data = new byte[bytes];
        new Random(seed).NextBytes(data);
        return data;
    }

    private protected void StopNodes()
    {
        foreach (PlasmaNode node in _nodes)
            node.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }

    public override void Dispose()
    {
        StopNodes();
        base.Dispose();
        GC.SuppressFinalize(this);
    }
}
