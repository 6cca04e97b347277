using FastPlasma.Transfer;

namespace FastPlasma.Tests.Transfer;

/// <summary>What was deleted stays deleted, whoever was away or just receiving it; what was made anew is found.</summary>
public sealed class DeletedObjectTests : NodeTest
{
    private const int Chunk = 512 << 10;

    private (PlasmaNode Source, PlasmaNode Target, TcpProxy Wire) Slow(double bytesPerSecond = 6 << 20)
    {
        // Both must dial each other, so the target's address is needed first.
        NodeEndpoint targetAt = FreePort(), sourceAt = FreePort();
        PlasmaNode source = StartNode([targetAt], new PlasmaNodeOptions { Listen = sourceAt });
        var wire = new TcpProxy(source.Endpoint, new TcpProxy.Pace(bytesPerSecond));
        PlasmaNode target = StartNode([wire.Endpoint], new PlasmaNodeOptions { Listen = targetAt });
        Until(() => target.Peers()[0].IsUp && source.Peers()[0].IsUp, "the connections");
        return (source, target, wire);
    }

    [Fact]
    public async Task A_delete_ends_a_transfer_and_leaves_nothing()
    {
        (PlasmaNode source, PlasmaNode target, TcpProxy wire) = Slow();
        source.Store.Put(Id("a"), Random(1, 20 * Chunk));
        Task<PullReport> pull = target.PullAsync(new[] { Id("a") }, TimeSpan.FromSeconds(3));
        Until(() => target.Stats().ReceivedBytes > 2 * Chunk, "some chunks");
        source.Store.Delete(Id("a"));
        Until(() => target.Store.Stats().CreatingCount == 0, "the memory back");
        PullFailure failure = Assert.Single((await pull).Failures);
        Assert.Equal(PlasmaStatus.NotFound, failure.Status);
        Assert.Contains("delete", failure.Reason, StringComparison.Ordinal);
        Assert.False(target.Store.Contains(Id("a")));
        wire.Dispose();
    }

    [Fact]
    public async Task An_object_that_is_made_anew_while_its_older_self_is_on_the_way_arrives_as_the_new_one()
    {
        (PlasmaNode source, PlasmaNode target, TcpProxy wire) = Slow();
        source.Store.Put(Id("a"), Random(1, 20 * Chunk));
        Task<PullReport> pull = target.PullAsync(new[] { Id("a") }, Soon);
        Until(() => target.Stats().ReceivedBytes > 2 * Chunk, "some chunks");
        source.Store.Delete(Id("a"));
        source.Store.Put(Id("a"), Random(2, 5 * Chunk));
        Assert.Empty((await pull).Failures);
        using (PlasmaObject obj = target.Store.Get(Id("a"), TimeSpan.Zero))
            Same(Random(2, 5 * Chunk), obj.Span);
        wire.Dispose();
    }

    [Fact]
    public async Task A_source_that_comes_back_with_another_incarnation_is_used()
    {
        NodeEndpoint at = FreePort();
        PlasmaNode first = StartNode(null, new PlasmaNodeOptions { Listen = at });
        first.Store.Put(Id("a"), Random(1, 20 * Chunk));
        using var wire = new TcpProxy(at, new TcpProxy.Pace(6 << 20));
        PlasmaNode target = StartNode([wire.Endpoint]);
        Task<PullReport> pull = target.PullAsync(new[] { Id("a") }, Soon);
        Until(() => target.Stats().ReceivedBytes > 2 * Chunk, "some chunks");
        await first.StopAsync(CancellationToken.None);
        PlasmaNode second = StartNode(null, new PlasmaNodeOptions { Listen = at }); // Of another store, whose object has the same id.
        second.Store.Put(Id("a"), Random(2, 3 * Chunk));
        Assert.Empty((await pull).Failures);
        using PlasmaObject obj = target.Store.Get(Id("a"), TimeSpan.Zero);
        Same(Random(2, 3 * Chunk), obj.Span);
    }

    [Fact]
    public async Task A_node_that_was_away_gets_the_delete_when_it_is_back_and_nobody_gets_the_object_from_it()
    {
        NodeEndpoint awayAt = FreePort(), hereAt = FreePort();
        PlasmaStore store = Anonymous(NodeStore);
        PlasmaNode away = StartNode([hereAt], new PlasmaNodeOptions { Listen = awayAt }, on: store);
        PlasmaNode here = StartNode([awayAt], new PlasmaNodeOptions { Listen = hereAt });
        away.Store.Put(Id("a"), Random(1, 100_000));
        away.Store.Put(Id("b"), Random(2, 1000));
        Assert.Empty((await here.PullAsync(new[] { Id("a"), Id("b") }, Soon)).Failures);
        await away.StopAsync(CancellationToken.None);
        here.Store.Delete(Id("a"));
        here.Store.Delete(Id("b"));
        Until(() => !here.Peers()[0].IsUp, "the end of the connection");
        Assert.True(store.Contains(Id("a")));

        StartNode([hereAt], new PlasmaNodeOptions { Listen = awayAt }, on: store);
        Until(() => !store.Contains(Id("a")) && !store.Contains(Id("b")), "the delete");
        PullReport report = await here.PullAsync(new[] { Id("a"), Id("b") }, Ms(400));
        Assert.Equal(2, report.Failures.Count);
        store.Put(Id("a"), Random(3, 2000)); // Another incarnation is welcome.
        Assert.Empty((await here.PullAsync(new[] { Id("a") }, Soon)).Failures);
    }

    [Fact]
    public async Task A_deleted_incarnation_is_not_taken_from_a_node_that_has_not_heard_of_it()
    {
        PlasmaNode a = StartNode();
        NodeEndpoint bAt = FreePort();
        PlasmaNode b = StartNode([a.Endpoint], new PlasmaNodeOptions { Listen = bAt });
        a.Store.Put(Id("s"), Random(1, 1000));
        a.Store.Put(Id("l"), Random(1, 1_000_000));
        Assert.Empty((await b.PullAsync(new[] { Id("s"), Id("l") }, Soon)).Failures);
        // c hears of b's deletes only; its way to a is not known to a.
        using var cut = new TcpProxy(b.Endpoint);
        PlasmaNode c = StartNode([a.Endpoint, cut.Endpoint]);
        Assert.Empty((await c.PullAsync(new[] { Id("s"), Id("l") }, Soon)).Failures);
        c.Store.Delete(Id("s")); // Told to both.
        c.Store.Delete(Id("l"));
        Until(() => !a.Store.Contains(Id("s")) && !b.Store.Contains(Id("l")), "the deletes");
        Assert.Equal(2, (await b.PullAsync(new[] { Id("s"), Id("l") }, Ms(300))).Failures.Count);
    }

    [Fact]
    public async Task More_tombstones_than_a_queue_holds_are_told_and_those_that_come_meanwhile()
    {
        PlasmaNode a = StartNode();
        using var wire = new TcpProxy(a.Endpoint);
        PlasmaNode b = StartNode([wire.Endpoint]);
        b.Store.Put(Id("y"), [1, 2, 3]);
        Assert.Empty((await b.PushAsync(new[] { Id("y") }, wire.Endpoint, Soon)).Failures);
        var tombstones = new FastPlasma.Transfer.Directory.Tombstone[500_000];
        for (int i = 0; i < tombstones.Length; i++)
            tombstones[i] = new FastPlasma.Transfer.Directory.Tombstone(Id($"t{i}"), 1, TimeSpan.FromMinutes(1));
        ((FastPlasma.Transfer.Directory.IDirectoryListener)b).Deleted(tombstones); // 24 MB of notices.
        long passed = 0;
        wire.Meddle = (flow, piece) =>
        {
            if (!flow.IsToClient)
            {
                Interlocked.Add(ref passed, piece.Count);
                Thread.Sleep(2); // Slower than they are made.
            }
            return true;
        };
        wire.Cut();
        Until(() => Volatile.Read(ref passed) > 100_000, "the first notices");
        Assert.False(b.Peers()[0].IsUp);
        b.Store.Delete(Id("y")); // While those of the past are on the way.
        b.Store.Put(Id("x"), [1, 2, 3]);
        Assert.Empty((await b.PushAsync(new[] { Id("x") }, wire.Endpoint, TimeSpan.FromSeconds(60))).Failures);
        Until(() => !a.Store.Contains(Id("y")), "the delete");
        Assert.Equal(2, wire.Connections); // No further return told it.
    }

    [Fact]
    public async Task Deletes_while_a_peer_comes_and_goes_are_told_or_sent_later()
    {
        NodeEndpoint bAt = FreePort();
        using var wire = new TcpProxy(bAt);
        PlasmaNode a = StartNode([wire.Endpoint]);
        PlasmaNode b = StartNode([a.Endpoint], new PlasmaNodeOptions { Listen = bAt });
        ObjectId[] ids = [.. Enumerable.Range(0, 400).Select(i => Id($"{i}"))];
        foreach (ObjectId id in ids)
            a.Store.Put(id, [1, 2, 3]);
        Assert.Empty((await b.PullAsync(ids, Soon)).Failures);
        for (int i = 0; i < ids.Length; i++)
        {
            a.Store.Delete(ids[i]);
            if (i % 20 == 0)
                wire.Cut(); // The next ones fall before, into or after the peer's return.
            if (i % 5 == 0)
                await Task.Delay(7, TestContext.Current.CancellationToken);
        }
        Until(() => ids.All(id => !b.Store.Contains(id)), "all deletes");
    }
}
