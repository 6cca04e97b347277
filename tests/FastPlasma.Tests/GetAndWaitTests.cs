using System.Diagnostics;

namespace FastPlasma.Tests;

/// <summary>Promises about getting and waiting: timeouts, several ids, wake-ups, cancellation.</summary>
public sealed class GetAndWaitTests : StoreTest
{
    [Theory, Trait("Anchor", "9")]
    [InlineData(0)]
    [InlineData(60)]
    public void Get_of_missing_half_present_and_present_sets_returns_what_is_there_and_marks_the_rest(int timeoutMs)
    {
        PlasmaStore store = Anonymous();
        ObjectId[] missing = [Id("m1"), Id("m2"), Id("m3")], present = [Id("p1"), Id("p2"), Id("p3")];
        foreach (ObjectId id in present)
            store.Put(id, [1]);
        Expect(missing, []);
        Expect(present, [0, 1, 2]);
        Expect([missing[0], present[0], missing[1], present[1]], [1, 3]);
        Expect([], []);
        Assert.Throws<ArgumentException>(() => store.Get(present, new PlasmaObject[2]));
        Assert.Throws<ArgumentOutOfRangeException>(() => store.Get(missing, new PlasmaObject[3], Ms(-2)));

        void Expect(ObjectId[] ids, int[] found)
        {
            var objects = new PlasmaObject[ids.Length + 1];
            long start = Stopwatch.GetTimestamp();
            Assert.Equal(found.Length, store.Get(ids, objects, Ms(timeoutMs)));
            bool complete = found.Length == ids.Length;
            if (!complete)
                Eventually.Lasted(start, timeoutMs);
            for (int i = 0; i < ids.Length; i++)
            {
                Assert.Equal(found.Contains(i), objects[i].IsValid);
                objects[i].Dispose();
            }
            Assert.Equal(0, store.Stats().Participants.Single().Pins);
        }
    }

    [Fact, Trait("Anchor", "9")]
    public void Get_without_end_returns_when_the_last_missing_object_is_sealed()
    {
        PlasmaStore store = Anonymous();
        ObjectId[] ids = [.. Enumerable.Range(0, 10).Select(static i => Id($"{i}"))];
        for (int i = 0; i < 5; i++)
            store.Put(ids[i], [(byte)i]);
        var objects = new PlasmaObject[10];
        Eventually.Run getter = Eventually.Start(() => Assert.Equal(10, store.Get(ids, objects, Timeout.InfiniteTimeSpan)));
        for (int i = 5; i < 10; i++)
        {
            Assert.False(getter.HasEnded);
            store.Put(ids[i], [(byte)i]);
        }
        getter.Join();
        for (int i = 0; i < 10; i++)
        {
            Same([(byte)i], objects[i].Span);
            objects[i].Dispose();
        }
    }

    [Fact, Trait("Anchor", "9")]
    public void Single_get_answers_at_once_after_its_time_or_with_the_object()
    {
        PlasmaStore store = Anonymous();
        ObjectId id = ObjectId.NewRandom();
        Assert.Equal(PlasmaStatus.NotFound, store.TryGet(id, TimeSpan.Zero, out PlasmaObject none));
        Assert.False(none.IsValid);
        long start = Stopwatch.GetTimestamp();
        Assert.Equal(PlasmaStatus.Timeout, store.TryGet(id, Ms(50), out _));
        Eventually.Lasted(start, 50);
        start = Stopwatch.GetTimestamp();
        Assert.Equal(PlasmaStatus.Timeout, store.TryGet(id, Ms(250), out _, spin: Ms(10)));
        Eventually.Lasted(start, 250);
        Assert.Throws<ArgumentOutOfRangeException>(() => store.TryGet(id, Ms(-2), out _));

        foreach (TimeSpan spin in (TimeSpan[])[TimeSpan.Zero, Ms(200)])
        {
            Eventually.Run getter = Eventually.Start(() =>
            {
                using PlasmaObject obj = store.Get(id, Timeout.InfiniteTimeSpan, spin);
                Same([7], obj.Span);
            });
            store.Put(id, [7]);
            getter.Join();
            store.Delete(id);
        }
    }

    [Fact, Trait("Anchor", "9")]
    public void Timed_out_get_says_what_is_known_of_the_object()
    {
        PlasmaStore store = Anonymous();
        Assert.Contains("nobody has begun", Assert.Throws<TimeoutException>(() => store.Get(Id("a"), Ms(1))).Message, StringComparison.Ordinal);
        using ObjectWriter writer = store.Create(Id("a"), 1);
        string message = Assert.Throws<TimeoutException>(() => store.Get(Id("a"), Ms(1))).Message;
        Assert.Contains("Creating", message, StringComparison.Ordinal);
        Assert.Contains($"process {Environment.ProcessId}", message, StringComparison.Ordinal);
        Assert.Contains("alive", message, StringComparison.Ordinal);
    }

    [Theory, Trait("Anchor", "10")]
    [InlineData(0)]
    [InlineData(20_000)]
    public void Duplicate_ids_in_one_get_behave_like_one_id_asked_for_several_times(int timeoutMs)
    {
        PlasmaStore store = Anonymous();
        ObjectId a = Id("a"), b = Id("b"), late = Id("late");
        store.Put(a, [1]);
        store.Put(b, [2]);
        ObjectId[] ids = [a, late, b, a, late, a];
        var objects = new PlasmaObject[ids.Length];
        int found = 0;
        Eventually.Run getter = Eventually.Start(() => found = store.Get(ids, objects, Ms(timeoutMs)));
        if (timeoutMs > 0)
            store.Put(late, [3]);
        getter.Join();
        Assert.Equal(timeoutMs > 0 ? 6 : 4, found);
        for (int i = 0; i < ids.Length; i++)
        {
            bool isLate = ids[i] == late;
            Assert.Equal(!isLate || timeoutMs > 0, objects[i].IsValid);
            if (objects[i].IsValid)
                Same([(byte)(isLate ? 3 : ids[i] == a ? 1 : 2)], objects[i].Span);
        }
        objects[0].Dispose();
        Assert.True(objects[3].IsValid && objects[5].IsValid, "each place has a pin of its own");
        foreach (PlasmaObject obj in objects)
            obj.Dispose();
        Assert.Equal(0, store.Stats().Participants.Single().Pins);

        bool[] ready = new bool[ids.Length];
        Assert.Equal(timeoutMs > 0 ? 6 : 4, store.Wait(ids, 4, TimeSpan.Zero, ready));
        Assert.True(ready[0] && ready[2] && ready[3] && ready[5]);
    }

    [Fact, Trait("Anchor", "11")]
    public void Blocked_getters_of_many_processes_are_all_woken_by_one_seal_and_a_killed_one_does_no_harm()
    {
        PlasmaStore store = Named(out string name);
        WorkerProcess[] workers = [.. Enumerable.Range(0, 4).Select(_ => StartWorker(name))];
        foreach (WorkerProcess worker in workers)
        {
            worker.Call("bg a get x 20000");
            worker.Call("bg b get x -1");
        }
        using ObjectWriter writer = store.Create(Id("x"), 1000);
        Pattern.Fill(writer.Span, 5);
        workers[3].Kill();
        long start = Stopwatch.GetTimestamp();
        writer.Seal();
        string expected = $"Ok {WorkerProcess.Describe(Pattern.Of(5, 1000))}";
        foreach (WorkerProcess worker in workers[..3])
        {
            Assert.Equal(expected, worker.Call("join a"));
            Assert.Equal(expected, worker.Call("join b"));
        }
        Assert.InRange(Stopwatch.GetElapsedTime(start), TimeSpan.Zero, TimeSpan.FromSeconds(10));
        Eventually.True(() => store.Stats().Participants.Count == 4, "the killed getter is recovered");
    }

    [Fact, Trait("Anchor", "11")]
    public void Blocked_get_ends_within_50_ms_of_its_cancellation()
    {
        PlasmaStore store = Anonymous();
        ObjectId[] ids = [Id("a"), Id("b")];
        Fastest("get", token => store.TryGet(Id("a"), TimeSpan.FromSeconds(20), out _, default, token));
        Fastest("spinning get", token => store.TryGet(Id("a"), TimeSpan.FromSeconds(20), out _, TimeSpan.FromSeconds(20), token));
        Fastest("get of several", token => store.Get(ids, new PlasmaObject[2], TimeSpan.FromSeconds(20), token));
        Fastest("wait", token => store.Wait(ids, 1, TimeSpan.FromSeconds(20), new bool[2], token));
        Fastest("event", token =>
        {
            using PlasmaSubscription subscription = store.Subscribe();
            subscription.Read(TimeSpan.FromSeconds(20), out _, token);
        });
        Fastest("asynchronous get", token => store.GetAsync(Id("a"), TimeSpan.FromSeconds(20), token).AsTask().GetAwaiter().GetResult());

        // The machine may be busy: the fastest of some rounds tells whether the wake-up comes by itself or with the next slice.
        static void Fastest(string what, Action<CancellationToken> wait)
        {
            TimeSpan fastest = TimeSpan.MaxValue;
            for (int round = 0; round < 10 && fastest > Ms(20); round++)
            {
                using var source = new CancellationTokenSource();
                long ended = 0;
                Eventually.Run run = Eventually.Start(() =>
                {
                    Assert.ThrowsAny<OperationCanceledException>(() => wait(source.Token));
                    ended = Stopwatch.GetTimestamp();
                });
                using var settled = new ManualResetEventSlim();
                settled.Wait(5); // Time to fall asleep; an earlier cancellation must work as well.
                long start = Stopwatch.GetTimestamp();
                source.Cancel();
                run.Join();
                TimeSpan elapsed = Stopwatch.GetElapsedTime(start, ended);
                fastest = elapsed < fastest ? elapsed : fastest;
            }
            Assert.True(fastest < Ms(50), $"{what} ended {fastest.TotalMilliseconds} ms after its cancellation.");
        }
    }

    [Fact, Trait("Anchor", "11")]
    public void Cancellation_at_any_moment_never_hangs()
    {
        PlasmaStore store = Anonymous();
        using var go = new SemaphoreSlim(0);
        CancellationTokenSource? current = null;
        const int rounds = 20_000;
        Eventually.Run canceller = Eventually.Start(() =>
        {
            var random = new Random(1);
            for (int i = 0; i < rounds; i++)
            {
                Assert.True(go.Wait(Eventually.Patience));
                Thread.SpinWait(random.Next(200));
                current!.Cancel();
            }
        });
        Eventually.Run waiter = Eventually.Start(() =>
        {
            for (int i = 0; i < rounds; i++)
            {
                using var source = new CancellationTokenSource();
                current = source;
                go.Release();
                Assert.ThrowsAny<OperationCanceledException>(() => store.TryGet(Id("a"), TimeSpan.FromSeconds(20), out _, default, source.Token));
            }
        });
        waiter.Join();
        canceller.Join();
    }

    [Fact]
    public void Token_that_is_cancelled_while_the_sleeper_registers_ends_the_sleep()
    {
        // The source's own callback order is the lever: a token that cancels itself the moment somebody asks whether it is cancelled cannot be had,
        // so the racing form is above and this is the deterministic part: a token that is cancelled already.
        PlasmaStore store = Anonymous();
        Eventually.Ends(() => Assert.ThrowsAny<OperationCanceledException>(() => store.TryGet(Id("a"), Timeout.InfiniteTimeSpan, out _, default, new CancellationToken(canceled: true))));
        store.Put(Id("a"), [1]);
        Assert.Equal(PlasmaStatus.Ok, store.TryGet(Id("a"), TimeSpan.Zero, out PlasmaObject obj, default, new CancellationToken(canceled: true)));
        obj.Dispose();
    }

    [Fact]
    public void Cancelled_get_of_several_keeps_nothing_pinned()
    {
        PlasmaStore store = Anonymous();
        store.Put(Id("a"), [1]);
        using var source = new CancellationTokenSource(Ms(20));
        var objects = new PlasmaObject[2];
        Eventually.Ends(() => Assert.ThrowsAny<OperationCanceledException>(() => store.Get([Id("a"), Id("b")], objects, Timeout.InfiniteTimeSpan, source.Token)));
        Assert.False(objects[0].IsValid);
        Assert.Equal(0, store.Stats().Participants.Single().Pins);
    }

    [Fact, Trait("Anchor", "12")]
    public void Thread_that_is_blocked_in_get_does_not_block_the_others()
    {
        PlasmaStore store = Anonymous();
        using var cancel = new CancellationTokenSource();
        Eventually.Run[] blocked = [.. Enumerable.Range(0, 3).Select(i => Eventually.Start(() =>
            Assert.ThrowsAny<OperationCanceledException>(() => store.TryGet(Id($"never{i}"), Timeout.InfiniteTimeSpan, out _, default, cancel.Token))))];
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < 1000; i++)
        {
            store.Put(Id($"{i}"), [1]);
            using (store.Get(Id($"{i}"), TimeSpan.Zero))
                store.Delete(Id($"{i}"));
        }
        Assert.All(blocked, static b => Assert.False(b.HasEnded));
        Assert.InRange(Stopwatch.GetElapsedTime(start), TimeSpan.Zero, TimeSpan.FromSeconds(5));
        cancel.Cancel();
        foreach (Eventually.Run run in blocked)
            run.Join();
    }

    [Fact, Trait("Anchor", "13")]
    public void Wait_for_any_k_of_10000_ids_ends_with_the_kth_seal_or_at_its_deadline()
    {
        PlasmaStore store = Anonymous(Small with { ObjectCountMax = 16_384 });
        ObjectId[] ids = [.. Enumerable.Range(0, 10_000).Select(static i => Id($"{i}"))];
        bool[] ready = new bool[ids.Length];
        long start = Stopwatch.GetTimestamp();
        Assert.Equal(0, store.Wait(ids, 1, Ms(120), ready));
        Eventually.Lasted(start, 120);
        Assert.Equal(0, store.Wait(ids, 0, TimeSpan.FromSeconds(20), ready));

        foreach (int k in (int[])[1, 7, 100])
        {
            int got = 0;
            Eventually.Run waiter = Eventually.Start(() => got = store.Wait(ids, k, Timeout.InfiniteTimeSpan, ready));
            for (int i = 0; i < k; i++)
            {
                if (i == k - 1)
                    Assert.False(waiter.HasEnded, $"ended after {i} of {k} seals");
                store.Put(ids[9_999 - i * 3], []);
            }
            waiter.Join();
            Assert.Equal(k, got);
            for (int i = 0; i < k; i++)
                Assert.True(ready[9_999 - i * 3]);
            Assert.Equal(k, ready.Count(static r => r));
            for (int i = 0; i < k; i++)
                store.Delete(ids[9_999 - i * 3]);
        }

        // All of them, faster than the ring can keep: what is lost is found by looking.
        int all = 0;
        Eventually.Run last = Eventually.Start(() => all = store.Wait(ids, ids.Length, Timeout.InfiniteTimeSpan, ready));
        foreach (ObjectId id in ids)
            store.Put(id, []);
        last.Join();
        Assert.Equal(10_000, all);
        Assert.Throws<ArgumentOutOfRangeException>(() => store.Wait(ids, 10_001, TimeSpan.Zero, ready));
        Assert.Throws<ArgumentOutOfRangeException>(() => store.Wait(ids, -1, TimeSpan.Zero, ready));
        Assert.Throws<ArgumentException>(() => store.Wait(ids, 1, TimeSpan.Zero, ready.AsSpan(1)));
    }

    [Fact]
    public async Task GetAsync_returns_a_present_object_a_later_one_or_says_why_not()
    {
        PlasmaStore store = Anonymous();
        store.Put(Id("a"), [1]);
        ValueTask<PlasmaObject> hit = store.GetAsync(Id("a"), TimeSpan.Zero);
        Assert.True(hit.IsCompletedSuccessfully);
        (await hit).Dispose();

        Task<PlasmaObject> later = store.GetAsync(Id("b"), Eventually.Patience).AsTask();
        Assert.False(later.IsCompleted);
        store.Put(Id("b"), [2]);
        using (PlasmaObject obj = await later)
            Same([2], obj.Span);

        long start = Stopwatch.GetTimestamp();
        Assert.Contains("nobody has begun", (await Assert.ThrowsAsync<TimeoutException>(() => store.GetAsync(Id("c"), Ms(60)).AsTask())).Message, StringComparison.Ordinal);
        Eventually.Lasted(start, 55);
        await Assert.ThrowsAsync<TimeoutException>(() => store.GetAsync(Id("c"), TimeSpan.Zero).AsTask());

        using var source = new CancellationTokenSource(Ms(20));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => store.GetAsync(Id("c"), Timeout.InfiniteTimeSpan, source.Token).AsTask().WaitAsync(Eventually.Patience));
    }

    [Fact]
    public async Task Thousands_of_asynchronous_gets_wait_at_once_and_all_end()
    {
        PlasmaStore store = Anonymous(Small with { ObjectCountMax = 8192 });
        const int count = 5000;
        Task<long>[] gets = [.. Enumerable.Range(0, count).Select(i => Read(i))];
        Assert.DoesNotContain(gets, static g => g.IsCompleted);
        for (int i = 0; i < count; i++)
            store.Put(Id($"{i}"), new byte[i % 50]);
        long[] lengths = await Task.WhenAll(gets).WaitAsync(Eventually.Patience);
        for (int i = 0; i < count; i++)
            Assert.Equal(i % 50, lengths[i]);
        Assert.Equal(0, store.Stats().Participants.Single().Pins);

        async Task<long> Read(int i)
        {
            using PlasmaObject obj = await store.GetAsync(Id($"{i}"), Timeout.InfiniteTimeSpan);
            return obj.Length;
        }
    }

    [Fact]
    public async Task Asynchronous_get_in_one_process_is_woken_by_another()
    {
        PlasmaStore store = Named(out string name);
        using WorkerProcess worker = StartWorker(name);
        Task<PlasmaObject> get = store.GetAsync(Id("a"), Eventually.Patience).AsTask();
        worker.Call("put a 1000 3");
        using PlasmaObject obj = await get;
        Same(Pattern.Of(3, 1000), obj.Span);
    }

    [Fact]
    public void Taking_every_pin_slot_is_TooManyPins_and_a_release_makes_room()
    {
        PlasmaStore store = Anonymous();
        store.Put(Id("a"), [1]);
        var held = new List<PlasmaObject>();
        PlasmaStatus status;
        while ((status = store.TryGet(Id("a"), TimeSpan.Zero, out PlasmaObject obj)) == PlasmaStatus.Ok)
            held.Add(obj);
        Assert.Equal(PlasmaStatus.TooManyPins, status);
        Assert.InRange(held.Count, 50_000, 70_000);
        Assert.Equal(held.Count, store.List().Single().Holders.Single().Pins);
        Assert.Contains($"{held.Count} of {held.Count} are held", Assert.Throws<PlasmaException>(() => store.TryGet(Id("a"), out _)).Message, StringComparison.Ordinal);
        Assert.Equal(PlasmaStatus.TooManyPins, store.TryPut(Id("b"), [1]));
        held[1234].Dispose();
        Assert.Equal(PlasmaStatus.Ok, store.TryPut(Id("b"), [1]));
        Assert.True(store.TryGet(Id("a"), out PlasmaObject last));
        last.Dispose();
        held.ForEach(static h => h.Dispose());
        Assert.Equal(0, store.Stats().Participants.Single().Pins);
    }

    [Fact]
    public async Task Broken_shared_state_reaches_the_caller_of_an_asynchronous_get_as_an_exception()
    {
        VerifyAtEnd = false;
        PlasmaStore store = Anonymous();
        using ObjectWriter writer = store.Create(Id("a"), 1);
        Task<PlasmaObject> get = store.GetAsync(Id("a"), Eventually.Patience).AsTask();
        NameEntryOutsideTheTable(store, Id("a"));
        await Assert.ThrowsAsync<PlasmaFormatException>(() => get);

        static unsafe void NameEntryOutsideTheTable(PlasmaStore store, ObjectId id)
        {
            Index.ObjectIndex.CandidateWalk walk = store.Index.Walk(store.Index.HashOf(id));
            Assert.True(walk.Next(out _, out ulong* place));
            *place |= 0xFFFFFF;
        }
    }

    [Fact]
    public async Task Closing_the_store_ends_every_wait_with_ObjectDisposedException()
    {
        for (int round = 0; round < 30; round++)
        {
            PlasmaStore store = Anonymous();
            Eventually.Run[] waits =
            [
                Eventually.Start(() => Assert.Throws<ObjectDisposedException>(() => store.TryGet(Id("a"), Timeout.InfiniteTimeSpan, out _))),
                Eventually.Start(() => Assert.Throws<ObjectDisposedException>(() => store.Get([Id("a"), Id("b")], new PlasmaObject[2], Timeout.InfiniteTimeSpan))),
                Eventually.Start(() => Assert.Throws<ObjectDisposedException>(() => store.Wait([Id("a")], 1, Timeout.InfiniteTimeSpan, new bool[1]))),
            ];
            Task<PlasmaObject> task = store.GetAsync(Id("a"), Timeout.InfiniteTimeSpan).AsTask();
            if (round % 2 == 0)
            {
                using var settled = new ManualResetEventSlim();
                settled.Wait(5);
            }
            store.Dispose();
            foreach (Eventually.Run wait in waits)
                wait.Join();
            await Assert.ThrowsAsync<ObjectDisposedException>(() => task.WaitAsync(Eventually.Patience));
        }
    }
}
