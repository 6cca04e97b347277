using System.Diagnostics;

namespace FastPlasma.Cli.Bench.Scenarios;

/// <summary>Is a large put faster than a plain copy into the same kind of memory?</summary>
internal sealed class PutLargeScenario : IBenchScenario
{
    // One put is one batch: it takes milliseconds.
    private const int PayloadBytes = 64 << 20, Warmups = 4;

    public string Name => "put-64m";

    public string Unit => "ms";

    public BenchBound Bound => BenchBound.AtLeast(1.5);

    public BenchFigures Run(BenchContext context)
    {
        int rounds = context.Pick(60, 20);
        var (puts, copies) = Measure(PayloadBytes, copyThreads: 0, rounds);
        string others = string.Join(", ", new[] { (PayloadBytes / 2, 0), (PayloadBytes / 4, 0), (PayloadBytes, 1), (PayloadBytes / 2, 1), (PayloadBytes / 4, 1) }.Select(other =>
        {
            var (put, copy) = Measure(other.Item1, other.Item2, rounds / 2);
            return BenchResult.Text($"{other.Item1 >> 20} MiB{(other.Item2 == 1 ? " by one thread" : "")} {copy.Median / put.Median:0.00}");
        }));
        return new BenchFigures(puts.Median, puts.P99, copies.Median / puts.Median)
        {
            Ceiling = "Span.CopyTo into the same kind of memory",
            CeilingMedian = copies.Median,
            Note = BenchResult.Text($"{PayloadBytes / 1e6 / puts.Median:0.0} GB/s put, {PayloadBytes / 1e6 / copies.Median:0.0} GB/s copied; both into memory that was touched before; ratios of other puts: {others}"),
        };
    }

    private static (Series Puts, Series Copies) Measure(int payloadBytes, int copyThreads, int rounds)
    {
        using PlasmaStore store = PlasmaStore.CreateAnonymous(new PlasmaOptions { CapacityBytes = 4L * payloadBytes, CopyThreads = copyThreads });
        byte[] payload = new byte[payloadBytes];
        new Random(1).NextBytes(payload);
        ObjectId id = BenchIds.Of(1);

        // The plain copy goes to the memory of an object that stays unsealed: same file, same kind of mapping, touched before.
        using ObjectWriter unsealed = store.Create(BenchIds.Of(2), payloadBytes);
        Series puts = new(rounds), copies = new(rounds);
        for (int round = -Warmups; round < rounds; round++)
        {
            long start = Stopwatch.GetTimestamp();
            store.Put(id, payload);
            double put = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            store.Delete(id);
            start = Stopwatch.GetTimestamp();
            payload.AsSpan().CopyTo(unsealed.Span);
            double copy = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            if (round >= 0)
                (puts[round], copies[round]) = (put, copy);
        }

        return (puts, copies);
    }
}
