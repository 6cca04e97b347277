namespace FastPlasma.Cli.Bench.Scenarios;

/// <summary>How long is the whole life of a small object: create, write, seal, delete?</summary>
internal sealed class CycleScenario : IBenchScenario
{
    // 200 cycles a batch: some tens of microseconds.
    private const int Operations = 200, PayloadBytes = 1024, IdCount = 64;

    public string Name => "cycle-1k";

    public string Unit => "ns";

    public BenchBound Bound => BenchBound.AtMost(100);

    public BenchFigures Run(BenchContext context)
    {
        using PlasmaStore store = PlasmaStore.CreateAnonymous(new PlasmaOptions { CapacityBytes = 64 << 20 });
        ObjectId[] ids = BenchIds.Range(IdCount);
        byte[] payload = new byte[PayloadBytes];
        UncontendedIncrement increment = new();
        var (cycle, ceiling) = Series.Measure(context.Pick(5000, 1500), Operations, count => Cycle(store, ids, payload, count), increment.Run);
        return new BenchFigures(cycle.Median, cycle.P99, cycle.Median / ceiling.Median)
        {
            Ceiling = UncontendedIncrement.Name,
            CeilingMedian = ceiling.Median,
        };
    }

    private static void Cycle(PlasmaStore store, ObjectId[] ids, byte[] payload, int count)
    {
        for (int i = 0; i < count; i++)
        {
            ref readonly ObjectId id = ref ids[i & (IdCount - 1)];
            PlasmaStatus status = store.TryCreate(id, PayloadBytes, out ObjectWriter writer);
            if (status == PlasmaStatus.Ok)
            {
                payload.CopyTo(writer.Span);
                status = writer.TrySeal();
            }

            if (status == PlasmaStatus.Ok)
                status = store.Delete(id);
            if (status != PlasmaStatus.Ok)
                throw new InvalidOperationException($"A cycle ended with {status}.");
        }
    }
}
