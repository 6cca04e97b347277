namespace FastPlasma.Load.Measuring;

/// <summary>What the workers found together.</summary>
internal sealed class Measurement
{
    private Measurement(Latencies latencies) => Latencies = latencies;

    internal Latencies Latencies { get; }

    internal long Operations { get; private init; }

    /// <summary>Summed over threads and processes.</summary>
    internal double OperationsPerSecond { get; private init; }

    /// <summary>Operations of one timed value.</summary>
    internal int Batch { get; private init; }

    internal double AllocatedBytesPerOperation { get; private init; }

    /// <summary>Garbage collections, by generation.</summary>
    internal int[] Collections { get; private init; } = [0, 0, 0];

    /// <summary>What one process found in rounds that followed each other: the rate is their mean, not their sum.</summary>
    internal static Measurement OfRounds(IReadOnlyCollection<WorkResult> rounds) =>
        Of([.. rounds.Select(round => round with { OperationsPerSecond = round.OperationsPerSecond / rounds.Count })]);

    /// <summary>What processes found that worked at the same time.</summary>
    internal static Measurement Of(params WorkResult[] results)
    {
        var latencies = new Latencies();
        foreach (WorkResult result in results)
            latencies.Add(result.Pairs);
        long operations = results.Sum(static result => result.Operations);
        return new Measurement(latencies)
        {
            Operations = operations,
            OperationsPerSecond = results.Sum(static result => result.OperationsPerSecond),
            Batch = results.Max(static result => result.Batch),
            AllocatedBytesPerOperation = results.Sum(static result => result.AllocatedBytes) / (double)Math.Max(1, operations),
            Collections = [.. Enumerable.Range(0, 3).Select(generation => results.Sum(result => result.Collections[generation]))],
        };
    }
}
