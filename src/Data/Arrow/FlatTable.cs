using System.Buffers.Binary;

namespace FastPlasma.Data;

/// <summary>A FlatBuffers table in bytes that nobody vouches for: every position is checked before it is read.</summary>
/// <remarks>Format: https://flatbuffers.dev/internals/. Numbers are little-endian; a table begins with the distance back to its vtable, which holds the place of each field.</remarks>
internal readonly ref struct FlatTable
{
    private const int VtableHeaderBytes = 4;

    private readonly ReadOnlySpan<byte> _bytes;
    private readonly int _position, _vtable, _vtableBytes;

    private FlatTable(ReadOnlySpan<byte> bytes, int position)
    {
        _bytes = bytes;
        _position = position;
        _vtable = Inside(bytes, position - (long)BinaryPrimitives.ReadInt32LittleEndian(bytes.Slice(Inside(bytes, position, sizeof(int)))), VtableHeaderBytes);
        _vtableBytes = U16(bytes, _vtable);

        // Readers take both as signed 16-bit numbers.
        if (_vtableBytes < VtableHeaderBytes || (_vtableBytes & 1) != 0 || _vtableBytes > short.MaxValue)
            throw Invalid($"a table of fields is {_vtableBytes} bytes long");
        Inside(bytes, _vtable, _vtableBytes);
    }

    internal static FlatTable Root(ReadOnlySpan<byte> bytes) => new(bytes, Follow(bytes, 0));

    internal bool Has(int field) => Place(field) != 0;

    /// <summary>Position of a scalar, or 0 when it has its default.</summary>
    internal int PositionOf(int field, int bytes)
    {
        int place = Place(field);
        return place == 0 ? 0 : Inside(_bytes, (long)_position + place, bytes);
    }

    internal byte Byte(int field) => PositionOf(field, 1) is int p and not 0 ? _bytes[p] : (byte)0;

    internal short Short(int field) => PositionOf(field, sizeof(short)) is int p and not 0 ? BinaryPrimitives.ReadInt16LittleEndian(_bytes[p..]) : (short)0;

    internal int Int(int field) => PositionOf(field, sizeof(int)) is int p and not 0 ? BinaryPrimitives.ReadInt32LittleEndian(_bytes[p..]) : 0;

    internal long Long(int field) => PositionOf(field, sizeof(long)) is int p and not 0 ? BinaryPrimitives.ReadInt64LittleEndian(_bytes[p..]) : 0;

    internal FlatTable Table(int field) => PositionOf(field, sizeof(int)) is int p and not 0 ? new FlatTable(_bytes, Follow(_bytes, p)) : throw Invalid($"field {field} is missing");

    /// <summary>Place and count of a vector's elements, all of which are inside; none when it is absent.</summary>
    internal int Vector(int field, int elementBytes, out int count)
    {
        count = 0;
        if (PositionOf(field, sizeof(int)) is not (int p and not 0))
            return 0;
        int vector = Follow(_bytes, p);
        long elements = BinaryPrimitives.ReadUInt32LittleEndian(_bytes[Inside(_bytes, vector, sizeof(int))..]);
        int first = Inside(_bytes, vector + (long)sizeof(int), elements * elementBytes);
        count = (int)elements;
        return first;
    }

    internal FlatTable TableAt(int position) => new(_bytes, Follow(_bytes, position));

    internal long LongAt(int position) => BinaryPrimitives.ReadInt64LittleEndian(_bytes[position..]);

    private int Place(int field)
    {
        int slot = VtableHeaderBytes + field * sizeof(ushort);
        if (slot + sizeof(ushort) > _vtableBytes)
            return 0;
        int place = U16(_bytes, _vtable + slot);
        return place <= short.MaxValue ? place : throw Invalid($"field {field} lies {place} bytes into its table");
    }

    private static int Follow(ReadOnlySpan<byte> bytes, int position) =>
        Inside(bytes, position + (long)BinaryPrimitives.ReadUInt32LittleEndian(bytes[Inside(bytes, position, sizeof(int))..]), sizeof(int));

    private static ushort U16(ReadOnlySpan<byte> bytes, int position) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[Inside(bytes, position, sizeof(ushort))..]);

    private static int Inside(ReadOnlySpan<byte> bytes, long position, long count) =>
        position >= 0 && position <= bytes.Length && count >= 0 && count <= bytes.Length - position ? (int)position : throw Invalid($"{count} bytes at {position} are not inside its {bytes.Length} bytes");

    private static InvalidDataException Invalid(string what) => new($"The Arrow metadata is damaged: {what}.");
}
