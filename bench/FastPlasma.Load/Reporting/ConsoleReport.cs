using Spectre.Console;

namespace FastPlasma.Load.Reporting;

/// <summary>A scenario as a table.</summary>
internal static class ConsoleReport
{
    private const int RedirectedWidth = 200;

    /// <summary>The scenarios of fastplasma bench as a table.</summary>
    internal static void Write(IReadOnlyList<RatioLine> ratios, IAnsiConsole console)
    {
        if (ratios.Count == 0)
            return;
        Widen(console);
        Table table = new Table().SimpleBorder();
        table.AddColumn("scenario", static column => column.NoWrap().PadLeft(0).PadRight(1));
        foreach (string heading in (string[])["median", "p99", "ceiling", "unit", "ratio", "bound", ""])
            table.AddColumn(heading, static column => column.NoWrap().RightAligned().PadLeft(0).PadRight(1));
        foreach (RatioLine line in ratios)
        {
            string[] cells = [line.Scenario, Units.Factor(line.Median), Units.Factor(line.P99), Units.Factor(line.CeilingMedian), line.Unit, Units.Factor(line.Ratio), line.Bound, line.State];
            table.AddRow(cells.Select(static cell => new Text(cell)));
        }

        console.Write(table);
        foreach (RatioLine line in ratios.Where(static line => line.Error is not null))
            console.MarkupLineInterpolated($"[bold]{line.Scenario}[/] failed: {line.Error}");
        console.WriteLine();
    }

    internal static void Write(ScenarioResult scenario, IAnsiConsole console)
    {
        Widen(console);
        console.MarkupLineInterpolated($"[bold]{scenario.Name}[/]  {scenario.Question}");
        Table table = new Table().SimpleBorder();
        foreach (string heading in (string[])["case", "peer"])
            table.AddColumn(heading, column => column.NoWrap().PadLeft(0).PadRight(1));
        foreach (string heading in (string[])["figure", "ceiling", "ratio", "p50", "p99", "p99.9", "p99.99", "max", "rate", "bytes", "fp better by"])
            table.AddColumn(heading, column => column.NoWrap().RightAligned().PadLeft(0).PadRight(1));
        foreach (ResultLine line in HtmlReport.ByCase(scenario.Lines))
        {
            string[] cells =
            [
                line.Case, line.Peer, Units.Figure(line.Kind, line.Figure), Units.Figure(line.Kind, line.Ceiling), Units.Factor(line.Ratio),
                Units.Time(line.P50Ns), Units.Time(line.P99Ns), Units.Time(line.P999Ns), Units.Time(line.P9999Ns), Units.Time(line.MaxNs),
                Units.Rate(line.OperationsPerSecond), Units.Throughput(line.BytesPerSecond), Units.Factor(line.FastPlasmaIsBetterBy),
            ];
            table.AddRow(cells.Select(static cell => new Text(cell)));
        }

        console.Write(table);
        foreach (Remark remark in scenario.Remarks)
            console.MarkupLineInterpolated($"[bold]{remark.Peer}[/] {(remark.IsFailure ? "failed: " : "")}{remark.Text}");
        console.WriteLine();
    }

    // A file has no width; the usual 80 would break every line.
    private static void Widen(IAnsiConsole console)
    {
        if (Console.IsOutputRedirected)
            console.Profile.Width = RedirectedWidth;
    }
}
