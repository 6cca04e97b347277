using FastPlasma.Allocator;
using FastPlasma.Format;
using FastPlasma.Native;

namespace FastPlasma.Spill;

/// <summary>Backs the chunks of one spill file with disk space, within the limits of the store and of the directory's file system.</summary>
internal sealed unsafe class SpillExtents : ChunkBacking
{
    private readonly SharedFile _file;
    private readonly SpillHeader* _header;
    private readonly Func<long> _countBacked;

    /// <param name="file">The spill file.</param>
    /// <param name="map">The spill map, which has the block words.</param>
    /// <param name="wordsOffset">Where they begin in it.</param>
    /// <param name="header">Its first page.</param>
    /// <param name="countBacked">Counts the chunks of all directories that have disk space, by their words.</param>
    internal SpillExtents(SharedFile file, SharedFile map, long wordsOffset, SpillHeader* header, Func<long> countBacked)
        : base(map, wordsOffset)
    {
        _file = file;
        _header = header;
        _countBacked = countBacked;
    }

    /// <summary>Why the last reservation failed; null as <see cref="ChunkBacking.LastError"/> is.</summary>
    internal (SpillErrorKind Kind, int ErrorNumber)? LastFailure { get; private set; }

    internal override void ForgetError()
    {
        base.ForgetError();
        LastFailure = null;
    }

    /// <inheritdoc/>
    internal override bool TryReserveData(long chunk, long count)
    {
        long offset = SpillFileHeader.DataOffset + chunk * ChunkMap.ChunkBytes, bytes = count * ChunkMap.ChunkBytes;

        // Counted before it is taken, and by words that say Reserving already: who dies here leaves too much in the counter, never too little.
        long limit = _header->LimitBytes;
        if (Interlocked.Add(ref _header->BackedChunks, count) > limit / ChunkMap.ChunkBytes && !FitsByWords(limit))
        {
            Interlocked.Add(ref _header->BackedChunks, -count);
            return Refuse(SpillErrorKind.Limit, 0, $"{bytes} more bytes would pass the limit of {limit} bytes for spilled objects");
        }

        int errno = _file.TryGetSpace(out long total, out long available);
        long reserve = (long)((Int128)total * _header->ReserveShare / SpillHeader.ReserveUnit);
        if (errno == 0 && available - bytes < reserve)
            return Undo(SpillErrorKind.NoSpace, 0, $"{available} bytes are free on the file system of {_file.Path}, {bytes} are needed and {reserve} of its {total} have to stay free");
        if (errno == 0)
            errno = SharedFile.MaySize(offset + bytes) ? _file.TryReserve(offset, bytes) : Libc.EFBIG;
        if (errno is 0 or Libc.EOPNOTSUPP) // Where space cannot be reserved, writing finds out whether there is some.
            return true;

        // The chunks were nobody's before; what part of them has space now must not be missing elsewhere.
        _ = _file.TryPunch(offset, bytes);
        return Undo(KindOf(errno), errno, $"reserve {bytes} bytes at {offset} of {_file.Path}: {OsException.Describe(errno)}");

        bool Undo(SpillErrorKind kind, int number, string what)
        {
            Interlocked.Add(ref _header->BackedChunks, -count);
            return Refuse(kind, number, what);
        }
    }

    /// <inheritdoc/>
    internal override bool TryPunch(long chunk)
    {
        if (_file.TryPunch(SpillFileHeader.DataOffset + chunk * ChunkMap.ChunkBytes, ChunkMap.ChunkBytes) != 0)
            return false;
        // CRASH spill-punched: the chunk is Punching(p), which recovery makes Unbacked, and the counter has one too many until somebody reaches the limit and counts.
        FailPoint.Pass("spill-punched");
        Interlocked.Decrement(ref _header->BackedChunks);
        return true;
    }

    /// <summary>What an error number of the system means for who wants to write.</summary>
    internal static SpillErrorKind KindOf(int errno) => errno switch
    {
        Libc.ENOSPC or Libc.EDQUOT => SpillErrorKind.NoSpace,
        Libc.ENOENT or Libc.ENOTDIR or Libc.ESTALE => SpillErrorKind.Missing,
        _ => SpillErrorKind.InputOutput,
    };

    /// <summary>The counter says that the limit is passed; it may be too high. The words say what is true, and ours are among them.</summary>
    private bool FitsByWords(long limit)
    {
        long counted = Volatile.Read(ref _header->BackedChunks), backed = _countBacked();
        if (backed > limit / ChunkMap.ChunkBytes)
            return false;
        Interlocked.CompareExchange(ref _header->BackedChunks, backed, counted); // Unless somebody has changed it meanwhile.
        return true;
    }

    private bool Refuse(SpillErrorKind kind, int errno, string what)
    {
        LastError = what;
        LastFailure = (kind, errno);
        return false;
    }
}
