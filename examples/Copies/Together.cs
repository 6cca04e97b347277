using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Spectre.Console;

namespace FastPlasma.Examples.Copies;

/// <summary>Two processes compute on one object at the same time: nobody waits for a lock, nobody has a copy.</summary>
internal static class Together
{
    internal static bool Show(PlasmaStore store, string name)
    {
        const string id = "numbers";
        const int count = 1 << 20;
        using (ObjectWriter writer = store.Create(ObjectId.FromName(id), count * sizeof(double)))
        {
            Span<double> values = MemoryMarshal.Cast<byte, double>(writer.Span);
            for (int i = 0; i < values.Length; i++)
                values[i] = i % 1000 / 8.0;
            writer.Seal();
        }
        Process[] workers = [Child.Begin(Child.Compute, name, id), Child.Begin(Child.Compute, name, id)];
        (int Process, long Begin, long End, string Sum)[] runs;
        try
        {
            foreach (Process worker in workers)
                Child.Line(worker); // Ready.
            store.Put(ObjectId.FromName(Child.Start), []);
            runs = [.. workers.Select(static worker =>
            {
                string[] parts = Child.Line(worker).Split(' ');
                return (worker.Id, long.Parse(parts[0], CultureInfo.InvariantCulture), long.Parse(parts[1], CultureInfo.InvariantCulture), parts[2]);
            })];
        }
        finally
        {
            foreach (Process worker in workers)
            {
                if (!worker.WaitForExit(1000))
                    worker.Kill();
                worker.Dispose();
            }
        }

        long start = runs.Min(static run => run.Begin);
        Table table = new Table().RoundedBorder().AddColumn("process").AddColumn(new TableColumn("from ms").RightAligned()).AddColumn(new TableColumn("to ms").RightAligned()).AddColumn("result");
        foreach ((int process, long begin, long end, string sum) in runs)
            table.AddRow(process.ToString(CultureInfo.InvariantCulture), Ms(begin - start), Ms(end - start), sum);
        long overlap = runs.Min(static run => run.End) - runs.Max(static run => run.Begin);
        bool isEqual = runs.All(run => run.Sum == runs[0].Sum);
        AnsiConsole.Write(new Rule("[bold]Two processes compute on one object at the same time[/]").LeftJustified());
        AnsiConsole.Write(table);
        AnsiConsole.MarkupLine($"{(overlap > 0 ? $"[green]{Ms(overlap)} ms[/] of both lie in each other" : "[red]They did not overlap[/]")}; the results are {(isEqual ? "[green]equal[/]" : "[red]DIFFERENT[/]")}.");
        return isEqual && overlap > 0;
    }

    private static string Ms(long ticks) => (ticks * 1000.0 / Stopwatch.Frequency).ToString("N1", CultureInfo.InvariantCulture);
}
