using System.CommandLine;

namespace FastPlasma.Cli.Commands;

/// <summary>fastplasma stores</summary>
internal static class StoresCommand
{
    internal static Command Create() => new StoreCommand(
        "stores", "List the stores of the shared memory, or of --directory.",
        "fastplasma stores")
        .Runs(Run, oneStore: false);

    private static int Run(Call call)
    {
        StoreSummaryJson[] summaries = [.. PlasmaStore.ListStores(call.Directory).Order(StringComparer.Ordinal).Select(name => Summary(call, name))];
        if (call.Json)
        {
            call.WriteJson(summaries, CliJson.Documents.StoreSummaryJsonArray);
            return ExitCodes.Ok;
        }

        var table = new TextTable("STORE", ">CAPACITY", ">USED", ">OBJECTS", ">PROCESSES", "PROBLEM");
        foreach (StoreSummaryJson summary in summaries)
        {
            table.Add(
                summary.Name, Size(summary.CapacityBytes), Size(summary.UsedBytes), summary.SealedCount is { } count ? Sizes.Count(count) : "-",
                summary.ParticipantCount?.ToString() ?? "-", summary.Problem ?? "");
        }

        table.Write(call.Context);
        return ExitCodes.Ok;
    }

    /// <summary>A store that cannot be opened is still listed, with the reason.</summary>
    private static StoreSummaryJson Summary(Call call, string name)
    {
        call.Cancellation.ThrowIfCancellationRequested();
        try
        {
            using PlasmaStore store = call.Open(StoreAccess.ReadOnly, name);
            StoreStats stats = store.Stats();
            // This command's own attachment is not counted.
            return new(name, stats.Uuid, stats.CapacityBytes, stats.UsedBytes, stats.SealedCount, stats.Participants.Count - 1, null);
        }
        catch (Exception e) when (Failure.Of(e).ExitCode != ExitCodes.Internal)
        {
            return new(name, null, null, null, null, null, Failure.Of(e).Message);
        }
    }

    private static string Size(long? bytes) => bytes is { } known ? Sizes.Bytes(known) : "-";
}
