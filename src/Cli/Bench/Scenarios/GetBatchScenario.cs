namespace FastPlasma.Cli.Bench.Scenarios;

/// <summary>Is it worth while to ask for many objects at once, when nothing of them is in a cache?</summary>
internal sealed class GetBatchScenario : IBenchScenario
{
    // Five batches, and 500 single gets, are some hundred microseconds at most.
    private const int Batch = 100, Operations = 5 * Batch, PayloadBytes = 64;

    public string Name => "get-batch-100";

    public string Unit => "ns";

    public BenchBound Bound => BenchBound.AtMost(0.6);

    public BenchFigures Run(BenchContext context)
    {
        int objectCount = context.Pick(1_000_000, 400_000);
        using PlasmaStore store = PlasmaStore.CreateAnonymous(new PlasmaOptions { CapacityBytes = 256L << 20, ObjectCountMax = objectCount + (objectCount / 10) });
        ObjectId[] ids = BenchIds.Range(objectCount);
        byte[] payload = new byte[PayloadBytes];
        foreach (ref readonly ObjectId id in ids.AsSpan())
            store.Put(id, payload);
        new Random(1).Shuffle(ids);
        var objects = new PlasmaObject[Batch];
        int next = 0;
        var (many, one) = Series.Measure(
            context.Pick(4000, 1500),
            Operations,
            count =>
            {
                for (int done = 0; done < count; done += Batch)
                {
                    if (store.Get(Next(ids, ref next), objects) != Batch)
                        throw new InvalidOperationException("An object that was put is missing.");
                    foreach (ref PlasmaObject found in objects.AsSpan())
                        found.Dispose();
                }
            },
            count =>
            {
                for (int done = 0; done < count; done += Batch)
                    foreach (ref readonly ObjectId id in Next(ids, ref next))
                    {
                        if (!store.TryGet(id, out PlasmaObject found))
                            throw new InvalidOperationException("An object that was put is missing.");
                        found.Dispose();
                    }
            });
        return new BenchFigures(many.Median, many.P99, many.Median / one.Median)
        {
            Ceiling = "100 single gets",
            CeilingMedian = one.Median,
            Note = BenchResult.Text($"per object, of {objectCount:N0} objects in random order; get and release"),
        };
    }

    private static ReadOnlySpan<ObjectId> Next(ObjectId[] ids, ref int next)
    {
        if (next + Batch > ids.Length)
            next = 0;
        next += Batch;
        return ids.AsSpan(next - Batch, Batch);
    }
}
