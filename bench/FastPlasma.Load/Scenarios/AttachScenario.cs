using FastPlasma.Load.Driver;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Plots;
using FastPlasma.Load.Reporting;

namespace FastPlasma.Load.Scenarios;

/// <summary>Does opening a store take longer when it is larger, or full?</summary>
internal sealed class AttachScenario : IScenario
{
    private const int ObjectBytes = 1 << 20, FullSeconds = 60, QuickSeconds = 5;

    private static readonly long[] s_quick = [64L << 20, 1L << 30];
    private static readonly long[] s_full = [64L << 20, 512L << 20, 2L << 30, 8L << 30];

    public string Name => "attach";

    public string Question => "Does it take longer to open a store, and to get the first object from it, when it is larger, or full?";

    public string Method =>
        "A process opens a store that others have made, gets one object (of an empty store: one that is not there), untouched, and closes it again; opening and the first get are timed apart. Full: objects of 1 MiB, nine tenths of the capacity. " +
        "Ceiling: a file of the same size is opened and mapped.";

    public ScenarioResult Run(LoadContext context)
    {
        var results = new ScenarioResult(this);
        long[] sizes = context.Pick(s_full, s_quick);
        int durationMs = context.PointMs(sizes.Length * 4, FullSeconds, QuickSeconds);
        Dictionary<string, List<PlotSeries>> plots = new() { ["empty"] = [], ["full"] = [] };
        context.ForEachPeer(results, stand =>
        {
            Dictionary<string, List<(double, double)>> points = plots.Keys.ToDictionary(static name => name, static _ => new List<(double, double)>());
            foreach ((string name, List<PlotSeries> plot) in plots)
                plot.Add(new PlotSeries(stand.Peer.Name, points[name]));
            foreach (long bytes in sizes)
            {
                context.Guard(results, stand.Peer, Units.Size(bytes), () =>
                {
                    context.RequireMemory(bytes);
                    int count = (int)(bytes / 10 * 9 / ObjectBytes);
                    stand.Start(1, bytes, count, ObjectBytes);
                    WorkPlan plan = new() { Kind = WorkKind.Populate, KeyCount = count, PayloadBytes = ObjectBytes, DurationMs = durationMs };
                    Measure("empty", plan with { KeyCount = 0 });
                    context.Report($"{stand.Peer.Name}, fill {Units.Size(bytes)}");
                    stand.Do(plan);
                    Measure("full", plan);

                    void Measure(string state, WorkPlan work)
                    {
                        context.Report($"{stand.Peer.Name}, {Units.Size(bytes)}, {state}");
                        ResultLine open = results.Add(stand.Peer, $"{Units.Size(bytes)}, {state}, open", FigureKind.MedianNs, stand.MeasureOne(work with { Kind = WorkKind.Attach }));
                        results.Add(stand.Peer, $"{Units.Size(bytes)}, {state}, first get", FigureKind.MedianNs, stand.MeasureOne(work with { Kind = WorkKind.FirstGet }));
                        points[state].Add((bytes, open.Figure));
                    }
                });
            }
        }, onlyShared: true);
        foreach ((string name, List<PlotSeries> series) in plots)
            results.AddPlot(new Plot($"attach-{name}", $"Opening a store that is {name}", series) { X = (AxisKind.Bytes, "capacity"), Y = (AxisKind.Time, "median time to open") });
        return results;
    }
}
