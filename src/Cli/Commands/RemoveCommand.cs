using System.CommandLine;

namespace FastPlasma.Cli.Commands;

/// <summary>fastplasma rm</summary>
internal static class RemoveCommand
{
    private static readonly Argument<string[]> Keys = StoreOptions.Keys($"The objects to delete. {StoreOptions.KeyForms}");

    internal static Command Create() => new StoreCommand(
        "rm", "Delete objects. They are gone for new gets at once; the memory is free when the last reader lets go.",
        "fastplasma rm model.bin name:ticks")
    {
        Keys,
    }.NegativeWhen("an object was not found or is not sealed; the others are deleted").Runs(Run);

    private static int Run(Call call)
    {
        ObjectKey[] keys = [.. call.Value(Keys)!.Select(ObjectKey.Parse)];
        using PlasmaStore store = call.Open(StoreAccess.ReadWrite);
        var results = new List<RemovedJson>();
        int exitCode = ExitCodes.Ok;
        foreach (ObjectKey key in keys)
        {
            call.Cancellation.ThrowIfCancellationRequested();
            PlasmaStatus status = store.Delete(key.Id);
            results.Add(new RemovedJson(key.Id, key.Text, status));
            if (status == PlasmaStatus.Ok)
                continue;
            string why = status switch
            {
                PlasmaStatus.NotFound => $"no object {key} in store '{store.Name}'",
                PlasmaStatus.NotSealed => $"object {key} is still being created and cannot be deleted",
                _ => $"object {key} cannot be deleted: {status}",
            };
            exitCode = call.Report(CliException.Of(status, why));
        }

        if (call.Json)
            call.WriteJson([.. results], CliJson.Documents.RemovedJsonArray);
        return exitCode;
    }
}
