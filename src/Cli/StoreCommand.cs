using System.CommandLine;
using System.Text.Json.Serialization.Metadata;

namespace FastPlasma.Cli;

/// <summary>A command with the common options, examples in its help, and a body that gets a <see cref="Call"/>.</summary>
internal sealed class StoreCommand : Command
{
    internal StoreCommand(string name, string description, params string[] examples)
        : base(name, description) => Examples = examples;

    /// <summary>Command lines for the help text.</summary>
    internal IReadOnlyList<string> Examples { get; }

    /// <summary>When this command ends with <see cref="ExitCodes.Negative"/>; null when it never does.</summary>
    internal string? NegativeMeans { get; private set; }

    /// <summary>Says what exit code 1 means for this command.</summary>
    internal StoreCommand NegativeWhen(string negativeMeans)
    {
        NegativeMeans = negativeMeans;
        return this;
    }

    /// <summary>Whether it ends by a signal, which is no failure then, and has time to do so.</summary>
    internal bool EndsBySignal { get; private set; }

    /// <summary>It is a service: a signal is its regular end.</summary>
    internal StoreCommand RunsUntilSignalled()
    {
        EndsBySignal = true;
        return this;
    }

    /// <summary>Adds the common options after the command's own, and the body.</summary>
    internal StoreCommand Runs(Func<Call, int> body, bool oneStore = true)
    {
        if (oneStore)
            Options.Add(StoreOptions.Store);
        Options.Add(StoreOptions.Directory);
        Options.Add(StoreOptions.Json);
        SetAction(parse => body(new Call(parse)));
        return this;
    }
}

/// <summary>One invocation of a command.</summary>
internal sealed class Call(ParseResult parse)
{
    internal CliContext Context { get; } = (CliContext)parse.InvocationConfiguration;

    internal CancellationToken Cancellation => Context.Cancellation;

    internal bool Json { get; } = parse.GetValue(StoreOptions.Json);

    internal string? Directory { get; } = parse.GetValue(StoreOptions.Directory);

    internal string StoreName => parse.GetValue(StoreOptions.Store)!;

    internal T? Value<T>(Option<T> option) => parse.GetValue(option);

    internal T? Value<T>(Argument<T> argument) => parse.GetValue(argument);

    /// <summary>Opens the store of the command line. Commands that only look open it read-only, which an admitted reader may do too.</summary>
    internal PlasmaStore Open(StoreAccess access, string? name = null)
    {
        name ??= StoreName;
        try
        {
            return PlasmaStore.Open(name, new PlasmaOptions { Access = access, Directory = Directory, PopulateAheadBytes = 0 });
        }
        catch (FileNotFoundException e)
        {
            throw StoreMissing(name, e);
        }
    }

    internal CliException StoreMissing(string name, Exception? cause = null) => new(
        ExitCodes.Store, Failure.StoreMissingStatus,
        $"store '{TextTable.Printable(name)}' does not exist in {Directory ?? "shared memory"}; 'fastplasma create' makes it, 'fastplasma stores' lists what is there", cause);

    /// <summary>Prints what went wrong with one of several items, so that the others still get their turn.</summary>
    /// <returns>The exit code of the failure.</returns>
    internal int Report(Exception exception)
    {
        Failure failure = Failure.Of(exception);
        Context.WriteFailure(failure, Invoked, Json);
        return failure.ExitCode;
    }

    internal string Invoked => CliApp.NameOf(parse.CommandResult.Command);

    internal void WriteLine(string line = "") => Context.Output.WriteLine(line);

    internal void WriteJson<T>(T value, JsonTypeInfo<T> type) => Context.WriteJson(value, type);
}
