using System.Text;
using FastPlasma.Allocator;
using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Native;
using Microsoft.Extensions.Logging;

namespace FastPlasma.Spill;

/// <content>Making the files of a new store, or taking over those that an earlier one has left.</content>
internal sealed unsafe partial class SpillFiles
{
    /// <summary>What the map of a directory has room for, at most, when there is no limit: memory for it is taken at creation, 32 MiB for this.</summary>
    private const long MappedBytesMin = 1L << 40, MappedCapacities = 64;

    private const int CreateAttempts = 16;
    private const string AnonymousName = "anonymous";

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
        var files = new SpillFiles(map, count, canWrite: true, options.DiskPatience);
        var ids = new Guid[count];
        try
        {
            if (folder is not null)
                SetRights(map, mode, gid);
            var chunkCounts = new int[count];
            for (int d = 0; d < count; d++)
                files.Paths[d] = Path.TrimEndingDirectorySeparator(Path.GetFullPath(options.SpillDirectories[d]));
            DiskAnswer<Made>[] made = DiskWatch.RunEach(files.Paths, options.DiskPatience, Make, static late => late.Undo());
            for (int d = 0; d < count; d++)
            {
                Made one = made[d].Result ?? new Made { Problem = made[d].Problem };
                (files._data[d], ids[d], files.Adopted[d], chunkCounts[d], files.Problems[d]) = (one.File, one.Id, one.Catalog, one.ChunkCount, one.Problem);
            }
            for (int d = 0; d < count; d++)
                if (files.Problems[d] is { } problem)
                    options.Logger.LogWarning("Nothing is spilled to {Directory}, which cannot be used: {Problem}.", files.Paths[d], problem);
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
                Remove(name, (files.Paths, [.. ids.Select((id, d) => files.Adopted[d] is null ? id : Guid.Empty)]), options.DiskPatience);
                SharedFile.TryUnlink(folder, StoreNames.SpillMap(name, uuid));
            }
            files.Dispose();
            throw;
        }

        Made Make(int d, DiskWatch watch)
        {
            string path = files.Paths[d];
            try
            {
                if (folder is not null)
                    SpillJanitor.CleanUpForCreate(path, watch, options.Logger);
                Made one = (folder is null ? null : Adopt(path, folder, name, options, watch)) ?? CreateData(path, folder, name, mode, gid, watch);
                try
                {
                    watch.TryBegin(path);
                    return one with { ChunkCount = Math.Max(ChunkCountFor(one.File!, options), one.Catalog?.ChunkWords.Length ?? 0) };
                }
                catch
                {
                    one.Undo();
                    throw;
                }
            }
            catch (OsException e)
            {
                return new Made { Problem = e.Message };
            }
        }
    }

    /// <summary>A directory's part of a new store: a file, or what is wrong.</summary>
    private sealed record Made
    {
        internal SharedFile? File { get; init; }

        internal Guid Id { get; init; }

        /// <summary>What the file holds already; null for a new one.</summary>
        internal SpillCatalog? Catalog { get; init; }

        internal int ChunkCount { get; init; }

        internal string? Problem { get; init; }

        /// <summary>As if it had not been made: what was taken over stays as it was.</summary>
        internal void Undo()
        {
            if (File is not null && Catalog is null)
                TryRemove(System.IO.Path.GetDirectoryName(File.Path)!, System.IO.Path.GetFileName(File.Path));
            File?.Dispose();
        }
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

    private static Made CreateData(string path, string? folder, string name, uint mode, uint? gid, DiskWatch watch)
    {
        for (int attempt = 1; ; attempt++) // Ends: at most so many attempts.
        {
            if (!watch.TryBegin(path))
                throw new OsException("create a spill file in", path, Libc.ETIMEDOUT);
            var id = OsRandom.NewGuid();
            string fileName = StoreNames.Spill(folder is null ? AnonymousName : name, id);
            SharedFile file = SharedFile.Create(path, fileName, mode);
            try
            {
                // Between its creation and this lock somebody may take the file for an orphan.
                bool locked = TryLock(file, writer: true);
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
                return new Made { File = file, Id = id };
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
    private static Made? Adopt(string path, string folder, string name, PlasmaOptions options, DiskWatch watch)
    {
        foreach (string found in EnumerateFiles(path, $"{StoreNames.Prefix}{name}.*.catalog"))
        {
            if (!StoreNames.TryParseSpill(Path.GetFileName(found), out string owner, out Guid fileId, out _) || owner != name)
                continue;
            if (!watch.TryBegin(path))
                return null;
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
                else if (SpillCatalog.TryRead(path, name, fileId, facts.Epoch, watch, out CatalogState state, out problem) is { } catalog)
                {
                    if (!watch.TryBegin(path))
                        throw new OsException("take over", file.Path, Libc.ETIMEDOUT);

                    // Not changed, and its catalogue stays, until the store has its name: then SpillCatalog.TakeBack.
                    file.TryLock(AttachedLock, exclusive: false);
                    file.TryLock(WriterLock, exclusive: false);
                    SetRights(file, (uint)options.Mode, null);
                    file.TryBypassCache();
                    options.Logger.LogInformation("{Count} objects of an earlier store are taken over from {File}.", catalog.Objects.Length, file.Path);
                    return new Made { File = file, Id = fileId, Catalog = catalog };
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

    private static void SetRights(SharedFile file, uint mode, uint? gid)
    {
        file.SetMode(mode); // The umask does not decide here.
        if (gid is uint g)
            file.SetGroup(g);
    }

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
}
