using System.Runtime.InteropServices;
using FastPlasma.Allocator;

namespace FastPlasma.Format;

/// <summary>Metadata record of one object: a hot line that every get reads, then a cold line.</summary>
/// <remarks><code>
/// off bytes field             written by                        read by
///   0   28  Id                creator, in Tentative             anyone, after validating State's generation
///  28    4  UserBytes         creator, in Tentative             anyone, pinned
///  32    8  State             compare-exchange only             anyone, acquire
///  40    8  DataOffset        creator, before Creating; restorer, in Restoring   anyone, pinned
///  48    8  PayloadBytes      creator, in Tentative             anyone, pinned
///  56    2  NameBytes         creator, in Tentative             anyone, pinned
///  58    2  ContentTypeBytes  creator, in Tentative             anyone, pinned
///  60    4  AlignmentBytes    creator, in Tentative (as asked; a restore asks for the same)   restorer, who has the entry
///  64    8  CreatedAt         creator (UTC ticks, coarse)       anyone, validated
///  72    8  SealedAt          creator, before Sealed (coarse UTC ticks)   anyone, validated
///  80    8  ExpiresAt         creator, before Sealed: UTC ticks if the flag Expires is set; before that the time to live   anyone, validated
///  88    8  Checksum          creator, before Sealed            anyone, pinned
///  96   12  Block             creator and restorer, before each exchange   finisher, unloader, recoverer; of a Spilled entry what it was
/// 108    4  QuotaAccount      creator, in Tentative (its attachment)   quota counts
/// 112    8  SpillPlace        0 by the creator in Tentative; then compare-exchange only (SpillPlace)   anyone, announced
/// 120    8  Incarnation       creator, in Tentative             anyone, validated
/// </code>
/// The block holds payload, then (from the next multiple of 8) name, content type and user metadata.
/// Invariant E1: Sealed implies that Block names words which all carry (entry, generation), and that payload and metadata lie inside it.
/// Invariant E2: an entry becomes Free only after its index word and its block words are gone.
/// Invariant E3: Spilled implies that SpillPlace is a place whose disk words all carry (entry, generation), and that no memory word does.
/// Nothing is written to an entry by anybody but its creator before Sealed, except State; afterwards only SpillPlace, and by whoever has it in Restoring Block and DataOffset.</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct ObjectEntry
{
    internal const int SizeBytes = 128, StateOffset = 32, BlockOffset = 96;

    [FieldOffset(0)] internal ObjectId Id;
    [FieldOffset(28)] internal int UserBytes;
    [FieldOffset(StateOffset)] internal ulong State;
    [FieldOffset(40)] internal long DataOffset;
    [FieldOffset(48)] internal long PayloadBytes;
    [FieldOffset(56)] internal ushort NameBytes;
    [FieldOffset(58)] internal ushort ContentTypeBytes;
    [FieldOffset(60)] internal int AlignmentBytes;
    [FieldOffset(64)] internal long CreatedAt;
    [FieldOffset(72)] internal long SealedAt;
    [FieldOffset(80)] internal long ExpiresAt;
    [FieldOffset(88)] internal ulong Checksum;
    [FieldOffset(BlockOffset)] internal BlockPlace Block;
    [FieldOffset(108)] internal uint QuotaAccount;
    [FieldOffset(112)] internal ulong SpillPlace;
    [FieldOffset(120)] internal ulong Incarnation;

    internal const byte CheckStateAligned = StateOffset % sizeof(ulong) == 0 ? 0 : -1;
    internal const byte CheckBlockFits = BlockOffset + BlockPlace.SizeBytes <= 108 ? 0 : -1;

    /// <summary>Bytes of name, content type and user metadata.</summary>
    internal readonly long TailBytes => (long)NameBytes + ContentTypeBytes + UserBytes;

    /// <summary>Bytes that the object needs in its block; 0 means that it has none.</summary>
    internal static long BytesNeeded(long payloadBytes, long tailBytes) => tailBytes == 0 ? payloadBytes : TailOffset(payloadBytes) + tailBytes;

    /// <summary>Where the tail begins, from the block's beginning.</summary>
    internal static long TailOffset(long payloadBytes) => (payloadBytes + 7) & ~7L;
}
