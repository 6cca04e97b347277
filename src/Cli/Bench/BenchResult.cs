using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace FastPlasma.Cli.Bench;

/// <summary>What one scenario measured.</summary>
internal sealed record BenchResult
{
    /// <summary>Name of the scenario.</summary>
    public required string Scenario { get; init; }

    /// <summary>Unit of <see cref="Median"/>, <see cref="P99"/> and, unless <see cref="Ceiling"/> says otherwise, of <see cref="CeilingMedian"/>.</summary>
    public required string Unit { get; init; }

    /// <summary>Median over the batches.</summary>
    public double? Median { get; init; }

    /// <summary>The value that 99 of 100 batches do not exceed; for rates, that they do not fall below.</summary>
    public double? P99 { get; init; }

    /// <summary>What the figure is held against.</summary>
    public string? Ceiling { get; init; }

    /// <summary>The same of it, measured in the same run, in turns with the figure.</summary>
    public double? CeilingMedian { get; init; }

    /// <summary>The number that <see cref="Bound"/> bounds; null if the scenario failed.</summary>
    public double? Ratio { get; init; }

    /// <summary>Lowest ratio of the runs, if there were several.</summary>
    public double? RatioLowest { get; init; }

    /// <summary>Highest ratio of the runs, if there were several.</summary>
    public double? RatioHighest { get; init; }

    /// <summary>What <see cref="Ratio"/> should be.</summary>
    public required BenchBound Bound { get; init; }

    /// <summary>Whether it is.</summary>
    public bool Ok => Ratio is { } ratio && Bound.Holds(ratio);

    /// <summary>Further figures of the scenario.</summary>
    public string? Note { get; init; }

    /// <summary>Why there is no ratio.</summary>
    public string? Error { get; init; }

    /// <summary>The run in the middle (of an even number the worse of two), or the first that failed.</summary>
    internal static BenchResult MedianOf(IReadOnlyList<BenchResult> runs)
    {
        if (runs.Count == 1)
            return runs[0];
        if (runs.FirstOrDefault(static run => run.Error is not null) is { } failed)
            return failed;
        BenchResult[] fromBest = [.. runs[0].Bound.IsMaximum ? runs.OrderBy(static run => run.Ratio) : runs.OrderByDescending(static run => run.Ratio)];
        return fromBest[runs.Count / 2] with { RatioLowest = runs.Min(static run => run.Ratio), RatioHighest = runs.Max(static run => run.Ratio) };
    }

    /// <summary>Formats further figures, independently of the user's language.</summary>
    internal static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}

/// <summary>A limit for a ratio.</summary>
/// <param name="Limit">The limit itself is allowed.</param>
/// <param name="IsMaximum">Whether larger ratios are worse.</param>
internal readonly record struct BenchBound(double Limit, bool IsMaximum)
{
    internal static BenchBound AtMost(double limit) => new(limit, IsMaximum: true);

    internal static BenchBound AtLeast(double limit) => new(limit, IsMaximum: false);

    internal bool Holds(double ratio) => IsMaximum ? ratio <= Limit : ratio >= Limit;

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{(IsMaximum ? "<=" : ">=")} {Limit:0.###}");
}

/// <summary>Writes a bound as its text.</summary>
internal sealed class BenchBoundConverter : JsonConverter<BenchBound>
{
    public override BenchBound Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        throw new NotSupportedException("Results are only written.");

    public override void Write(Utf8JsonWriter writer, BenchBound value, JsonSerializerOptions options) =>
        writer.WriteStringValue(value.ToString());
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, Converters = [typeof(BenchBoundConverter)])]
[JsonSerializable(typeof(IReadOnlyList<BenchResult>))]
internal sealed partial class BenchResultJson : JsonSerializerContext
{
    /// <summary>Escapes only what JSON itself asks for: the text goes to a console or a file, not into a web page.</summary>
    internal static BenchResultJson Readable => new(new JsonSerializerOptions(Default.Options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
}
