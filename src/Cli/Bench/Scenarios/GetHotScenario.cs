namespace FastPlasma.Cli.Bench.Scenarios;

/// <summary>How long does it take to get and release one hot object, and does it allocate?</summary>
internal sealed class GetHotScenario : IBenchScenario
{
    // 1,000 operations are some tens of microseconds: long beside the clock's 25 ns, short beside a time slice.
    private const int Operations = 1000, PayloadBytes = 1024;

    public string Name => "get-hot-1k";

    public string Unit => "ns";

    public BenchBound Bound => BenchBound.AtMost(10);

    public BenchFigures Run(BenchContext context)
    {
        using PlasmaStore store = PlasmaStore.CreateAnonymous(new PlasmaOptions { CapacityBytes = 64 << 20 });
        ObjectId id = BenchIds.Of(1);
        store.Put(id, new byte[PayloadBytes]);
        UncontendedIncrement increment = new();
        var (get, ceiling) = Series.Measure(context.Pick(5000, 1500), Operations, count => Get(store, id, count), increment.Run);

        long before = GC.GetAllocatedBytesForCurrentThread();
        Get(store, id, Operations);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        if (allocated != 0)
            throw new InvalidOperationException($"{Operations} gets allocated {allocated} bytes on the managed heap; they may allocate none.");
        return new BenchFigures(get.Median, get.P99, get.Median / ceiling.Median)
        {
            Ceiling = UncontendedIncrement.Name,
            CeilingMedian = ceiling.Median,
            Note = "0 bytes allocated",
        };
    }

    internal static void Get(PlasmaStore store, ObjectId id, int count)
    {
        for (int i = 0; i < count; i++)
        {
            if (!store.TryGet(id, out PlasmaObject hot))
                throw new InvalidOperationException("The hot object is missing.");
            hot.Dispose();
        }
    }
}
