using FastPlasma.Transfer;

namespace FastPlasma.Tests.Transfer;

/// <summary>A node that was away does not bring back what was deleted meanwhile.</summary>
public sealed class CopyCheckTests : NodeTest
{
    private static readonly ObjectId[] s_x = [ObjectId.FromName("x")];

    [Theory]
    [InlineData(1000)]
    [InlineData(2_000_000)]
    public async Task A_copy_is_not_served_after_a_restart_before_another_node_confirms_it(int bytes)
    {
        PlasmaNode a = StartNode();
        PlasmaStore copies = Anonymous(NodeStore);
        PlasmaNode b = StartNode([a.Endpoint], on: copies);
        a.Store.Put(s_x[0], Random(1, bytes));
        Assert.Empty((await b.PullAsync(s_x, Soon, cancellationToken: TestContext.Current.CancellationToken)).Failures);
        await b.StopAsync(CancellationToken.None);
        NodeEndpoint gone = a.Endpoint;
        await a.StopAsync(CancellationToken.None);

        PlasmaNode again = StartNode([gone], on: copies);
        PlasmaNode c = StartNode([again.Endpoint]);
        PullFailure failure = Assert.Single((await c.PullAsync(s_x, TimeSpan.FromSeconds(1.5), cancellationToken: TestContext.Current.CancellationToken)).Failures);
        Assert.Equal(PlasmaStatus.NotFound, failure.Status);
        Assert.True(copies.Contains(s_x[0])); // For local use, and nothing is lost.

        // Its maker is back: it confirms the copy.
        StartNode(options: new PlasmaNodeOptions { Listen = gone }, on: a.Store);
        Assert.Empty((await c.PullAsync(s_x, Soon, cancellationToken: TestContext.Current.CancellationToken)).Failures);
        Assert.Equal(bytes, c.Stats().ReceivedBytes);
    }

    [Fact]
    public async Task What_was_made_here_is_served_at_once_after_a_restart()
    {
        PlasmaStore own = Anonymous(NodeStore);
        PlasmaNode a = StartNode(on: own);
        own.Put(s_x[0], Random(1, 1000));
        await a.StopAsync(CancellationToken.None);
        PlasmaNode again = StartNode(on: own);
        PlasmaNode b = StartNode([again.Endpoint]);
        Assert.Empty((await b.PullAsync(s_x, Soon, cancellationToken: TestContext.Current.CancellationToken)).Failures);
    }

    [Fact]
    public async Task A_copy_that_was_deleted_while_its_node_was_away_is_not_served()
    {
        PlasmaNode a = StartNode();
        PlasmaStore copies = Anonymous(NodeStore);
        PlasmaNode b = StartNode([a.Endpoint], on: copies);
        a.Store.Put(s_x[0], Random(1, 1000));
        Assert.Empty((await b.PullAsync(s_x, Soon, cancellationToken: TestContext.Current.CancellationToken)).Failures);
        NodeEndpoint place = b.Endpoint;
        await b.StopAsync(CancellationToken.None);
        Assert.Equal(PlasmaStatus.Ok, a.Store.Delete(s_x[0]));
        a.Store.Put(Id("after"), Random(2, 10)); // Its event follows that of the delete.

        PlasmaNode watcher = StartNode([a.Endpoint]);
        Assert.Empty((await watcher.PullAsync(new[] { Id("after") }, Soon, cancellationToken: TestContext.Current.CancellationToken)).Failures);
        StartNode([a.Endpoint, watcher.Endpoint], new PlasmaNodeOptions { Listen = place }, on: copies);
        PlasmaNode c = StartNode([place]);
        Assert.Equal(PlasmaStatus.NotFound, Assert.Single((await c.PullAsync(s_x, TimeSpan.FromSeconds(1.5), cancellationToken: TestContext.Current.CancellationToken)).Failures).Status);
    }
}
