using System.IO.Hashing;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FastPlasma.Transfer.Wire;

/// <summary>Kinds of frames; docs/protocol.md says who sends which when.</summary>
internal enum FrameType : byte
{
    /// <summary>Requester: which of these objects do you have; send small ones.</summary>
    Ask = 1,

    /// <summary>Server: one answer per record of an Ask, then the images of the small ones.</summary>
    Objects = 2,

    /// <summary>Requester: write these parts of objects into these regions of mine, in this order.</summary>
    Post = 3,

    /// <summary>Server: the part, whose bytes follow.</summary>
    Chunk = 4,

    /// <summary>Server: the part cannot be had here.</summary>
    Refused = 5,

    /// <summary>Requester: let go of an object.</summary>
    Release = 6,

    /// <summary>Server: chunks that have arrived of an object that is being received.</summary>
    Have = 7,

    /// <summary>Server: other nodes with an object.</summary>
    Holders = 8,

    /// <summary>Requester: these objects are here.</summary>
    Offer = 9,

    /// <summary>Requester: these objects were deleted.</summary>
    Delete = 10,

    /// <summary>Server: answer without content.</summary>
    Done = 11,

    /// <summary>Requester: are you there.</summary>
    Ping = 12,

    /// <summary>Both: why I close.</summary>
    Bye = 13,
}

/// <summary>Beginning of every frame.</summary>
/// <remarks><code>
/// off bytes field      meaning
///   0    1  Type
///   1    1  reserved, 0
///   2    2  Count      records in the body
///   4    4  BodyBytes  Count times the record size of the type
///   8    8  Tag        chosen by the requester, repeated in answers
///  16    4  reserved, 0
///  20    4  Check      low half of XXH3 over bytes 0 to 19 and the body
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct FrameHeader
{
    internal const int SizeBytes = 24, CheckOffset = 20;

    [FieldOffset(0)] internal FrameType Type;
    [FieldOffset(1)] internal byte Reserved1;
    [FieldOffset(2)] internal ushort Count;
    [FieldOffset(4)] internal uint BodyBytes;
    [FieldOffset(8)] internal ulong Tag;
    [FieldOffset(16)] internal uint Reserved16;
    [FieldOffset(CheckOffset)] internal uint Check;

    /// <summary>Record size and most records of a type; (0, 0) of a type that has none, (-1, 0) of one that does not exist.</summary>
    internal static (int RecordBytes, int CountMax) ShapeOf(FrameType type) => type switch
    {
        FrameType.Ask => (AskRecord.SizeBytes, Limits.RecordCountMax),
        FrameType.Objects => (ObjectRecord.SizeBytes, Limits.RecordCountMax),
        FrameType.Post => (PostRecord.SizeBytes, Limits.PostCountMax),
        FrameType.Chunk or FrameType.Refused => (ChunkRecord.SizeBytes, 1),
        FrameType.Release => (ReleaseRecord.SizeBytes, Limits.RecordCountMax),
        FrameType.Have => (HaveRecord.SizeBytes, Limits.RecordCountMax),
        FrameType.Holders => (HolderRecord.SizeBytes, Limits.HolderCountMax),
        FrameType.Offer => (OfferRecord.SizeBytes, Limits.RecordCountMax),
        FrameType.Delete => (DeleteRecord.SizeBytes, Limits.RecordCountMax),
        FrameType.Done or FrameType.Ping => (0, 0),
        FrameType.Bye => (1, Limits.ByeBytesMax),
        _ => (-1, 0),
    };

    /// <summary>Says what is wrong with a header that came from another node, or null. After this Count and BodyBytes are within their limits and agree.</summary>
    internal readonly string? Validate()
    {
        (int recordBytes, int countMax) = ShapeOf(Type);
        if (recordBytes < 0)
            return $"frame type {(byte)Type} is unknown";
        if (Reserved1 != 0 || Reserved16 != 0)
            return $"reserved bytes of a {Type} frame are not 0";
        if (Count > countMax || (Count == 0 && countMax > 0 && Type != FrameType.Bye))
            return $"a {Type} frame has {Count} records; 1 to {countMax} are allowed";
        if (BodyBytes != (uint)(Count * recordBytes))
            return $"a {Type} frame of {Count} records has a body of {BodyBytes} bytes instead of {Count * recordBytes}";
        return null;
    }

    /// <summary>The check of this header with <paramref name="body"/>.</summary>
    internal readonly uint CheckOf(ReadOnlySpan<byte> body)
    {
        ReadOnlySpan<byte> head = MemoryMarshal.AsBytes(new ReadOnlySpan<FrameHeader>(in this))[..CheckOffset];
        // The body's hash with the head's as its seed: one call each, and no copy to put them in a row.
        return (uint)XxHash3.HashToUInt64(body, (long)XxHash3.HashToUInt64(head));
    }

    internal const byte CheckSize = CheckOffset + sizeof(uint) == SizeBytes ? 0 : -1;
}
