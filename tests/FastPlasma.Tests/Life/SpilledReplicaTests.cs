using FastPlasma.Transfer;

namespace FastPlasma.Tests.Life;

/// <summary>Nodes serve what is on disk as they serve what is in memory.</summary>
public sealed class SpilledReplicaTests : NodeTest
{
    [Theory]
    [InlineData(1000)]
    [InlineData(5_000_000)]
    public async Task Object_on_disk_is_found_read_and_fetched_by_another_node(int bytes)
    {
        PlasmaStore store = Anonymous(NodeStore with { SpillDirectories = [NewFolder()] });
        PlasmaNode a = StartNode(on: store), b = StartNode([a.Endpoint]);
        byte[] payload = Random(1, bytes);
        store.Put(Id("x"), payload);
        Assert.True(store.Unload(long.MaxValue) > 0);
        Assert.Single(await b.LocateAsync(Id("x"), Soon, TestContext.Current.CancellationToken));
        Assert.False(store.TryGet(Id("x"), out _)); // Who only asks where it is brings nothing back.
        byte[] part = new byte[500];
        Assert.Equal(part.Length, await a.ReadAsync(Id("x"), 100, part, Soon, TestContext.Current.CancellationToken));
        Assert.True(part.AsSpan().SequenceEqual(payload.AsSpan(100, part.Length)));
        Assert.False(store.TryGet(Id("x"), out _));
        Assert.Empty((await b.PullAsync(new[] { Id("x") }, Soon, cancellationToken: TestContext.Current.CancellationToken)).Failures);
        using (PlasmaObject obj = b.Store.Get(Id("x"), Soon))
            Assert.True(obj.Span.SequenceEqual(payload));
        StopNodes();
    }
}
