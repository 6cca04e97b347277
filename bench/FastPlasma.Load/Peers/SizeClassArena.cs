using System.Numerics;
using System.Runtime.InteropServices;

namespace FastPlasma.Load.Peers;

/// <summary>A simple allocator as one writes it by hand: powers of two, a free list for each, fresh memory from a moving end. Its owner holds a lock.</summary>
/// <remarks>The state is a struct so that it can lie in shared memory, or not. A free block holds the offset of the next one in its first eight bytes.</remarks>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct SizeClassArena
{
    private const int ClassCount = 64, BlockBytesMin = 64, PageBytes = 4096;
    private fixed long _free[ClassCount];
    private long _end, _limit;

    /// <summary>File size for so much payload in the worst case of the rounding.</summary>
    internal static long BytesFor(long payloadBytes, int objectBytesMax) => (2 * payloadBytes) + (2L * objectBytesMax) + (16L << 20);

    /// <summary>Begins with everything free. Offset 0 is never given away, and means none.</summary>
    internal void Reset(long first, long limit)
    {
        for (int i = 0; i < ClassCount; i++)
            _free[i] = 0;
        _end = (first + PageBytes - 1) & -PageBytes;
        _limit = limit;
    }

    /// <summary>Offset of a block, or 0 when memory is short.</summary>
    internal long Allocate(byte* memory, long bytes)
    {
        int power = ClassOf(bytes);
        if (_free[power] is var offset and not 0)
        {
            _free[power] = *(long*)(memory + offset); // SAFETY: a block in the free list was given out below the limit, and has at least 64 bytes.
            return offset;
        }

        long size = 1L << power;
        if (size > _limit - _end)
            return 0;
        offset = _end;
        _end += size;
        return offset;
    }

    /// <summary>Takes a block back.</summary>
    internal void Free(byte* memory, long offset, long bytes)
    {
        int power = ClassOf(bytes);
        *(long*)(memory + offset) = _free[power]; // SAFETY: as in Allocate.
        _free[power] = offset;
    }

    private static int ClassOf(long bytes) => BitOperations.Log2((ulong)Math.Max(bytes, BlockBytesMin) - 1) + 1;
}
