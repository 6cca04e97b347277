using System.CommandLine;
using FastPlasma.Load.Worker;

namespace FastPlasma.Load.Commands;

/// <summary>A worker process, started by the driver alone.</summary>
internal static class WorkerCommand
{
    internal const string Name = "__worker";

    internal static Command Create()
    {
        Argument<string> directory = new("directory");
        Argument<int> processor = new("processor");
        Command command = new(Name) { directory, processor };
        command.Hidden = true;
        command.SetAction(parse => WorkerMain.Run(parse.GetRequiredValue(directory), parse.GetValue(processor)));
        return command;
    }
}
