using System.CommandLine;
using System.Runtime.InteropServices;

namespace FastPlasma.Stress.Storms;

/// <summary>FastPlasma.Stress storm: deaths and stops at random moments in many processes.</summary>
internal static class StormCommand
{
    internal static Command Create()
    {
        Argument<int> seconds = new("seconds") { Description = "Longest time.", DefaultValueFactory = static _ => 60 };
        Option<int> kills = new("--kills") { Description = "End after so many kills; 0: the time alone ends it.", HelpName = "N" };
        Option<int?> seed = new("--seed") { Description = "Decides ids, bytes and who is hit.", HelpName = "N" };
        Option<int> processes = new("--processes") { Description = "Processes at one time.", HelpName = "N", DefaultValueFactory = static _ => 12 };
        Option<PlantedFault> plant = new("--plant") { Description = "The control: a fault that has to be found." };
        Option<string?> spill = new("--spill") { Description = "A folder on disk: the store is smaller than its objects, which spill there.", HelpName = "FOLDER" };
        Command command = new("storm", "Kill and stop processes at random moments; judge what is lost, leaked and stuck.") { seconds, kills, seed, processes, plant, spill };
        command.SetAction(parse =>
        {
            var options = new StormOptions
            {
                Time = TimeSpan.FromSeconds(parse.GetValue(seconds)),
                Kills = parse.GetValue(kills),
                Seed = parse.GetValue(seed) ?? Environment.ProcessId,
                Processes = parse.GetValue(processes),
                Plant = parse.GetValue(plant),
                SpillFolder = parse.GetValue(spill),
            };
            Console.WriteLine($"seed {options.Seed}, {options.Processes} processes");
            StormFigures figures = Run(options, follow: true);
            StormReport.Write(figures);
            return figures.IsSound ? 0 : 1;
        });
        return command;
    }

    /// <summary>Runs a storm on a thread of its own, to which its processes are bound.</summary>
    internal static StormFigures Run(StormOptions options, bool follow)
    {
        Exception? error = null;
        using var run = new StormRun(options);
        void Cancel(PosixSignalContext signal) => signal.Cancel = run.IsCancelled = true; // What is left of the storm is its judgement and its clean-up.
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Cancel), terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Cancel);
        var work = new Thread(() =>
        {
            try
            {
                run.Run();
            }
#pragma warning disable CA1031 // Thrown again below.
            catch (Exception e)
#pragma warning restore CA1031
            {
                error = e;
            }
        })
        { Name = "storm" };
        work.Start();
        if (follow)
            StormReport.Follow(work, options, run.Figures);
        work.Join();
        return error is null ? run.Figures : throw new InvalidOperationException($"The storm itself failed: {error.Message}", error);
    }
}
