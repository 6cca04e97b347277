using System.Diagnostics;
using System.Globalization;
using FastPlasma.Cli.Bench;
using FastPlasma.Cli.Children;
using FastPlasma.Load.Measuring;

namespace FastPlasma.Load.Parts;

/// <summary>Objects of all sizes come and go in a store of this process that is nearly full; at each point of a list of operation counts it tells how the memory is. Arguments: capacity, and the list.</summary>
internal sealed class FragmentationPart : IPart
{
    internal const string PartName = "fragmentation";
    private const int StepOperations = 1000;

    public string Name => PartName;

    public void Run(ParentPipe parent, string[] arguments)
    {
        using PlasmaStore store = PlasmaStore.CreateAnonymous(new PlasmaOptions { CapacityBytes = long.Parse(arguments[0], CultureInfo.InvariantCulture), ObjectCountMax = ObjectChurn.ObjectCountMax });
        ObjectChurn churn = new(store);
        while (!churn.IsFull)
            churn.Run(StepOperations);
        churn.ForgetFailures();
        long done = 0, failures = 0;
        foreach (string argument in arguments.AsSpan(1))
        {
            long point = long.Parse(argument, CultureInfo.InvariantCulture);
            var latencies = new Latencies();
            long begin = Stopwatch.GetTimestamp(), before = done;
            for (; done < point; done += StepOperations)
            {
                long start = Stopwatch.GetTimestamp();
                churn.Run(StepOperations);
                latencies.Record(Stopwatch.GetTimestamp() - start, StepOperations);
            }

            double seconds = Stopwatch.GetElapsedTime(begin).TotalSeconds;
            StoreStats stats = store.Stats();
            parent.SendResult(new WorkResult
            {
                Operations = done - before,
                OperationsPerSecond = (done - before) / seconds,
                Batch = StepOperations,
                Pairs = latencies.ToPairs(),
                Figures = [stats.CapacityBytes, stats.UsedBytes, stats.WasteBytes, stats.LargestFreeRunBytes, churn.Failures - failures, churn.LiveBytes],
            });
            failures = churn.Failures;
        }
    }
}
