using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;

namespace FastPlasma.Data;

/// <summary>What an object says in its metadata about the tensor in its payload; dense, row-major, little-endian.</summary>
/// <remarks><code>
/// off bytes field
///   0    4  Magic "FPTN"
///   4    2  Version, 1
///   6    2  Rank, 1 to 32
///   8    4  ElementBytes
///  12    4  NameBytes of the element type's name
///  16  8*r  Lengths, outermost first
///   .    .  name of the element type, UTF-8
/// </code>All of it was written by another process: nothing is used before it was compared with the payload's length.</remarks>
internal static class TensorHeader
{
    internal const string ContentType = "application/x-fastplasma-tensor";
    internal const int RankMax = 32, NameBytesMax = 512, BytesMax = LengthsOffset + RankMax * sizeof(long) + NameBytesMax;

    private const uint Magic = 'F' | ('P' << 8) | ('T' << 16) | ((uint)'N' << 24);
    private const ushort Version = 1;
    private const int VersionOffset = 4, RankOffset = 6, ElementBytesOffset = 8, NameBytesOffset = 12, LengthsOffset = 16;

    internal static int BytesFor<T>(int rank)
        where T : unmanaged => LengthsOffset + rank * sizeof(long) + TensorElement<T>.NameUtf8.Length;

    /// <summary>Bytes of a dense tensor.</summary>
    /// <exception cref="ArgumentException">There is no rank, or too much of it, or a length is negative, or together they are too large.</exception>
    internal static long PayloadBytes<T>(ReadOnlySpan<nint> lengths)
        where T : unmanaged
    {
        if (lengths.Length is 0 or > RankMax)
            throw new ArgumentException($"A tensor has from 1 to {RankMax} dimensions, not {lengths.Length}.", nameof(lengths));
        foreach (nint length in lengths)
            if (length < 0)
                throw new ArgumentException($"A dimension has the length {length}.", nameof(lengths));
        return TryMultiply(lengths, Unsafe.SizeOf<T>(), out long bytes)
            ? bytes
            : throw new ArgumentException($"A tensor of {Describe(lengths)} elements of {Unsafe.SizeOf<T>()} bytes is larger than 2^63 bytes.", nameof(lengths));
    }

    internal static void Write<T>(Span<byte> header, ReadOnlySpan<nint> lengths)
        where T : unmanaged
    {
        ReadOnlySpan<byte> name = TensorElement<T>.NameUtf8;
        BinaryPrimitives.WriteUInt32LittleEndian(header, Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(header[VersionOffset..], Version);
        BinaryPrimitives.WriteUInt16LittleEndian(header[RankOffset..], (ushort)lengths.Length);
        BinaryPrimitives.WriteInt32LittleEndian(header[ElementBytesOffset..], Unsafe.SizeOf<T>());
        BinaryPrimitives.WriteInt32LittleEndian(header[NameBytesOffset..], name.Length);
        for (int i = 0; i < lengths.Length; i++)
            BinaryPrimitives.WriteInt64LittleEndian(header[(LengthsOffset + i * sizeof(long))..], lengths[i]);
        name.CopyTo(header[(LengthsOffset + lengths.Length * sizeof(long))..]);
    }

    /// <summary>Checks header, element type and payload length; the lengths are then safe to address the payload with.</summary>
    /// <param name="header">The metadata.</param>
    /// <param name="payloadBytes">Length of the payload that it describes.</param>
    /// <param name="lengths">Room for <see cref="RankMax"/> lengths.</param>
    /// <returns>The rank.</returns>
    /// <exception cref="InvalidDataException">This is no tensor, or its header is damaged.</exception>
    /// <exception cref="InvalidCastException">Its elements are of another type.</exception>
    internal static int Read<T>(ReadOnlySpan<byte> header, long payloadBytes, Span<nint> lengths)
        where T : unmanaged
    {
        if (header.Length < LengthsOffset || BinaryPrimitives.ReadUInt32LittleEndian(header) != Magic)
            ThrowInvalid($"The object is no tensor: its {header.Length} bytes of metadata do not begin with a tensor's header.");
        ushort version = BinaryPrimitives.ReadUInt16LittleEndian(header[VersionOffset..]);
        if (version != Version)
            ThrowInvalid($"The object's tensor header has version {version}; this build reads {Version}.");
        int rank = BinaryPrimitives.ReadUInt16LittleEndian(header[RankOffset..]);
        if (rank is 0 or > RankMax)
            ThrowInvalid($"The object's tensor header is damaged: it has {rank} dimensions, 1 to {RankMax} are possible.");
        int elementBytes = BinaryPrimitives.ReadInt32LittleEndian(header[ElementBytesOffset..]), nameBytes = BinaryPrimitives.ReadInt32LittleEndian(header[NameBytesOffset..]);
        int nameOffset = LengthsOffset + rank * sizeof(long);
        if (nameBytes is < 0 or > NameBytesMax || header.Length != nameOffset + nameBytes)
            ThrowInvalid($"The object's tensor header is damaged: it has {header.Length} bytes; {rank} dimensions and a name of {nameBytes} bytes need {(long)nameOffset + nameBytes}.");
        ReadOnlySpan<byte> name = header.Slice(nameOffset, nameBytes);
        if (!name.SequenceEqual(TensorElement<T>.NameUtf8) || elementBytes != Unsafe.SizeOf<T>())
            ThrowOtherType<T>(name, elementBytes);
        for (int i = 0; i < rank; i++)
        {
            long length = BinaryPrimitives.ReadInt64LittleEndian(header[(LengthsOffset + i * sizeof(long))..]);
            if (length < 0 || length > nint.MaxValue)
                ThrowInvalid($"The object's tensor header is damaged: dimension {i} has the length {length}.");
            lengths[i] = (nint)length;
        }
        if (!TryMultiply(lengths[..rank], elementBytes, out long bytes) || bytes != payloadBytes)
            ThrowInvalid($"The object's tensor header is damaged: {Describe(lengths[..rank])} elements of {elementBytes} bytes are not the {payloadBytes} bytes of its payload.");
        return rank;
    }

    internal static void ThrowOtherRank(int rank, int expected) => throw new InvalidCastException($"The object holds a tensor of {rank} dimensions, {expected} were asked for.");

    /// <summary>Also no partial product is too large, so that strides are as safe as the whole, and so are tensors that are empty.</summary>
    private static bool TryMultiply(ReadOnlySpan<nint> lengths, int elementBytes, out long bytes)
    {
        long product = elementBytes;
        bool isEmpty = false;
        bytes = 0;
        foreach (nint length in lengths)
        {
            if (length == 0)
                isEmpty = true;
            else if (length > long.MaxValue / product)
                return false;
            else
                product *= length;
        }
        bytes = isEmpty ? 0 : product;
        return true;
    }

    private static string Describe(ReadOnlySpan<nint> lengths)
    {
        var text = new StringBuilder();
        foreach (nint length in lengths)
            text.Append(text.Length == 0 ? "" : " x ").Append(length.ToString(CultureInfo.InvariantCulture));
        return text.ToString();
    }

    private static void ThrowInvalid(string message) => throw new InvalidDataException(message);

    private static void ThrowOtherType<T>(ReadOnlySpan<byte> name, int elementBytes)
        where T : unmanaged => throw new InvalidCastException(
            $"The object holds a tensor of {Encoding.UTF8.GetString(name)} ({elementBytes} bytes each), not of {Encoding.UTF8.GetString(TensorElement<T>.NameUtf8)} ({Unsafe.SizeOf<T>()} bytes each).");
}

/// <summary>The name under which an element type is stored: numpy's where it has one, else the type's full name.</summary>
internal static class TensorElement<T>
    where T : unmanaged
{
    private static readonly string s_text = Text(typeof(T));
    private static readonly byte[]? s_name = Encoding.UTF8.GetByteCount(s_text) <= TensorHeader.NameBytesMax ? Encoding.UTF8.GetBytes(s_text) : null;

    internal static ReadOnlySpan<byte> NameUtf8 => s_name ?? throw new NotSupportedException($"The name of the element type {s_text} is longer than {TensorHeader.NameBytesMax} bytes and cannot be stored.");

    private static string Text(Type type) =>
        type == typeof(float) ? "float32"
        : type == typeof(double) ? "float64"
        : type == typeof(Half) ? "float16"
        : type == typeof(byte) ? "uint8"
        : type == typeof(sbyte) ? "int8"
        : type == typeof(short) ? "int16"
        : type == typeof(ushort) ? "uint16"
        : type == typeof(int) ? "int32"
        : type == typeof(uint) ? "uint32"
        : type == typeof(long) ? "int64"
        : type == typeof(ulong) ? "uint64"
        : type == typeof(bool) ? "bool"
        : type == typeof(System.Numerics.Complex) ? "complex128"
        : type.ToString(); // Without versions of assemblies, which would part equal types.
}
