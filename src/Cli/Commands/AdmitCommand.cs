using System.CommandLine;

namespace FastPlasma.Cli.Commands;

/// <summary>fastplasma admit</summary>
internal static class AdmitCommand
{
    private static readonly Option<string[]> Readers = new("--reader")
    {
        Description = "User name or decimal uid; may be repeated.",
        HelpName = "USER",
        Required = true,
        Arity = ArgumentArity.OneOrMore,
    };

    internal static Command Create() => new StoreCommand(
        "admit", "Let other users read a store. They can corrupt nothing: they map it read-only and own nothing but their pins.",
        "fastplasma admit --reader alice --reader 1007")
    {
        Readers,
    }.Runs(Run);

    private static int Run(Call call)
    {
        string[] readers = call.Value(Readers)!;
        using PlasmaStore store = call.Open(StoreAccess.ReadWrite);
        foreach (string reader in readers)
        {
            store.AdmitReader(reader);
            if (!call.Json)
                call.WriteLine($"{TextTable.Printable(reader)} may read {store.Name}");
        }

        if (call.Json)
            call.WriteJson(new AdmitJson(store.Name, readers), CliJson.Documents.AdmitJson);
        return ExitCodes.Ok;
    }
}
