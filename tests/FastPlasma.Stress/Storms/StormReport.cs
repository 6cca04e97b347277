using System.Diagnostics;
using System.Globalization;
using Spectre.Console;

namespace FastPlasma.Stress.Storms;

/// <summary>Shows a storm: how far it is, and its figures.</summary>
internal static class StormReport
{
    private static readonly TimeSpan LinePeriod = TimeSpan.FromSeconds(10);

    /// <summary>Returns when <paramref name="work"/> ends; shows a bar on a terminal and plain lines elsewhere.</summary>
    internal static void Follow(Thread work, StormOptions options, StormFigures figures)
    {
        if (!Console.IsOutputRedirected && AnsiConsole.Profile.Capabilities.Interactive)
        {
            AnsiConsole.Progress().Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new PercentageColumn()).Start(context =>
            {
                ProgressTask task = context.AddTask("storm", maxValue: 1);
                while (!work.Join(200))
                {
                    task.Value = Done(options, figures);
                    task.Description = Markup.Escape(figures.LastLine);
                }
                task.Value = 1;
            });
            return;
        }
        while (!work.Join(LinePeriod))
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{figures.Elapsed.TotalSeconds:0} s: {figures.LastLine}"));
    }

    /// <summary>The table, the findings, and the line that says how it ended.</summary>
    internal static void Write(StormFigures f)
    {
        var table = new Table().AddColumns("storm", "");
        table.AddRow("time", Invariant($"{f.Elapsed.TotalSeconds:0} s"));
        table.AddRow("kills", Invariant($"{f.Kills}, of them {f.Attachments} attached; {f.Pairs} times two at once; {f.RecovererKills} times whoever recovered a dead one"));
        table.AddRow("stops", Invariant($"{f.Stops}"));
        table.AddRow("quiet points", Invariant($"{f.QuietPoints}, {f.ObjectsVerified} objects compared byte by byte there; at most {f.UsedBytesMax >> 20} MiB of {StormRun.CapacityBytes >> 20} used"));
        table.AddRow("operations", Invariant($"{f.Operations}, of them gets {f.Gets} ({f.Gets / Math.Max(1, f.Elapsed.TotalSeconds):0} per second)"));
        table.AddRow("by the store's counters", Invariant($"{f.Counts.Puts} puts, {f.Counts.Creates} creates, {f.Counts.Aborts} aborts, {f.Counts.Deletes} deletes, {f.Counts.Evictions} evictions"));
        table.AddRow("recoveries", Invariant($"{f.Recoveries}; {f.Detaching} more were killed while they detached"));
        table.AddRow("kill to recovered", Invariant($"p50 {Quantile(f.RecoveryMs, 0.5):0.00} ms, max {Quantile(f.RecoveryMs, 1):0.00} ms"));
        table.AddRow("work of a recovery", Invariant($"p50 {Quantile(f.WorkMs, 0.5):0.00} ms, max {Quantile(f.WorkMs, 1):0.00} ms ({f.WorkMs.Length} measured)"));
        table.AddRow("longest get while another is stopped", Invariant($"{(double)f.StallTicks / Stopwatch.Frequency * 1000:0.00} ms"));
        table.AddRow("lost objects seen", Invariant($"{f.Lost}"));
        table.AddRow("leaked bytes", Invariant($"{f.LeakedBytes}"));
        table.AddRow("stuck", Invariant($"{f.Stuck}"));
        AnsiConsole.Write(table);
        foreach (string finding in f.Findings)
            Console.WriteLine(finding);
        Console.WriteLine(f.LastLine);
    }

    /// <summary>The value below which a part of the values lie (nearest rank); 0 when there are none.</summary>
    internal static double Quantile(IReadOnlyCollection<double> values, double quantile)
    {
        double[] sorted = [.. values.Order()];
        return sorted.Length == 0 ? 0 : sorted[Math.Clamp((int)Math.Ceiling(quantile * sorted.Length) - 1, 0, sorted.Length - 1)];
    }

    private static string Invariant(FormattableString text) => Markup.Escape(FormattableString.Invariant(text));

    private static double Done(StormOptions options, StormFigures figures) =>
        Math.Min(1, Math.Max(figures.Elapsed / options.Time, options.Kills > 0 ? (double)figures.Kills / options.Kills : 0));
}
