using System.IO.Hashing;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using FastPlasma.Allocator;

namespace FastPlasma.Format;

/// <summary>First page of the meta file. Bytes 0 to 255 never change after creation and are covered by the checksum at their end; each later word, or pair that belongs together, has a cache line of its own.</summary>
/// <remarks><code>
/// off bytes field                 meaning
///   0    8  Magic                 "FASTPLSM"
///   8    4  LayoutVersion         5
///  12    4  FeatureBits           0
///  16    8  Fingerprint           of every struct layout; another value is another format
///  24   16  Uuid                  of these files; part of the other files' names
///  40   16  reserved, 0
///  56    8  CapacityBytes
///  64    4  ObjectCountMax
///  68    4  EventCapacity         slots of the event ring, a power of two
///  72    4  BucketCount           a power of two
///  76    4  StashCount
///  80    4  ParticipantCountMax   in the writers' domain
///  84    4  ChunkCount
///  88    8  HashSeed
///  96    8  WaitOffset            where each region begins in the meta file
/// 104    8  RingOffset
/// 112    8  StashOffset
/// 120    8  BucketsOffset
/// 128    8  EntriesOffset
/// 136    8  AllocatorOffset
/// 144    8  ChunksOffset
/// 152    8  WordsOffset
/// 160    8  MetaBytes
/// 168    4  HugePages             what the creator asked for
/// 172    4  DefaultRetention
/// 176    4  OwnerUid
/// 180    4  SpillDirectoryCount   0 = the store has no spill map
/// 184    8  CreatedAt             UTC ticks
/// 192    8  PopulateTargetBytes
/// 200    8  PolicyOffset          where the words of eviction begin (PolicyLayout)
/// 208    8  DefaultLifeTicks      time to live of objects that do not say; 0 = none
/// 216    8  EvictAheadBytes       free memory that eviction in the background keeps; 0 = none
/// 224   16  reserved, 0
/// 240    8  DataDirectoryBytes    length of the path at 1024; 0 = the meta file's own directory
/// 248    8  HeaderChecksum        XXH3 of bytes 0 to 247
/// 256    4  Fault                 0, or why the store refuses work            compare-exchange 0 → code
/// 320    4  StashUsed             1 once the stash may hold a word            set before the first such word, never cleared
/// 324    4  EvictableUsed         1 once an object may be evictable            set before the first such object, never cleared
/// 384    8  OrphansRequested      walks asked for                             increment
/// 392    8  OrphansDone           walks finished with nothing left            compare-exchange, only rises
/// 448    4  DomainCount           domains in the table                        exchange by who admits (owner or root), only rises
/// 512    8  EntryCursor           where the next evictable objects get their records   add 16; a hint
/// 576    8  PopulatedBytes        reserved by background population           add
/// 640    8  WriterAttaches        attaches of writers 63 | 1 once none is left     compare-exchange
/// 704   16  BootId                boot in which a writer attached last         first writer of a boot, before WriterAttaches
/// 768    8  Clock                 UTC ticks, the time of expiry                maintainers, compare-exchange
/// 776    8  NextExpiry            no object expires before; MaxValue = none      compare-exchange downwards after a seal; exchanged by who looks for expired ones
/// 832    8  NodeService           who serves this store's node (NodeServiceWord)   compare-exchange, the service under its token; cleared for a dead one by its recoverer
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal unsafe struct StoreHeader
{
    internal const int SizeBytes = 4096;
    internal const ulong MagicValue = 0x4D534C5054534146; // "FASTPLSM" in byte order
    internal const uint LayoutVersionValue = 5;
    internal const int ChecksummedBytes = 248, DataDirectoryOffset = 1024, DataDirectoryBytesMax = 1024;

    [FieldOffset(0)] internal ulong Magic;
    [FieldOffset(8)] internal uint LayoutVersion;
    [FieldOffset(12)] internal uint FeatureBits;
    [FieldOffset(16)] internal ulong Fingerprint;
    [FieldOffset(24)] internal Guid Uuid;
    [FieldOffset(56)] internal long CapacityBytes;
    [FieldOffset(64)] internal int ObjectCountMax;
    [FieldOffset(68)] internal int EventCapacity;
    [FieldOffset(72)] internal int BucketCount;
    [FieldOffset(76)] internal int StashCount;
    [FieldOffset(80)] internal int ParticipantCountMax;
    [FieldOffset(84)] internal int ChunkCount;
    [FieldOffset(88)] internal ulong HashSeed;
    [FieldOffset(96)] internal long WaitOffset;
    [FieldOffset(104)] internal long RingOffset;
    [FieldOffset(112)] internal long StashOffset;
    [FieldOffset(120)] internal long BucketsOffset;
    [FieldOffset(128)] internal long EntriesOffset;
    [FieldOffset(136)] internal long AllocatorOffset;
    [FieldOffset(144)] internal long ChunksOffset;
    [FieldOffset(152)] internal long WordsOffset;
    [FieldOffset(160)] internal long MetaBytes;
    [FieldOffset(168)] internal uint HugePages;
    [FieldOffset(172)] internal uint DefaultRetention;
    [FieldOffset(176)] internal uint OwnerUid;
    [FieldOffset(180)] internal int SpillDirectoryCount;
    [FieldOffset(184)] internal long CreatedAt;
    [FieldOffset(192)] internal long PopulateTargetBytes;
    [FieldOffset(200)] internal long PolicyOffset;
    [FieldOffset(208)] internal long DefaultLifeTicks;
    [FieldOffset(216)] internal long EvictAheadBytes;
    [FieldOffset(240)] internal long DataDirectoryBytes;
    [FieldOffset(248)] internal ulong HeaderChecksum;
    [FieldOffset(256)] internal int Fault;
    [FieldOffset(320)] internal uint StashUsed;
    [FieldOffset(324)] internal uint EvictableUsed;
    [FieldOffset(384)] internal ulong OrphansRequested;
    [FieldOffset(392)] internal ulong OrphansDone;
    [FieldOffset(448)] internal uint DomainCount;
    [FieldOffset(512)] internal long EntryCursor;
    [FieldOffset(576)] internal long PopulatedBytes;
    [FieldOffset(640)] internal ulong WriterAttaches;
    [FieldOffset(704)] internal Guid BootId;
    [FieldOffset(768)] internal long Clock;
    [FieldOffset(776)] internal long NextExpiry;
    [FieldOffset(832)] internal ulong NodeService;

    /// <summary>Of the sizes and offsets that both sides of a mapping must agree on.</summary>
    internal static ulong CurrentFingerprint
    {
        get
        {
            ReadOnlySpan<int> facts =
            [
                SizeBytes, ObjectEntry.SizeBytes, ObjectEntry.StateOffset, ObjectEntry.BlockOffset, BlockPlace.SizeBytes, ChunkRecord.SizeBytes, AllocatorHeader.SizeBytes,
                DomainRecord.SizeBytes, EventSlot.SizeBytes, WaitWord.StrideBytes, ParticipantBlock.SizeBytes, ParticipantBlock.SlotsOffset, ParticipantBlock.RequestsOffset, ParticipantBlock.HintsOffset, NodeRecord.SizeBytes, SpillHeader.SizeBytes, SpillDirectoryRecord.SizeBytes, SpillRecordHeader.SizeBytes, SpaceWaiter.SizeBytes, PolicyLayout.HandCount, SlotChunk.SizeBytes, SlotChunk.SlotCount,
                (int)ChunkMap.ChunkBytes, ChunkMap.GrainBytes, SizeClasses.Count, SizeClasses.SlabMaxBytes, IndexWord.EntryBits, StateWord.ParticipantShift,
                (int)default(ObjectId).Hash(1), // Who hashes differently finds nothing.
            ];
            return XxHash3.HashToUInt64(MemoryMarshal.AsBytes(facts));
        }
    }

    /// <summary>In <see cref="WriterAttaches"/>: every writer that attached has left.</summary>
    internal const ulong NoWriterLeft = 1;

    internal static ulong ChecksumOf(StoreHeader* header) => XxHash3.HashToUInt64(new ReadOnlySpan<byte>(header, ChecksummedBytes));

    internal const byte CheckTableFollows = SizeBytes == 4096 ? 0 : -1;
}

/// <summary>One uid that may attach. Domain 0 are the writers.</summary>
/// <remarks><code>
/// off bytes field   written by
///   0    4  Uid     owner, before DomainCount counts it
///   4    4  Kind    1 writers, 2 readers
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct DomainRecord
{
    internal const int SizeBytes = 64, CountMax = 64;
    internal const uint WritersKind = 1, ReadersKind = 2;
    [FieldOffset(0)] internal uint Uid;
    [FieldOffset(4)] internal uint Kind;
}

/// <summary>Sleeping place: sequence in the low half (the futex), waiters flag in bit 32.</summary>
internal static class WaitWord
{
    internal const int StrideBytes = 64;
    internal const ulong WaitersFlag = 1UL << 32;

    /// <summary>Hashed words of ids, then the words with a name; nobody sleeps on the others but the doorbell, up to <see cref="Count"/>.</summary>
    internal const int HashedCount = 1024, SpaceIndex = HashedCount, RingIndex = HashedCount + 1, SleepCount = HashedCount + 2, Count = HashedCount + 64;

    /// <summary>No sleeping place, but like these it is writable for readers of the store's own uid: 1 once anybody follows the event ring, never cleared.</summary>
    internal const int FollowedIndex = SleepCount;

    /// <summary>Where a node service sleeps until somebody asks it for something.</summary>
    internal const int DoorbellIndex = SleepCount + 1;

    /// <summary>Where the writers' spillers sleep until somebody is short of memory, or cannot bring an object back by itself.</summary>
    internal const int SpillerIndex = SleepCount + 2;
}

/// <summary>One event of the ring.</summary>
/// <remarks><code>
/// off bytes field           written by
///   0    8  Word            compare-exchange to busy, exchange to complete, recoverer busy to void: ticket 48 | participant 12 | phase 4
///   8    4  Kind            holder of busy
///  12    4  MetadataBytes   holder of busy
///  16    8  PayloadBytes    holder of busy
///  24   28  Id              holder of busy
///  56    8  Incarnation     holder of busy
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct EventSlot
{
    internal const int SizeBytes = 64;
    internal const ulong TicketMask = ulong.MaxValue >> 16;
    internal const ulong PhaseBusy = 1, PhaseComplete = 2, PhaseVoid = 3;
    [FieldOffset(0)] internal ulong Word;
    [FieldOffset(8)] internal int Kind;
    [FieldOffset(12)] internal int MetadataBytes;
    [FieldOffset(16)] internal long PayloadBytes;
    [FieldOffset(24)] internal ObjectId Id;
    [FieldOffset(56)] internal ulong Incarnation;

    internal static ulong Pack(ulong ticket, int participant, ulong phase) => (ticket << 16) | ((ulong)(uint)participant << 4) | phase;

    internal static ulong TicketOf(ulong word) => word >> 16;

    internal static int ParticipantOf(ulong word) => (int)(word >> 4) & 0xFFF;

    internal static ulong PhaseOf(ulong word) => word & 0xF;
}
