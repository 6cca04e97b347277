using Microsoft.Extensions.Logging;

namespace FastPlasma.Tests;

/// <summary>Promises about opening and closing stores.</summary>
public sealed class LifetimeTests : StoreTest
{
    [Theory]
    [InlineData(-1)]
    [InlineData(65)]
    public void Number_of_copy_threads_outside_its_limits_is_refused_and_takes_no_place(int copyThreads)
    {
        PlasmaStore store = Named(out string name);
        ArgumentOutOfRangeException e = Assert.Throws<ArgumentOutOfRangeException>(() => PlasmaStore.Open(name, Small with { CopyThreads = copyThreads }));
        Assert.Contains($"CopyThreads is {copyThreads}; it can be 0 (choose) to 64", e.Message, StringComparison.Ordinal);
        Assert.Single(store.Stats().Participants);
    }

    [Fact, Trait("Anchor", "7")]
    public void Handles_that_are_open_at_Dispose_keep_their_bytes_and_the_last_one_ends_the_attachment()
    {
        PlasmaStore store = Named(out string name);
        using WorkerProcess worker = StartWorker(name);
        byte[] payload = Pattern.Of(1, 100_000);
        store.Put(Id("a"), payload);
        store.Put(Id("b"), payload);
        PlasmaObject a = store.Get(Id("a"), TimeSpan.Zero), b = store.Get(Id("b"), TimeSpan.Zero);
        ReadOnlySpan<byte> span = a.Span;
        ReadOnlyMemory<byte> memory = a.AsMemory();
        ObjectWriter writer = store.Create(Id("unfinished"), 100);
        store.Dispose();
        store.Dispose();

        // Others take what they can get of the memory; ours is not touched.
        Assert.Equal("Ok", worker.Call("delete a"));
        for (int i = 0; worker.Call($"put filler{i} 1000000 {i}") == "Ok"; i++)
            Assert.True(i < 100);
        Same(payload, span);

        Assert.Throws<ObjectDisposedException>(() => a.Span.Length);
        Assert.Throws<ObjectDisposedException>(() => a.Length);
        Assert.Throws<ObjectDisposedException>(() => a.Id);
        Assert.Throws<ObjectDisposedException>(() => a.Metadata.Length);
        Assert.Throws<ObjectDisposedException>(() => a.CopyTo(new byte[100_000]));
        Assert.Throws<ObjectDisposedException>(() => AddressOf(a));
        Assert.Throws<ObjectDisposedException>(() => memory.Span.Length);
        Assert.Throws<InvalidOperationException>(() => writer.Span.Length);
        Assert.Throws<ObjectDisposedException>(() => writer.TrySeal());
        EveryCallThrows(store);

        Assert.EndsWith(" 2", worker.Call("stats"), StringComparison.Ordinal); // Both are attached.
        a.Dispose();
        writer.Dispose();
        Assert.EndsWith(" 2", worker.Call("stats"), StringComparison.Ordinal);
        b.Dispose();
        Assert.EndsWith(" 0 0 1", worker.Call("stats"), StringComparison.Ordinal); // Nothing unfinished, nothing condemned, one participant.
        Assert.Equal("False", worker.Call("contains unfinished"));
        b.Dispose();
        EveryCallThrows(store);
    }

    [Fact]
    public void Every_call_after_the_attachment_has_ended_throws_and_touches_nothing()
    {
        PlasmaStore store = Anonymous();
        store.Put(Id("a"), [1]);
        PlasmaSubscription subscription = store.Subscribe();
        PlasmaObject obj = store.Get(Id("a"), TimeSpan.Zero);
        obj.Dispose();
        store.Dispose();
        EveryCallThrows(store);
        Eventually.Ends(() => EveryCallThrows(store)); // On a thread that the store has never seen.
        Assert.Throws<ObjectDisposedException>(() => subscription.TryRead(out _));
        Assert.Throws<ObjectDisposedException>(() => obj.Length);
        obj.Dispose();
        store.Dispose();
        Assert.Equal((16L << 20, ""), (store.CapacityBytes, store.Name));
    }

    private static unsafe nint AddressOf(PlasmaObject obj) => (nint)obj.Pointer;

    private static void EveryCallThrows(PlasmaStore store)
    {
        Assert.Throws<ObjectDisposedException>(() => store.TryGet(Id("a"), out _));
        Assert.Throws<ObjectDisposedException>(() => store.TryGet(Id("a"), Ms(1), out _));
        Assert.Throws<ObjectDisposedException>(() => store.Get(Id("a"), Ms(1)));
        Assert.Throws<ObjectDisposedException>(() => store.Get([Id("a")], new PlasmaObject[1]));
        Assert.Throws<ObjectDisposedException>(() => store.GetAsync(Id("a"), Ms(1)).AsTask().Wait());
        Assert.Throws<ObjectDisposedException>(() => store.Wait([Id("a")], 1, Ms(1), new bool[1]));
        Assert.Throws<ObjectDisposedException>(() => store.Contains(Id("a")));
        Assert.Throws<ObjectDisposedException>(() => store.Put(Id("b"), [1]));
        Assert.Throws<ObjectDisposedException>(() => store.Create(Id("b"), 1));
        Assert.Throws<ObjectDisposedException>(() => store.Delete(Id("a")));
        Assert.Throws<ObjectDisposedException>(() => store.Abort(Id("a")));
        Assert.Throws<ObjectDisposedException>(() => store.Evict(1));
        Assert.Throws<ObjectDisposedException>(() => store.Trim());
        Assert.Throws<ObjectDisposedException>(() => store.Maintain());
        Assert.Throws<ObjectDisposedException>(store.List);
        Assert.Throws<ObjectDisposedException>(store.Stats);
        Assert.Throws<ObjectDisposedException>(() => store.Verify());
        Assert.Throws<ObjectDisposedException>(store.Subscribe);
        Assert.Throws<ObjectDisposedException>(() => store.AdmitReader("65534"));
        Assert.Throws<ObjectDisposedException>(() => store.AdmitReader("nobody-of-that-name"));
    }

    [Fact]
    public void Call_that_is_in_progress_at_Dispose_ends_normally_and_then_the_attachment_ends()
    {
        PlasmaStore other = Named(out string name, Small with { CapacityBytes = 128 << 20 });
        byte[] payload = Pattern.Of(1, 100 << 20);
        PlasmaStore store = Open(name);
        using var begun = new ManualResetEventSlim();
        PlasmaStatus status = PlasmaStatus.Ok;
        Eventually.Run putter = Eventually.Start(() =>
        {
            store.Contains(Id("a")); // The thread's private state exists.
            begun.Set();
            status = store.TryPut(Id("a"), payload);
        });
        begun.Wait(Eventually.Patience);
        Eventually.True(() => other.Stats().CreatingCount == 1 || putter.HasEnded, "the put has begun");
        store.Dispose();
        putter.Join();
        Assert.Equal(PlasmaStatus.Ok, status);
        Assert.True(other.Contains(Id("a")));
        Eventually.True(() => other.Stats().Participants.Count == 1, "the closed attachment has ended");
    }

    /// <summary>A process that ends right after Dispose kills its background threads at whatever they do; then nothing may be left to them.</summary>
    [Fact]
    public async Task After_Dispose_the_attachment_has_ended_although_a_get_was_awaited()
    {
        PlasmaStore other = Named(out string name);
        for (int round = 0; round < 20; round++)
        {
            PlasmaStore store = Open(name);
            Task<PlasmaObject> pending = store.GetAsync(Id("never"), Timeout.InfiniteTimeSpan).AsTask();
            store.Dispose();
            Assert.Single(other.Stats().Participants);
            await Assert.ThrowsAsync<ObjectDisposedException>(() => pending);
        }
    }

    [Fact]
    public void Dispose_waits_for_the_background_thread_and_not_without_end()
    {
        string name = NewName();
        foreach (bool holds in (bool[])[false, true])
        {
            using var logger = new HoldingLogger();
            PlasmaStore store = Keep(PlasmaStore.OpenOrCreate(name, Small with { Logger = logger }));
            using PlasmaStore other = PlasmaStore.Open(name, new PlasmaOptions { Access = StoreAccess.ReadOnly }); // Recovers nobody.
            WorkerProcess worker = StartWorker(name);
            worker.Kill();
            Assert.True(logger.Entered.Wait(Eventually.Patience));
            Eventually.Run closer = Eventually.Start(store.Dispose);
            Eventually.True(() => closer.IsWaiting, "Dispose waits");
            if (holds)
            {
                closer.Join(); // Waits no longer than it is willing to.
                Assert.Equal(2, other.Stats().Participants.Count);
                logger.Release.Set();
                Eventually.True(() => other.Stats().Participants.Count == 1, "the background thread has detached");
                continue;
            }
            Assert.False(closer.HasEnded);
            logger.Release.Set();
            closer.Join();
            Assert.Single(other.Stats().Participants);
        }
    }

    /// <summary>Holds up the first thread that logs a recovery.</summary>
    private sealed class HoldingLogger : ILogger, IDisposable
    {
        internal ManualResetEventSlim Entered { get; } = new();

        internal ManualResetEventSlim Release { get; } = new();

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            Entered.Set();
            Assert.True(Release.Wait(Eventually.Patience));
        }

        public void Dispose()
        {
            Entered.Dispose();
            Release.Dispose();
        }
    }

    [Fact]
    public void Stores_can_be_closed_while_threads_use_them()
    {
        for (int round = 0; round < 100; round++)
        {
            PlasmaStore store = Anonymous(Small with { CapacityBytes = 4 << 20 });
            store.Put(Id("a"), [1, 2, 3]);
            Eventually.Run[] users = [.. Enumerable.Range(0, 3).Select(t => Eventually.Start(() =>
            {
                try
                {
                    for (int i = 0; ; i++) // Ends when the store is closed.
                    {
                        if (store.TryGet(Id("a"), out PlasmaObject obj))
                            obj.Dispose();
                        if (t > 0)
                        {
                            store.TryPut(Id($"{t}-{i}"), [1]);
                            store.Delete(Id($"{t}-{i}"));
                        }
                    }
                }
                catch (ObjectDisposedException)
                {
                    return;
                }
            }))];
            Thread.SpinWait(round * 1000);
            store.Dispose();
            foreach (Eventually.Run user in users)
                user.Join();
        }
    }

    [Fact, Trait("Anchor", "24")]
    public void Two_stores_in_one_process_know_nothing_of_each_other()
    {
        PlasmaStore a = Named(out string nameA), b = Named(out string nameB), anonymous = Anonymous();
        ObjectId id = Id("x");
        a.Put(id, [1]);
        b.Put(id, [2, 2]);
        anonymous.Put(id, [3, 3, 3]);
        using PlasmaObject fromA = a.Get(id, TimeSpan.Zero), fromB = b.Get(id, TimeSpan.Zero), fromC = anonymous.Get(id, TimeSpan.Zero);
        Assert.Equal((1L, 2L, 3L), (fromA.Length, fromB.Length, fromC.Length));
        a.Delete(id);
        Assert.True(b.Contains(id) && anonymous.Contains(id) && !a.Contains(id));
        Assert.NotEqual(a.Uuid, b.Uuid);
        Assert.Subset(PlasmaStore.ListStores().ToHashSet(), new HashSet<string> { nameA, nameB });
        b.Dispose();
        Same([1], fromA.Span);
        Same([3, 3, 3], fromC.Span);
    }

    [Fact, Trait("Anchor", "24")]
    public void One_store_opened_twice_in_one_process_is_two_participants()
    {
        PlasmaStore first = Named(out string name);
        PlasmaStore second = Open(name), reader = Open(name, StoreAccess.ReadOnly);
        Assert.Equal(first.Uuid, second.Uuid);
        Assert.Equal(3, first.Stats().Participants.Count);
        first.Put(Id("a"), Pattern.Of(1, 5000));
        PlasmaObject obj = second.Get(Id("a"), TimeSpan.Zero);
        using PlasmaObject read = reader.Get(Id("a"), TimeSpan.Zero);
        first.Delete(Id("a"));
        first.Dispose();
        Same(Pattern.Of(1, 5000), obj.Span);
        Same(Pattern.Of(1, 5000), read.Span);
        obj.Dispose();
        Assert.Equal(1, second.Stats().CondemnedCount);
        read.Dispose();
        Eventually.True(() => second.Stats().CondemnedCount == 0, "what a reader released last is freed");
        Assert.Equal(2, second.Stats().Participants.Count);
    }

    [Fact, Trait("Anchor", "24")]
    public void Store_keeps_its_content_through_close_and_open()
    {
        string name = NewName();
        for (int i = 0; i < 40; i++)
        {
            using PlasmaStore store = PlasmaStore.OpenOrCreate(name, Small with { CapacityBytes = 64 << 20 });
            store.Put(Id($"{i}"), Pattern.Of(i, i * 100));
            for (int j = 0; j <= i; j++)
            {
                using PlasmaObject obj = store.Get(Id($"{j}"), TimeSpan.Zero);
                Same(Pattern.Of(j, j * 100), obj.Span);
            }
            Assert.Single(store.Stats().Participants);
        }
        Assert.Empty(Open(name).Verify().Problems);
    }

    [Fact]
    public void Destroyed_store_lives_on_for_those_who_have_it_and_its_successor_is_another()
    {
        PlasmaStore old = Named(out string name);
        old.Put(Id("a"), [1]);
        Assert.True(PlasmaStore.Destroy(name));
        Assert.False(PlasmaStore.Destroy(name));
        Assert.DoesNotContain(name, PlasmaStore.ListStores());
        Assert.Throws<FileNotFoundException>(() => PlasmaStore.Open(name));
        PlasmaStore successor = Keep(PlasmaStore.Create(name, Small));
        Assert.NotEqual(old.Uuid, successor.Uuid);
        Assert.False(successor.Contains(Id("a")));
        Assert.True(old.Contains(Id("a")));
        old.Put(Id("b"), [1]);
        Assert.Throws<IOException>(() => PlasmaStore.Create(name, Small));
    }

    [Theory]
    [InlineData("")]
    [InlineData(" ")]
    [InlineData("a/b")]
    [InlineData("../a")]
    [InlineData(".a")]
    [InlineData("-a")]
    [InlineData("ä")]
    [InlineData("a\n")]
    [InlineData("a\0b")]
    [InlineData("x.0123456789abcdef0123456789abcdef.data")]
    [InlineData("x.0123456789abcdef0123456789abcdef")]
    public void Names_that_cannot_be_a_stores_are_refused(string name)
    {
        Assert.Contains("no store name", Assert.Throws<ArgumentException>(() => Gone(PlasmaStore.OpenOrCreate(name, Small))).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => Gone(PlasmaStore.Open(name)));
        Assert.Throws<ArgumentException>(() => Gone(PlasmaStore.Create(name, Small)));
        Assert.Throws<ArgumentException>(() => PlasmaStore.Destroy(name));

        void Gone(PlasmaStore store)
        {
            store.Dispose(); // It should not be there; then at least nothing of it stays.
            PlasmaStore.Destroy(name);
        }
    }

    [Fact]
    public void Longest_names_work_and_longer_ones_are_refused()
    {
        string name = NewName();
        string longest = name + new string('n', 128 - name.Length);
        try
        {
            using PlasmaStore store = PlasmaStore.Create(longest, Small);
            store.Put(Id("a"), [1]);
            Assert.Contains(longest, PlasmaStore.ListStores());
        }
        finally
        {
            Assert.True(PlasmaStore.Destroy(longest));
        }
        Assert.Throws<ArgumentException>(() => PlasmaStore.Create(longest + "n", Small));
        Assert.Throws<ArgumentNullException>(() => PlasmaStore.Open(null!));
    }

    [Fact]
    public void Options_outside_their_limits_are_refused_with_the_limit()
    {
        string name = NewName();
        Refused(Small with { CapacityBytes = 0 }, "CapacityBytes is 0");
        Refused(Small with { CapacityBytes = -1 }, "CapacityBytes is -1");
        Refused(Small with { CapacityBytes = (1L << 44) + 1 }, "17592186044416");
        Refused(Small with { ObjectCountMax = -1 }, "ObjectCountMax is -1");
        Refused(Small with { ObjectCountMax = (1 << 24) + 1 }, "16777216");
        Refused(Small with { EventCapacity = 0 }, "EventCapacity is 0");
        Refused(Small with { EventCapacity = (1 << 20) + 1 }, "1048576");
        Refused(Small with { Mode = UnixFileMode.UserRead }, "600");
        Refused(Small with { Mode = (UnixFileMode)0x1B6 }, "666");
        Refused(Small with { Mode = (UnixFileMode)0x1A0 }, "640");
        Refused(Small with { Access = StoreAccess.ReadOnly }, "by a writer");
        Refused(Small with { Group = "no such group" }, "no such group");
        Assert.Throws<DirectoryNotFoundException>(() => PlasmaStore.Create(name, Small with { Directory = "/nonexistent/folder" }));
        Assert.Throws<ArgumentException>(() => PlasmaStore.CreateAnonymous(Small with { Directory = "/tmp" }));
        Assert.Throws<FileNotFoundException>(() => PlasmaStore.OpenOrCreate(name, Small with { Access = StoreAccess.ReadOnly }));
        Assert.Contains(name, Assert.Throws<FileNotFoundException>(() => PlasmaStore.Open(name)).Message, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFiles("/dev/shm", $"fastplasma.{name}*"));

        void Refused(PlasmaOptions options, string reason) => Assert.Contains(reason, Assert.ThrowsAny<ArgumentException>(() => PlasmaStore.Create(name, options)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Reader_attachment_gets_and_waits_and_changes_nothing()
    {
        PlasmaStore store = Named(out string name);
        PlasmaStore reader = Open(name, StoreAccess.ReadOnly);
        store.Put(Id("a"), Pattern.Of(1, 1000), new ObjectOptions { Name = "a name" });
        using PlasmaObject obj = reader.Get(Id("a"), TimeSpan.Zero);
        Same(Pattern.Of(1, 1000), obj.Span);
        Assert.Equal("a name", reader.List().Single().Name);
        Assert.Empty(reader.Verify().Problems);
        Eventually.Run getter = Eventually.Start(() => reader.Get(Id("b"), Timeout.InfiniteTimeSpan).Dispose());
        store.Put(Id("b"), []);
        getter.Join();
        foreach (Action change in (Action[])[() => reader.Put(Id("c"), [1]), () => reader.Create(Id("c"), 1), () => reader.Delete(Id("a")), () => reader.Abort(Id("a")), () => reader.Evict(1), () => reader.Trim(), () => reader.AdmitReader("65534")])
            Assert.Contains("ReadOnly", Assert.Throws<InvalidOperationException>(change).Message, StringComparison.Ordinal);
        Assert.Equal(0, reader.Maintain());
        Assert.Equal(StoreAccess.ReadOnly, reader.Access);
        Assert.Equal(2, store.Stats().SealedCount);
    }

    [Fact]
    public void Store_in_another_directory_works_and_is_listed_there()
    {
        string folder = NewFolder();
        using (PlasmaStore store = PlasmaStore.Create("disk", Small with { CapacityBytes = 4 << 20, Directory = folder }))
        {
            store.Put(Id("a"), Pattern.Of(1, 100_000));
            using PlasmaStore second = PlasmaStore.Open("disk", new PlasmaOptions { Directory = folder });
            using PlasmaObject obj = second.Get(Id("a"), TimeSpan.Zero);
            Same(Pattern.Of(1, 100_000), obj.Span);
        }
        Assert.Equal(["disk"], PlasmaStore.ListStores(folder));
        Assert.True(PlasmaStore.Destroy("disk", folder));
        Assert.Empty(Directory.EnumerateFileSystemEntries(folder));
    }
}
