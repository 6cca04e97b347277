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

    internal static Command Create() => new StoreCommand(
        "create", "Create a store. Its content stays until it is destroyed or the machine restarts; no process has to keep running.",
        "fastplasma create --capacity 4GiB",
        "fastplasma create --store features --capacity 64GiB --huge-pages auto --mode 0660 --group quants --populate 8GiB")
    {
        Capacity, Objects, Huge, Mode, Group, Evictable, TimeToLive, EvictAhead, Populate,
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
            DefaultTimeToLive = call.Value(TimeToLive),
            EvictAheadBytes = call.Value(EvictAhead),
        };
        if (call.Value(Mode) is not UnixFileMode.None and var mode)
            options = options with { Mode = mode };

        using PlasmaStore store = PlasmaStore.Create(call.StoreName, options);
        if (populateBytes > 0)
            LongWork.Run(call, $"populate {call.StoreName}", progress => Reserve(store, populateBytes, progress));
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
