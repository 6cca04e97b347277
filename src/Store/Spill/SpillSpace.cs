using FastPlasma.Allocator;
using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Index;
using FastPlasma.Native;
using FastPlasma.Nodes;
using Microsoft.Extensions.Logging;

namespace FastPlasma.Spill;

/// <summary>Disk space for copies of objects: writes, reads and frees them, in several directories. Knows nothing of entries' states; the life cycle does.</summary>
/// <remarks>
/// Blocks on disk belong to (entry, generation) as those in memory do, in words that lie in the spill map; see <see cref="SpillDirectory"/> for what is done with them. Invariant S1: a record counts only once an entry names it, so half of one is nothing.
/// Invariant S2: a block's word is freed by who holds the entry's claim, by who finishes the entry, or because the entry has left the generation; so the word of a copy in use stays. Any number of threads may call at once.
/// </remarks>
internal sealed unsafe class SpillSpace : IDisposable
{
    private readonly SpillFiles _files;
    private readonly MappedView _view;
    private readonly SpillHeader* _header;
    private readonly SpillDirectory[] _directories;
    private readonly SpillBuffers.Pool _buffers;
    private readonly IBlockOwners _owners;

    /// <param name="files">Taken over.</param>
    /// <param name="owners">Says which words' owners have ended.</param>
    /// <param name="participant">Own number, for chunk words; -1 for an attachment that only reads.</param>
    /// <param name="isAnonymous">Whether the spill files have no names.</param>
    internal SpillSpace(SpillFiles files, IBlockOwners owners, int participant, bool isAnonymous)
    {
        (_files, _owners) = (files, owners);
        try
        {
            _view = MappedView.Map(files.Map, 0, files.Map.Facts().SizeBytes, files.CanWrite);
        }
        catch
        {
            files.Dispose();
            throw;
        }
        byte* m = _view.Pointer;
        _header = (SpillHeader*)m;
        _buffers = new SpillBuffers.Pool(files.DirectoryCount);
        int writeTurns = files.DirectoryCount * SpillDirectory.WritesMax + SpillDirectory.WritesMax / 2;
        WriteTurns = new SemaphoreSlim(writeTurns, writeTurns);
        _directories = new SpillDirectory[files.DirectoryCount];
        for (int d = 0; d < _directories.Length; d++)
        {
            // The numbers were checked when the files were opened, and never change.
            var record = (SpillDirectoryRecord*)(m + SpillHeader.SizeBytes) + d;
            var map = new ChunkMap((AllocatorHeader*)(m + record->AllocatorOffset), (ChunkRecord*)(m + record->ChunksOffset), (ulong*)(m + record->WordsOffset), record->ChunkCount);
            SharedFile? data = files.Data(d);
            SpillExtents? extents = data is null || !files.CanWrite ? null : new SpillExtents(data, files.Map, record->WordsOffset, _header, CountBacked);
            _directories[d] = new SpillDirectory(d, files.Paths[d], data, files.Problems[d], record, map, extents, owners, participant) { IsNameless = isAnonymous };
        }
    }

    /// <summary>From here on this attachment is participant <paramref name="participant"/>: it can allocate. Before, it can free and repair.</summary>
    internal void UseAs(int participant)
    {
        foreach (SpillDirectory directory in _directories)
            directory.UseAs(_owners, participant);
    }

    internal int DirectoryCount => _directories.Length;

    internal IEnumerable<string> Paths => _directories.Select(static directory => directory.Path);

    internal SpillDirectory Directory(int index) => _directories[index];

    /// <summary>Limit of all directories together; <see cref="long.MaxValue"/> for none but those of the file systems.</summary>
    internal long LimitBytes => _header->LimitBytes;

    /// <summary>Whether the last writer leaves a catalogue.</summary>
    internal bool IsPersistent => _header->Persist != 0;

    /// <summary>Why this attachment can write to no directory at the moment, the reason of each; null when it can to one.</summary>
    internal string? ProblemNow()
    {
        string?[] problems = Array.ConvertAll(_directories, static directory => directory.ProblemNow());
        return Array.Exists(problems, static problem => problem is null) ? null : string.Join("; ", problems);
    }

    /// <summary>For threads that write copies: one more than can be stuck in all directories is always there, so that a disk that does not answer keeps no thread from the others.</summary>
    internal SemaphoreSlim WriteTurns { get; }

    /// <summary>Turns to read at a place's directory; null when there is none.</summary>
    internal DiskTurns? ReadTurns(SpillPlace place) => place.IsPlace && place.Directory < _directories.Length ? _directories[place.Directory].ReadTurns : null;

    /// <summary>What of the reads where a place is has not been answered, for people.</summary>
    internal string DescribeReads(SpillPlace place) => place.IsPlace && place.Directory < _directories.Length ? _directories[place.Directory].DescribeSlowReads() ?? FilePathOf(place) : place.ToString();

    /// <summary>Writes that have not been answered for a moment, for people; null when there are none.</summary>
    internal string? DescribeSlowWrites() => Join(_directories.Select(static directory => directory.DescribeSlowWrites()));

    /// <summary>The same of reads and writes.</summary>
    internal string? DescribeSlow() => Join(_directories.SelectMany(static directory => new[] { directory.DescribeSlowReads(), directory.DescribeSlowWrites() }));

    private static string? Join(IEnumerable<string?> parts) => string.Join("; ", parts.OfType<string>()) is { Length: > 0 } joined ? joined : null;

    /// <summary>Writes a copy of an object to the first directory that takes it. The caller has announced itself and holds the entry's claim, so that the bytes stay and nobody else writes the same object.</summary>
    /// <param name="owner"><see cref="BlockOwner"/> of the entry.</param>
    /// <param name="image">What the bytes are.</param>
    /// <param name="bytes">The image in shared memory; <see cref="ObjectImage.ImageBytes"/> of them are read.</param>
    /// <param name="place">For the entry, when the result is true.</param>
    /// <param name="error">Else why no directory took it: the reason of each in its message. Nothing is left on disk then.</param>
    /// <param name="watch">Told in which directory the write is.</param>
    internal bool TryWrite(ulong owner, in ObjectImage image, byte* bytes, out SpillPlace place, out SpillError? error, WriteWatch? watch = null)
    {
        SpillBuffers buffers = _buffers.Rent();
        try
        {
            place = default;
            var refused = new SpillError?[_directories.Length];
            for (int round = 0; round < 2; round++)
                for (int d = 0; d < _directories.Length; d++)
                {
                    if (round > 0 && refused[d] is not { IsResting: true })
                        continue; // Tried just now.
                    watch?.Directory = _directories[d];
                    refused[d] = _directories[d].TryWrite(buffers, owner, image, bytes, isLastResort: round > 0, out place);
                    if (refused[d] is null)
                    {
                        error = null;
                        return true;
                    }
                }
            error = refused.Length == 0 ? null : refused[^1]! with { Message = string.Join(' ', refused.Select(static one => one!.Message)) };
            return false;
        }
        finally
        {
            watch?.Directory = null;
            _buffers.Return(buffers);
        }
    }

    /// <summary>Reads a whole image back and verifies it. The caller keeps the copy from being freed meanwhile.</summary>
    /// <param name="place">As the entry has it.</param>
    /// <param name="expected">What the entry says of the object.</param>
    /// <param name="destination">Room for <see cref="ObjectImage.ImageBytes"/> bytes; read straight into it when it begins at a page. What is there after an error means nothing.</param>
    /// <returns>Null, or what is wrong.</returns>
    internal SpillError? Read(SpillPlace place, in ObjectImage expected, byte* destination)
    {
        if (CheckPlace(place, expected) is { } impossible)
            return impossible;
        SpillBuffers buffers = _buffers.Rent();
        try
        {
            return _directories[place.Directory].Read(buffers, place, expected, destination);
        }
        finally
        {
            _buffers.Return(buffers);
        }
    }

    /// <summary>Reads a part of an image back; the pieces of it that are read are verified.</summary>
    /// <param name="place">As for <see cref="Read"/>.</param>
    /// <param name="expected">As for <see cref="Read"/>.</param>
    /// <param name="offset">From the image's beginning, which is the payload's.</param>
    /// <param name="target">Room for the part, which lies inside the image; when it is closed, reading ends.</param>
    /// <returns>Null, or what is wrong.</returns>
    internal SpillError? ReadRange(SpillPlace place, in ObjectImage expected, long offset, ReadTarget target)
    {
        if ((ulong)offset > (ulong)expected.ImageBytes || target.Length > expected.ImageBytes - offset)
            throw new ArgumentOutOfRangeException(nameof(offset), offset, $"{target.Length} bytes at {offset} are not inside of {expected.ImageBytes}.");
        if (CheckPlace(place, expected) is { } impossible)
            return impossible;
        SpillBuffers buffers = _buffers.Rent();
        try
        {
            return _directories[place.Directory].ReadRange(buffers, place, expected, offset, target);
        }
        finally
        {
            _buffers.Return(buffers);
        }
    }

    /// <summary>Frees a copy's blocks as far as they are <paramref name="owner"/>'s, so that repeating it is harmless. Returns bytes freed.</summary>
    internal long Free(SpillPlace place, in ObjectImage image, ulong owner) => Free(place, image.ImageBytes, owner);

    /// <inheritdoc cref="Free(SpillPlace, in ObjectImage, ulong)"/>
    internal long Free(SpillPlace place, long imageBytes, ulong owner)
    {
        if (!place.IsPlace || place.Directory >= _directories.Length || imageBytes is < 0 or > ObjectImage.PayloadBytesMax)
            return 0;
        SpillBuffers buffers = _buffers.Rent();
        try
        {
            return _directories[place.Directory].Free(buffers.Caches[place.Directory], place, imageBytes, owner);
        }
        finally
        {
            _buffers.Return(buffers);
        }
    }

    /// <summary>Frees whatever an owner has in any directory: for who recovers the claim of a dead participant, before it takes the claim away. A walk over all block words in use. Returns bytes freed.</summary>
    internal long FreeAbandoned(ulong owner)
    {
        long freed = 0;
        foreach (SpillDirectory directory in _directories)
            freed += directory.FreeAll(owner);
        return freed;
    }

    /// <summary>Repairs the chunk words of a dead participant. The caller holds its token.</summary>
    internal void Recover(int participant)
    {
        foreach (SpillDirectory directory in _directories)
            directory.Allocator?.Recover(participant);
    }

    /// <summary>Fills a new store with the objects that an earlier one has left: entries in Spilled, index words, block words. Nobody else has the store yet.</summary>
    internal void TakeOver(StoreMemory memory, ObjectIndex index, int participant, ILogger logger)
    {
        uint next = 0;
        for (int d = 0; d < _directories.Length; d++)
        {
            if (_files.Adopted[d] is not { } catalog)
                continue;
            SpillDirectory directory = _directories[d];
            long backed = directory.TakeOver(catalog.ChunkWords);
            Interlocked.Add(ref _header->BackedChunks, backed);
            int taken = 0;
            fixed (SpillRecordHeader* objects = catalog.Objects)
            {
                for (int i = 0; i < catalog.Objects.Length; i++)
                    taken += TakeOver(memory, index, participant, directory, d, objects + i, ref next) ? 1 : 0;
            }
            if (taken < catalog.Objects.Length)
                logger.LogWarning("{Missing} of {Count} objects in {File} are not taken over: their places or ids are taken.", catalog.Objects.Length - taken, catalog.Objects.Length, directory.FilePath);
        }
    }

    /// <summary>Directories where there may be a catalogue, of the last writer or of an earlier store, that a writer has to make void before it changes anything there.</summary>
    private IEnumerable<SpillDirectory> MayHaveCatalogs(string name)
    {
        return _directories.Where(directory => name.Length > 0 && directory.File is not null && (IsPersistent || IsPending(directory)));

        static bool IsPending(SpillDirectory directory) => Volatile.Read(ref directory.Record->CatalogPending) != 0;
    }

    /// <summary>The first thing that a writer does: nothing is written to those directories before <see cref="TakeBackCatalog"/>.</summary>
    internal void CloseUntilTakenBack(string name)
    {
        foreach (SpillDirectory directory in MayHaveCatalogs(name))
            directory.CloseForWriting($"the catalogue of an earlier store in {directory.Path} is not taken back yet");
    }

    /// <summary>Makes a directory's catalogue void, and opens the directory for writing then: before, nothing on disk may be changed.</summary>
    internal void TakeBackCatalog(SpillDirectory directory, string name, ILogger logger)
    {
        if (directory.File is not { } file)
            return;
        if (SpillCatalog.TakeBack(directory.Path, name, directory.Record->FileId, file) is { } problem)
        {
            directory.CloseForWriting($"the catalogue there could not be taken back: {problem}");
            logger.LogWarning("Nothing is spilled to {Directory} by this attachment: {Problem}.", directory.Path, problem);
            return;
        }
        Volatile.Write(ref directory.Record->CatalogPending, 0);
        directory.OpenForWriting();
    }

    /// <summary>The end of a writer's attachment: whoever is the last one of a persistent store leaves catalogues of what is on disk. The participant is detached; its mappings still are there.</summary>
    /// <remarks>The shared lock is given up first, then the exclusive one tried: of writers that leave at the same time the last to give up gets it, or another has it.</remarks>
    internal void LeaveCatalogs(StoreMemory memory, string name, ILogger logger)
    {
        if (!IsPersistent || name.Length == 0)
            return;
        for (int d = 0; d < _directories.Length; d++)
        {
            SpillDirectory directory = _directories[d];
            if (directory.File is not { } file)
                continue;
            try
            {
                file.Unlock(SpillFiles.WriterLock);
                if (!file.TryLock(SpillFiles.WriterLock, exclusive: true) || file.Facts().LinkCount == 0)
                    continue; // Others write still, or the file was removed with its store.
                if (directory.IsClosedForWriting)
                    TakeBackCatalog(directory, name, logger); // It may have been a passing trouble, and what others have written since is to be there again.
                if (directory.IsClosedForWriting)
                {
                    logger.LogError("The objects in {File} will not be there again after the store is gone, or those of an earlier catalogue will be: no catalogue could be written.", directory.FilePath);
                    continue;
                }
                List<SpillRecordHeader> objects = Copies(memory, d);
                if (objects.Count > 0)
                    SpillCatalog.Write(directory.Path, name, directory.Record->FileId, file, SpillFiles.EpochOf(file), _header->StoreUuid, file.Facts().Mode, directory.ChunkWords(), objects);
            }
            catch (OsException e)
            {
                logger.LogError(e, "The objects in {File} will not be there again after the store is gone: no catalogue could be written.", directory.FilePath);
            }
        }
    }

    /// <summary>What is on disk in one directory, by the entries.</summary>
    private static List<SpillRecordHeader> Copies(StoreMemory memory, int directory)
    {
        var found = new List<SpillRecordHeader>();
        for (uint e = 0; e < (uint)memory.Geometry.ObjectCountMax; e++)
        {
            ObjectEntry* entry = memory.Entries + e;
            var state = new StateWord(Volatile.Read(ref entry->State));
            var place = new SpillPlace(Volatile.Read(ref entry->SpillPlace));
            if (place.IsPlace && place.Directory == directory && HasCopy(state.State))
                found.Add(SpillCatalog.Describe(entry, state, place));
        }
        return found;
    }

    /// <summary>States of an object that exists and was sealed once, wherever its bytes are.</summary>
    private static bool HasCopy(ObjectState state) => state is not (ObjectState.Free or ObjectState.Tentative or ObjectState.Aborted or ObjectState.Creating or ObjectState.Condemned);

    private static bool TakeOver(StoreMemory memory, ObjectIndex index, int participant, SpillDirectory directory, int number, SpillRecordHeader* header, ref uint next)
    {
        ObjectImage image = SpillRecord.ImageOf(header);
        var place = new SpillPlace(number, header->Place);
        if (header->HeaderHash != SpillRecordHeader.HashOf(header) || image.Validate() is not null || next >= (uint)memory.Geometry.ObjectCountMax
            || !directory.TryOwn(place, image.ImageBytes, BlockOwner.Of(1, next)))
            return false;
        ObjectEntry* entry = memory.Entries + next;
        ulong flags = (image.IsEvictable ? StateWord.EvictableFlag : StateWord.MovableFlag) | (image.HasChecksum ? StateWord.ChecksumFlag : 0) | (image.IsReplica ? StateWord.ReplicaFlag : 0) | (image.ExpiresAtTicks != 0 ? StateWord.ExpiresFlag : 0);
        memory.Header->EvictableUsed = 1; // Candidates, of one kind or the other; each is in the map once it is back in memory.
        if (image.ExpiresAtTicks != 0)
            memory.Header->NextExpiry = Math.Min(memory.Header->NextExpiry, image.ExpiresAtTicks);
        *entry = new ObjectEntry
        {
            Id = image.Id,
            UserBytes = image.UserBytes,
            State = new StateWord(1, participant, ObjectState.Tentative, flags).Value,
            PayloadBytes = image.PayloadBytes,
            NameBytes = (ushort)image.NameBytes,
            ContentTypeBytes = (ushort)image.ContentTypeBytes,
            AlignmentBytes = 1 << (int)(header->Flags >> SpillRecordHeader.AlignmentShift & 31),
            CreatedAt = image.CreatedAtTicks,
            SealedAt = image.SealedAtTicks,
            ExpiresAt = image.ExpiresAtTicks,
            Checksum = image.Checksum,
            SpillPlace = place.Value,
            Incarnation = image.Incarnation,
        };
        ulong hash = index.HashOf(image.Id);
        if (index.Insert(image.Id, hash, new IndexWord(hash, 1, next), out _) != InsertResult.Committed)
        {
            directory.Free(null, place, image.ImageBytes, BlockOwner.Of(1, next));
            index.Remove(hash, new IndexWord(hash, 1, next));
            *entry = default;
            return false;
        }
        entry->State = new StateWord(1, participant, ObjectState.Spilled, flags).Value;
        next++;
        return true;
    }

    /// <summary>The space as it is now, for people and tools.</summary>
    internal SpillInfo Info(StoreMemory memory, DiskWatch watch) => new()
    {
        LimitBytes = LimitBytes == long.MaxValue ? null : LimitBytes,
        Reserve = (double)_header->ReserveShare / SpillHeader.ReserveUnit,
        IsPersistent = IsPersistent,
        Directories = [.. _directories.TakeWhile(directory => watch.TryBegin(directory.FilePath)).Select((directory, d) => directory.Info(CountCopies(memory, d)))],
    };

    private static int CountCopies(StoreMemory memory, int directory)
    {
        int count = 0;
        for (uint e = 0; e < (uint)memory.Geometry.ObjectCountMax; e++)
        {
            var place = new SpillPlace(Volatile.Read(ref memory.Entries[e].SpillPlace));
            if (place.IsPlace && place.Directory == directory && HasCopy(new StateWord(Volatile.Read(ref memory.Entries[e].State)).State))
                count++;
        }
        return count;
    }

    /// <summary>Reads every copy and compares its checksums; changes nothing. A copy that is freed while it is read does not count.</summary>
    internal SpillVerifyReport Verify(StoreMemory memory, DiskWatch watch)
    {
        var errors = new List<SpillError>();
        int copies = 0;
        long bytes = 0;
        byte* buffer = null;
        nuint bufferBytes = 0;
        try
        {
            for (uint e = 0; e < (uint)memory.Geometry.ObjectCountMax; e++)
            {
                ObjectEntry* entry = memory.Entries + e;
                ulong state = Volatile.Read(ref entry->State), place = Volatile.Read(ref entry->SpillPlace);
                if (!new SpillPlace(place).IsPlace || !HasCopy(new StateWord(state).State))
                    continue;
                SpillRecordHeader header = SpillCatalog.Describe(entry, new StateWord(state), new SpillPlace(place));
                ObjectImage image = SpillRecord.ImageOf(&header);
                if (!IsUnchanged() || image.Validate() is not null)
                    continue;
                nuint needed = (nuint)SpillRecord.RoundUp(Math.Max(image.ImageBytes, 1));
                if (needed > bufferBytes)
                {
                    ForkMark.Unmap(buffer, bufferBytes);
                    buffer = null;
                    buffer = (byte*)ForkMark.MapWiped(needed);
                    bufferBytes = needed;
                }
                if (!watch.TryBegin(FilePathOf(new SpillPlace(place)), image.ImageBytes))
                    break;
                SpillError? error = Read(new SpillPlace(place), image, buffer);
                if (!IsUnchanged())
                    continue;
                copies++;
                bytes += image.ImageBytes;
                if (error is not null)
                    errors.Add(error);
                watch.Report((double)e / memory.Geometry.ObjectCountMax);

                // Also the same in another generation is another object.
                bool IsUnchanged()
                {
                    Volatile.ReadBarrier();
                    return Volatile.Read(ref entry->SpillPlace) == place && new StateWord(Volatile.Read(ref entry->State)) is var now && now.Generation == new StateWord(state).Generation && HasCopy(now.State);
                }
            }
        }
        finally
        {
            ForkMark.Unmap(buffer, bufferBytes);
        }
        return new SpillVerifyReport { CopyCount = copies, ImageBytes = bytes, Errors = errors };
    }

    /// <summary>Gives the disk space of chunks that hold nothing back to a directory's file system. Returns bytes.</summary>
    internal long Trim(int index, DiskWatch watch)
    {
        SpillDirectory directory = _directories[index];
        return directory.IsClosedForWriting ? 0 : directory.Allocator?.Trim(() => watch.TryBegin(directory.FilePath)) ?? 0; // Of a closed one a catalogue may say what lies there.
    }

    /// <summary>Chunks of all directories that have disk space, or that somebody is giving some.</summary>
    private long CountBacked()
    {
        long backed = 0;
        foreach (SpillDirectory directory in _directories)
            for (long chunk = 0; chunk < directory.Map.ChunkCount; chunk++)
                backed += directory.Map.ReadWord(chunk).State == ChunkState.Unbacked ? 0 : 1;
        return backed;
    }

    private SpillError? CheckPlace(SpillPlace place, in ObjectImage expected)
    {
        if (place.IsPlace && place.Directory < _directories.Length && place.Offset >= SpillFileHeader.DataOffset)
            return null;
        return new SpillError
        {
            Kind = SpillErrorKind.BadPlace,
            Id = expected.Id,
            File = FilePathOf(place),
            Offset = place.IsPlace ? place.Offset : -1,
            Message = $"object {expected.Id} names no copy on disk: its place is {place} (0x{place.Value:x}), expected an offset of at least {SpillFileHeader.DataOffset} in one of {_directories.Length} directories.",
        };
    }

    private string FilePathOf(SpillPlace place) => place.IsPlace && place.Directory < _directories.Length ? _directories[place.Directory].FilePath : "";

    /// <summary>All that a forked child gives up.</summary>
    internal void CloseFiles()
    {
        _files.Map.Dispose();
        _files.CloseData();
    }

    public void Dispose()
    {
        _buffers.Dispose();
        _view.Dispose();
        _files.Dispose();
    }
}

/// <summary>Where a thread is writing, for those who wait for it.</summary>
internal sealed class WriteWatch
{
    private volatile SpillDirectory? _directory;

    internal SpillDirectory? Directory
    {
        get => _directory;
        set => _directory = value;
    }
}
