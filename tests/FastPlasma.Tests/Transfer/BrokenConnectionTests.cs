using FastPlasma.Transfer;
using FastPlasma.Transfer.Connections;
using FastPlasma.Transfer.Wire;

namespace FastPlasma.Tests.Transfer;

/// <summary>Connections that break, or are no use, while the node behind them lives.</summary>
public sealed class BrokenConnectionTests : NodeTest
{
    [Fact]
    public async Task A_data_connection_that_breaks_is_dialed_again_while_the_others_go_on()
    {
        const int bytes = 30_000_000;
        PlasmaNode source = StartNode();
        source.Store.Put(Id("a"), Random(1, bytes));
        int cut = 0;
        using var wire = new TcpProxy(source.Endpoint, new TcpProxy.Pace(25 << 20))
        {
            Meddle = (flow, _) => !(flow is { IsToClient: true, Connection: > 0, Before: > 1_000_000 } && Interlocked.Exchange(ref cut, 1) == 0),
        };
        PlasmaNode target = StartNode([wire.Endpoint], new PlasmaNodeOptions { StreamsPerPeer = 2 });
        Assert.Empty((await target.PullAsync(new[] { Id("a") }, Soon)).Failures);
        using PlasmaObject obj = target.Store.Get(Id("a"), TimeSpan.Zero);
        Same(Random(1, bytes), obj.Span);
        Assert.Equal(1, cut);
        Assert.Equal(1 + 2 + 1, wire.Connections);
        Assert.Equal(bytes, target.Stats().ReceivedBytes);
        Assert.InRange(target.Stats().BrokenBytes, 0, 512 << 10);
    }

    [Fact]
    public async Task A_peer_that_answers_pings_and_no_questions_is_given_up()
    {
        using var fake = new FakeServer((_, channel) =>
        {
            while (channel.TryReceive(out FrameHeader header)) // Ends with the connection.
                if (header.Type == FrameType.Ping)
                    channel.Post(FrameType.Done, header.Tag);
        });
        PlasmaNode target = StartNode([fake.Endpoint], new PlasmaNodeOptions { SilenceTimeout = Ms(400) });
        Task<PullReport> pull = target.PullAsync(new[] { Id("a") }, Ms(5000));
        Until(() => target.Peers()[0].Problem?.Contains("has not answered a question", StringComparison.Ordinal) == true, "the end of patience");
        Assert.Single((await pull).Failures);
    }

    [Fact]
    public async Task Who_asks_where_an_object_is_does_not_wait_for_a_node_that_cannot_be_reached()
    {
        PlasmaNode source = StartNode();
        source.Store.Put(Id("a"), [1, 2, 3]);
        using var wire = new TcpProxy(source.Endpoint) { Refuses = true };
        PlasmaNode target = StartNode([wire.Endpoint, source.Endpoint]);
        Until(() => target.Peers().Any(static peer => peer.Problem is not null) && target.Peers().Any(static peer => peer.IsUp), "both ends");
        Task<IReadOnlyList<ObjectLocation>> where = target.LocateAsync(Id("a"), Timeout.InfiniteTimeSpan);
        Assert.Single(await where.WaitAsync(Soon, TestContext.Current.CancellationToken));
    }
}
