using System.Text;
using FastPlasma.Allocator;
using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Native;
using FastPlasma.Waiting;
using Microsoft.Extensions.Logging;

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

    /// <summary>What the map of a directory has room for, at most, when there is no limit: memory for it is taken at creation, 32 MiB for this.</summary>
    private const long MappedBytesMin = 1L << 40, MappedCapacities = 64;

    /// <summary>So long an attachment waits for one who writes a catalogue or looks for orphans.</summary>
    private const int LockWaitMs = 10_000;

    private const int CreateAttempts = 16;
    private const string AnonymousName = "anonymous";

    private readonly SharedFile?[] _data;

    private SpillFiles(SharedFile map, int directoryCount, bool canWrite)
    {
        (Map, CanWrite) = (map, canWrite);
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

    /// <summary>Makes the spill files of a new store, or null when its options ask for none.</summary>
    /// <param name="folder">Of the store's other files; the map comes there. Null for an anonymous store, whose files have no names.</param>
    /// <param name="name">The store's.</param>
    /// <param name="uuid">The store's.</param>
    /// <param name="options">Directories and limits.</param>
    /// <param name="gid">Group of the files, or null.</param>
    /// <exception cref="ArgumentException">An option is outside its limits.</exception>
    /// <exception cref="IOException">No directory can be used; the message has each one's reason.</exception>
    internal static SpillFiles? Create(string? folder, string name, Guid uuid, PlasmaOptions options, uint? gid)
    {
        if (options.SpillDirectories.Count == 0)
            return options.SpillBytes is null && !options.Persist ? null
                : throw new ArgumentException("SpillBytes and Persist mean nothing without SpillDirectories.", nameof(options));
        CheckOptions(options);
        int count = options.SpillDirectories.Count;
        uint mode = (uint)options.Mode;
        SharedFile map = folder is null ? SharedFile.CreateAnonymous($"{StoreNames.Prefix}{uuid:N}.spillmap") : SharedFile.Create(folder, StoreNames.SpillMap(name, uuid), mode);
        var files = new SpillFiles(map, count, canWrite: true);
        var ids = new Guid[count];
        try
        {
            if (folder is not null)
                SetRights(map, mode, gid);
            var chunkCounts = new int[count];
            for (int d = 0; d < count; d++)
            {
                files.Paths[d] = Path.TrimEndingDirectorySeparator(Path.GetFullPath(options.SpillDirectories[d]));
                try
                {
                    SharedFile data = files._data[d] = (folder is null ? null : files.Adopt(d, folder, name, options, out ids[d])) ?? files.CreateData(d, folder, name, mode, gid, out ids[d]);
                    chunkCounts[d] = Math.Max(ChunkCountFor(data, options), files.Adopted[d]?.ChunkWords.Length ?? 0);
                }
                catch (OsException e)
                {
                    files.Problems[d] = e.Message;
                    ids[d] = Guid.Empty;
                    options.Logger.LogWarning(e, "Nothing is spilled to {Directory}, which cannot be used.", files.Paths[d]);
                }
            }
            long adopted = files.Adopted.Sum(static catalog => (long)(catalog?.Objects.Length ?? 0));
            int records = StoreGeometry.From(options).ObjectCountMax;
            if (adopted > records)
                throw new ArgumentException($"The catalogues in the spill directories list {adopted} objects of an earlier store '{name}'; ObjectCountMax is {records}. Make it larger, or remove them (fastplasma spill gc --persisted).", nameof(options));
            if (Array.TrueForAll(ids, static id => id == Guid.Empty))
                throw new IOException($"None of the spill directories can be used: {string.Join("; ", files.Problems)}.");
            files.BuildMap(uuid, options, ids, chunkCounts);
            return files;
        }
        catch
        {
            if (folder is not null)
            {
                for (int d = 0; d < count; d++)
                    if (ids[d] != Guid.Empty && files.Adopted[d] is null)
                        TryRemove(files.Paths[d], StoreNames.Spill(name, ids[d]));
                SharedFile.TryUnlink(folder, StoreNames.SpillMap(name, uuid));
            }
            files.Dispose();
            throw;
        }
    }

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
            files = new SpillFiles(map, directoryCount, canWrite);
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

    /// <summary>Removes the names of a store's spill files. What cannot be removed is left for the next clean-up.</summary>
    /// <param name="folder">Of the store's map.</param>
    /// <param name="name">The store's.</param>
    /// <param name="uuid">The store's.</param>
    /// <param name="adoptedToo">Whether also files that were taken over from an earlier store and not changed yet, which a store that never got its name must leave.</param>
    internal static void Remove(string folder, string name, Guid uuid, bool adoptedToo)
    {
        try
        {
            using SharedFile? map = SharedFile.TryOpen(folder, StoreNames.SpillMap(name, uuid), writable: false);
            if (map is null)
                return;
            ReadRecords(map, out string[] paths, out Guid[] ids, out bool[] pending);
            for (int d = 0; d < ids.Length; d++)
            {
                if (ids[d] == Guid.Empty || (pending[d] && !adoptedToo))
                    continue;
                TryRemove(paths[d], StoreNames.Catalog(name, ids[d])); // First: a catalogue without its file means nothing, a file with it is kept.
                TryRemove(paths[d], StoreNames.Spill(name, ids[d]));
            }
        }
        catch (Exception e) when (e is OsException or PlasmaFormatException)
        {
            // The files stay as orphans, which the next creator with the same directories, or "spill gc", removes.
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

    /// <summary>Closes the descriptors and with them ends the locks.</summary>
    public void Dispose()
    {
        foreach (SharedFile? data in _data)
            data?.Dispose();
        Map.Dispose();
    }

    private static void CheckOptions(PlasmaOptions options)
    {
        if (options.SpillDirectories.Count > SpillPlace.DirectoryCountMax)
            throw new ArgumentException($"There are {options.SpillDirectories.Count} spill directories; at most {SpillPlace.DirectoryCountMax} are possible.", nameof(options));
        if (options.SpillBytes is <= 0 or > StoreGeometry.CapacityBytesMax)
            throw new ArgumentOutOfRangeException(nameof(options), options.SpillBytes, $"SpillBytes is {options.SpillBytes}; it can be 1 to {StoreGeometry.CapacityBytesMax}.");
        if (options.SpillReserve is not (>= 0 and <= 0.99))
            throw new ArgumentOutOfRangeException(nameof(options), options.SpillReserve, $"SpillReserve is {options.SpillReserve}; it can be 0 to 0.99.");
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (string directory in options.SpillDirectories)
        {
            string path = Path.TrimEndingDirectorySeparator(Path.GetFullPath(directory));
            int bytes = Encoding.UTF8.GetByteCount(path);
            if (bytes > SpillDirectoryRecord.PathBytesMax)
                throw new ArgumentException($"The path of the spill directory {path} is {bytes} bytes long, at most {SpillDirectoryRecord.PathBytesMax} fit.", nameof(options));
            if (!seen.Add(path))
                throw new ArgumentException($"The spill directory {path} is named twice.", nameof(options));
        }
    }

    private static void SetRights(SharedFile file, uint mode, uint? gid)
    {
        file.SetMode(mode); // The umask does not decide here.
        if (gid is uint g)
            file.SetGroup(g);
    }

    private SharedFile CreateData(int directory, string? folder, string name, uint mode, uint? gid, out Guid id)
    {
        string path = Paths[directory];
        for (int attempt = 1; ; attempt++) // Ends: at most so many attempts.
        {
            id = OsRandom.NewGuid();
            string fileName = StoreNames.Spill(folder is null ? AnonymousName : name, id);
            SharedFile file = SharedFile.Create(path, fileName, mode);
            try
            {
                // Between its creation and this lock somebody may take the file for an orphan.
                bool locked = TryLock(file, CanWrite);
                if (folder is null)
                    SharedFile.TryUnlink(path, fileName);
                else if (!locked || file.Facts().LinkCount == 0)
                {
                    file.Dispose();
                    if (attempt < CreateAttempts)
                        continue;
                    throw new OsException("create", SharedFile.Combine(path, fileName), Libc.EAGAIN);
                }
                SetRights(file, mode, gid);
                WriteFileHeader(file, id, name, folder ?? "");
                file.TryBypassCache();
                return file;
            }
            catch
            {
                TryRemove(path, fileName);
                file.Dispose();
                throw;
            }
        }
    }

    /// <summary>Takes over the spill file that an earlier persistent store of the same name and folder has left in a directory; null when there is none.</summary>
    private SharedFile? Adopt(int directory, string folder, string name, PlasmaOptions options, out Guid id)
    {
        id = Guid.Empty;
        string path = Paths[directory];
        foreach (string found in EnumerateFiles(path, $"{StoreNames.Prefix}{name}.*.catalog"))
        {
            if (!StoreNames.TryParseSpill(Path.GetFileName(found), out string owner, out Guid fileId, out _) || owner != name)
                continue;
            SharedFile? file = null;
            string? problem = null;
            try
            {
                file = SharedFile.TryOpen(path, StoreNames.Spill(name, fileId), writable: true);
                if (file is null)
                    problem = $"{found} is a catalogue without its spill file";
                else if (!WaitForLock(file, AttachedLock, exclusive: true) || !WaitForLock(file, WriterLock, exclusive: true)) // Another creator may have it; when that one is done, the name is taken or the file free.
                    problem = $"{file.Path} is in use";
                else if (file.Facts() is var owned && (owned.OwnerUid != OsIdentity.EffectiveUid || (owned.Mode & 2) != 0 || SharedFile.OwnerOf(found) != OsIdentity.EffectiveUid))
                    problem = $"{file.Path} or its catalogue belongs to another user, or everybody may write it"; // Whoever can write these files decides what is in the store.
                else if (ReadFileHeader(file, out SpillFileFacts facts) is { } bad)
                    problem = bad;
                else if (facts.FileId != fileId || facts.StoreName != name || facts.StoreDirectory != folder)
                    problem = $"{file.Path} belongs to store '{facts.StoreName}' in {facts.StoreDirectory}";
                else if (SpillJanitor.IsListed(facts))
                    problem = $"{file.Path} belongs to the store '{name}' that is there";
                else if (SpillCatalog.TryRead(path, name, fileId, facts.Epoch, out CatalogState state, out problem) is { } catalog)
                {
                    // Not changed, and its catalogue stays, until the store has its name: then SpillCatalog.TakeBack.
                    file.TryLock(AttachedLock, exclusive: false);
                    file.TryLock(WriterLock, exclusive: false);
                    SetRights(file, (uint)options.Mode, null);
                    file.TryBypassCache();
                    Adopted[directory] = catalog;
                    id = fileId;
                    options.Logger.LogInformation("{Count} objects of an earlier store are taken over from {File}.", catalog.Objects.Length, file.Path);
                    return file;
                }
                else if (state == CatalogState.Stale)
                    problem = null; // The clean-up's.
            }
            catch (OsException e)
            {
                problem = e.Message;
            }
            file?.Dispose();
            if (problem is not null)
                options.Logger.LogWarning("The objects that an earlier store '{Store}' left in {Directory} are not there again: {Problem}.", name, path, problem);
        }
        return null;
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

    private static string[] EnumerateFiles(string folder, string pattern)
    {
        try
        {
            return System.IO.Directory.GetFiles(folder, pattern);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return []; // Whoever makes a file there says why that cannot be.
        }
    }

    /// <summary>Opens all that the store uses at the same time, in threads that may be left in a disk that does not answer; without end in this one.</summary>
    private void OpenAll(string name, Guid[] ids, TimeSpan patience)
    {
        uint owner = Map.Facts().OwnerUid;
        var threads = new DiskThreads();
        var opening = new Task<(SharedFile? File, string? Problem)>?[ids.Length];
        for (int d = 0; d < ids.Length; d++)
        {
            string path = Paths[d], fileName = StoreNames.Spill(name, ids[d]);
            bool canWrite = CanWrite;
            if (ids[d] != Guid.Empty && patience == Timeout.InfiniteTimeSpan)
                (_data[d], Problems[d]) = OpenData(path, fileName, canWrite, owner);
            else if (ids[d] != Guid.Empty)
                opening[d] = threads.Start(() => OpenData(path, fileName, canWrite, owner));
        }
        threads.Close();
        var deadline = new Deadline(patience);
        for (int d = 0; d < ids.Length; d++)
        {
            if (opening[d] is not { } task)
                continue;
            ManualResetEventSlim? ended = null;
            if (DiskThreads.Wait(task, ref ended, deadline.SliceMs(int.MaxValue), CancellationToken.None))
            {
                (_data[d], Problems[d]) = task.GetAwaiter().GetResult();
                continue;
            }
            Problems[d] = $"{Paths[d]} did not answer within {patience.TotalSeconds:0.###} s when this process opened the store";
            _ = task.ContinueWith(static late => late.Result.File?.Dispose(), CancellationToken.None, TaskContinuationOptions.OnlyOnRanToCompletion, TaskScheduler.Default);
        }
    }

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

    /// <summary>Chunks that a directory's map needs: for the whole limit, or without one for what its file system holds, within reason.</summary>
    private static int ChunkCountFor(SharedFile data, PlasmaOptions options)
    {
        int errno = data.TryGetSpace(out long total, out _);
        if (errno != 0)
            throw new OsException("statvfs", data.Path, errno);
        long bytes = Math.Min(options.SpillBytes ?? Math.Max(MappedBytesMin, options.CapacityBytes * MappedCapacities), Math.Max(total, ChunkMap.ChunkBytes));
        return (int)Math.Min((bytes + ChunkMap.ChunkBytes - 1) / ChunkMap.ChunkBytes, StoreGeometry.CapacityBytesMax / ChunkMap.ChunkBytes);
    }

    private void BuildMap(Guid uuid, PlasmaOptions options, Guid[] ids, int[] chunkCounts)
    {
        int count = DirectoryCount;
        var places = new (long Allocator, long Chunks, long Words)[count];
        long mapBytes = Layout(chunkCounts, places);
        long reserved = places[0].Words;
        Map.SetSize(mapBytes);
        Map.Reserve(0, reserved);
        using MappedView view = MappedView.Map(Map, 0, reserved, writable: true);
        for (int d = 0; d < count; d++)
        {
            var record = (SpillDirectoryRecord*)(view.Pointer + SpillHeader.SizeBytes) + d;
            record->FileId = ids[d];
            record->ChunkCount = chunkCounts[d];
            record->PathBytes = Encoding.UTF8.GetBytes(Paths[d], new Span<byte>((byte*)record + SpillDirectoryRecord.PathOffset, SpillDirectoryRecord.PathBytesMax));
            (record->AllocatorOffset, record->ChunksOffset, record->WordsOffset) = places[d];
            record->Checksum = SpillDirectoryRecord.ChecksumOf(record);
            record->CatalogPending = Adopted[d] is null ? 0u : 1;
            ((AllocatorHeader*)(view.Pointer + places[d].Allocator))->SlabLow = chunkCounts[d];
        }
        var header = (SpillHeader*)view.Pointer;
        header->Magic = SpillHeader.MagicValue;
        header->StoreUuid = uuid;
        header->DirectoryCount = count;
        header->Persist = options.Persist ? 1 : 0;
        header->LimitBytes = options.SpillBytes is long limit ? (limit + ChunkMap.ChunkBytes - 1) / ChunkMap.ChunkBytes * ChunkMap.ChunkBytes : long.MaxValue;
        header->ReserveShare = (long)(options.SpillReserve * SpillHeader.ReserveUnit);
        header->MapBytes = mapBytes;
        header->Checksum = SpillHeader.ChecksumOf(header);
    }

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
