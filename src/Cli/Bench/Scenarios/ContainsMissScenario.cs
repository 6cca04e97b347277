namespace FastPlasma.Cli.Bench.Scenarios;

/// <summary>How long does it take to learn that an object is not there?</summary>
internal sealed class ContainsMissScenario : IBenchScenario
{
    // 1,000 operations a batch: some microseconds up to some tens.
    private const int Operations = 1000, ObjectCount = 1000, MissingCount = 64;

    public string Name => "contains-miss";

    public string Unit => "ns";

    public BenchBound Bound => BenchBound.AtMost(15);

    public BenchFigures Run(BenchContext context)
    {
        using PlasmaStore store = PlasmaStore.CreateAnonymous(new PlasmaOptions { CapacityBytes = 64 << 20 });
        foreach (ObjectId present in BenchIds.Range(ObjectCount, group: 1))
            store.Put(present, new byte[64]);
        ObjectId[] missing = BenchIds.Range(MissingCount, group: 2);
        UncontendedIncrement increment = new();
        var (contains, ceiling) = Series.Measure(context.Pick(5000, 1500), Operations, count => Contains(store, missing, count), increment.Run);
        return new BenchFigures(contains.Median, contains.P99, contains.Median / ceiling.Median)
        {
            Ceiling = UncontendedIncrement.Name,
            CeilingMedian = ceiling.Median,
        };
    }

    private static void Contains(PlasmaStore store, ObjectId[] missing, int count)
    {
        for (int i = 0; i < count; i++)
            if (store.Contains(missing[i & (MissingCount - 1)]))
                throw new InvalidOperationException("An object that was never put is there.");
    }
}
