using FastPlasma.Load.Driver;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Plots;
using FastPlasma.Load.Reporting;

namespace FastPlasma.Load.Scenarios;

/// <summary>What does the whole life of a small object take?</summary>
internal sealed class CycleScenario : IScenario
{
    private const int PayloadBytes = 1024, KeyCount = 64, FullSeconds = 60, QuickSeconds = 5;
    private static readonly int[] s_processes = [1, 2, 4];

    public string Name => "cycle";

    public string Question => "What does the whole life of an object of 1 KiB take: create, write, seal, delete? Do processes that do so disturb each other?";

    public string Method =>
        "Each process puts and deletes objects of its own, one at a time. Ceiling: an increment for each of the two calls and one copy of 1 KiB. " +
        "The figure of one process is the median time of a put and a delete together; of several, what all do per second.";

    public ScenarioResult Run(LoadContext context)
    {
        var results = new ScenarioResult(this);
        int durationMs = context.PointMs(s_processes.Length, FullSeconds, QuickSeconds);
        List<PlotSeries> bars = [], lines = [];
        context.ForEachPeer(results, stand =>
        {
            int[] processes = stand.Peer.IsShared ? s_processes : s_processes[..1];
            stand.Start(processes[^1], 64 << 20, KeyCount * processes[^1], PayloadBytes);
            List<(double, double)> points = [];
            lines.Add(new PlotSeries(stand.Peer.Name, points));
            WorkPlan[] plans =
            [
                .. Enumerable.Range(0, processes[^1]).Select(i =>
                    new WorkPlan { Kind = WorkKind.Cycle, FirstKey = (ulong)(i * KeyCount), KeyCount = KeyCount, PayloadBytes = PayloadBytes, DurationMs = durationMs }),
            ];
            stand.Warm(plans);
            foreach (int count in processes)
            {
                context.Report($"{stand.Peer.Name}, {count} processes");
                Measurement found = Measurement.Of(stand.Measure(plans[..count]));
                if (count == 1)
                    bars.Add(new PlotSeries(stand.Peer.Name, [(0, results.Add(stand.Peer, "1 process", FigureKind.MedianNs, found).Figure)]));
                points.Add((count, results.Add(stand.Peer, count == 1 ? "1 process, rate" : $"{count} processes, rate", FigureKind.OperationsPerSecond, found).Figure));
            }
        });
        results.AddPlot(new Plot("cycle-1k", "Create, write, seal and delete 1 KiB, one process", bars) { Y = (AxisKind.Time, "median time of one object's life") });
        results.AddPlot(new Plot("cycle-1k-processes", "Create, write, seal and delete 1 KiB, several processes", lines) { X = (AxisKind.Steps, "processes"), Y = (AxisKind.Rate, "objects per second, all processes") });
        return results;
    }
}
