using System.Runtime.InteropServices;

namespace FastPlasma.Transfer.Wire;

/// <summary>One id of an Ask: 48 bytes.</summary>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct AskRecord
{
    internal const int SizeBytes = 48;
    internal const uint NoBytes = 1, TellMe = 2, AllFlags = NoBytes | TellMe;

    [FieldOffset(0)] internal ObjectId Id;
    [FieldOffset(28)] internal uint Flags;

    /// <summary>0: any.</summary>
    [FieldOffset(32)] internal ulong Incarnation;

    /// <summary>How long the server keeps in mind that it is asked, with <see cref="TellMe"/>.</summary>
    [FieldOffset(40)] internal uint TellMs;
    [FieldOffset(44)] internal uint Reserved44;

    internal readonly string? Validate() =>
        (Flags & ~AllFlags) != 0 || Reserved44 != 0 ? $"unknown bits in an Ask for {Id}" : null;
}

/// <summary>What a server says of an object.</summary>
internal enum ObjectAnswer : byte
{
    /// <summary>Not here.</summary>
    Absent = 0,

    /// <summary>Here; its image follows in this frame.</summary>
    Inline = 1,

    /// <summary>Here as a whole.</summary>
    Complete = 2,

    /// <summary>Being received here; Have frames say what there is.</summary>
    Partial = 3,

    /// <summary>This incarnation was deleted.</summary>
    Deleted = 4,

    /// <summary>Here, but this answer is full: ask again.</summary>
    Later = 5,

    /// <summary>Not here; the requester is told when it appears.</summary>
    Noted = 6,
}

/// <summary>Answer of a server about one object: 128 bytes.</summary>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal unsafe struct ObjectRecord
{
    internal const int SizeBytes = 128;
    internal const byte EvictableFlag = 1, ChecksumFlag = 2, ReplicaFlag = 4, CrowdedFlag = 8, AllFlags = EvictableFlag | ChecksumFlag | ReplicaFlag | CrowdedFlag;

    [FieldOffset(0)] internal ObjectId Id;
    [FieldOffset(28)] internal ObjectAnswer Answer;
    [FieldOffset(29)] internal byte Flags;
    [FieldOffset(30)] internal ushort ContentTypeBytes;
    [FieldOffset(32)] internal ulong Incarnation;
    [FieldOffset(40)] internal long PayloadBytes;
    [FieldOffset(48)] internal int NameBytes;
    [FieldOffset(52)] internal int UserBytes;
    [FieldOffset(56)] internal ulong Checksum;
    [FieldOffset(64)] internal long CreatedAtTicks;

    /// <summary>XXH3 of the image, if it is inline.</summary>
    [FieldOffset(72)] internal ulong InlineCheck;

    /// <summary>Where the requester should begin, so that several that ask at once begin at different places: chunk number modulo the number of chunks.</summary>
    [FieldOffset(80)] internal uint FirstChunk;
    [FieldOffset(84)] internal uint Reserved84;

    /// <summary>When the object is gone by itself, in UTC ticks; 0 for never.</summary>
    [FieldOffset(88)] internal long ExpiresAtTicks;
    [FieldOffset(96)] internal fixed byte Reserved[32];
}

/// <summary>A part that is to be written into the requester's memory: 80 bytes.</summary>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct PostRecord
{
    internal const int SizeBytes = 80;

    [FieldOffset(0)] internal ulong Key;
    [FieldOffset(8)] internal ObjectId Id;
    [FieldOffset(36)] internal uint LeaseMs;
    [FieldOffset(40)] internal ulong Incarnation;
    [FieldOffset(48)] internal long ImageOffset;
    [FieldOffset(56)] internal long RegionOffset;
    [FieldOffset(64)] internal int Bytes;
    [FieldOffset(68)] internal uint Reserved68;
    [FieldOffset(72)] internal ulong Reserved72;

    internal readonly string? Validate() =>
        Bytes <= 0 ? $"a Post of {Bytes} bytes"
        : ImageOffset < 0 || RegionOffset < 0 ? $"a Post at {ImageOffset} to {RegionOffset}; offsets are not negative"
        : Reserved68 != 0 || Reserved72 != 0 ? "reserved bytes of a Post are not 0"
        : null;
}

/// <summary>Why a part cannot be had.</summary>
internal enum RefusalReason : uint
{
    /// <summary>None: of a Chunk.</summary>
    None = 0,

    /// <summary>The object is not here, or not in that incarnation.</summary>
    Absent = 1,

    /// <summary>That chunk has not arrived here yet.</summary>
    NotYet = 2,

    /// <summary>The part is not inside the object.</summary>
    OutOfBounds = 3,

    /// <summary>As much is pinned for this peer as may be.</summary>
    TooMuch = 4,

    /// <summary>The incarnation was deleted.</summary>
    Deleted = 5,
}

/// <summary>A part that arrives, or does not: 48 bytes; with Chunk, <see cref="Bytes"/> bytes follow.</summary>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct ChunkRecord
{
    internal const int SizeBytes = 48;

    [FieldOffset(0)] internal ulong Key;
    [FieldOffset(8)] internal long RegionOffset;
    [FieldOffset(16)] internal int Bytes;
    [FieldOffset(20)] internal RefusalReason Reason;
    [FieldOffset(24)] internal ulong Incarnation;

    /// <summary>XXH3 of the bytes.</summary>
    [FieldOffset(32)] internal ulong Check;
    [FieldOffset(40)] internal ulong Reserved40;
}

/// <summary>The requester has an object, or wants it no more: 40 bytes.</summary>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct ReleaseRecord
{
    internal const int SizeBytes = 40;

    [FieldOffset(0)] internal ObjectId Id;
    [FieldOffset(28)] internal uint Reserved28;
    [FieldOffset(32)] internal ulong Incarnation;
}

/// <summary>Chunks in a row that a server has by now, or how its own receiving ended: 48 bytes.</summary>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct HaveRecord
{
    internal const int SizeBytes = 48;

    [FieldOffset(0)] internal ObjectId Id;
    [FieldOffset(28)] internal int First;
    [FieldOffset(32)] internal ulong Incarnation;
    [FieldOffset(40)] internal int Count;
    [FieldOffset(44)] internal uint Flags;

    /// <summary>The server has all of it now, or has given up and has nothing; First and Count are 0 then.</summary>
    internal const uint CompleteFlag = 1, GoneFlag = 2;

    /// <summary>The server does not have these yet, but has asked a complete holder for them: others need not.</summary>
    internal const uint ExpectedFlag = 4;
}

/// <summary>Another node with an object: 128 bytes.</summary>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal unsafe struct HolderRecord
{
    internal const int SizeBytes = 128, AddressBytesMax = 70;
    internal const uint CompleteFlag = 1;

    [FieldOffset(0)] internal ObjectId Id;
    [FieldOffset(28)] internal uint Flags;
    [FieldOffset(32)] internal ulong Incarnation;
    [FieldOffset(40)] internal Guid NodeId;
    [FieldOffset(56)] internal ushort AddressBytes;
    [FieldOffset(58)] internal fixed byte Address[AddressBytesMax];
}

/// <summary>An object that is here: 48 bytes.</summary>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct OfferRecord
{
    internal const int SizeBytes = 48;
    internal const uint PullFlag = 1;

    [FieldOffset(0)] internal ObjectId Id;
    [FieldOffset(28)] internal uint Flags;
    [FieldOffset(32)] internal ulong Incarnation;
    [FieldOffset(40)] internal long PayloadBytes;
}

/// <summary>An object that was deleted: 48 bytes.</summary>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct DeleteRecord
{
    internal const int SizeBytes = 48;

    [FieldOffset(0)] internal ObjectId Id;
    [FieldOffset(28)] internal uint Reserved28;
    [FieldOffset(32)] internal ulong Incarnation;
    [FieldOffset(40)] internal ulong TombstoneMs;
}
