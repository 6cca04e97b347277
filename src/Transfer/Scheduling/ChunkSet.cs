using System.Numerics;

namespace FastPlasma.Transfer.Scheduling;

/// <summary>A set of chunk numbers.</summary>
internal sealed class ChunkSet
{
    private readonly ulong[] _words;

    internal ChunkSet(int chunkCount, bool full = false)
    {
        ChunkCount = chunkCount;
        _words = new ulong[(chunkCount + 63) / 64];
        if (full)
            AddRange(0, chunkCount);
    }

    internal int ChunkCount { get; }

    internal int Count { get; private set; }

    internal ReadOnlySpan<ulong> Words => _words;

    internal bool Contains(int chunk) => (_words[chunk >> 6] >> (chunk & 63) & 1) != 0;

    /// <summary>Returns false if it was in it.</summary>
    internal bool Add(int chunk)
    {
        ulong bit = 1UL << (chunk & 63);
        if ((_words[chunk >> 6] & bit) != 0)
            return false;
        _words[chunk >> 6] |= bit;
        Count++;
        return true;
    }

    /// <summary>Returns false if it was not in it.</summary>
    internal bool Remove(int chunk)
    {
        ulong bit = 1UL << (chunk & 63);
        if ((_words[chunk >> 6] & bit) == 0)
            return false;
        _words[chunk >> 6] &= ~bit;
        Count--;
        return true;
    }

    internal void AddRange(int first, int count)
    {
        for (int i = first; i < first + count; i++)
            Add(i);
    }

    /// <summary>The first member at or after <paramref name="from"/>, then from 0 on, whose bit is also in <paramref name="and"/> and not in <paramref name="andNot"/>; -1 if there is none.</summary>
    internal int Next(int from, ReadOnlySpan<ulong> and, ReadOnlySpan<ulong> andNot)
    {
        int words = _words.Length;
        if (words == 0)
            return -1;
        int start = from >> 6;
        for (int step = 0; step <= words; step++)
        {
            int i = start + step < words ? start + step : start + step - words;
            ulong word = _words[i];
            if (!and.IsEmpty)
                word &= and[i];
            if (!andNot.IsEmpty)
                word &= ~andNot[i];
            if (step == 0)
                word &= ulong.MaxValue << (from & 63);
            else if (step == words)
                word &= (1UL << (from & 63)) - 1;
            if (word != 0)
                return (i << 6) + BitOperations.TrailingZeroCount(word);
        }
        return -1;
    }
}
