using System.Buffers.Binary;

namespace FastPlasma.Load.Measuring;

/// <summary>The 28-byte keys of all peers, by number: no two are alike, and neighbours have nothing in common that an index could profit from.</summary>
internal static class Keys
{
    /// <summary>Width of a key.</summary>
    internal const int SizeBytes = 28;

    /// <summary>Numbers from here on are never put.</summary>
    internal const ulong Missing = 1UL << 48;

    private const int NumberOffset = 8;

    /// <summary>Writes the key of a number.</summary>
    internal static void Write(Span<byte> key, ulong number)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(key, Mix(number));
        BinaryPrimitives.WriteUInt64LittleEndian(key[NumberOffset..], number);
        BinaryPrimitives.WriteUInt64LittleEndian(key[16..], Mix(~number));
        BinaryPrimitives.WriteUInt32LittleEndian(key[24..], (uint)Mix(number + 1));
    }

    /// <summary>The number of a key.</summary>
    internal static ulong NumberOf(ReadOnlySpan<byte> key) => BinaryPrimitives.ReadUInt64LittleEndian(key[NumberOffset..]);

    /// <summary>One step of SplitMix64 (https://prng.di.unimi.it/splitmix64.c): every input gives a different, evenly spread output.</summary>
    internal static ulong Mix(ulong value)
    {
        value += 0x9E3779B97F4A7C15;
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
        return value ^ (value >> 31);
    }
}

/// <summary>The keys of consecutive numbers, written out beforehand so that making them is not measured.</summary>
internal sealed class KeySet
{
    private readonly byte[] _bytes;

    internal KeySet(ulong first, int count)
    {
        Count = count;
        _bytes = new byte[(long)count * Keys.SizeBytes];
        for (int i = 0; i < count; i++)
            Keys.Write(_bytes.AsSpan(i * Keys.SizeBytes, Keys.SizeBytes), first + (ulong)i);
    }

    /// <summary>The keys of the numbers first + each of <paramref name="order"/>.</summary>
    internal KeySet(ulong first, ReadOnlySpan<int> order)
    {
        Count = order.Length;
        _bytes = new byte[(long)order.Length * Keys.SizeBytes];
        for (int i = 0; i < order.Length; i++)
            Keys.Write(_bytes.AsSpan(i * Keys.SizeBytes, Keys.SizeBytes), first + (ulong)order[i]);
    }

    /// <summary>How many.</summary>
    internal int Count { get; }

    /// <summary>The key of the number first + <paramref name="index"/>.</summary>
    internal ReadOnlySpan<byte> this[int index] => _bytes.AsSpan(index * Keys.SizeBytes, Keys.SizeBytes);

    /// <summary>Several keys, one behind the other.</summary>
    internal ReadOnlySpan<byte> Range(int index, int count) => _bytes.AsSpan(index * Keys.SizeBytes, count * Keys.SizeBytes);
}
