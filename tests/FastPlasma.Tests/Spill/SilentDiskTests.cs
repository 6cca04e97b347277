using System.Diagnostics;
using System.Globalization;

namespace FastPlasma.Tests.Spill;

/// <summary>Disks that answer neither with bytes nor with an error: every call ends at its deadline and says why, what was begun goes on, and nothing is lost or held for good.</summary>
[Trait("Anchor", "26")]
public sealed class SilentDiskTests : SilentTest
{
    [Theory]
    [InlineData("")]
    [InlineData(" async")]
    public void A_get_ends_at_its_deadline_and_what_it_began_goes_on(string how)
    {
        PlasmaStore store = OnDisk(out string name, "a");
        WorkerProcess worker = StartWithDelay("preadv", 3000);
        worker.Call($"open {name}");
        WorkerException e = Late(() => worker.Call($"await a 300{how}"), 300);
        Assert.Contains($"has not come from disk yet: reads under way in {SpillFile(Folder)}: 1, none answered for", e.Message, StringComparison.Ordinal);
        Assert.StartsWith("Ok ", worker.Call($"await a 10000{how}"), StringComparison.Ordinal); // Who waits longer has it.
        Eventually.True(() => store.Stats().PinnedBytes == 0, "The pin of the get that was given up is still there.");
    }

    [Fact]
    public void Whoever_waits_for_what_another_process_is_reading_ends_at_his_own_deadline_and_says_who_has_it()
    {
        PlasmaStore store = OnDisk(out string name, "a");
        WorkerProcess worker = StartWithDelay("preadv", 8000);
        worker.Call($"open {name}");
        Late(() => worker.Call("await a 300"), 300);
        long start = Stopwatch.GetTimestamp();
        PlasmaException e = Assert.Throws<PlasmaException>(() => store.Get(Id("a"), TimeSpan.FromMilliseconds(300)));
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalMilliseconds, 290, 2700);
        Assert.Contains("has it in hand", e.Message, StringComparison.Ordinal);
        WorkerProcess reader = StartWorker(name, "ro");
        Assert.Contains("no writer of the store has brought it", Late(() => reader.Call("await a 300"), 300).Message, StringComparison.Ordinal);

        // Whoever is killed in the middle of it leaves it to the next.
        Kill(worker);
        using PlasmaObject obj = store.Get(Id("a"), TimeSpan.FromSeconds(10));
        Same(Content("a", Bytes), obj.Span);
    }

    [Fact]
    public void Gets_of_several_objects_end_at_their_deadline()
    {
        OnDisk(out string name, "a-0", "a-1", "a-2", "a-3");
        WorkerProcess worker = StartWithDelay("preadv", 3000);
        worker.Call($"open {name}");
        long start = Stopwatch.GetTimestamp();
        Assert.Equal("0", worker.Call("get-many a 4 300"));
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalMilliseconds, 290, 2700);
        Assert.Equal("4", worker.Call("get-many a 4 15000"));
    }

    [Fact]
    public void Any_number_of_gets_keeps_a_bounded_number_of_threads_and_all_end_in_time()
    {
        const int count = 40;
        OnDisk(out string name, [.. Enumerable.Range(0, count).Select(static i => $"a-{i}")]);
        WorkerProcess worker = StartWithDelay("preadv", 3000);
        worker.Call($"open {name}");
        int[] answer = [.. worker.Call($"spill gets a {count} 1000").Split(' ').Select(static word => int.Parse(word, CultureInfo.InvariantCulture))];
        Assert.Equal(0, answer[0]);
        Assert.InRange(answer[1], 990, 3000);
        Assert.InRange(answer[2], 1, 16); // They are still reading.
        answer = [.. worker.Call($"spill gets a {count} 60000").Split(' ').Select(static word => int.Parse(word, CultureInfo.InvariantCulture))];
        Assert.Equal(count, answer[0]);
    }

    [Fact]
    public void A_read_into_memory_is_cancelled_at_once_and_leaves_the_memory_alone()
    {
        PlasmaStore store = OnDisk(out string name, "a");
        WorkerProcess worker = StartWithDelay("preadv", 3000);
        worker.Call($"open {name}");
        Assert.Contains("OperationCanceled", Late(() => worker.Call("spill read a 500000 300"), 300).Message, StringComparison.Ordinal);
        Assert.Equal("500000", worker.Call("spill read a 500000 30000"));
        Eventually.True(() => store.Stats().PinnedBytes == 0, "The pin of the read that was given up is still there.");
    }

    [Fact]
    public void A_store_is_opened_without_a_directory_that_does_not_answer()
    {
        OnDisk(out string name, "a");
        WorkerProcess worker = StartWithDelay("openat", 4000);
        long start = Stopwatch.GetTimestamp();
        worker.Call($"open {name} hurried");
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalMilliseconds, 490, 3500);
        Assert.Contains($"{Folder} has not answered within 0.5 s", Late(() => worker.Call("await a 5000"), 0).Message, StringComparison.Ordinal);
        worker.Call("put b 1000 1"); // Memory is as usual.
        Assert.StartsWith("Ok ", worker.Call("get b 0"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_get_is_cancelled_at_once()
    {
        OnDisk(out string name, "a");
        WorkerProcess worker = StartWithDelay("preadv", 3000);
        worker.Call($"open {name}");
        Assert.Contains("OperationCanceled", Late(() => worker.Call("give-up a 300"), 300).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_attachment_that_is_closed_meanwhile_ends_when_the_disk_has_answered()
    {
        PlasmaStore store = OnDisk(out string name, "a");
        WorkerProcess worker = StartWithDelay("preadv", 8000);
        worker.Call($"open {name}");
        Late(() => worker.Call("await a 300"), 300);
        long start = Stopwatch.GetTimestamp();
        worker.Call("close");
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalMilliseconds, 0, 3000);
        Assert.Equal(2, store.Stats().Participants.Count);
        Eventually.True(() => store.Stats().Participants.Count == 1, "The attachment has not ended after the disk answered.");
        using PlasmaObject obj = store.Get(Id("a"), TimeSpan.FromSeconds(10));
        Same(Content("a", Bytes), obj.Span);
    }

    [Fact]
    public void A_create_that_has_to_make_room_ends_at_its_deadline_and_says_which_writes_it_waits_for()
    {
        PlasmaStore store = Full(out string name);
        WorkerProcess worker = StartWithDelay("pwritev", 3000);
        worker.Call($"open {name}");
        WorkerException e = Late(() => worker.Call($"spill put new {Bytes} 1 400"), 400);
        Assert.Contains("has no room", e.Message, StringComparison.Ordinal);
        Assert.Contains($"writes under way in {SpillFile(Folder)}: ", e.Message, StringComparison.Ordinal);
        worker.Call($"spill put new {Bytes} 1 20000"); // What was begun went on.
        AssertAllThere(store);
    }

    [Fact]
    public void A_create_without_a_deadline_says_after_some_seconds_that_the_disk_is_silent_and_the_next_one_at_once()
    {
        PlasmaStore store = Full(out string name);
        WorkerProcess worker = StartWithDelay("pwritev", 12_000);
        worker.Call($"open {name}");
        WorkerException e = Late(() => worker.Call($"spill put new {Bytes} 1 0"), 3000, 11_000);
        Assert.Contains(SpillFile(Folder), e.Message, StringComparison.Ordinal);
        e = Late(() => worker.Call($"spill put new {Bytes} 1 0"), 0, 2500);
        Assert.Contains("had not answered writes for some seconds", e.Message, StringComparison.Ordinal);
        Assert.Contains("had not answered writes", store.SpillInfo().Directories[0].Problem, StringComparison.Ordinal);
        Eventually.True(() => store.SpillInfo().Directories[0].Problem is null, "The directory has answered, and is not in use again.");
        store.Put(Id("new"), Content("new", Bytes), new ObjectOptions { Timeout = TimeSpan.FromSeconds(10) });
        AssertAllThere(store);
    }

    [Fact]
    public void Another_directory_takes_over_from_one_that_is_silent()
    {
        string healthy = NewFolder();
        PlasmaStore store = Full(out string name, healthy);
        WorkerProcess worker = StartWithDelay("pwritev", 15_000, SpillFile(Folder));
        worker.Call($"open {name}");
        worker.Call($"spill put new {Bytes} 1 10000");
        long start = Stopwatch.GetTimestamp();
        worker.Call($"spill put next {Bytes} 1 10000");
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalMilliseconds, 0, 2700);
        Assert.True(store.SpillInfo().Directories[1].WrittenCount > 0);
        Kill(worker); // With writes in the kernel: what they claim is given back.
        AssertAllThere(store);
    }
}
