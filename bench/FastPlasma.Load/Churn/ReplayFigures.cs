using System.Globalization;
using FastPlasma.Load.Measuring;

namespace FastPlasma.Load.Churn;

/// <summary>What the replay of a trace found, on a store or on an allocator.</summary>
/// <param name="SmallNs">Processor time of one operation below 8 MiB in the full state.</param>
/// <param name="LargeNs">The same from 8 MiB on.</param>
/// <param name="LiveEndBytes">Live at the end of the full state.</param>
/// <param name="HeldEndBytes">Given by the kernel then.</param>
/// <param name="WorstPermille">Most held / live in the full state, in thousandths.</param>
/// <param name="HeldMostBytes">Most ever held.</param>
/// <param name="LiveDrainedBytes">Live after nine of ten objects were freed.</param>
/// <param name="HeldDrainedBytes">Held then.</param>
/// <param name="HeldTrimmedBytes">Held after the allocator was asked to give back.</param>
/// <param name="Refused">Allocations that found no memory.</param>
/// <param name="RefusedBytes">Their bytes.</param>
internal sealed record ReplayFigures(
    double SmallNs, double LargeNs, double LiveEndBytes, double HeldEndBytes, double WorstPermille, double HeldMostBytes, double LiveDrainedBytes, double HeldDrainedBytes, double HeldTrimmedBytes, double Refused, double RefusedBytes)
{
    private const int Count = 11;

    internal static ReplayFigures From(WorkResult result)
    {
        double[] f = result.Figures;
        return new ReplayFigures(f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7], f[8], f[9], f[10]);
    }

    /// <summary>The line that a replay prints, in the form in which it travels.</summary>
    /// <exception cref="InvalidDataException">It is another line.</exception>
    internal static WorkResult Parse(string line)
    {
        string[] fields = line.Trim().Split(' ');
        if (fields.Length != Count)
            throw new InvalidDataException($"A replay printed '{line}', which is not {Count} numbers.");
        return new WorkResult { Figures = [.. fields.Select(static field => double.Parse(field, CultureInfo.InvariantCulture))] };
    }
}
