using System.Text.Json;

namespace FastPlasma.Load.Reporting;

/// <summary>One scenario of <c>fastplasma bench --json</c>: a small question with its own ceiling and bound.</summary>
internal sealed record RatioLine
{
    public required string Scenario { get; init; }

    public required string Unit { get; init; }

    public double? Median { get; init; }

    public double? P99 { get; init; }

    /// <summary>What the figure is held against.</summary>
    public string? Ceiling { get; init; }

    public double? CeilingMedian { get; init; }

    public double? Ratio { get; init; }

    /// <summary>What <see cref="Ratio"/> should be, as text.</summary>
    public required string Bound { get; init; }

    public bool Ok { get; init; }

    public string? Note { get; init; }

    /// <summary>Why there is no ratio.</summary>
    public string? Error { get; init; }

    /// <summary>ok, over, or failed.</summary>
    internal string State => Error is not null ? "failed" : Ok ? "ok" : "over";

    /// <summary>Reads the output of the command.</summary>
    /// <exception cref="InvalidDataException">The file holds something else.</exception>
    internal static IReadOnlyList<RatioLine> Read(string path)
    {
        try
        {
            using FileStream file = File.OpenRead(path);
            return JsonSerializer.Deserialize<List<RatioLine>>(file, JsonSerializerOptions.Web) ?? throw new JsonException("The file holds null.");
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{path} is not what fastplasma bench --json prints: {e.Message}", e);
        }
    }
}
