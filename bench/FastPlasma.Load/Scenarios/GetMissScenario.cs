using FastPlasma.Load.Driver;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Plots;
using FastPlasma.Load.Reporting;

namespace FastPlasma.Load.Scenarios;

/// <summary>What does it take to learn that an object is not there?</summary>
internal sealed class GetMissScenario : IScenario
{
    private const int ObjectCount = 10_000, PayloadBytes = 1024, FullSeconds = 40, QuickSeconds = 5;

    public string Name => "get-miss";

    public string Question => "What does it take to learn that an object is not there?";

    public string Method =>
        "One process asks a store with 10,000 objects of 1 KiB for 10,000 other keys at random, with Get and with Contains. Ceiling: an atomic increment.";

    public ScenarioResult Run(LoadContext context)
    {
        var results = new ScenarioResult(this);
        int durationMs = context.PointMs(2, FullSeconds, QuickSeconds);
        List<PlotSeries> gets = [], contains = [];
        context.ForEachPeer(results, stand =>
        {
            stand.Start(1, (long)ObjectCount * PayloadBytes, ObjectCount, PayloadBytes);
            WorkPlan plan = new() { Kind = WorkKind.Populate, KeyCount = ObjectCount, PayloadBytes = PayloadBytes, DurationMs = durationMs };
            stand.Do(plan);
            gets.Add(new PlotSeries(stand.Peer.Name, [(0, results.Add(stand.Peer, "get", FigureKind.MedianNs, stand.Measure(plan with { Kind = WorkKind.GetMissing })).Figure)]));
            contains.Add(new PlotSeries(stand.Peer.Name, [(0, results.Add(stand.Peer, "contains", FigureKind.MedianNs, stand.Measure(plan with { Kind = WorkKind.ContainsMissing })).Figure)]));
        });
        results.AddPlot(new Plot("get-miss", "Get of a key that is not there", gets) { Y = (AxisKind.Time, "median time of one get") });
        results.AddPlot(new Plot("contains-miss", "Contains of a key that is not there", contains) { Y = (AxisKind.Time, "median time of one call") });
        return results;
    }
}
