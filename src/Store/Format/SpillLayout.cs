using System.IO.Hashing;
using System.Runtime.InteropServices;

namespace FastPlasma.Format;

/// <summary>First page of the spill map: what all attachments must agree on about the store's spill files. Bytes 0 to 127 never change after creation.</summary>
/// <remarks><code>
/// off bytes field           written by
///   0    8  Magic           creator: "FASTSPIL"
///   8   16  StoreUuid       creator
///  24    4  DirectoryCount  creator
///  28    4  Persist         creator: 1 = the last writer leaves a catalogue
///  32    8  LimitBytes      creator: of all spill files together
///  40    8  ReserveShare    creator: of a directory's file system that stays free, in millionths
///  48    8  MapBytes        creator: length of this file
///  56   64  reserved, 0
/// 120    8  Checksum        creator: XXH3 of bytes 0 to 119
/// 128    8  BackedChunks    add: chunks that have disk space, of all directories; never less than there are, corrected by who reaches the limit
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal unsafe struct SpillHeader
{
    internal const int SizeBytes = 4096, ChecksummedBytes = 120;
    internal const ulong MagicValue = 0x4C49505354534146; // "FASTSPIL" in byte order
    internal const long ReserveUnit = 1_000_000;

    [FieldOffset(0)] internal ulong Magic;
    [FieldOffset(8)] internal Guid StoreUuid;
    [FieldOffset(24)] internal int DirectoryCount;
    [FieldOffset(28)] internal int Persist;
    [FieldOffset(32)] internal long LimitBytes;
    [FieldOffset(40)] internal long ReserveShare;
    [FieldOffset(48)] internal long MapBytes;
    [FieldOffset(120)] internal ulong Checksum;
    [FieldOffset(128)] internal long BackedChunks;

    internal static ulong ChecksumOf(SpillHeader* header) => XxHash3.HashToUInt64(new ReadOnlySpan<byte>(header, ChecksummedBytes));
}

/// <summary>One spill directory in the spill map, and the numbers of what was done with it.</summary>
/// <remarks><code>
/// off bytes field           written by
///   0   16  FileId          creator: part of the spill file's name; empty = the directory was unusable at creation and stays so
///  16    4  ChunkCount      creator
///  20    4  PathBytes       creator: length of the path at 1024
///  24    8  AllocatorOffset creator: where its regions begin in the spill map
///  32    8  ChunksOffset    creator
///  40    8  WordsOffset     creator
///  48    8  reserved, 0
///  56    8  Checksum        creator: XXH3 of bytes 0 to 55 and the path
/// 128    8  Problem         exchange: why nothing is written there now (SpillProblem); 0 = nothing is known against it
/// 136    8  ProblemOffset   who wrote Problem: where it happened, to show
/// 144    8  RetryAt         who wrote Problem (UTC ticks): from then on one tries again
/// 152    8  ProblemBytes    who wrote Problem: length of the record that had no room; shorter ones are tried
/// 192    8  WrittenBytes    add
/// 200    8  WrittenCount    add
/// 208    8  WriteErrors     add
/// 256    8  ReadBytes       add
/// 264    8  ReadCount       add
/// 272    8  ReadErrors      add
/// 280    8  BadCopies       add: copies that were not what had been written
/// 320    4  CatalogPending  creator, before the store has its name: 1 = the file was taken over with a catalogue that is still valid; 0 once a writer has taken that back
/// </code>From byte 1024 on: the path, UTF-8.</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal unsafe struct SpillDirectoryRecord
{
    internal const int SizeBytes = 2048, ChecksummedBytes = 56, PathOffset = 1024, PathBytesMax = 1024;

    [FieldOffset(0)] internal Guid FileId;
    [FieldOffset(16)] internal int ChunkCount;
    [FieldOffset(20)] internal int PathBytes;
    [FieldOffset(24)] internal long AllocatorOffset;
    [FieldOffset(32)] internal long ChunksOffset;
    [FieldOffset(40)] internal long WordsOffset;
    [FieldOffset(56)] internal ulong Checksum;
    [FieldOffset(128)] internal ulong Problem;
    [FieldOffset(136)] internal long ProblemOffset;
    [FieldOffset(144)] internal long RetryAt;
    [FieldOffset(152)] internal long ProblemBytes;
    [FieldOffset(192)] internal long WrittenBytes;
    [FieldOffset(200)] internal long WrittenCount;
    [FieldOffset(208)] internal long WriteErrors;
    [FieldOffset(256)] internal long ReadBytes;
    [FieldOffset(264)] internal long ReadCount;
    [FieldOffset(272)] internal long ReadErrors;
    [FieldOffset(280)] internal long BadCopies;
    [FieldOffset(320)] internal uint CatalogPending;

    internal static ulong ChecksumOf(SpillDirectoryRecord* record)
    {
        var hash = new XxHash3();
        hash.Append(new ReadOnlySpan<byte>(record, ChecksummedBytes));
        hash.Append(new ReadOnlySpan<byte>((byte*)record + PathOffset, Math.Clamp(record->PathBytes, 0, PathBytesMax)));
        return hash.GetCurrentHashAsUInt64();
    }
}

/// <summary>First page of a spill file: whose it is. Written once, but for Epoch.</summary>
/// <remarks><code>
/// off bytes field           meaning
///   0    8  Magic           "FASTSPIF"
///   8    4  Version         1
///  12    4  NameBytes       length of the store's name at 1024
///  16   16  FileId          as in the file's name
///  32    4  DirectoryBytes  length of the path of the store's folder at 2048
///  36    4  reserved, 0
///  40    8  CreatedAt       UTC ticks
///  48    8  Epoch           1, and one more each time a catalogue is taken back: only a catalogue of this epoch is valid
///  56    8  Checksum        XXH3 of the page with this field 0
///  64   16  BootId          boot in which it was made
///  80    8  StoreDevice     file system of the store's folder in that boot: in a container the same path may be another folder
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal unsafe struct SpillFileHeader
{
    internal const int SizeBytes = 4096, NameOffset = 1024, DirectoryOffset = 2048, DirectoryBytesMax = 2048;
    internal const ulong MagicValue = 0x4649505354534146; // "FASTSPIF" in byte order
    internal const uint VersionValue = 1;

    /// <summary>Chunk 0 begins here, so that chunks keep the alignment of the file system's large extents.</summary>
    internal const long DataOffset = 2L << 20;

    [FieldOffset(0)] internal ulong Magic;
    [FieldOffset(8)] internal uint Version;
    [FieldOffset(12)] internal int NameBytes;
    [FieldOffset(16)] internal Guid FileId;
    [FieldOffset(32)] internal int DirectoryBytes;
    [FieldOffset(40)] internal long CreatedAt;
    [FieldOffset(48)] internal ulong Epoch;
    [FieldOffset(56)] internal ulong Checksum;
    [FieldOffset(64)] internal Guid BootId;
    [FieldOffset(80)] internal ulong StoreDevice;
}

/// <summary>Beginning of one object's record in a spill file.</summary>
/// <remarks><code>
/// off bytes field             meaning
///   0    8  Magic             "FASTSPIR"
///   8    4  Version           1
///  12    4  PieceShift        log2 of the bytes that each piece checksum covers
///  16   28  Id
///  44    4  UserBytes
///  48    8  PayloadBytes
///  56    2  NameBytes
///  58    2  ContentTypeBytes
///  60    4  Flags             1 HasChecksum, 2 IsEvictable, 4 IsReplica; in a catalogue from bit 8 on log2 of the entry's AlignmentBytes
///  64    8  Incarnation
///  72    8  CreatedAt         UTC ticks
///  80    8  SealedAt          UTC ticks
///  88    8  ExpiresAt
///  96    8  ObjectChecksum    the entry's, 0 unless HasChecksum
/// 104    8  ImageHash         XXH3 of the image; of a record with pieces: of the table of their hashes, which follows this header
/// 112    8  Place             in a catalogue: offset of the record in the spill file; in the record itself 0
/// 120    8  HeaderHash        XXH3 of bytes 0 to 119
/// </code>A small image follows at byte 128. A larger one begins at byte 4096, page-aligned as it is in memory, and the page of this header holds an XXH3 of each of its pieces, so that a part can be read and still be known to be right.</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal unsafe struct SpillRecordHeader
{
    internal const int SizeBytes = 128, HashedBytes = 120;
    internal const ulong MagicValue = 0x5249505354534146; // "FASTSPIR" in byte order
    internal const uint VersionValue = 1;
    internal const uint HasChecksumFlag = 1, EvictableFlag = 2, ReplicaFlag = 4;
    internal const int AlignmentShift = 8;

    [FieldOffset(0)] internal ulong Magic;
    [FieldOffset(8)] internal uint Version;
    [FieldOffset(12)] internal int PieceShift;
    [FieldOffset(16)] internal ObjectId Id;
    [FieldOffset(44)] internal int UserBytes;
    [FieldOffset(48)] internal long PayloadBytes;
    [FieldOffset(56)] internal ushort NameBytes;
    [FieldOffset(58)] internal ushort ContentTypeBytes;
    [FieldOffset(60)] internal uint Flags;
    [FieldOffset(64)] internal ulong Incarnation;
    [FieldOffset(72)] internal long CreatedAt;
    [FieldOffset(80)] internal long SealedAt;
    [FieldOffset(88)] internal long ExpiresAt;
    [FieldOffset(96)] internal ulong ObjectChecksum;
    [FieldOffset(104)] internal ulong ImageHash;
    [FieldOffset(112)] internal long Place;
    [FieldOffset(120)] internal ulong HeaderHash;

    internal static ulong HashOf(SpillRecordHeader* header) => XxHash3.HashToUInt64(new ReadOnlySpan<byte>(header, HashedBytes));
}

/// <summary>Beginning of a catalogue; the chunk words follow, then a record header with its place for each object.</summary>
/// <remarks><code>
/// off bytes field           meaning
///   0    8  Magic           "FASTSPIC"
///   8    4  Version         1
///  12    4  ChunkCount      chunk words that follow
///  16   16  FileId          of the spill file
///  32   16  StoreUuid       of the store that wrote it
///  48    8  Epoch           of the spill file
///  56    8  ClosedAt        UTC ticks
///  64    4  ObjectCount     record headers that follow the words
///  68   44  reserved, 0
/// 112    8  ContentHash     XXH3 of all that follows this header
/// 120    8  HeaderHash      XXH3 of bytes 0 to 119
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal unsafe struct CatalogHeader
{
    internal const int SizeBytes = 128, HashedBytes = 120;
    internal const ulong MagicValue = 0x4349505354534146; // "FASTSPIC" in byte order
    internal const uint VersionValue = 1;

    [FieldOffset(0)] internal ulong Magic;
    [FieldOffset(8)] internal uint Version;
    [FieldOffset(12)] internal int ChunkCount;
    [FieldOffset(16)] internal Guid FileId;
    [FieldOffset(32)] internal Guid StoreUuid;
    [FieldOffset(48)] internal ulong Epoch;
    [FieldOffset(56)] internal long ClosedAt;
    [FieldOffset(64)] internal int ObjectCount;
    [FieldOffset(112)] internal ulong ContentHash;
    [FieldOffset(120)] internal ulong HeaderHash;

    internal static ulong HashOf(CatalogHeader* header) => XxHash3.HashToUInt64(new ReadOnlySpan<byte>(header, HashedBytes));
}
