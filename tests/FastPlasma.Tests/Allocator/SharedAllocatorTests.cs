using System.Globalization;

namespace FastPlasma.Tests;

/// <summary>Several processes allocate and free in one store at once; each fills its blocks and looks for foreign bytes in them.</summary>
/// <remarks>FASTPLASMA_TEST_SECONDS makes it longer, FASTPLASMA_TEST_SEED repeats the sizes (not the interleaving).</remarks>
public sealed class SharedAllocatorTests(ITestOutputHelper output) : StoreTest
{
    private const int Capacity = 24 << 20, Threads = 2;

    private static readonly PlasmaOptions s_options = new() { CapacityBytes = Capacity, ObjectCountMax = 1024 };

    [Fact]
    public void No_byte_ever_has_two_owners_and_all_of_them_are_free_in_one_piece_at_the_end()
    {
        PlasmaStore store = Named(out string name, s_options);
        WorkerProcess[] workers = Start(name, processes: 3);
        TimeSpan time = LongRun.Of(5);
        Scramble(workers, (int)time.TotalMilliseconds, "");
        long allocated = 0, full = 0;
        for (int w = 0; w < workers.Length; w++)
        {
            long[] counts = [.. workers[w].Receive(time + Eventually.Patience)!.Split(' ').Select(static n => long.Parse(n, CultureInfo.InvariantCulture))];
            (allocated, full) = (allocated + counts[0], full + counts[1]);
        }
        output.WriteLine($"{allocated} blocks, {full} times full, seed {LongRun.Seed}");
        Assert.True(allocated > 1000 && full > 0, $"{allocated} blocks, {full} times full: no fight for memory");
        Assert.Equal((0L, 0, 0, 0), (store.Stats().UsedBytes, store.Stats().SealedCount, store.Stats().CreatingCount, store.Stats().CondemnedCount));
        using (ObjectWriter all = store.Create(Id("all"), Capacity))
            all.Span.Fill(1);
        store.Trim();
        Assert.Equal((0L, (long)Capacity), (store.Stats().BackedBytes, store.Stats().LargestFreeRunBytes));
    }

    [Fact]
    public void Control_an_owner_of_a_block_of_somebody_else_is_found_out()
    {
        VerifyAtEnd = false; // What was held when the foreign bytes were found is left to its process.
        Named(out string name, s_options);
        WorkerProcess[] workers = Start(name, processes: 2);
        Scramble(workers, 1000, Scrambler.Trespasser);
        IEnumerable<string> errors = workers.Select(static w => Record.Exception(() => w.Receive())?.Message ?? "");
        Assert.Contains(errors.ToArray(), static e => e.Contains("foreign bytes", StringComparison.Ordinal));
    }

    private WorkerProcess[] Start(string name, int processes) => [.. Enumerable.Range(0, processes).Select(_ => StartWorker(name))];

    private static void Scramble(WorkerProcess[] workers, int ms, string cheat)
    {
        for (int w = 0; w < workers.Length; w++)
            workers[w].Send(string.Create(CultureInfo.InvariantCulture, $"scramble {w} {LongRun.Seed} {Threads} {ms} {cheat}"));
    }
}
