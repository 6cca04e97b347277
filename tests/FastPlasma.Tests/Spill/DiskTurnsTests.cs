using FastPlasma.Spill;

namespace FastPlasma.Tests.Spill;

/// <summary>Turns at a disk, and the threads that take them.</summary>
public sealed class DiskTurnsTests
{
    private const int SilenceMs = 3000, KiB = 1024;

    [Fact]
    public void There_are_so_many_turns_and_one_that_is_given_back_is_the_next_ones()
    {
        var turns = new DiskTurns(2);
        Assert.True(turns.TryTake(KiB, 0));
        Assert.True(turns.TryTake(KiB, 0));
        Assert.False(turns.TryTake(KiB, 10));
        var waits = new Thread(() => turns.TryTake(KiB, 20_000));
        waits.Start();
        Eventually.True(() => waits.ThreadState == ThreadState.WaitSleepJoin, "It waits for a turn.");
        turns.GiveBack(KiB);
        Assert.True(waits.Join(10_000));
        Assert.False(turns.TryTake(KiB, 0));
    }

    [Fact]
    public void A_directory_is_silent_when_nothing_was_answered_for_long_and_not_because_of_one_call()
    {
        DiskTurns silent = new(4), one = new(4), pieces = new(4);
        Assert.True(silent.TryTake(KiB, 0));
        Assert.True(silent.TryTake(KiB, 0));
        Assert.True(one.TryTake(KiB, 0)); // Hangs.
        Assert.True(one.TryTake(KiB, 0));
        one.GiveBack(KiB); // Was answered; nothing is wanted since.
        Assert.True(pieces.TryTake(1L << 30, 0));
        for (int waitedMs = 0; waitedMs < SilenceMs + 500; waitedMs += 500)
        {
            Thread.Sleep(500);
            pieces.NotePiece();
        }
        Assert.True(silent.IsSilent);
        Assert.False(one.IsSilent);
        Assert.False(pieces.IsSilent);
        Assert.Contains("reads under way in x: 2, none answered for 3.", silent.DescribeSlow("reads", "x"), StringComparison.Ordinal);

        // One more is tried, and no other; its answer ends the silence.
        Assert.True(silent.TryTake(KiB, 0));
        Assert.False(silent.TryTake(KiB, 0));
        silent.GiveBack(KiB);
        Assert.False(silent.IsSilent);
        Assert.True(silent.TryTake(KiB, 0));
    }

    [Fact]
    public void A_thread_that_is_interrupted_gives_its_turn_back_all_the_same()
    {
        var turns = new DiskTurns(1);
        bool interrupted = false;
        var thread = new Thread(() =>
        {
            Assert.True(turns.TryTake(KiB, 0));
            Thread.CurrentThread.Interrupt();
            turns.GiveBack(KiB);
            try
            {
                Thread.Sleep(Timeout.Infinite);
            }
            catch (ThreadInterruptedException)
            {
                interrupted = true;
            }
        });
        thread.Start();
        Assert.True(thread.Join(10_000));
        Assert.True(interrupted); // Kept for the thread's own next wait.
        Assert.True(turns.TryTake(KiB, 0));
    }

    [Fact]
    public async Task Work_runs_in_the_thread_that_was_busy_last_and_not_in_the_one_that_waits()
    {
        var threads = new DiskThreads();
        int first = await threads.TryStart(static () => Environment.CurrentManagedThreadId)!;
        Assert.NotEqual(Environment.CurrentManagedThreadId, first);
        using var begun = new Barrier(3);
        Task<int>[] together = [.. Enumerable.Range(0, 2).Select(_ => threads.TryStart(() =>
        {
            begun.SignalAndWait(TimeSpan.FromSeconds(20)); // So there are two.
            return Environment.CurrentManagedThreadId;
        })!)];
        Assert.True(begun.SignalAndWait(TimeSpan.FromSeconds(20)));
        int[] ids = await Task.WhenAll(together);
        Assert.NotEqual(ids[0], ids[1]);
        var used = new HashSet<int>();
        for (int i = 0; i < 100; i++)
            used.Add(await threads.TryStart(static () => Environment.CurrentManagedThreadId)!);
        Assert.InRange(used.Count, 1, 10); // A thread is idle a moment after its work.
        threads.Close();
        Assert.NotEqual(Environment.CurrentManagedThreadId, await threads.TryStart(static () => Environment.CurrentManagedThreadId)!); // Late work still has a thread.
    }
}
