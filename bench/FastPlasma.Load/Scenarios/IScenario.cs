using FastPlasma.Load.Driver;
using FastPlasma.Load.Reporting;

namespace FastPlasma.Load.Scenarios;

/// <summary>One question to all peers. A scenario is one file: every class that implements this is found.</summary>
internal interface IScenario
{
    /// <summary>Short, lower case, unique.</summary>
    string Name { get; }

    /// <summary>What is asked, in one sentence.</summary>
    string Question { get; }

    /// <summary>How it is measured and what the ceiling is, for the report.</summary>
    string Method { get; }

    /// <summary>What of the machine is missing for parts of it (a program, with the Debian package that has it), or null when all of it can run.</summary>
    string? Missing => null;

    /// <summary>Measures the ceiling and every peer.</summary>
    ScenarioResult Run(LoadContext context);
}

/// <summary>All scenarios by name.</summary>
internal static class ScenarioList
{
    internal static IReadOnlyList<IScenario> All { get; } =
    [
        .. typeof(IScenario).Assembly.GetTypes()
            .Where(static type => type is { IsClass: true, IsAbstract: false } && type.IsAssignableTo(typeof(IScenario)))
            .Select(static type => (IScenario)Activator.CreateInstance(type, nonPublic: true)!)
            .OrderBy(static scenario => scenario.Name, StringComparer.Ordinal),
    ];
}
