using System.CommandLine;
using FastPlasma.Stress.Fuzz;
using FastPlasma.Stress.Storms;

namespace FastPlasma.Stress;

internal static class Program
{
    private static int Main(string[] args)
    {
        if (args.Length > 0 && args[0] == StormChild.Command)
            return StormChild.Run(args[1..]); // Before anything else: thousands of these start.
        if (args.Length > 0 && args[0] == MeasuredChild.Command)
            return MeasuredChild.Run(args[1..]);

        // Each attack is a folder with one class that makes its command.
        var root = new RootCommand("Attacks a store with deaths, stops and damage, and says what was lost.");
        foreach (Command command in FuzzCommand.Create())
            root.Add(command);
        root.Add(StormCommand.Create());
        root.Add(RecoveryTime.Create());
        root.Add(StoppedWriter.Create());
        root.Add(Instructions.InstructionsCommand.Make());
        root.Add(Instructions.FailPointsCommand.Make());
        root.Add(Instructions.PlantedBugsCommand.Make());
        return root.Parse(args).Invoke();
    }
}
