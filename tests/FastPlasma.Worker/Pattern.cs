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

    internal static void Fill(Span<byte> bytes, int seed) => new Random(seed).NextBytes(bytes);
}
