namespace FastPlasma.Load.Measuring;

/// <summary>Which of the keys are asked for.</summary>
internal enum KeyPattern
{
    /// <summary>Always the same one.</summary>
    Hot,

    /// <summary>All equally often.</summary>
    Uniform,

    /// <summary>Zipf with exponent 0.99, as in YCSB: a few are asked for most of the time. All processes like the same ones.</summary>
    Zipf,
}

/// <summary>A long random sequence of key indexes, drawn beforehand and repeated.</summary>
internal static class KeyOrder
{
    /// <summary>Entries of a sequence; a power of two.</summary>
    internal const int Length = 1 << 16;

    private const double ZipfExponent = 0.99;

    /// <summary>Draws a sequence over <paramref name="count"/> keys; the same seed gives the same one.</summary>
    internal static int[] Create(KeyPattern pattern, int count, int seed)
    {
        int[] order = new int[Length];
        var random = new Random(seed);
        switch (pattern)
        {
            case KeyPattern.Hot:
                break;
            case KeyPattern.Uniform:
                for (int i = 0; i < Length; i++)
                    order[i] = random.Next(count);
                break;
            case KeyPattern.Zipf:
                Zipf(order, count, random);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(pattern), pattern, "This key pattern is unknown.");
        }

        return order;
    }

    private static void Zipf(int[] order, int count, Random random)
    {
        double[] sums = new double[count];
        double sum = 0;
        for (int rank = 0; rank < count; rank++)
            sums[rank] = sum += Math.Pow(rank + 1, -ZipfExponent);

        // Which key has which rank does not depend on the caller's seed: all processes crowd on the same keys.
        int[] keys = [.. Enumerable.Range(0, count)];
        new Random(count).Shuffle(keys);
        for (int i = 0; i < order.Length; i++)
        {
            int rank = Array.BinarySearch(sums, random.NextDouble() * sum);
            order[i] = keys[Math.Min(rank < 0 ? ~rank : rank, count - 1)];
        }
    }
}
