using System.Diagnostics;

namespace FastPlasma.Tests;

/// <summary>Promises about deleting, evicting, and a store that is full.</summary>
public sealed class DeleteAndEvictTests : StoreTest
{
    private const int MiB = 1 << 20;

    [Fact, Trait("Anchor", "16")]
    public void Deleted_object_is_gone_for_new_gets_at_once_while_readers_keep_its_bytes_until_the_last_release()
    {
        PlasmaStore store = Named(out string name);
        using WorkerProcess worker = StartWorker(name);
        byte[] payload = Pattern.Of(1, 3 * MiB);
        store.Put(Id("a"), payload);
        PlasmaObject first = store.Get(Id("a"), TimeSpan.Zero), second = store.Get(Id("a"), TimeSpan.Zero);
        Assert.Equal("Ok", worker.Call("hold h a 0"));
        string seen = worker.Call("read h");
        Assert.Equal(PlasmaStatus.Ok, store.Delete(Id("a")));
        Assert.Equal(PlasmaStatus.NotFound, store.Delete(Id("a")));
        Assert.False(store.Contains(Id("a")));
        Assert.False(store.TryGet(Id("a"), out _));
        Assert.Equal("NotFound", worker.Call("get a 0"));
        store.Put(Id("a"), Pattern.Of(2, 3 * MiB)); // The id is free at once.
        for (int i = 0; store.TryPut(Id($"{i}"), Pattern.Of(3, 500_000)) == PlasmaStatus.Ok; i++)
            Assert.True(i < 100);
        Same(payload, first.Span);
        Assert.Equal(seen, worker.Call("read h"));
        using (PlasmaObject again = store.Get(Id("a"), TimeSpan.Zero))
            Same(Pattern.Of(2, 3 * MiB), again.Span);

        Assert.Equal(3 * MiB, store.Stats().CondemnedBytes);
        first.Dispose();
        second.Dispose();
        Assert.Equal(3 * MiB, store.Stats().CondemnedBytes);
        long used = store.Stats().UsedBytes;
        worker.Call("release h");
        Assert.Equal((0L, used - 3 * MiB), (store.Stats().CondemnedBytes, store.Stats().UsedBytes));
    }

    [Fact, Trait("Anchor", "16")]
    public void Delete_of_an_unknown_or_unsealed_object_says_so()
    {
        PlasmaStore store = Anonymous();
        Assert.Equal(PlasmaStatus.NotFound, store.Delete(Id("a")));
        using ObjectWriter writer = store.Create(Id("a"), 10);
        Assert.Equal(PlasmaStatus.NotSealed, store.Delete(Id("a")));
        Assert.True(writer.IsOpen);
        writer.Seal();
        Assert.Equal(PlasmaStatus.Ok, store.Delete(Id("a")));
    }

    [Fact, Trait("Anchor", "17")]
    public void Unsealed_pinned_and_Keep_objects_are_never_evicted()
    {
        PlasmaStore store = Named(out string name);
        using WorkerProcess worker = StartWorker(name);
        store.Put(Id("keep"), Pattern.Of(1, MiB));
        store.Put(Id("pinned"), Pattern.Of(2, MiB), Evictable);
        store.Put(Id("pinned elsewhere"), Pattern.Of(3, MiB), Evictable);
        worker.Call("put pinned-elsewhere 1048576 3 evictable");
        worker.Call("hold h pinned-elsewhere 0");
        using PlasmaObject pinned = store.Get(Id("pinned"), TimeSpan.Zero);
        using ObjectWriter writer = store.Create(Id("unsealed"), MiB, Evictable);
        store.Put(Id("victim"), Pattern.Of(4, MiB), Evictable);
        Assert.Equal(2 * MiB, store.Stats().EvictableBytes);
        Assert.Equal(2 * MiB, store.Evict(long.MaxValue));
        Assert.Equal(0, store.Evict(1));
        Assert.False(store.Contains(Id("victim")));
        Assert.True(store.Contains(Id("keep")) && store.Contains(Id("pinned")) && store.Contains(Id("pinned-elsewhere")) && writer.IsOpen);
        Same(Pattern.Of(2, MiB), pinned.Span);
        pinned.Dispose();
        Assert.Equal(MiB, store.Evict(1));
        Assert.Equal((3L, 3L * MiB), (store.Stats().Store.Evictions, store.Stats().Store.EvictedBytes));
    }

    [Fact, Trait("Anchor", "17")]
    public void Recently_used_objects_survive_longer()
    {
        PlasmaStore store = Anonymous();
        for (int i = 0; i < 8; i++)
            store.Put(Id($"{i}"), new byte[MiB], Evictable);
        long sealedAt = DateTime.UtcNow.Ticks;
        Eventually.True(() => Participants.CoarseClock.UtcTicks > sealedAt + 2 * Participants.CoarseClock.PeriodMs * TimeSpan.TicksPerMillisecond, "the coarse clock has moved on");
        foreach (int used in (int[])[0, 1, 5])
            store.Get(Id($"{used}"), TimeSpan.Zero).Dispose();
        Assert.Equal(5 * MiB, store.Evict(5 * MiB));
        Assert.Equal([0, 1, 5], Enumerable.Range(0, 8).Where(i => store.Contains(Id($"{i}"))));
    }

    [Fact, Trait("Anchor", "18")]
    public void Store_full_of_pinned_objects_says_who_holds_them_and_loses_nothing()
    {
        PlasmaStore store = Named(out string name);
        using WorkerProcess worker = StartWorker(name);
        var held = new List<PlasmaObject>();
        for (int i = 0; i < 16; i++)
        {
            store.Put(Id($"{i}"), Pattern.Of(i, MiB), Evictable);
            if (i < 10)
                Assert.Equal("Ok", worker.Call($"hold h{i} {i} 0"));
            else
                held.Add(store.Get(Id($"{i}"), TimeSpan.Zero));
        }
        Assert.Equal(PlasmaStatus.StoreFull, store.TryPut(Id("new"), new byte[MiB]));
        var e = Assert.Throws<StoreFullException>(() => store.Put(Id("new"), new byte[MiB]));
        StoreFullReport report = e.Report;
        Assert.Equal(PlasmaStatus.StoreFull, e.Status);
        Assert.Equal((MiB, 16L * MiB, 16L * MiB, 16L * MiB), (report.RequestedBytes, report.CapacityBytes, report.UsedBytes, report.PinnedBytes));
        Assert.Equal((0L, 0L, 0L, 0L, (string?)null), (report.KeepBytes, report.CondemnedBytes, report.CreatingBytes, report.LargestFreeRunBytes, report.ReservationError));
        Assert.Equal([(worker.Id, 10, 10L * MiB), (Environment.ProcessId, 6, 6L * MiB)], report.Holders.Select(static h => (h.ProcessId, h.Pins, h.Bytes)));
        Assert.All(report.Holders, static h => Assert.InRange(h.Since, DateTimeOffset.UtcNow.AddMinutes(-1), DateTimeOffset.UtcNow));
        Assert.Contains($"Process {worker.Id} ({report.Holders[0].ProcessName}) holds {10 * MiB} bytes in 10 pins", e.Message, StringComparison.Ordinal);
        Assert.Equal((16, 0L), (store.Stats().SealedCount, store.Stats().Store.Evictions));
        for (int i = 0; i < 16; i++)
        {
            using PlasmaObject obj = store.Get(Id($"{i}"), TimeSpan.Zero);
            Same(Pattern.Of(i, MiB), obj.Span);
        }
        Assert.False(store.Contains(Id("new")));
        held.ForEach(static h => h.Dispose());
        store.Put(Id("new"), new byte[MiB]);
    }

    [Fact, Trait("Anchor", "18")]
    public void Report_of_a_full_store_tells_kept_condemned_and_unfinished_memory_apart()
    {
        PlasmaStore store = Anonymous();
        store.Put(Id("keep"), new byte[5 * MiB]);
        store.Put(Id("condemned"), new byte[4 * MiB]);
        using PlasmaObject condemned = store.Get(Id("condemned"), TimeSpan.Zero);
        store.Delete(Id("condemned"));
        using ObjectWriter writer = store.Create(Id("creating"), 3 * MiB);
        StoreFullReport report = Assert.Throws<StoreFullException>(() => store.Put(Id("new"), new byte[6 * MiB], new ObjectOptions { Timeout = Ms(50) })).Report;
        Assert.Equal((5L * MiB, 4L * MiB, 3L * MiB, 4L * MiB, 12L * MiB), (report.KeepBytes, report.CondemnedBytes, report.CreatingBytes, report.PinnedBytes, report.UsedBytes));
        Assert.Equal(4 * MiB, report.LargestFreeRunBytes);
    }

    [Fact, Trait("Anchor", "18")]
    public void Request_that_cannot_succeed_evicts_nothing()
    {
        PlasmaStore store = Anonymous();
        store.Put(Id("keep"), new byte[10 * MiB]);
        store.Put(Id("evictable"), new byte[2 * MiB], Evictable);
        Assert.Equal(PlasmaStatus.TooLarge, store.TryPut(Id("new"), new byte[16 * MiB + 1]));
        Assert.Equal(PlasmaStatus.TooLarge, store.TryCreate(Id("new"), long.MaxValue, out _));
        Assert.Equal(PlasmaStatus.TooLarge, store.TryCreate(Id("new"), 16 * MiB, out _, new ObjectOptions { Metadata = [1] }));
        Assert.Equal(PlasmaStatus.TooLarge, Assert.Throws<PlasmaException>(() => store.Create(Id("new"), 1L << 40)).Status);
        Assert.Equal(PlasmaStatus.StoreFull, store.TryPut(Id("new"), new byte[7 * MiB]));
        Assert.True(store.Contains(Id("evictable")));
        long start = Stopwatch.GetTimestamp();
        Assert.Equal(PlasmaStatus.TooLarge, store.TryCreate(Id("new"), 17 * MiB, out _, new ObjectOptions { Timeout = TimeSpan.FromSeconds(20) }));
        Assert.InRange(Stopwatch.GetElapsedTime(start), TimeSpan.Zero, TimeSpan.FromSeconds(5));
        store.Put(Id("new"), new byte[5 * MiB]);
        Assert.False(store.Contains(Id("evictable")));
    }

    [Fact, Trait("Anchor", "19")]
    public void Client_over_its_quota_evicts_its_own_objects_and_never_another_s()
    {
        const int size = 100_000, quota = 10 * size;
        PlasmaStore other = Named(out string name);
        PlasmaStore bounded = Keep(PlasmaStore.Open(name, Small with { QuotaBytes = quota + quota / 8 })); // Blocks are up to an eighth larger than payloads.
        for (int i = 0; i < 10; i++)
            other.Put(Id($"other {i}"), Pattern.Of(i, size), Evictable);
        for (int i = 0; i < 30; i++)
            bounded.Put(Id($"own {i}"), Pattern.Of(i, size), Evictable);
        Assert.All(Enumerable.Range(0, 10), i => Assert.True(bounded.Contains(Id($"other {i}"))));
        int kept = Enumerable.Range(0, 30).Count(i => bounded.Contains(Id($"own {i}")));
        Assert.InRange(kept, 9, 11);
        Assert.True(bounded.Contains(Id("own 29")));
        Assert.False(bounded.Contains(Id("own 0")), "the oldest goes first");

        // What may not be dropped counts too, and another's objects still stay.
        PlasmaStatus last = PlasmaStatus.Ok;
        int keep = 0;
        for (; last == PlasmaStatus.Ok && keep < 30; keep++)
            last = bounded.TryPut(Id($"keep {keep}"), Pattern.Of(keep, size));
        Assert.Equal(PlasmaStatus.StoreFull, last);
        Assert.InRange(keep - 1, 9, 11);
        Assert.All(Enumerable.Range(0, 10), i => Assert.True(bounded.Contains(Id($"other {i}"))));
        StoreFullException full = Assert.Throws<StoreFullException>(() => bounded.Put(Id("more"), new byte[size]));
        Assert.Contains("quota", full.Message, StringComparison.Ordinal);
        Assert.Equal(PlasmaStatus.TooLarge, bounded.TryPut(Id("huge"), new byte[2 * quota]));

        // Room that others make counts as soon as it is needed.
        Assert.Equal(PlasmaStatus.Ok, other.Delete(Id("keep 0")));
        Assert.Equal(PlasmaStatus.Ok, bounded.TryPut(Id("more"), new byte[size]));
    }

    [Fact, Trait("Anchor", "20")]
    public void Twenty_evictable_objects_of_a_fifth_of_the_store_each_succeed_one_after_another()
    {
        PlasmaStore store = Anonymous();
        int length = 16 * MiB / 5;
        for (int i = 0; i < 20; i++)
        {
            store.Put(Id($"{i}"), Pattern.Of(i, length), Evictable);
            using PlasmaObject obj = store.Get(Id($"{i}"), TimeSpan.Zero);
            Same(Pattern.Of(i, length), obj.Span);
        }
        Assert.InRange(store.Stats().SealedCount, 1, 5);
        Assert.Equal(20 - store.Stats().SealedCount, store.Stats().Process.Evictions);
    }

    [Fact, Trait("Anchor", "20")]
    public void Evictable_objects_of_every_size_follow_each_other_without_end()
    {
        PlasmaStore store = Anonymous(Small with { CapacityBytes = 4 * MiB });
        var random = new Random(5);
        for (int i = 0; i < 3000; i++)
        {
            int length = random.Next(4) == 0 ? random.Next(MiB) : random.Next(20_000);
            PlasmaStatus status = store.TryPut(Id($"{i}"), Pattern.Of(i, length), Evictable);
            Assert.True(status == PlasmaStatus.Ok, $"{status} for object {i} of {length} bytes: {string.Join(", ", store.List().Select(static o => o.BlockBytes))}");
            using PlasmaObject obj = store.Get(Id($"{i}"), TimeSpan.Zero);
            Same(Pattern.Of(i, length), obj.Span);
        }
    }

    [Fact]
    public void Full_table_of_records_evicts_too_also_objects_without_memory()
    {
        PlasmaStore store = Anonymous(Small with { ObjectCountMax = 64 });
        for (int i = 0; i < 300; i++)
            Assert.True(store.TryPut(Id($"{i}"), i % 2 == 0 ? [] : [1], Evictable) == PlasmaStatus.Ok, $"object {i} of 64 records");
        Assert.Equal(64, store.Stats().SealedCount);

        PlasmaStore empty = Anonymous(Small with { ObjectCountMax = 64 });
        for (int i = 0; i < 300; i++)
            Assert.True(empty.TryPut(Id($"{i}"), [], Evictable) == PlasmaStatus.Ok, $"empty object {i} of 64 records");
    }

    [Fact]
    public void Full_table_of_records_that_must_stay_is_TooManyObjects()
    {
        PlasmaStore store = Anonymous(Small with { ObjectCountMax = 64 });
        for (int i = 0; i < 64; i++)
            store.Put(Id($"{i}"), [1]);
        Assert.Equal(PlasmaStatus.TooManyObjects, store.TryPut(Id("new"), [1]));
        Assert.Contains("64", Assert.Throws<PlasmaException>(() => store.Put(Id("new"), [1])).Message, StringComparison.Ordinal);
        Eventually.Run putter = Eventually.Start(() => store.Put(Id("new"), [], new ObjectOptions { Timeout = Eventually.Patience }));
        store.Delete(Id("5"));
        putter.Join();
        Assert.True(store.Contains(Id("new")));
    }

    [Fact]
    public void Evict_frees_what_was_asked_for_and_not_much_more()
    {
        PlasmaStore store = Anonymous(Small with { CapacityBytes = 32 * MiB });
        for (int i = 0; i < 200; i++)
            store.Put(Id($"{i}"), new byte[65_536], Evictable);
        Assert.Equal(0, store.Evict(0));
        long freed = store.Evict(MiB);
        Assert.InRange(freed, MiB, MiB + 2 * 65_536);
        Assert.Equal(200 - freed / 65_536, store.Stats().SealedCount);
        Assert.Equal((200 - freed / 65_536) * 65_536, store.Evict(long.MaxValue));
        Assert.Equal((0, 0L), (store.Stats().SealedCount, store.Stats().UsedBytes));
    }

    [Fact]
    public void Evict_gets_past_objects_without_memory()
    {
        PlasmaStore store = Anonymous();
        for (int i = 0; i < 100; i++)
            store.Put(Id($"empty{i}"), [], Evictable);
        store.Put(Id("full"), new byte[65_536], Evictable);
        Assert.Equal(65_536, store.Evict(1));
        Assert.False(store.Contains(Id("full")));
        Assert.Equal(100, store.Stats().SealedCount);
    }

    [Fact]
    public void Trim_gives_memory_back_to_the_system()
    {
        PlasmaStore store = Anonymous(Small with { CapacityBytes = 64 * MiB });
        Assert.Equal(0, store.Stats().BackedBytes);
        for (int i = 0; i < 10; i++)
            store.Put(Id($"{i}"), new byte[4 * MiB]);
        store.Put(Id("small"), Pattern.Of(1, 100));
        Assert.Equal(42 * MiB, store.Stats().BackedBytes);
        for (int i = 0; i < 9; i++)
            store.Delete(Id($"{i}"));
        Assert.Equal(42 * MiB, store.Stats().BackedBytes); // Kept, warm, for the next one.
        Assert.Equal(36 * MiB, store.Trim());
        Assert.Equal(6 * MiB, store.Stats().BackedBytes);
        Assert.Equal(0, store.Trim());
        using (PlasmaObject small = store.Get(Id("small"), TimeSpan.Zero))
            Same(Pattern.Of(1, 100), small.Span);
        store.Put(Id("again"), new byte[30 * MiB]);
        store.Delete(Id("again"));
        store.Delete(Id("small"));
        store.Delete(Id("9"));
        store.Trim();
        Assert.Equal(0, store.Stats().BackedBytes);
    }

    [Fact]
    public void Create_that_waits_for_space_is_woken_by_a_delete_in_another_process()
    {
        PlasmaStore store = Named(out string name);
        using WorkerProcess worker = StartWorker(name);
        Assert.Equal("Ok", worker.Call($"put big {12 * MiB} 1"));
        Eventually.Run putter = Eventually.Start(() => store.Put(Id("new"), new byte[8 * MiB], new ObjectOptions { Timeout = Eventually.Patience }));
        Assert.False(putter.HasEnded);
        Assert.Equal("Ok", worker.Call("delete big"));
        putter.Join();
        Assert.True(store.Contains(Id("new")));
    }

    [Fact]
    public void Create_that_waits_for_space_is_woken_by_the_last_release_of_a_deleted_object_in_another_process()
    {
        PlasmaStore store = Named(out string name);
        foreach (string access in (string[])["", "ro"])
        {
            using WorkerProcess worker = StartWorker(name, access);
            store.Put(Id("big"), new byte[12 * MiB]);
            worker.Call("hold h big 0");
            store.Delete(Id("big"));
            Assert.Equal(PlasmaStatus.StoreFull, store.TryPut(Id("new"), new byte[8 * MiB]));
            Eventually.Run putter = Eventually.Start(() => store.Put(Id("new"), new byte[8 * MiB], new ObjectOptions { Timeout = Eventually.Patience }));
            worker.Call("release h");
            putter.Join();
            store.Delete(Id("new"));
        }
    }

    [Fact]
    public void Create_that_waits_for_space_in_vain_ends_at_its_deadline_with_the_report()
    {
        PlasmaStore store = Anonymous(Small with { FullTimeout = Ms(150) });
        store.Put(Id("a"), new byte[12 * MiB]);
        long start = Stopwatch.GetTimestamp();
        Assert.Contains("waited 00:00:00.15", Assert.Throws<StoreFullException>(() => store.Put(Id("b"), new byte[8 * MiB])).Message, StringComparison.Ordinal);
        Eventually.Lasted(start, 150);
        start = Stopwatch.GetTimestamp();
        Assert.Equal(PlasmaStatus.StoreFull, store.TryPut(Id("b"), new byte[8 * MiB], new ObjectOptions { Timeout = TimeSpan.Zero }));
        store.Put(Id("small"), new byte[MiB]); // A large request in vain starves nobody.
    }

    [Fact, Trait("Anchor", "17")]
    public void Writers_that_evict_for_each_other_all_find_room()
    {
        // Everything is evictable but for what the others are creating in this moment, so every put finds room before its deadline, whoever wins the races for victims and blocks.
        PlasmaStore store = Named(out string name, Small with { CapacityBytes = 8 << 20, ObjectCountMax = 256 });
        PlasmaStore[] writers = [store, Open(name), Open(name)];
        var refused = new System.Collections.Concurrent.ConcurrentBag<string>();
        Thread[] threads =
        [
            .. writers.Select((writer, w) => new Thread(() =>
            {
                var random = new Random(w);
                byte[] payload = Pattern.Of(w, 600_000);
                for (int i = 0; i < 3000; i++)
                {
                    int bytes = random.Next(3) == 0 ? random.Next(600_000) : random.Next(20_000);
                    PlasmaStatus status = writer.TryPut(Id($"{w}-{i}"), payload.AsSpan(0, bytes), Evictable with { Timeout = Eventually.Patience });
                    if (status != PlasmaStatus.Ok)
                        refused.Add($"{w}-{i} of {bytes} bytes: {status}");
                }
            })),
        ];
        Array.ForEach(threads, static thread => thread.Start());
        Array.ForEach(threads, static thread => thread.Join());
        Assert.True(refused.IsEmpty, $"{refused.Count} puts were refused, such as {string.Join(", ", refused.Take(5))}.");
    }
}
