using FastPlasma.Load.Driver;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Plots;
using FastPlasma.Load.Reporting;

namespace FastPlasma.Load.Scenarios;

/// <summary>Do more processes read more?</summary>
internal sealed class GetScaleScenario : IScenario
{
    private const int ObjectCount = 10_000, PayloadBytes = 1024, FullSeconds = 300, QuickSeconds = 9;
    private static readonly int[] s_counts = [1, 2, 4], s_threadsFull = [2, 4], s_threadsQuick = [2];

    public string Name => "get-scale";

    public string Question => "Do more processes, or more threads of one, read more objects in the same time?";

    public string Method =>
        "Processes, or threads of one process, get objects of 10,000 with 1 KiB each: always the same one (hot), all equally often (uniform), or a few most of the time (Zipf 0.99). They start together. " +
        "Touched: every byte is summed; with --full also untouched. Ceiling: as many processes or threads that do the same without a store.";

    public ScenarioResult Run(LoadContext context)
    {
        var results = new ScenarioResult(this);
        bool[] touches = context.Pick<bool[]>([true, false], [true]);
        int[] threads = context.Pick(s_threadsFull, s_threadsQuick);
        KeyPattern[] patterns = Enum.GetValues<KeyPattern>();
        int durationMs = context.PointMs((s_counts.Length + threads.Length) * patterns.Length * touches.Length, FullSeconds, QuickSeconds);
        Dictionary<(KeyPattern, bool Touch), List<PlotSeries>> plots = [];
        foreach (bool touch in touches)
            foreach (KeyPattern pattern in patterns)
                plots[(pattern, touch)] = [];

        context.ForEachPeer(results, stand =>
        {
            int[] counts = stand.Peer.IsShared ? s_counts : s_counts[..1];
            stand.Start(counts[^1], (long)ObjectCount * PayloadBytes, ObjectCount, PayloadBytes);
            WorkPlan plan = new() { Kind = WorkKind.Populate, KeyCount = ObjectCount, PayloadBytes = PayloadBytes, DurationMs = durationMs };
            stand.Do(plan);
            foreach (bool touch in touches)
                stand.Warm(plan with { Kind = WorkKind.Get, Touch = touch }, counts[^1]);
            foreach (((KeyPattern pattern, bool touch), List<PlotSeries> plot) in plots)
            {
                plan = plan with { Kind = WorkKind.Get, Pattern = pattern, Touch = touch };
                List<(double, double)> points = [];
                plot.Add(new PlotSeries(stand.Peer.Name, points));
                foreach (int count in counts)
                    points.Add((count, Measure(plan, count, "process", count).Figure));
                foreach (int count in threads)
                    Measure(plan with { Threads = count }, 1, "thread", count);
            }

            ResultLine Measure(WorkPlan work, int processes, string unit, int count)
            {
                string name = $"{work.Pattern.ToString().ToLowerInvariant()}, {count} {unit}{(count == 1 ? "" : unit == "process" ? "es" : "s")}{(touches.Length == 1 ? "" : work.Touch ? ", touched" : ", untouched")}";
                context.Report($"{stand.Peer.Name}, {name}");
                return results.Add(stand.Peer, name, FigureKind.OperationsPerSecond, stand.Measure(work, processes), work.Touch ? PayloadBytes : 0);
            }
        });
        foreach (((KeyPattern pattern, bool touch), List<PlotSeries> series) in plots)
        {
            string keys = pattern switch
            {
                KeyPattern.Hot => "all get the same object",
                KeyPattern.Uniform => "10,000 objects, equally often",
                _ => "10,000 objects, Zipf 0.99",
            };
            results.AddPlot(new Plot($"get-scale-{pattern.ToString().ToLowerInvariant()}{(touch ? "" : "-untouched")}", $"Gets of 1 KiB: {keys}{(touch ? "" : ", untouched")}", series)
            {
                X = (AxisKind.Steps, "processes"),
                Y = (AxisKind.Rate, "gets per second, all processes"),
            });
        }

        return results;
    }
}
