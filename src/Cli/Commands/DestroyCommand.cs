using System.CommandLine;

namespace FastPlasma.Cli.Commands;

/// <summary>fastplasma destroy</summary>
internal static class DestroyCommand
{
    private static readonly Option<bool> Yes = new("--yes", "-y") { Description = "Do not ask." };

    private static readonly Option<bool> KeepSpilled = new("--keep-spilled")
    {
        Description = "Move what is in memory of a store made with --persist to disk, and leave it there for the next store of that name. Objects that may be evicted do not stay.",
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
        Kept? kept = call.Value(KeepSpilled) ? MoveToDisk(call) : null;
        if (!PlasmaStore.Destroy(call.StoreName, call.Directory, keepSpilled: kept is not null))
            throw call.StoreMissing(call.StoreName);
        if (call.Json)
            call.WriteJson(new DestroyedJson(call.StoreName, true, kept?.OnDisk ?? 0, kept?.Gone ?? 0), CliJson.Documents.DestroyedJson);
        else
            call.WriteLine($"destroyed {call.StoreName}{(kept is null ? "" : $"; {Sizes.Count(kept.OnDisk)} objects stay on disk, {Sizes.Count(kept.Gone)} in memory only are gone")}");
        return ExitCodes.Ok;
    }

    /// <summary>Objects that stay, and those that do not: being read, or evictable, or the disk takes no more.</summary>
    private sealed record Kept(int OnDisk, int Gone);

    private static Kept MoveToDisk(Call call)
    {
        const long sliceBytes = 64 << 20;
        using PlasmaStore store = call.Open(StoreAccess.ReadWrite);
        if (!store.SpillInfo().IsPersistent)
            throw CliException.Usage($"store '{store.Name}' was not made with --persist: nothing of it can stay");
        return LongWork.Run(call, "to disk", progress =>
        {
            long all = Math.Max(1, store.Stats().UsedBytes), moved = 0;
            for (long slice = 1; slice > 0; moved += slice) // Ends: each slice moves something, or it is the last.
            {
                progress.Report(Math.Min(1, (double)moved / all));
                slice = store.Unload(sliceBytes);
            }
            IReadOnlyList<ObjectInfo> sealedOnes = [.. store.List().Where(static info => info.IsSealed)];
            int onDisk = sealedOnes.Count(static info => info.IsOnDisk);
            return new Kept(onDisk, sealedOnes.Count - onDisk);
        });
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
