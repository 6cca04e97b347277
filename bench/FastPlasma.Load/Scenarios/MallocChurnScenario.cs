using System.Diagnostics;
using System.Globalization;
using FastPlasma.Load.Churn;
using FastPlasma.Load.Driver;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Parts;
using FastPlasma.Load.Peers;
using FastPlasma.Load.Plots;
using FastPlasma.Load.Reporting;

namespace FastPlasma.Load.Scenarios;

/// <summary>Does a store's allocator hold up beside general ones, in time and in memory?</summary>
internal sealed class MallocChurnScenario : IScenario
{
    private const int CapacityMiBFull = 1024, CapacityMiBQuick = 256, OperationsFull = 300_000, OperationsQuick = 60_000;
    private const ulong Seed = 1;
    private const string Glibc = "glibc", Mimalloc = "mimalloc", Jemalloc = "jemalloc";

    /// <summary>What its lines and plots show beside the product.</summary>
    internal static readonly string[] AllocatorNames = [Glibc, Mimalloc, Jemalloc];

    private static readonly (string Name, string File, string Package)[] s_preloaded =
        [(Mimalloc, "libmimalloc.so.2", "libmimalloc2.0"), (Jemalloc, "libjemalloc.so.2", "libjemalloc2")];

    public string Name => "malloc-churn";

    public string Question => "Beside glibc's malloc, mimalloc and jemalloc: what does an allocation take in a nearly full memory, and how much memory is held for what is live?";

    public string Method =>
        "One trace (1 GiB and 300,000 operations in the full state; quick: 256 MiB and 60,000; the mix of 'fragmentation', then nine of ten objects freed) is carried out by each: create and seal or delete of a store, malloc or free of the others, preloaded into one program. " +
        "Figures are the mean processor time of one operation, small or large; 'touched' writes one byte of each page, 'bare' nothing. Held is what the kernel has given: payload and metadata of the store, anonymous memory of the others. " +
        "A store refuses what does not fit into its capacity; malloc has none, and works for one process alone.";

    public ScenarioResult Run(LoadContext context)
    {
        var results = new ScenarioResult(this);
        if (context.Product is not { } product)
            return results;
        List<PlotSeries> curves = [];
        context.Guard(results, product, "", () =>
        {
            int capacityMiB = context.Pick(CapacityMiBFull, CapacityMiBQuick);
            context.RequireMemory((long)capacityMiB << 20);
            string folder = context.Folder.CreateNext(), trace = Path.Combine(folder, "trace"), curve = Path.Combine(folder, "curve");
            context.Report("making the trace");
            new TraceMaker(Seed, (long)capacityMiB << 20).Make(context.Pick(OperationsFull, OperationsQuick)).Write(trace);
            foreach (bool touches in (bool[])[false, true])
            {
                context.Report(product.Name);
                using WorkerProcess part = WorkerProcess.StartPart(context, ChurnPart.PartName, trace, curve, touches.ToString());
                Add(results, product.Name, touches, ReplayFigures.From(part.PartResult()));
            }
            AddCurve(curves, product.Name, curve);

            using MallocReplay? malloc = MallocReplay.TryCompile(folder, context.Cancellation, out string reason);
            if (malloc is null)
            {
                results.AddRemark(product, $"no other allocator was measured: {reason}");
                return;
            }
            foreach ((string name, string? file, string package) in s_preloaded.Prepend((Glibc, null!, "")))
            {
                string? library = file is null ? null : MallocReplay.FindLibrary(file);
                if (file is not null && library is null)
                {
                    results.AddRemark(product, $"{name} was not measured: {file} is not installed (Debian: apt-get install {package})");
                    continue;
                }
                foreach (bool touches in (bool[])[false, true])
                {
                    context.Report(name);
                    Add(results, name, touches, ReplayFigures.From(ReplayFigures.Parse(malloc.Replay(trace, curve, touches, library))));
                }
                AddCurve(curves, name, curve);
            }
        });
        results.AddPlot(new Plot("malloc-churn", "Memory held for a nearly full set of objects (ceiling: live bytes)", curves)
        {
            X = (AxisKind.Count, "allocations and frees"),
            Y = (AxisKind.Bytes, "bytes held"),
        });
        return results;
    }

    private static void Add(ScenarioResult results, string name, bool touches, ReplayFigures found)
    {
        string how = touches ? "touched" : "bare";
        string? note = !touches ? null : string.Create(
            CultureInfo.InvariantCulture,
            $"held/live {found.HeldEndBytes / found.LiveEndBytes:0.00} at the end, {found.WorstPermille / 1000:0.00} at worst, {Units.Size(found.HeldMostBytes)} at most; drained to {Units.Size(found.LiveDrainedBytes)}: {Units.Size(found.HeldDrainedBytes)}, {Units.Size(found.HeldTrimmedBytes)} after a trim; {found.Refused:0} refused ({Units.Size(found.RefusedBytes)})");
        results.Add(name, $"to 1 MiB, {how}", FigureKind.MedianNs, Single(found.SmallNs), note: note);
        results.Add(name, $"from 8 MiB, {how}", FigureKind.MedianNs, Single(found.LargeNs));
    }

    /// <summary>A mean that was measured elsewhere, as one value.</summary>
    private static Measurement Single(double ns)
    {
        var latencies = new Latencies();
        latencies.Record((long)(ns * Stopwatch.Frequency / 1e9), 1);
        return Measurement.Of(new WorkResult { Operations = 1, OperationsPerSecond = 1e9 / Math.Max(1, ns), Pairs = latencies.ToPairs() });
    }

    /// <summary>The curve of held bytes; that of live bytes, which is the same for all that refuse nothing, once.</summary>
    private static void AddCurve(List<PlotSeries> curves, string name, string path)
    {
        double[][] rows = [.. File.ReadLines(path).Skip(1).Select(static line => line.Split(',').Select(static field => double.Parse(field, CultureInfo.InvariantCulture)).ToArray()).Where(static row => row[0] > 0 && row[2] > 0)];
        if (name == Glibc)
            curves.Insert(0, new PlotSeries(PeerList.Ceiling.Name, [.. rows.Where(static row => row[1] > 0).Select(static row => (row[0], row[1]))]));
        curves.Add(new PlotSeries(name, [.. rows.Select(static row => (row[0], row[2]))]));
    }
}
