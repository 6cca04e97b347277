using System.Globalization;

namespace FastPlasma.Stress.Storms;

/// <summary>What a storm is.</summary>
internal sealed record StormOptions
{
    /// <summary>Longest time, without the final judgement.</summary>
    internal required TimeSpan Time { get; init; }

    /// <summary>Ends the storm earlier; 0: the time alone does.</summary>
    internal int Kills { get; init; }

    /// <summary>Decides ids, bytes and what is done to whom; when exactly it hits is the machine's affair.</summary>
    internal int Seed { get; init; } = Environment.ProcessId;

    /// <summary>Processes at one time besides the parent.</summary>
    internal int Processes { get; init; } = 12;

    /// <summary>Mean time that a process lives once it works.</summary>
    internal TimeSpan MeanLife { get; init; } = TimeSpan.FromMilliseconds(120);

    /// <summary>Time between two quiet points.</summary>
    internal TimeSpan QuietPeriod { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>The control: a fault that must be found.</summary>
    internal PlantedFault Plant { get; init; }

    /// <summary>Folder to which the store spills; null: it does not, and a full store refuses what is to be kept.</summary>
    internal string? SpillFolder { get; init; }

    /// <summary>Executable of the children.</summary>
    internal string Executable { get; init; } = Environment.ProcessPath ?? throw new InvalidOperationException("The path of this executable is unknown.");

    /// <summary>Name of the store; it must be free.</summary>
    internal string Store { get; init; } = string.Create(CultureInfo.InvariantCulture, $"storm{Environment.ProcessId}");
}
