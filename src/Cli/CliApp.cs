using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.Runtime.InteropServices;
using FastPlasma.Cli.Bench;
using FastPlasma.Cli.Commands;
using FastPlasma.Cli.Demo;

namespace FastPlasma.Cli;

/// <summary>The command tree, and how a run ends: every failure becomes one line and an exit code.</summary>
internal static class CliApp
{
    /// <summary>How long a command has to clean up after Ctrl-C, by whether it works alone or with child processes and other nodes. A store survives the death of
    /// a process at any instruction, so ending it is safe.</summary>
    private static readonly TimeSpan CleanUpTime = TimeSpan.FromSeconds(1), CleanUpTimeWithChildren = TimeSpan.FromSeconds(10);

    private static bool s_isStoreCommand = true, s_endsBySignal;

    // A field, so that the collector leaves the running timer alone.
    private static Timer? s_cleanUp;

    /// <summary>All commands, in the order of the help.</summary>
    private static IEnumerable<Command> Commands() =>
    [
        CreateCommand.Create(),
        DestroyCommand.Create(),
        StoresCommand.Create(),
        PutCommand.Create(),
        GetCommand.CreateGet(),
        GetCommand.CreateCat(),
        ListCommand.Create(),
        StatCommand.Create(),
        TopCommand.Create(),
        WaitCommand.Create(),
        RemoveCommand.Create(),
        EvictCommand.Create(),
        AdmitCommand.Create(),
        VerifyCommand.Create(),
        SpillCommand.Create(),
        ServeCommand.Create(),
        NodesCommand.Create(),
        PullCommand.Create(),
        PushCommand.Create(),
        LocateCommand.Create(),
        DemoCommand.Create(),
        BenchCommand.Create(),
    ];

    /// <summary>Runs with the process's own streams and signals.</summary>
    internal static int RunProcess(string[] args)
    {
        var cancellation = new CancellationTokenSource(); // Never disposed: a late signal may still cancel it.
        int signalCode = 0;
        void OnSignal(PosixSignalContext signal)
        {
            signal.Cancel = true;
            int code = signal.Signal == PosixSignal.SIGTERM ? ExitCodes.Terminated : ExitCodes.Interrupted;
            if (Interlocked.CompareExchange(ref signalCode, code, 0) != 0)
                ExitNow(code); // The second signal does not wait.
            TimeSpan grace = Volatile.Read(ref s_isStoreCommand) ? CleanUpTime : CleanUpTimeWithChildren;
            Volatile.Write(ref s_cleanUp, new Timer(static state => ExitNow((int)state!), code, grace, Timeout.InfiniteTimeSpan));
            cancellation.Cancel();
        }

        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal);
        int exitCode = Run(args, CliContext.OfProcess(cancellation.Token));
        return signalCode != 0 && !s_endsBySignal ? signalCode : exitCode;
    }

    private static void ExitNow(int code)
    {
        if (!Console.IsErrorRedirected)
            Console.Error.Write("\e[?25h"); // A progress bar or live view may have hidden the cursor.
        Environment.Exit(code);
    }

    /// <summary>Runs one command line.</summary>
    internal static int Run(string[] args, CliContext context)
    {
        RootCommand root = BuildRoot();
        bool helpOnly = args.Length == 0;
        // A file may be called @x: response files are off.
        ParseResult parse = root.Parse(helpOnly ? ["--help"] : args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        Volatile.Write(ref s_endsBySignal, parse.CommandResult.Command is StoreCommand { EndsBySignal: true });
        Volatile.Write(ref s_isStoreCommand, parse.CommandResult.Command is StoreCommand { EndsBySignal: false } or RootCommand);
        string command = NameOf(parse.CommandResult.Command);
        bool json = args.TakeWhile(static argument => argument != "--").Contains("--json");
        int exitCode;
        try
        {
            if (parse.Action is null or ParseErrorAction)
            {
                context.WriteFailure(new Failure(ExitCodes.Usage, Failure.UsageStatus, $"{ParseErrors(parse)} (see '{command} --help')"), command, json);
                return ExitCodes.Usage;
            }

            exitCode = parse.InvokeAsync(context, context.Cancellation).GetAwaiter().GetResult();
        }
        catch (Exception e)
        {
            Failure failure = Failure.Of(e is AggregateException { InnerException: { } inner } ? inner : e);
            if (context.IsOutputClosed() && e is IOException)
                return ExitCodes.Ok;
            context.WriteFailure(failure, command, json);
            exitCode = failure.ExitCode;
        }

        try
        {
            context.Output.Flush();
        }
        catch (IOException e) when (exitCode == ExitCodes.Ok && !context.IsOutputClosed())
        {
            context.WriteFailure(Failure.Of(CliException.InputOutput("write", "stdout", e)), command, json);
            exitCode = ExitCodes.InputOutput;
        }
        catch (IOException)
        {
            // The reader has gone, which is its right, or an earlier failure was told already.
        }

        return helpOnly && exitCode == ExitCodes.Ok ? ExitCodes.Usage : exitCode;
    }

    /// <summary>All errors in one line. After an unknown command every further word is unknown too: only the first is told.</summary>
    private static string ParseErrors(ParseResult parse)
    {
        if (parse.CommandResult.Command is RootCommand && parse.UnmatchedTokens.Count > 0)
            return $"there is no {(parse.UnmatchedTokens[0].StartsWith('-') ? "option" : "command")} '{TextTable.Printable(parse.UnmatchedTokens[0])}'";
        return TextTable.Printable(string.Join(" ", parse.Errors.Select(static error => error.Message).Distinct()));
    }

    /// <summary>The name with its parents, as it was typed: "fastplasma put".</summary>
    internal static string NameOf(Command command) =>
        command is RootCommand ? "fastplasma" : command.Parents.OfType<Command>().FirstOrDefault() is { } parent ? $"{NameOf(parent)} {command.Name}" : command.Name;

    internal static RootCommand BuildRoot()
    {
        var root = new RootCommand("Shared-memory object store: large immutable objects, put once, read by any process in place and without a copy.");
        foreach (Command command in Commands())
            root.Add(command);
        foreach (HelpOption help in root.Options.OfType<HelpOption>())
        {
            if (help.Action is HelpAction usual)
                help.Action = new ExampleHelpAction(usual);
        }

        return root;
    }
}
