using System.IO.Hashing;
using System.Numerics;
using System.Runtime.InteropServices;
using FastPlasma.Allocator;
using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Native;
using FastPlasma.Nodes;

namespace FastPlasma.Spill;

/// <summary>What a spill file holds when nobody uses it: written by the last writer of a persistent store, taken back by the next store of that name or by the next writer of the same.</summary>
/// <remarks>
/// A catalogue is valid only together with its spill file in the same epoch. Whoever is about to write to the file raises the epoch there first (<see cref="TakeBack"/>), in one page and on the medium, and unlinks the catalogue then; so neither a crash in between nor an
/// old copy of a catalogue ever brings back what has been changed since.
/// </remarks>
internal sealed unsafe class SpillCatalog
{
    /// <summary>More than any store has, and small enough for sums.</summary>
    private const long FileBytesMax = 1L << 36;

    private const int PieceBytes = 1 << 20;

    private SpillCatalog(CatalogHeader header, ulong[] chunkWords, SpillRecordHeader[] objects) => (Header, ChunkWords, Objects) = (header, chunkWords, objects);

    internal CatalogHeader Header { get; }

    /// <summary>Words of the chunks from the first on; those behind the last are unbacked.</summary>
    internal ulong[] ChunkWords { get; }

    /// <summary>Headers of the records, with their places.</summary>
    internal SpillRecordHeader[] Objects { get; }

    /// <summary>Reads a catalogue; null with the reason when there is none or it cannot be trusted.</summary>
    /// <param name="folder">The spill directory.</param>
    /// <param name="name">The store's.</param>
    /// <param name="fileId">Of the spill file.</param>
    /// <param name="epoch">Epoch that the spill file has.</param>
    /// <param name="watch">Told what is read.</param>
    /// <param name="state">What is the matter with it.</param>
    /// <param name="problem">The same for people.</param>
    internal static SpillCatalog? TryRead(string folder, string name, Guid fileId, ulong epoch, DiskWatch watch, out CatalogState state, out string? problem)
    {
        problem = null;
        SharedFile? file;
        string path = SharedFile.Combine(folder, StoreNames.Catalog(name, fileId));
        try
        {
            file = SharedFile.TryOpen(folder, StoreNames.Catalog(name, fileId), writable: false);
        }
        catch (OsException e)
        {
            (state, problem) = (CatalogState.Damaged, e.Message);
            return null;
        }
        if (file is null)
        {
            state = CatalogState.None;
            return null;
        }
        using (file)
        {
            try
            {
                watch.TryBegin(path, Math.Min(file.Facts().SizeBytes, FileBytesMax));
                SpillCatalog? catalog = Read(file, fileId, out problem);
                state = catalog is null ? CatalogState.Damaged : catalog.Header.Epoch == epoch ? CatalogState.Valid : CatalogState.Stale;
                if (state == CatalogState.Stale)
                    problem = $"{path} is of epoch {catalog!.Header.Epoch}, its spill file is in epoch {epoch}: it was taken back before";
                return state == CatalogState.Valid ? catalog : null;
            }
            catch (OsException e)
            {
                (state, problem) = (CatalogState.Damaged, e.Message);
                return null;
            }
        }
    }

    /// <summary>Writes a directory's catalogue so that it is there as a whole or not at all, also after the power was cut. Who calls has the spill file to himself.</summary>
    /// <exception cref="OsException">The system refused something; an older catalogue, which the epoch makes void, may be there.</exception>
    internal static void Write(string folder, string name, Guid fileId, SharedFile data, ulong epoch, Guid storeUuid, uint mode, List<ulong> chunkWords, List<SpillRecordHeader> objects)
    {
        int errno = data.TrySync();
        if (errno != 0)
            throw new OsException("fdatasync", data.Path, errno);
        byte[] content = new byte[CatalogHeader.SizeBytes + (long)chunkWords.Count * sizeof(ulong) + (long)objects.Count * SpillRecordHeader.SizeBytes];
        Span<byte> words = content.AsSpan(CatalogHeader.SizeBytes, chunkWords.Count * sizeof(ulong));
        MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(chunkWords)).CopyTo(words);
        MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(objects)).CopyTo(content.AsSpan(CatalogHeader.SizeBytes + words.Length));
        fixed (byte* p = content)
        {
            var header = (CatalogHeader*)p;
            *header = new CatalogHeader
            {
                Magic = CatalogHeader.MagicValue,
                Version = CatalogHeader.VersionValue,
                ChunkCount = chunkWords.Count,
                FileId = fileId,
                StoreUuid = storeUuid,
                Epoch = epoch,
                ClosedAt = DateTime.UtcNow.Ticks,
                ObjectCount = objects.Count,
                ContentHash = XxHash3.HashToUInt64(content.AsSpan(CatalogHeader.SizeBytes)),
            };
            header->HeaderHash = CatalogHeader.HashOf(header);
        }
        string newName = StoreNames.CatalogNew(name, fileId);
        SharedFile.TryUnlink(folder, newName); // Of one who died here.
        try
        {
            using (SharedFile file = SharedFile.Create(folder, newName, mode))
            {
                file.SetMode(mode);
                for (int at = 0; at < content.Length; at += PieceBytes)
                    file.WriteAt(at, content.AsSpan(at, Math.Min(PieceBytes, content.Length - at)));
                errno = file.TrySync();
                if (errno != 0)
                    throw new OsException("fdatasync", file.Path, errno);
            }
            // CRASH catalog-written: a complete catalogue under its temporary name, which means nothing; the next one to write or to clean up removes it.
            FailPoint.Pass("catalog-written");
            SharedFile.Rename(folder, newName, StoreNames.Catalog(name, fileId));
        }
        catch (OsException)
        {
            SpillFiles.TryRemove(folder, newName);
            throw;
        }
        // CRASH catalog-renamed: the catalogue is there; a cut of the power may still take its name away, and the objects with it.
        FailPoint.Pass("catalog-renamed");
        SharedFile.SyncFolder(folder);
    }

    /// <summary>Makes a directory's catalogue void, if there is one, before anything in its spill file is changed: the epoch first, then the name. Any number may do it at once.</summary>
    /// <returns>Null, or why the file must not be changed.</returns>
    internal static string? TakeBack(string folder, string name, Guid fileId, SharedFile data)
    {
        try
        {
            if (!SharedFile.Exists(folder, StoreNames.Catalog(name, fileId)))
                return null;
            if (SpillFiles.RaiseEpoch(data) is { } problem)
                return problem;
            // CRASH catalog-void: the catalogue is of an older epoch and means nothing.
            FailPoint.Pass("catalog-void");
            SpillFiles.TryRemove(folder, StoreNames.Catalog(name, fileId));
            return null;
        }
        catch (OsException e)
        {
            return e.Message;
        }
    }

    /// <summary>What an entry says of its object, as a record header with a place.</summary>
    internal static SpillRecordHeader Describe(ObjectEntry* entry, StateWord state, SpillPlace place)
    {
        var header = new SpillRecordHeader
        {
            Magic = SpillRecordHeader.MagicValue,
            Version = SpillRecordHeader.VersionValue,
            Id = entry->Id,
            UserBytes = entry->UserBytes,
            PayloadBytes = entry->PayloadBytes,
            NameBytes = entry->NameBytes,
            ContentTypeBytes = entry->ContentTypeBytes,
            Flags = (state.HasChecksum ? SpillRecordHeader.HasChecksumFlag : 0) | (state.IsEvictable ? SpillRecordHeader.EvictableFlag : 0) | (state.IsReplica ? SpillRecordHeader.ReplicaFlag : 0)
                | (uint)BitOperations.Log2((uint)Math.Max(entry->AlignmentBytes, 1)) << SpillRecordHeader.AlignmentShift,
            Incarnation = entry->Incarnation,
            CreatedAt = entry->CreatedAt,
            SealedAt = entry->SealedAt,
            ExpiresAt = entry->ExpiresAt,
            ObjectChecksum = state.HasChecksum ? entry->Checksum : 0,
            Place = place.Offset,
        };
        header.PieceShift = SpillRecord.PieceShiftFor(SpillRecord.ImageOf(&header).ImageBytes);
        header.HeaderHash = SpillRecordHeader.HashOf(&header);
        return header;
    }

    private static SpillCatalog? Read(SharedFile file, Guid fileId, out string? problem)
    {
        problem = null;
        FileFacts facts = file.Facts();
        if (!facts.IsRegular || facts.SizeBytes < CatalogHeader.SizeBytes || facts.SizeBytes > FileBytesMax)
            return Refuse($"is {facts.SizeBytes} bytes long, expected {CatalogHeader.SizeBytes} to {FileBytesMax}", out problem);
        CatalogHeader header;
        int read = file.ReadAt(0, new Span<byte>(&header, CatalogHeader.SizeBytes));
        if (read < CatalogHeader.SizeBytes)
            return Refuse($"ends after {read} bytes", out problem);
        if (header.Magic != CatalogHeader.MagicValue)
            return Refuse($"begins with 0x{header.Magic:x}, expected 0x{CatalogHeader.MagicValue:x}", out problem);
        if (header.HeaderHash != CatalogHeader.HashOf(&header))
            return Refuse($"has a header with the checksum 0x{CatalogHeader.HashOf(&header):x16}, expected 0x{header.HeaderHash:x16}", out problem);
        if (header.Version != CatalogHeader.VersionValue)
            return Refuse($"has version {header.Version}, expected {CatalogHeader.VersionValue}", out problem);
        if (header.FileId != fileId)
            return Refuse($"is of the spill file {header.FileId:N}", out problem);
        if (header.ChunkCount is < 0 or > (int)(StoreGeometry.CapacityBytesMax / ChunkMap.ChunkBytes) || header.ObjectCount is < 0 or > StoreGeometry.ObjectCountLimit)
            return Refuse($"has {header.ChunkCount} chunks and {header.ObjectCount} objects, at most {StoreGeometry.CapacityBytesMax / ChunkMap.ChunkBytes} and {StoreGeometry.ObjectCountLimit} are possible", out problem);
        long expected = CatalogHeader.SizeBytes + (long)header.ChunkCount * sizeof(ulong) + (long)header.ObjectCount * SpillRecordHeader.SizeBytes;
        if (facts.SizeBytes != expected)
            return Refuse($"is {facts.SizeBytes} bytes long, expected {expected}: truncated or damaged", out problem);

        var words = new ulong[header.ChunkCount];
        var objects = new SpillRecordHeader[header.ObjectCount];
        Span<byte> wordBytes = MemoryMarshal.AsBytes(words.AsSpan()), objectBytes = MemoryMarshal.AsBytes(objects.AsSpan());
        if (file.ReadAt(CatalogHeader.SizeBytes, wordBytes) < wordBytes.Length || file.ReadAt(CatalogHeader.SizeBytes + wordBytes.Length, objectBytes) < objectBytes.Length)
            return Refuse("became shorter while it was read", out problem);
        var hash = new XxHash3();
        hash.Append(wordBytes);
        hash.Append(objectBytes);
        if (hash.GetCurrentHashAsUInt64() != header.ContentHash)
            return Refuse($"has a content with the checksum 0x{hash.GetCurrentHashAsUInt64():x16}, expected 0x{header.ContentHash:x16}: it is damaged", out problem);
        return new SpillCatalog(header, words, objects);

        SpillCatalog? Refuse(string what, out string why)
        {
            why = $"{file.Path} {what}";
            return null;
        }
    }
}

/// <summary>What is the matter with a catalogue.</summary>
internal enum CatalogState
{
    /// <summary>There is none.</summary>
    None,

    /// <summary>It says what its spill file holds.</summary>
    Valid,

    /// <summary>It was taken back; the spill file has been used since.</summary>
    Stale,

    /// <summary>It cannot be read, or is not what was written.</summary>
    Damaged,
}
