using System.Globalization;
using System.Runtime.InteropServices;

namespace FastPlasma.Stress.Storms;

/// <summary>Objects that say what they are: key and nonce decide the id, the length and every byte.</summary>
/// <remarks><code>
/// off bytes field
///   0    8  Key
///   8    8  Nonce      of this creation
///  16    8  Check      of key, nonce and the storm's seed
///  24       pattern that Check starts
/// </code></remarks>
internal readonly record struct Payload(long Seed, int Key, uint Nonce)
{
    internal const int HeaderBytes = 24;

    private const int SmallMax = 2_000, MediumMax = 32_000, LargeMax = 256_000, HugeMax = 3_000_000;

    private ulong Check => Mix((ulong)Seed ^ Mix(((ulong)(uint)Key << 32) | Nonce));

    /// <summary>The same key has the same id in all its lives, so that creations of one id race.</summary>
    internal static ObjectId IdOf(long seed, int key)
    {
        Span<ulong> words = stackalloc ulong[4];
        for (int i = 0; i < words.Length; i++)
            words[i] = Mix((ulong)seed + ((ulong)(uint)key << 2) + (ulong)i + 1);
        return new ObjectId(MemoryMarshal.AsBytes(words)[..ObjectId.SizeBytes]);
    }

    /// <summary>Mostly slab blocks of all classes, now and then a run of grains, up to more than one chunk.</summary>
    internal int Length
    {
        get
        {
            var random = new Random((int)Check);
            int max = random.Next(1000) switch
            {
                < 600 => SmallMax,
                < 900 => MediumMax,
                < 992 => LargeMax,
                _ => HugeMax,
            };
            return HeaderBytes + random.Next(max);
        }
    }

    internal void Fill(Span<byte> bytes)
    {
        ulong x = Check;
        Span<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
        (words[0], words[1], words[2]) = ((ulong)(uint)Key, Nonce, x);
        for (int i = HeaderBytes / sizeof(ulong); i < words.Length; i++)
            words[i] = x = Next(x);
        for (int i = words.Length * sizeof(ulong); i < bytes.Length; i++)
            bytes[i] = (byte)(x = Next(x));
    }

    /// <summary>Compares every byte. Null, or what is wrong; <paramref name="nonce"/> is the creation that the bytes claim to be.</summary>
    internal static string? Verify(long seed, int key, ReadOnlySpan<byte> bytes, out uint nonce)
    {
        nonce = 0;
        if (bytes.Length < HeaderBytes)
            return string.Create(CultureInfo.InvariantCulture, $"key {key} has {bytes.Length} bytes");
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
        nonce = (uint)words[1];
        var expected = new Payload(seed, key, nonce);
        ulong x = expected.Check;
        if (words[0] != (ulong)(uint)key || words[1] != nonce || words[2] != x)
            return string.Create(CultureInfo.InvariantCulture, $"key {key} begins with 0x{words[0]:x} 0x{words[1]:x} 0x{words[2]:x}");
        if (bytes.Length != expected.Length)
            return string.Create(CultureInfo.InvariantCulture, $"key {key}, nonce {nonce} has {bytes.Length} bytes instead of {expected.Length}");
        for (int i = HeaderBytes / sizeof(ulong); i < words.Length; i++)
            if (words[i] != (x = Next(x)))
                return string.Create(CultureInfo.InvariantCulture, $"key {key}, nonce {nonce} differs in word {i} of {words.Length}");
        for (int i = words.Length * sizeof(ulong); i < bytes.Length; i++)
            if (bytes[i] != (byte)(x = Next(x)))
                return string.Create(CultureInfo.InvariantCulture, $"key {key}, nonce {nonce} differs in byte {i} of {bytes.Length}");
        return null;
    }

    private static ulong Next(ulong x)
    {
        x ^= x << 13;
        x ^= x >> 7;
        return x ^ (x << 17);
    }

    private static ulong Mix(ulong x)
    {
        x += 0x9E3779B97F4A7C15;
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
        return (x ^ (x >> 31)) | 1; // Never 0, which the pattern would keep.
    }
}
