using FastPlasma.Allocator;
using FastPlasma.Format;
using FastPlasma.Native;
using FastPlasma.Nodes;

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

    /// <param name="files">Taken over.</param>
    /// <param name="owners">Says which words' owners have ended.</param>
    /// <param name="participant">Own number, for chunk words; -1 for an attachment that only reads.</param>
    /// <param name="isAnonymous">Whether the spill files have no names.</param>
    internal SpillSpace(SpillFiles files, IBlockOwners owners, int participant, bool isAnonymous)
    {
        _files = files;
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

    internal int DirectoryCount => _directories.Length;

    internal SpillDirectory Directory(int index) => _directories[index];

    /// <summary>Limit of all directories together; <see cref="long.MaxValue"/> for none but those of the file systems.</summary>
    internal long LimitBytes => _header->LimitBytes;

    /// <summary>Whether the last writer leaves a catalogue.</summary>
    internal bool IsPersistent => _header->Persist != 0;

    /// <summary>Writes a copy of an object to the first directory that takes it. The caller has announced itself and holds the entry's claim, so that the bytes stay and nobody else writes the same object.</summary>
    /// <param name="owner"><see cref="BlockOwner"/> of the entry.</param>
    /// <param name="image">What the bytes are.</param>
    /// <param name="bytes">The image in shared memory; <see cref="ObjectImage.ImageBytes"/> of them are read.</param>
    /// <param name="place">For the entry, when the result is true.</param>
    /// <param name="error">Else why no directory took it: the reason of each in its message. Nothing is left on disk then.</param>
    internal bool TryWrite(ulong owner, in ObjectImage image, byte* bytes, out SpillPlace place, out SpillError? error)
    {
        SpillBuffers buffers = _buffers.Rent();
        try
        {
            error = null;
            foreach (SpillDirectory directory in _directories)
            {
                SpillError? refused = directory.TryWrite(buffers, owner, image, bytes, out place);
                if (refused is null)
                {
                    error = null;
                    return true;
                }
                error = error is null ? refused : refused with { Message = $"{error.Message} {refused.Message}" };
            }
            place = default;
            return false;
        }
        finally
        {
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
    /// <param name="destination">Room for the part, which lies inside the image.</param>
    /// <returns>Null, or what is wrong.</returns>
    internal SpillError? ReadRange(SpillPlace place, in ObjectImage expected, long offset, Span<byte> destination)
    {
        if ((ulong)offset > (ulong)expected.ImageBytes || destination.Length > expected.ImageBytes - offset)
            throw new ArgumentOutOfRangeException(nameof(offset), offset, $"{destination.Length} bytes at {offset} are not inside of {expected.ImageBytes}.");
        if (CheckPlace(place, expected) is { } impossible)
            return impossible;
        SpillBuffers buffers = _buffers.Rent();
        try
        {
            return _directories[place.Directory].ReadRange(buffers, place, expected, offset, destination);
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

    /// <summary>Gives the disk space of chunks that hold nothing back to the file systems. Returns bytes.</summary>
    internal long Trim()
    {
        long trimmed = 0;
        foreach (SpillDirectory directory in _directories)
            trimmed += directory.Allocator?.Trim() ?? 0;
        return trimmed;
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
            File = place.IsPlace && place.Directory < _directories.Length ? _directories[place.Directory].FilePath : "",
            Offset = place.IsPlace ? place.Offset : -1,
            Message = $"object {expected.Id} names no copy on disk: its place is {place} (0x{place.Value:x}), expected an offset of at least {SpillFileHeader.DataOffset} in one of {_directories.Length} directories.",
        };
    }

    /// <summary>All that a forked child gives up.</summary>
    internal void CloseFiles() => _files.Dispose();

    public void Dispose()
    {
        _buffers.Dispose();
        _view.Dispose();
        _files.Dispose();
    }
}
