using System.CommandLine;

namespace FastPlasma.Cli.Commands;

/// <summary>fastplasma ls</summary>
internal static class ListCommand
{
    private const int ShortIdDigits = 12;

    private static readonly Option<bool> Pins = new("--pins") { Description = "One line per object and attachment that reads it: process id, command name, handles, since when." };

    internal static Command Create() => new StoreCommand(
        "ls", "List the objects of a store, oldest first. A terminal shows the first digits of an id that follows from the object's name.",
        "fastplasma ls",
        "fastplasma ls --pins",
        "fastplasma ls --json | jq -r '.[] | select(.pins > 0) | .name'")
    {
        Pins,
    }.Runs(Run);

    private static int Run(Call call)
    {
        using PlasmaStore store = call.Open(StoreAccess.ReadOnly);
        DateTimeOffset now = DateTimeOffset.UtcNow;
        bool pinsOnly = call.Value(Pins);
        ObjectInfo[] objects = [.. store.List().Where(info => !pinsOnly || info.Holders.Count > 0).OrderBy(static info => info.CreatedAt).ThenBy(static info => info.Id)];
        if (call.Json)
        {
            call.WriteJson([.. objects.Select(info => ToJson(info, now))], CliJson.Documents.ObjectJsonArray);
            return ExitCodes.Ok;
        }

        if (pinsOnly)
        {
            var holders = new TextTable("ID", "NAME", ">SIZE", "STATE", ">PID", "PROCESS", ">PINS", "SINCE", ">AGE");
            foreach (ObjectInfo info in objects)
                foreach (PinHolder holder in info.Holders.OrderBy(static holder => holder.Since))
                    holders.Add(
                        IdText(call, info), info.Name, Sizes.Bytes(info.PayloadBytes), StateText(info),
                        holder.OtherPidNamespace ? $"{holder.ProcessId} (other namespace)" : holder.ProcessId.ToString(), holder.ProcessName,
                        Sizes.Count(holder.Pins), holder.Since.ToString("u"), Sizes.Age(now - holder.Since));
            holders.Write(call.Context);
            return ExitCodes.Ok;
        }

        var table = new TextTable("ID", "NAME", ">SIZE", "STATE", ">AGE", ">EXPIRES", ">PINS", "HOLDERS");
        foreach (ObjectInfo info in objects)
        {
            table.Add(
                IdText(call, info), info.Name, Sizes.Bytes(info.PayloadBytes), StateText(info), Sizes.Age(now - info.CreatedAt),
                info.ExpiresAt is { } end ? $"in {Sizes.Age(end > now ? end - now : TimeSpan.Zero)}" : "-", Sizes.Count(info.Holders.Sum(static holder => holder.Pins)), HoldersText(info, now));
        }

        table.Write(call.Context);
        return ExitCodes.Ok;
    }

    private static ObjectJson ToJson(ObjectInfo info, DateTimeOffset now) => new(
        info.Id, info.Name, info.ContentType, info.State, info.Retention, info.PayloadBytes, info.MetadataBytes, info.BlockBytes, info.CreatedAt,
        info.SealedAt, info.ExpiresAt, Math.Max(0, (now - info.CreatedAt).TotalSeconds), info.Incarnation.ToString("x16"), info.IsReplica, info.CreatorProcessId,
        info.Holders.Sum(static holder => holder.Pins), info.Holders);

    /// <summary>What the user can type to get the object is always visible: the whole id, or a part of it beside the name.</summary>
    private static string IdText(Call call, ObjectInfo info)
    {
        string id = info.Id.ToString();
        return call.Context.OutTerminal is not null && info.Name.Length > 0 && ObjectId.FromName(info.Name) == info.Id ? $"{id[..ShortIdDigits]}…" : id;
    }

    private static string StateText(ObjectInfo info)
    {
        string state = info.State.ToString().ToLowerInvariant();
        return info.State switch
        {
            ObjectState.Creating or ObjectState.Tentative when info.CreatorProcessId != 0 => $"{state} by {info.CreatorProcessId}",
            ObjectState.Sealed => $"{state}{(info.Retention == Retention.Evictable ? ", evictable" : "")}{(info.IsReplica ? ", replica" : "")}{(info.IsOnDisk ? ", on disk too" : "")}",
            _ => state,
        };
    }

    private static string HoldersText(ObjectInfo info, DateTimeOffset now) => string.Join(
        ", ", info.Holders.Select(holder => $"{holder.ProcessName}[{holder.ProcessId}] ×{holder.Pins} {Sizes.Age(now - holder.Since)}"));
}
