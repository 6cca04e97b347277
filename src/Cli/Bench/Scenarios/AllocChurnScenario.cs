namespace FastPlasma.Cli.Bench.Scenarios;

/// <summary>Does memory stay usable while objects of all sizes come and go in a store that is nearly full, and how much of it is waste?</summary>
/// <remarks>
/// 91 % of the objects asked for are 64 B to 16 KiB, 8 % up to 1 MiB and 1 % 8 to 16 MiB; the last are most of the bytes. Payloads are never written: the question is
/// the allocator. Live payload is held at 90 % of capacity by deleting objects at random before the next is created; an object that the store refuses is a failure and
/// is given up, so that the store stays as full. The ratio is the largest share of a block that is not payload, over all sizes.
/// </remarks>
internal sealed class AllocChurnScenario : IBenchScenario
{
    // 1,000 creates or deletes are one batch.
    private const int BatchOperations = 1000;
    private const long CapacityBytes = 4L << 30;
    private const long ProbeBytesMin = 512, ProbeBytesMax = 16 << 20;

    public string Name => "alloc-churn";

    public string Unit => "ns";

    public BenchBound Bound => BenchBound.AtMost(0.125);

    public BenchFigures Run(BenchContext context)
    {
        using PlasmaStore store = PlasmaStore.CreateAnonymous(new PlasmaOptions { CapacityBytes = CapacityBytes, ObjectCountMax = ObjectChurn.ObjectCountMax });
        ObjectChurn churn = new(store);
        Series.Warm(BatchOperations, churn.Run);
        while (!churn.IsFull)
            churn.Run(BatchOperations);

        int batches = context.Pick(10_000_000, 300_000) / BatchOperations;
        Series times = new(batches);
        double fill = 0;
        churn.ForgetFailures();
        for (int i = 0; i < batches; i++)
        {
            times[i] = Series.Time(churn.Run, BatchOperations);
            fill += (double)churn.LiveBytes / CapacityBytes / batches;
        }

        StoreStats stats = store.Stats();
        var (waste, wastedBytes) = WorstWaste();
        return new BenchFigures(times.Median, times.P99, waste)
        {
            Note = BenchResult.Text(
                $"{(long)batches * BatchOperations:N0} creates and deletes at {fill * 100:0.0} % full; {churn.Failures} creates refused, the smallest of {churn.SmallestRefusedBytes / 1048576.0:0.0} MiB; at the end {stats.SealedCount:N0} objects, {churn.LargeBytes * 100.0 / Math.Max(1, churn.LiveBytes):0} % of their bytes in those of 8 MiB and more; waste {stats.WasteBytes * 100.0 / Math.Max(1, stats.UsedBytes):0.0} % of used memory; free inside slabs {stats.SlabFreeBytes * 100.0 / CapacityBytes:0.0} % of capacity; largest free run {stats.LargestFreeRunBytes / 1048576.0:0.0} MiB; worst block: {waste * 100:0.0} % waste at {wastedBytes:N0} B"),
        };
    }

    /// <summary>The largest share of a block that its payload does not use, over sizes from 512 B to 16 MiB.</summary>
    private static (double Waste, long PayloadBytes) WorstWaste()
    {
        using PlasmaStore store = PlasmaStore.CreateAnonymous(new PlasmaOptions { CapacityBytes = 4 * ProbeBytesMax });
        ObjectId id = BenchIds.Of(1);
        (double Waste, long PayloadBytes) worst = (0, 0);

        // One byte more than a block holds is the worst payload of the next larger block, so this visits every block size at its worst.
        for (long bytes = ProbeBytesMin; bytes <= ProbeBytesMax;)
        {
            using (ObjectWriter writer = store.Create(id, bytes))
                writer.Seal();
            long block = store.List().Single().BlockBytes;
            store.Delete(id);
            double waste = (double)(block - bytes) / block;
            if (waste > worst.Waste)
                worst = (waste, bytes);
            bytes = Math.Max(bytes, block) + 1;
        }

        return worst;
    }
}
