using System.IO.Hashing;
using FastPlasma.Format;
using FastPlasma.Nodes;

namespace FastPlasma.Spill;

/// <summary>Form of one object's copy on disk: a header, then the image as the object's block holds it.</summary>
/// <remarks>
/// Two forms. Packed, for images whose memory block may lie at any multiple of 64 bytes: header and image in a row, copied together through a buffer. Paged, for all others, whose blocks are page-aligned: the header has a page of its own,
/// and the image's pages are read and written where they lie in shared memory.
/// </remarks>
internal static unsafe class SpillRecord
{
    /// <summary>Records begin at and take a multiple of this, whatever the medium's sectors are.</summary>
    internal const int AlignmentBytes = 4096;

    /// <summary>Largest image of the packed form: from the next size class on blocks are page-aligned.</summary>
    internal const int PackedImageBytesMax = 30720;

    /// <summary>Pieces are at least this long.</summary>
    internal const int PieceShiftMin = 18;

    /// <summary>Checksums that fit behind the header in its page.</summary>
    internal const int PieceCountMax = (AlignmentBytes - SpillRecordHeader.SizeBytes) / sizeof(ulong);

    internal const byte CheckPackedFits = SpillRecordHeader.SizeBytes + PackedImageBytesMax <= 8 * AlignmentBytes ? 0 : -1;

    internal static bool IsPacked(long imageBytes) => imageBytes <= PackedImageBytesMax;

    /// <summary>Where the image begins in the record.</summary>
    internal static int ImageOffset(long imageBytes) => IsPacked(imageBytes) ? SpillRecordHeader.SizeBytes : AlignmentBytes;

    /// <summary>Length of the record.</summary>
    internal static long BytesFor(long imageBytes) => RoundUp(ImageOffset(imageBytes) + imageBytes);

    internal static long RoundUp(long bytes) => (bytes + AlignmentBytes - 1) & -AlignmentBytes;

    /// <summary>log2 of the piece length for an image: the shortest of which all checksums fit into the header's page.</summary>
    internal static int PieceShiftFor(long imageBytes)
    {
        int shift = PieceShiftMin;
        while ((imageBytes + (1L << shift) - 1) >> shift > PieceCountMax) // Ends: lengths have 63 bits.
            shift++;
        return shift;
    }

    internal static int PieceCount(long imageBytes, int shift) => (int)((imageBytes + (1L << shift) - 1) >> shift);

    /// <summary>Fills a record's header, and for the paged form the piece checksums behind it; reads the whole image for that.</summary>
    /// <param name="header">A page, all of which is overwritten in the paged form.</param>
    /// <param name="image">What the image is of.</param>
    /// <param name="bytes">The image.</param>
    internal static void Write(SpillRecordHeader* header, in ObjectImage image, byte* bytes)
    {
        long imageBytes = image.ImageBytes;
        int shift = PieceShiftFor(imageBytes);
        *header = new SpillRecordHeader
        {
            Magic = SpillRecordHeader.MagicValue,
            Version = SpillRecordHeader.VersionValue,
            PieceShift = shift,
            Id = image.Id,
            UserBytes = image.UserBytes,
            PayloadBytes = image.PayloadBytes,
            NameBytes = (ushort)image.NameBytes,
            ContentTypeBytes = (ushort)image.ContentTypeBytes,
            Flags = FlagsOf(image),
            Incarnation = image.Incarnation,
            CreatedAt = image.CreatedAtTicks,
            SealedAt = image.SealedAtTicks,
            ExpiresAt = image.ExpiresAtTicks,
            ObjectChecksum = image.HasChecksum ? image.Checksum : 0,
        };
        if (IsPacked(imageBytes))
        {
            header->ImageHash = Hash(bytes, imageBytes);
        }
        else
        {
            int count = PieceCount(imageBytes, shift);
            var hashes = new Span<ulong>((byte*)header + SpillRecordHeader.SizeBytes, PieceCountMax);
            for (int i = 0; i < count; i++)
                hashes[i] = HashPiece(bytes, imageBytes, shift, i);
            hashes[count..].Clear();
            header->ImageHash = Hash((byte*)header + SpillRecordHeader.SizeBytes, (long)count * sizeof(ulong));
        }
        header->HeaderHash = SpillRecordHeader.HashOf(header);
    }

    /// <summary>What is wrong with a header that was read, or null: the kind of trouble, what was found and what was expected.</summary>
    /// <param name="header">A page in the paged form, else at least the header.</param>
    /// <param name="expected">The object that should be there.</param>
    internal static (SpillErrorKind Kind, string What)? Check(SpillRecordHeader* header, in ObjectImage expected)
    {
        if (CheckSelf(header) is { } bad)
            return bad;
        if (header->Id != expected.Id || header->Incarnation != expected.Incarnation)
            return (SpillErrorKind.WrongObject, $"the record is of object {header->Id} incarnation {header->Incarnation:x16}, expected {expected.Id} incarnation {expected.Incarnation:x16}");
        if (header->PayloadBytes != expected.PayloadBytes || header->NameBytes != expected.NameBytes || header->ContentTypeBytes != expected.ContentTypeBytes || header->UserBytes != expected.UserBytes)
            return (SpillErrorKind.WrongObject,
                $"the record has {header->PayloadBytes} + {header->NameBytes} + {header->ContentTypeBytes} + {header->UserBytes} bytes of payload, name, content type and metadata, expected {expected.PayloadBytes} + {expected.NameBytes} + {expected.ContentTypeBytes} + {expected.UserBytes}");
        return null;
    }

    /// <summary>As <see cref="Check"/>, without knowing which object is expected.</summary>
    internal static (SpillErrorKind Kind, string What)? CheckSelf(SpillRecordHeader* header)
    {
        if (header->Magic != SpillRecordHeader.MagicValue)
            return (SpillErrorKind.Damaged, $"the record begins with 0x{header->Magic:x}, expected 0x{SpillRecordHeader.MagicValue:x}");
        ulong hash = SpillRecordHeader.HashOf(header);
        if (header->HeaderHash != hash)
            return (SpillErrorKind.Damaged, $"the record's header has the checksum 0x{hash:x16}, expected 0x{header->HeaderHash:x16}");
        if (header->Version != SpillRecordHeader.VersionValue)
            return (SpillErrorKind.Damaged, $"the record has version {header->Version}, expected {SpillRecordHeader.VersionValue}");
        ObjectImage image = ImageOf(header);
        if (image.Validate() is { } impossible)
            return (SpillErrorKind.Damaged, impossible);
        if (header->PieceShift != PieceShiftFor(image.ImageBytes))
            return (SpillErrorKind.Damaged, $"the record has pieces of 2^{header->PieceShift} bytes, expected 2^{PieceShiftFor(image.ImageBytes)}");
        if (IsPacked(image.ImageBytes))
            return null;
        ulong table = Hash((byte*)header + SpillRecordHeader.SizeBytes, (long)PieceCount(image.ImageBytes, header->PieceShift) * sizeof(ulong));
        return table == header->ImageHash ? null : (SpillErrorKind.Damaged, $"the table of piece checksums has the checksum 0x{table:x16}, expected 0x{header->ImageHash:x16}");
    }

    /// <summary>What a valid header says of its object.</summary>
    internal static ObjectImage ImageOf(SpillRecordHeader* header) => new()
    {
        Id = header->Id,
        PayloadBytes = header->PayloadBytes,
        NameBytes = header->NameBytes,
        ContentTypeBytes = header->ContentTypeBytes,
        UserBytes = header->UserBytes,
        Incarnation = header->Incarnation,
        Checksum = header->ObjectChecksum,
        HasChecksum = (header->Flags & SpillRecordHeader.HasChecksumFlag) != 0,
        IsEvictable = (header->Flags & SpillRecordHeader.EvictableFlag) != 0,
        IsReplica = (header->Flags & SpillRecordHeader.ReplicaFlag) != 0,
        CreatedAtTicks = header->CreatedAt,
        SealedAtTicks = header->SealedAt,
        ExpiresAtTicks = header->ExpiresAt,
    };

    /// <summary>Checksum of piece <paramref name="index"/> as the header's page has it.</summary>
    internal static ulong PieceHash(SpillRecordHeader* header, int index) => ((ulong*)((byte*)header + SpillRecordHeader.SizeBytes))[index];

    internal static ulong HashPiece(byte* image, long imageBytes, int shift, int index)
    {
        long from = (long)index << shift;
        return Hash(image + from, Math.Min(1L << shift, imageBytes - from));
    }

    /// <summary>XXH3 of a stretch of memory of any length.</summary>
    internal static ulong Hash(byte* bytes, long count)
    {
        // SAFETY: count bytes of the caller's region, in spans that are short enough.
        if (count <= int.MaxValue)
            return XxHash3.HashToUInt64(new ReadOnlySpan<byte>(bytes, (int)count));
        var hash = new XxHash3();
        for (long at = 0; at < count; at += 1 << 30)
            hash.Append(new ReadOnlySpan<byte>(bytes + at, (int)Math.Min(1 << 30, count - at)));
        return hash.GetCurrentHashAsUInt64();
    }

    internal static uint FlagsOf(in ObjectImage image) =>
        (image.HasChecksum ? SpillRecordHeader.HasChecksumFlag : 0) | (image.IsEvictable ? SpillRecordHeader.EvictableFlag : 0) | (image.IsReplica ? SpillRecordHeader.ReplicaFlag : 0);
}
