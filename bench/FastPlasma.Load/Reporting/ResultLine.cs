namespace FastPlasma.Load.Reporting;

/// <summary>What the figure of a line is.</summary>
internal enum FigureKind
{
    /// <summary>Median time of one operation in nanoseconds; less is better, and the ratio is figure / ceiling.</summary>
    MedianNs,

    /// <summary>Time in nanoseconds that 99 of 100 operations do not exceed; less is better, and the ratio is figure / ceiling.</summary>
    P99Ns,

    /// <summary>Time in nanoseconds that 999 of 1,000 operations do not exceed; less is better, and the ratio is figure / ceiling.</summary>
    P999Ns,

    /// <summary>Operations per second; more is better, and the ratio is figure / ceiling.</summary>
    OperationsPerSecond,
}

/// <summary>One measured figure.</summary>
internal sealed record ResultLine
{
    public required string Scenario { get; init; }

    public required string Peer { get; init; }

    /// <summary>What was measured of it: a size, a number of processes. Lines of one case are held against each other.</summary>
    public required string Case { get; init; }

    public required FigureKind Kind { get; init; }

    /// <summary>In ns or operations per second, by <see cref="Kind"/>.</summary>
    public double Figure { get; init; }

    public double P50Ns { get; init; }

    public double? P90Ns { get; init; }

    public double? P99Ns { get; init; }

    public double? P999Ns { get; init; }

    public double? P9999Ns { get; init; }

    public double MaxNs { get; init; }

    /// <summary>Of all threads and processes together.</summary>
    public double OperationsPerSecond { get; init; }

    /// <summary>Payload bytes of those operations, where they have any.</summary>
    public double? BytesPerSecond { get; init; }

    /// <summary>The figure of the ceiling in the same case.</summary>
    public double? Ceiling { get; init; }

    /// <summary>Figure / ceiling.</summary>
    public double? Ratio { get; init; }

    /// <summary>How many times better FastPlasma is in the same case; below 1 it is worse.</summary>
    public double? FastPlasmaIsBetterBy { get; init; }

    /// <summary>Operations of one timed value; the percentiles are over such batches.</summary>
    public int Batch { get; init; }

    /// <summary>Timed values.</summary>
    public long Samples { get; init; }

    public double AllocatedBytesPerOperation { get; init; }

    /// <summary>Garbage collections of the measuring processes, by generation.</summary>
    public int[] Collections { get; init; } = [];

    public string? Note { get; init; }
}

/// <summary>Something that has no figure.</summary>
/// <param name="IsFailure">False for a limit of the peer, which is told and nothing more.</param>
internal sealed record Remark(string Peer, string Text, bool IsFailure);
