namespace FastPlasma.Allocator;

/// <summary>One thread's private hints: blocks that it freed last (still warm) and where it allocates. Losing them costs time only.</summary>
internal sealed class BlockCache
{
    internal const int DepthMax = 16;

    // One row of DepthMax word numbers per class.
    private readonly long[] _recent = new long[SizeClasses.Count * DepthMax];
    private readonly byte[] _depth = new byte[SizeClasses.Count];
    private readonly int[] _chunk = new int[SizeClasses.Count];
    private readonly int[] _cursor = new int[SizeClasses.Count];

    internal BlockCache() => Array.Fill(_chunk, -1);

    internal bool TryPop(int sizeClass, out long word)
    {
        int depth = _depth[sizeClass];
        if (depth == 0)
        {
            word = 0;
            return false;
        }
        _depth[sizeClass] = (byte)--depth;
        word = _recent[sizeClass * DepthMax + depth];
        return true;
    }

    internal void Push(int sizeClass, long word)
    {
        int depth = _depth[sizeClass];
        if (depth == DepthMax)
        {
            // The oldest is the coldest.
            int row = sizeClass * DepthMax;
            Array.Copy(_recent, row + 1, _recent, row, DepthMax - 1);
            depth--;
        }
        _recent[sizeClass * DepthMax + depth] = word;
        _depth[sizeClass] = (byte)(depth + 1);
    }

    internal int ChunkOf(int sizeClass) => _chunk[sizeClass];

    internal int CursorOf(int sizeClass) => _cursor[sizeClass];

    internal void Prefer(int sizeClass, int chunk, int cursor)
    {
        _chunk[sizeClass] = chunk;
        _cursor[sizeClass] = cursor;
    }
}
