using System.Diagnostics;

namespace FastPlasma.Cli.Bench.Scenarios;

/// <summary>Is a put at no size slower than the same put with a plain copy?</summary>
/// <remarks>
/// Both sides make, fill, seal and delete an object in the same recycled block: one with Put, the other with Create and Span.CopyTo. Bare copies of a few bytes
/// cannot be told apart here: where the compiler places the two loops decides a tenth of them. The benchmark project measures those.
/// </remarks>
internal sealed class PutSizesScenario : IBenchScenario
{
    // A batch puts 1 MiB in at most 512 puts, or what is larger eight times, so that each side works on what it left in the caches itself and not on what the other did; what fits no cache is put once.
    private const int SizeMax = 256 << 20, BatchBytes = 1 << 20, OperationsMax = 512, CachedMax = 4 << 20, CachedCopies = 8;

    // Each size is measured in several passes over all of them, and the middle one counts: what disturbs a processor disturbs neighbouring measurements alike.
    private const int Passes = 3;

    // Both sides of the borders between the ways of copying, and steps between them.
    private static readonly int[] s_sizes =
    [
        1, 3, 7, 8, 15, 16, 17, 32, 33, 64, 65, 127, 128, 129, 192, 256, 257, 384, 512, 768, 769, 1024, 1536, 2048, 2049, 2304, 3000,
        4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20, SizeMax,
    ];

    public string Name => "put-sizes";

    public string Unit => "GB/s";

    public BenchBound Bound => BenchBound.AtLeast(0.95);

    public BenchFigures Run(BenchContext context)
    {
        using PlasmaStore store = PlasmaStore.CreateAnonymous(new PlasmaOptions { CapacityBytes = 2L * SizeMax });
        byte[] source = new byte[SizeMax];
        source.AsSpan().Fill(1);
        Series.Warm(OperationsMax, count => Put(store, source.AsSpan(0, 64), count), count => PlainPut(store, source.AsSpan(0, 64), count));
        BenchFigures[][] passes = new BenchFigures[Passes][];
        for (int pass = 0; pass < Passes; pass++)
            passes[pass] = [.. s_sizes.Select(size => Measure(context, store, source, size))];
        BenchFigures[] bySize = [.. s_sizes.Select((_, i) => passes.Select(pass => pass[i]).OrderBy(figures => figures.Ratio).ElementAt(Passes / 2))];
        int worst = Array.IndexOf(bySize, bySize.MinBy(figures => figures.Ratio));
        return bySize[worst] with
        {
            Ceiling = BenchResult.Text($"Create, Span.CopyTo, Seal and Delete of the same bytes, at the worst size ({Size(s_sizes[worst])})"),
            Note = $"by size: {string.Join(", ", bySize.Select((figures, i) => BenchResult.Text($"{Size(s_sizes[i])} {figures.Ratio:0.00}")))}",
        };
    }

    private static BenchFigures Measure(BenchContext context, PlasmaStore store, byte[] source, int size)
    {
        int operations = Math.Clamp(BatchBytes / size, size <= CachedMax ? CachedCopies : 1, OperationsMax);
        int rounds = (int)Math.Clamp(context.Pick(1024, 256) * (1L << 20) / ((long)operations * size), context.Pick(7, 3), context.Pick(301, 75));
        Series puts = new(rounds), plain = new(rounds);
        for (int round = -1; round < rounds; round++)
        {
            // Each goes first in every second round.
            ReadOnlySpan<byte> payload = source.AsSpan(0, size);
            double put = 0, plainPut = 0;
            if (round % 2 == 0)
                put = Put(store, payload, operations);
            plainPut = PlainPut(store, payload, operations);
            if (round % 2 != 0)
                put = Put(store, payload, operations);
            if (round >= 0)
                (puts[round], plain[round]) = (put, plainPut);
        }

        return new BenchFigures(size / puts.Median, size / puts.P99, plain.Median / puts.Median) { CeilingMedian = size / plain.Median };
    }

    private static double Put(PlasmaStore store, ReadOnlySpan<byte> payload, int count)
    {
        ObjectId id = BenchIds.Of(1);
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < count; i++)
        {
            store.Put(id, payload);
            store.Delete(id);
        }

        return Stopwatch.GetElapsedTime(start).TotalNanoseconds / count;
    }

    private static double PlainPut(PlasmaStore store, ReadOnlySpan<byte> payload, int count)
    {
        ObjectId id = BenchIds.Of(1);
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < count; i++)
        {
            using (ObjectWriter writer = store.Create(id, payload.Length))
            {
                payload.CopyTo(writer.Span);
                writer.Seal();
            }

            store.Delete(id);
        }

        return Stopwatch.GetElapsedTime(start).TotalNanoseconds / count;
    }

    private static string Size(long bytes) => bytes switch
    {
        < 4 << 10 => $"{bytes} B",
        < 1 << 20 => $"{bytes >> 10} K",
        _ => $"{bytes >> 20} M",
    };
}
