using System.CommandLine;
using FastPlasma.Stress.Fuzz;

namespace FastPlasma.Stress;

internal static class Program
{
    private static int Main(string[] args)
    {
        // Each attack is a folder with one class that makes its command.
        var root = new RootCommand("Attacks a store with deaths, stops and damage, and says what was lost.");
        foreach (Command command in FuzzCommand.Create())
            root.Add(command);
        return root.Parse(args).Invoke();
    }
}
