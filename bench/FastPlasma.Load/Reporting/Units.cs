using System.Globalization;

namespace FastPlasma.Load.Reporting;

/// <summary>Numbers as people read them, independently of the user's language.</summary>
internal static class Units
{
    /// <summary>A time: 31 ns, 4.52 µs, 1.2 s.</summary>
    internal static string Time(double? ns) => ns switch
    {
        null => "-",
        < 999.5 => $"{Number(ns.Value)} ns",
        < 999.5e3 => $"{Number(ns.Value / 1e3)} µs",
        < 999.5e6 => $"{Number(ns.Value / 1e6)} ms",
        _ => $"{Number(ns.Value / 1e9)} s",
    };

    /// <summary>A rate: 950/s, 4.52 k/s, 31.5 M/s.</summary>
    internal static string Rate(double? perSecond) => perSecond switch
    {
        null or 0 => "-",
        < 999.5 => $"{Number(perSecond.Value)}/s",
        < 999.5e3 => $"{Number(perSecond.Value / 1e3)} k/s",
        _ => $"{Number(perSecond.Value / 1e6)} M/s",
    };

    /// <summary>A number: 950, 4.52 k, 31.5 M.</summary>
    internal static string Count(double number) => number switch
    {
        < 999.5 => Number(number),
        < 999.5e3 => $"{Number(number / 1e3)} k",
        _ => $"{Number(number / 1e6)} M",
    };

    /// <summary>Bytes per second in powers of 1,000.</summary>
    internal static string Throughput(double? bytesPerSecond) => bytesPerSecond switch
    {
        null => "-",
        < 999.5e3 => $"{Number(bytesPerSecond.Value / 1e3)} kB/s",
        < 999.5e6 => $"{Number(bytesPerSecond.Value / 1e6)} MB/s",
        _ => $"{Number(bytesPerSecond.Value / 1e9)} GB/s",
    };

    /// <summary>A size in powers of 1,024.</summary>
    internal static string Size(double bytes) => bytes switch
    {
        >= 1L << 30 => $"{Number(bytes / (1L << 30))} GiB",
        >= 1 << 20 => $"{Number(bytes / (1 << 20))} MiB",
        >= 1 << 10 => $"{Number(bytes / (1 << 10))} KiB",
        _ => $"{Number(bytes)} B",
    };

    /// <summary>The figure of a line in its unit.</summary>
    internal static string Figure(FigureKind kind, double? figure) => kind == FigureKind.OperationsPerSecond ? Rate(figure) : Time(figure);

    /// <summary>A ratio or factor with three significant digits.</summary>
    internal static string Factor(double? factor) => factor is { } value ? Number(value) : "-";

    /// <summary>Three significant digits without an exponent.</summary>
    internal static string Number(double value)
    {
        if (value == 0 || !double.IsFinite(value))
            return value.ToString(CultureInfo.InvariantCulture);
        int digits = Math.Clamp(2 - (int)Math.Floor(Math.Log10(Math.Abs(value))), 0, 6);
        string text = value.ToString($"N{digits}", CultureInfo.InvariantCulture);
        return digits > 0 ? text.TrimEnd('0').TrimEnd('.') : text;
    }
}
