using System.CommandLine;

namespace FastPlasma.Cli.Commands;

/// <summary>fastplasma destroy</summary>
internal static class DestroyCommand
{
    private static readonly Option<bool> Yes = new("--yes", "-y") { Description = "Do not ask." };

    private static readonly Option<bool> KeepSpilled = new("--keep-spilled")
    {
        Description = "Leave what a store made with --persist has on disk, for the next one of that name.",
    };

    internal static Command Create() => new StoreCommand(
        "destroy", "Remove a store with all its objects. Processes that are attached keep what they have open until they end.",
        "fastplasma destroy --store features --yes")
    {
        Yes, KeepSpilled,
    }.NegativeWhen("declined").Runs(Run);

    private static int Run(Call call)
    {
        if (!call.Value(Yes) && !Confirm(call))
            return ExitCodes.Negative;
        if (!PlasmaStore.Destroy(call.StoreName, call.Directory, call.Value(KeepSpilled)))
            throw call.StoreMissing(call.StoreName);
        if (call.Json)
            call.WriteJson(new DestroyedJson(call.StoreName, true), CliJson.Documents.DestroyedJson);
        else
            call.WriteLine($"destroyed {call.StoreName}");
        return ExitCodes.Ok;
    }

    private static bool Confirm(Call call)
    {
        if (!call.Context.InputIsTerminal || call.Context.ErrorTerminal is null)
            throw CliException.Usage("destroy asks only on a terminal; say --yes");
        string content = "its content cannot be read";
        try
        {
            using PlasmaStore store = call.Open(StoreAccess.ReadOnly);
            StoreStats stats = store.Stats();
            content = $"{Sizes.Count(stats.SealedCount)} objects, {Sizes.Bytes(stats.UsedBytes)}, {stats.Participants.Count - 1} other processes attached";
        }
        catch (Exception e) when (e is PlasmaFormatException or IOException or UnauthorizedAccessException)
        {
            content += $": {Failure.MessageOf(e)}";
        }

        call.Context.Error.Write($"Destroy store {call.StoreName} ({content})? [y/N] ");
        // A read of the terminal cannot be canceled; Ctrl-C leaves it behind.
        Task<string?> answer = Task.Run(Console.ReadLine, CancellationToken.None);
        answer.Wait(call.Cancellation);
        return answer.Result?.Trim().ToUpperInvariant() is "Y" or "YES";
    }
}
