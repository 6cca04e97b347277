using System.CommandLine;
using FastPlasma.Load.Driver;

namespace FastPlasma.Load.Commands;

/// <summary>The second process of a peer's self-check, started by the driver alone.</summary>
internal static class CheckCommand
{
    internal const string Name = "__check";

    internal static Command Create()
    {
        Argument<string> peer = new("peer"), address = new("address"), directory = new("directory");
        Command command = new(Name) { peer, address, directory };
        command.Hidden = true;
        command.SetAction(parse => SelfCheck.RunOther(parse.GetRequiredValue(peer), parse.GetRequiredValue(address), parse.GetRequiredValue(directory)));
        return command;
    }
}
