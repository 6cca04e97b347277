using System.Diagnostics;
using System.Globalization;

namespace FastPlasma.Tests.Spill;

/// <summary>Spill directories that do not answer while a store is made, opened, looked after or destroyed; and a system that refuses the threads that could wait for them.</summary>
[Trait("Anchor", "26")]
public sealed class SilentDirectoryTests : SilentTest
{
    [Fact]
    public void A_store_is_made_without_a_directory_that_does_not_answer()
    {
        string healthy = NewFolder(), name = NewName();
        WorkerProcess worker = StartWithDelay("openat", 4000, Folder);
        long start = Stopwatch.GetTimestamp();
        worker.Call($"make-spilling {name} {Folder},{healthy} hurried");
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalMilliseconds, 490, 3500);
        AssertEnds(worker);
        Assert.Empty(Directory.GetFiles(Folder)); // Who looked through it late has gone no further.
        Assert.Contains($"{Folder} has not answered within 0.5 s", worker.Call("spill problem 0"), StringComparison.Ordinal);
        Assert.Equal("", worker.Call("spill problem 1"));
        worker.Call($"put a {Bytes} 1");
        Assert.NotEqual("0", worker.Call("spill unload 100000000"));
        worker.Call("close");
        PlasmaStore.Destroy(name);
        Assert.Empty(Directory.GetFiles(healthy));
    }

    [Fact]
    public void No_store_is_made_where_no_directory_answers_and_files_that_come_late_are_removed()
    {
        string other = NewFolder(), name = NewName();
        WorkerProcess worker = StartWithDelayEverywhere("pwrite64", 4000); // Of the new files' headers.
        WorkerException e = Late(() => worker.Call($"make-spilling {name} {Folder},{other} hurried"), 490);
        Assert.Contains($"None of the spill directories can be used: {Folder} has not answered within 0.5 s; {other} has not answered within 0.5 s", e.Message, StringComparison.Ordinal);
        Assert.Single(Directory.GetFiles(Folder));
        Assert.Single(Directory.GetFiles(other));
        AssertEnds(worker);
        Assert.Empty(Directory.GetFiles(Folder));
        Assert.Empty(Directory.GetFiles(other));
        Assert.DoesNotContain(name, PlasmaStore.ListStores());
    }

    [Fact]
    public void A_store_is_destroyed_and_the_file_that_could_not_be_removed_in_time_is_named_and_goes_later()
    {
        string name = NewName();
        PlasmaStore.Create(name, WithSpill()).Dispose();
        WorkerProcess worker = StartWithDelay("unlinkat,unlink", 3000);
        WorkerException e = Late(() => worker.Call($"destroy {name} hurried"), 490);
        Assert.Contains($"Store '{name}' is destroyed, but its spill files may be left: {Folder} has not answered within 0.5 s", e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(name, PlasmaStore.ListStores());
        Eventually.True(() => Directory.GetFiles(Folder).Length == 0, "The file that was to be removed late is still there");
    }

    [Fact]
    public void Copies_are_verified_as_long_as_each_is_answered_in_time()
    {
        OnDisk(out string name, "a-0", "a-1", "a-2", "a-3");
        WorkerProcess worker = StartWithDelay("preadv", 300);
        worker.Call($"open {name} hurried");
        long start = Stopwatch.GetTimestamp();
        Assert.Equal("4 0", worker.Call("spill verify"));
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalMilliseconds, 1190, 20_000);
    }

    [Fact]
    public void Verifying_ends_when_a_read_is_not_answered_and_keeps_a_bounded_number_of_threads_there()
    {
        PlasmaStore store = OnDisk(out string name, "a", "b");
        WorkerProcess worker = StartWithDelay("preadv", 9000);
        worker.Call($"open {name} hurried");
        for (int i = 0; i < 8; i++)
            Assert.Contains($"TimeoutException: {SpillFile(Folder)} has not answered within 0.5 s", Late(() => worker.Call("spill verify"), 490).Message, StringComparison.Ordinal);
        Assert.Contains("8 calls that look through the spill directories", Late(() => worker.Call("spill verify"), 490).Message, StringComparison.Ordinal);
        long start = Stopwatch.GetTimestamp();
        worker.Call("close");
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalMilliseconds, 0, 3000);
        Eventually.True(() => store.Stats().Participants.Count == 1, "The attachment has not ended after the disk answered.");
        Assert.Equal(2, store.VerifySpill().CopyCount);
    }

    [Fact]
    public void Giving_disk_space_back_ends_when_that_is_not_answered()
    {
        PlasmaStore store = OnDisk(out string name, "a");
        Assert.Equal(PlasmaStatus.Ok, store.Delete(Id("a")));
        store.Maintain();
        WorkerProcess worker = StartWithDelay("fallocate", 3000);
        worker.Call($"open {name} hurried");
        Assert.Contains($"TimeoutException: {SpillFile(Folder)} has not answered within 0.5 s", Late(() => worker.Call("spill trim"), 490).Message, StringComparison.Ordinal);
        Eventually.True(() => store.SpillInfo().Directories[0].BackedBytes == 0, "What was begun does not end");
    }

    [Fact]
    public void Nothing_is_written_where_a_catalogue_is_not_taken_back_yet_and_all_is_as_usual_once_it_is()
    {
        string name = NewName();
        Leave(name);
        string catalog = Assert.Single(Directory.GetFiles(Folder, "*.catalog"));
        WorkerProcess worker = StartWithDelay("preadv", 4000);
        long start = Stopwatch.GetTimestamp();
        worker.Call($"open {name} hurried");
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalMilliseconds, 490, 3500);
        worker.Call($"put b {Bytes} 1");
        Assert.Equal("0", worker.Call("spill unload 100000000"));
        Assert.Contains($"the catalogue of an earlier store in {Folder} is not taken back yet", worker.Call("spill problem 0"), StringComparison.Ordinal);
        Assert.True(File.Exists(catalog));

        Eventually.True(() => !File.Exists(catalog), "The catalogue was not taken back after the disk answered");
        Eventually.True(() => worker.Call("spill problem 0").Length == 0, "The directory is not in use after its catalogue was taken back");
        Assert.NotEqual("0", worker.Call("spill unload 100000000"));
        worker.Call("close");
        Eventually.True(() => File.Exists(catalog), "The last writer has left no catalogue");
        AssertBothStay(name);
    }

    /// <summary>Somebody else may take the catalogue back, write and leave while the first is still waiting.</summary>
    [Fact]
    public void A_process_killed_while_it_takes_a_catalogue_back_spoils_nothing_that_others_have_written()
    {
        string name = NewName();
        Leave(name);
        WorkerProcess worker = StartWithDelay("preadv", 20_000);
        worker.Call($"open {name} hurried");
        using (PlasmaStore second = PlasmaStore.Open(name, Small)) // Takes it back in time, and is not the last.
        {
            Assert.Empty(Directory.GetFiles(Folder, "*.catalog"));
            second.Put(Id("b"), Content("b", Bytes));
            Assert.True(second.Unload(long.MaxValue) > 0);
        }
        Assert.Empty(Directory.GetFiles(Folder, "*.catalog")); // Of one that others may still write to.
        Kill(worker);
        using (PlasmaStore third = PlasmaStore.Open(name, Small))
            Assert.Empty(third.VerifySpill().Errors);
        Assert.Single(Directory.GetFiles(Folder, "*.catalog"));
        AssertBothStay(name);
    }

    [Fact]
    public void A_system_that_refuses_threads_ends_the_wait_and_not_the_store()
    {
        PlasmaStore store = OnDisk(out string name, "a", "b");
        WorkerProcess worker = StartWithoutTiers();
        worker.Call($"open {name} hurried");
        worker.Call("put memory 1000 1");
        using (RefuseThreads(worker))
        {
            Assert.Contains("it has not come from disk: the system refuses a thread", Late(() => worker.Call("await a 700"), 700).Message, StringComparison.Ordinal);
            Assert.Contains("the system refuses a thread", Late(() => worker.Call("spill read a 500000 never"), 500).Message, StringComparison.Ordinal);
            Assert.Contains("TimeoutException", Late(() => worker.Call("spill verify"), 500).Message, StringComparison.Ordinal);
            Assert.StartsWith("Ok ", worker.Call("get memory 0"), StringComparison.Ordinal);
        }
        Assert.StartsWith("Ok ", worker.Call("await a 20000"), StringComparison.Ordinal);
        Assert.Equal("2 0", worker.Call("spill verify"));
        using (RefuseThreads(worker))
        {
            worker.Call("close");
            Assert.Equal(2, store.Stats().Participants.Count);
        }
        Eventually.True(() => store.Stats().Participants.Count == 1, "The attachment has not ended after the system gave threads again");
        Assert.Equal(0, store.Stats().PinnedBytes);
    }

    [Fact]
    public void A_create_without_threads_for_its_writes_says_so()
    {
        const int fillers = 18;
        WorkerProcess worker = StartWithoutTiers();
        string name = NewName();
        worker.Call($"make-spilling {name} {Folder}");
        for (int i = 0; i < fillers; i++)
            worker.Call($"put f{i} {Bytes} 1");
        using (RefuseThreads(worker))
            Assert.Contains("could not be: the system refuses a thread", Late(() => worker.Call($"spill put new {Bytes} 1 1000"), 1000).Message, StringComparison.Ordinal);
        worker.Call($"spill put new {Bytes} 1 20000");
        for (int i = 0; i < fillers; i++)
            Assert.StartsWith($"Ok {Bytes} ", worker.Call($"get f{i} 20000"), StringComparison.Ordinal);
        Assert.Empty(Open(name).Verify().Problems);
    }

    /// <summary>The work in disk threads that is going on ends.</summary>
    private static void AssertEnds(WorkerProcess worker)
    {
        Assert.NotEqual("0", worker.Call("at-disk"));
        Eventually.True(() => worker.Call("at-disk") == "0", "Work on the disk has not ended");
    }

    /// <summary>A persistent store whose last writer has left its catalogue.</summary>
    private void Leave(string name)
    {
        using PlasmaStore first = PlasmaStore.Create(name, Persistent);
        first.Put(Id("a"), Content("a", Bytes));
        Assert.True(first.Unload(long.MaxValue) > 0);
    }

    private void AssertBothStay(string name)
    {
        Assert.True(PlasmaStore.Destroy(name, keepSpilled: true));
        PlasmaStore next = Keep(PlasmaStore.Create(name, Persistent));
        Assert.True(next.Contains(Id("a")) && next.Contains(Id("b")));
        Assert.Empty(next.VerifySpill().Errors);
    }

    private PlasmaOptions Persistent => WithSpill() with { Persist = true, SpillsAhead = false };
}
