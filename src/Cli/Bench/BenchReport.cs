using System.Globalization;
using Spectre.Console;

namespace FastPlasma.Cli.Bench;

/// <summary>The results as a table, with what the figures are held against underneath.</summary>
internal static class BenchReport
{
    internal static void Write(IReadOnlyList<BenchResult> results, IAnsiConsole console)
    {
        Table table = new Table().SimpleBorder();
        table.AddColumn("scenario", column => column.NoWrap().PadLeft(0).PadRight(1));
        foreach (string heading in (string[])["median", "p99", "ceiling"])
            table.AddColumn(heading, column => column.NoWrap().RightAligned().PadLeft(0).PadRight(1));
        table.AddColumn("unit", column => column.NoWrap().PadLeft(0).PadRight(1));
        foreach (string heading in (string[])["ratio", "bound"])
            table.AddColumn(heading, column => column.NoWrap().RightAligned().PadLeft(0).PadRight(1));
        table.AddColumn("", column => column.NoWrap().PadLeft(0));
        foreach (BenchResult result in results)
        {
            table.AddRow(
                $"[bold]{result.Scenario}[/]", Number(result.Median), Number(result.P99), Number(result.CeilingMedian), result.Unit,
                Ratio(result), result.Bound.ToString(), result.Error is not null ? "[red]failed[/]" : result.Ok ? "[green]ok[/]" : "[yellow]over[/]");
        }

        console.Write(table);
        foreach (BenchResult result in results)
        {
            if (result.Error is { } error)
                console.MarkupLineInterpolated($"[bold]{result.Scenario}[/] [red]failed[/]: {error}");
            else
                console.MarkupLineInterpolated($"[bold]{result.Scenario}[/] {string.Join("; ", new[] { result.Ceiling is { } ceiling ? $"ceiling: {ceiling}" : null, result.Note }.OfType<string>())}");
        }
    }

    private static string Ratio(BenchResult result) =>
        result.RatioLowest is null ? Number(result.Ratio) : $"{Number(result.Ratio)} ({Number(result.RatioLowest)} - {Number(result.RatioHighest)})";

    private static string Number(double? value) => value?.ToString("0.###", CultureInfo.InvariantCulture) ?? "-";
}
