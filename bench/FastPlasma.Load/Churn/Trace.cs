using System.Runtime.InteropServices;

namespace FastPlasma.Load.Churn;

/// <summary>A sequence of allocations and frees that any allocator can carry out.</summary>
/// <remarks><code>
/// off bytes field           little-endian
///   0    8  Magic           "FPPCHUR1"
///   8    8  CapacityBytes   live bytes are held at 90 % of it
///  16    8  SlotCount       places for live allocations; operations name one
///  24    8  LargeBytes      size from which an allocation is timed on its own
///  32    8  FillEnd         operations before this one fill the memory for the first time
///  40    8  ChurnEnd        operations before this one hold it full; what follows only frees
///  48    8  OperationCount
///  56    8  Seed
///  64    8  each operation: 63 allocate (else free) | 62-24 bytes (0 when freeing) | 23-0 slot
/// </code></remarks>
internal sealed class Trace
{
    internal const int SlotBits = 24;

    private const ulong MagicValue = 0x3152554843505046, AllocateFlag = 1UL << 63;
    private const int HeaderWords = 8;

    internal required long CapacityBytes { get; init; }

    internal required int SlotCount { get; init; }

    internal required long LargeBytes { get; init; }

    internal required int FillEnd { get; init; }

    internal required int ChurnEnd { get; init; }

    internal required ulong Seed { get; init; }

    internal required ulong[] Operations { get; init; }

    internal static ulong Allocate(int slot, long bytes) => AllocateFlag | ((ulong)bytes << SlotBits) | (uint)slot;

    internal static ulong Free(int slot) => (uint)slot;

    internal static bool IsAllocate(ulong operation) => (operation & AllocateFlag) != 0;

    internal static int SlotOf(ulong operation) => (int)(operation & ((1UL << SlotBits) - 1));

    internal static long BytesOf(ulong operation) => (long)((operation & ~AllocateFlag) >> SlotBits);

    internal void Write(string path)
    {
        using FileStream file = File.Create(path);
        ulong[] header = [MagicValue, (ulong)CapacityBytes, (ulong)SlotCount, (ulong)LargeBytes, (ulong)FillEnd, (ulong)ChurnEnd, (ulong)Operations.Length, Seed];
        file.Write(MemoryMarshal.AsBytes(header));
        file.Write(MemoryMarshal.AsBytes(Operations));
    }

    /// <exception cref="InvalidDataException">The file is no trace.</exception>
    internal static Trace Read(string path)
    {
        using FileStream file = File.OpenRead(path);
        ulong[] header = new ulong[HeaderWords];
        if (file.Length < HeaderWords * sizeof(ulong))
            throw new InvalidDataException($"{path} is {file.Length} bytes long; a trace has at least {HeaderWords * sizeof(ulong)}.");
        file.ReadExactly(MemoryMarshal.AsBytes(header.AsSpan()));
        if (header[0] != MagicValue)
            throw new InvalidDataException($"{path} begins with 0x{header[0]:x}; a trace begins with 0x{MagicValue:x}.");
        if ((ulong)file.Length != ((ulong)HeaderWords + header[6]) * sizeof(ulong))
            throw new InvalidDataException($"{path} is {file.Length} bytes long; a trace of {header[6]} operations has {((ulong)HeaderWords + header[6]) * sizeof(ulong)}.");
        ulong[] operations = new ulong[header[6]];
        file.ReadExactly(MemoryMarshal.AsBytes(operations.AsSpan()));
        return new Trace
        {
            CapacityBytes = (long)header[1],
            SlotCount = (int)header[2],
            LargeBytes = (long)header[3],
            FillEnd = (int)header[4],
            ChurnEnd = (int)header[5],
            Seed = header[7],
            Operations = operations,
        };
    }
}
