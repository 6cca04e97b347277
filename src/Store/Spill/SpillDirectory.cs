using System.Globalization;
using FastPlasma.Allocator;
using FastPlasma.Format;
using FastPlasma.Native;
using FastPlasma.Nodes;

namespace FastPlasma.Spill;

/// <summary>One spill directory of an attachment: allocates, writes and reads records in its file.</summary>
internal sealed unsafe partial class SpillDirectory
{
    /// <summary>So long nothing is written to a directory after the system reported an error, and after it was full.</summary>
    private const long RetryAfterErrorTicks = 30 * TimeSpan.TicksPerSecond, RetryAfterFullTicks = TimeSpan.TicksPerSecond;

    /// <summary>Reads and writes of this attachment at a time; the next ones wait for one of them to end.</summary>
    internal const int ReadsMax = 16, WritesMax = 16;

    private const int TurnMs = 100;

    private readonly DiskTurns _writeTurns = new(WritesMax);
    private readonly Action _onWritten, _onRead;
    private long _writtenSeen; // Of all attachments, when a write of this one was last begun while the directory was not silent.
    private readonly int _index;
    private readonly string _path;
    private readonly SharedFile? _file;
    private string? _closedBecause;
    private volatile bool _isClosedForWriting;
    private readonly SpillDirectoryRecord* _record;
    private readonly SpillExtents? _extents;
    private BlockAllocator? _allocator;

    internal SpillDirectory(int index, string path, SharedFile? file, string? closedBecause, SpillDirectoryRecord* record, ChunkMap map, SpillExtents? extents, IBlockOwners owners, int participant)
    {
        (_index, _path, _file, _closedBecause, Map, _extents) = (index, path, file, closedBecause, map, extents);
        _record = record;
        (_onWritten, _onRead) = (_writeTurns.NotePiece, ReadTurns.NotePiece);
        if (extents is not null)
            _allocator = new BlockAllocator(map, extents, owners, participant);
    }

    /// <summary>Chunk words are taken in the name of <paramref name="participant"/> from here on. By the attachment's opener, before anybody writes.</summary>
    internal void UseAs(IBlockOwners owners, int participant)
    {
        if (_extents is not null)
            _allocator = new BlockAllocator(Map, _extents, owners, participant);
    }

    internal ChunkMap Map { get; }

    internal SpillDirectoryRecord* Record => _record;

    internal string Path => _path;

    /// <summary>Path of the spill file, or of the directory when there is none.</summary>
    internal string FilePath => _file?.Path ?? _path;

    internal SharedFile? File => _file;

    internal BlockAllocator? Allocator => _allocator;

    internal bool IsClosedForWriting => _isClosedForWriting;

    /// <summary>For whoever reads: taken before, given back after.</summary>
    internal DiskTurns ReadTurns { get; } = new(ReadsMax);

    /// <summary>Whether writes of this attachment have not been answered for long.</summary>
    internal bool IsSilent => _writeTurns.IsSilent;

    /// <inheritdoc cref="DiskTurns.DescribeSlow"/>
    internal string? DescribeSlowReads() => ReadTurns.DescribeSlow("reads", FilePath);

    /// <inheritdoc cref="DiskTurns.DescribeSlow"/>
    internal string? DescribeSlowWrites() => _writeTurns.DescribeSlow("writes", FilePath);

    /// <summary>This attachment writes nothing there from now on.</summary>
    internal void CloseForWriting(string because)
    {
        _closedBecause = because;
        _isClosedForWriting = true;
    }

    internal void OpenForWriting() => _isClosedForWriting = false;

    /// <summary>What keeps this attachment from writing there at the moment; null when nothing does.</summary>
    internal string? ProblemNow()
    {
        if (_file is null || _isClosedForWriting)
            return _closedBecause;
        ulong problem = Volatile.Read(ref _record->Problem);
        return problem != 0 ? Describe(problem) : IsSilent ? DescribeSlowWrites() : null;
    }

    /// <summary>A value of Problem for people.</summary>
    private string Describe(ulong problem)
    {
        var kind = (SpillErrorKind)(problem & 0xFF);
        int errno = (int)(problem >> 8) & 0xFFFF;
        long offset = Volatile.Read(ref _record->ProblemOffset);
        string where = offset < 0 ? FilePath : string.Create(CultureInfo.InvariantCulture, $"{FilePath} at {offset}");
        string what = errno != 0 ? OsException.Describe(errno) : kind switch
        {
            SpillErrorKind.Limit => "the limit of bytes for spilled objects is reached",
            SpillErrorKind.NoSpace => "no more than the share of the file system that has to stay free is left",
            SpillErrorKind.Missing => "the file was removed",
            SpillErrorKind.NoAnswer => "the system had not answered writes for some seconds",
            _ => kind.ToString(),
        };
        return $"{where}: {what}";
    }

    /// <summary>Allocates and writes one record. The caller holds the claim of the object's entry. As a last resort, when no other directory takes it, one that failed is tried again after as short a time as one that was full.</summary>
    /// <returns>Null when <paramref name="place"/> is a complete copy; else why not, and nothing is left.</returns>
    internal SpillError? TryWrite(SpillBuffers buffers, ulong owner, in ObjectImage image, byte* bytes, bool isLastResort, out SpillPlace place)
    {
        place = default;
        if (_file is null || _allocator is null || _extents is null || _isClosedForWriting)
            return Error(SpillErrorKind.Missing, image.Id, -1, 0, $"object {image.Id} cannot be written to {_path}: {_closedBecause}");
        long recordBytes = SpillRecord.BytesFor(image.ImageBytes);
        if (!_writeTurns.IsSilent && RestingFor(recordBytes, isLastResort) is not 0 and ulong problem) // Whose own writes are not answered does not take the next try from others.
            return Error((SpillErrorKind)(problem & 0xFF), image.Id, -1, (int)(problem >> 8) & 0xFFFF, $"object {image.Id}, {recordBytes} bytes, is not written, because of {Describe(problem)}; that is tried again later") with { IsResting = true };
        while (!_writeTurns.TryTake(recordBytes, _writeTurns.IsSilent ? 0 : TurnMs)) // Ends with a turn: one comes, or the directory is silent.
        {
            if (!_writeTurns.IsSilent)
                continue;
            if (Volatile.Read(ref _record->Problem) == 0 && Volatile.Read(ref _record->WrittenCount) == Volatile.Read(ref _writtenSeen))
                Fail(SpillErrorKind.NoAnswer, 0, -1, RetryAfterErrorTicks, 0); // Nobody else has had an answer either.
            return Error(SpillErrorKind.NoAnswer, image.Id, -1, 0, $"object {image.Id}, {recordBytes} bytes, is not written: {DescribeSlowWrites() ?? Describe((ulong)SpillErrorKind.NoAnswer)}");
        }
        if (!_writeTurns.IsSilent)
            Volatile.Write(ref _writtenSeen, Volatile.Read(ref _record->WrittenCount));
        try
        {
            return Write(_file, _allocator, _extents, buffers, owner, image, bytes, recordBytes, out place);
        }
        finally
        {
            _writeTurns.GiveBack(recordBytes);
        }
    }

    private SpillError? Write(SharedFile file, BlockAllocator allocator, SpillExtents extents, SpillBuffers buffers, ulong owner, in ObjectImage image, byte* bytes, long recordBytes, out SpillPlace place)
    {
        place = default;
        if (!IsNameless && IsRemoved(file))
        {
            Fail(SpillErrorKind.Missing, 0, -1, RetryAfterErrorTicks, 0);
            return Error(SpillErrorKind.Missing, image.Id, -1, 0, $"object {image.Id} is not written to {file.Path}: the file was removed");
        }

        BlockPlace block = default;
        if (!TryAllocate(buffers.Caches[_index], recordBytes, owner, &block, out long dataOffset))
        {
            (SpillErrorKind kind, int errno) = extents.LastFailure ?? (extents.LastError is null ? SpillErrorKind.Limit : SpillErrorKind.NoSpace, 0); // An error without a number of the file's is one of the map's memory.
            string why = extents.LastError ?? $"no run of {recordBytes} bytes is free among {(long)Map.ChunkCount * ChunkMap.ChunkBytes} bytes";
            Fail(kind, errno, -1, errno == 0 || kind == SpillErrorKind.NoSpace ? RetryAfterFullTicks : RetryAfterErrorTicks, IsFull(kind) ? recordBytes : 0);
            return Error(kind, image.Id, -1, errno, $"object {image.Id}, {recordBytes} bytes, cannot be written to {file.Path}: {why}");
        }

        // CRASH spill-allocated, spill-written: blocks with the owner of an entry that has no place; who recovers the claim frees them.
        FailPoint.Pass("spill-allocated");
        long offset = SpillFileHeader.DataOffset + dataOffset;
        int error = SharedFile.MaySize(offset + recordBytes) ? WriteRecord(buffers, image, bytes, offset) : Libc.EFBIG; // Another process may have reserved it.
        if (error == 0 && !file.BypassesCache)
            error = file.TrySync(); // The object's memory may go next: what the cache could not write would be lost.
        if (error != 0)
        {
            allocator.Free(null, block, owner);
            SpillErrorKind kind = SpillExtents.KindOf(error);
            Fail(kind, error, offset, kind == SpillErrorKind.NoSpace ? RetryAfterFullTicks : RetryAfterErrorTicks, IsFull(kind) ? recordBytes : 0);
            return Error(kind, image.Id, offset, error, $"object {image.Id} could not be written: write {recordBytes} bytes at {offset} of {file.Path}: {OsException.Describe(error)}");
        }
        FailPoint.Pass("spill-written");
        Interlocked.Increment(ref _record->WrittenCount);
        Interlocked.Add(ref _record->WrittenBytes, recordBytes);
        ulong overcome = Volatile.Read(ref _record->Problem);
        if (overcome != 0 && !(IsFull((SpillErrorKind)(overcome & 0xFF)) && recordBytes < Volatile.Read(ref _record->ProblemBytes)))
            Interlocked.CompareExchange(ref _record->Problem, 0, overcome); // It works again.
        place = new SpillPlace(_index, offset);
        return null;
    }

    /// <summary>Frees the blocks of a record as far as they are <paramref name="owner"/>'s. Returns bytes freed.</summary>
    internal long Free(BlockCache? cache, SpillPlace place, long imageBytes, ulong owner)
    {
        if (_allocator is null || !TryBlockOf(place, imageBytes, out BlockPlace block))
            return 0;
        long freed = _allocator.Free(cache, block, owner);
        ulong problem = Volatile.Read(ref _record->Problem);
        if (freed > 0 && IsFull((SpillErrorKind)(problem & 0xFF)))
            Interlocked.CompareExchange(ref _record->Problem, 0, problem); // There is room again.
        return freed;
    }

    /// <summary>Whether a record of that length at that place lies inside one block or run, as the chunk is used now.</summary>
    internal bool TryBlockOf(SpillPlace place, long imageBytes, out BlockPlace block)
    {
        block = default;
        long dataOffset = place.Offset - SpillFileHeader.DataOffset, bytes = SpillRecord.BytesFor(imageBytes);
        if (dataOffset < 0 || dataOffset > (long)Map.ChunkCount * ChunkMap.ChunkBytes - bytes)
            return false;
        long chunk = dataOffset / ChunkMap.ChunkBytes, inChunk = dataOffset % ChunkMap.ChunkBytes;
        ChunkWord word = Map.ReadWord(chunk);
        if (word.State is not (ChunkState.Slab or ChunkState.Large or ChunkState.Retiring))
            return false;
        if (word.Class == ChunkWord.LargeClass)
        {
            if (inChunk % ChunkMap.GrainBytes != 0)
                return false;
            block.Index = (ulong)(dataOffset / ChunkMap.GrainBytes) | BlockPlace.LargeFlag;
            block.Count = (uint)((bytes + ChunkMap.GrainBytes - 1) / ChunkMap.GrainBytes);
        }
        else
        {
            if (word.Class >= SizeClasses.Count || inChunk % SizeClasses.BytesOf(word.Class) != 0 || SizeClasses.BytesOf(word.Class) < bytes)
                return false;
            block.Index = (ulong)(chunk * ChunkMap.WordsPerChunk + inChunk / SizeClasses.BytesOf(word.Class));
            block.Count = 1;
        }
        return Map.Contains(block);
    }

    /// <summary>Sets the chunks of a file that an earlier store has left, in a map that nobody uses yet. Returns how many have disk space.</summary>
    internal long TakeOver(ReadOnlySpan<ulong> words)
    {
        long backed = 0, slabLow = Map.ChunkCount, largeHigh = 0;
        for (int chunk = 0; chunk < Math.Min(words.Length, Map.ChunkCount); chunk++)
        {
            var word = new ChunkWord(words[chunk]);
            if (word.State is not (ChunkState.Slab or ChunkState.Large or ChunkState.Free))
                continue;
            int blocks = ChunkMap.BlockCountOf(word);
            if (blocks > 0 && !_extents!.TryReserveWords(Map.Record(chunk), chunk, blocks))
                throw new IOException($"The map of {FilePath} cannot be made: {_extents.LastError}.");
            backed++;
            if (word.State == ChunkState.Slab)
                slabLow = Math.Min(slabLow, chunk);
            if (word.State == ChunkState.Large)
                largeHigh = chunk + 1;
            Map.Record(chunk)->FreeHint = blocks;
            Map.Record(chunk)->Word = new ChunkWord(word.State, blocks == 0 ? 0 : word.Class).Value;
        }
        Map.Header->SlabLow = slabLow;
        Map.Header->LargeHigh = largeHigh;
        return backed;
    }

    /// <summary>Gives the blocks of a record to an owner, in a map that nobody uses yet; false when they are no whole blocks or have an owner.</summary>
    internal bool TryOwn(SpillPlace place, long imageBytes, ulong owner)
    {
        if (!TryBlockOf(place, imageBytes, out BlockPlace block))
            return false;
        for (uint i = 0; i < block.Count; i++)
        {
            if (*WordOf(block, i) != 0 || (block.IsLarge && Map.ReadWord((long)(block.FirstGrain + i) / ChunkMap.GrainsPerChunk).State != ChunkState.Large))
                return false;
        }
        for (uint i = 0; i < block.Count; i++)
        {
            *WordOf(block, i) = owner;
            Map.Record(ChunkOf(block, i))->FreeHint--;
        }
        return true;
    }

    /// <summary>Words of all chunks up to the last one in use, as they are to be found again: what somebody was about to do with a chunk is not among them.</summary>
    internal List<ulong> ChunkWords()
    {
        var words = new List<ulong>();
        for (long chunk = 0; chunk < Map.ChunkCount; chunk++)
        {
            ChunkWord word = Map.ReadWord(chunk);
            words.Add(word.State switch
            {
                ChunkState.Slab or ChunkState.Large or ChunkState.Free => word.Value,
                ChunkState.Retiring => new ChunkWord(word.Class == ChunkWord.LargeClass ? ChunkState.Large : ChunkState.Slab, word.Class).Value,
                _ => 0,
            });
        }
        words.RemoveRange(words.FindLastIndex(static word => word != 0) + 1, words.Count - words.FindLastIndex(static word => word != 0) - 1);
        return words;
    }

    /// <summary>The directory as it is now, for people and tools.</summary>
    internal SpillDirectoryInfo Info(int objectCount)
    {
        long used = 0, backed = 0;
        for (long chunk = 0; chunk < Map.ChunkCount; chunk++)
        {
            ChunkWord word = Map.ReadWord(chunk);
            backed += word.State == ChunkState.Unbacked ? 0 : ChunkMap.ChunkBytes;
            int blocks = ChunkMap.BlockCountOf(word);
            long blockBytes = blocks == 0 ? 0 : word.Class == ChunkWord.LargeClass ? ChunkMap.GrainBytes : SizeClasses.BytesOf(word.Class);
            for (int i = 0; i < blocks; i++)
                used += Volatile.Read(ref *Map.Word(chunk * ChunkMap.WordsPerChunk + i)) == 0 ? 0 : blockBytes;
        }
        long total = -1, available = -1;
        if (_file is not null && _file.TryGetSpace(out total, out available) != 0)
            total = available = -1;
        return new SpillDirectoryInfo
        {
            Path = _path,
            File = _file?.Path,
            Problem = ProblemNow(),
            ObjectCount = objectCount,
            UsedBytes = used,
            BackedBytes = backed,
            AvailableBytes = available,
            FileSystemBytes = total,
            WrittenCount = Volatile.Read(ref _record->WrittenCount),
            WrittenBytes = Volatile.Read(ref _record->WrittenBytes),
            ReadCount = Volatile.Read(ref _record->ReadCount),
            ReadBytes = Volatile.Read(ref _record->ReadBytes),
            WriteErrors = Volatile.Read(ref _record->WriteErrors),
            ReadErrors = Volatile.Read(ref _record->ReadErrors),
            BadCopies = Volatile.Read(ref _record->BadCopies),
        };
    }

    private ulong* WordOf(in BlockPlace block, uint i) => block.IsLarge ? Map.Grain((long)block.FirstGrain + i) : Map.Word((long)block.Index);

    private static long ChunkOf(in BlockPlace block, uint i) => block.IsLarge ? (long)(block.FirstGrain + i) / ChunkMap.GrainsPerChunk : (long)block.Index / ChunkMap.WordsPerChunk;

    /// <summary>Frees every block of an owner, wherever it is: what a dead claimant may have left. Only for one who keeps others from writing a copy of that object meanwhile.</summary>
    internal long FreeAll(ulong owner)
    {
        long freed = 0;
        for (long chunk = 0; chunk < Map.ChunkCount; chunk++)
        {
            ChunkWord word = Map.ReadWord(chunk);
            int blocks = ChunkMap.BlockCountOf(word);
            for (int i = 0; i < blocks; i++)
            {
                ulong* at = Map.Word(chunk * ChunkMap.WordsPerChunk + i);
                if (Volatile.Read(ref *at) != owner || Interlocked.CompareExchange(ref *at, 0, owner) != owner)
                    continue;
                Interlocked.Increment(ref Map.Record(chunk)->FreeHint);
                freed += word.Class == ChunkWord.LargeClass ? ChunkMap.GrainBytes : SizeClasses.BytesOf(word.Class);
            }
        }
        return freed;
    }

    /// <summary>Remembers for all attachments why nothing is written there for a while.</summary>
    private void Fail(SpillErrorKind kind, int errno, long offset, long restTicks, long recordBytes)
    {
        Interlocked.Increment(ref _record->WriteErrors);
        Volatile.Write(ref _record->ProblemOffset, offset);
        Volatile.Write(ref _record->ProblemBytes, recordBytes);
        Volatile.Write(ref _record->RetryAt, DateTime.UtcNow.Ticks + restTicks);
        Volatile.Write(ref _record->Problem, (ulong)kind | ((ulong)(uint)errno << 8));
    }

    /// <summary>Whether a file never had a name: that of an anonymous store.</summary>
    internal bool IsNameless { get; init; }

    /// <summary>Whether the file has lost its name: what is written there is gone with the last process that has it open.</summary>
    private static bool IsRemoved(SharedFile file)
    {
        try
        {
            return file.Facts().LinkCount == 0;
        }
        catch (OsException)
        {
            return false; // The write meets what is wrong, and says it.
        }
    }

    private static bool IsFull(SpillErrorKind kind) => kind is SpillErrorKind.Limit or SpillErrorKind.NoSpace;

    /// <summary>The trouble because of which the directory is left alone for the time being, or 0. One that had no room for a record still takes shorter ones. When the time is over, one caller gets 0, and tries.</summary>
    private ulong RestingFor(long recordBytes, bool isLastResort)
    {
        ulong problem = Volatile.Read(ref _record->Problem); // Once: others clear it at any moment.
        if (problem == 0 || (IsFull((SpillErrorKind)(problem & 0xFF)) && recordBytes < Volatile.Read(ref _record->ProblemBytes)))
            return 0;
        long until = Volatile.Read(ref _record->RetryAt), now = DateTime.UtcNow.Ticks;
        long rest = IsFull((SpillErrorKind)(problem & 0xFF)) ? RetryAfterFullTicks : RetryAfterErrorTicks;
        return now < (isLastResort ? until - rest + RetryAfterFullTicks : until) || Interlocked.CompareExchange(ref _record->RetryAt, now + rest, until) != until ? problem : 0;
    }

    private bool TryAllocate(BlockCache cache, long bytes, ulong owner, BlockPlace* block, out long dataOffset)
    {
        for (Effort effort = Effort.Normal; effort <= Effort.Exact; effort++)
            if (_allocator!.TryAllocate(cache, bytes, SpillRecord.AlignmentBytes, owner, block, effort, out dataOffset))
                return true;
        dataOffset = 0;
        return false;
    }

    private int WriteRecord(SpillBuffers buffers, in ObjectImage image, byte* bytes, long offset)
    {
        long imageBytes = image.ImageBytes;
        if (SpillRecord.IsPacked(imageBytes))
        {
            long recordBytes = SpillRecord.BytesFor(imageBytes);
            SpillRecord.Write((SpillRecordHeader*)buffers.Bounce, image, bytes);
            Buffer.MemoryCopy(bytes, buffers.Bounce + SpillRecordHeader.SizeBytes, imageBytes, imageBytes);
            new Span<byte>(buffers.Bounce + SpillRecordHeader.SizeBytes + imageBytes, (int)(recordBytes - SpillRecordHeader.SizeBytes - imageBytes)).Clear();
            return _file!.TryWriteParts(offset, [new IoPart(buffers.Bounce, (nuint)recordBytes)], DiskTurns.PieceBytes, _onWritten);
        }

        SpillRecord.Write((SpillRecordHeader*)buffers.Header, image, bytes);
        bool inPlace = (nuint)bytes % SpillRecord.AlignmentBytes == 0;
        long direct = inPlace ? imageBytes & -SpillRecord.AlignmentBytes : 0, rest = imageBytes - direct;
        nuint tailBytes = 0;
        if (inPlace && rest > 0)
        {
            Buffer.MemoryCopy(bytes + direct, buffers.Tail, rest, rest);
            new Span<byte>(buffers.Tail + rest, (int)(SpillRecord.AlignmentBytes - rest)).Clear();
            tailBytes = SpillRecord.AlignmentBytes;
        }
        int errno = _file!.TryWriteParts(offset, [new IoPart(buffers.Header, SpillRecord.AlignmentBytes), new IoPart(bytes, (nuint)direct), new IoPart(buffers.Tail, tailBytes)], DiskTurns.PieceBytes, _onWritten);
        for (long at = inPlace ? imageBytes : 0; errno == 0 && at < imageBytes;) // Through the buffer, for memory that does not begin at a page.
        {
            long piece = Math.Min(SpillBuffers.BounceBytes, imageBytes - at), written = SpillRecord.RoundUp(piece);
            Buffer.MemoryCopy(bytes + at, buffers.Bounce, piece, piece);
            new Span<byte>(buffers.Bounce + piece, (int)(written - piece)).Clear();
            errno = _file.TryWriteParts(offset + SpillRecord.AlignmentBytes + at, [new IoPart(buffers.Bounce, (nuint)written)]);
            _onWritten();
            at += piece;
        }
        return errno;
    }

    /// <summary>An attachment that only reads has the map without rights to write.</summary>
    private void Count(ref long counter, long amount)
    {
        if (_extents is not null)
            Interlocked.Add(ref counter, amount);
    }

    private SpillError Error(SpillErrorKind kind, in ObjectId id, long offset, int errno, string message) =>
        new() { Kind = kind, Id = id, File = FilePath, Offset = offset, ErrorNumber = errno, Message = message + "." };
}
