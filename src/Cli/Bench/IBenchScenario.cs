using FastPlasma.Cli.Children;

namespace FastPlasma.Cli.Bench;

/// <summary>One question to this machine, with its own ceiling and bound.</summary>
internal interface IBenchScenario
{
    /// <summary>Name on the command line.</summary>
    string Name { get; }

    /// <summary>Unit of the figures.</summary>
    string Unit { get; }

    /// <summary>What the ratio should be.</summary>
    BenchBound Bound { get; }

    /// <summary>Measures the figure and its ceiling in turns; leaves no store behind.</summary>
    BenchFigures Run(BenchContext context);
}

/// <summary>A scenario that needs a second process.</summary>
internal interface IBenchPeerScenario : IBenchScenario
{
    /// <summary>The second process's part, on the store that the first one made.</summary>
    void RunPeer(ParentPipe parent, PlasmaStore store);
}

/// <summary>Figures of a scenario.</summary>
internal sealed record BenchFigures(double Median, double P99, double Ratio)
{
    /// <summary>What the figure is held against; null where the ratio needs no ceiling.</summary>
    internal string? Ceiling { get; init; }

    /// <summary>The same of it.</summary>
    internal double? CeilingMedian { get; init; }

    /// <summary>Further figures.</summary>
    internal string? Note { get; init; }
}
