using FastPlasma.Load.Driver;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Plots;
using FastPlasma.Load.Reporting;

namespace FastPlasma.Load.Scenarios;

/// <summary>What does a put take, by size, into used memory and into memory that nobody has touched?</summary>
internal sealed class PutSizeScenario : IScenario
{
    private const int FullSeconds = 120, QuickSeconds = 6;

    // Fresh memory is used up: so many objects at most, so many bytes at most, but two objects at least.
    private const int FreshObjectsMin = 2, FreshObjectsMax = 16384;
    private const long FreshBytesFull = 256L << 20, FreshBytesQuick = 32L << 20;

    // A recycled set is one batch: more than one object only while a put takes less than 2.5 µs.
    private const long RecycledBytesMin = 8L << 20;

    private static readonly int[] s_quick = [64, 1 << 10, 32 << 10, 1 << 20, 64 << 20];
    private static readonly int[] s_full = [64, 256, 1 << 10, 4 << 10, 32 << 10, 256 << 10, 1 << 20, 16 << 20, 64 << 20, 256 << 20, 1 << 30];

    public string Name => "put-size";

    public string Question => "What does a put take, by size, into memory that was used before and into memory that nobody has touched?";

    public string Method =>
        "One process. Recycled: objects are put, timed, and deleted, not timed, so that every put finds the memory that the last delete has freed. Fresh: objects are put into a new store and stay, so that the kernel has to find and clear " +
        "every page. Ceiling: an atomic increment and Span.CopyTo to a place known beforehand in a mapped file, used or fresh.";

    public ScenarioResult Run(LoadContext context)
    {
        var results = new ScenarioResult(this);
        int[] sizes = context.Pick(s_full, s_quick);
        int durationMs = context.PointMs(sizes.Length, FullSeconds, QuickSeconds);
        (string Name, string Title)[] memories = [("recycled", "memory used before"), ("fresh", "fresh memory")];
        Dictionary<string, (List<PlotSeries> Times, List<PlotSeries> Rates)> plots = memories.ToDictionary(static memory => memory.Name, static _ => (new List<PlotSeries>(), new List<PlotSeries>()));
        context.ForEachPeer(results, stand =>
        {
            Dictionary<string, (List<(double, double)> Times, List<(double, double)> Rates)> points = [];
            foreach ((string memory, _) in memories)
            {
                points[memory] = ([], []);
                plots[memory].Times.Add(new PlotSeries(stand.Peer.Name, points[memory].Times));
                plots[memory].Rates.Add(new PlotSeries(stand.Peer.Name, points[memory].Rates));
            }

            foreach (int size in sizes)
            {
                context.Guard(results, stand.Peer, Units.Size(size), () =>
                {
                    WorkPlan plan = new() { Kind = WorkKind.PutRecycled, KeyCount = WorkPlan.BatchMax, PayloadBytes = size, DurationMs = durationMs };
                    context.Report($"{stand.Peer.Name}, {Units.Size(size)}, recycled");
                    stand.Start(1, Math.Max(RecycledBytesMin, 2L * size), WorkPlan.BatchMax, size);
                    Measurement recycled = stand.Measure(plan);
                    Add("recycled", recycled);

                    context.Report($"{stand.Peer.Name}, {Units.Size(size)}, fresh");
                    int count = (int)Math.Clamp(context.Pick(FreshBytesFull, FreshBytesQuick) / size, FreshObjectsMin, FreshObjectsMax);
                    stand.Start(1, (long)count * size, count, size);
                    Add("fresh", stand.Measure(plan with { Kind = WorkKind.PutFresh, KeyCount = count, Batch = recycled.Batch }));

                    void Add(string memory, Measurement found)
                    {
                        ResultLine line = results.Add(stand.Peer, $"{Units.Size(size)}, {memory}", FigureKind.MedianNs, found, size);
                        points[memory].Times.Add((size, line.Figure));
                        points[memory].Rates.Add((size, line.BytesPerSecond!.Value));
                    }
                });
            }
        });
        foreach ((string name, string title) in memories)
        {
            results.AddPlot(new Plot($"put-size-{name}", $"Put of an object into {title}", plots[name].Times) { X = (AxisKind.Bytes, "size of the object"), Y = (AxisKind.Time, "median time of one put") });
            results.AddPlot(new Plot($"put-size-{name}-bytes", $"Bytes put into {title}", plots[name].Rates) { X = (AxisKind.Bytes, "size of the object"), Y = (AxisKind.Throughput, "bytes put per second") });
        }

        return results;
    }
}
