using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Native;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace FastPlasma.Spill;

/// <summary>Looks at spill files by themselves, without a store: whose they are, and whether anybody still wants them.</summary>
internal static unsafe class SpillJanitor
{
    /// <summary>What is found in a spill directory: one row for each spill file, and for each catalogue without one.</summary>
    /// <exception cref="TimeoutException">The directory does not answer.</exception>
    internal static List<SpillFileInfo> Look(string directory, TimeSpan patience) => DiskWatch.Run(directory, patience, watch =>
    {
        var found = new List<SpillFileInfo>();
        foreach (string path in Directory.GetFiles(directory, StoreNames.Prefix + "*"))
        {
            string fileName = Path.GetFileName(path);
            if (!StoreNames.TryParseSpill(fileName, out string name, out Guid fileId, out string kind))
                continue;
            if (!watch.TryBegin(path))
                break;
            if (kind == "spill")
                found.Add(Judge(directory, fileName, name, fileId, watch, remove: null));
            else if (!SharedFile.Exists(directory, StoreNames.Spill(name, fileId)))
                found.Add(new SpillFileInfo { Path = path, StoreName = name, State = SpillFileState.Orphan, Detail = "a catalogue without its spill file" });
        }
        found.Sort(static (a, b) => string.CompareOrdinal(a.Path, b.Path));
        return found;
    });

    /// <summary>Removes the files of a spill directory that nobody wants: those of stores that are gone. What is in use, or not ours, stays.</summary>
    /// <param name="directory">The spill directory.</param>
    /// <param name="also">States of files to remove besides orphans; not InUse.</param>
    /// <param name="patience">How long the directory is waited for.</param>
    /// <returns>What was removed, with what it took.</returns>
    /// <exception cref="TimeoutException">The directory does not answer.</exception>
    internal static List<SpillFileInfo> CleanUp(string directory, IReadOnlySet<SpillFileState> also, TimeSpan patience) =>
        DiskWatch.Run(directory, patience, watch => CleanUp(directory, also, watch, NullLogger.Instance));

    /// <summary>The same by a creator, whose first step in a directory it is. What keeps him from it is no reason not to use the directory.</summary>
    internal static void CleanUpForCreate(string directory, DiskWatch watch, ILogger logger)
    {
        try
        {
            CleanUp(directory, new HashSet<SpillFileState>(), watch, logger);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            logger.LogWarning(e, "No orphans are looked for in {Directory}.", directory);
        }
    }

    private static List<SpillFileInfo> CleanUp(string directory, IReadOnlySet<SpillFileState> also, DiskWatch watch, ILogger logger)
    {
        var removed = new List<SpillFileInfo>();
        foreach (string path in Directory.GetFiles(directory, StoreNames.Prefix + "*"))
        {
            string fileName = Path.GetFileName(path);
            if (!StoreNames.TryParseSpill(fileName, out string name, out Guid fileId, out string kind))
                continue;
            if (!watch.TryBegin(path))
                break;
            try
            {
                if (kind == "spill")
                {
                    SpillFileInfo info = Judge(directory, fileName, name, fileId, watch, state => state == SpillFileState.Orphan || also.Contains(state));
                    if (info.IsRemoved)
                        removed.Add(info);
                }
                else if (!SharedFile.Exists(directory, StoreNames.Spill(name, fileId)) && watch.TryBegin(path) && SharedFile.TryUnlink(directory, fileName))
                {
                    removed.Add(new SpillFileInfo { Path = path, StoreName = name, State = SpillFileState.Orphan, Detail = "a catalogue without its spill file", IsRemoved = true });
                }
            }
            catch (OsException e)
            {
                logger.LogWarning(e, "{File} stays: it is not ours to remove.", path);
            }
        }
        foreach (SpillFileInfo info in removed)
            logger.LogInformation("Removed {File}: {Detail}.", info.Path, info.Detail);
        return removed;
    }

    /// <summary>Whether the store that a spill file says to be of exists and says that it is its. True also when that cannot be known.</summary>
    internal static bool IsListed(in SpillFileFacts facts)
    {
        if (facts.StoreDirectory.Length == 0)
            return false; // Of an anonymous store, which died between making the file and taking its name away.
        if (facts.BootId == OsIdentity.BootId && facts.StoreDevice != SharedFile.DeviceOf(facts.StoreDirectory))
            return true; // Made in this boot where that path is another file system: by a container with a shared memory of its own.
        Guid uuid = StoreFiles.UuidOf(facts.StoreDirectory, facts.StoreName);
        if (uuid == Guid.Empty)
            return MayExist(facts.StoreDirectory, StoreNames.Meta(facts.StoreName)); // Not ours to read.
        try
        {
            using SharedFile? map = SharedFile.TryOpen(facts.StoreDirectory, StoreNames.SpillMap(facts.StoreName, uuid), writable: false);
            if (map is null)
                return false;
            SpillFiles.ReadRecords(map, out _, out Guid[] ids, out _);
            return Array.IndexOf(ids, facts.FileId) >= 0;
        }
        catch (Exception e) when (e is OsException or PlasmaFormatException)
        {
            return true; // It cannot be read: nothing is known, so nothing is removed.
        }
    }

    private static bool MayExist(string directory, string name)
    {
        try
        {
            return SharedFile.Exists(directory, name);
        }
        catch (OsException)
        {
            return true; // Nothing is known, so nothing is removed.
        }
    }

    private static SpillFileInfo Judge(string directory, string fileName, string name, Guid fileId, DiskWatch watch, Func<SpillFileState, bool>? remove)
    {
        string path = Path.Combine(directory, fileName);
        SharedFile? file;
        try
        {
            file = SharedFile.TryOpen(directory, fileName, writable: true);
        }
        catch (OsException e)
        {
            return new SpillFileInfo { Path = path, StoreName = name, State = SpillFileState.Unknown, Detail = e.Message };
        }
        if (file is null)
            return new SpillFileInfo { Path = path, StoreName = name, State = SpillFileState.Orphan, Detail = "gone meanwhile" };
        using (file)
        {
            FileFacts size = file.Facts();
            var info = new SpillFileInfo { Path = path, StoreName = name, State = SpillFileState.InUse, SizeBytes = size.SizeBytes, AllocatedBytes = size.AllocatedBytes, Detail = "a process has it open" };

            // Whoever uses the file, or is making it, holds a shared lock. With this one nobody can begin to: an attacher waits, and finds the file gone.
            if (!size.IsRegular || !file.TryLock(SpillFiles.AttachedLock, exclusive: true))
                return info;
            string? problem = SpillFiles.ReadFileHeader(file, out SpillFileFacts facts);
            if (problem is null && facts.FileId != fileId)
                problem = $"its header says that it is number {facts.FileId:N}";
            if (problem is not null)
                info = size.SizeBytes <= SpillFileHeader.SizeBytes
                    ? info with { State = SpillFileState.Orphan, Detail = "its creator died before it was complete" }
                    : info with { State = SpillFileState.Damaged, Detail = problem };
            else if (IsListed(facts))
                return info with { Detail = $"store '{facts.StoreName}' in {facts.StoreDirectory} has it" };
            else
            {
                SpillCatalog? catalog = SpillCatalog.TryRead(directory, name, fileId, facts.Epoch, watch, out CatalogState state, out problem);
                info = state switch
                {
                    CatalogState.Valid => info with { State = SpillFileState.Persisted, ObjectCount = catalog!.Objects.Length, Detail = $"the next store '{facts.StoreName}' in {facts.StoreDirectory} takes it over" },
                    CatalogState.Damaged => info with { State = SpillFileState.Damaged, Detail = problem! },
                    _ => info with { State = SpillFileState.Orphan, Detail = $"store '{facts.StoreName}' in {facts.StoreDirectory} is gone" },
                };
            }
            if (remove is null || !remove(info.State) || !watch.TryBegin(path))
                return info;
            SharedFile.TryUnlink(directory, StoreNames.CatalogNew(name, fileId));
            SharedFile.TryUnlink(directory, StoreNames.Catalog(name, fileId));
            return info with { IsRemoved = SharedFile.TryUnlink(directory, fileName) };
        }
    }
}
