using System.CommandLine;

namespace FastPlasma.Cli;

/// <summary>The options that every command of a store has.</summary>
internal static class StoreOptions
{
    internal const string StoreVariable = "FASTPLASMA_STORE";

    /// <summary>--store</summary>
    internal static readonly Option<string> Store = new("--store", "-s")
    {
        Description = $"Name of the store; the environment variable {StoreVariable} changes the default.",
        HelpName = "NAME",
        DefaultValueFactory = static _ => Environment.GetEnvironmentVariable(StoreVariable) is { Length: > 0 } name ? name : "default",
    };

    /// <summary>--directory</summary>
    internal static readonly Option<string?> Directory = new("--directory", "-d")
    {
        Description = "Folder of the store's files instead of the system's shared memory.",
        HelpName = "DIR",
    };

    /// <summary>--json</summary>
    internal static readonly Option<bool> Json = new("--json") { Description = "Print JSON: raw bytes, seconds and ISO 8601 times; errors too." };

    /// <summary>A --timeout with its own description and default.</summary>
    internal static Option<TimeSpan?> Timeout(string description) => new("--timeout", "-t")
    {
        Description = description,
        HelpName = "DURATION",
        CustomParser = static result => Sizes.ParseDuration(result),
    };

    /// <summary>A --ttl with its own description and default.</summary>
    internal static Option<TimeSpan?> TimeToLive(string description) => new("--ttl")
    {
        Description = description,
        HelpName = "DURATION",
        CustomParser = static result =>
        {
            TimeSpan life = Sizes.ParseDuration(result);
            if (life <= TimeSpan.Zero && !result.Errors.Any())
                result.AddError($"--ttl is '{result.Tokens[^1].Value}'; it has to be more than 0.");
            return life;
        },
    };

    /// <summary>An ID|NAME argument list.</summary>
    internal static Argument<string[]> Keys(string description) =>
        new("ID|NAME") { Description = description, Arity = ArgumentArity.OneOrMore };

    /// <summary>What every ID|NAME help line says.</summary>
    internal const string KeyForms = "56 or 40 hexadecimal digits are an id, anything else a name; id: and name: in front decide explicitly.";
}
