using System.Runtime.InteropServices;

namespace FastPlasma.Worker;

/// <summary>Payloads that a number decides, so that another process can tell whether it reads what was written.</summary>
internal static class Pattern
{
    internal static byte[] Of(int seed, int length)
    {
        byte[] bytes = new byte[length];
        Fill(bytes, seed);
        return bytes;
    }

    internal static void Fill(Span<byte> bytes, int seed)
    {
        Span<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
        ulong x = ((ulong)(uint)seed + 1) * 0x9E3779B97F4A7C15;
        for (int i = 0; i < words.Length; i++)
            words[i] = x = Next(x);
        for (int i = words.Length * sizeof(ulong); i < bytes.Length; i++)
            bytes[i] = (byte)(x = Next(x));
    }

    private static ulong Next(ulong x)
    {
        x ^= x << 13;
        x ^= x >> 7;
        return x ^ (x << 17);
    }
}
