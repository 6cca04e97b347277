using System.Globalization;
using FastPlasma.Transfer;

namespace FastPlasma.Tests.Transfer;

/// <summary>Processes of nodes die at any moment. The others end with the right bytes or a clear error, and nothing half-made stays.</summary>
public sealed class KilledNodeTests : NodeTest
{
    /// <summary>How many sources die: FASTPLASMA_TEST_KILLS, or as many as a test run has time for.</summary>
    private static int Kills { get; } = int.TryParse(Environment.GetEnvironmentVariable("FASTPLASMA_TEST_KILLS"), CultureInfo.InvariantCulture, out int kills) ? kills : 30;

    [Fact, Trait("Anchor", "30")]
    public async Task Sources_die_at_any_moment()
    {
        const int smallCount = 8, largeBytes = 5_000_000;
        var random = new Random(LongRun.Seed);
        using var wire = new TcpProxy(AnyPort, new TcpProxy.Pace(120 << 20));
        PlasmaNode target = StartNode([wire.Endpoint], new PlasmaNodeOptions { StallTimeout = Ms(500) });
        int whole = 0, failed = 0, partly = 0;
        for (int kill = 0; kill < Kills; kill++)
        {
            string name = NewName();
            using WorkerProcess source = StartWorker(null, uid: null);
            source.Call($"make {name}");
            wire.Target = NodeEndpoint.Parse(source.Call("node 0"));
            ObjectId[] ids = [.. Enumerable.Range(0, smallCount + 2).Select(i => Id($"{kill}-{i}"))];
            for (int i = 0; i < ids.Length; i++)
                source.Call($"put {kill}-{i} {BytesOf(i)} {i} evictable");
            Until(() => target.Peers()[0].IsUp, "the connection");
            long before = target.Stats().ReceivedBytes;
            Task<PullReport> pull = target.PullAsync(ids, Ms(1200));
            var get = Eventually.Start(() =>
            {
                if (target.Store.TryGet(ids[^1], Ms(1000), out PlasmaObject obj) == PlasmaStatus.Ok)
                    using (obj)
                        Same(Pattern.Of(ids.Length - 1, BytesOf(ids.Length - 1)), obj.Span);
            });
            await Task.Delay(random.Next(130), TestContext.Current.CancellationToken);
            source.Kill();
            PullReport report = await pull.WaitAsync(Soon, TestContext.Current.CancellationToken);
            get.Join();
            foreach (PullFailure failure in report.Failures)
                Assert.False(string.IsNullOrWhiteSpace(failure.Reason));
            for (int i = 0; i < ids.Length; i++)
            {
                bool isHere = target.Store.TryGet(ids[i], out PlasmaObject obj);
                Assert.True(isHere || report.Failures.Any(failure => failure.Id == ids[i]), $"seed {LongRun.Seed}, kill {kill}: object {i} was told to be here");
                if (!isHere)
                    continue;
                using (obj)
                    Same(Pattern.Of(i, BytesOf(i)), obj.Span);
            }
            (whole, failed) = (whole + (report.Failures.Count == 0 ? 1 : 0), failed + (report.Here == 0 ? 1 : 0));
            partly += report.Failures.Count > 0 && target.Stats().ReceivedBytes > before ? 1 : 0;
            NothingHalfMade(target);
            target.Store.Evict(long.MaxValue);
        }
        TestContext.Current.TestOutputHelper!.WriteLine($"{Kills} sources died: {whole} after everything had come, {partly} in the middle, {failed} before anything.");
        Assert.True(Kills < 20 || partly > 0, "no source died in the middle");

        static int BytesOf(int i) => i < smallCount ? 1000 * i : largeBytes + i;
    }

    [Fact, Trait("Anchor", "30")]
    public async Task Sources_die_while_another_node_has_the_object_too()
    {
        const int bytes = 8_000_000, chunk = 512 << 10, streams = 2;
        var random = new Random(LongRun.Seed);
        using var wire = new TcpProxy(AnyPort, new TcpProxy.Pace(120 << 20));
        PlasmaNode other = StartNode([wire.Endpoint]);
        using var otherWire = new TcpProxy(other.Endpoint, new TcpProxy.Pace(120 << 20));
        PlasmaNode target = StartNode([wire.Endpoint, otherWire.Endpoint], new PlasmaNodeOptions { StallTimeout = Ms(500), StreamsPerPeer = streams });
        long brokenMax = 0;
        int resumed = 0, kills = Math.Max(Kills / 3, 1);
        for (int kill = 0; kill < kills; kill++)
        {
            string name = NewName();
            using WorkerProcess source = StartWorker(null, uid: null);
            source.Call($"make {name}");
            wire.Target = NodeEndpoint.Parse(source.Call("node 0"));
            source.Call($"put {kill} {bytes} {kill} evictable");
            ObjectId id = Id($"{kill}");
            Assert.Empty((await other.PullAsync(new[] { id }, Soon)).Failures);
            Until(() => target.Peers().All(static peer => peer.IsUp), "the connections");
            TransferStats before = target.Stats();
            Task<PullReport> pull = target.PullAsync(new[] { id }, Soon);
            await Task.Delay(random.Next(70), TestContext.Current.CancellationToken);
            source.Kill();
            Assert.Empty((await pull.WaitAsync(Soon, TestContext.Current.CancellationToken)).Failures);
            using (PlasmaObject obj = target.Store.Get(id, Soon))
                Same(Pattern.Of(kill, bytes), obj.Span);

            // Whole chunks came once each; of each connection at most one chunk had begun to come.
            TransferStats after = target.Stats();
            Assert.Equal((bytes, 0, 0), (after.ReceivedBytes - before.ReceivedBytes, after.BadBytes - before.BadBytes, after.DiscardedBytes - before.DiscardedBytes));
            long broken = after.BrokenBytes - before.BrokenBytes;
            Assert.InRange(broken, 0, streams * chunk);
            (brokenMax, resumed) = (Math.Max(brokenMax, broken), resumed + (broken > 0 ? 1 : 0));
            NothingHalfMade(target);
            target.Store.Evict(long.MaxValue);
            other.Store.Evict(long.MaxValue);
        }
        TestContext.Current.TestOutputHelper!.WriteLine($"{kills} sources died beside another holder: all objects came whole, {resumed} after chunks had broken off, of which at most {brokenMax} bytes were asked for again, over {streams} connections.");
        Assert.True(kills < 20 || resumed > 0, "no connection broke in the middle of a chunk");
    }

    [Fact, Trait("Anchor", "30")]
    public void What_a_receiver_that_dies_had_half_made_vanishes()
    {
        PlasmaNode source = StartNode();
        source.Store.Put(Id("a"), Pattern.Of(3, 9_000_000));
        using var wire = new TcpProxy(source.Endpoint, new TcpProxy.Pace(6 << 20));
        PlasmaStore store = Named(out string name, NodeStore);
        WorkerProcess receiver = StartWorker(name);
        receiver.Call($"node 0 {wire.Endpoint}");
        receiver.Send("get a 20000");
        Until(() => store.Stats().CreatingCount == 1, "the beginning");
        receiver.Kill();
        Until(
            () =>
            {
                store.Maintain();
                return store.Stats().CreatingCount == 0;
            },
            "the end of what was half-made");
        Assert.False(store.Contains(Id("a")));

        // A new service of the same store brings it.
        WorkerProcess next = StartWorker(name);
        next.Call($"node 0 {source.Endpoint}");
        using PlasmaObject obj = store.Get(Id("a"), Soon);
        Same(Pattern.Of(3, 9_000_000), obj.Span);
    }

    [Fact]
    public void Gets_that_wait_outlive_the_process_of_their_node()
    {
        PlasmaNode source = StartNode();
        PlasmaStore store = Named(out string name, NodeStore);
        WorkerProcess service = StartWorker(name), reader = StartWorker(name);
        service.Call($"node 0 {source.Endpoint}");
        reader.Send("get later 25000");
        Until(() => store.HasNodeService, "the service");
        Thread.Sleep(200); // So that the request is likely to be taken; either is right.
        service.Kill();
        source.Store.Put(Id("later"), Pattern.Of(1, 1_000_000));
        StartNode([source.Endpoint], on: store);
        Assert.Equal($"Ok {WorkerProcess.Describe(Pattern.Of(1, 1_000_000))}", reader.Receive());
    }

    [Fact]
    public void A_node_of_another_process_that_stands_still_is_given_up_and_found_again()
    {
        PlasmaStore store = Named(out string name, NodeStore);
        WorkerProcess source = StartWorker(name);
        NodeEndpoint at = NodeEndpoint.Parse(source.Call("node 0"));
        store.Put(Id("a"), Pattern.Of(1, 3_000_000));
        PlasmaNode target = StartNode([at], new PlasmaNodeOptions { SilenceTimeout = Ms(900) });
        Until(() => target.Peers()[0].IsUp, "the connection");
        source.Stop();
        Until(() => !target.Peers()[0].IsUp, "the silence");
        Assert.Contains("silent", target.Peers()[0].Problem, StringComparison.Ordinal);
        source.Continue();
        using PlasmaObject obj = target.Store.Get(Id("a"), Soon);
        Same(Pattern.Of(1, 3_000_000), obj.Span);
    }
}
