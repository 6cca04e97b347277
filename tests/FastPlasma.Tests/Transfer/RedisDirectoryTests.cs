using System.Collections.Concurrent;
using System.Diagnostics;
using FastPlasma.Transfer;
using FastPlasma.Transfer.Directory;
using Microsoft.Extensions.Logging;

namespace FastPlasma.Tests.Transfer;

/// <summary>What a directory in Redis does when nodes die, when it loses everything, and when it does not answer.</summary>
public sealed class RedisDirectoryTests() : RedisFailureTests(1)
{
    [Fact]
    public async Task A_location_of_a_killed_node_is_not_named_when_its_lease_is_over_and_is_removed()
    {
        Silent other = new();
        await using RedisDirectory asker = await Start(new Silent());
        await using RedisDirectory directory = await Start(other);
        directory.Announce([new LocalObject(Id("x"), 7, 10, true)]);
        Until(() => Found(asker, Id("x")).Count == 1, "the location");
        NodeEndpoint killed = LeaveAsIfKilled("x");
        Until(() => Found(asker, Id("x")).Count == 2 && asker.Nodes.Any(node => node.Endpoint == killed), "the node that still has its lease");
        Until(() => Server.Ask(0, "HLEN", ObjectKey("x")) == "1" || Found(asker, Id("x")).Count == 0, "the dead location is removed by who met it");
        Assert.Equal(other.Node.Endpoint, Assert.Single(Found(asker, Id("x"))).Node);
        Until(() => asker.Nodes.All(node => node.Endpoint != killed) && Server.Ask(0, "SCARD", "{test:nodes}") == "2", "the node is gone");
    }

    [Fact]
    public async Task A_get_of_an_object_of_a_killed_node_finds_the_next_that_has_it()
    {
        PlasmaNode a = Join(), b = Join();
        LeaveAsIfKilled("x");
        Task<PullReport> pull = b.PullAsync(new[] { Id("x") }, Soon);
        await Task.Delay(200, TestContext.Current.CancellationToken);
        a.Store.Put(Id("x"), Random(1, 100));
        Assert.Empty((await pull).Failures);
    }

    [Fact]
    public async Task Who_leaves_is_not_named_any_more()
    {
        await using RedisDirectory asker = await Start(new Silent());
        RedisDirectory leaving = await Start(new Silent(), Options with { LeaseTime = TimeSpan.FromMinutes(1) });
        leaving.Announce([new LocalObject(Id("x"), 7, 10, true)]);
        Until(() => Found(asker, Id("x")).Count == 1, "the location");
        await leaving.DisposeAsync();
        Until(() => Found(asker, Id("x")).Count == 0 && asker.Nodes.Count == 0, "the node is gone");
    }

    [Fact]
    public async Task A_node_whose_lease_was_over_announces_everything_under_a_new_session()
    {
        Silent holder = new();
        holder.Objects.Add(new LocalObject(Id("x"), 7, 10, true));
        await using RedisDirectory asker = await Start(new Silent());
        await using RedisDirectory directory = await Start(holder);
        Until(() => Found(asker, Id("x")).Count == 1, "the location");
        int walks = holder.Walks;
        foreach (string key in Server.Ask(0, "--scan", "--pattern", "{test:nodes}:*").Split('\n'))
            Server.Ask(0, "DEL", key);
        Until(() => holder.Walks > walks, "everything is announced again");
        Until(() => Found(asker, Id("x")).Count == 1 && Server.Ask(0, "HLEN", ObjectKey("x")) == "1", "the location of the new session, and no other");
    }

    [Fact]
    public async Task Locations_and_tombstones_have_an_end()
    {
        Silent holder = new();
        RedisDirectory directory = await Start(holder, Options with { LocationLease = Ms(1500) });
        directory.Announce([new LocalObject(Id("x"), 7, 10, true)]);
        directory.Delete([new Tombstone(Id("y"), 8, Ms(1500))]);
        directory.Watch([Id("z")], Ms(1500));
        Until(() => Server.Ask(0, "EXISTS", ObjectKey("x"), ObjectKey("z") + ":w") == "2" && directory.TombstonesAsync(default).AsTask().GetAwaiter().GetResult().Count == 1, "all is there");
        holder.Objects.Clear();
        Until(() => directory.TombstonesAsync(default).AsTask().GetAwaiter().GetResult().Count == 0, "the tombstone has ended");
        await directory.DisposeAsync();
        Until(() => Server.Ask(0, "EXISTS", ObjectKey("x"), ObjectKey("z") + ":w") == "0", "nothing of any object is left");
        foreach (string key in Server.Ask(0, "--scan").Split('\n', StringSplitOptions.RemoveEmptyEntries))
            Assert.NotEqual("-1", Server.Ask(0, "TTL", key));
    }

    [Fact]
    public async Task A_location_is_renewed_as_long_as_its_node_lives()
    {
        Silent holder = new();
        holder.Objects.Add(new LocalObject(Id("x"), 7, 10, true));
        await using RedisDirectory asker = await Start(new Silent());
        await using RedisDirectory directory = await Start(holder, Options with { LocationLease = Ms(1500) });
        Until(() => Found(asker, Id("x")).Count == 1, "the location");
        Until(() => holder.Walks >= 6, "twice the lease's time");
        Until(() => Found(asker, Id("x")).Count == 1, "the location");
    }

    [Fact]
    public async Task A_correction_removes_what_was_wrong_and_nothing_else()
    {
        Silent holder = new();
        await using RedisDirectory asker = await Start(new Silent());
        await using RedisDirectory directory = await Start(holder);
        directory.Announce([new LocalObject(Id("x"), 7, 10, true), new LocalObject(Id("y"), 9, 10, true)]);
        Until(() => Found(asker, Id("x")).Count == 1 && Found(asker, Id("y")).Count == 1, "the locations");
        asker.Correct(Id("x"), new ObjectLocation(holder.Node.Endpoint, 8, true, 10)); // Another incarnation.
        asker.Correct(Id("x"), new ObjectLocation(new NodeEndpoint("127.0.0.1", 1), 7, true, 10)); // Another node.
        asker.Correct(Id("y"), new ObjectLocation(holder.Node.Endpoint, 9, true, 10));
        Until(() => Found(asker, Id("y")).Count == 0, "the wrong location is gone");
        Assert.Single(Found(asker, Id("x")));
        Until(() => holder.AskedAgain.Contains(Id("y")), "the node is asked whether it has it after all");
        asker.Correct(Id("x"), new ObjectLocation(holder.Node.Endpoint, 0, true, -1));
        Until(() => Found(asker, Id("x")).Count == 0, "of an unknown incarnation");
    }

    [Fact]
    public async Task A_watch_tells_what_is_there_and_what_comes()
    {
        Silent watcher = new(), holder = new();
        await using RedisDirectory watching = await Start(watcher);
        await using RedisDirectory directory = await Start(holder);
        directory.Announce([new LocalObject(Id("there"), 1, 10, true)]);
        Until(() => Found(watching, Id("there")).Count == 1, "the location");
        watching.Watch([Id("there"), Id("later")], Soon);
        Until(() => watcher.Appeared.ContainsKey(Id("there")), "what is there");
        Until(() => Server.Ask(0, "SCARD", ObjectKey("later") + ":w") == "1", "the watch");
        directory.Announce([new LocalObject(Id("other"), 2, 10, true), new LocalObject(Id("later"), 3, 20, false)]);
        Until(() => watcher.Appeared.ContainsKey(Id("later")), "what comes");
        Assert.Equal(new ObjectLocation(holder.Node.Endpoint, 3, false, 20), watcher.Appeared[Id("later")]);
        Assert.False(watcher.Appeared.ContainsKey(Id("other")));
    }

    [Fact]
    public async Task Watch_and_announcement_never_miss_each_other()
    {
        Silent watcher = new();
        await using RedisDirectory watching = await Start(watcher);
        await using RedisDirectory directory = await Start(new Silent());
        for (int i = 0; i < 300; i++)
        {
            ObjectId id = Id($"race {i}");
            Task watch = Task.Run(() => watching.Watch([id], Soon));
            directory.Announce([new LocalObject(id, 1, 1, true)]);
            await watch;
        }
        Until(() => watcher.Appeared.Count == 300, "all have been told");
    }

    [Fact]
    public async Task Twenty_thousand_announcements_are_soon_told()
    {
        Silent holder = new();
        await using RedisDirectory asker = await Start(new Silent());
        await using RedisDirectory directory = await Start(holder);
        ObjectId[] ids = [.. Enumerable.Range(0, 20_000).Select(i => Id($"o{i}"))];
        long start = Stopwatch.GetTimestamp();
        foreach (ObjectId id in ids)
            directory.Announce([new LocalObject(id, 1, 1000, true)]);
        double queued = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        Until(() => directory.Waiting == 0, "all are told", 60);
        double told = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        start = Stopwatch.GetTimestamp();
        IReadOnlyList<ObjectLocation>[] found = await asker.LocateAsync(ids, CancellationToken.None);
        double located = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        Assert.All(found, static each => Assert.Single(each));
        string memory = Server.Ask(0, "INFO", "memory").Split('\n').First(static line => line.StartsWith("used_memory:", StringComparison.Ordinal)).Trim();
        TestContext.Current.TestOutputHelper?.WriteLine($"20,000 announcements: queued in {queued:0} ms, told in {told:0} ms; located in {located:0} ms; {memory}, of one object {Server.Ask(0, "MEMORY", "USAGE", ObjectKey("o1"))} bytes");
        Assert.True(told < 30_000);
    }

    [Fact]
    public async Task What_does_not_fit_into_the_queue_is_announced_later()
    {
        Silent holder = new();
        await using RedisDirectory asker = await Start(new Silent());
        await using RedisDirectory directory = await Start(holder, Options with { BatchMax = 16, QueueMax = 64 });
        Until(() => holder.Walks > 0, "the first walk");
        Server.Freeze();
        for (int i = 0; i < 1000; i++)
        {
            var each = new LocalObject(Id($"o{i}"), 1, 1, true);
            holder.Objects.Add(each);
            directory.Announce([each]);
        }
        Assert.True(directory.Waiting <= 64 + 16);
        Server.Thaw();
        ObjectId[] ids = [.. Enumerable.Range(0, 1000).Select(i => Id($"o{i}"))];
        Until(() => asker.Problem is null && directory.Problem is null && ids.All(id => Found(asker, id).Count == 1), "all are known");
    }

    [Fact]
    public async Task Two_clusters_share_a_server_unknown_to_each_other()
    {
        await using RedisDirectory one = await Start(new Silent());
        await using RedisDirectory other = await Start(new Silent(), Options with { Prefix = "test2" });
        one.Announce([new LocalObject(Id("x"), 1, 1, true)]);
        Until(() => one.Waiting == 0, "it is told");
        Assert.Empty(Found(other, Id("x")));
        Assert.Empty(other.Nodes);
    }

    [Fact]
    public async Task A_foreign_key_does_not_hold_up_the_others()
    {
        Server.Ask(0, "SET", ObjectKey("foreign"), "not ours");
        await using RedisDirectory asker = await Start(new Silent());
        await using RedisDirectory directory = await Start(new Silent());
        directory.Announce([new LocalObject(Id("foreign"), 1, 1, true), new LocalObject(Id("x"), 1, 1, true)]);
        Until(() => Found(asker, Id("x")).Count == 1, "the other object");
        Assert.Empty(Found(asker, Id("foreign")));
        Assert.Null(asker.Problem);
    }

    [Fact]
    public async Task A_password_opens_and_is_never_told()
    {
        using var server = new RedisServer(NewFolder(), password: "correct-horse");
        var log = new Lines();
        await using (RedisDirectory good = await Start(new Silent(), Options with { Configuration = server.Configuration }, log))
            Assert.Null(good.Problem);
        RedisDirectoryOptions wrong = Options with { Configuration = server.Configuration.Replace("correct-horse", "wrong-horse", StringComparison.Ordinal) };
        await using var bad = new RedisDirectory(wrong, log);
        await bad.StartAsync(new Silent().Node, new Silent(), CancellationToken.None);
        IOException refused = await Assert.ThrowsAsync<IOException>(async () => await bad.LocateAsync(new[] { Id("x") }, CancellationToken.None));
        Assert.Equal(bad.Problem, refused.Message);
        Until(() => !log.All.IsEmpty, "a line of the log");
        Assert.All((string[])[.. log.All, refused.ToString(), wrong.ToString(), Options.ToString()], static text => Assert.DoesNotContain("horse", text, StringComparison.Ordinal));
        ArgumentException unreadable = Assert.Throws<ArgumentException>(() => new RedisDirectory(new RedisDirectoryOptions { Configuration = "localhost,passwort=horse,ssl=horse" }));
        Assert.DoesNotContain("horse", unreadable.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Impossible_options_are_refused()
    {
        RedisDirectoryOptions good = new() { Configuration = "localhost:1" };
        Assert.Null(good.Validate());
        foreach (RedisDirectoryOptions wrong in (RedisDirectoryOptions[])[
            good with { Configuration = "" }, good with { Configuration = null! }, good with { Prefix = "" }, good with { Prefix = "a{b}" }, good with { Prefix = new string('a', 65) }, good with { HeartbeatInterval = TimeSpan.Zero },
            good with { LeaseTime = Ms(3999) }, good with { LocationLease = Ms(9999) }, good with { RequestTimeout = TimeSpan.Zero }, good with { BatchMax = 0 }, good with { BatchMax = 5000 }, good with { QueueMax = 2047 }])
            Assert.Throws<ArgumentException>(() => new RedisDirectory(wrong));
    }

    [Theory]
    [InlineData("")]
    [InlineData("+")]
    [InlineData("? 00")]
    [InlineData("+ 00 127.0.0.1:1 1 c 5")]
    [InlineData("+ 00000000000000000000000000000000000000000000000000000000 127.0.0.1:1 1 x 5")]
    [InlineData("+ 00000000000000000000000000000000000000000000000000000000 127.0.0.1:0 1 c 5")]
    [InlineData("+ 00000000000000000000000000000000000000000000000000000000 127.0.0.1:1 1 c -5")]
    [InlineData("- 00000000000000000000000000000000000000000000000000000000 127.0.0.1:1 1 c 5")]
    public void A_line_that_makes_no_sense_is_not_taken(string line) => Assert.False(RedisDirectoryKeys.TryParseLine(line, out _, out _));

    [Fact]
    public void Texts_are_read_as_they_were_written()
    {
        var id = ObjectId.NewRandom();
        var at = new NodeEndpoint("::1", 9);
        Assert.True(RedisDirectoryKeys.TryParseLine(RedisDirectoryKeys.Appeared(id, at, ulong.MaxValue, true, 1L << 40).TrimEnd(), out ObjectId read, out ObjectLocation? where));
        Assert.Equal((id, new ObjectLocation(at, ulong.MaxValue, true, 1L << 40)), (read, where));
        var node = new NodeDescription(Guid.NewGuid(), at, Guid.NewGuid(), "a name with spaces");
        Assert.Equal(node, RedisDirectoryKeys.ParseDescription(RedisDirectoryKeys.Description(node)));
        Assert.Null(RedisDirectoryKeys.ParseDescription("x"));
        Tombstone[] deleted = [new(id, 5, Ms(1000)), new(Id("b"), 6, Ms(0))];
        Assert.True(RedisDirectoryKeys.TryParseDeleted((byte[])RedisDirectoryKeys.DeletedMessage(node.Id, deleted)!, out Guid from, out Tombstone[]? tombstones));
        Assert.Equal(node.Id, from);
        Assert.Equal(deleted, tombstones);
        Assert.False(RedisDirectoryKeys.TryParseDeleted(new byte[17], out _, out _));
        Assert.True(RedisDirectoryKeys.TryParseField(RedisDirectoryKeys.Field("0123456789abcdef", 77), out string? session, out ulong incarnation));
        Assert.Equal(("0123456789abcdef", 77UL), (session, incarnation));
    }

    /// <summary>Writes what a node leaves that announced an object and was killed then.</summary>
    private NodeEndpoint LeaveAsIfKilled(string name)
    {
        var node = new NodeDescription(Guid.NewGuid(), new NodeEndpoint("127.0.0.1", RedisServer.FreePort()), Guid.NewGuid(), "killed");
        const string session = "00112233445566ff";
        Server.Ask(0, "SET", $"{{test:nodes}}:{session}", RedisDirectoryKeys.Description(node)!, "PX", "1500");
        Server.Ask(0, "SADD", "{test:nodes}", session);
        Server.Ask(0, "HSET", ObjectKey(name), RedisDirectoryKeys.Field(session, 7)!, RedisDirectoryKeys.Holding(true, 10)!);
        return node.Endpoint;
    }

    private static string ObjectKey(string name) => $"test:{{{Id(name)}}}";

    private static IReadOnlyList<ObjectLocation> Found(RedisDirectory directory, ObjectId id)
    {
        try
        {
            return directory.LocateAsync(new[] { id }, CancellationToken.None).AsTask().GetAwaiter().GetResult()[0];
        }
        catch (IOException) when (directory.Problem is not null)
        {
            return []; // Asked again.
        }
    }

    private async Task<RedisDirectory> Start(Silent listener, RedisDirectoryOptions? options = null, ILogger<RedisDirectory>? logger = null)
    {
        var directory = new RedisDirectory(options ?? Options, logger);
        listener.Directory = directory;
        await directory.StartAsync(listener.Node, listener, CancellationToken.None);
        Until(() => directory.Problem is null, "the directory answers");
        return directory;
    }

    /// <summary>A node that is nothing but what it was told.</summary>
    private sealed class Silent : IDirectoryListener
    {
        private static int s_ports;

        internal NodeDescription Node { get; } = new(Guid.NewGuid(), new NodeEndpoint("127.0.0.1", 2000 + Interlocked.Increment(ref s_ports)), Guid.NewGuid(), "silent");

        internal RedisDirectory? Directory { get; set; }

        internal ConcurrentBag<LocalObject> Objects { get; } = [];

        internal ConcurrentDictionary<ObjectId, ObjectLocation> Appeared { get; } = [];

        internal ConcurrentBag<ObjectId> AskedAgain { get; } = [];

        internal int Walks { get; private set; }

        void IDirectoryListener.Appeared(ObjectId id, ObjectLocation location) => Appeared[id] = location;

        void IDirectoryListener.Deleted(ReadOnlySpan<Tombstone> tombstones)
        {
            // The nodes' tests look at what becomes of them.
        }

        void IDirectoryListener.AnnounceAgain()
        {
            Directory!.Announce([.. Objects]);
            Walks++;
        }

        void IDirectoryListener.AnnounceAgain(ObjectId id) => AskedAgain.Add(id);
    }

    private sealed class Lines : ILogger<RedisDirectory>
    {
        internal ConcurrentBag<string> All { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => All.Add($"{formatter(state, exception)} {exception}");
    }
}

/// <summary>The same with three masters.</summary>
public sealed class RedisClusterDirectoryTests() : RedisFailureTests(3)
{
    [Fact]
    public async Task One_of_the_masters_comes_back_empty()
    {
        PlasmaNode a = Join(), b = Join();
        ObjectId[] ids = PutMany(a);
        Assert.Empty((await b.PullAsync(ids.AsMemory(0, 10), Soon)).Failures);
        Server.Kill(1);
        Until(() => a.DirectoryProblem is not null && b.DirectoryProblem is not null, "the problem is seen");
        Server.Start();
        await AllAreFoundAgain(b, ids);
    }
}

/// <summary>Nodes and what happens to their directory.</summary>
public abstract class RedisFailureTests : RedisNodeTest
{
    private protected RedisFailureTests(int masterCount)
        : base(masterCount)
    {
    }

    [Fact]
    public async Task A_flushed_directory_is_filled_again()
    {
        PlasmaNode a = Join(), b = Join();
        ObjectId[] ids = PutMany(a);
        Assert.Empty((await b.PullAsync(ids.AsMemory(0, 10), Soon)).Failures);
        Server.All("FLUSHALL");
        await AllAreFoundAgain(b, ids);
        await WaitAndPut(a, b, "later");
    }

    [Fact]
    public async Task A_directory_that_comes_back_empty_is_filled_again()
    {
        PlasmaNode a = Join(), b = Join();
        ObjectId[] ids = PutMany(a);
        Assert.Empty((await b.PullAsync(ids.AsMemory(0, 10), Soon)).Failures);
        for (int i = 0; i < MasterCount; i++)
            Server.Kill(i);
        Until(() => a.DirectoryProblem is not null && b.DirectoryProblem is not null, "the problem is seen");
        Assert.Equal(PlasmaStatus.Ok, a.Store.Delete(ids[^1])); // Told when it is back.
        Server.Start();
        await AllAreFoundAgain(b, ids.AsMemory(0, ids.Length - 1));
        await WaitAndPut(a, b, "later");
    }

    [Fact]
    public async Task Without_its_directory_a_node_serves_what_it_has_and_says_why_it_finds_nothing_else()
    {
        PlasmaNode a = Join(), b = Join();
        a.Store.Put(Id("there"), Random(1, 100));
        b.Store.Put(Id("here"), Random(2, 100));
        Assert.Empty((await b.PullAsync(new[] { Id("there") }, Soon)).Failures);
        a.Store.Put(Id("other"), Random(3, 100));
        Server.Freeze();

        long start = Stopwatch.GetTimestamp();
        Assert.Equal(PlasmaStatus.Ok, b.Store.TryGet(Id("here"), Soon, out PlasmaObject obj));
        obj.Dispose();
        b.Store.Put(Id("new"), Random(4, 100));
        Assert.True(b.Store.Contains(Id("new")));
        Assert.True(Stopwatch.GetElapsedTime(start).TotalMilliseconds < 1000);

        start = Stopwatch.GetTimestamp();
        PullFailure failure = Assert.Single((await b.PullAsync(new[] { Id("nowhere") }, Ms(1500))).Failures);
        TimeSpan took = Stopwatch.GetElapsedTime(start);
        Assert.Contains("the directory cannot be reached", failure.Reason, StringComparison.Ordinal);
        Assert.Contains("did not answer within", failure.Reason, StringComparison.Ordinal);
        Assert.True(took.TotalSeconds is > 1.3 and < 5, $"{took}");
        TimeoutException late = Assert.ThrowsAny<TimeoutException>(() => b.Store.Get(Id("nowhere"), Ms(1200)));
        Assert.Contains("the directory cannot be reached", late.Message, StringComparison.Ordinal);
        start = Stopwatch.GetTimestamp();
        await Assert.ThrowsAsync<IOException>(() => b.LocateAsync(Id("there"), Soon));
        Assert.True(Stopwatch.GetElapsedTime(start).TotalMilliseconds < 1500);
        Assert.NotNull(b.DirectoryProblem);

        Task<PullReport> waits = b.PullAsync(new[] { Id("other") }, Soon); // Begun without, ended with the directory.
        Server.Thaw();
        Assert.Empty((await waits).Failures);
        Until(() => b.DirectoryProblem is null && a.DirectoryProblem is null, "recovery");
        Assert.Empty((await a.PullAsync(new[] { Id("new") }, Soon)).Failures);
        await WaitAndPut(a, b, "later");
    }

    [Fact]
    public async Task Nodes_start_without_their_directory_and_find_each_other_when_it_is_there()
    {
        for (int i = 0; i < MasterCount; i++)
            Server.Kill(i);
        long start = Stopwatch.GetTimestamp();
        PlasmaNode a = Join(), b = Join();
        Assert.True(Stopwatch.GetElapsedTime(start).TotalSeconds < 10);
        a.Store.Put(Id("x"), Random(1, 100));
        Server.Start();
        Assert.Empty((await b.PullAsync(new[] { Id("x") }, Soon)).Failures);
    }

    [Fact]
    public async Task A_delete_during_an_outage_reaches_the_copies_afterwards()
    {
        PlasmaNode a = Join(), b = Join();
        ObjectId[] ids = PutMany(a);
        Assert.Empty((await b.PullAsync(ids, Soon)).Failures);
        Server.Freeze();
        Until(() => a.DirectoryProblem is not null, "the problem is seen");
        foreach (ObjectId id in ids.AsSpan(0, 20))
            Assert.Equal(PlasmaStatus.Ok, a.Store.Delete(id));
        Server.Thaw();
        Until(() => ids.Take(20).All(id => !b.Store.Contains(id)), "the deletes at the other node");
        Assert.True(b.Store.Contains(ids[20]));
    }

    [Fact]
    public async Task A_copy_that_was_deleted_elsewhere_is_gone_before_its_node_serves_again()
    {
        PlasmaNode a = Join();
        PlasmaStore store = Anonymous(NodeStore);
        PlasmaNode b = Join(store);
        ObjectId[] ids = PutMany(a);
        Assert.Empty((await b.PullAsync(ids, Soon)).Failures);
        await b.StopAsync(CancellationToken.None);
        foreach (ObjectId id in ids)
            Assert.Equal(PlasmaStatus.Ok, a.Store.Delete(id));
        await a.StopAsync(CancellationToken.None); // What it has deleted is told by then.
        Assert.True(store.Contains(ids[0]));
        Join(store);
        Assert.DoesNotContain(ids, id => store.Contains(id));
    }

    [Fact]
    public async Task A_stale_location_is_corrected_by_its_use()
    {
        PlasmaNode a = Join(), b = Join();
        a.Store.Put(Id("x"), Random(1, 100));
        Assert.Empty((await b.PullAsync(new[] { Id("x") }, Soon)).Failures);
        PlasmaStore other = Anonymous(NodeStore);
        PlasmaNode c = Join(other);
        // A location that nobody withdraws: said by a directory of the same node that has no such object.
        await using var liar = new RedisDirectory(Options);
        await liar.StartAsync(new NodeDescription(Guid.NewGuid(), c.Endpoint, other.Uuid, "liar"), new NoListener(), CancellationToken.None);
        liar.Announce([new LocalObject(Id("lost"), 5, 100, true)]);
        await using var asker = new RedisDirectory(Options);
        await asker.StartAsync(new NodeDescription(Guid.NewGuid(), new NodeEndpoint("127.0.0.1", 1), Guid.NewGuid(), "asker"), new NoListener(), CancellationToken.None);
        Until(() => Count(asker, Id("lost")) == 1, "the wrong location");
        PullFailure failure = Assert.Single((await b.PullAsync(new[] { Id("lost") }, Ms(1000))).Failures);
        Assert.Equal(PlasmaStatus.NotFound, failure.Status);
        Until(() => Count(asker, Id("lost")) == 0, "the correction");
    }

    [Fact]
    public void Replicas_are_made_on_nodes_that_only_the_directory_knows()
    {
        PlasmaNode b = Join();
        PlasmaNode a = StartNode(Anonymous(NodeStore), () => new RedisDirectory(Options), new PlasmaNodeOptions { Replicas = 1 });
        Until(() => a.Peers().Count == 1, "the other node");
        a.Store.Put(Id("x"), Random(1, 1000));
        long start = Stopwatch.GetTimestamp();
        while (!b.Store.Contains(Id("x"))) // Ends with the copy or the patience.
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < Soon, $"no replica: {string.Join("; ", a.Peers())} and {string.Join("; ", b.Peers())}, {b.FetchCount} fetches, problems '{a.DirectoryProblem}' and '{b.DirectoryProblem}', {a.Stats()}");
            Thread.Sleep(2);
        }
    }

    private protected static ObjectId[] PutMany(PlasmaNode node)
    {
        ObjectId[] ids = [.. Enumerable.Range(0, 100).Select(i => Id($"many {i}"))];
        foreach (ObjectId id in ids)
            node.Store.Put(id, Random(1, 100));
        return ids;
    }

    private protected static async Task AllAreFoundAgain(PlasmaNode node, ReadOnlyMemory<ObjectId> ids)
    {
        PullReport report = await node.PullAsync(ids, Soon);
        Assert.Empty(report.Failures);
        Until(() => node.DirectoryProblem is null, "the directory answers");
    }

    private static int Count(RedisDirectory directory, ObjectId id)
    {
        try
        {
            return directory.LocateAsync(new[] { id }, CancellationToken.None).AsTask().GetAwaiter().GetResult()[0].Count;
        }
        catch (IOException)
        {
            return -1; // Asked again.
        }
    }

    private sealed class NoListener : IDirectoryListener
    {
        public void Appeared(ObjectId id, ObjectLocation location)
        {
            // Nobody waits.
        }

        public void Deleted(ReadOnlySpan<Tombstone> tombstones)
        {
            // Nothing is here.
        }

        public void AnnounceAgain()
        {
            // As above.
        }

        public void AnnounceAgain(ObjectId id)
        {
            // As above.
        }
    }
}
