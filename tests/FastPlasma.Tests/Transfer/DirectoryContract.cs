using System.Diagnostics;
using FastPlasma.Transfer;
using FastPlasma.Transfer.Directory;

namespace FastPlasma.Tests.Transfer;

/// <summary>What nodes promise whichever directory they find each other by.</summary>
public abstract class DirectoryContract : NodeTest
{
    /// <summary>A node that is known to, and knows, all others that this makes.</summary>
    private protected abstract PlasmaNode Join(PlasmaStore? store = null);

    [Fact]
    public async Task A_pull_finds_objects_of_all_nodes()
    {
        PlasmaNode a = Join(), b = Join(), c = Join();
        a.Store.Put(Id("a"), Random(1, 1000));
        b.Store.Put(Id("b"), Random(2, 3_000_000));
        PullReport report = await c.PullAsync(new[] { Id("a"), Id("b") }, Soon);
        Assert.Empty(report.Failures);
        Assert.True(c.Store.TryGet(Id("b"), out PlasmaObject obj));
        using (obj)
            Same(Random(2, 3_000_000), obj.Span);
    }

    [Fact]
    public void A_get_with_a_timeout_finds_an_object_of_another_node()
    {
        PlasmaNode a = Join(), b = Join();
        a.Store.Put(Id("x"), Random(1, 2_000_000));
        Assert.Equal(PlasmaStatus.Ok, b.Store.TryGet(Id("x"), Soon, out PlasmaObject obj));
        obj.Dispose();
    }

    [Fact]
    public async Task Locate_names_all_holders()
    {
        PlasmaNode a = Join(), b = Join(), c = Join();
        a.Store.Put(Id("x"), Random(1, 1000));
        Assert.Empty((await b.PullAsync(new[] { Id("x") }, Soon)).Failures);
        IReadOnlyList<ObjectLocation> found = [];
        Until(() => (found = c.LocateAsync(Id("x"), Ms(1000)).GetAwaiter().GetResult()).Count == 2, "both holders");
        Assert.Equal(new[] { a.Endpoint, b.Endpoint }.Order(ByText), found.Select(static where => where.Node).Order(ByText));
        Assert.All(found, static where => Assert.True(where.IsComplete && where.PayloadBytes == 1000));
        Assert.Single(found.Select(static where => where.Incarnation).Distinct());
    }

    [Fact]
    public async Task What_appears_later_wakes_who_waits_for_it()
    {
        PlasmaNode a = Join(), b = Join();
        await WaitAndPut(a, b, "first"); // Connects the two.
        var times = new List<double>();
        for (int i = 0; i < 10; i++)
            times.Add(await WaitAndPut(a, b, $"later {i}"));
        TestContext.Current.TestOutputHelper?.WriteLine($"seal to arrival: median {times.Order().ElementAt(5):0.0} ms, greatest {times.Max():0.0} ms");
        Assert.True(times.Order().ElementAt(5) < 500, $"{string.Join(", ", times)} ms"); // Asking again now and then would take 1 to 2 s.
    }

    [Fact]
    public async Task What_no_node_has_is_said_at_the_deadline()
    {
        Join();
        PlasmaNode b = Join();
        long start = Stopwatch.GetTimestamp();
        PullFailure failure = Assert.Single((await b.PullAsync(new[] { Id("nowhere") }, Ms(3000))).Failures);
        Assert.Equal(PlasmaStatus.NotFound, failure.Status);
        Assert.True(Stopwatch.GetElapsedTime(start).TotalSeconds < 10);
    }

    [Fact]
    public async Task A_copy_that_was_evicted_is_found_elsewhere()
    {
        PlasmaNode a = Join(), b = Join(), c = Join();
        a.Store.Put(Id("x"), Random(1, 1000), Evictable);
        Assert.Empty((await b.PullAsync(new[] { Id("x") }, Soon)).Failures);
        Until(() => c.LocateAsync(Id("x"), Ms(1000)).GetAwaiter().GetResult().Count == 2, "both holders");
        Assert.True(a.Store.Evict(long.MaxValue) > 0);
        Assert.Empty((await c.PullAsync(new[] { Id("x") }, Soon)).Failures);
        Until(() => c.LocateAsync(Id("x"), Ms(1000)).GetAwaiter().GetResult() is { Count: 2 } now && now.All(where => where.Node != a.Endpoint), "the holder that has it no more is not named");
    }

    [Fact]
    public async Task A_delete_reaches_all_copies()
    {
        PlasmaNode a = Join(), b = Join(), c = Join();
        a.Store.Put(Id("x"), Random(1, 1000));
        Assert.Empty((await b.PullAsync(new[] { Id("x") }, Soon)).Failures);
        Assert.Empty((await c.PullAsync(new[] { Id("x") }, Soon)).Failures);
        Assert.Equal(PlasmaStatus.Ok, b.Store.Delete(Id("x")));
        Until(() => !a.Store.Contains(Id("x")) && !c.Store.Contains(Id("x")), "the delete at the other nodes");
        // Another object of the same name is not meant.
        a.Store.Put(Id("x"), Random(2, 500));
        Assert.Empty((await c.PullAsync(new[] { Id("x") }, Soon)).Failures);
    }

    [Fact]
    public async Task A_delete_reaches_a_node_that_was_away()
    {
        PlasmaNode a = Join();
        PlasmaStore store = Anonymous(NodeStore);
        PlasmaNode c = Join(store);
        a.Store.Put(Id("x"), Random(1, 1000));
        Assert.Empty((await c.PullAsync(new[] { Id("x") }, Soon)).Failures);
        await c.StopAsync(CancellationToken.None);
        Assert.Equal(PlasmaStatus.Ok, a.Store.Delete(Id("x")));
        PlasmaNode again = Join(store);
        Assert.NotEqual(c.Id, again.Id);
        Until(() => !store.Contains(Id("x")), "the delete at the node that was away");
    }

    private static readonly IComparer<NodeEndpoint> ByText = Comparer<NodeEndpoint>.Create(static (x, y) => string.CompareOrdinal(x.ToString(), y.ToString()));

    /// <summary>Milliseconds from a seal on one node to the arrival on another where it is waited for.</summary>
    private protected static async Task<double> WaitAndPut(PlasmaNode from, PlasmaNode to, string name)
    {
        Task<PullReport> pull = to.PullAsync(new[] { Id(name) }, Soon);
        await Task.Delay(100, TestContext.Current.CancellationToken); // So that it has asked; if not, the figure is a little better than it should be.
        long start = Stopwatch.GetTimestamp();
        from.Store.Put(Id(name), Random(1, 1000));
        Assert.Empty((await pull).Failures);
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }
}

/// <summary>Each node has the list of all.</summary>
public sealed class StaticPeersContractTests : DirectoryContract
{
    private readonly NodeEndpoint[] _all = [.. Enumerable.Range(0, 5).Select(static _ => new NodeEndpoint("127.0.0.1", RedisServer.FreePort()))];
    private int _used;

    private protected override PlasmaNode Join(PlasmaStore? store = null) => StartNode(store ?? Anonymous(NodeStore), () => new StaticPeers(_all), new PlasmaNodeOptions { Listen = _all[_used++] });
}

/// <summary>Nodes that have nothing in common but a server.</summary>
public abstract class RedisNodeTest : DirectoryContract
{
    private readonly Lazy<RedisServer> _server;

    private protected RedisNodeTest(int masterCount)
    {
        MasterCount = masterCount;
        _server = new Lazy<RedisServer>(() => new RedisServer(NewFolder(), masterCount));
    }

    private protected int MasterCount { get; }

    private protected RedisServer Server => _server.Value;

    private protected RedisDirectoryOptions Options => new() { Configuration = Server.Configuration, Prefix = "test", HeartbeatInterval = Ms(100), LeaseTime = Ms(1000), RequestTimeout = Ms(800) };

    private protected override PlasmaNode Join(PlasmaStore? store = null) => Join(Options, store);

    private protected PlasmaNode Join(RedisDirectoryOptions options, PlasmaStore? store = null) => StartNode(store ?? Anonymous(NodeStore), () => new RedisDirectory(options));

    public override void Dispose()
    {
        if (_server.IsValueCreated)
            _server.Value.Thaw();
        StopNodes();
        if (_server.IsValueCreated)
            _server.Value.Dispose();
        base.Dispose();
        GC.SuppressFinalize(this);
    }
}
