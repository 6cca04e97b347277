using FastPlasma.Transfer;

namespace FastPlasma.Tests.Transfer;

/// <summary>Objects go from node to node, of every size, with all that belongs to them.</summary>
public sealed class PullTests : NodeTest
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(1000)]
    [InlineData(64 << 10)]
    [InlineData((64 << 10) + 1)]
    [InlineData(512 << 10)]
    [InlineData((512 << 10) + 1)]
    [InlineData(5_000_001)]
    public async Task An_object_arrives_as_it_was_sealed(int bytes)
    {
        PlasmaNode source = StartNode();
        PlasmaNode target = StartNode([source.Endpoint]);
        byte[] payload = Random(bytes, bytes), metadata = Random(bytes + 1, 77);
        source.Store.Put(Id("a"), payload, new ObjectOptions { Name = "a name", ContentType = "text/x", Metadata = metadata, Checksum = true, Retention = Retention.Evictable });

        PullReport report = await target.PullAsync(new[] { Id("a") }, Soon);

        Assert.Empty(report.Failures);
        Assert.True(target.Store.TryGet(Id("a"), out PlasmaObject copy));
        Assert.True(source.Store.TryGet(Id("a"), out PlasmaObject original));
        using (copy)
        using (original)
        {
            Same(payload, copy.Span);
            Same(metadata, copy.Metadata);
            Assert.Equal("a name", copy.Name);
            Assert.Equal("text/x", copy.ContentType);
            Assert.Equal(original.Checksum, copy.Checksum);
            Assert.True(copy.VerifyChecksum());
            Assert.Equal(original.Incarnation, copy.Incarnation);
        }
        Assert.Equal(0, target.Stats().CopiedBytes);
        Assert.Equal(0, target.Store.Stats().Store.CreateCopiedBytes);
    }

    [Fact]
    public async Task Many_small_objects_arrive_in_one_pull()
    {
        PlasmaNode source = StartNode();
        PlasmaNode target = StartNode([source.Endpoint]);
        ObjectId[] ids = [.. Enumerable.Range(0, 3000).Select(i => Id($"o{i}"))];
        for (int i = 0; i < ids.Length; i++)
            source.Store.Put(ids[i], Random(i, i % 2000));

        PullReport report = await target.PullAsync(ids, Soon);

        Assert.Empty(report.Failures);
        Assert.Equal(ids.Length, report.Here);
        for (int i = 0; i < ids.Length; i++)
        {
            Assert.True(target.Store.TryGet(ids[i], out PlasmaObject obj));
            using (obj)
                Same(Random(i, i % 2000), obj.Span);
        }
    }

    [Fact]
    public async Task What_no_node_has_is_said_at_the_deadline()
    {
        PlasmaNode source = StartNode();
        PlasmaNode target = StartNode([source.Endpoint]);
        PullReport report = await target.PullAsync(new[] { Id("nowhere") }, Ms(300));
        PullFailure failure = Assert.Single(report.Failures);
        Assert.Equal(PlasmaStatus.NotFound, failure.Status);
        Assert.Contains("none of 1 nodes has it", failure.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_object_that_appears_later_comes_at_once()
    {
        PlasmaNode source = StartNode();
        PlasmaNode target = StartNode([source.Endpoint]);
        Task<PullReport> pull = target.PullAsync(new[] { Id("later") }, Soon);
        Until(() => target.Peers()[0].IsUp, "the connection");
        await Task.Delay(200, TestContext.Current.CancellationToken);
        Assert.False(pull.IsCompleted);
        source.Store.Put(Id("later"), Random(1, 3_000_000));
        Assert.Empty((await pull.WaitAsync(Ms(1500), TestContext.Current.CancellationToken)).Failures);
    }

    [Fact]
    public void A_get_in_a_process_of_the_node_finds_an_object_of_another_node()
    {
        PlasmaNode source = StartNode();
        PlasmaNode target = StartNode([source.Endpoint]);
        source.Store.Put(Id("x"), Random(1, 2_000_000));
        Assert.Equal(PlasmaStatus.Ok, target.Store.TryGet(Id("x"), Soon, out PlasmaObject obj));
        using (obj)
            Same(Random(1, 2_000_000), obj.Span);
    }

    [Fact]
    public void A_get_in_vain_says_what_the_node_knows()
    {
        PlasmaNode source = StartNode();
        PlasmaNode target = StartNode([source.Endpoint]);
        Until(() => target.Peers()[0].IsUp, "the connection");
        var late = Assert.ThrowsAny<TimeoutException>(() => target.Store.Get(Id("nowhere"), Ms(400)));
        Assert.Contains("no node has it", late.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_part_is_read_into_the_callers_memory_and_the_object_stays_away()
    {
        PlasmaNode source = StartNode();
        PlasmaNode target = StartNode([source.Endpoint]);
        byte[] payload = Random(3, 3_000_000), part = new byte[1_700_000];
        source.Store.Put(Id("x"), payload);
        Assert.Equal(part.Length, await target.ReadAsync(Id("x"), 12_345, part, Soon, TestContext.Current.CancellationToken));
        Same(payload.AsSpan(12_345, part.Length), part);
        Assert.False(target.Store.Contains(Id("x")));
        Assert.Equal(55, await target.ReadAsync(Id("x"), payload.Length - 55, part, Soon, TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Two_nodes_exchange_objects_both_ways_at_once()
    {
        PlasmaNode a = StartNode();
        PlasmaNode b = StartNode([a.Endpoint]);
        PlasmaNode c = StartNode([a.Endpoint, b.Endpoint]);
        a.Store.Put(Id("a"), Random(1, 10_000_000));
        b.Store.Put(Id("b"), Random(2, 10_000_000));
        PullReport[] reports = await Task.WhenAll(b.PullAsync(new[] { Id("a") }, Soon), c.PullAsync(new[] { Id("a"), Id("b") }, Soon));
        Assert.All(reports, report => Assert.Empty(report.Failures));
        Assert.Equal(20_000_000, c.Stats().ReceivedBytes);
        Assert.Equal(10_000_000, b.Stats().ReceivedBytes);
    }

    [Fact]
    public async Task A_push_brings_objects_to_the_other_node()
    {
        PlasmaNode target = StartNode();
        PlasmaNode source = StartNode([target.Endpoint]);
        source.Store.Put(Id("s"), Random(1, 1000));
        source.Store.Put(Id("l"), Random(2, 3_000_000));
        PullReport report = await source.PushAsync(new[] { Id("s"), Id("l"), Id("missing") }, target.Endpoint, Soon);
        Assert.Equal(2, report.Here);
        Assert.Equal(PlasmaStatus.NotFound, Assert.Single(report.Failures).Status);
        Assert.True(target.Store.Contains(Id("s")) && target.Store.Contains(Id("l")));
    }

    [Fact]
    public async Task A_delete_reaches_the_copies()
    {
        PlasmaNode a = StartNode();
        PlasmaNode b = StartNode([a.Endpoint]);
        // Both know each other: a delete on either reaches the other.
        a.Store.Put(Id("x"), Random(1, 1000));
        Assert.Empty((await b.PullAsync(new[] { Id("x") }, Soon)).Failures);
        Assert.Equal(PlasmaStatus.Ok, b.Store.Delete(Id("x")));
        Until(() => !a.Store.Contains(Id("x")), "the delete at the other node");
    }
}
