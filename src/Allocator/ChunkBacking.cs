using FastPlasma.Native;

namespace FastPlasma.Allocator;

/// <summary>What lies behind chunks: memory, or a file that is never mapped. The caller owns the chunks (Reserving or Punching) before it calls.</summary>
/// <param name="wordsFile">The file with the block words, which always lie in shared memory.</param>
/// <param name="wordsOffset">Where they begin in it.</param>
internal abstract class ChunkBacking(SharedFile wordsFile, long wordsOffset)
{
    /// <summary>Why the last reservation failed, in words; null when none did since <see cref="ForgetError"/>.</summary>
    internal string? LastError { get; private protected set; }

    /// <summary>A new attempt begins: what is found in <see cref="LastError"/> after it is the answer to it.</summary>
    internal virtual void ForgetError() => LastError = null;

    /// <summary>Backs <paramref name="count"/> chunks from <paramref name="chunk"/> on.</summary>
    internal abstract bool TryReserveData(long chunk, long count);

    /// <summary>Gives what lies behind one chunk back to the system.</summary>
    internal abstract bool TryPunch(long chunk);

    /// <summary>Backs the block words of a chunk for <paramref name="blockCount"/> blocks. They are never given back, so a delayed exchange on one touches a real page.</summary>
    internal unsafe bool TryReserveWords(ChunkRecord* record, long chunk, int blockCount)
    {
        uint bytes = (uint)((blockCount * ChunkMap.WordBytes + ChunkMap.PageBytes - 1) / ChunkMap.PageBytes * ChunkMap.PageBytes);
        if (record->WordsReservedBytes >= bytes)
            return true;
        long offset = wordsOffset + chunk * ChunkMap.WordsPerChunk * ChunkMap.WordBytes;
        int errno = wordsFile.TryReserve(offset, bytes);
        if (errno != 0)
        {
            LastError = $"reserve {bytes} bytes at {offset} of {wordsFile.Path}: {OsException.Describe(errno)}";
            return false;
        }
        record->WordsReservedBytes = bytes;
        return true;
    }
}
