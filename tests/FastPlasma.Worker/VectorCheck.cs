using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using FastPlasma.Copying;
using FastPlasma.Format;
using FastPlasma.Index;
using FastPlasma.Participants;

namespace FastPlasma.Worker;

/// <summary>Compares what is written once for every width of vectors with plain loops, in a process whose width the environment chooses.</summary>
internal static unsafe class VectorCheck
{
    private const int Rounds = 2000, BytesMax = 9000, PageBytes = 4096;

    /// <summary>Widest vectors in bits. Throws when anything differs.</summary>
    internal static int Run(int seed)
    {
        var random = new Random(seed);
        CheckCopies(random);
        CheckBuckets(random);
        CheckSlots(random);
        CheckIds(random);
        return Vector512.IsHardwareAccelerated ? 512 : Vector256.IsHardwareAccelerated ? 256 : 128;
    }

    private static void CheckCopies(Random random)
    {
        const int room = BytesMax + 3 * PageBytes;
        byte* source = (byte*)NativeMemory.AlignedAlloc(room, PageBytes), destination = (byte*)NativeMemory.AlignedAlloc(room, PageBytes);
        random.NextBytes(new Span<byte>(source, room));
        for (int i = 0; i < Rounds; i++)
        {
            int from = random.Next(PageBytes), to = PageBytes + random.Next(PageBytes), bytes = random.Next(BytesMax);
            bool nonTemporal = i % 2 == 0 && bytes >= (int)CopyEngine.NonTemporalMinBytes;
            new Span<byte>(destination, room).Fill(0xA5);
            if (nonTemporal)
                CopyEngine.CopyNonTemporal(destination + to, source + from, (nuint)bytes);
            else
                CopyEngine.Copy(destination + to, source + from, (nuint)bytes);
            for (int at = 0; at < room; at++)
                if (destination[at] != (at >= to && at < to + bytes ? source[from + at - to] : 0xA5))
                    throw new InvalidOperationException($"A copy of {bytes} bytes from {from} to {to} (non-temporal: {nonTemporal}) is wrong at {at - to}.");
        }
        NativeMemory.AlignedFree(source);
        NativeMemory.AlignedFree(destination);
    }

    private static void CheckBuckets(Random random)
    {
        const int words = 8;
        ulong* bucket = (ulong*)NativeMemory.AlignedAlloc(words * sizeof(ulong), 64);
        for (int i = 0; i < Rounds; i++)
        {
            ulong hash = (ulong)random.NextInt64(long.MinValue, long.MaxValue);
            uint matches = 0, empty = 0;
            for (int w = 0; w < words; w++)
            {
                ulong tag = random.Next(3) == 0 ? hash >> 56 : (ulong)random.Next(256);
                bucket[w] = random.Next(4) == 0 ? 0 : (tag << 56) | ((ulong)random.NextInt64() >> 8);
                matches |= bucket[w] >> 56 == hash >> 56 ? 1u << w : 0;
                empty |= bucket[w] == 0 ? 1u << w : 0;
            }
            if (BucketTable.Match(bucket, hash) != matches || BucketTable.Empty(bucket) != empty)
                throw new InvalidOperationException($"A bucket is matched as {BucketTable.Match(bucket, hash):x} and {BucketTable.Empty(bucket):x} instead of {matches:x} and {empty:x}.");
        }
        NativeMemory.AlignedFree(bucket);
    }

    private static void CheckSlots(Random random)
    {
        PinSlot* slots = (PinSlot*)NativeMemory.AlignedAlloc(SlotChunk.SlotCount * PinSlot.SizeBytes, 64);
        for (int i = 0; i < Rounds; i++)
        {
            ulong wanted = new SlotWord(SlotKind.Pin, (uint)random.Next(), (uint)random.Next(1 << 20)).Value;
            int place = random.Next(2 * SlotChunk.SlotCount);
            for (int s = 0; s < SlotChunk.SlotCount; s++)
            {
                slots[s].Word = s == place ? wanted : wanted ^ (1UL << random.Next(64));
                slots[s].Since = random.Next(2) == 0 ? (long)wanted : 0; // A time that looks like the word is none.
            }
            if (SlotScan.HasWord(slots, wanted) != place < SlotChunk.SlotCount)
                throw new InvalidOperationException($"A word at place {place} of {SlotChunk.SlotCount} is {(place < SlotChunk.SlotCount ? "not found" : "found")}.");
            SlotKind kind = (SlotKind)random.Next(16);
            for (int s = 0; s < SlotChunk.SlotCount; s++)
                slots[s].Word = new SlotWord(s == place ? kind : SlotKind.Own, new SlotWord(wanted).Generation, new SlotWord(wanted).Entry).Value;
            if (SlotScan.HasKeepingWord(slots, wanted) != (place < SlotChunk.SlotCount && new SlotWord(kind, 1, 0).Keeps))
                throw new InvalidOperationException($"A word of kind {kind} at place {place} of {SlotChunk.SlotCount} is taken for one that keeps its entry, or the other way round.");
        }
        NativeMemory.AlignedFree(slots);
    }

    private static void CheckIds(Random random)
    {
        Span<byte> bytes = stackalloc byte[ObjectId.SizeBytes];
        for (int i = 0; i < Rounds; i++)
        {
            random.NextBytes(bytes);
            ObjectId id = new(bytes);
            if (id != new ObjectId(bytes))
                throw new InvalidOperationException($"{id} is not equal to itself.");
            bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
            if (id == new ObjectId(bytes))
                throw new InvalidOperationException($"{id} is equal to {new ObjectId(bytes)}.");
        }
    }
}
