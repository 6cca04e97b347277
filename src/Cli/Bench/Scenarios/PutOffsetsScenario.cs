using FastPlasma.Cli.Children;
using System.Runtime.InteropServices;

namespace FastPlasma.Cli.Bench.Scenarios;

/// <summary>Is a put of 4 KB equally fast wherever its source lies?</summary>
/// <remarks>
/// Plain copies have a cliff where (destination - source) mod 4096 is small, which is what a byte array copied into an aligned block gives. Each put is
/// followed by a delete, so that all go to the same recycled memory; the delete is part of the time.
/// </remarks>
internal sealed unsafe class PutOffsetsScenario : IBenchScenario
{
    // 16 copies are one batch (some microseconds). The rounds go around all offsets, so that a disturbance hits one batch of many offsets, not all batches of one.
    private const int Operations = 16, PayloadBytes = 4096, PageBytes = 4096, SmallOffsets = 32;

    public string Name => "put-4k-offsets";

    public string Unit => "ns";

    public BenchBound Bound => BenchBound.AtMost(2);

    public BenchFigures Run(BenchContext context)
    {
        using PlasmaStore store = PlasmaStore.CreateAnonymous(new PlasmaOptions { CapacityBytes = 64 << 20 });
        byte[] array = GC.AllocateArray<byte>(PayloadBytes + (2 * PageBytes), pinned: true);
        byte* first = (byte*)Marshal.UnsafeAddrOfPinnedArrayElement(array, 0);
        int alignedIndex = (int)((nuint)(-(nint)first) & 63);
        byte* source = first + alignedIndex;
        byte* memory = (byte*)NativeMemory.AlignedAlloc(PayloadBytes + PageBytes, PageBytes);
        try
        {
            ObjectId id = BenchIds.Of(1);
            byte* destination = memory + PageOffsetOfBlock(store, id);
            int[] offsets = [.. Enumerable.Range(0, PageBytes).Where(offset => offset < SmallOffsets || offset % context.Pick(1, 8) == 0)];
            Series.Warm(Operations, count => Put(store, id, source, count), count => Copy(destination, source, count));

            int rounds = context.Pick(15, 15);
            Series[] puts = NewSeries(offsets.Length, rounds), copies = NewSeries(offsets.Length, rounds);
            for (int round = 0; round < rounds; round++)
            {
                for (int i = 0; i < offsets.Length; i++)
                {
                    byte* from = source + offsets[i];
                    puts[i][round] = Series.Time(count => Put(store, id, from, count), Operations);
                    copies[i][round] = Series.Time(count => Copy(destination, from, count), Operations);
                }
            }

            double[] putMedians = [.. puts.Select(series => series.Median)], copyMedians = [.. copies.Select(series => series.Median)];
            int worst = offsets[Array.IndexOf(putMedians, putMedians.Max())];
            double putRatio = putMedians.Max() / putMedians.Min(), copyRatio = copyMedians.Max() / copyMedians.Min();
            string note = BenchResult.Text(
                $"put + delete; worst/best over {offsets.Length} offsets: {putMedians.Max():0} / {putMedians.Min():0} ns (worst at offset {worst}), Span.CopyTo {copyMedians.Max():0} / {copyMedians.Min():0} ns");
            return new BenchFigures(Quantiles.Of(putMedians, 0.5), Quantiles.Of(putMedians, 0.99), putRatio)
            {
                Ceiling = "worst / best of Span.CopyTo at the same offsets (a ratio)",
                CeilingMedian = copyRatio,
                Note = note,
            };
        }
        finally
        {
            NativeMemory.AlignedFree(memory);
        }
    }

    private static Series[] NewSeries(int count, int rounds)
    {
        Series[] all = new Series[count];
        for (int i = 0; i < count; i++)
            all[i] = new Series(rounds);
        return all;
    }

    /// <summary>Where in its page a block of this size lies; memory is reused last in, first out, so the next puts go there too.</summary>
    private static int PageOffsetOfBlock(PlasmaStore store, ObjectId id)
    {
        store.Put(id, new byte[PayloadBytes]);
        using PlasmaObject probe = store.Get(id, TimeSpan.Zero);
        store.Delete(id);
        return (int)((nuint)probe.Pointer % PageBytes);
    }

    private static void Put(PlasmaStore store, ObjectId id, byte* source, int count)
    {
        for (int i = 0; i < count; i++)
        {
            PlasmaStatus status = store.TryPut(id, new ReadOnlySpan<byte>(source, PayloadBytes));
            if (status == PlasmaStatus.Ok)
                status = store.Delete(id);
            if (status != PlasmaStatus.Ok)
                throw new InvalidOperationException($"A put and delete ended with {status}.");
        }
    }

    private static void Copy(byte* destination, byte* source, int count)
    {
        for (int i = 0; i < count; i++)
            new ReadOnlySpan<byte>(source, PayloadBytes).CopyTo(new Span<byte>(destination, PayloadBytes));
    }
}
