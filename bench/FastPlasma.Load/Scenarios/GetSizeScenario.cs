using FastPlasma.Load.Driver;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Plots;
using FastPlasma.Load.Reporting;

namespace FastPlasma.Load.Scenarios;

/// <summary>Does the time of a get depend on the size of the object?</summary>
internal sealed class GetSizeScenario : IScenario
{
    private const int PointsOfPeer = 2, FullSeconds = 240, QuickSeconds = 7;

    // Several objects of each size, but not more than this together.
    private const int ObjectsMin = 2, ObjectsMax = 16;
    private const long SetBytesMax = 256L << 20;

    private static readonly int[] s_quick = [64, 1 << 10, 16 << 10, 256 << 10, 4 << 20];
    private static readonly int[] s_full = [64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20];

    public string Name => "get-size";

    public string Question => "Does the time of a get depend on the size of the object, and how fast are its bytes read?";

    public string Method =>
        "One process gets one of 2 to 16 objects of a size at random (256 MiB at most). Untouched: found, pinned, given back. Touched: every byte is summed as well. " +
        "Ceiling: an atomic increment; touched, the same sum over the same bytes at a place known beforehand. Peers that copy do so in both cases.";

    public ScenarioResult Run(LoadContext context)
    {
        var results = new ScenarioResult(this);
        int[] sizes = context.Pick(s_full, s_quick);
        int durationMs = context.PointMs(sizes.Length * PointsOfPeer, FullSeconds, QuickSeconds);
        Dictionary<bool, List<PlotSeries>> times = new() { [false] = [], [true] = [] };
        List<PlotSeries> rates = [];
        context.ForEachPeer(results, stand =>
        {
            stand.Start(1, sizes.Sum(static size => (long)size * ObjectsOf(size)), sizes.Sum(ObjectsOf), sizes[^1]);
            Dictionary<bool, List<(double, double)>> points = new() { [false] = [], [true] = [] };
            List<(double, double)> rate = [];
            foreach (bool touch in (bool[])[false, true])
                times[touch].Add(new PlotSeries(stand.Peer.Name, points[touch]));
            rates.Add(new PlotSeries(stand.Peer.Name, rate));
            for (int i = 0; i < sizes.Length; i++)
            {
                int size = sizes[i];
                WorkPlan plan = new() { Kind = WorkKind.Get, FirstKey = (ulong)(i + 1) << 32, KeyCount = ObjectsOf(size), PayloadBytes = size, DurationMs = durationMs };
                context.Guard(results, stand.Peer, Units.Size(size), () =>
                {
                    context.Report($"{stand.Peer.Name}, {Units.Size(size)}");
                    stand.Do(plan with { Kind = WorkKind.Populate });
                    foreach (bool touch in (bool[])[false, true])
                    {
                        Measurement found = stand.Measure(plan with { Touch = touch });
                        ResultLine line = results.Add(stand.Peer, $"{Units.Size(size)}, {(touch ? "touched" : "untouched")}", FigureKind.MedianNs, found, touch ? size : 0);
                        points[touch].Add((size, line.Figure));
                        if (touch)
                            rate.Add((size, line.BytesPerSecond!.Value));
                    }
                });
            }
        });
        results.AddPlot(new Plot("get-size-untouched", "Get of an object, untouched", times[false]) { X = (AxisKind.Bytes, "size of the object"), Y = (AxisKind.Time, "median time of one get") });
        results.AddPlot(new Plot("get-size-touched", "Get of an object, every byte read", times[true]) { X = (AxisKind.Bytes, "size of the object"), Y = (AxisKind.Time, "median time of one get") });
        results.AddPlot(new Plot("get-size-bytes", "Bytes read through gets", rates) { X = (AxisKind.Bytes, "size of the object"), Y = (AxisKind.Throughput, "bytes read per second") });
        return results;
    }

    private static int ObjectsOf(int size) => (int)Math.Clamp(SetBytesMax / size, ObjectsMin, ObjectsMax);
}
