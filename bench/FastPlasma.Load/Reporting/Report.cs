using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using FastPlasma.Load.Plots;

namespace FastPlasma.Load.Reporting;

/// <summary>A whole run.</summary>
/// <param name="Peers">Who was there: name, description, and why it was not measured if it was not.</param>
/// <param name="Ratios">The scenarios of fastplasma bench, if they were measured too.</param>
internal sealed record Run(Machine Machine, bool Quick, bool Pinned, double Seconds, IReadOnlyList<PeerNote> Peers, IReadOnlyList<ScenarioResult> Scenarios, IReadOnlyList<RatioLine> Ratios)
{
    /// <summary>Whether anything that should have been measured was not.</summary>
    internal bool HasFailures => Scenarios.Any(static scenario => scenario.Remarks.Any(static remark => remark.IsFailure)) || Peers.Any(static peer => peer.IsFailure) || Ratios.Any(static ratio => ratio.Error is not null);
}

/// <summary>One peer of a run.</summary>
/// <param name="NotMeasured">Null when it was.</param>
internal sealed record PeerNote(string Name, string Description, string? NotMeasured, bool IsFailure);

/// <summary>Writes a run into files.</summary>
internal static class Report
{
    private static readonly JsonSerializerOptions s_json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase) },
    };

    /// <summary>Writes results.json, results.csv, report.html and one SVG file for each plot.</summary>
    internal static void Write(Run run, string directory)
    {
        Directory.CreateDirectory(directory);
        File.WriteAllText(Path.Combine(directory, "results.json"), ToJson(run));
        File.WriteAllText(Path.Combine(directory, "results.csv"), ToCsv(run));
        File.WriteAllText(Path.Combine(directory, "report.html"), HtmlReport.ToHtml(run));
        foreach (Plot plot in run.Scenarios.SelectMany(static scenario => scenario.Plots))
            File.WriteAllText(Path.Combine(directory, $"{plot.Name}.svg"), SvgPlot.ToFile(plot));
    }

    internal static string ToJson(Run run) => JsonSerializer.Serialize(
        new
        {
            run.Machine,
            run.Quick,
            run.Pinned,
            Seconds = Math.Round(run.Seconds, 1),
            run.Peers,
            run.Ratios,
            Scenarios = run.Scenarios.Select(static scenario => new { scenario.Name, scenario.Question, scenario.Method, scenario.Seconds, scenario.Lines, scenario.Remarks }),
        },
        s_json);

    private static string ToCsv(Run run)
    {
        var csv = new StringBuilder("scenario,peer,case,kind,figure,unit,ceiling,ratio,fastplasma_better_by,p50_ns,p90_ns,p99_ns,p99_9_ns,p99_99_ns,max_ns,ops_per_s,bytes_per_s,batch,samples,alloc_bytes_per_op,gc0,gc1,gc2,note\n");
        foreach (ResultLine line in run.Scenarios.SelectMany(static scenario => scenario.Lines))
        {
            object?[] fields =
            [
                line.Scenario, line.Peer, line.Case, line.Kind, line.Figure, line.Kind == FigureKind.OperationsPerSecond ? "1/s" : "ns", line.Ceiling, line.Ratio, line.FastPlasmaIsBetterBy,
                line.P50Ns, line.P90Ns, line.P99Ns, line.P999Ns, line.P9999Ns, line.MaxNs, line.OperationsPerSecond, line.BytesPerSecond, line.Batch, line.Samples,
                line.AllocatedBytesPerOperation, line.Collections[0], line.Collections[1], line.Collections[2], line.Note,
            ];
            csv.AppendJoin(',', fields.Select(Field)).Append('\n');
        }

        return csv.ToString();
    }

    private static string Field(object? value)
    {
        string text = value is double number ? number.ToString("G7", CultureInfo.InvariantCulture) : Convert.ToString(value, CultureInfo.InvariantCulture) ?? "";
        return text.AsSpan().ContainsAny(",\"\n") ? $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"" : text;
    }
}
