using System.CommandLine;
using FastPlasma.Cli.Nodes;
using FastPlasma.Transfer.Nodes;

namespace FastPlasma.Cli.Commands;

/// <summary>fastplasma stat</summary>
internal static class StatCommand
{
    internal static Command Create() => new StoreCommand(
        "stat", "Show memory, counts, copies by operation and the attached processes of a store.",
        "fastplasma stat --store features",
        "fastplasma stat --json | jq .stats.usedBytes")
        .Runs(Run);

    private static int Run(Call call)
    {
        using PlasmaStore store = call.Open(StoreAccess.ReadOnly);
        if (store.HugePagesAsked != HugePages.Never)
            store.TouchObjects(); // What this process has not touched it does not have in pages of any size.
        StoreStats stats = store.Stats();
        NodeReport? node = NodeAccess.Look(store, call.Cancellation);
        if (call.Json)
        {
            call.WriteJson(new StatJson(stats, CopyJson.Of(stats.Store), node), CliJson.Documents.StatJson);
            return ExitCodes.Ok;
        }

        foreach ((string label, string value) in Facts(stats))
            call.WriteLine($"{label,-18}  {value}");
        if (node is not null)
            call.WriteLine($"{"node service",-18}  {NodesCommand.Line(node)}");
        call.WriteLine();
        Copies(stats.Store).Write(call.Context);
        call.WriteLine();
        Participants(stats, DateTimeOffset.UtcNow).Write(call.Context);
        return ExitCodes.Ok;
    }

    private static IEnumerable<(string Label, string Value)> Facts(StoreStats stats)
    {
        yield return ("store", $"{TextTable.Printable(stats.Name)}  {stats.Uuid}");
        yield return ("capacity", $"{Sizes.Bytes(stats.CapacityBytes)}, reserved so far {Sizes.Bytes(stats.BackedBytes)}");
        yield return ("used", $"{Sizes.Bytes(stats.UsedBytes)} ({Percent(stats.UsedBytes, stats.CapacityBytes)} of capacity)");
        yield return ("waste", $"{Sizes.Bytes(stats.WasteBytes)} ({Percent(stats.WasteBytes, stats.UsedBytes)} of used), free in slabs {Sizes.Bytes(stats.SlabFreeBytes)}");
        yield return ("largest free run", Sizes.Bytes(stats.LargestFreeRunBytes));
        yield return ("objects", $"{Sizes.Count(stats.SealedCount)} sealed, {Sizes.Count(stats.CreatingCount)} being created, {Sizes.Count(stats.CondemnedCount)} condemned; at most {Sizes.Count(stats.ObjectCountMax)}");
        yield return ("evictable", $"{Sizes.Bytes(stats.EvictableBytes)}; {Sizes.Bytes(stats.KeepBytes)} to keep; {Sizes.Bytes(stats.PinnedBytes)} pinned by readers");
        yield return ("queue", Queue(stats, DateTimeOffset.UtcNow));
        yield return ("defaults", $"{(stats.DefaultRetention == Retention.Evictable ? "evictable" : "keep")}, time to live {(stats.DefaultTimeToLive is { } life ? Sizes.Duration(life) : "for ever")}, "
            + $"evict ahead {(stats.EvictAheadBytes == 0 ? "off" : Sizes.Bytes(stats.EvictAheadBytes))}");
        yield return ("being created", Sizes.Bytes(stats.CreatingBytes));
        yield return ("condemned", $"{Sizes.Bytes(stats.CondemnedBytes)} deleted or evicted, still read");
        if (Disk(stats) is { } disk)
        {
            yield return ("on disk", disk);
            yield return ("moved", $"{Sizes.Count(stats.Store.Spills)} copies written ({Sizes.Bytes(stats.Store.SpilledBytes)}), {Sizes.Count(stats.Store.Restores)} objects brought back ({Sizes.Bytes(stats.Store.RestoredBytes)}); "
                + $"failed: {Sizes.Count(stats.Store.SpillErrors)} and {Sizes.Count(stats.Store.RestoreErrors)}");
        }
        yield return ("metadata", $"{Sizes.Bytes(stats.MetaBytes)}, {Sizes.Digits(stats.MetaBytesPerObject)} B per possible object");
        yield return ("huge pages", $"asked {stats.HugePagesAsked.ToString().ToLowerInvariant()}, got {Sizes.Bytes(stats.HugePageBytes)} in 2 MiB pages");
        yield return ("populate", stats.PopulateTargetBytes == 0 ? "off" : $"{Sizes.Bytes(stats.PopulatedBytes)} of {Sizes.Bytes(stats.PopulateTargetBytes)}");
        yield return ("evictions", $"{Sizes.Count(stats.Store.Evictions)} ({Sizes.Bytes(stats.Store.EvictedBytes)})");
        yield return ("expirations", Sizes.Count(stats.Store.Expirations));
        yield return ("get misses", Sizes.Count(stats.Store.GetMisses));
        yield return ("deletes, aborts", $"{Sizes.Count(stats.Store.Deletes)}, {Sizes.Count(stats.Store.Aborts)}");
        yield return ("recoveries", $"{Sizes.Count(stats.Store.Recoveries)} of dead processes");
    }

    /// <summary>What is on disk; null for a store that has nothing there and never had.</summary>
    internal static string? Disk(StoreStats stats) => stats.SpilledCount == 0 && stats.CleanBytes == 0 && stats.Store.Spills == 0 ? null
        : $"{Sizes.Count(stats.SpilledCount)} objects with {Sizes.Bytes(stats.SpilledBytes)} only there; {Sizes.Bytes(stats.CleanBytes)} of memory has copies there";

    /// <summary>Who waits for memory.</summary>
    internal static string Queue(StoreStats stats, DateTimeOffset now) => stats.WaitingSince is not { } since
        ? "nobody waits for memory"
        : $"{Sizes.Count(stats.WaitingCount)} creates wait for {Sizes.Bytes(stats.WaitingBytes)}, the first for {Sizes.Age(now - since)}";

    /// <summary>How many copies each operation made: the question that the product answers.</summary>
    internal static TextTable Copies(OperationCounts counts)
    {
        var table = new TextTable("OPERATION", ">COUNT", ">PAYLOAD", ">COPIED IN USER SPACE", ">COPIES PER OBJECT");
        foreach (CopyJson row in CopyJson.Of(counts))
        {
            table.Add(
                row.Operation, Sizes.Count(row.Count), Sizes.Bytes(row.PayloadBytes), Sizes.Bytes(row.CopiedBytes),
                row.CopiesPerObject is { } copies ? copies.ToString("0.##", System.Globalization.CultureInfo.InvariantCulture) : "-");
        }

        return table;
    }

    internal static TextTable Participants(StoreStats stats, DateTimeOffset now)
    {
        var table = new TextTable(">PID", "PROCESS", ">UID", "ACCESS", ">ATTACHED", ">PINS", ">CREATING", "ALIVE");
        foreach (ParticipantInfo participant in stats.Participants)
        {
            table.Add(
                PidText(participant), participant.ProcessName,
                participant.Uid.ToString(), participant.Access == StoreAccess.ReadWrite ? "read-write" : "read-only", Sizes.Age(now - participant.AttachedAt),
                Sizes.Count(participant.Pins), Sizes.Count(participant.Creating), participant.TokenKept ? "gone, token kept by a child" : participant.Alive ? "yes" : "no");
        }

        return table;
    }

    private static string PidText(ParticipantInfo participant) => participant.OtherPidNamespace ? $"{participant.ProcessId} (other namespace)"
        : participant.ProcessId == Environment.ProcessId ? $"{participant.ProcessId} (this)" : participant.ProcessId.ToString();

    internal static string Percent(long part, long whole) => whole == 0 ? "0 %" : $"{Sizes.Digits(100.0 * part / whole)} %";
}
