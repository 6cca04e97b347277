using System.Runtime.InteropServices;
using FastPlasma.Copying;

namespace FastPlasma.Cli.Bench.Scenarios;

/// <summary>Is the copy engine at no size slower than a plain copy?</summary>
internal sealed unsafe class PutSizesScenario : IBenchScenario
{
    // A batch copies 128 KiB, or what is larger eight times, so that each side works on what it left in the caches itself and not on what the other did; what fits no cache is copied once.
    private const int SizeMin = 64, SizeMax = 256 << 20, BatchBytes = 128 << 10, CachedMax = 4 << 20, CachedCopies = 8;

    public string Name => "put-sizes";

    public string Unit => "GB/s";

    public BenchBound Bound => BenchBound.AtLeast(0.95);

    public BenchFigures Run(BenchContext context)
    {
        byte* source = (byte*)NativeMemory.AlignedAlloc(SizeMax, 4096), destination = (byte*)NativeMemory.AlignedAlloc(SizeMax, 4096);
        try
        {
            new Span<byte>(source, SizeMax).Fill(1);
            new Span<byte>(destination, SizeMax).Fill(2);
            BenchFigures? worst = null;
            List<string> ratios = [];
            Series.Warm(BatchBytes / SizeMin, count => Engine(destination, source, SizeMin, count), count => Plain(destination, source, SizeMin, count));
            for (long size = SizeMin; size <= SizeMax; size *= 4)
            {
                BenchFigures figures = Measure(context, destination, source, (int)size);
                ratios.Add(BenchResult.Text($"{Size(size)} {figures.Ratio:0.00}"));
                if (worst is null || figures.Ratio < worst.Ratio)
                    worst = figures with { Ceiling = BenchResult.Text($"Span.CopyTo on the same buffers, at the worst size ({Size(size)})") };
            }

            return worst! with { Note = $"by size: {string.Join(", ", ratios)}" };
        }
        finally
        {
            NativeMemory.AlignedFree(source);
            NativeMemory.AlignedFree(destination);
        }
    }

    private static BenchFigures Measure(BenchContext context, byte* destination, byte* source, int size)
    {
        int operations = Math.Max(size <= CachedMax ? CachedCopies : 1, BatchBytes / size);
        int rounds = (int)Math.Clamp(context.Pick(2048, 512) * (1L << 20) / ((long)operations * size), context.Pick(15, 7), context.Pick(2001, 501));
        Series engine = new(rounds), plain = new(rounds);
        for (int round = -1; round < rounds; round++)
        {
            double first = Series.Time(count => Engine(destination, source, size, count), operations);
            double second = Series.Time(count => Plain(destination, source, size, count), operations);
            if (round >= 0)
                (engine[round], plain[round]) = (first, second);
        }

        return new BenchFigures(size / engine.Median, size / engine.P99, plain.Median / engine.Median) { CeilingMedian = size / plain.Median };
    }

    private static void Engine(byte* destination, byte* source, int size, int count)
    {
        for (int i = 0; i < count; i++)
            CopyEngine.Copy(destination, source, (nuint)size);
    }

    private static void Plain(byte* destination, byte* source, int size, int count)
    {
        for (int i = 0; i < count; i++)
            new ReadOnlySpan<byte>(source, size).CopyTo(new Span<byte>(destination, size));
    }

    private static string Size(long bytes) => bytes switch
    {
        < 1 << 10 => $"{bytes} B",
        < 1 << 20 => $"{bytes >> 10} K",
        _ => $"{bytes >> 20} M",
    };
}
