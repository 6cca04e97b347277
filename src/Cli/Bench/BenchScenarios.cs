using FastPlasma.Cli.Bench.Scenarios;

namespace FastPlasma.Cli.Bench;

/// <summary>All scenarios in the order in which they run.</summary>
internal static class BenchScenarios
{
    internal static IReadOnlyList<IBenchScenario> All { get; } =
    [
        new GetHotScenario(),
        new GetHotTwoProcessesScenario(),
        new ContainsMissScenario(),
        new CycleScenario(),
        new PutOffsetsScenario(),
        new PutLargeScenario(),
        new PutSizesScenario(),
        new WakeSleepScenario(),
        new WakeSpinScenario(),
        new GetRandomScenario(),
        new GetBatchScenario(),
        new AllocChurnScenario(),
    ];

    internal static IBenchScenario Find(string name) => All.Single(scenario => scenario.Name == name);
}
