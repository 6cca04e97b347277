using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace FastPlasma.Copying;

/// <summary>Copies bytes into and out of the store, without the slow offsets of the C library and without filling the cache with large objects.</summary>
/// <remarks>
/// <para><see cref="Span{T}.CopyTo(Span{T})"/> hands everything above 2 KB to the C library, which copies with <c>rep movsb</c>. That
/// instruction is 15 to 30 times slower where the destination lies 1 to 31 bytes after the source modulo 4096, and a byte[] that is copied
/// to the start of an aligned block gives just that: array data starts 16 bytes after an 8-byte-aligned object.</para>
/// <code>
/// bytes                           how
/// 0 .. RoundBytes                 two overlapping moves in the caller's code
/// .. RuntimeBytesMax              the runtime's own copy
/// .. NonTemporalFromBytes-1       128 bytes per round, stores aligned to 32; backwards where loads would meet earlier stores modulo 4096
/// NonTemporalFromBytes ..         128 bytes per round, stores aligned to 64 that bypass the cache, then a store fence
/// </code>
/// <para>One vector is 32 bytes where the hardware has them and two of 16 bytes elsewhere (stores that bypass the cache: 64 bytes where it has those); the choice is made when the code is compiled. With
/// 16 bytes the C library keeps the middle range, except where it is slow. NativeAOT compiles for 16 bytes unless told otherwise
/// (<c>IlcInstructionSet</c>).</para>
/// <para>Source and destination must not overlap. Nothing here checks bounds: callers of the pointer forms own both regions.
/// All methods may be called from any number of threads.</para>
/// </remarks>
internal static unsafe class CopyEngine
{
    // The methods with loops are compiled optimised at once: a first large put would otherwise run vector code that is not inlined.
    private const MethodImplOptions HotLoop = MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining;

    /// <summary>Bytes that one round of a loop moves.</summary>
    private const nuint RoundBytes = 128;

    /// <summary>Up to here the runtime's copy is used: managed code, which has no slow offsets. Above it the runtime calls the C library.</summary>
    internal const nuint RuntimeBytesMax = 2048;

    private const nuint PageMask = 4095;

    /// <summary>Copies go backwards where the destination lies less than this after the source modulo 4096.</summary>
    /// <remarks>With vectors of 32 bytes this is how far the stores that are still under way may trail the loads. With 16 bytes it covers only the
    /// offsets at which the C library is slow, because elsewhere its wider vectors win.</remarks>
    private static nuint BackwardBytes => Vector256.IsHardwareAccelerated ? 1024u : 64u;

    /// <summary>Width of one store of the cached loops, to which they align the destination.</summary>
    private const nuint StoreBytes = 32;

    /// <summary>Cache line, to which the non-temporal loop aligns the destination so that each line leaves as one full write.</summary>
    private const nuint LineBytes = 64;

    /// <summary>How far ahead of its loads the non-temporal loop prefetches; from 512 bytes to 8 KB the difference is small.</summary>
    private const nuint PrefetchAheadBytes = 2048;

    /// <summary>Shortest length that <see cref="CopyNonTemporal"/> takes: its two ends are copied with ordinary stores and may overlap.</summary>
    internal const nuint NonTemporalMinBytes = RoundBytes;

    /// <summary>No copy below this is non-temporal, whatever the caches are, so that shorter ones need not look at the measured threshold.</summary>
    internal const nuint NonTemporalFloorBytes = 2 << 20;

    /// <summary>Every copy from here on is non-temporal, however large the cache claims to be (a guest may see the cache of the whole host).</summary>
    internal const nuint NonTemporalCeilingBytes = 32 << 20;

    /// <summary>Length from which copies bypass the cache on this machine.</summary>
    internal static nuint NonTemporalFromBytes => Threshold.Bytes;

    /// <summary>Copies <paramref name="source"/> to the start of <paramref name="destination"/>.</summary>
    /// <exception cref="ArgumentException"><paramref name="destination"/> is shorter; nothing has been written.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Copy(Span<byte> destination, ReadOnlySpan<byte> source)
    {
        if (destination.Length < source.Length)
            ThrowDestinationTooShort();

        // SAFETY: both spans cover source.Length bytes; fixed keeps arrays where they are while the pointers are used.
        fixed (byte* to = destination, from = source)
            Copy(to, from, (nuint)source.Length);
    }

    /// <summary>Copies <paramref name="bytes"/> bytes.</summary>
    /// <param name="destination">Start of a writable region of at least <paramref name="bytes"/> bytes, of any alignment.</param>
    /// <param name="source">Start of a readable region of at least <paramref name="bytes"/> bytes that does not overlap the destination.</param>
    /// <param name="bytes">How much to copy; 0 touches neither region.</param>
    /// <remarks>All written bytes precede a later release store of the caller: the non-temporal path ends with its own fence.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Copy(byte* destination, byte* source, nuint bytes)
    {
        // SAFETY: the caller owns bytes bytes at both pointers; each pair of moves covers exactly the first and the last of them.
        if (bytes > LineBytes)
        {
            if (bytes > RuntimeBytesMax)
            {
                CopyLong(destination, source, bytes);
            }
            else if (bytes > RoundBytes)
            {
                new ReadOnlySpan<byte>(source, (int)bytes).CopyTo(new Span<byte>(destination, (int)bytes));
            }
            else
            {
                Move64(destination, source);
                Move64(destination + bytes - LineBytes, source + bytes - LineBytes);
            }
        }
        else if (bytes >= 16)
        {
            if (bytes > StoreBytes)
            {
                Move32(destination, source);
                Move32(destination + bytes - StoreBytes, source + bytes - StoreBytes);
                return;
            }

            Vector128<byte> first = Vector128.Load(source), last = Vector128.Load(source + bytes - 16);
            first.Store(destination);
            last.Store(destination + bytes - 16);
        }
        else if ((bytes & 8) != 0)
        {
            ulong first = Unsafe.ReadUnaligned<ulong>(source), last = Unsafe.ReadUnaligned<ulong>(source + bytes - 8);
            Unsafe.WriteUnaligned(destination, first);
            Unsafe.WriteUnaligned(destination + bytes - 8, last);
        }
        else if ((bytes & 4) != 0)
        {
            uint first = Unsafe.ReadUnaligned<uint>(source), last = Unsafe.ReadUnaligned<uint>(source + bytes - 4);
            Unsafe.WriteUnaligned(destination, first);
            Unsafe.WriteUnaligned(destination + bytes - 4, last);
        }
        else if (bytes != 0)
        {
            *destination = *source;
            if (bytes > 1)
                Unsafe.WriteUnaligned(destination + bytes - 2, Unsafe.ReadUnaligned<ushort>(source + bytes - 2));
        }
    }

    private static void ThrowDestinationTooShort() => throw new ArgumentException("The destination is shorter than the source.", "destination");

    /// <summary>Copies more than <see cref="RoundBytes"/> bytes: through the cache from low to high addresses unless another way is better.</summary>
    [MethodImpl(HotLoop)]
    private static void CopyLong(byte* destination, byte* source, nuint bytes)
    {
        Debug.Assert(bytes > RoundBytes, "Too short for whole rounds.");
        Debug.Assert(destination + bytes <= source || source + bytes <= destination || destination == source, "The regions overlap.");
        if (bytes >= NonTemporalFloorBytes && bytes >= Threshold.Bytes)
        {
            CopyNonTemporal(destination, source, bytes);
            return;
        }

        // A distance of 0 wraps round to the largest one: going up, no load meets an earlier store then.
        if ((((nuint)destination - (nuint)source) & PageMask) - 1 < BackwardBytes - 1)
        {
            CopyBackward(destination, source, bytes);
            return;
        }

        if (!Vector256.IsHardwareAccelerated)
        {
            // SAFETY: the caller owns bytes bytes at both pointers.
            Buffer.MemoryCopy(source, destination, bytes, bytes);
            return;
        }

        // SAFETY: bytes > RoundBytes. The loop runs only while more than RoundBytes remain, so it stays inside, and the last move covers
        // exactly the final RoundBytes of both regions.
        byte* end = destination + bytes;
        byte* sourceEnd = source + bytes;
        byte* to = destination;
        byte* from = source;
        nuint head = (0 - (nuint)destination) & (StoreBytes - 1);
        if (head != 0) // Blocks of the store are aligned: a put has no head.
        {
            Move32(to, from);
            to += head;
            from += head;
        }

        for (byte* last = end - RoundBytes; to < last; to += RoundBytes, from += RoundBytes)
            Move128(to, from);
        Move128(end - RoundBytes, sourceEnd - RoundBytes);
    }

    /// <summary>Copies more than <see cref="RoundBytes"/> bytes from high to low addresses through the cache.</summary>
    /// <remarks>For destinations that lie a little after the source modulo 4096. Going up, each load would come just after a store whose
    /// address agrees in the low 12 bits, and processors that compare only those let the load wait; going down, loads run away from the
    /// stores (Intel 64 and IA-32 Architectures Optimization Reference Manual, "4-KByte aliasing").</remarks>
    [MethodImpl(HotLoop)]
    private static void CopyBackward(byte* destination, byte* source, nuint bytes)
    {
        // SAFETY: bytes > RoundBytes. The loop runs only while more than RoundBytes remain below, so it stays inside, and the last move covers
        // exactly the first RoundBytes of both regions.
        byte* end = destination + bytes;
        Move32(end - StoreBytes, source + bytes - StoreBytes);
        nuint tail = (nuint)end & (StoreBytes - 1);
        byte* to = end - tail;
        byte* from = source + bytes - tail;
        for (byte* last = destination + RoundBytes; to > last;)
        {
            to -= RoundBytes;
            from -= RoundBytes;
            Move128(to, from);
        }

        Move128(destination, source);
    }

    /// <summary>Copies at least <see cref="NonTemporalMinBytes"/> bytes with stores that go to memory without fetching or keeping the lines.</summary>
    /// <remarks>An ordinary store first reads the line it is about to overwrite, which is a third of the traffic of a large copy, and leaves it
    /// in the cache in place of something useful. Ends with a fence.</remarks>
    [MethodImpl(HotLoop)]
    internal static void CopyNonTemporal(byte* destination, byte* source, nuint bytes)
    {
        Debug.Assert(bytes >= NonTemporalMinBytes, "Too short for the non-temporal path.");

        // SAFETY: bytes >= RoundBytes >= LineBytes. The loop runs only while more than RoundBytes remain; the move before it and the one after
        // it cover exactly the first LineBytes and the final RoundBytes. Prefetches may name addresses past the end: they never fault.
        byte* end = destination + bytes;
        byte* sourceEnd = source + bytes;
        Move64(destination, source);
        nuint head = LineBytes - ((nuint)destination & (LineBytes - 1));
        byte* to = destination + head;
        byte* from = source + head;
        for (byte* last = end - RoundBytes; to < last; to += RoundBytes, from += RoundBytes)
        {
            if (Sse.IsSupported)
            {
                Sse.PrefetchNonTemporal(from + PrefetchAheadBytes);
                Sse.PrefetchNonTemporal(from + PrefetchAheadBytes + LineBytes);
            }

            Stream128(to, from);
        }

        Move128(end - RoundBytes, sourceEnd - RoundBytes);

        // Non-temporal stores are not ordered with later stores, not even on x86. Without a fence another process could see the object sealed
        // and read bytes that are still in a write-combining buffer of this core.
        if (Sse.IsSupported)
            Sse.StoreFence();
        else
            Interlocked.MemoryBarrier();
    }

    // The moves load everything before they store anything, so that no load waits for a store of its own round.

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Move32(byte* to, byte* from)
    {
        if (Vector256.IsHardwareAccelerated)
        {
            Vector256.Load(from).Store(to);
        }
        else
        {
            Vector128<byte> a = Vector128.Load(from), b = Vector128.Load(from + 16);
            a.Store(to);
            b.Store(to + 16);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Move64(byte* to, byte* from)
    {
        if (Vector256.IsHardwareAccelerated)
        {
            Vector256<byte> a = Vector256.Load(from), b = Vector256.Load(from + 32);
            a.Store(to);
            b.Store(to + 32);
        }
        else
        {
            Vector128<byte> a = Vector128.Load(from), b = Vector128.Load(from + 16), c = Vector128.Load(from + 32), d = Vector128.Load(from + 48);
            a.Store(to);
            b.Store(to + 16);
            c.Store(to + 32);
            d.Store(to + 48);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Move128(byte* to, byte* from)
    {
        if (Vector256.IsHardwareAccelerated)
        {
            Vector256<byte> a = Vector256.Load(from), b = Vector256.Load(from + 32), c = Vector256.Load(from + 64), d = Vector256.Load(from + 96);
            a.Store(to);
            b.Store(to + 32);
            c.Store(to + 64);
            d.Store(to + 96);
        }
        else
        {
            Vector128<byte> a = Vector128.Load(from), b = Vector128.Load(from + 16), c = Vector128.Load(from + 32), d = Vector128.Load(from + 48);
            Vector128<byte> e = Vector128.Load(from + 64), f = Vector128.Load(from + 80), g = Vector128.Load(from + 96), h = Vector128.Load(from + 112);
            a.Store(to);
            b.Store(to + 16);
            c.Store(to + 32);
            d.Store(to + 48);
            e.Store(to + 64);
            f.Store(to + 80);
            g.Store(to + 96);
            h.Store(to + 112);
        }
    }

    /// <summary>Moves 128 bytes to a 64-byte-aligned address with non-temporal stores.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Stream128(byte* to, byte* from)
    {
        if (Vector512.IsHardwareAccelerated)
        {
            // A store is a whole line, so no line waits in a write-combining buffer for its other half.
            Vector512<byte> a = Vector512.Load(from), b = Vector512.Load(from + 64);
            a.StoreAlignedNonTemporal(to);
            b.StoreAlignedNonTemporal(to + 64);
        }
        else if (Vector256.IsHardwareAccelerated)
        {
            Vector256<byte> a = Vector256.Load(from), b = Vector256.Load(from + 32), c = Vector256.Load(from + 64), d = Vector256.Load(from + 96);
            a.StoreAlignedNonTemporal(to);
            b.StoreAlignedNonTemporal(to + 32);
            c.StoreAlignedNonTemporal(to + 64);
            d.StoreAlignedNonTemporal(to + 96);
        }
        else
        {
            Vector128<byte> a = Vector128.Load(from), b = Vector128.Load(from + 16), c = Vector128.Load(from + 32), d = Vector128.Load(from + 48);
            Vector128<byte> e = Vector128.Load(from + 64), f = Vector128.Load(from + 80), g = Vector128.Load(from + 96), h = Vector128.Load(from + 112);
            a.StoreAlignedNonTemporal(to);
            b.StoreAlignedNonTemporal(to + 16);
            c.StoreAlignedNonTemporal(to + 32);
            d.StoreAlignedNonTemporal(to + 48);
            e.StoreAlignedNonTemporal(to + 64);
            f.StoreAlignedNonTemporal(to + 80);
            g.StoreAlignedNonTemporal(to + 96);
            h.StoreAlignedNonTemporal(to + 112);
        }
    }

    /// <summary>A class of its own, so that only copies above <see cref="NonTemporalFloorBytes"/> meet the check that it is initialised.</summary>
    private static class Threshold
    {
        internal static readonly nuint Bytes = FromCacheBytes(LargestCache.Bytes);
    }

    /// <summary>Length from which bypassing a last-level cache of <paramref name="cacheBytes"/> bytes pays; 0 means that its size is unknown.</summary>
    /// <remarks>Source and destination together have to exceed about half of the cache. With 32 MB the two ways are level at 8 to 9 MB when the
    /// same buffers are copied again and again, the case that favours the cache most; from 12 MB (three eighths) non-temporal stores are
    /// ahead by a fifth, from 24 MB by a half or more. At 4 MB they would lose a third.</remarks>
    internal static nuint FromCacheBytes(ulong cacheBytes)
    {
        const ulong unknownCacheBytes = 24 << 20;
        ulong bytes = (cacheBytes == 0 ? unknownCacheBytes : cacheBytes) / 8 * 3;
        return (nuint)Math.Clamp(bytes, NonTemporalFloorBytes, NonTemporalCeilingBytes);
    }
}
