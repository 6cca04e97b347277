using System.Buffers;
using System.CommandLine.Parsing;
using System.Globalization;

namespace FastPlasma.Cli;

/// <summary>Sizes, durations and rates as people type and read them.</summary>
internal static class Sizes
{
    /// <summary>Longest duration of an option: what the timers of .NET take (about 24.8 days).</summary>
    internal static readonly TimeSpan DurationMax = TimeSpan.FromMilliseconds(int.MaxValue);

    private static readonly SearchValues<char> NumberCharacters = SearchValues.Create("0123456789.");

    private static readonly string[] Units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

    /// <summary>Reads a whole or decimal number with a unit: none or B, K = KiB, M = MiB ... (powers of 1024), KB, MB ... (powers of 1000); case does not matter.</summary>
    internal static bool TryParseBytes(ReadOnlySpan<char> text, out long bytes)
    {
        bytes = 0;
        text = text.Trim();
        int digits = NumberLength(text);
        if (!decimal.TryParse(text[..digits], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal number))
            return false;
        ReadOnlySpan<char> unit = text[digits..].TrimStart();
        if (unit.Length > 0 && unit[^1] is 'b' or 'B')
            unit = unit[..^1];
        bool hasB = unit.Length < text[digits..].TrimStart().Length;
        bool hasI = unit.Length > 1 && unit[^1] is 'i' or 'I';
        if (hasI)
            unit = unit[..^1];
        int power = unit.Length switch
        {
            0 when !hasI => 0,
            1 => "KMGTPE".IndexOf(char.ToUpperInvariant(unit[0]), StringComparison.Ordinal) + 1,
            _ => -1,
        };
        if (power < 0 || (power == 0 && unit.Length > 0))
            return false;
        decimal step = hasB && !hasI ? 1000 : 1024;
        for (; power > 0; power--)
        {
            if (number > long.MaxValue)
                return false;
            number *= step;
        }

        if (number > long.MaxValue || number != decimal.Truncate(number))
            return false;
        bytes = (long)number;
        return true;
    }

    /// <summary>Reads a number with ms, s, m, h or d; a bare number is seconds.</summary>
    internal static bool TryParseDuration(ReadOnlySpan<char> text, out TimeSpan duration)
    {
        duration = default;
        text = text.Trim();
        int digits = NumberLength(text);
        if (!double.TryParse(text[..digits], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double number))
            return false;
        double seconds = text[digits..].TrimStart() switch
        {
            "ms" => number / 1000,
            "" or "s" => number,
            "m" or "min" => number * 60,
            "h" => number * 3600,
            "d" => number * 86400,
            _ => -1,
        };
        if (seconds < 0 || seconds > DurationMax.TotalSeconds)
            return false;
        duration = TimeSpan.FromSeconds(seconds);
        return true;
    }

    /// <summary>Parser of a size option or argument; the error names the value and the forms that are understood.</summary>
    internal static long ParseBytes(ArgumentResult result)
    {
        string text = result.Tokens.Count == 0 ? "" : result.Tokens[^1].Value;
        if (!TryParseBytes(text, out long bytes))
            result.AddError($"'{text}' is no size: expected bytes or a number with KiB, MiB, GiB, TiB (or K, M, G, T) or KB, MB, GB, TB, at most {Bytes(long.MaxValue)}, for example 4GiB.");
        return bytes;
    }

    /// <summary>Parser of a duration option.</summary>
    internal static TimeSpan ParseDuration(ArgumentResult result)
    {
        string text = result.Tokens.Count == 0 ? "" : result.Tokens[^1].Value;
        if (!TryParseDuration(text, out TimeSpan duration))
            result.AddError($"'{text}' is no duration: expected a number with ms, s, m, h or d, at most 24d, for example 5s.");
        return duration;
    }

    /// <summary>A size with a binary unit and three significant digits: 1.5 GiB.</summary>
    internal static string Bytes(double bytes)
    {
        int unit = 0;
        // 999.5 would print as 1000: the next unit is due.
        for (; Math.Abs(bytes) >= (unit == 0 ? 1024 : 999.5) && unit < Units.Length - 1; unit++)
            bytes /= 1024;
        return unit == 0 ? string.Create(CultureInfo.InvariantCulture, $"{bytes:0} B") : $"{Digits(bytes)} {Units[unit]}";
    }

    /// <summary>Bytes over time in decimal units, gigabytes where they fit: 12.3 GB/s, 4.5 MB/s.</summary>
    internal static string Rate(long bytes, double seconds) => (seconds <= 0 ? 0 : bytes / seconds) switch
    {
        >= 1e8 and var rate => $"{Digits(rate / 1e9)} GB/s",
        >= 1e5 and var rate => $"{Digits(rate / 1e6)} MB/s",
        var rate => $"{Digits(rate / 1e3)} kB/s",
    };

    /// <summary>A duration in its two largest units, or as a decimal below a minute.</summary>
    internal static string Duration(TimeSpan duration) => duration switch
    {
        { Ticks: < 0 } => "0 s",
        { TotalMilliseconds: < 1 } => $"{Digits(duration.TotalMicroseconds)} µs",
        { TotalSeconds: < 1 } => $"{Digits(duration.TotalMilliseconds)} ms",
        { TotalMinutes: < 1 } => $"{Digits(duration.TotalSeconds)} s",
        { TotalHours: < 1 } => $"{duration.Minutes}m {duration.Seconds:00}s",
        { TotalDays: < 1 } => $"{duration.Hours}h {duration.Minutes:00}m",
        _ => $"{duration.Days}d {duration.Hours:00}h",
    };

    /// <summary>How long ago in whole units: 3s, 5m, 2h, 4d.</summary>
    internal static string Age(TimeSpan age) => age switch
    {
        { TotalSeconds: < 0 } => "0s",
        { TotalMinutes: < 1 } => $"{(int)age.TotalSeconds}s",
        { TotalHours: < 1 } => $"{age.Minutes}m{age.Seconds:00}s",
        { TotalDays: < 1 } => $"{age.Hours}h{age.Minutes:00}m",
        _ => $"{age.Days}d{age.Hours:00}h",
    };

    /// <summary>A count in groups of three: 1,234,567.</summary>
    internal static string Count(double count) => count.ToString("#,0", CultureInfo.InvariantCulture);

    /// <summary>Three significant digits at most, without an exponent.</summary>
    internal static string Digits(double value) =>
        value.ToString(Math.Abs(value) switch { >= 99.95 => "0", >= 9.995 => "0.#", _ => "0.##" }, CultureInfo.InvariantCulture);

    private static int NumberLength(ReadOnlySpan<char> text)
    {
        int length = text.IndexOfAnyExcept(NumberCharacters);
        return length < 0 ? text.Length : length;
    }
}
