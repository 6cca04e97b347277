using System.Diagnostics;
using FastPlasma.Format;
using FastPlasma.Reclaim;

namespace FastPlasma.Tests;

/// <summary>What is chosen when memory is short, who waits for it in which order, and what a full store costs.</summary>
public sealed unsafe class EvictionTests : StoreTest
{
    private const int MiB = 1 << 20;

    [Theory, Trait("Anchor", "17")]
    [InlineData("writer")]
    [InlineData("reader")]
    [InlineData("reader of another user")]
    public void What_is_read_again_and_again_outlives_many_that_are_not(string by)
    {
        // A reader-only process leaves its hints in its own block, where who evicts finds them; another user's in that user's file, which only he clears.
        PlasmaStore store = Named(out string name);
        bool isForeign = by == "reader of another user";
        if (isForeign)
            store.AdmitReader("65534");
        using WorkerProcess worker = isForeign ? StartAs(65534) : StartWorker(null, uid: null);
        worker.Call($"open {name} {(by == "writer" ? "" : "ro")}");
        for (int i = 0; i < 100; i++)
            store.Put(Id($"hot{i}"), new byte[60_000], Evictable);
        for (int i = 0; i < 1000; i++)
        {
            if (i % 50 == 0)
                for (int k = 0; k < 100; k++)
                    worker.Call($"get hot{k} 0");
            store.Put(Id($"cold{i}"), new byte[60_000], Evictable);
        }
        Assert.Equal(100, Enumerable.Range(0, 100).Count(i => store.Contains(Id($"hot{i}"))));
        Assert.InRange(store.Stats().Process.Evictions, 800, 1000);
    }

    [Fact]
    public void Loop_over_more_than_there_is_room_for_keeps_a_part()
    {
        PlasmaStore store = Anonymous();
        int hits = 0, asked = 0;
        for (int round = 0; round < 30; round++)
            for (int i = 0; i < 300; i++, asked++) // 240 have room.
            {
                if (store.TryGet(Id($"{i}"), out PlasmaObject obj))
                    hits++;
                else
                    store.Put(Id($"{i}"), new byte[65_536], Evictable);
                obj.Dispose();
            }
        Assert.InRange(hits, asked / 4, asked);
    }

    [Fact]
    public void Small_object_in_a_store_full_of_larger_ones_takes_a_small_block()
    {
        PlasmaStore store = Anonymous();
        for (int i = 0; i < 200; i++)
            store.Put(Id($"large{i}"), new byte[128 << 10], Evictable);
        int before = store.Stats().SealedCount;
        for (int i = 0; i < 500; i++)
            store.Put(Id($"small{i}"), new byte[1000]);
        Assert.All(store.List().Where(static o => o.PayloadBytes == 1000), static o => Assert.InRange(o.BlockBytes, 1000, 2048));
        Assert.InRange(before - store.List().Count(static o => o.PayloadBytes > 1000), 1, 2 * ChunkBlocks);
    }

    private const int ChunkBlocks = 16; // Of 128 KiB in one chunk.

    [Fact]
    public void Large_object_takes_the_place_of_small_neighbours_and_leaves_the_rest()
    {
        PlasmaStore store = Anonymous();
        for (int i = 0; i < 400; i++)
            store.Put(Id($"{i}"), new byte[200_000], Evictable);
        int before = store.Stats().SealedCount;
        store.Put(Id("large"), new byte[4 * MiB], Evictable);
        Assert.InRange(before - (store.Stats().SealedCount - 1), 1, 30); // 21 of them have its size.
    }

    [Fact]
    public void Candidate_bit_that_a_death_has_lost_is_found_by_the_last_effort()
    {
        PlasmaStore store = Anonymous();
        store.Put(Id("old"), new byte[12 * MiB], Evictable);
        var candidates = (ulong*)(store.Memory.Policy + PolicyLayout.MapsOffset);
        new Span<ulong>(candidates, (int)PolicyLayout.WordCount(1024)).Clear();
        store.Put(Id("new"), new byte[12 * MiB], Evictable);
        Assert.False(store.Contains(Id("old")));
    }

    [Fact, Trait("Anchor", "18")]
    public void Full_store_of_pinned_or_kept_objects_refuses_soon_and_evicts_nothing()
    {
        PlasmaStore store = Anonymous(Small with { CapacityBytes = 64 * MiB, ObjectCountMax = 100_000, EvictAheadBytes = 0 });
        int count = 0;
        while (store.TryPut(Id($"{count}"), new byte[1000]) == PlasmaStatus.Ok)
            count++;
        long start = Stopwatch.GetTimestamp();
        const int refusals = 3000;
        for (int i = 0; i < refusals; i++)
            Assert.Equal(PlasmaStatus.StoreFull, store.TryPut(Id("new"), new byte[1000]));
        // Each look at the whole store takes milliseconds; nearly all are spared. The bound is far above what this takes, and far below refusals times such a look.
        Assert.InRange(Stopwatch.GetElapsedTime(start), TimeSpan.Zero, TimeSpan.FromSeconds(3));
        Assert.Equal((count, 0L), (store.Stats().SealedCount, store.Stats().Process.Evictions));
        store.Delete(Id("7"));
        Assert.Equal(PlasmaStatus.Ok, store.TryPut(Id("new"), new byte[1000])); // What is free now is seen at once.
    }

    [Fact]
    public void Background_keeps_memory_free_once_the_store_was_full()
    {
        PlasmaStore store = Anonymous(Small with { CapacityBytes = 64 * MiB, EvictAheadBytes = 8 * MiB });
        for (int i = 0; i < 1000; i++)
            store.Put(Id($"{i}"), new byte[100_000], Evictable);
        Eventually.True(() => store.Allocator.FreeBytesByHints() >= 8 * MiB, "so much is free as the store is to keep");
        Assert.Equal(8 * MiB, store.Stats().EvictAheadBytes);
        Assert.InRange(store.Stats().UsedBytes, 40 * MiB, 56 * MiB);
    }

    [Fact]
    public void Small_request_passes_a_huge_one_that_waits()
    {
        PlasmaStore store = Anonymous();
        store.Put(Id("kept"), new byte[9 * MiB]);
        for (int i = 0; i < 6; i++)
            store.Put(Id($"{i}"), new byte[MiB]);
        Eventually.Run huge = Eventually.Start(() => store.Put(Id("huge"), new byte[12 * MiB], new ObjectOptions { Timeout = Eventually.Patience }));
        Eventually.True(() => store.Stats().WaitingCount == 1, "the huge request waits");
        StoreStats stats = store.Stats();
        Assert.InRange(stats.WaitingBytes, 12 * MiB, 13 * MiB);
        Assert.InRange(DateTimeOffset.UtcNow - stats.WaitingSince!.Value, TimeSpan.FromSeconds(-1), TimeSpan.FromSeconds(20));
        Assert.Contains("1 creates wait for", Assert.Throws<StoreFullException>(() => store.Put(Id("x"), new byte[3 * MiB])).Message, StringComparison.Ordinal);

        // It gets what the huge one cannot use.
        Eventually.Run small = Eventually.Start(() => store.Put(Id("small"), new byte[2 * MiB], new ObjectOptions { Timeout = Eventually.Patience }));
        Eventually.True(() => store.Stats().WaitingCount == 2, "both wait");
        store.Delete(Id("0"));
        store.Delete(Id("1"));
        store.Delete(Id("2"));
        small.Join();
        Assert.False(huge.HasEnded);
        store.Delete(Id("kept"));
        store.Delete(Id("small")); // It may lie in the middle.
        for (int i = 3; i < 6; i++)
            store.Delete(Id($"{i}"));
        huge.Join();
        Assert.Equal(0, store.Stats().WaitingCount);
    }

    [Fact]
    public void Who_waits_is_behind_those_that_came_before_and_nobody_else()
    {
        PlasmaStore store = Anonymous();
        var queue = new Waiting.SpaceQueue(store.Memory, store.Participants);
        (int Place, ulong Word)[] all = [.. Enumerable.Range(0, PolicyLayout.WaiterCount).Select(_ => (queue.Enter(1000, out ulong word), word))];
        for (int i = 0; i < all.Length; i++)
            Assert.Equal(i > 0, queue.IsBehindAnother(all[i].Place, all[i].Word));
        Assert.Equal(-1, queue.Enter(1, out ulong none)); // Full: it waits without an order.
        Assert.False(queue.IsBehindAnother(-1, none));
        queue.Leave(-1, none);
        Assert.Equal((64, 64_000L), (store.Stats().WaitingCount, store.Stats().WaitingBytes));
        queue.Leave(all[0].Place, all[0].Word);
        Assert.False(queue.IsBehindAnother(all[1].Place, all[1].Word));
        int last = queue.Enter(1, out ulong lastWord); // In the place of the first, behind all the others.
        Assert.Equal(all[0].Place, last);
        Assert.True(queue.IsBehindAnother(last, lastWord));
        Assert.False(queue.IsBehindAnother(all[1].Place, all[1].Word));
        foreach ((int place, ulong word) in all[1..])
            queue.Leave(place, word);
        Assert.False(queue.IsBehindAnother(last, lastWord));
        queue.Leave(last, lastWord);
        Assert.Null(store.Stats().WaitingSince);
    }

    [Fact]
    public void All_that_wait_are_served_one_after_the_other()
    {
        PlasmaStore store = Anonymous();
        store.Put(Id("all"), new byte[15 * MiB]);
        var order = new System.Collections.Concurrent.ConcurrentQueue<int>();
        var waiters = new List<Eventually.Run>();
        for (int i = 0; i < 3; i++)
        {
            int number = i;
            waiters.Add(Eventually.Start(() =>
            {
                // All of the store: the next one has to wait for this one's delete.
                store.Put(Id($"{number}"), new byte[15 * MiB], new ObjectOptions { Timeout = Eventually.Patience });
                order.Enqueue(number);
                store.Delete(Id($"{number}"));
            }));
            Eventually.True(() => store.Stats().WaitingCount == number + 1, "the next one waits");
        }
        store.Delete(Id("all"));
        waiters.ForEach(static waiter => waiter.Join());
        Assert.Equal([0, 1, 2], order.Order()); // Which is first is a matter of a millisecond.
    }

    [Fact]
    public void Waiter_that_is_killed_leaves_the_queue_with_its_recovery()
    {
        PlasmaStore store = Named(out string name);
        store.Put(Id("all"), new byte[15 * MiB]);
        using WorkerProcess worker = StartWorker(name);
        ulong word = 0;
        SpaceWaiter* waiter = store.Memory.Waiters;
        Interlocked.Exchange(ref waiter->Word, word = SpaceWaiter.Pack(1, 1)); // What the worker, participant 1, would leave.
        Assert.Equal(1, store.Stats().WaitingCount);
        worker.Kill();
        Eventually.True(() => store.Stats().WaitingCount == 0, "the dead one is out of the queue");
        Assert.NotEqual(0ul, word);
    }

    [Fact, Trait("Anchor", "20")]
    public void Evictable_objects_of_a_fifth_of_the_store_from_two_processes_all_succeed()
    {
        PlasmaStore store = Named(out string name);
        using WorkerProcess worker = StartWorker(name);
        for (int i = 0; i < 20; i++)
        {
            store.Put(Id($"own{i}"), new byte[16 * MiB / 5], Evictable);
            Assert.Equal("Ok", worker.Call($"put other{i} {16 * MiB / 5} {i} evictable"));
        }
        Assert.InRange(store.Stats().SealedCount, 1, 5);
    }

    [Fact]
    public void Hands_go_round_all_candidates_however_they_lie()
    {
        // A model: whatever bits are set, two rounds from any hand see each of them.
        PlasmaStore store = Anonymous(Small with { ObjectCountMax = 640 });
        var random = new Random(11);
        for (int i = 0; i < 600; i++)
            store.Put(Id($"{i}"), [1], Evictable);
        for (int round = 0; round < 200 && store.Stats().SealedCount > 0; round++)
        {
            int some = random.Next(599);
            for (int i = some; i < Math.Min(some + 40, 600); i++)
                if (store.TryGet(Id($"{i}"), out PlasmaObject obj))
                    obj.Dispose();
            int before = store.Stats().SealedCount;
            long wanted = 64 * (1 + random.Next(20));
            Assert.Equal(Math.Min(wanted, before * 64L), store.Evict(wanted));
        }
        Assert.Equal(0, store.Stats().SealedCount);
    }
}
