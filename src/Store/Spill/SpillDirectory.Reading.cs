using FastPlasma.Format;
using FastPlasma.Native;
using FastPlasma.Nodes;

namespace FastPlasma.Spill;

/// <content>Reading records back, and finding out whether they are what was written.</content>
internal sealed unsafe partial class SpillDirectory
{
    /// <summary>Reads a whole image and verifies it. What is at <paramref name="destination"/> after an error means nothing.</summary>
    internal SpillError? Read(SpillBuffers buffers, SpillPlace place, in ObjectImage expected, byte* destination)
    {
        long imageBytes = expected.ImageBytes, offset = place.Offset;
        if (_file is null)
            return Error(SpillErrorKind.Missing, expected.Id, offset, 0, $"object {expected.Id} at {offset} of its spill file in {_path} cannot be read: {_closedBecause}");
        if (SpillRecord.IsPacked(imageBytes))
        {
            long recordBytes = SpillRecord.BytesFor(imageBytes);
            Span<IoPart> whole = [new IoPart(buffers.Bounce, (nuint)recordBytes)];
            if ((ReadParts(whole, offset, recordBytes, expected) ?? Check((SpillRecordHeader*)buffers.Bounce, expected, offset)) is { } unreadable)
                return unreadable;
            byte* image = buffers.Bounce + SpillRecordHeader.SizeBytes;
            if (CheckPiece(SpillRecord.Hash(image, imageBytes), ((SpillRecordHeader*)buffers.Bounce)->ImageHash, expected, offset, 0, imageBytes) is { } damage)
                return damage;
            Buffer.MemoryCopy(image, destination, imageBytes, imageBytes);
            CountRead(recordBytes);
            return null;
        }

        var header = (SpillRecordHeader*)buffers.Header;
        bool inPlace = (nuint)destination % SpillRecord.AlignmentBytes == 0;
        long direct = inPlace ? imageBytes & -SpillRecord.AlignmentBytes : 0;
        nuint tailBytes = inPlace && direct < imageBytes ? SpillRecord.AlignmentBytes : 0u;
        Span<IoPart> parts = [new IoPart(buffers.Header, SpillRecord.AlignmentBytes), new IoPart(destination, (nuint)direct), new IoPart(buffers.Tail, tailBytes)];
        long total = SpillRecord.AlignmentBytes + direct + (long)tailBytes;
        if ((ReadParts(parts, offset, total, expected) ?? Check(header, expected, offset)) is { } failed)
            return failed;
        if (tailBytes > 0)
            Buffer.MemoryCopy(buffers.Tail, destination + direct, imageBytes - direct, imageBytes - direct);
        for (long at = inPlace ? imageBytes : 0; at < imageBytes;) // Through the buffer, for memory that does not begin at a page.
        {
            long piece = Math.Min(SpillBuffers.BounceBytes, imageBytes - at), asked = SpillRecord.RoundUp(piece);
            Span<IoPart> part = [new IoPart(buffers.Bounce, (nuint)asked)];
            if (ReadParts(part, offset + SpillRecord.AlignmentBytes + at, asked, expected) is { } stopped)
                return stopped;
            Buffer.MemoryCopy(buffers.Bounce, destination + at, piece, piece);
            at += piece;
        }
        int pieces = SpillRecord.PieceCount(imageBytes, header->PieceShift);
        for (int i = 0; i < pieces; i++)
        {
            long from = (long)i << header->PieceShift;
            if (CheckPiece(SpillRecord.HashPiece(destination, imageBytes, header->PieceShift, i), SpillRecord.PieceHash(header, i), expected, offset + SpillRecord.AlignmentBytes + from, from, Math.Min(1L << header->PieceShift, imageBytes - from)) is { } damage)
                return damage;
        }
        CountRead(SpillRecord.BytesFor(imageBytes));
        return null;
    }

    /// <summary>Reads a part of an image; the pieces that it touches are read as a whole and verified.</summary>
    internal SpillError? ReadRange(SpillBuffers buffers, SpillPlace place, in ObjectImage expected, long from, ReadTarget target)
    {
        long imageBytes = expected.ImageBytes, offset = place.Offset;
        if (_file is null)
            return Error(SpillErrorKind.Missing, expected.Id, offset, 0, $"object {expected.Id} at {offset} of its spill file in {_path} cannot be read: {_closedBecause}");
        if (target.Length == 0)
            return null;
        if (SpillRecord.IsPacked(imageBytes))
        {
            byte* whole = stackalloc byte[SpillRecord.PackedImageBytesMax];
            SpillError? error = Read(buffers, place, expected, whole);
            if (error is null)
                target.TryFill(0, new ReadOnlySpan<byte>(whole + from, target.Length));
            return error;
        }

        var header = (SpillRecordHeader*)buffers.Header;
        Span<IoPart> first = [new IoPart(buffers.Header, SpillRecord.AlignmentBytes)];
        if ((ReadParts(first, offset, SpillRecord.AlignmentBytes, expected) ?? Check(header, expected, offset)) is { } failed)
            return failed;
        int shift = header->PieceShift;
        long pieceBytes = 1L << shift;
        byte* piece = pieceBytes <= SpillBuffers.BounceBytes ? buffers.Bounce : (byte*)ForkMark.MapWiped((nuint)pieceBytes);
        try
        {
            int last = (int)((from + target.Length - 1) >> shift);
            for (int i = (int)(from >> shift); i <= last; i++)
            {
                long at = (long)i << shift, bytes = Math.Min(pieceBytes, imageBytes - at), asked = SpillRecord.RoundUp(bytes);
                Span<IoPart> part = [new IoPart(piece, (nuint)asked)];
                if (ReadParts(part, offset + SpillRecord.AlignmentBytes + at, asked, expected) is { } stopped)
                    return stopped;
                if (CheckPiece(SpillRecord.Hash(piece, bytes), SpillRecord.PieceHash(header, i), expected, offset + SpillRecord.AlignmentBytes + at, at, bytes) is { } damage)
                    return damage;
                long begin = Math.Max(at, from), end = Math.Min(at + bytes, from + target.Length);
                if (!target.TryFill((int)(begin - from), new ReadOnlySpan<byte>(piece + (begin - at), (int)(end - begin))))
                    return null;
                CountRead(asked);
            }
            return null;
        }
        finally
        {
            if (piece != buffers.Bounce)
                ForkMark.Unmap(piece, (nuint)pieceBytes);
        }
    }

    private SpillError? ReadParts(Span<IoPart> parts, long offset, long bytes, in ObjectImage expected)
    {
        int errno = _file!.TryReadParts(offset, parts, out long read, DiskTurns.PieceBytes, _onRead);
        if (errno != 0)
        {
            Count(ref _record->ReadErrors, 1);
            return Error(SpillErrorKind.InputOutput, expected.Id, offset, errno, $"object {expected.Id} could not be read back: read {bytes} bytes at {offset} of {_file.Path}: {OsException.Describe(errno)}");
        }
        if (read < bytes)
        {
            Count(ref _record->BadCopies, 1);
            return Error(SpillErrorKind.Truncated, expected.Id, offset, 0, $"object {expected.Id} could not be read back: {_file.Path} ends {read} bytes after {offset}, expected {bytes} bytes there");
        }
        return null;
    }

    private SpillError? Check(SpillRecordHeader* header, in ObjectImage expected, long offset)
    {
        if (SpillRecord.Check(header, expected) is not { } wrong)
            return null;
        Count(ref _record->BadCopies, 1);
        return Error(wrong.Kind, expected.Id, offset, 0, $"the copy of object {expected.Id} at {offset} of {_file!.Path} is not what was written: {wrong.What}");
    }

    private SpillError? CheckPiece(ulong found, ulong said, in ObjectImage expected, long offset, long from, long bytes)
    {
        if (found == said)
            return null;
        Count(ref _record->BadCopies, 1);
        return Error(SpillErrorKind.Damaged, expected.Id, offset, 0, $"the copy of object {expected.Id} in {_file!.Path} is damaged: bytes {from} to {from + bytes - 1} of it, at {offset}, have the checksum 0x{found:x16}, expected 0x{said:x16}");
    }

    private void CountRead(long bytes)
    {
        Count(ref _record->ReadCount, 1);
        Count(ref _record->ReadBytes, bytes);
    }
}
