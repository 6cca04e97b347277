using FastPlasma.Spill;
using FastPlasma.Waiting;

namespace FastPlasma;

/// <content>The spill space, seen from outside.</content>
public sealed unsafe partial class PlasmaStore
{
    /// <summary>The spill directories of the store, with their numbers; without directories when the store spills nothing, or for a reader of another user, who has no rights there.</summary>
    /// <remarks>A walk over all records and over the chunks of the spill files.</remarks>
    /// <exception cref="TimeoutException">The file systems of the directories have not said for 30 seconds how much room they have.</exception>
    public SpillInfo SpillInfo()
    {
        BeginSlowCall();
        try
        {
            if (_spill is { } space)
                return InfoOf(space);
            return new SpillInfo { Directories = [], LimitBytes = null, Reserve = 0, IsPersistent = false };
        }
        finally
        {
            EndSlowCall();
        }
    }

    private SpillInfo InfoOf(SpillSpace space)
    {
        var deadline = new Deadline(PatienceFor(0));
        if (space.InfoTurns.TryTake(0, deadline.SliceMs(int.MaxValue)) && TryOnDisk(Read, deadline, late: null, out SpillInfo? info, CancellationToken.None))
            return info!;
        throw new TimeoutException($"The file systems of the spill directories of store '{Name}' do not say how much room they have: {string.Join(", ", space.Paths)}.");

        SpillInfo Read()
        {
            try
            {
                return space.Info(_memory);
            }
            finally
            {
                space.InfoTurns.GiveBack(0);
            }
        }
    }

    /// <summary>Reads every copy on disk and compares its checksums; changes nothing. Objects need not come into memory for that. Waits for the disk as long as that takes.</summary>
    /// <param name="progress">Told the part done, 0 to 1; may throw to stop.</param>
    public SpillVerifyReport VerifySpill(IProgress<double>? progress = null)
    {
        BeginSlowCall();
        try
        {
            return _spill?.Verify(_memory, progress) ?? new SpillVerifyReport { CopyCount = 0, ImageBytes = 0, Errors = [] };
        }
        finally
        {
            EndSlowCall();
        }
    }

    /// <summary>Gives disk space in which no copy lies back to the file systems; it is kept for the next copies otherwise. Waits for the disk as long as that takes. Returns bytes.</summary>
    public long TrimSpill()
    {
        RequireWriter();
        BeginSlowCall();
        try
        {
            return _spill?.Trim() ?? 0;
        }
        finally
        {
            EndSlowCall();
        }
    }

    /// <summary>Spill files of whatever stores in a directory, and whether anybody wants them.</summary>
    /// <exception cref="IOException">The directory cannot be read.</exception>
    public static IReadOnlyList<SpillFileInfo> ListSpillFiles(string directory) => SpillJanitor.Look(Path.GetFullPath(directory));

    /// <summary>Removes the spill files of stores that are gone. A create does the same in its own spill directories.</summary>
    /// <param name="directory">A spill directory.</param>
    /// <param name="persisted">Whether to remove also what persistent stores have left for their next creation.</param>
    /// <param name="damaged">Whether to remove also files with a damaged header or catalogue, whose objects nothing can be said about.</param>
    /// <returns>What was removed. Files in use are never among it.</returns>
    public static IReadOnlyList<SpillFileInfo> CleanSpillDirectory(string directory, bool persisted = false, bool damaged = false)
    {
        var also = new HashSet<SpillFileState>();
        if (persisted)
            also.Add(SpillFileState.Persisted);
        if (damaged)
            also.Add(SpillFileState.Damaged);
        return SpillJanitor.CleanUp(Path.GetFullPath(directory), also);
    }
}
