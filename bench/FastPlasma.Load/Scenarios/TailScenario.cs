using FastPlasma.Load.Driver;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Plots;
using FastPlasma.Load.Reporting;

namespace FastPlasma.Load.Scenarios;

/// <summary>How slow are the slowest gets while others work at full speed?</summary>
internal sealed class TailScenario : IScenario
{
    private const int ObjectCount = 10_000, PayloadBytes = 1024, OwnObjectCount = 256, ArrivalsPerSecond = 5000, FullMs = 10_000, QuickMsMin = 600, QuickMsMax = 1200, QuickSeconds = 9;
    private static readonly int[] s_quick = [1, 3], s_full = [0, 1, 3];

    public string Name => "tail";

    public string Question => "How slow are the slowest gets of one process while others put, get and delete at full speed?";

    public string Method =>
        "One process gets 5,000 objects of 1 KiB per second at fixed times, whether or not the get before has ended, and reads every byte. The time of a get counts from when it was due (open loop, no coordinated omission), " +
        "so waiting behind a slow one counts too. 1 or 3 other processes put, delete and get without a pause. Ceiling: the same processes without a store, that is, what the machine's scheduler alone does to a tail. " +
        "With more processes than processors the scheduler's turns of some milliseconds are part of every peer's tail.";

    public ScenarioResult Run(LoadContext context)
    {
        var results = new ScenarioResult(this);
        int[] others = context.Pick(s_full, s_quick);
        int durationMs = context.Pick(FullMs, Math.Clamp(QuickSeconds * 1000 / (others.Length * (context.Peers.Count + 1)), QuickMsMin, QuickMsMax));
        Dictionary<int, List<PlotSeries>> plots = others.ToDictionary(static count => count, static _ => new List<PlotSeries>());
        context.ForEachPeer(results, stand =>
        {
            stand.Start(others[^1] + 1, (long)(ObjectCount + (others[^1] * OwnObjectCount)) * PayloadBytes, ObjectCount + (others[^1] * OwnObjectCount), PayloadBytes);
            WorkPlan plan = new() { Kind = WorkKind.Populate, KeyCount = ObjectCount, PayloadBytes = PayloadBytes, DurationMs = durationMs };
            stand.Do(plan);
            WorkPlan[] plans =
            [
                plan with { Kind = WorkKind.Get, Touch = true, ArrivalsPerSecond = ArrivalsPerSecond },
                .. Enumerable.Range(0, others[^1]).Select(i => plan with
                {
                    Kind = WorkKind.Churn,
                    FirstKey = (ulong)(ObjectCount + (i * OwnObjectCount)),
                    KeyCount = OwnObjectCount,
                    CommonKeyCount = ObjectCount,
                    Seed = i + 2,
                }),
            ];
            stand.Warm(plans);
            foreach (int count in others)
            {
                string name = count == 1 ? "1 other" : $"{count} others";
                context.Report($"{stand.Peer.Name}, {name}");
                WorkResult[] found = stand.Measure(plans[..(count + 1)]);
                string? note = count == 0 ? null : $"others: {Units.Rate(found.Skip(1).Sum(static result => result.OperationsPerSecond))}";
                ResultLine line = results.Add(stand.Peer, name, FigureKind.P99Ns, Measurement.Of(found[0]), PayloadBytes, note);
                (double X, double? Y)[] points = [(2, line.P50Ns), (10, line.P90Ns), (100, line.P99Ns), (1000, line.P999Ns), (10_000, line.P9999Ns)];
                plots[count].Add(new PlotSeries(stand.Peer.Name, [.. points.Where(static point => point.Y > 0).Select(static point => (point.X, point.Y!.Value))]));
            }
        }, onlyShared: true);
        foreach (int count in others)
        {
            results.AddPlot(new Plot($"tail-{count}", $"Gets of 1 KiB at 5,000 per second, {(count == 0 ? "alone" : count == 1 ? "one other process at full speed" : $"{count} other processes at full speed")}", plots[count])
            {
                X = (AxisKind.Percentile, "gets that were not slower"),
                Y = (AxisKind.Time, "time since the get was due"),
            });
        }

        return results;
    }
}
