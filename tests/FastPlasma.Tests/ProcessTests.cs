using System.Diagnostics;
using System.Globalization;

namespace FastPlasma.Tests;

/// <summary>Promises about several processes, their deaths and their pauses.</summary>
public sealed class ProcessTests : StoreTest
{
    private const int Aborted = 128 + 6, Segfault = 128 + 11, Killed = 128 + 9;

    [Fact, Trait("Anchor", "6")]
    public void Of_several_processes_that_create_one_id_exactly_one_wins_and_the_others_can_wait_for_its_seal()
    {
        PlasmaStore store = Named(out string name);
        WorkerProcess[] workers = [.. Enumerable.Range(0, 4).Select(_ => StartWorker(name))];
        for (int round = 0; round < 40; round++)
        {
            foreach (WorkerProcess worker in workers)
                worker.Call($"bg r race w{round} start{round} x{round} 1000");
            store.Put(Id($"start{round}"), []);
            string[] answers = [.. workers.Select(static w => w.Call("join r"))];
            Assert.Equal(1, answers.Count(static a => a == "Ok"));
            Assert.Equal(3, answers.Count(static a => a == "Exists"));
            int winner = Array.IndexOf(answers, "Ok"), loser = (winner + 1) % 4;
            workers[loser].Call($"bg g get x{round} 20000");
            workers[winner].Call($"fill w{round} {round}");
            Assert.Equal("Ok", workers[winner].Call($"seal w{round}"));
            Assert.Equal($"Ok {WorkerProcess.Describe(Pattern.Of(round, 1000))}", workers[loser].Call("join g"));
        }
    }

    [Fact, Trait("Anchor", "21")]
    public void Killed_process_leaves_its_sealed_objects_and_nothing_else()
    {
        PlasmaStore store = Named(out string name, Small with { CapacityBytes = 64 << 20 });
        WorkerProcess worker = StartWorker(name);
        for (int i = 0; i < 20; i++)
        {
            Assert.Equal("Ok", worker.Call($"put sealed{i} {1000 * i} {i}"));
            Assert.Equal("Ok", worker.Call($"create w{i} unsealed{i} {1000 * i}"));
        }
        store.Put(Id("held"), Pattern.Of(77, 50_000));
        store.Put(Id("held and deleted"), Pattern.Of(78, 50_000));
        worker.Call("hold a held 0");
        worker.Call("put gone 60000 5");
        worker.Call("hold b gone 0");
        store.Delete(Id("gone"));
        Assert.Equal((20, 1), (store.Stats().CreatingCount, store.Stats().CondemnedCount));
        worker.Kill();
        Assert.Equal(Killed, worker.ExitCode);

        // The ids are free at once, for whoever wants them: no timeout decides.
        for (int i = 0; i < 20; i += 2)
            Assert.Equal(PlasmaStatus.Ok, store.TryPut(Id($"unsealed{i}"), [9]));
        Eventually.True(() => store.Stats() is { CreatingCount: 0, CondemnedCount: 0, Participants.Count: 1 }, "the dead process is recovered");
        Assert.Equal(PlasmaStatus.Ok, store.TryPut(Id("unsealed1"), [9]));
        Assert.Empty(store.List().Single(static o => o.Id == Id("held")).Holders);
        for (int i = 0; i < 20; i++)
        {
            using PlasmaObject obj = store.Get(Id($"sealed{i}"), TimeSpan.Zero);
            Same(Pattern.Of(i, 1000 * i), obj.Span);
        }
        Assert.True(store.Stats().Store.Puts >= 20, "counts of the dead stay");
    }

    [Fact, Trait("Anchor", "21")]
    public void Waiter_for_an_object_whose_creator_was_killed_gets_the_next_creators()
    {
        PlasmaStore store = Named(out string name);
        WorkerProcess creator = StartWorker(name), waiter = StartWorker(name);
        creator.Call("create w x 1000");
        waiter.Call("bg g get x 25000");
        creator.Kill();
        Eventually.True(() => store.TryPut(Id("x"), Pattern.Of(2, 10)) == PlasmaStatus.Ok, "the id is free");
        Assert.Equal($"Ok {WorkerProcess.Describe(Pattern.Of(2, 10))}", waiter.Call("join g"));
    }

    [Fact, Trait("Anchor", "21")]
    public void Pins_of_a_killed_process_no_longer_keep_memory()
    {
        PlasmaStore store = Named(out string name);
        WorkerProcess worker = StartWorker(name);
        store.Put(Id("a"), new byte[12 << 20]);
        worker.Call("hold h a 0");
        store.Delete(Id("a"));
        Assert.Equal(PlasmaStatus.StoreFull, store.TryPut(Id("b"), new byte[8 << 20]));
        worker.Kill();
        Eventually.True(() => store.TryPut(Id("b"), new byte[8 << 20]) == PlasmaStatus.Ok, "the memory is free");
    }

    [Fact, Trait("Anchor", "22")]
    public void Kills_at_random_moments_while_creating_evicting_and_deleting_leave_a_sound_store()
    {
        PlasmaStore store = Named(out string name, Small with { CapacityBytes = 4 << 20, ObjectCountMax = 256 });
        store.Put(Id("keep"), Pattern.Of(1, 100_000), new ObjectOptions { Checksum = true });
        var random = new Random(11);
        WorkerProcess?[] slots = new WorkerProcess?[2];
        for (int round = 0; round < 12; round++)
        {
            for (int i = 0; i < 2; i++)
            {
                if (slots[i] is not null)
                    continue;
                slots[i] = StartWorker(name);
                slots[i]!.Call($"bg c churn r{round}w{i} {random.Next(1, 60_000)}");
            }
            long evictions = store.Stats().Store.Evictions, moment = random.Next(200);
            Eventually.True(() => store.Stats().Store.Evictions > evictions + moment, "the workers evict");
            if (random.Next(2) == 0)
                slots[1]!.Kill(); // Two at the same time.
            slots[0]!.Kill();
            for (int i = 0; i < 2; i++)
                slots[i] = slots[i]!.ExitCodeOrNull is null ? slots[i] : null;
            Assert.True(store.TryGet(Id("keep"), out PlasmaObject keep));
            using (keep)
                Assert.True(keep.VerifyChecksum());

            // In two chunks there may be no room for a moment: the other worker is creating in one of them.
            Assert.Equal(PlasmaStatus.Ok, store.TryPut(Id($"mine{round}"), new byte[1000], Evictable with { Timeout = Eventually.Patience }));
        }
        foreach (WorkerProcess? worker in slots)
            worker?.Kill();
        Eventually.True(() => store.Stats() is { CreatingCount: 0, CondemnedCount: 0, Participants.Count: 1 }, "all are recovered");
        Assert.Empty(store.Verify().Problems);

        // Every byte is accounted for: without the evictable objects only the kept one takes memory.
        store.Evict(long.MaxValue);
        Assert.Equal(store.List().Sum(static o => o.BlockBytes), store.Stats().UsedBytes);
        store.Delete(Id("keep"));
        Assert.Equal(PlasmaStatus.Ok, store.TryPut(Id("whole store"), new byte[4 << 20], new ObjectOptions { Timeout = TimeSpan.Zero }));
    }

    [Fact, Trait("Anchor", "22")]
    public void Recoverer_that_is_killed_is_recovered_with_the_one_it_was_recovering()
    {
        PlasmaStore store = Named(out string name, Small with { ObjectCountMax = 4096 });
        var random = new Random(3);
        for (int round = 0; round < 5; round++)
        {
            WorkerProcess dead = StartWorker(name), recoverer = StartWorker(name);
            for (int i = 0; i < 300; i++)
                dead.Send($"create w{i} r{round}-{i} 100");
            for (int i = 0; i < 300; i++)
                Assert.Equal("Ok", dead.Receive());
            recoverer.Call("create w mine 100");
            dead.Kill();
            recoverer.Send("maintain");
            Thread.SpinWait(random.Next(20_000));
            recoverer.Kill();
            Eventually.True(() => store.Stats() is { CreatingCount: 0, Participants.Count: 1 }, "both are recovered");
            Assert.Equal(PlasmaStatus.Ok, store.TryPut(Id("mine"), []));
            store.Delete(Id("mine"));
        }
        Assert.Equal(0, store.Stats().UsedBytes);
    }

    [Fact, Trait("Anchor", "23")]
    public void Stopped_process_delays_nobody_but_those_who_want_its_unfinished_ids()
    {
        PlasmaStore store = Named(out string name);
        WorkerProcess stopped = StartWorker(name), other = StartWorker(name);
        store.Put(Id("shared"), Pattern.Of(1, 100_000));
        store.Put(Id("deleted"), Pattern.Of(2, 100_000));
        stopped.Call("hold a shared 0");
        stopped.Call("hold b deleted 0");
        stopped.Call("create w unfinished 1000");
        stopped.Call("bg g get late 25000");
        stopped.Stop();

        long start = Stopwatch.GetTimestamp();
        TimeSpan slowest = TimeSpan.Zero;
        store.Delete(Id("deleted"));
        for (int i = 0; i < 2000; i++)
        {
            long one = Stopwatch.GetTimestamp();
            using (PlasmaObject obj = store.Get(Id("shared"), TimeSpan.Zero))
                Assert.Equal(100_000, obj.Length);
            TimeSpan took = Stopwatch.GetElapsedTime(one);
            slowest = took > slowest ? took : slowest;
            store.Put(Id($"{i}"), [1]);
            store.Delete(Id($"{i}"));
        }
        Assert.InRange(Stopwatch.GetElapsedTime(start), TimeSpan.Zero, TimeSpan.FromSeconds(5));
        Assert.InRange(slowest, TimeSpan.Zero, TimeSpan.FromSeconds(1));
        Assert.Equal("Ok", other.Call("put by-other 1000 1"));

        Assert.Equal(PlasmaStatus.Exists, store.TryPut(Id("unfinished"), [1]));
        Assert.Contains($"process {stopped.Id}", Assert.Throws<TimeoutException>(() => store.Get(Id("unfinished"), Ms(250))).Message, StringComparison.Ordinal);
        Assert.Equal(0, store.Maintain()); // Stopped is alive: no timeout says otherwise.
        Assert.Equal((1, 1), (store.Stats().CreatingCount, store.Stats().CondemnedCount));

        store.Put(Id("late"), [5]);
        stopped.Continue();
        Assert.Equal($"Ok {WorkerProcess.Describe([5])}", stopped.Call("join g"));
        Assert.Equal(WorkerProcess.Describe(Pattern.Of(2, 100_000)), stopped.Call("read b"));
        Assert.Equal("Ok", stopped.Call("seal w"));
        Assert.True(store.Contains(Id("unfinished")));
        stopped.Call("release b");
        Assert.Equal(0, store.Stats().CondemnedCount);
    }

    [Fact, Trait("Anchor", "23")]
    public void Process_that_is_stopped_while_it_evicts_keeps_nobody_from_memory()
    {
        PlasmaStore store = Named(out string name, Small with { CapacityBytes = 4 << 20 });
        WorkerProcess worker = StartWorker(name);
        worker.Call("bg c churn w 30000");
        for (int round = 0; round < 10; round++)
        {
            long evictions = store.Stats().Store.Evictions;
            Eventually.True(() => store.Stats().Store.Evictions > evictions + round * 7, "the worker evicts");
            worker.Stop();
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < 50; i++)
                Assert.Equal(PlasmaStatus.Ok, store.TryPut(Id($"mine{round}-{i}"), new byte[100_000], Evictable));
            Assert.InRange(Stopwatch.GetElapsedTime(start), TimeSpan.Zero, TimeSpan.FromSeconds(5));
            worker.Continue();
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("ro")]
    public void Process_that_writes_through_what_a_get_gave_it_dies_and_the_bytes_stay(string access)
    {
        PlasmaStore store = Named(out string name);
        WorkerProcess worker = StartWorker(name, access);
        store.Put(Id("a"), Pattern.Of(1, 10_000));
        worker.Call("hold h a 0");
        ExpectDeath(worker);
        using (PlasmaObject obj = store.Get(Id("a"), TimeSpan.Zero))
            Same(Pattern.Of(1, 10_000), obj.Span);
        if (access == "ro")
            return;

        // The producer itself fares no better.
        WorkerProcess producer = StartWorker(name);
        producer.Call("put mine 10000 2");
        producer.Call("hold h mine 0");
        ExpectDeath(producer);
        using PlasmaObject mine = store.Get(Id("mine"), TimeSpan.Zero);
        Same(Pattern.Of(2, 10_000), mine.Span);

        static void ExpectDeath(WorkerProcess worker)
        {
            worker.Send("poke h");
            Assert.Null(worker.Receive());
            worker.AwaitExit();
            Assert.True(worker.ExitCode is Aborted or Segfault, $"exit code {worker.ExitCode}");
        }
    }

    [Fact]
    public void Payload_of_gets_is_mapped_read_only_and_readers_map_nothing_of_it_writable()
    {
        PlasmaStore store = Named(out string name);
        store.Put(Id("a"), [1]);
        string[] reader = StartWorker(name, "ro").Call("maps").Split(';'), writer = StartWorker(name).Call("maps").Split(';');
        Assert.Single(reader, static m => m.EndsWith(".data", StringComparison.Ordinal));
        Assert.StartsWith("r--s", reader.Single(static m => m.EndsWith(".data", StringComparison.Ordinal)), StringComparison.Ordinal);
        Assert.Equal(["r--s", "rw-s"], writer.Where(static m => m.EndsWith(".data", StringComparison.Ordinal)).Select(static m => m[..4]).Order());
        Assert.Contains(reader, m => m == $"r--s fastplasma.{name}");
        using PlasmaObject obj = store.Get(Id("a"), TimeSpan.Zero);
        unsafe
        {
            Assert.StartsWith("r--s", ProtectionAt((ulong)obj.Pointer), StringComparison.Ordinal);
        }
    }

    private static string ProtectionAt(ulong address)
    {
        foreach (string line in File.ReadLines("/proc/self/maps"))
        {
            string[] parts = line.Split(' '), range = parts[0].Split('-');
            if (ulong.Parse(range[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture) <= address && address < ulong.Parse(range[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture))
                return parts[1];
        }
        return "unmapped";
    }

    [Fact]
    public void Worker_ends_with_its_input_also_while_it_waits()
    {
        PlasmaStore store = Named(out string name);
        WorkerProcess worker = StartWorker(name);
        worker.Call("hold h x 0");
        worker.Send("get never -1");
        worker.CloseInput();
        worker.AwaitExit();
        Eventually.True(() => store.Stats().Participants.Count == 1, "its attachment has ended");
    }

    [Fact]
    public void Closed_attachment_of_another_process_is_gone_at_once()
    {
        PlasmaStore store = Named(out string name);
        WorkerProcess worker = StartWorker(name);
        Assert.Equal(2, store.Stats().Participants.Count);
        worker.Call("close");
        Assert.Single(store.Stats().Participants);
        Assert.Equal(0, store.Stats().Store.Recoveries);
    }
}
