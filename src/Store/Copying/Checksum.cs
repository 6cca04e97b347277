using System.Buffers.Binary;
using System.IO.Hashing;

namespace FastPlasma.Copying;

/// <summary>Checksum of one object, computed while it is copied or over bytes already in place.</summary>
/// <remarks>
/// <para>The value is the 64-bit XXH3 (seed 0) of payload, metadata, payload length and metadata length, the lengths as 8 little-endian bytes
/// each. The lengths keep two objects apart whose bytes are the same in a row but are divided differently. XXH3 finds damage, not forgery
/// (github.com/Cyan4973/xxHash, doc/xxhash_spec.md).</para>
/// <para>Use: <see cref="Start"/>; then <see cref="CopyAndAppend"/> or <see cref="Append"/> over the payload in order, in pieces of any size;
/// then over the metadata; then <see cref="Finish"/>, after which the value is dead. It lives on one thread and allocates only when a thread has
/// its first checksum or more than one under way.</para>
/// </remarks>
internal unsafe ref struct Checksum
{
    /// <summary>Piece that is copied and then hashed: it and its copy stay in the second-level cache. From 8 to 64 KB the difference is small.</summary>
    private const int BlockBytes = 32 << 10;

    [ThreadStatic]
    private static XxHash3? t_idle;

    private readonly XxHash3 _hash;

    private Checksum(XxHash3 hash) => _hash = hash;

    /// <summary>A checksum to which nothing has been appended.</summary>
    internal static Checksum Start()
    {
        // The thread's hash is taken out while in use, so a second checksum on the same thread gets one of its own.
        XxHash3? hash = t_idle;
        t_idle = null;
        return new Checksum(hash ?? new XxHash3());
    }

    /// <summary>Appends <paramref name="bytes"/> bytes at <paramref name="source"/>; any length, also above 2 GiB.</summary>
    internal readonly void Append(byte* source, nuint bytes)
    {
        const int spanBytesMax = 1 << 30;
        while (bytes > spanBytesMax)
        {
            // SAFETY: more than spanBytesMax bytes of the caller's region remain.
            _hash.Append(new ReadOnlySpan<byte>(source, spanBytesMax));
            source += spanBytesMax;
            bytes -= spanBytesMax;
        }

        // SAFETY: exactly bytes <= spanBytesMax of the caller's region remain.
        _hash.Append(new ReadOnlySpan<byte>(source, (int)bytes));
    }

    /// <summary>Copies as <see cref="CopyEngine.Copy(byte*, byte*, nuint)"/> does and appends what is stored.</summary>
    /// <remarks>Should somebody change the source meanwhile, the checksum still describes the bytes at the destination.
    /// The copy never bypasses the cache: the bytes are read back at once, and staging blocks on the stack to stream them from there was slower.</remarks>
    internal readonly void CopyAndAppend(byte* destination, byte* source, nuint bytes)
    {
        while (bytes > 0)
        {
            int block = (int)Math.Min(bytes, BlockBytes);

            // SAFETY: block <= bytes, which is what remains of both regions of the caller.
            CopyEngine.Copy(destination, source, (nuint)block);
            _hash.Append(new ReadOnlySpan<byte>(destination, block));
            destination += block;
            source += block;
            bytes -= (nuint)block;
        }
    }

    /// <summary>Closes the checksum of an object of which exactly <paramref name="payloadBytes"/> and then <paramref name="metadataBytes"/> bytes
    /// have been appended.</summary>
    internal readonly ulong Finish(ulong payloadBytes, ulong metadataBytes)
    {
        Span<byte> lengths = stackalloc byte[2 * sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(lengths, payloadBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(lengths[sizeof(ulong)..], metadataBytes);
        _hash.Append(lengths);
        ulong value = _hash.GetCurrentHashAsUInt64();
        _hash.Reset();
        t_idle = _hash;
        return value;
    }

    /// <summary>Checksum of an object that is in place.</summary>
    internal static ulong HashOnly(byte* payload, nuint payloadBytes, byte* metadata, nuint metadataBytes)
    {
        Checksum checksum = Start();
        checksum.Append(payload, payloadBytes);
        checksum.Append(metadata, metadataBytes);
        return checksum.Finish(payloadBytes, metadataBytes);
    }
}
