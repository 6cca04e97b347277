using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FastPlasma.Allocator;

/// <summary>State of one 2 MiB chunk of the data file.</summary>
internal enum ChunkState : uint
{
    /// <summary>No pages behind it.</summary>
    Unbacked = 0,

    /// <summary>Backed, nobody's.</summary>
    Free = 1,

    /// <summary>A participant is backing it or choosing its use.</summary>
    Reserving = 2,

    /// <summary>Cut into blocks of one class.</summary>
    Slab = 3,

    /// <summary>Cut into grains for large objects.</summary>
    Large = 4,

    /// <summary>A participant is checking whether it is empty.</summary>
    Retiring = 5,

    /// <summary>A participant is giving its pages back.</summary>
    Punching = 6,
}

/// <summary>Value of a chunk word.</summary>
/// <remarks><code>
///  63        24 23       12 11      4 3     0
/// | reserved 0 | participant |  class  | state |
/// </code>participant: who is in Reserving, Retiring or Punching, else 0. class: of Slab, and of a slab that is Retiring; <see cref="LargeClass"/> for Large, also while it is Retiring.</remarks>
internal readonly record struct ChunkWord(ulong Value)
{
    internal const int StateBits = 4, ClassBits = 8, ParticipantBits = 12;
    internal const int LargeClass = 0xFF;

    internal ChunkWord(ChunkState state, int sizeClass = 0, int participant = 0)
        : this((uint)state | ((ulong)(uint)sizeClass << StateBits) | ((ulong)(uint)participant << (StateBits + ClassBits)))
    {
    }

    internal ChunkState State => (ChunkState)(Value & ((1u << StateBits) - 1));

    internal int Class => (int)(Value >> StateBits) & ((1 << ClassBits) - 1);

    internal int Participant => (int)(Value >> (StateBits + ClassBits)) & ((1 << ParticipantBits) - 1);

    /// <summary>Whether one participant owns the chunk for the moment, so that its death needs a repair.</summary>
    internal bool IsTransient => State is ChunkState.Reserving or ChunkState.Retiring or ChunkState.Punching;
}

/// <summary>Record of one chunk.</summary>
/// <remarks><code>
/// off bytes field               written by                        read by
///   0    8  Word                compare-exchange only             anyone
///   8    4  FreeHint            anyone, lossy                     anyone; wrong values cost time, never memory
///  12    4  WordsReservedBytes  owner in Reserving, only grows    owner in Reserving
///  16   48  reserved, 0
/// </code>A cache line each: every allocation and every free changes FreeHint, and neighbours serve other classes, often of other processes.</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct ChunkRecord
{
    internal const int SizeBytes = 64, WordOffset = 0;
    [FieldOffset(WordOffset)] internal ulong Word;
    [FieldOffset(8)] internal int FreeHint;
    [FieldOffset(12)] internal uint WordsReservedBytes;
}

/// <summary>Which block an owner holds or is about to take: written before the compare-exchange on the block word, so that recovery finds a half-made allocation.</summary>
/// <remarks><code>
/// off bytes field
///   0    8  Index   slab block: its word's number. Large: number of the first grain, with bit 63 set
///   8    4  Count   words taken from there on; 0 = nothing
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct BlockPlace
{
    internal const int SizeBytes = 12;
    internal const ulong LargeFlag = 1UL << 63;
    [FieldOffset(0)] internal ulong Index;
    [FieldOffset(8)] internal uint Count;

    internal readonly bool IsLarge => (Index & LargeFlag) != 0;

    internal readonly ulong FirstGrain => Index & ~LargeFlag;
}

/// <summary>Words of the allocator that all participants share as hints.</summary>
/// <remarks><code>
/// off bytes field         written by                                 meaning
///   0    8  SlabLow       compare-exchange, only falls               no chunk below was ever a slab
///   8    8  LargeHigh     compare-exchange, only rises               no chunk from here on was ever Large
/// </code>They bound searches; slabs grow down from the end and large runs up from the start.</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct AllocatorHeader
{
    internal const int SizeBytes = 64;
    [FieldOffset(0)] internal long SlabLow;
    [FieldOffset(8)] internal long LargeHigh;
}

/// <summary>Places of the allocator's shared arrays: chunk records and one word per possible block.</summary>
internal sealed unsafe class ChunkMap
{
    internal const long ChunkBytes = 2L << 20;
    internal const int GrainBytes = 16 << 10;
    internal const int GrainsPerChunk = (int)(ChunkBytes / GrainBytes);
    internal const int WordsPerChunk = (int)(ChunkBytes / SizeClasses.QuantumBytes);
    internal const int WordBytes = sizeof(ulong);
    internal const int PageBytes = 4096;
    internal const byte CheckWordStrideIsPages = WordsPerChunk * WordBytes % PageBytes == 0 ? 0 : -1;

    private readonly ChunkRecord* _records;
    private readonly ulong* _words;

    internal ChunkMap(AllocatorHeader* header, ChunkRecord* records, ulong* words, int chunkCount)
    {
        Header = header;
        _records = records;
        _words = words;
        ChunkCount = chunkCount;
    }

    internal int ChunkCount { get; }

    internal AllocatorHeader* Header { get; }

    internal long WordCount => (long)ChunkCount * WordsPerChunk;

    internal long GrainCount => (long)ChunkCount * GrainsPerChunk;

    // SAFETY for the three below: callers pass numbers below ChunkCount, WordCount and GrainCount; numbers from shared memory pass Contains first.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal ChunkRecord* Record(long chunk) => _records + chunk;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal ulong* Word(long index) => _words + index;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal ulong* Grain(long grain) => _words + grain / GrainsPerChunk * WordsPerChunk + grain % GrainsPerChunk;

    internal ChunkWord ReadWord(long chunk) => new(Volatile.Read(ref _records[chunk].Word));

    /// <summary>Whether a place that was read from shared memory lies inside the arrays.</summary>
    internal bool Contains(in BlockPlace place) => place.IsLarge
        ? place.Count <= GrainCount && place.FirstGrain <= (ulong)(GrainCount - place.Count)
        : place.Count <= 1 && place.Index < (ulong)WordCount;

    /// <summary>Blocks of a chunk in its present use; 0 while it has none.</summary>
    internal static int BlockCountOf(ChunkWord word) => word.State switch
    {
        ChunkState.Slab => word.Class < SizeClasses.Count ? SizeClasses.BlocksPerChunk(word.Class) : 0,
        ChunkState.Large => GrainsPerChunk,
        ChunkState.Retiring => word.Class == ChunkWord.LargeClass ? GrainsPerChunk : word.Class < SizeClasses.Count ? SizeClasses.BlocksPerChunk(word.Class) : 0,
        _ => 0,
    };
}
