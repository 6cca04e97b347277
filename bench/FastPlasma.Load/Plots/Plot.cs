namespace FastPlasma.Load.Plots;

/// <summary>What the numbers of an axis are.</summary>
internal enum AxisKind
{
    /// <summary>Bytes; those that were measured are marked, or every second of them.</summary>
    Bytes,

    /// <summary>Nanoseconds; powers of 10 are marked.</summary>
    Time,

    /// <summary>Operations per second; powers of 10.</summary>
    Rate,

    /// <summary>Bytes per second; powers of 10.</summary>
    Throughput,

    /// <summary>Whole numbers; each value that occurs is marked, evenly spaced.</summary>
    Steps,

    /// <summary>Numbers of any size; powers of 10 are marked.</summary>
    Count,

    /// <summary>1 / (1 - quantile): 2 is the median, 100 is p99.</summary>
    Percentile,
}

/// <summary>A line or bar of one peer.</summary>
/// <param name="Peer">Chooses colour and mark; a name that is no peer's gets those that follow the peers'.</param>
internal sealed record PlotSeries(string Peer, IReadOnlyList<(double X, double Y)> Points);

/// <summary>A plot of several peers over logarithmic axes, or, without <see cref="X"/>, a bar for each of them.</summary>
/// <param name="Name">Name of the file without extension.</param>
internal sealed record Plot(string Name, string Title, IReadOnlyList<PlotSeries> Series)
{
    /// <summary>Horizontal axis; null draws one bar for each peer, with the y of its first point.</summary>
    internal (AxisKind Kind, string Label)? X { get; init; }

    internal required (AxisKind Kind, string Label) Y { get; init; }
}
