using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using System.Security.Cryptography;
using System.Text;
using FastPlasma.Native;

namespace FastPlasma;

/// <summary>Name of one object: 28 opaque bytes, as wide as Ray's ids; narrower ids are extended with zero bytes at the end.</summary>
/// <remarks>A plain value: comparing and copying it touches no store. Text form is 56 lower-case hexadecimal digits in byte order.</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
public readonly struct ObjectId : IEquatable<ObjectId>, IComparable<ObjectId>, ISpanFormattable, ISpanParsable<ObjectId>, IEqualityOperators<ObjectId, ObjectId, bool>
{
    /// <summary>Width of an id in bytes.</summary>
    public const int SizeBytes = 28;

    /// <summary>Width of the ids of Arrow Plasma, which are accepted zero-extended.</summary>
    public const int PlasmaSizeBytes = 20;

    private static readonly ulong s_processSeed = (ulong)Random.Shared.NextInt64();

    [FieldOffset(0)] private readonly ulong _a;
    [FieldOffset(8)] private readonly ulong _b;
    [FieldOffset(16)] private readonly ulong _c;
    [FieldOffset(24)] private readonly uint _d;

    /// <summary>Takes the 28 bytes of <paramref name="bytes"/>.</summary>
    /// <exception cref="ArgumentException"><paramref name="bytes"/> is not 28 bytes long.</exception>
    public ObjectId(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length != SizeBytes)
            throw new ArgumentException($"An object id is {SizeBytes} bytes long, not {bytes.Length}.", nameof(bytes));
        this = MemoryMarshal.Read<ObjectId>(bytes);
    }

    /// <summary>A new id from the operating system's random generator (224 random bits).</summary>
    public static ObjectId NewRandom()
    {
        Span<byte> bytes = stackalloc byte[SizeBytes];
        OsRandom.Fill(bytes);
        return new ObjectId(bytes);
    }

    /// <summary>The id of a name: the first 28 bytes of the SHA-256 of its UTF-8 form.</summary>
    /// <exception cref="ArgumentException">The name is empty.</exception>
    [SkipLocalsInit]
    public static ObjectId FromName(ReadOnlySpan<char> name)
    {
        if (name.IsEmpty)
            throw new ArgumentException("An object name has at least one character.", nameof(name));
        int bytesMax = Encoding.UTF8.GetMaxByteCount(name.Length);
        byte[]? rented = bytesMax > 512 ? ArrayPool<byte>.Shared.Rent(bytesMax) : null;
        Span<byte> utf8 = rented ?? stackalloc byte[512];
        ObjectId id = FromContent(utf8[..Encoding.UTF8.GetBytes(name, utf8)]);
        if (rented is not null)
            ArrayPool<byte>.Shared.Return(rented);
        return id;
    }

    /// <summary>The id of a content: the first 28 bytes of the SHA-256 of <paramref name="content"/>.</summary>
    [SkipLocalsInit]
    public static ObjectId FromContent(ReadOnlySpan<byte> content)
    {
        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(content, digest);
        return new ObjectId(digest[..SizeBytes]);
    }

    /// <summary>The 16 bytes of a Guid in the order of its text form, extended with 12 zero bytes.</summary>
    public static ObjectId FromGuid(Guid guid)
    {
        Span<byte> bytes = stackalloc byte[SizeBytes];
        bytes.Clear();
        guid.TryWriteBytes(bytes, bigEndian: true, out _);
        return new ObjectId(bytes);
    }

    /// <summary>A 20-byte Plasma id, extended with 8 zero bytes.</summary>
    /// <exception cref="ArgumentException"><paramref name="plasmaId"/> is not 20 bytes long.</exception>
    public static ObjectId FromPlasma(ReadOnlySpan<byte> plasmaId)
    {
        if (plasmaId.Length != PlasmaSizeBytes)
            throw new ArgumentException($"A Plasma id is {PlasmaSizeBytes} bytes long, not {plasmaId.Length}.", nameof(plasmaId));
        Span<byte> bytes = stackalloc byte[SizeBytes];
        bytes.Clear();
        plasmaId.CopyTo(bytes);
        return new ObjectId(bytes);
    }

    /// <summary>Writes the 28 bytes to <paramref name="destination"/>.</summary>
    /// <exception cref="ArgumentException"><paramref name="destination"/> is shorter than 28 bytes.</exception>
    public void CopyTo(Span<byte> destination)
    {
        if (destination.Length < SizeBytes)
            throw new ArgumentException($"{SizeBytes} bytes are needed, {destination.Length} were given.", nameof(destination));
        MemoryMarshal.Write(destination, in this);
    }

    /// <summary>Seeded 64-bit hash over all 28 bytes; the index of a store uses it with the store's own seed.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal ulong Hash(ulong seed)
    {
        // Two multiply-folds side by side, each input bit reaching both halves of one; without the seed nobody can aim ids at one bucket.
        ulong a = _a ^ seed, b = _b ^ (seed * 0x9E3779B97F4A7C15 | 1), c = _c ^ BitOperations.RotateLeft(seed, 32), d = (_d | ((ulong)_d << 32)) ^ 0xD6E8FEB86659FD93 ^ BitOperations.RotateLeft(seed, 17);
        ulong left = MultiplyHigh(a, b) ^ (a * b), right = MultiplyHigh(c, d) ^ (c * d);
        ulong mixed = left ^ BitOperations.RotateLeft(right, 23);
        mixed = (mixed ^ (mixed >> 32)) * 0x9E3779B97F4A7C15; // One product is linear in one factor: numbers in a row would walk through the buckets in equal steps.
        return mixed ^ (mixed >> 29);
    }

    // Math.BigMul returns one half through memory, which the read path would wait for.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong MultiplyHigh(ulong left, ulong right) =>
        Bmi2.X64.IsSupported ? Bmi2.X64.MultiplyNoFlags(left, right) : ArmBase.Arm64.IsSupported ? ArmBase.Arm64.MultiplyHigh(left, right) : Math.BigMul(left, right, out _);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Equals(ObjectId other) => Same(in this, in other);

    /// <summary>As <see cref="Equals(ObjectId)"/>, in place: a copy of 28 bytes is made of overlapping stores, and reading it back field by field waits for them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool Same(ref readonly ObjectId left, ref readonly ObjectId right)
    {
        if (!Vector128.IsHardwareAccelerated)
            return ((left._a ^ right._a) | (left._b ^ right._b) | (left._c ^ right._c) | (left._d ^ right._d)) == 0;

        // Two halves that overlap by four bytes, as the compiler copies 28 bytes: what was just stored is forwarded to these loads.
        const int second = SizeBytes - 16;
        ref byte l = ref Unsafe.As<ObjectId, byte>(ref Unsafe.AsRef(in left)), r = ref Unsafe.As<ObjectId, byte>(ref Unsafe.AsRef(in right));
        return ((Vector128.LoadUnsafe(ref l) ^ Vector128.LoadUnsafe(ref r)) | (Vector128.LoadUnsafe(ref l, second) ^ Vector128.LoadUnsafe(ref r, second))) == Vector128<byte>.Zero;
    }

    /// <inheritdoc/>
    public override bool Equals([NotNullWhen(true)] object? obj) => obj is ObjectId other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => (int)Hash(s_processSeed);

    /// <summary>Orders ids by their bytes.</summary>
    public int CompareTo(ObjectId other) => AsBytes(in this).SequenceCompareTo(AsBytes(in other));

    /// <summary>Whether both ids have the same bytes.</summary>
    public static bool operator ==(ObjectId left, ObjectId right) => left.Equals(right);

    /// <summary>Whether the ids differ.</summary>
    public static bool operator !=(ObjectId left, ObjectId right) => !left.Equals(right);

    /// <summary>Whether <paramref name="left"/> is ordered before <paramref name="right"/>.</summary>
    public static bool operator <(ObjectId left, ObjectId right) => left.CompareTo(right) < 0;

    /// <summary>Whether <paramref name="left"/> is ordered before or equals <paramref name="right"/>.</summary>
    public static bool operator <=(ObjectId left, ObjectId right) => left.CompareTo(right) <= 0;

    /// <summary>Whether <paramref name="left"/> is ordered after <paramref name="right"/>.</summary>
    public static bool operator >(ObjectId left, ObjectId right) => left.CompareTo(right) > 0;

    /// <summary>Whether <paramref name="left"/> is ordered after or equals <paramref name="right"/>.</summary>
    public static bool operator >=(ObjectId left, ObjectId right) => left.CompareTo(right) >= 0;

    /// <summary>56 lower-case hexadecimal digits.</summary>
    public override string ToString() => Convert.ToHexStringLower(AsBytes(in this));

    /// <inheritdoc/>
    public string ToString(string? format, IFormatProvider? formatProvider) => ToString();

    /// <inheritdoc/>
    public bool TryFormat(Span<char> destination, out int charsWritten, ReadOnlySpan<char> format, IFormatProvider? provider) =>
        Convert.TryToHexStringLower(AsBytes(in this), destination, out charsWritten);

    /// <summary>Reads 56 hexadecimal digits, or the 40 of a Plasma id (zero-extended).</summary>
    public static bool TryParse(ReadOnlySpan<char> s, IFormatProvider? provider, out ObjectId result)
    {
        Span<byte> bytes = stackalloc byte[SizeBytes];
        bytes.Clear();
        result = default;
        if (s.Length is not (2 * SizeBytes or 2 * PlasmaSizeBytes)
            || Convert.FromHexString(s, bytes, out _, out int written) != OperationStatus.Done
            || written != s.Length / 2)
            return false;
        result = new ObjectId(bytes);
        return true;
    }

    /// <inheritdoc cref="TryParse(ReadOnlySpan{char}, IFormatProvider?, out ObjectId)"/>
    public static bool TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out ObjectId result) =>
        TryParse(s.AsSpan(), provider, out result);

    /// <summary>Reads 56 hexadecimal digits, or the 40 of a Plasma id (zero-extended).</summary>
    /// <exception cref="FormatException">The text is anything else.</exception>
    public static ObjectId Parse(ReadOnlySpan<char> s, IFormatProvider? provider = null) =>
        TryParse(s, provider, out ObjectId id)
            ? id
            : throw new FormatException($"'{s}' is no object id: expected {2 * SizeBytes} hexadecimal digits (or {2 * PlasmaSizeBytes} of a Plasma id), got {s.Length} characters.");

    /// <inheritdoc cref="Parse(ReadOnlySpan{char}, IFormatProvider?)"/>
    public static ObjectId Parse(string s, IFormatProvider? provider = null) => Parse(s.AsSpan(), provider);

    private static ReadOnlySpan<byte> AsBytes(ref readonly ObjectId id) => MemoryMarshal.AsBytes(new ReadOnlySpan<ObjectId>(in id));
}
