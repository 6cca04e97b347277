using System.CommandLine;
using System.CommandLine.Parsing;
using System.Diagnostics;

namespace FastPlasma.Cli.Commands;

/// <summary>fastplasma create</summary>
internal static class CreateCommand
{
    /// <summary>Population that makes no progress for this long has ended: memory was refused.</summary>
    private static readonly TimeSpan PopulateStallTime = TimeSpan.FromSeconds(5);

    private static readonly Option<long> Capacity = new("--capacity")
    {
        Description = "Limit of payload memory, rounded up to 2 MiB; memory is taken as it is needed.",
        HelpName = "SIZE",
        Required = true,
        CustomParser = Sizes.ParseBytes,
    };

    private static readonly Option<int> Objects = new("--objects")
    {
        Description = "Limit of objects at one time; 0 takes one per 32 KiB of capacity, at least 4096.",
        HelpName = "N",
    };

    private static readonly Option<HugePages> Huge = new("--huge-pages")
    {
        Description = "2 MiB pages: never, auto (where they can be had) or require (else an error).",
        HelpName = "never|auto|require",
        CustomParser = ParseHugePages,
        DefaultValueFactory = static _ => HugePages.Never,
    };

    private static readonly Option<UnixFileMode> Mode = new("--mode")
    {
        Description = "Rights of the store's files in octal; group rights make the group's members writers. Default 0600.",
        HelpName = "MODE",
        CustomParser = ParseMode,
    };

    private static readonly Option<string?> Group = new("--group") { Description = "Group of the store's files.", HelpName = "GROUP" };

    private static readonly Option<bool> Evictable = new("--evictable") { Description = "Objects that do not say otherwise may be dropped, least recently used first, when memory is short." };

    private static readonly Option<long?> Populate = new("--populate")
    {
        Description = "Memory to reserve right now instead of at first use; the command ends when it is there.",
        HelpName = "SIZE",
        CustomParser = static result => Sizes.ParseBytes(result),
    };

    internal static Command Create() => new StoreCommand(
        "create", "Create a store. Its content stays until it is destroyed or the machine restarts; no process has to keep running.",
        "fastplasma create --capacity 4GiB",
        "fastplasma create --store features --capacity 64GiB --huge-pages auto --mode 0660 --group quants --populate 8GiB")
    {
        Capacity, Objects, Huge, Mode, Group, Evictable, Populate,
    }.Runs(Run);

    private static int Run(Call call)
    {
        long capacityBytes = call.Value(Capacity), populateBytes = call.Value(Populate) ?? 0;
        if (capacityBytes <= 0)
            throw CliException.Usage($"--capacity is {capacityBytes} bytes; it has to be more than 0");
        if (populateBytes > capacityBytes)
            throw CliException.Usage($"--populate {Sizes.Bytes(populateBytes)} is more than --capacity {Sizes.Bytes(capacityBytes)}");
        if (call.Value(Objects) < 0)
            throw CliException.Usage($"--objects is {call.Value(Objects)}; it has to be 0 (automatic) or more");
        var options = new PlasmaOptions
        {
            CapacityBytes = capacityBytes,
            ObjectCountMax = call.Value(Objects),
            HugePages = call.Value(Huge),
            Group = call.Value(Group),
            Directory = call.Directory,
            DefaultRetention = call.Value(Evictable) ? Retention.Evictable : Retention.Keep,
            PopulateAheadBytes = populateBytes,
        };
        if (call.Value(Mode) is not UnixFileMode.None and var mode)
            options = options with { Mode = mode };

        using PlasmaStore store = PlasmaStore.Create(call.StoreName, options);
        if (populateBytes > 0)
            LongWork.Run(call, $"populate {call.StoreName}", progress => WaitForPopulation(call, store, progress));
        StoreStats stats = store.Stats();
        if (call.Json)
        {
            call.WriteJson(
                new CreatedJson(stats.Name, stats.Uuid, stats.CapacityBytes, stats.ObjectCountMax, stats.HugePagesAsked, stats.BackedBytes, stats.MetaBytes),
                CliJson.Documents.CreatedJson);
        }
        else
        {
            call.WriteLine(
                $"created {stats.Name}: capacity {Sizes.Bytes(stats.CapacityBytes)}, at most {Sizes.Count(stats.ObjectCountMax)} objects, "
                + $"metadata {Sizes.Bytes(stats.MetaBytes)}, reserved now {Sizes.Bytes(stats.BackedBytes)}");
        }

        return ExitCodes.Ok;
    }

    private static bool WaitForPopulation(Call call, PlasmaStore store, LongWork progress)
    {
        long before = -1;
        long since = Stopwatch.GetTimestamp();
        while (true)
        {
            StoreStats stats = store.Stats();
            long target = stats.PopulateTargetBytes;
            if (stats.BackedBytes >= target)
                return true;
            if (stats.BackedBytes != before)
                (before, since) = (stats.BackedBytes, Stopwatch.GetTimestamp());
            else if (Stopwatch.GetElapsedTime(since) > PopulateStallTime)
                throw CliException.Of(PlasmaStatus.StoreFull, $"the store exists, but only {Sizes.Bytes(before)} of {Sizes.Bytes(target)} could be reserved");
            progress.Report((double)stats.BackedBytes / target);
            call.Cancellation.WaitHandle.WaitOne(20);
        }
    }

    private static HugePages ParseHugePages(ArgumentResult result)
    {
        string text = result.Tokens.Count == 0 ? "" : result.Tokens[^1].Value;
        switch (text)
        {
            case "never": return HugePages.Never;
            case "auto": return HugePages.Auto;
            case "require": return HugePages.Require;
            default:
                result.AddError($"--huge-pages is '{text}'; it has to be never, auto or require.");
                return default;
        }
    }

    private static UnixFileMode ParseMode(ArgumentResult result)
    {
        string text = result.Tokens.Count == 0 ? "" : result.Tokens[^1].Value;
        int mode = 0;
        bool isOctal = text.Length is > 0 and <= 4 && text.All(static digit => digit is >= '0' and <= '7');
        foreach (char digit in isOctal ? text : "")
            mode = (mode * 8) + (digit - '0');
        if (!isOctal || mode is 0 or > 511)
            result.AddError($"--mode is '{text}'; it has to be an octal number from 1 to 0777, for example 0660.");
        return (UnixFileMode)mode;
    }
}
