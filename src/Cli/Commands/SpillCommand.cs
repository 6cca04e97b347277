using System.CommandLine;
using System.Diagnostics;

namespace FastPlasma.Cli.Commands;

/// <summary>fastplasma spill ls, verify and gc</summary>
internal static class SpillCommand
{
    private static readonly Argument<string[]> Directories = new("DIR")
    {
        Description = "Spill directories to look at from outside of any store; without them the store's own.",
        Arity = ArgumentArity.ZeroOrMore,
    };

    private static readonly Option<bool> Persisted = new("--persisted") { Description = "Remove also what persistent stores have left for their next creation." };

    private static readonly Option<bool> Damaged = new("--damaged") { Description = "Remove also files with a damaged header or catalogue, about whose objects nothing can be said." };

    internal static Command Create() => new("spill", "Look after the spill directories of stores: what lies there, whether it is right, and what nobody wants any more.")
    {
        new StoreCommand(
            "ls", "List the spill directories of a store with their numbers, or with DIR the spill files that lie there, of whatever stores, and whether anybody wants them.",
            "fastplasma spill ls --store features",
            "fastplasma spill ls /scratch/a /scratch/b")
        {
            Directories,
        }.Runs(List),
        new StoreCommand(
            "verify", "Read every copy that a store has on disk and compare its checksums. Nothing is changed, and no object comes into memory.",
            "fastplasma spill verify --store features").NegativeWhen("a copy is damaged or missing; it is listed").Runs(Verify),
        new StoreCommand(
            "gc", "Remove the spill files of stores that are gone, and give disk space that a store does not need at the moment back to the file system. Files in use stay.",
            "fastplasma spill gc --store features",
            "fastplasma spill gc /scratch/a /scratch/b")
        {
            Directories, Persisted, Damaged,
        }.Runs(Collect),
    };

    private static int List(Call call)
    {
        if (call.Value(Directories) is { Length: > 0 } directories)
            return ListFiles(call, [.. directories.SelectMany(static directory => In(directory, () => PlasmaStore.ListSpillFiles(directory)))], removed: false);
        using PlasmaStore store = call.Open(StoreAccess.ReadOnly);
        SpillInfo info = store.SpillInfo();
        if (call.Json)
        {
            call.WriteJson(info, CliJson.Documents.SpillInfo);
            return ExitCodes.Ok;
        }

        var table = new TextTable("DIRECTORY", ">OBJECTS", ">USED", ">TAKEN", ">FREE THERE", ">WRITTEN", ">READ", ">ERRORS", "STATE");
        foreach (SpillDirectoryInfo directory in info.Directories)
        {
            table.Add(
                directory.Path, Sizes.Count(directory.ObjectCount), Sizes.Bytes(directory.UsedBytes), Sizes.Bytes(directory.BackedBytes),
                directory.AvailableBytes < 0 ? "?" : Sizes.Bytes(directory.AvailableBytes), Sizes.Bytes(directory.WrittenBytes), Sizes.Bytes(directory.ReadBytes),
                Sizes.Count(directory.WriteErrors + directory.ReadErrors + directory.BadCopies), directory.Problem ?? "ok");
        }

        table.Write(call.Context);
        call.WriteLine(
            info.Directories.Count == 0
                ? store.HasSpill ? $"store {store.Name} has spill directories, to which this user has no rights" : $"store {store.Name} spills nothing"
                : $"limit {(info.LimitBytes is long limit ? Sizes.Bytes(limit) : "none")}, {info.Reserve:P0} of each file system stay free, "
                    + $"objects on disk {(info.IsPersistent ? "outlive the store" : "end with the store")}");
        return ExitCodes.Ok;
    }

    private static int Verify(Call call)
    {
        using PlasmaStore store = call.Open(StoreAccess.ReadOnly);
        long began = Stopwatch.GetTimestamp();
        SpillVerifyReport report = LongWork.Run(call, $"verify {store.Name} on disk", store.VerifySpill);
        TimeSpan elapsed = Stopwatch.GetElapsedTime(began);
        bool ok = report.Errors.Count == 0;
        if (call.Json)
        {
            call.WriteJson(
                new SpillVerifyJson(ok, report.CopyCount, report.ImageBytes, elapsed.TotalSeconds, [.. report.Errors.Select(static e => new SpillErrorJson(e.Id, e.Kind, e.File, e.Offset, e.ErrorNumber, e.Message))]),
                CliJson.Documents.SpillVerifyJson);
        }
        else
        {
            foreach (SpillError error in report.Errors)
                call.WriteLine(TextTable.Printable(error.Message));
            call.WriteLine(
                $"{(ok ? "ok" : $"broken: {Sizes.Count(report.Errors.Count)} copies")}: {Sizes.Count(report.CopyCount)} copies, {Sizes.Bytes(report.ImageBytes)}, {Sizes.Duration(elapsed)}");
        }

        return ok ? ExitCodes.Ok : ExitCodes.Negative;
    }

    private static int Collect(Call call)
    {
        long trimmedBytes = 0;
        string[] directories = call.Value(Directories) ?? [];
        bool ofStore = directories.Length == 0;
        var failures = new List<Exception>(); // Of single directories; the others are looked after all the same.
        if (ofStore)
        {
            using PlasmaStore store = call.Open(StoreAccess.ReadWrite);
            Try(() => trimmedBytes = store.TrimSpill());
            directories = [.. store.Spill?.Paths ?? []];
        }

        var removed = new List<SpillFileInfo>();
        foreach (string directory in directories)
            Try(() => removed.AddRange(In(directory, () => PlasmaStore.CleanSpillDirectory(directory, call.Value(Persisted), call.Value(Damaged)), mayBeMissing: ofStore)));
        if (failures.Count == 0 && call.Json)
            call.WriteJson(new SpillCollectedJson(trimmedBytes, [.. removed]), CliJson.Documents.SpillCollectedJson);
        else if (removed.Count > 0 && !call.Json)
            ListFiles(call, [.. removed], removed: true);
        if (failures.Count > 0)
            throw failures.Count == 1 ? failures[0] : new IOException(string.Join(' ', failures.Select(Failure.MessageOf)));
        if (!call.Json)
            call.WriteLine($"removed {Sizes.Count(removed.Count)} files, {Sizes.Bytes(removed.Sum(static file => file.AllocatedBytes))}; gave back {Sizes.Bytes(trimmedBytes)} of the store's");
        return ExitCodes.Ok;

        void Try(Action work)
        {
            try
            {
                work();
            }
            catch (Exception e) when (e is TimeoutException or IOException or UnauthorizedAccessException)
            {
                failures.Add(e);
            }
        }
    }

    private static int ListFiles(Call call, SpillFileInfo[] files, bool removed)
    {
        if (call.Json)
        {
            call.WriteJson(files, CliJson.Documents.SpillFileInfoArray);
            return ExitCodes.Ok;
        }

        var table = new TextTable("FILE", "STORE", removed ? "WAS" : "STATE", ">DISK SPACE", ">OBJECTS", "WHY");
        foreach (SpillFileInfo file in files)
            table.Add(file.Path, file.StoreName, StateText(file.State), Sizes.Bytes(file.AllocatedBytes), file.State == SpillFileState.Persisted ? Sizes.Count(file.ObjectCount) : "", file.Detail);
        table.Write(call.Context);
        return ExitCodes.Ok;
    }

    private static string StateText(SpillFileState state) => state == SpillFileState.InUse ? "in use" : state.ToString().ToLowerInvariant();

    private static IReadOnlyList<SpillFileInfo> In(string directory, Func<IReadOnlyList<SpillFileInfo>> work, bool mayBeMissing = false)
    {
        try
        {
            return work();
        }
        catch (DirectoryNotFoundException)
        {
            if (mayBeMissing)
                return [];
            throw CliException.Usage($"there is no directory {TextTable.Printable(directory)}");
        }
    }
}
