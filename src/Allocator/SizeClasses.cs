using System.Numerics;

namespace FastPlasma.Allocator;

/// <summary>Block sizes of slabs: multiples of 64 bytes up to 512, then eight per doubling up to 128 KiB, so neighbours differ by at most 12.5 %.</summary>
/// <remarks>From 32 KiB on every class is a multiple of 4 KiB, so those blocks are page-aligned. Larger requests take grains (<see cref="ChunkMap"/>).</remarks>
internal static class SizeClasses
{
    internal const int QuantumBytes = 64;
    internal const int LinearMaxBytes = 512;
    internal const int SlabMaxBytes = 128 << 10;
    internal const int StepsPerDoubling = 8;

    private const int LinearMaxLog2 = 9, LinearCount = LinearMaxBytes / QuantumBytes, StepsLog2 = 3;
    private const int SlabMaxLog2 = 17;

    internal const int Count = LinearCount + (SlabMaxLog2 - LinearMaxLog2) * StepsPerDoubling;

    // Asked for several times by every create and delete; a division each would be felt.
    private static readonly int[] s_bytes = [.. Enumerable.Range(0, Count).Select(ComputeBytes)];
    private static readonly int[] s_blocksPerChunk = [.. s_bytes.Select(static bytes => (int)(ChunkMap.ChunkBytes / bytes))];

    /// <summary>Smallest class whose blocks hold <paramref name="bytes"/> bytes (1 to <see cref="SlabMaxBytes"/>).</summary>
    internal static int ClassOf(long bytes)
    {
        if (bytes <= LinearMaxBytes)
            return (int)((ulong)(bytes + QuantumBytes - 1) / QuantumBytes) - 1;
        int log2 = BitOperations.Log2((ulong)bytes - 1);
        return LinearCount + (log2 - LinearMaxLog2) * StepsPerDoubling + (int)((bytes - 1) >> (log2 - StepsLog2)) - StepsPerDoubling;
    }

    /// <summary>Block size of a class in bytes.</summary>
    internal static int BytesOf(int sizeClass) => s_bytes[sizeClass];

    /// <summary>Blocks of a class in one chunk.</summary>
    internal static int BlocksPerChunk(int sizeClass) => s_blocksPerChunk[sizeClass];

    private static int ComputeBytes(int sizeClass)
    {
        if (sizeClass < LinearCount)
            return (sizeClass + 1) * QuantumBytes;
        int doubling = (sizeClass - LinearCount) / StepsPerDoubling, step = (sizeClass - LinearCount) % StepsPerDoubling;
        int baseBytes = LinearMaxBytes << doubling;
        return baseBytes + (step + 1) * (baseBytes / StepsPerDoubling);
    }
}
