using System.Diagnostics;
using FastPlasma.Nodes;
using FastPlasma.Transfer;
using FastPlasma.Transfer.Directory;
using FastPlasma.Transfer.Fetching;
using FastPlasma.Transfer.Serving;

namespace FastPlasma.Tests.Transfer;

/// <summary>A node can be stopped, and a call given up, at any moment; nothing is written afterwards and nothing is left half-made.</summary>
public sealed class StopAndCancelTests : NodeTest
{
    private const int Chunk = 512 << 10;

    [Fact]
    public async Task A_node_can_be_stopped_at_any_moment()
    {
        PlasmaNode source = StartNode();
        for (int i = 0; i < 4; i++)
            source.Store.Put(Id($"{i}"), Random(i, i * 2_000_000 + 500));
        var random = new Random(LongRun.Seed);
        long start = Stopwatch.GetTimestamp();
        for (int round = 0; round < 25 || Stopwatch.GetElapsedTime(start) < LongRun.Of(0); round++)
        {
            PlasmaStore store = PlasmaStore.CreateAnonymous(NodeStore);
            PlasmaNode target = NewNode(store, [source.Endpoint]);
            Task started = target.StartAsync(CancellationToken.None);
            if (round % 5 != 0)
                await started;
            Task<PullReport> pull = round % 5 == 0 ? Task.FromResult(new PullReport(0, [])) : target.PullAsync(Enumerable.Range(0, 4).Select(i => Id($"{i}")).ToArray(), Soon);
            await Task.Delay(random.Next(30), TestContext.Current.CancellationToken);
            Task[] stops = [target.StopAsync(CancellationToken.None), target.StopAsync(CancellationToken.None)];
            await Task.WhenAll(stops).WaitAsync(Soon, TestContext.Current.CancellationToken);
            try
            {
                await started;
            }
            catch (Exception e) when (e is OperationCanceledException or InvalidOperationException)
            {
                Assert.Equal(0, round % 5);
            }
            await pull.WaitAsync(Soon, TestContext.Current.CancellationToken);
            StoreStats stats = store.Stats();
            Assert.True(stats.CreatingCount == 0, $"seed {LongRun.Seed}, round {round}: {stats.CreatingCount} half-made objects");
            Assert.Equal(0, target.ThreadCount);
            Assert.Empty(store.Verify().Problems);
            store.Dispose();
        }
    }

    [Fact]
    public async Task A_start_that_fails_half_way_leaves_nothing_behind()
    {
        PlasmaStore store = Anonymous(NodeStore);
        int port = StartNode().Endpoint.Port; // Another node's.
        PlasmaNode noAddress = NewNode(store, [], new PlasmaNodeOptions { Listen = new NodeEndpoint("127.0.0.1", port) });
        await Assert.ThrowsAnyAsync<IOException>(() => noAddress.StartAsync(CancellationToken.None));
        var noDirectory = new PlasmaNode(store, new PlasmaNodeOptions { Listen = AnyPort, Directory = static () => throw new InvalidDataException("no directory") });
        await Assert.ThrowsAsync<InvalidDataException>(() => noDirectory.StartAsync(CancellationToken.None));
        PlasmaNode cancelled = NewNode(store, []);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled.StartAsync(new CancellationToken(canceled: true)));

        PlasmaNode good = StartNode(on: store);
        Assert.True(store.HasNodeService);
        var second = await Assert.ThrowsAsync<InvalidOperationException>(() => NewNode(store, []).StartAsync(CancellationToken.None));
        Assert.Contains("is served by", second.Message, StringComparison.Ordinal);
        await good.StopAsync(CancellationToken.None);
        await good.StopAsync(CancellationToken.None);
        await Assert.ThrowsAsync<InvalidOperationException>(() => good.StartAsync(CancellationToken.None));
        Assert.False(store.HasNodeService);
        foreach (PlasmaNode node in (PlasmaNode[])[noAddress, noDirectory, cancelled, good])
            Assert.Equal(0, node.ThreadCount);
    }

    [Fact]
    public async Task A_get_that_waits_survives_the_restart_of_its_node()
    {
        PlasmaNode source = StartNode();
        PlasmaStore store = Named(out string name, NodeStore);
        PlasmaNode target = StartNode([source.Endpoint], on: store);
        WorkerProcess worker = StartWorker(name);
        worker.Send("get later 25000");
        var here = Eventually.Start(() => store.Get(Id("later"), Soon).Dispose());
        Until(() => target.FetchCount == 1, "the request");
        await target.StopAsync(CancellationToken.None);
        source.Store.Put(Id("later"), Pattern.Of(1, 2_000_000));
        StartNode([source.Endpoint], on: store);
        Assert.Equal($"Ok {WorkerProcess.Describe(Pattern.Of(1, 2_000_000))}", worker.Receive());
        here.Join();
    }

    [Fact]
    public async Task A_pull_can_be_given_up_or_run_out_of_time_at_any_moment()
    {
        PlasmaNode source = StartNode();
        ObjectId[] ids = [.. Enumerable.Range(0, 6).Select(i => Id($"{i}"))];
        for (int i = 0; i < ids.Length; i++)
            source.Store.Put(ids[i], Random(i, i * i * 150_000), Evictable);
        PlasmaNode target = StartNode([source.Endpoint]);
        var random = new Random(LongRun.Seed);
        for (int round = 0; round < 120; round++)
        {
            ObjectId id = ids[round % ids.Length];
            using var cancel = new CancellationTokenSource();
            if (round % 2 == 0)
                cancel.CancelAfter(TimeSpan.FromMilliseconds(random.NextDouble() * 8));
            try
            {
                await target.PullAsync(new[] { id }, round % 2 == 0 ? Soon : Ms(random.Next(20)), cancellationToken: cancel.Token);
            }
            catch (OperationCanceledException)
            {
                Assert.Equal(0, round % 2);
            }
            if (target.Store.TryGet(id, out PlasmaObject obj))
                using (obj)
                    Same(Random(round % ids.Length, round % ids.Length * (round % ids.Length) * 150_000), obj.Span);
            target.Store.Evict(long.MaxValue); // Not deleted: that would be told to the source.
        }
        NothingHalfMade(target);
    }

    [Fact]
    public async Task No_pin_is_left_when_deadlines_meet_seals()
    {
        PlasmaNode source = StartNode();
        const int count = 150;
        for (int i = 0; i < count; i++)
            source.Store.Put(Id($"{i}"), Random(i, 100_000), Evictable);
        PlasmaNode target = StartNode([source.Endpoint]);
        Assert.Empty((await target.PullAsync(new[] { Id("0") }, Soon)).Failures);
        FetchTable fetches = ((IServerHost)target).Fetches;
        int met = 0;
        for (int i = 1; i < count; i++)
        {
            Task<PullReport> pull = target.PullAsync(new[] { Id($"{i}") }, Soon);
            Fetch? fetch = fetches.Find(Id($"{i}"));
            // The last chunk is there and is being sealed: just then the fetch ends, as by its deadline.
            while (!pull.IsCompleted && fetch?.Large is not { VerifiedCount: > 0 }) // Ends with the object.
            {
                // As fast as can be.
            }
            fetch?.End(NodeAnswer.TimedOut, "a test ends it");
            met += (await pull).Here == 0 ? 1 : 0;
        }
        TestContext.Current.SendDiagnosticMessage($"{met} of {count} seals were met.");
        NothingHalfMade(target);
        await target.StopAsync(CancellationToken.None);
        Assert.Equal(0, target.ThreadCount);
        for (int i = 0; i < count; i++)
            target.Store.Delete(Id($"{i}"));
        target.Store.Maintain();
        StoreStats stats = target.Store.Stats();
        Assert.True(stats is { SealedCount: 0, CondemnedCount: 0 }, $"{stats.CondemnedCount} deleted objects are still pinned; {met} seals were met");
    }

    [Fact]
    public async Task A_ranged_read_that_is_given_up_writes_no_more()
    {
        PlasmaNode source = StartNode();
        byte[] payload = Random(1, 12 * Chunk);
        source.Store.Put(Id("a"), payload);
        using var wire = new TcpProxy(source.Endpoint, new TcpProxy.Pace(60 << 20));
        PlasmaNode target = StartNode([wire.Endpoint]);
        var random = new Random(LongRun.Seed);
        int givenUp = 0;
        for (int round = 0; round < 30; round++)
        {
            byte[] memory = new byte[8 * Chunk];
            using var cancel = new CancellationTokenSource(random.Next(1, 120));
            int from = random.Next(payload.Length);
            try
            {
                int bytes = await target.ReadAsync(Id("a"), from, memory, round % 3 == 0 ? Ms(random.Next(1, 120)) : Soon, cancel.Token);
                Same(payload.AsSpan(from, bytes), memory.AsSpan(0, bytes));
            }
            catch (Exception e) when (e is OperationCanceledException or TimeoutException)
            {
                givenUp++;
            }
            catch (PlasmaException e) when (e.Status == PlasmaStatus.NotFound)
            {
                givenUp++; // Out of time before anybody answered.
            }
            byte[] after = [.. memory];
            await Task.Delay(30, TestContext.Current.CancellationToken);
            Same(after, memory);
        }
        Assert.True(givenUp > 0, "no read was given up");
        byte[] all = new byte[payload.Length];
        Assert.Equal(all.Length, await target.ReadAsync(Id("a"), 0, all, Soon, TestContext.Current.CancellationToken));
        Same(payload, all);
    }

    [Fact]
    public async Task A_ranged_read_from_a_source_that_stands_still_can_be_given_up_soon()
    {
        PlasmaNode source = StartNode();
        source.Store.Put(Id("a"), Random(1, 4 * Chunk));
        using var release = new ManualResetEventSlim();
        using var wire = new TcpProxy(source.Endpoint)
        {
            Meddle = (flow, _) =>
            {
                if (flow is { IsToClient: true, Before: > 100_000 })
                    release.Wait();
                return true;
            },
        };
        PlasmaNode target = StartNode([wire.Endpoint]);
        long start = Stopwatch.GetTimestamp();
        await Assert.ThrowsAsync<TimeoutException>(() => target.ReadAsync(Id("a"), 0, new byte[4 * Chunk], Ms(500), TestContext.Current.CancellationToken));
        Assert.True(Stopwatch.GetElapsedTime(start).TotalSeconds < 5, "the read was held up");
        release.Set();
    }

    private PlasmaNode NewNode(PlasmaStore store, NodeEndpoint[] peers, PlasmaNodeOptions? options = null) =>
        new(store, (options ?? new PlasmaNodeOptions { Listen = AnyPort }) with { Directory = () => new StaticPeers(peers) });
}
