using System.Runtime.InteropServices;

namespace FastPlasma.Format;

/// <summary>First page of a domain's pins file.</summary>
/// <remarks><code>
/// off bytes field             written by
///   0    8  Magic             creator
///   8   16  StoreUuid         creator
///  24    4  Domain            creator
///  28    4  ParticipantMax    creator
///  64    4  ParticipantHigh   atomic maximum, before the first use of a block at or above it
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct PinsHeader
{
    internal const int SizeBytes = 4096;
    internal const ulong MagicValue = 0x534E495050545346; // "FSTPPINS" in byte order
    [FieldOffset(0)] internal ulong Magic;
    [FieldOffset(8)] internal Guid StoreUuid;
    [FieldOffset(24)] internal int Domain;
    [FieldOffset(28)] internal int ParticipantMax;
    [FieldOffset(64)] internal int ParticipantHigh;
}

/// <summary>What one participant announces to the others.</summary>
/// <remarks><code>
///     off bytes field          written by                                  read by
///       0    4  Attached       the participant; recoverer under its token   anyone
///       4    4  Access         the participant                              anyone
///       8    8  AttachCount    the participant                              anyone
///      16    4  ProcessId      the participant                              anyone, to show
///      24    8  AttachedAt     the participant (UTC ticks)                  anyone, to show
///      32   16  CommandName    the participant, UTF-8                       anyone, to show
///      48    8  PidNamespace   the participant                              anyone, to show
///      64    4  ChunkHigh      atomic maximum, before the first use         reclaimers
///     128    8  Recoveries     recoverer, counted in its own block          statistics
///     136  128  SpillCounts    the participant (SpillCounter)                statistics
///     512 3584  reserved, 0
///    4096 2048  Condemned      compare-exchange 0 → owner word → 0; zeroes at detach and recovery   anyone who finishes
///    6144 2048  Requests       the participant, and the node service (NodeRecord)   node service
///    8192 32768 Hints         gets of the process: a bit for each entry modulo 262,144, lossy; evictors of the writers clear them   evictors
///   40960       slot chunks
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = HeadBytes)]
internal unsafe struct ParticipantBlock
{
    internal const int CondemnedOffset = 4096, CondemnedCount = 256, RequestsOffset = 6144, RequestCount = 32, HintsOffset = 8192, HintCount = 4096, SlotsOffset = HintsOffset + HintCount * 8, HeadBytes = SlotsOffset;
    internal const int ChunkCountMax = 1024, ReaderChunkCountMax = 64;
    internal const int SizeBytes = SlotsOffset + ChunkCountMax * SlotChunk.SizeBytes;
    internal const int CommandNameBytes = 16;

    internal const byte CheckHintsMask = (HintCount & (HintCount - 1)) == 0 ? 0 : -1;
    internal const byte CheckRequestsFit = CondemnedOffset + CondemnedCount * 8 <= RequestsOffset && RequestsOffset + RequestCount * NodeRecord.SizeBytes <= HintsOffset ? 0 : -1;
    internal const byte CheckPages = SizeBytes % 4096 == 0 ? 0 : -1;

    [FieldOffset(0)] internal int Attached;
    [FieldOffset(4)] internal int Access;
    [FieldOffset(8)] internal ulong AttachCount;
    [FieldOffset(16)] internal int ProcessId;
    [FieldOffset(24)] internal long AttachedAt;
    [FieldOffset(32)] internal fixed byte CommandName[CommandNameBytes];
    [FieldOffset(48)] internal ulong PidNamespace;
    [FieldOffset(64)] internal int ChunkHigh;
    [FieldOffset(128)] internal long Recoveries;
    [FieldOffset(136)] internal fixed long SpillCounts[SpillCountersMax];

    internal const int SpillCountersMax = 16;
    internal const byte CheckSpillCountsFit = 136 + SpillCountersMax * 8 <= HintsOffset ? 0 : -1;
}

/// <summary>Slots and counters of one thread at a time: 16 counters, then 56 slots. Only the thread that holds the chunk fills slots and counts; any thread of the process may empty a slot.</summary>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct SlotChunk
{
    internal const int SizeBytes = 1024, CountersBytes = 128, CounterCount = CountersBytes / 8, SlotCount = (SizeBytes - CountersBytes) / PinSlot.SizeBytes;
    internal const int ChunksPerPage = 4096 / SizeBytes;
    internal const byte CheckSlotsAreFours = SlotCount % 4 == 0 ? 0 : -1;
}

/// <summary>One announcement.</summary>
/// <remarks><code>
/// off bytes field   written by
///   0    8  Word    the participant; recoverer under its token
///   8    8  Since   the participant, before Word: coarse UTC ticks, to show
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct PinSlot
{
    internal const int SizeBytes = 16;
    [FieldOffset(0)] internal ulong Word;
    [FieldOffset(8)] internal long Since;
}

/// <summary>Counters of a participant block; cumulative over all processes that ever had it.</summary>
internal enum SpillCounter
{
    Spills, SpilledBytes, Restores, RestoredBytes, SpillErrors, RestoreErrors,
}

/// <summary>Counters of a slot chunk; cumulative over all threads and processes that ever held it.</summary>
internal enum Counter
{
    Gets, GetMisses, GetBytes, GetCopiedBytes,
    Puts, PutBytes, PutCopiedBytes,
    Creates, CreateBytes, CreateCopiedBytes,
    Aborts, Deletes, Evictions, EvictedBytes, Recoveries, Expirations,
}
