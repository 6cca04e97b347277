using System.CommandLine;
using System.Runtime.InteropServices;
using System.Text.Json;
using FastPlasma.Cli.Children;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Parts;
using FastPlasma.Load.Worker;

namespace FastPlasma.Load.Commands;

/// <summary>A process that plays one part of a scenario, started by the driver alone.</summary>
internal static class PartCommand
{
    internal const string Name = "__part";

    internal static Command Create()
    {
        Argument<string> directory = new("directory"), part = new("part");
        Argument<int> processor = new("processor");
        Argument<string[]> arguments = new("arguments");
        Command command = new(Name) { directory, part, processor, arguments };
        command.Hidden = true;
        command.SetAction(parse => Run(parse.GetRequiredValue(directory), parse.GetRequiredValue(part), parse.GetRequiredValue(processor), parse.GetRequiredValue(arguments)));
        return command;
    }

    /// <param name="directory">The driver's folder, removed by an orphan because nobody else will.</param>
    /// <param name="name">Of the part.</param>
    /// <param name="processor">Processor to stay on, or -1.</param>
    /// <param name="arguments">Of the part.</param>
    private static int Run(string directory, string name, int processor, string[] arguments)
    {
        // The terminal sends Ctrl-C to all processes; the driver decides when this one ends.
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, static signal => signal.Cancel = true);
        using var parent = new ParentPipe(orphaned: () =>
        {
            if (Directory.Exists(directory))
                Directory.Delete(directory, recursive: true);
        });
        try
        {
            WorkerMain.StayOn(processor);
            PartList.Find(name).Run(parent, arguments);
            return 0;
        }
        catch (Exception e)
        {
            // Told to the driver, which tells the user.
            parent.Send(JsonSerializer.Serialize(WorkResult.Failed(e), WorkJson.Default.WorkResult));
            return 1;
        }
    }
}
