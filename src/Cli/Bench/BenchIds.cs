using System.Buffers.Binary;

namespace FastPlasma.Cli.Bench;

/// <summary>Ids by number, and the deterministic random numbers of the scenarios.</summary>
internal static class BenchIds
{
    /// <summary>The id of a number within a group; no two are alike.</summary>
    internal static ObjectId Of(ulong number, uint group = 0)
    {
        Span<byte> bytes = stackalloc byte[ObjectId.SizeBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, Mix(number));
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], number);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[16..], Mix(number + 1));
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[24..], group);
        return new ObjectId(bytes);
    }

    /// <summary>Ids of the numbers 0 to <paramref name="count"/> - 1.</summary>
    internal static ObjectId[] Range(int count, uint group = 0)
    {
        ObjectId[] ids = new ObjectId[count];
        for (int i = 0; i < count; i++)
            ids[i] = Of((ulong)i, group);
        return ids;
    }

    /// <summary>One step of SplitMix64 (https://prng.di.unimi.it/splitmix64.c): every input gives a different, evenly spread output.</summary>
    internal static ulong Mix(ulong value)
    {
        value += 0x9E3779B97F4A7C15;
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
        return value ^ (value >> 31);
    }
}
