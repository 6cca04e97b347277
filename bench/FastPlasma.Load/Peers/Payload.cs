using System.Numerics;
using System.Runtime.InteropServices;

namespace FastPlasma.Load.Peers;

/// <summary>How every peer's bytes are read when they are read: the same loop for all.</summary>
internal static class Payload
{
    /// <summary>Sum of all bytes, eight at a time; the last ones count singly.</summary>
    internal static ulong Sum(ReadOnlySpan<byte> bytes)
    {
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
        Vector<ulong> sums = Vector<ulong>.Zero;
        int i = 0;
        for (; i <= words.Length - Vector<ulong>.Count; i += Vector<ulong>.Count)
            sums += new Vector<ulong>(words[i..]);
        ulong sum = Vector.Sum(sums);
        for (; i < words.Length; i++)
            sum += words[i];
        for (int tail = words.Length * sizeof(ulong); tail < bytes.Length; tail++)
            sum += bytes[tail];
        return sum;
    }
}
