using FastPlasma.Load.Driver;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Peers;
using FastPlasma.Load.Plots;
using FastPlasma.Load.Reporting;

namespace FastPlasma.Load.Scenarios;

/// <summary>Is it worth while to ask for many objects at once?</summary>
internal sealed class BatchScenario : IScenario
{
    private const int GroupSize = 100, PayloadBytes = 64, ColdFull = 1_000_000, ColdQuick = 100_000, FullSeconds = 40, QuickSeconds = 8;

    public string Name => "batch";

    public string Question => "What do 100 gets in one call take beside 100 single gets, when nothing of the objects is in a cache, and when all of it is?";

    public string Method =>
        "One process gets objects of 64 B, untouched, in a shuffled order that visits all of them: a million objects (quick: 200,000) for the cold case, 100 for the hot one. The figure is the time of 100 objects. " +
        "Ceiling: 100 atomic increments. Only peers that have a call for several objects; batches of servers are pipelined.";

    public ScenarioResult Run(LoadContext context)
    {
        var results = new ScenarioResult(this);
        (string Name, int Count)[] cases = [("cold", context.Pick(ColdFull, ColdQuick)), ("hot", GroupSize)];
        (string Name, WorkKind Kind)[] ways = [("one by one", WorkKind.GetGroup), ("one call", WorkKind.GetMany)];
        int durationMs = context.PointMs(cases.Length * ways.Length, FullSeconds, QuickSeconds);
        Dictionary<(string, string), List<PlotSeries>> bars = [];
        context.ForEachPeer(results, stand =>
        {
            if (!stand.Peer.HasBatches && stand.Peer != PeerList.Ceiling)
            {
                results.AddRemark(stand.Peer, "it has no call for several objects, so not measured");
                return;
            }

            foreach ((string name, int count) in cases)
            {
                stand.Start(1, (long)count * PayloadBytes, count, PayloadBytes);
                WorkPlan plan = new() { Kind = WorkKind.Populate, KeyCount = count, PayloadBytes = PayloadBytes, GroupSize = GroupSize, DurationMs = durationMs };
                context.Report($"{stand.Peer.Name}, {name}");
                stand.Do(plan);
                foreach ((string way, WorkKind kind) in ways)
                {
                    // The ceiling is the same for both: it has no call that could be saved.
                    WorkKind done = stand.Peer == PeerList.Ceiling ? WorkKind.GetGroup : kind;
                    ResultLine line = results.Add(stand.Peer, $"{name}, {way}", FigureKind.MedianNs, stand.Measure(plan with { Kind = done }));
                    if (!bars.TryGetValue((name, way), out List<PlotSeries>? series))
                        bars[(name, way)] = series = [];
                    series.Add(new PlotSeries(stand.Peer.Name, [(0, line.Figure)]));
                }
            }
        });
        foreach (((string name, string way), List<PlotSeries> series) in bars)
            results.AddPlot(new Plot($"batch-{name}-{way.Replace(' ', '-')}", $"100 gets, {way}, {(name == "cold" ? $"of {cases[0].Count:N0} objects" : "always the same 100 objects")}", series) { Y = (AxisKind.Time, "median time of 100 gets") });
        return results;
    }
}
