using FastPlasma.Load.Driver;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Peers;
using FastPlasma.Load.Plots;
using FastPlasma.Load.Reporting;

namespace FastPlasma.Load.Scenarios;

/// <summary>What does a put take when old objects have to go first?</summary>
internal sealed class EvictScenario : IScenario
{
    private const int FullSeconds = 60, QuickSeconds = 5;
    private const long CapacityBytesFull = 256L << 20, CapacityBytesQuick = 64L << 20;

    // More than fits, so that the first timed put finds no room.
    private const int FillPercent = 120;
    private static readonly int[] s_sizes = [1 << 10, 64 << 10, 1 << 20];

    public string Name => "evict";

    public string Question => "How many objects, and bytes, per second can be put into a full store that drops its oldest objects?";

    public string Method =>
        "One process puts objects with ever new keys into a store of 256 MiB (quick: 64 MiB) that is full of objects of the same size, all of which may be dropped; nobody reads. Afterwards the newest object has to be there and most of the oldest gone. " +
        "Redis: maxmemory with allkeys-lru; memcached: its LRU. Ceiling: copies into used memory in a circle.";

    public ScenarioResult Run(LoadContext context)
    {
        var results = new ScenarioResult(this);
        int durationMs = context.PointMs(s_sizes.Length, FullSeconds, QuickSeconds);
        long capacityBytes = context.Pick(CapacityBytesFull, CapacityBytesQuick);
        List<PlotSeries> rates = [], bytes = [];
        context.ForEachPeer(results, stand =>
        {
            if (!stand.Peer.CanEvict)
            {
                results.AddRemark(stand.Peer, "it drops nothing by itself, so not measured");
                return;
            }

            List<(double, double)> objectPoints = [], bytePoints = [];
            rates.Add(new PlotSeries(stand.Peer.Name, objectPoints));
            bytes.Add(new PlotSeries(stand.Peer.Name, bytePoints));
            foreach (int size in s_sizes)
            {
                context.Guard(results, stand.Peer, Units.Size(size), () =>
                {
                    context.Report($"{stand.Peer.Name}, {Units.Size(size)}");
                    int count = (int)(capacityBytes / size * FillPercent / 100);
                    stand.Start(1, capacityBytes, count, size, evicts: true);
                    WorkPlan plan = new() { Kind = WorkKind.Populate, KeyCount = count, PayloadBytes = size, DurationMs = durationMs };
                    stand.Do(plan);
                    ResultLine line = results.Add(stand.Peer, Units.Size(size), FigureKind.OperationsPerSecond, stand.Measure(plan with { Kind = WorkKind.PutEvicting }), size);
                    objectPoints.Add((size, line.Figure));
                    bytePoints.Add((size, line.BytesPerSecond!.Value));
                });
            }
        });
        results.AddPlot(new Plot("evict", "Puts into a full store", rates) { X = (AxisKind.Bytes, "size of the object"), Y = (AxisKind.Rate, "objects per second") });
        results.AddPlot(new Plot("evict-bytes", "Bytes put into a full store", bytes) { X = (AxisKind.Bytes, "size of the object"), Y = (AxisKind.Throughput, "bytes per second") });
        return results;
    }
}
