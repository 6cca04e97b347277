namespace FastPlasma.Cli.Bench.Scenarios;

/// <summary>How long does a get take among very many objects, when nothing of it is in a cache?</summary>
internal sealed class GetRandomScenario : IBenchScenario
{
    // 500 gets, and 1,000 loads, are a batch of some hundred microseconds at most.
    private const int Operations = 500, PayloadBytesMin = 100, PayloadBytesMax = 1024;
    private const long ChaseBytes = 512L << 20;

    public string Name => "get-random-1m";

    public string Unit => "ns";

    public BenchBound Bound => BenchBound.AtMost(5);

    public BenchFigures Run(BenchContext context)
    {
        int objectCount = context.Pick(1_000_000, 200_000);
        using PlasmaStore store = PlasmaStore.CreateAnonymous(new PlasmaOptions { CapacityBytes = 1L << 30, ObjectCountMax = objectCount + (objectCount / 10) });
        ObjectId[] ids = BenchIds.Range(objectCount);
        byte[] payload = new byte[PayloadBytesMax];
        for (int i = 0; i < ids.Length; i++)
            store.Put(ids[i], payload.AsSpan(0, PayloadBytesMin + (int)(BenchIds.Mix((ulong)i) % (PayloadBytesMax - PayloadBytesMin + 1))));

        // The ids themselves are then read in order, so their own memory costs no miss.
        new Random(1).Shuffle(ids);
        using PointerChase chase = new(ChaseBytes);
        int next = 0;
        var (get, load) = Series.Measure(
            context.Pick(6000, 1500),
            Operations,
            count => next = Get(store, ids, next, count),
            count => chase.Run(2 * count));
        return new BenchFigures(get.Median, get.P99, get.Median / load.Median)
        {
            Ceiling = "two dependent loads that miss the caches (512 MiB pointer chase)",
            CeilingMedian = load.Median,
            Note = BenchResult.Text($"{objectCount:N0} objects of {PayloadBytesMin} to {PayloadBytesMax} B; {store.Stats().MetaBytesPerObject:0.#} metadata bytes per object"),
        };
    }

    private static int Get(PlasmaStore store, ObjectId[] ids, int next, int count)
    {
        for (int i = 0; i < count; i++)
        {
            if (!store.TryGet(ids[next], out PlasmaObject found))
                throw new InvalidOperationException("An object that was put is missing.");
            found.Dispose();
            if (++next == ids.Length)
                next = 0;
        }

        return next;
    }
}
