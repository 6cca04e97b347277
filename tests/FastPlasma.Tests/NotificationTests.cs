namespace FastPlasma.Tests;

/// <summary>Promises about the events of a store.</summary>
public sealed class NotificationTests : StoreTest
{
    [Fact, Trait("Anchor", "14")]
    public void Seals_deletes_and_evictions_are_told_in_order_with_sizes()
    {
        PlasmaStore store = Anonymous();
        store.Put(Id("before"), [1]);
        using PlasmaSubscription subscription = store.Subscribe();
        Assert.False(subscription.TryRead(out _));
        store.Put(Id("a"), new byte[100], new ObjectOptions { Metadata = new byte[7], Retention = Retention.Evictable });
        store.Create(Id("aborted"), 5).Dispose();
        using (ObjectWriter writer = store.Create(Id("b"), 200))
            writer.Seal();
        store.Delete(Id("b"));
        store.Delete(Id("b"));
        Assert.True(store.Evict(1) > 0);

        (PlasmaEventKind, ObjectId, long, int)[] expected =
        [
            (PlasmaEventKind.Sealed, Id("a"), 100, 7), (PlasmaEventKind.Sealed, Id("b"), 200, 0),
            (PlasmaEventKind.Deleted, Id("b"), 200, 0), (PlasmaEventKind.Evicted, Id("a"), 100, 7),
        ];
        long sequence = 0;
        foreach ((PlasmaEventKind, ObjectId, long, int) e in expected)
        {
            Assert.True(subscription.TryRead(out PlasmaEvent read));
            Assert.Equal(e, (read.Kind, read.Id, read.PayloadBytes, read.MetadataBytes));
            Assert.True(read.Sequence > sequence);
            sequence = read.Sequence;
        }
        Assert.False(subscription.TryRead(out _));
        Assert.False(subscription.Read(Ms(30), out _));
        Assert.Equal(0, subscription.Lost);
    }

    [Fact, Trait("Anchor", "14")]
    public void Subscriber_that_does_not_read_loses_the_oldest_and_is_told_how_many()
    {
        PlasmaStore store = Anonymous(Small with { EventCapacity = 64 });
        using PlasmaSubscription subscription = store.Subscribe();
        long backed = 0;
        for (int i = 0; i < 1000; i++)
        {
            store.Put(Id($"{i}"), [1]);
            store.Delete(Id($"{i}"));
            if (i == 10)
                backed = store.Stats().MetaBytes;
        }
        var read = new List<PlasmaEvent>();
        while (subscription.TryRead(out PlasmaEvent e))
            read.Add(e);
        Assert.Equal(2000, read.Count + subscription.Lost);
        Assert.InRange(read.Count, 60, 64);
        Assert.Equal((PlasmaEventKind.Deleted, Id("999")), (read[^1].Kind, read[^1].Id));
        Assert.Equal(read.Select(static e => e.Sequence).Order(), read.Select(static e => e.Sequence));
        Assert.Equal(backed, store.Stats().MetaBytes); // It made nothing grow.
    }

    [Fact]
    public void Nothing_is_announced_before_somebody_follows()
    {
        PlasmaStore store = Anonymous();
        store.Put(Id("a"), [1]);
        store.Delete(Id("a"));
        Assert.Equal(0ul, store.Events.Head);
        using PlasmaSubscription subscription = store.Subscribe();
        store.Put(Id("b"), [1]);
        Assert.True(subscription.TryRead(out PlasmaEvent e));
        Assert.Equal((PlasmaEventKind.Sealed, Id("b")), (e.Kind, e.Id));
        Assert.Equal(0, subscription.Lost);
    }

    [Fact]
    public void First_subscriber_misses_nothing_that_begins_after_it()
    {
        for (int round = 0; round < 100; round++)
        {
            const int puts = 1000;
            string name = NewName();
            using PlasmaStore writer = PlasmaStore.Create(name, Small with { EventCapacity = puts * 2 });
            using PlasmaStore reader = PlasmaStore.Open(name, round % 2 == 0 ? null : new PlasmaOptions { Access = StoreAccess.ReadOnly });
            int begun = 0;
            Eventually.Run putting = Eventually.Start(() =>
            {
                for (int i = 1; i <= puts; i++)
                {
                    Interlocked.Exchange(ref begun, i);
                    writer.Put(Id($"{i}"), [1]);
                }
            });
            int waitFor = round * 9;
            SpinWait.SpinUntil(() => Volatile.Read(ref begun) > waitFor);
            using PlasmaSubscription subscription = reader.Subscribe();
            int before = Volatile.Read(ref begun);
            putting.Join();
            var seen = new HashSet<ObjectId>();
            while (subscription.TryRead(out PlasmaEvent e))
                seen.Add(e.Id);
            Assert.Equal(0, subscription.Lost);
            Assert.All(Enumerable.Range(before + 1, puts - before), i => Assert.Contains(Id($"{i}"), seen));
        }
    }

    [Fact, Trait("Anchor", "14")]
    public void Every_event_of_several_processes_reaches_a_subscriber_that_keeps_up()
    {
        PlasmaStore store = Named(out string name);
        using PlasmaSubscription subscription = store.Subscribe();
        WorkerProcess[] workers = [StartWorker(name), StartWorker(name)];
        for (int i = 0; i < 50; i++)
        {
            for (int w = 0; w < 2; w++)
            {
                workers[w].Send($"put {w}-{i} {i} 1");
                workers[w].Send($"delete {w}-{i}");
            }
        }
        var seen = new Dictionary<ObjectId, List<PlasmaEventKind>>();
        Eventually.Ends(() =>
        {
            for (int n = 0; n < 200; n++)
            {
                Assert.True(subscription.Read(Eventually.Patience, out PlasmaEvent e), $"only {n} events came");
                if (!seen.TryGetValue(e.Id, out List<PlasmaEventKind>? kinds))
                    seen[e.Id] = kinds = [];
                kinds.Add(e.Kind);
            }
        });
        Assert.Equal(100, seen.Count);
        Assert.All(seen.Values, static kinds => Assert.Equal([PlasmaEventKind.Sealed, PlasmaEventKind.Deleted], kinds));
        Assert.Equal(0, subscription.Lost);
    }

    [Fact]
    public void Reading_subscriber_is_ended_by_the_stores_and_its_own_end()
    {
        PlasmaStore store = Anonymous();
        PlasmaSubscription subscription = store.Subscribe();
        Eventually.Run reader = Eventually.Start(() => Assert.Throws<ObjectDisposedException>(() => subscription.Read(Timeout.InfiniteTimeSpan, out _)));
        store.Dispose();
        reader.Join();
        Assert.Throws<ObjectDisposedException>(() => subscription.TryRead(out _));
        subscription.Dispose();
        Assert.Throws<ObjectDisposedException>(() => subscription.Read(TimeSpan.Zero, out _));
        Assert.Throws<ObjectDisposedException>(store.Subscribe);
    }
}
