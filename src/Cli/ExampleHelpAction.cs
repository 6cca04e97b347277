using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace FastPlasma.Cli;

/// <summary>The usual help, then examples and exit codes.</summary>
internal sealed class ExampleHelpAction(HelpAction usual) : SynchronousCommandLineAction
{
    public override bool ClearsParseErrors => true;

    public override int Invoke(ParseResult parseResult)
    {
        int code = usual.Invoke(parseResult);
        TextWriter output = parseResult.InvocationConfiguration.Output;
        if (parseResult.CommandResult.Command is StoreCommand command)
        {
            output.WriteLine(command.Examples.Count == 1 ? "Example:" : "Examples:");
            foreach (string example in command.Examples)
                output.WriteLine($"  {example}");
            output.WriteLine();
            string negative = command.NegativeMeans is null ? "" : $", {ExitCodes.Negative} {command.NegativeMeans}";
            output.WriteLine("Exit codes:");
            output.WriteLine($"  {ExitCodes.Ok} done{negative}, {ExitCodes.Usage} usage, {ExitCodes.Store} store cannot be used,");
            output.WriteLine($"  {ExitCodes.Full} no room, {ExitCodes.InputOutput} file or stream error, {ExitCodes.Interrupted} Ctrl-C");
        }
        else if (parseResult.CommandResult.Command is RootCommand)
        {
            output.WriteLine("Exit codes:");
            output.WriteLine($"    {ExitCodes.Ok}  done");
            output.WriteLine($"    {ExitCodes.Negative}  negative result: not found, exists, not sealed, deadline passed, verify found problems");
            output.WriteLine($"    {ExitCodes.Usage}  the command line is wrong");
            output.WriteLine($"    {ExitCodes.Store}  the store is missing, not accessible, incompatible or corrupt");
            output.WriteLine($"    {ExitCodes.Full}  no room: memory, object records or pin slots");
            output.WriteLine($"    {ExitCodes.InputOutput}  a file, stdin or stdout could not be read or written");
            output.WriteLine($"   {ExitCodes.Internal}  a bug of this program");
            output.WriteLine($"  {ExitCodes.Interrupted}  ended by Ctrl-C ({ExitCodes.Terminated}: by SIGTERM)");
        }

        return code;
    }
}
