using FastPlasma.Spill;
using Microsoft.Extensions.Logging;

namespace FastPlasma;

/// <content>The spill space, seen from outside.</content>
public sealed unsafe partial class PlasmaStore
{
    /// <summary>The spill directories of the store, with their numbers; without directories when the store spills nothing, or for a reader of another user, who has no rights there.</summary>
    /// <remarks>A walk over all records and over the chunks of the spill files.</remarks>
    /// <exception cref="TimeoutException">A directory's file system has not said for 30 seconds how much room it has; the message names the directory.</exception>
    public SpillInfo SpillInfo()
    {
        BeginSlowCall();
        try
        {
            if (_spill is { } space)
                return RunOnDisk(space, watch => space.Info(_memory, watch));
            return new SpillInfo { Directories = [], LimitBytes = null, Reserve = 0, IsPersistent = false };
        }
        finally
        {
            EndSlowCall();
        }
    }

    /// <summary>Reads every copy on disk and compares its checksums; changes nothing. Objects need not come into memory for that.</summary>
    /// <param name="progress">Told the part done, 0 to 1, by the caller's thread; may throw to stop.</param>
    /// <exception cref="TimeoutException">The disk has not answered a read for 30 seconds, and a second more for each 32 MiB of it; the message names the file.</exception>
    public SpillVerifyReport VerifySpill(IProgress<double>? progress = null)
    {
        BeginSlowCall();
        try
        {
            if (_spill is { } space)
                return RunOnDisk(space, watch => space.Verify(_memory, watch), progress);
            return new SpillVerifyReport { CopyCount = 0, ImageBytes = 0, Errors = [] };
        }
        finally
        {
            EndSlowCall();
        }
    }

    /// <summary>Gives disk space in which no copy lies back to the file systems; it is kept for the next copies otherwise. Returns bytes.</summary>
    /// <exception cref="TimeoutException">A file system has not taken 2 MiB back within 30 seconds; the message names the file. What the others took is given back all the same.</exception>
    public long TrimSpill()
    {
        RequireWriter();
        BeginSlowCall();
        try
        {
            return _spill is { } space ? TrimEach(space) : 0;
        }
        finally
        {
            EndSlowCall();
        }
    }

    private long TrimEach(SpillSpace space)
    {
        long trimmed = 0;
        var silent = new List<string>();
        for (int d = 0; d < space.DirectoryCount; d++)
        {
            try
            {
                int index = d;
                trimmed += RunOnDisk(space, watch => space.Trim(index, watch));
            }
            catch (TimeoutException e)
            {
                silent.Add(e.Message);
            }
        }
        return silent.Count == 0 ? trimmed : throw new TimeoutException($"{string.Join(' ', silent)} Other directories have given back {trimmed} bytes.");
    }

    /// <summary>Makes catalogues void, which the last writer or an earlier store has left, before this attachment changes anything on disk. To a directory that does not answer nothing is written until it does.</summary>
    private void TakeBackCatalogs()
    {
        if (_spill is { } space && Access == StoreAccess.ReadWrite)
        {
            string?[] paths = [.. Enumerable.Range(0, space.DirectoryCount).Select(d => space.Directory(d) is { IsClosedForWriting: true } directory ? directory.Path : null)];
            try
            {
                foreach (DiskAnswer<bool> answer in DiskWatch.RunEach(paths, _options.DiskPatience, TakeBack, late: null, BeginDiskWork, EndDiskWork, OwnDiskThreads))
                    if (answer.Problem is { } silence)
                        Logger.LogWarning("Nothing is spilled there by this attachment of store '{Store}' before there is an answer: {Problem}.", Name, silence);
            }
            catch (TimeoutException e)
            {
                Logger.LogWarning(e, "Nothing is spilled by this attachment of store '{Store}'.", Name); // There was no thread. The store has its name already, and what is closed stays so.
            }
            catch (ThreadInterruptedException)
            {
                Thread.CurrentThread.Interrupt(); // For the caller's own next wait.
            }
        }
        _mayMoveAhead = true;

        bool TakeBack(int d, DiskWatch watch)
        {
            _spill!.TakeBackCatalog(_spill.Directory(d), Name, Logger);
            return true;
        }
    }

    /// <summary>Spill files of whatever stores in a directory, and whether anybody wants them.</summary>
    /// <exception cref="IOException">The directory cannot be read; <see cref="DirectoryNotFoundException"/>: there is none.</exception>
    /// <exception cref="UnauthorizedAccessException">The user has no right to read the directory.</exception>
    /// <exception cref="TimeoutException">The directory has not answered for 30 seconds.</exception>
    public static IReadOnlyList<SpillFileInfo> ListSpillFiles(string directory) => SpillJanitor.Look(Path.GetFullPath(directory), new PlasmaOptions().DiskPatience);

    /// <summary>Removes the spill files of stores that are gone. A create does the same in its own spill directories.</summary>
    /// <param name="directory">A spill directory.</param>
    /// <param name="persisted">Whether to remove also what persistent stores have left for their next creation.</param>
    /// <param name="damaged">Whether to remove also files with a damaged header or catalogue, whose objects nothing can be said about.</param>
    /// <returns>What was removed. Files in use are never among it.</returns>
    /// <inheritdoc cref="ListSpillFiles" path="/exception"/>
    public static IReadOnlyList<SpillFileInfo> CleanSpillDirectory(string directory, bool persisted = false, bool damaged = false)
    {
        var also = new HashSet<SpillFileState>();
        if (persisted)
            also.Add(SpillFileState.Persisted);
        if (damaged)
            also.Add(SpillFileState.Damaged);
        return SpillJanitor.CleanUp(Path.GetFullPath(directory), also, new PlasmaOptions().DiskPatience);
    }
}
