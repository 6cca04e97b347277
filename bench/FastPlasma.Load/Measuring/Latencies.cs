using System.Diagnostics;
using HdrHistogram;
using HdrHistogram.Iteration;

namespace FastPlasma.Load.Measuring;

/// <summary>Times of operations: an HdrHistogram of picoseconds with three significant digits, from 1 ps to one hour. Not thread-safe; each thread has its own.</summary>
/// <remarks>Picoseconds, because times below 2,048 units would be rounded to whole units, and 20 ns and 21 ns differ by 5 %.</remarks>
internal sealed class Latencies
{
    private const long PicosecondsMax = 3_600_000_000_000_000;
    private const int Digits = 3;
    private const double PicosecondsPerNanosecond = 1000;
    private static readonly double s_picosecondsPerTick = 1e12 / Stopwatch.Frequency;
    private readonly LongHistogram _histogram = new(1, PicosecondsMax, Digits);

    /// <summary>Values recorded.</summary>
    internal long Count => _histogram.TotalCount;

    /// <summary>Largest value in nanoseconds.</summary>
    internal double MaxNs => Count == 0 ? 0 : _histogram.GetMaxValue() / PicosecondsPerNanosecond;

    /// <summary>Records clock ticks that <paramref name="operations"/> operations took together, as one value.</summary>
    internal void Record(long ticks, int operations) =>
        _histogram.RecordValue(Math.Clamp((long)(ticks * s_picosecondsPerTick / operations), 1, PicosecondsMax));

    /// <summary>The value in nanoseconds that so many percent of the values do not exceed.</summary>
    internal double PercentileNs(double percent) => Count == 0 ? 0 : _histogram.GetValueAtPercentile(percent) / PicosecondsPerNanosecond;

    /// <summary>Takes over the values of another one, in the form of <see cref="ToPairs"/>.</summary>
    internal void Add(ReadOnlySpan<long> pairs)
    {
        for (int i = 0; i + 1 < pairs.Length; i += 2)
            _histogram.RecordValueWithCount(pairs[i], pairs[i + 1]);
    }

    /// <summary>Takes over the values of another one.</summary>
    internal void Add(Latencies other) => _histogram.Add(other._histogram);

    /// <summary>Values and their counts in turns: the form in which it travels between processes.</summary>
    internal long[] ToPairs()
    {
        List<long> pairs = [];
        foreach (HistogramIterationValue value in _histogram.RecordedValues())
        {
            pairs.Add(value.ValueIteratedTo);
            pairs.Add(value.CountAddedInThisIterationStep);
        }

        return [.. pairs];
    }
}
