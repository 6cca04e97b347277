using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using FastPlasma.Files;
using FastPlasma.Format;

namespace FastPlasma.Index;

/// <summary>Where an id's word may stand: two of the 64-byte buckets, eight words each. Small enough to lie inside whoever needs it on the read path.</summary>
internal readonly unsafe struct BucketTable
{
    private const int HomeShift = 29;
    internal const byte CheckHome = StoreGeometry.WordsPerBucket == 1 << (32 - HomeShift) ? 0 : -1;

    private readonly ulong* _buckets;
    private readonly ulong _seed;
    private readonly uint _mask;

    internal BucketTable(StoreMemory memory)
    {
        _buckets = memory.Buckets;
        _seed = memory.HashSeed;
        _mask = (uint)memory.Geometry.BucketCount - 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal ulong HashOf(in ObjectId id) => id.Hash(_seed);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal ulong* First(ulong hash) => _buckets + (long)FirstBucket(hash) * StoreGeometry.WordsPerBucket;

    /// <summary>The place of the first bucket where an id's word goes if it is empty: a get looks there before it searches. Its bits of the hash choose neither bucket nor tag.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal ulong* Home(ulong hash) => First(hash) + ((uint)hash >> HomeShift);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal ulong* Second(ulong hash) => _buckets + (long)SecondBucket(hash) * StoreGeometry.WordsPerBucket;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private uint FirstBucket(ulong hash) => (uint)hash & _mask;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private uint SecondBucket(ulong hash)
    {
        uint first = FirstBucket(hash), second = (uint)(hash >> 32) & _mask;
        return second == first ? second ^ 1 : second;
    }

    /// <summary>Places of a bucket whose word has the hash's tag, as a bit mask. Each lane is read at once, so a word is either the old or the new one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static uint Match(ulong* bucket, ulong hash) => Equal(bucket, 0xFFUL << IndexWord.TagShift, hash & (0xFFUL << IndexWord.TagShift));

    /// <summary>Places of a bucket that hold no word.</summary>
    internal static uint Empty(ulong* bucket) => Equal(bucket, ulong.MaxValue, 0);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Equal(ulong* bucket, ulong mask, ulong value)
    {
        if (Vector512.IsHardwareAccelerated)
            return (uint)Vector512.Equals(Vector512.Load(bucket) & Vector512.Create(mask), Vector512.Create(value)).ExtractMostSignificantBits();
        if (Vector256.IsHardwareAccelerated)
        {
            Vector256<ulong> masks = Vector256.Create(mask), values = Vector256.Create(value);
            uint low = Vector256.Equals(Vector256.Load(bucket) & masks, values).ExtractMostSignificantBits();
            uint high = Vector256.Equals(Vector256.Load(bucket + 4) & masks, values).ExtractMostSignificantBits();
            return low | (high << 4);
        }
        uint equal = 0;
        for (int i = 0; i < StoreGeometry.WordsPerBucket; i++)
            if ((Volatile.Read(ref bucket[i]) & mask) == value)
                equal |= 1u << i;
        return equal;
    }
}
