using System.CommandLine;

namespace FastPlasma.Cli.Commands;

/// <summary>fastplasma destroy</summary>
internal static class DestroyCommand
{
    private const int IdleMs = 3000, DetachMs = 30_000;

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
        PlasmaStore store = call.Open(StoreAccess.ReadWrite);
        Kept kept;
        using (store)
        {
            if (!store.SpillInfo().IsPersistent)
                throw CliException.Usage($"store '{store.Name}' was not made with --persist: nothing of it can stay");
            kept = LongWork.Run(call, "to disk", progress => MoveToDisk(store, progress));
        }
        for (long end = Environment.TickCount64 + DetachMs; !store.IsDetached; Thread.Sleep(10)) // The last writer leaves the catalogue then.
            if (Environment.TickCount64 > end)
                throw new CliException(ExitCodes.Store, nameof(PlasmaStatus.Closed), $"store '{store.Name}' could not be closed within {DetachMs / 1000} s, and is not destroyed; its objects are on disk and in memory as before");
        return kept;
    }

    private static Kept MoveToDisk(PlasmaStore store, LongWork progress)
    {
        const long sliceBytes = 64 << 20;
        long all = Math.Max(1, store.Stats().UsedBytes), moved = 0;
        long idleSince = Environment.TickCount64;
        while (true) // Ends when there is nothing to move, when nothing moves for some time, or when twice what there was has moved: others put or get at the same time.
        {
            progress.Report(Math.Min(1, (double)moved / all));
            long slice = store.Unload(sliceBytes);
            (moved, idleSince) = slice > 0 ? (moved + slice, Environment.TickCount64) : (moved, idleSince);
            if (slice > 0 && moved < 2 * all)
                continue;
            ObjectInfo[] objects = [.. store.List().Where(static info => info.IsSealed)];
            bool isLeft = objects.Any(static info => !info.IsOnDisk && info.Retention == Retention.Keep && info.Holders.Count == 0); // Being copied by another thread, or the disk takes no more.
            if (!isLeft)
                return new Kept(objects.Count(static info => info.IsOnDisk), objects.Count(static info => !info.IsOnDisk));
            if (moved >= 2 * all || Environment.TickCount64 - idleSince > IdleMs)
                throw CannotMove(store, objects);
            Thread.Sleep(20);
        }
    }

    private static CliException CannotMove(PlasmaStore store, ObjectInfo[] objects)
    {
        string[] problems = [.. store.SpillInfo().Directories.Select(static directory => directory.Problem).OfType<string>()];
        string why = problems.Length > 0 ? string.Join("; ", problems) : "others put or get objects at the same time";
        return new CliException(ExitCodes.InputOutput, Failure.InputOutputStatus, $"{Sizes.Count(objects.Count(static info => !info.IsOnDisk))} objects of store '{store.Name}' are in memory only and could not all be moved to disk ({why}); nothing was destroyed");
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
