using System.Globalization;
using FastPlasma.Load.Driver;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Parts;
using FastPlasma.Load.Peers;
using FastPlasma.Load.Plots;
using FastPlasma.Load.Reporting;

namespace FastPlasma.Load.Scenarios;

/// <summary>Does memory stay usable over time while objects of all sizes come and go?</summary>
internal sealed class FragmentationScenario : IScenario
{
    private const long CapacityFull = 4L << 30, CapacityQuick = 1L << 30;
    private const string Used = "used", Waste = "waste", LargestRun = "largest free run";

    /// <summary>What its plot shows beside the capacity.</summary>
    internal static readonly string[] SeriesNames = [Used, Waste, LargestRun];

    private static readonly int[] s_full = [10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000];
    private static readonly int[] s_quick = [10_000, 30_000, 100_000, 300_000];

    public string Name => "fragmentation";

    public string Question => "Does memory stay usable while objects of all sizes come and go in a store that is nearly full?";

    public string Method =>
        "One process creates and deletes objects at random in a store of 4 GiB (quick: 1 GiB) whose live payload is held at 90 % of capacity: 91 % of the objects have 64 B to 16 KiB, 8 % up to 1 MiB, 1 % 8 to 16 MiB. Nothing is written, so that the allocator is measured. " +
        "An object that the store refuses is given up. Ceiling of used memory: the capacity. The figure is the time of one create or delete, refused ones included, since the point before; a refused create has looked at the whole store.";

    public ScenarioResult Run(LoadContext context)
    {
        var results = new ScenarioResult(this);
        if (context.Product is not { } product)
            return results;
        Dictionary<string, List<(double, double)>> bytes = new() { [PeerList.Ceiling.Name] = [], [Used] = [], [Waste] = [], [LargestRun] = [] };
        List<(double, double)> refused = [];
        context.Guard(results, product, "", () =>
        {
            long capacity = context.Pick(CapacityFull, CapacityQuick);
            context.RequireMemory(capacity);
            int[] points = context.Pick(s_full, s_quick);
            using WorkerProcess part = WorkerProcess.StartPart(
                context, FragmentationPart.PartName, [capacity.ToString(CultureInfo.InvariantCulture), .. points.Select(static point => point.ToString(CultureInfo.InvariantCulture))]);
            foreach (int point in points)
            {
                context.Report($"{point:N0} operations");
                WorkResult found = part.PartResult();
                (double used, double waste, double run, double failures, double live) = (found.Figures[1], found.Figures[2], found.Figures[3], found.Figures[4], found.Figures[5]);
                string note = string.Create(
                    CultureInfo.InvariantCulture,
                    $"live payload {live / capacity * 100:0.0} %, used {used / capacity * 100:0.0} %, waste {waste / capacity * 100:0.0} % of capacity; largest free run {Units.Size(run)}; refused {failures * 1000 / found.Operations:0.00} of 1,000 operations");
                results.Add(product, $"after {point:N0}", FigureKind.MedianNs, Measurement.Of(found), note: note);
                bytes[PeerList.Ceiling.Name].Add((point, capacity));
                bytes[Used].Add((point, used));
                if (waste > 0)
                    bytes[Waste].Add((point, waste));
                if (run > 0)
                    bytes[LargestRun].Add((point, run));
                if (failures > 0)
                    refused.Add((point, failures * 1e6 / found.Operations));
            }
        });
        results.AddPlot(new Plot("fragmentation", "Memory of a store at 90 % full (ceiling: capacity)", [.. bytes.Select(static pair => new PlotSeries(pair.Key, pair.Value))])
        {
            X = (AxisKind.Count, "creates and deletes"),
            Y = (AxisKind.Bytes, "bytes"),
        });
        results.AddPlot(new Plot("fragmentation-refused", "Creates that the store refused at 90 % full", [new PlotSeries(product.Name, refused)])
        {
            X = (AxisKind.Count, "creates and deletes"),
            Y = (AxisKind.Count, "refused in a million operations"),
        });
        return results;
    }
}
