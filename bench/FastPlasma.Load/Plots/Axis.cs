using System.Globalization;
using FastPlasma.Load.Reporting;

namespace FastPlasma.Load.Plots;

/// <summary>A logarithmic axis: where a value lies between 0 and 1, and which values are marked.</summary>
internal sealed class Axis
{
    // Room beyond the outermost values, as a factor.
    private const double Margin = 1.35;
    private const int TicksMin = 3, SizesMax = 7;
    private readonly AxisKind _kind;
    private readonly double _low, _high;

    /// <param name="values">What it has to hold; all above zero.</param>
    /// <param name="fromDecade">Whether it begins at a power of ten with room below the least value, as bars need it.</param>
    internal Axis(AxisKind kind, IReadOnlyCollection<double> values, bool fromDecade = false)
    {
        _kind = kind;
        double least = values.Min(), most = values.Max();
        double margin = kind is AxisKind.Bytes or AxisKind.Steps or AxisKind.Percentile ? 1.1 : Margin;
        (_low, _high) = (Math.Log10(least / margin), Math.Log10(most * margin));
        if (fromDecade)
            _low = Math.Floor(Math.Log10(least / 2));
        Ticks = [.. TicksOf(kind, values).Where(tick => Math.Log10(tick) >= _low - 1e-9 && Math.Log10(tick) <= _high + 1e-9)];
    }

    /// <summary>Marked values.</summary>
    internal IReadOnlyList<double> Ticks { get; }

    /// <summary>0 at the low end, 1 at the high end.</summary>
    internal double At(double value) => (Math.Log10(value) - _low) / (_high - _low);

    /// <summary>A value as the axis shows it.</summary>
    internal string Text(double value) => _kind switch
    {
        AxisKind.Bytes => Units.Size(value),
        AxisKind.Time => Units.Time(value),
        AxisKind.Rate => Units.Rate(value),
        AxisKind.Throughput => Units.Throughput(value),
        AxisKind.Count => Units.Count(value),
        AxisKind.Percentile => value < 3 ? "p50" : $"p{(100 - (100 / value)).ToString("0.###", CultureInfo.InvariantCulture)}",
        _ => value.ToString("0.##", CultureInfo.InvariantCulture),
    };

    private IEnumerable<double> TicksOf(AxisKind kind, IReadOnlyCollection<double> values)
    {
        switch (kind)
        {
            case AxisKind.Steps:
                return values.Distinct().Order();
            case AxisKind.Percentile:
                return [2, 10, 100, 1e3, 1e4, 1e5];
            case AxisKind.Bytes:
                double[] sizes = [.. values.Distinct().Order()];
                return sizes.Where((_, i) => sizes.Length <= SizesMax || i % 2 == 0);
            default:
                double[] decades = [.. Enumerable.Range((int)Math.Floor(_low), (int)(Math.Ceiling(_high) - Math.Floor(_low)) + 1).Select(static power => Math.Pow(10, power))];
                int inside = decades.Count(tick => Math.Log10(tick) >= _low && Math.Log10(tick) <= _high);
                return inside >= TicksMin ? decades : decades.SelectMany(static decade => new[] { decade, 2 * decade, 5 * decade });
        }
    }
}
