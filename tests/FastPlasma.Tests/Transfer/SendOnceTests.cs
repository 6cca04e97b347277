using FastPlasma.Transfer;

namespace FastPlasma.Tests.Transfer;

/// <summary>Every byte of an object crosses the network once for each node that takes it, however many ask, and after a failure only what is missing.</summary>
public sealed class SendOnceTests : NodeTest
{
    private const int Chunk = 512 << 10;

    [Theory, Trait("Anchor", "27")]
    [InlineData(1000)]
    [InlineData((64 << 10) + 1)]
    [InlineData(9_000_001)]
    public async Task Every_byte_is_sent_once(int bytes)
    {
        PlasmaNode source = StartNode();
        PlasmaNode target = StartNode([source.Endpoint]);
        source.Store.Put(Id("a"), Random(1, bytes));
        Assert.Empty((await target.PullAsync(new[] { Id("a") }, Soon)).Failures);
        Until(() => source.Stats().SentBytes == bytes, "the count"); // Counted after the bytes are sent.
        Assert.Equal(bytes, target.Stats().ReceivedBytes);
        Assert.Equal((0, 0, 0), (target.Stats().BadBytes, target.Stats().DiscardedBytes, source.Stats().RelayedBytes));
    }

    [Fact, Trait("Anchor", "28")]
    public async Task However_many_ask_on_one_node_there_is_one_transfer()
    {
        PlasmaNode source = StartNode();
        PlasmaNode target = StartNode([source.Endpoint]);
        source.Store.Put(Id("a"), Random(1, 6_000_000));
        Task<PullReport>[] pulls = [.. Enumerable.Range(0, 8).Select(_ => target.PullAsync(new[] { Id("a"), Id("a") }, Soon))];
        var gets = Enumerable.Range(0, 4).Select(_ => Eventually.Start(() =>
        {
            using PlasmaObject obj = target.Store.Get(Id("a"), Soon);
            Same(Random(1, 6_000_000), obj.Span);
        })).ToList();
        Assert.All(await Task.WhenAll(pulls), static report => Assert.Equal(2, report.Here));
        gets.ForEach(static get => get.Join());
        Assert.Equal(6_000_000, target.Stats().ReceivedBytes);
        Assert.Equal(6_000_000, source.Stats().SentBytes);
    }

    [Fact, Trait("Anchor", "28")]
    public async Task Two_processes_that_want_one_object_share_its_transfer()
    {
        PlasmaNode source = StartNode();
        PlasmaStore store = Named(out string name, NodeStore);
        PlasmaNode target = StartNode([source.Endpoint], on: store);
        source.Store.Put(Id("a"), Pattern.Of(5, 4_000_000));
        WorkerProcess[] workers = [StartWorker(name), StartWorker(name)];
        foreach (WorkerProcess worker in workers)
            worker.Send("get a 20000");
        foreach (WorkerProcess worker in workers)
            Assert.Equal($"Ok {WorkerProcess.Describe(Pattern.Of(5, 4_000_000))}", worker.Receive());
        Assert.Equal(4_000_000, target.Stats().ReceivedBytes);
        await target.StopAsync(CancellationToken.None);
    }

    [Fact, Trait("Anchor", "28")]
    public async Task Five_nodes_take_everything_from_each_other()
    {
        const int bytes = 3_000_000;
        var nodes = new List<PlasmaNode>();
        for (int i = 0; i < 5; i++)
        {
            nodes.Add(StartNode(nodes.Select(static node => node.Endpoint)));
            nodes[i].Store.Put(Id($"{i}"), Random(i, bytes));
        }
        // Each knows those before it: what the earlier ones want of later ones, these push.
        await Task.WhenAll(nodes.SelectMany((node, i) => nodes.Take(i).Select(async other => Assert.Empty((await node.PushAsync(new[] { Id($"{i}") }, other.Endpoint, Soon)).Failures))));
        PullReport[] reports = await Task.WhenAll(nodes.Select((node, i) => node.PullAsync(Enumerable.Range(0, i).Select(k => Id($"{k}")).ToArray(), Soon)));
        Assert.All(reports, static report => Assert.Empty(report.Failures));
        foreach (PlasmaNode node in nodes)
        {
            Assert.Equal((4 * bytes, 0, 0), (node.Stats().ReceivedBytes, node.Stats().BadBytes, node.Stats().DiscardedBytes));
            for (int i = 0; i < 5; i++)
                using (PlasmaObject obj = node.Store.Get(Id($"{i}"), TimeSpan.Zero))
                    Same(Random(i, bytes), obj.Span);
        }
        Until(() => nodes.Sum(static node => node.Stats().SentBytes) == 5 * 4 * bytes, "the count");
    }

    [Fact, Trait("Anchor", "28")]
    public async Task Four_nodes_that_take_an_object_at_once_hand_it_on()
    {
        const int bytes = 96 * Chunk; // Many more than may be asked for at once.
        PlasmaNode source = StartNode();
        source.Store.Put(Id("a"), Random(1, bytes));
        var pace = new TcpProxy.Pace(24 << 20);
        TcpProxy[] wires = [.. Enumerable.Range(0, 4).Select(_ => new TcpProxy(source.Endpoint, pace))];
        PlasmaNode[] takers = [.. wires.Select(wire => StartNode([wire.Endpoint]))];
        foreach (PlasmaNode taker in takers)
            Until(() => taker.Peers()[0].IsUp, "the connection");
        PullReport[] reports = await Task.WhenAll(takers.Select(static taker => taker.PullAsync(new[] { Id("a") }, TimeSpan.FromSeconds(60))));
        Assert.All(reports, static report => Assert.Empty(report.Failures));
        foreach (PlasmaNode taker in takers)
            using (PlasmaObject obj = taker.Store.Get(Id("a"), TimeSpan.Zero))
                Same(Random(1, bytes), obj.Span);
        // The scarce wire carries each byte about once; the rest goes between the takers.
        Assert.All(takers, static taker => Assert.Equal(bytes, taker.Stats().ReceivedBytes));
        long sent = source.Stats().SentBytes, relayed = takers.Sum(static taker => taker.Stats().RelayedBytes);
        Assert.True(sent < 2 * bytes, $"The source sent {sent / (double)bytes:0.00} objects, the takers {relayed / (double)bytes:0.00} while receiving.");
        Until(() => source.Stats().SentBytes + takers.Sum(static taker => taker.Stats().SentBytes) == 4 * bytes, "the count");
        foreach (TcpProxy wire in wires)
            wire.Dispose();
    }

    [Fact, Trait("Anchor", "27")]
    public async Task After_a_cut_only_what_is_missing_comes_again()
    {
        const int bytes = 30 * Chunk;
        PlasmaNode source = StartNode();
        source.Store.Put(Id("a"), Random(1, bytes));
        using var wire = new TcpProxy(source.Endpoint, new TcpProxy.Pace(16 << 20));
        PlasmaNode target = StartNode([wire.Endpoint]);
        Task<PullReport> pull = target.PullAsync(new[] { Id("a") }, TimeSpan.FromSeconds(60));
        for (int cut = 1; cut <= 3; cut++)
        {
            long before = target.Stats().ReceivedBytes;
            Until(() => target.Stats().ReceivedBytes > before + 2 * Chunk, "some chunks");
            wire.Cut();
        }
        Assert.Empty((await pull).Failures);
        using (PlasmaObject obj = target.Store.Get(Id("a"), TimeSpan.Zero))
            Same(Random(1, bytes), obj.Span);
        // No chunk was received twice; what was lost is what was on the wire.
        Assert.Equal((bytes, 0, 0), (target.Stats().ReceivedBytes, target.Stats().BadBytes, target.Stats().DiscardedBytes));
        Assert.True(source.Stats().SentBytes <= bytes + 3 * 4 * 3 * Chunk, $"{source.Stats().SentBytes} bytes were sent for {bytes}");
    }

    [Fact, Trait("Anchor", "30")]
    public async Task Of_a_source_that_dies_the_rest_comes_from_another_holder()
    {
        const int bytes = 20 * Chunk;
        PlasmaNode a = StartNode();
        a.Store.Put(Id("a"), Random(1, bytes));
        PlasmaNode b = StartNode([a.Endpoint]);
        Assert.Empty((await b.PullAsync(new[] { Id("a") }, Soon)).Failures);
        using var wireA = new TcpProxy(a.Endpoint, new TcpProxy.Pace(8 << 20));
        using var wireB = new TcpProxy(b.Endpoint, new TcpProxy.Pace(8 << 20));
        PlasmaNode target = StartNode([wireA.Endpoint, wireB.Endpoint]);
        Until(() => target.Peers().All(static peer => peer.IsUp), "the connections");
        Task<PullReport> pull = target.PullAsync(new[] { Id("a") }, TimeSpan.FromSeconds(60));
        Until(() => target.Stats().ReceivedBytes > 3 * Chunk, "some chunks");
        wireA.Refuses = true;
        wireA.Cut();
        Assert.Empty((await pull).Failures);
        Assert.Equal((bytes, 0), (target.Stats().ReceivedBytes, target.Stats().DiscardedBytes));
        using PlasmaObject obj = target.Store.Get(Id("a"), TimeSpan.Zero);
        Same(Random(1, bytes), obj.Span);
    }
}
