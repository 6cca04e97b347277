using System.Text;
using FastPlasma.Allocator;
using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Native;

namespace FastPlasma.Spill;

/// <summary>The files of a store's spill space: the map in shared memory, and one spill file in each directory.</summary>
/// <remarks>
/// Every attachment holds shared locks on each spill file (<see cref="AttachedLock"/>, and writers <see cref="WriterLock"/>), so whoever gets an exclusive one knows that nobody uses the file, or that no writer does. A spill file's number is its own and not the store's:
/// the objects of a persistent store outlive its other files.
/// </remarks>
internal sealed unsafe partial class SpillFiles : IDisposable
{
    /// <summary>Bytes of a spill file that are locked: shared by each writer, and by each attachment.</summary>
    internal const int WriterLock = 0, AttachedLock = 1;

    /// <summary>So long an attachment waits for one who writes a catalogue or looks for orphans.</summary>
    private const int LockWaitMs = 10_000;

    private readonly SharedFile?[] _data;
    private readonly TimeSpan _patience;

    private SpillFiles(SharedFile map, int directoryCount, bool canWrite, TimeSpan patience)
    {
        (Map, CanWrite, _patience) = (map, canWrite, patience);
        _data = new SharedFile?[directoryCount];
        Paths = new string[directoryCount];
        Problems = new string?[directoryCount];
        Adopted = new SpillCatalog?[directoryCount];
    }

    internal SharedFile Map { get; }

    internal bool CanWrite { get; }

    internal int DirectoryCount => _data.Length;

    /// <summary>Each directory's path.</summary>
    internal string[] Paths { get; }

    /// <summary>Why a directory's file is not open here; null where it is.</summary>
    internal string?[] Problems { get; }

    /// <summary>At creation: what the files hold already that an earlier, persistent store of the same name has left.</summary>
    internal SpillCatalog?[] Adopted { get; }

    /// <summary>Each directory's spill file; null where it is not open here.</summary>
    internal SharedFile? Data(int directory) => _data[directory];

    /// <summary>Opens the spill files of a store. What is missing, or does not answer in time, is a <see cref="Problems"/> of its directory, and no error before somebody wants it.</summary>
    /// <param name="folder">Of the store's map.</param>
    /// <param name="name">The store's.</param>
    /// <param name="uuid">The store's.</param>
    /// <param name="directoryCount">As the store's header has it.</param>
    /// <param name="canWrite">Whether for writing.</param>
    /// <param name="patience">How long the disks together may take.</param>
    /// <exception cref="PlasmaFormatException">The map is missing or damaged.</exception>
    internal static SpillFiles Open(string folder, string name, Guid uuid, int directoryCount, bool canWrite, TimeSpan patience)
    {
        SharedFile map;
        try
        {
            map = SharedFile.Open(folder, StoreNames.SpillMap(name, uuid), canWrite);
        }
        catch (OsException e) when (e.ErrorNumber is Libc.EINVAL or Libc.ELOOP)
        {
            throw new PlasmaFormatException($"{e.Message}. A store's file is neither that nor a symbolic link.");
        }
        SpillFiles? files = null;
        try
        {
            ReadRecords(map, out string[] paths, out Guid[] ids, out _, uuid);
            Require(ids.Length == directoryCount, map, "DirectoryCount", ids.Length, directoryCount);
            files = new SpillFiles(map, directoryCount, canWrite, patience);
            for (int d = 0; d < directoryCount; d++)
            {
                files.Paths[d] = paths[d];
                if (ids[d] == Guid.Empty)
                    files.Problems[d] = $"the directory {paths[d]} could not be used when the store was created, and is not used by it";
            }
            files.OpenAll(name, ids, patience);
            return files;
        }
        catch
        {
            files?.Dispose();
            map.Dispose();
            throw;
        }
    }

    /// <summary>The directories of a store and the numbers of its spill files there, to be removed; <see cref="Guid.Empty"/> where there is none. What cannot be known is left for the next clean-up.</summary>
    /// <param name="folder">Of the store's map.</param>
    /// <param name="name">The store's.</param>
    /// <param name="uuid">The store's.</param>
    /// <param name="adoptedToo">Whether also files that were taken over from an earlier store and not changed yet, which a store that never got its name must leave.</param>
    internal static (string[] Paths, Guid[] Ids) Find(string folder, string name, Guid uuid, bool adoptedToo)
    {
        try
        {
            using SharedFile? map = SharedFile.TryOpen(folder, StoreNames.SpillMap(name, uuid), writable: false);
            if (map is null)
                return ([], []);
            ReadRecords(map, out string[] paths, out Guid[] ids, out bool[] pending);
            return (paths, [.. ids.Select((id, d) => pending[d] && !adoptedToo ? Guid.Empty : id)]);
        }
        catch (Exception e) when (e is OsException or PlasmaFormatException)
        {
            return ([], []); // The files stay as orphans, which the next creator with the same directories, or "spill gc", removes.
        }
    }

    /// <summary>Removes the names of a store's spill files. What cannot be removed is left for the next clean-up.</summary>
    /// <returns>What has not been answered within <paramref name="patience"/>, for people: it may be removed later, as long as this process is there.</returns>
    internal static string[] Remove(string name, (string[] Paths, Guid[] Ids) files, TimeSpan patience)
    {
        (string[] paths, Guid[] ids) = files;
        // In this order: a catalogue without its file means nothing, a file with it is kept. What comes late takes the file from nobody who has taken it over meanwhile: without the catalogue nobody does.
        try
        {
            DiskAnswer<bool>[] answers = DiskWatch.RunEach(Used(paths, ids), patience, (d, watch) =>
                TryRemove(paths[d], StoreNames.Catalog(name, ids[d])) | (watch.TryBegin(paths[d]) && TryRemove(paths[d], StoreNames.Spill(name, ids[d]))));
            return [.. answers.Select(static answer => answer.Problem).OfType<string>()];
        }
        catch (TimeoutException e)
        {
            return [e.Message.TrimEnd('.')]; // There was no thread.
        }
    }

    internal static bool TryRemove(string folder, string fileName)
    {
        try
        {
            return SharedFile.TryUnlink(folder, fileName);
        }
        catch (OsException)
        {
            return false; // Its directory is gone, or not ours to change.
        }
    }

    /// <summary>Where each directory's regions lie in a map; a function of the chunk counts.</summary>
    internal static long Layout(ReadOnlySpan<int> chunkCounts, Span<(long Allocator, long Chunks, long Words)> places)
    {
        long at = SpillHeader.SizeBytes + Pages((long)chunkCounts.Length * SpillDirectoryRecord.SizeBytes);
        for (int d = 0; d < chunkCounts.Length; d++)
        {
            places[d].Allocator = at;
            places[d].Chunks = at += ChunkMap.PageBytes;
            at += Pages((long)chunkCounts[d] * ChunkRecord.SizeBytes);
        }
        for (int d = 0; d < chunkCounts.Length; d++)
        {
            // Behind all that is reserved at creation.
            places[d].Words = at;
            at += (long)chunkCounts[d] * ChunkMap.WordsPerChunk * ChunkMap.WordBytes;
        }
        return at;
    }

    /// <summary>Closes the descriptors and with them ends the locks; waits for each directory as long as a disk is waited for.</summary>
    public void Dispose()
    {
        Map.Dispose();
        if (DiskThreads.IsThisOne)
        {
            CloseData();
            return;
        }
        try
        {
            DiskWatch.RunEach(Array.ConvertAll(_data, static data => data?.Path), _patience, (d, _) =>
            {
                _data[d]!.Dispose();
                return true;
            });
        }
        catch (TimeoutException)
        {
            CloseData(); // There was no thread: the locks must not stay.
        }
        catch (ThreadInterruptedException)
        {
            Thread.CurrentThread.Interrupt(); // For the caller's own next wait; the threads go on.
        }
    }

    /// <summary>The same in this thread, however long that takes.</summary>
    internal void CloseData()
    {
        foreach (SharedFile? data in _data)
            data?.Dispose();
    }

    /// <summary>Takes a lock that others hold for moments only; false when it is not free in time.</summary>
    private static bool WaitForLock(SharedFile file, long at, bool exclusive)
    {
        long began = Environment.TickCount64;
        while (!file.TryLock(at, exclusive)) // Ends with the lock or the time.
        {
            if (Environment.TickCount64 - began > LockWaitMs)
                return false;
            Thread.Sleep(1);
        }
        return true;
    }

    /// <summary>Opens all that the store uses at the same time, in threads that may be left in a disk that does not answer.</summary>
    private void OpenAll(string name, Guid[] ids, TimeSpan patience)
    {
        uint owner = Map.Facts().OwnerUid;
        DiskAnswer<(SharedFile? File, string? Problem)>[] answers = DiskWatch.RunEach(
            Used(Paths, ids), patience, (d, _) => OpenData(Paths[d], StoreNames.Spill(name, ids[d]), CanWrite, owner), static late => late.File?.Dispose());
        for (int d = 0; d < ids.Length; d++)
            if (ids[d] != Guid.Empty)
                (_data[d], Problems[d]) = (answers[d].Result.File, answers[d].Problem is { } silence ? $"{silence}, when this process opened the store" : answers[d].Result.Problem);
    }

    /// <summary>The directories that have a file.</summary>
    private static string?[] Used(string[] paths, Guid[] ids) => [.. paths.Select((path, d) => ids[d] == Guid.Empty ? null : path)];

    /// <summary>One of a file and what is wrong with it.</summary>
    private static (SharedFile? File, string? Problem) OpenData(string path, string fileName, bool canWrite, uint owner)
    {
        SharedFile? file = null;
        string? problem;
        try
        {
            file = SharedFile.Open(path, fileName, canWrite);
            if (!TryLock(file, canWrite))
                problem = $"{file.Path} is locked by somebody who takes it for an orphan";
            else if (file.Facts() is var facts && facts.LinkCount == 0)
                problem = $"{file.Path} was removed";
            else if (facts.OwnerUid != owner)
                problem = $"{file.Path} belongs to user {facts.OwnerUid}, the store to user {owner}";
            else
                problem = ReadFileHeader(file, out _);
            if (problem is null)
            {
                file.TryBypassCache();
                return (file, null);
            }
        }
        catch (OsException e)
        {
            problem = e.Message;
        }
        file?.Dispose();
        return (null, problem);
    }

    private static bool TryLock(SharedFile file, bool writer) => WaitForLock(file, AttachedLock, exclusive: false) && (!writer || WaitForLock(file, WriterLock, exclusive: false));

    /// <summary>What a map says of its directories. With <paramref name="uuid"/> everything that follows from it is checked too.</summary>
    /// <exception cref="PlasmaFormatException">It cannot be used.</exception>
    internal static void ReadRecords(SharedFile map, out string[] paths, out Guid[] ids, out bool[] pending, Guid? uuid = null)
    {
        byte[] page = new byte[SpillHeader.SizeBytes];
        int read = map.ReadAt(0, page);
        Require(read == page.Length, map, "length", read, page.Length);
        int count;
        long mapBytes;
        fixed (byte* p = page)
        {
            var header = (SpillHeader*)p;
            Require(header->Magic == SpillHeader.MagicValue, map, "Magic", header->Magic, SpillHeader.MagicValue);
            Require(header->Checksum == SpillHeader.ChecksumOf(header), map, "Checksum", header->Checksum, SpillHeader.ChecksumOf(header));
            Require(header->DirectoryCount is >= 1 and <= SpillPlace.DirectoryCountMax, map, "DirectoryCount", header->DirectoryCount, SpillPlace.DirectoryCountMax);
            if (uuid is Guid store)
                Require(header->StoreUuid == store, map, "StoreUuid", header->StoreUuid, store);
            (count, mapBytes) = (header->DirectoryCount, header->MapBytes);
        }
        byte[] records = new byte[count * SpillDirectoryRecord.SizeBytes];
        read = map.ReadAt(SpillHeader.SizeBytes, records);
        Require(read == records.Length, map, "length", read, records.Length);
        (paths, ids, pending) = (new string[count], new Guid[count], new bool[count]);
        var chunkCounts = new int[count];
        var places = new (long Allocator, long Chunks, long Words)[count];
        fixed (byte* p = records)
        {
            var record = (SpillDirectoryRecord*)p;
            for (int d = 0; d < count; d++)
            {
                Require(record[d].PathBytes is > 0 and <= SpillDirectoryRecord.PathBytesMax, map, "PathBytes", record[d].PathBytes, SpillDirectoryRecord.PathBytesMax);
                Require(record[d].Checksum == SpillDirectoryRecord.ChecksumOf(record + d), map, "a directory's Checksum", record[d].Checksum, SpillDirectoryRecord.ChecksumOf(record + d));
                Require(record[d].ChunkCount is >= 0 and <= (int)(StoreGeometry.CapacityBytesMax / ChunkMap.ChunkBytes), map, "ChunkCount", record[d].ChunkCount, StoreGeometry.CapacityBytesMax / ChunkMap.ChunkBytes);
                paths[d] = Encoding.UTF8.GetString((byte*)(record + d) + SpillDirectoryRecord.PathOffset, record[d].PathBytes);
                ids[d] = record[d].FileId;
                pending[d] = record[d].CatalogPending != 0;
                chunkCounts[d] = record[d].ChunkCount;
            }
            long bytes = Layout(chunkCounts, places);
            Require(bytes == mapBytes, map, "MapBytes", mapBytes, bytes);
            for (int d = 0; d < count; d++)
                Require((record[d].AllocatorOffset, record[d].ChunksOffset, record[d].WordsOffset) == places[d], map, "a region", record[d].AllocatorOffset, places[d].Allocator);
        }
        if (uuid is not null)
            Require(map.Facts().SizeBytes == mapBytes, map, "length", map.Facts().SizeBytes, mapBytes);
    }

    private static void Require<T>(bool holds, SharedFile map, string field, T found, T expected)
    {
        if (!holds)
            throw new PlasmaFormatException($"{map.Path} cannot be used as a spill map: {field} is {found}, expected {expected}.");
    }

    private static long Pages(long bytes) => (bytes + ChunkMap.PageBytes - 1) / ChunkMap.PageBytes * ChunkMap.PageBytes;
}
