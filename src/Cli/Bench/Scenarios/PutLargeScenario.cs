using System.Diagnostics;

namespace FastPlasma.Cli.Bench.Scenarios;

/// <summary>Is a large put faster than a plain copy into the same kind of memory?</summary>
/// <remarks>Smaller puts go through as much memory as the largest, one piece after the other: a source that is put again and again would come out of the cache, which no program's does.</remarks>
internal sealed class PutLargeScenario : IBenchScenario
{
    // One put is one batch: it takes milliseconds.
    private const int TotalBytes = 64 << 20, Warmups = 8;

    public string Name => "put-64m";

    public string Unit => "ms";

    public BenchBound Bound => BenchBound.AtLeast(1.5);

    public BenchFigures Run(BenchContext context)
    {
        int rounds = context.Pick(60, 20);
        var (puts, copies) = Measure(TotalBytes, copyThreads: 0, rounds);
        List<string> others = [];
        foreach (int copyThreads in (int[])[0, 1])
        {
            for (int bytes = copyThreads == 0 ? TotalBytes / 2 : TotalBytes; bytes >= TotalBytes / 4; bytes /= 2)
            {
                var (put, copy) = Measure(bytes, copyThreads, rounds);
                others.Add(BenchResult.Text($"{copy.Median / put.Median:0.00} at {bytes >> 20} MiB{(copyThreads == 1 ? " by one thread" : "")}"));
            }
        }

        return new BenchFigures(puts.Median, puts.P99, copies.Median / puts.Median)
        {
            Ceiling = "Span.CopyTo into the same kind of memory",
            CeilingMedian = copies.Median,
            Note = BenchResult.Text($"{TotalBytes / 1e6 / puts.Median:0.0} GB/s put, {TotalBytes / 1e6 / copies.Median:0.0} GB/s copied; both into memory that was touched before; ratio {string.Join(", ", others)}"),
        };
    }

    private static (Series Puts, Series Copies) Measure(int bytes, int copyThreads, int rounds)
    {
        int pieces = TotalBytes / bytes;
        using PlasmaStore store = PlasmaStore.CreateAnonymous(new PlasmaOptions { CapacityBytes = 4L * TotalBytes, CopyThreads = copyThreads });
        byte[] payload = new byte[TotalBytes];
        new Random(1).NextBytes(payload);

        // The plain copy goes to the memory of an object that stays unsealed: same file, same kind of mapping, touched before.
        using ObjectWriter unsealed = store.Create(BenchIds.Of(0), TotalBytes);
        Series puts = new(rounds), copies = new(rounds);
        for (int round = -Warmups; round < rounds; round++)
        {
            int piece = (round + Warmups) % pieces;
            ObjectId id = BenchIds.Of((ulong)piece + 1);
            store.Delete(id); // Its block is what the put takes.
            int other = (piece + (pieces / 2)) % pieces * bytes; // What the put has just read is in the cache.
            long start = Stopwatch.GetTimestamp();
            store.Put(id, payload.AsSpan(piece * bytes, bytes));
            double put = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            start = Stopwatch.GetTimestamp();
            payload.AsSpan(other, bytes).CopyTo(unsealed.Span[other..]);
            double copy = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            if (round >= 0)
                (puts[round], copies[round]) = (put, copy);
        }

        return (puts, copies);
    }
}
