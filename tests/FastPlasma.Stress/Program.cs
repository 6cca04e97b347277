using System.CommandLine;

namespace FastPlasma.Stress;

internal static class Program
{
    private static int Main(string[] args)
    {
        // Each attack is a folder with one class that makes its command.
        var root = new RootCommand("Attacks a store with deaths, stops and damage, and says what was lost.");
        root.Add(Instructions.InstructionsCommand.Make());
        root.Add(Instructions.FailPointsCommand.Make());
        root.Add(Instructions.PlantedBugsCommand.Make());
        return root.Parse(args).Invoke();
    }
}
