using System.CommandLine;
using System.CommandLine.Parsing;
using FastPlasma.Files;

namespace FastPlasma.Cli.Commands;

/// <summary>fastplasma create</summary>
internal static class CreateCommand
{
    /// <summary>Piece of one reservation: small enough for a progress bar and a quick Ctrl-C.</summary>
    private const long PopulateStepBytes = 64L << 20;

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
        Description = "2 MiB pages: never, auto (where the file system gives them at no cost) or require (made of small ones if need be, else an error). Default auto.",
        HelpName = "never|auto|require",
        CustomParser = ParseHugePages,
    };

    private static readonly Option<UnixFileMode> Mode = new("--mode")
    {
        Description = "Rights of the store's files in octal; group rights make the group's members writers. Default 0600.",
        HelpName = "MODE",
        CustomParser = ParseMode,
    };

    private static readonly Option<string?> Group = new("--group") { Description = "Group of the store's files.", HelpName = "GROUP" };

    private static readonly Option<bool> Evictable = new("--evictable") { Description = "Objects that do not say otherwise may be dropped when memory is short; those that were not read for long go first." };

    private static readonly Option<TimeSpan?> TimeToLive = StoreOptions.TimeToLive("How long objects live that do not say, from their seal on. Default: for ever.");

    private static readonly Option<long?> EvictAhead = new("--evict-ahead")
    {
        Description = "Free memory that eviction in the background keeps, so that a put finds room; 0 for none. Default: a sixty-fourth of the capacity from 64 MiB on, at most 128 MiB.",
        HelpName = "SIZE",
        CustomParser = static result => Sizes.ParseBytes(result),
    };

    private static readonly Option<long?> Populate = new("--populate")
    {
        Description = "Memory to reserve right now instead of at first use; the command ends when it is there.",
        HelpName = "SIZE",
        CustomParser = static result => Sizes.ParseBytes(result),
    };

    private static readonly Option<string[]> Spill = new("--spill")
    {
        Description = "Folders on disk for objects that have no room in memory, separated by commas, best first: the next is taken when one is full or fails.",
        HelpName = "DIR[,DIR...]",
        AllowMultipleArgumentsPerToken = false,
        CustomParser = static result => [.. result.Tokens.SelectMany(static token => token.Value.Split(',', StringSplitOptions.RemoveEmptyEntries))],
    };

    private static readonly Option<long?> SpillLimit = new("--spill-limit")
    {
        Description = "Limit of the disk space of all spill directories together, rounded up to 2 MiB. Default: all but the share that stays free.",
        HelpName = "SIZE",
        CustomParser = static result => Sizes.ParseBytes(result),
    };

    private static readonly Option<double?> SpillReserve = new("--spill-reserve")
    {
        Description = "Percent of a spill directory's file system that stay free, 0 to 99. Default 5.",
        HelpName = "PERCENT",
    };

    private static readonly Option<bool> Persist = new("--persist")
    {
        Description = "Objects on disk outlive the store: after its last process has closed it in order, the next store that is created with the same name and spill directories has them again.",
    };

    internal static Command Create() => new StoreCommand(
        "create", "Create a store. Its content stays until it is destroyed or the machine restarts; no process has to keep running.",
        "fastplasma create --capacity 4GiB",
        "fastplasma create --store features --capacity 64GiB --huge-pages auto --mode 0660 --group quants --populate 8GiB",
        "fastplasma create --capacity 4GiB --spill /scratch/a,/scratch/b --spill-limit 500GiB --persist")
    {
        Capacity, Objects, Huge, Mode, Group, Evictable, TimeToLive, EvictAhead, Populate, Spill, SpillLimit, SpillReserve, Persist,
    }.Runs(Run);

    private static int Run(Call call)
    {
        long capacityBytes = call.Value(Capacity), populateBytes = call.Value(Populate) ?? 0;
        if (capacityBytes <= 0)
            throw CliException.Usage($"--capacity is {capacityBytes} bytes; it has to be more than 0");
        if (capacityBytes > StoreGeometry.CapacityBytesMax)
            throw CliException.Usage($"--capacity is {Sizes.Bytes(capacityBytes)}; it has to be at most {Sizes.Bytes(StoreGeometry.CapacityBytesMax)}");
        if (populateBytes > capacityBytes)
            throw CliException.Usage($"--populate {Sizes.Bytes(populateBytes)} is more than --capacity {Sizes.Bytes(capacityBytes)}");
        if (call.Value(Objects) is < 0 or > StoreGeometry.ObjectCountLimit)
            throw CliException.Usage($"--objects is {call.Value(Objects)}; it has to be 0 (automatic) to {StoreGeometry.ObjectCountLimit}");
        string[] spill = call.Value(Spill) ?? [];
        if (spill.Length == 0 && (call.Value(SpillLimit) is not null || call.Value(SpillReserve) is not null || call.Value(Persist)))
            throw CliException.Usage("--spill-limit, --spill-reserve and --persist mean nothing without --spill");
        if (call.Value(SpillLimit) is <= 0 or > StoreGeometry.CapacityBytesMax)
            throw CliException.Usage($"--spill-limit is {call.Value(SpillLimit)} bytes; it has to be 1 to {StoreGeometry.CapacityBytesMax}");
        if (call.Value(SpillReserve) is < 0 or > 99)
            throw CliException.Usage($"--spill-reserve is {call.Value(SpillReserve)}; it has to be 0 to 99");
        if (call.Value(EvictAhead) > capacityBytes / 2)
            throw CliException.Usage($"--evict-ahead is {Sizes.Bytes(call.Value(EvictAhead)!.Value)}; it has to be at most half of --capacity, {Sizes.Bytes(capacityBytes / 2)}");
        var options = new PlasmaOptions
        {
            CapacityBytes = capacityBytes,
            ObjectCountMax = call.Value(Objects),
            HugePages = call.Value(Huge),
            Group = call.Value(Group),
            Directory = call.Directory,
            DefaultRetention = call.Value(Evictable) ? Retention.Evictable : Retention.Keep,
            SpillDirectories = spill,
            SpillBytes = call.Value(SpillLimit),
            Persist = call.Value(Persist),
            DefaultTimeToLive = call.Value(TimeToLive),
            EvictAheadBytes = call.Value(EvictAhead),
        };
        if (call.Value(SpillReserve) is double percent)
            options = options with { SpillReserve = percent / 100 };
        if (call.Value(Mode) is not UnixFileMode.None and var mode)
            options = options with { Mode = mode };

        using PlasmaStore store = PlasmaStore.Create(call.StoreName, options);
        if (populateBytes > 0)
            LongWork.Run(call, $"populate {call.StoreName}", progress => Reserve(store, populateBytes, progress));
        StoreStats stats = store.Stats();
        SpillInfo spilling = store.SpillInfo();
        foreach (SpillDirectoryInfo directory in spilling.Directories)
            if (directory.Problem is { } problem)
                call.Context.Error.WriteLine($"{call.Invoked}: warning: nothing is spilled to {TextTable.Printable(directory.Path)}: {TextTable.Printable(problem)}");
        if (call.Json)
        {
            call.WriteJson(
                new CreatedJson(stats.Name, stats.Uuid, stats.CapacityBytes, stats.ObjectCountMax, stats.HugePagesAsked, stats.BackedBytes, stats.MetaBytes, [.. spilling.Directories.Where(static d => d.File is not null).Select(static d => d.Path)]),
                CliJson.Documents.CreatedJson);
        }
        else
        {
            call.WriteLine(
                $"created {stats.Name}: capacity {Sizes.Bytes(stats.CapacityBytes)}, at most {Sizes.Count(stats.ObjectCountMax)} objects, "
                + $"metadata {Sizes.Bytes(stats.MetaBytes)}, reserved now {Sizes.Bytes(stats.BackedBytes)}"
                + (spilling.Directories.Sum(static d => d.ObjectCount) is > 0 and var there ? $", {Sizes.Count(there)} objects of an earlier store are there again" : ""));
        }

        return ExitCodes.Ok;
    }

    private static bool Reserve(PlasmaStore store, long bytes, LongWork progress)
    {
        for (long done = 0; done < bytes;)
        {
            long step = store.Allocator.Populate(Math.Min(PopulateStepBytes, bytes - done));
            if (step == 0)
            {
                throw CliException.Of(
                    PlasmaStatus.StoreFull,
                    $"the store exists, but only {Sizes.Bytes(done)} of {Sizes.Bytes(bytes)} could be reserved: {store.Allocator.LastReservationError ?? "others took the rest"}");
            }

            done += step;
            progress.Report((double)done / bytes);
        }

        return true;
    }

    private static HugePages ParseHugePages(ArgumentResult result)
    {
        string text = result.Tokens.Count == 0 ? "" : result.Tokens[^1].Value;
        switch (text.ToLowerInvariant())
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
