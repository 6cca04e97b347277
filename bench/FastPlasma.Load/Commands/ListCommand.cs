using System.CommandLine;
using FastPlasma.Load.Peers;
using FastPlasma.Load.Scenarios;
using Spectre.Console;

namespace FastPlasma.Load.Commands;

/// <summary>What can be measured.</summary>
internal static class ListCommand
{
    internal static Command Create()
    {
        Command command = new("list", "Show scenarios and peers, and which of them can run here.");
        command.SetAction(_ => Write(AnsiConsole.Console));
        return command;
    }

    private static void Write(IAnsiConsole console)
    {
        console.MarkupLine("[bold]Scenarios[/]");
        foreach (IScenario scenario in ScenarioList.All)
            Entry(console, scenario.Name, scenario.Question + (scenario.Missing is { } missing ? $" Cannot run here: {missing}" : ""));
        console.MarkupLine("\n[bold]Peers[/]");
        foreach (IPeer peer in PeerList.All)
            Entry(console, peer.Name, peer.Description + (peer.IsShared ? "" : " Threads of one process only.") + (peer.Missing is { } missing ? $" Cannot run here: {missing}" : ""));
        Entry(console, PeerList.Ceiling.Name, PeerList.Ceiling.Description + " Always measured.");
    }

    private static void Entry(IAnsiConsole console, string name, string text)
    {
        Grid grid = new();
        grid.AddColumn(new GridColumn().Width(16).NoWrap().PadLeft(2));
        grid.AddColumn();
        grid.AddRow(new Text(name), new Text(text));
        console.Write(grid);
    }
}
