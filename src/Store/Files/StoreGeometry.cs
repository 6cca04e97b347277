using System.Numerics;
using FastPlasma.Allocator;
using FastPlasma.Format;
using FastPlasma.Spill;

namespace FastPlasma.Files;

/// <summary>Where everything is in the meta file: a function of capacity, object limit, event slots and participants, so an opener can check a header by computing it again.</summary>
internal readonly record struct StoreGeometry
{
    internal const int ParticipantCountMax = 256, ReaderParticipantCountMax = 64;
    internal const long CapacityBytesMin = ChunkMap.ChunkBytes, CapacityBytesMax = 1L << 44;
    internal const int ObjectCountMin = 64, ObjectCountLimit = IndexWord.EntryCountMax, EventCapacityMin = 64, EventCapacityMax = 1 << 20;
    internal const int StashCount = 64;
    internal const int WordsPerBucket = 8;

    private const int PageBytes = 4096;
    private const long BytesPerObjectDefault = 32 << 10;

    internal StoreGeometry(long capacityBytes, int objectCountMax, int eventCapacity)
    {
        CapacityBytes = capacityBytes;
        ObjectCountMax = objectCountMax;
        EventCapacity = eventCapacity;
        ChunkCount = (int)(capacityBytes / ChunkMap.ChunkBytes);

        // At most half of the index words are in use, so that two choices of eight places each practically never overflow.
        BucketCount = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(2, (objectCountMax * 2L + WordsPerBucket - 1) / WordsPerBucket));

        WaitOffset = StoreHeader.SizeBytes + Pages(DomainRecord.CountMax * DomainRecord.SizeBytes);
        RingOffset = WaitOffset + Pages((long)WaitWord.Count * WaitWord.StrideBytes);
        StashOffset = RingOffset + Pages(RingHeadBytes + (long)eventCapacity * EventSlot.SizeBytes);
        BucketsOffset = StashOffset + Pages(StashCount * sizeof(ulong));
        EntriesOffset = BucketsOffset + Pages((long)BucketCount * WordsPerBucket * sizeof(ulong));
        PolicyOffset = EntriesOffset + Pages((long)objectCountMax * ObjectEntry.SizeBytes);
        AllocatorOffset = PolicyOffset + Pages(PolicyLayout.SizeBytes(objectCountMax));
        ChunksOffset = AllocatorOffset + Pages(AllocatorHeader.SizeBytes);
        WordsOffset = ChunksOffset + Pages((long)ChunkCount * ChunkRecord.SizeBytes);
        MetaBytes = WordsOffset + (long)ChunkCount * ChunkMap.WordsPerChunk * ChunkMap.WordBytes;
    }

    /// <summary>The ring's head has a line of its own before the slots.</summary>
    internal const int RingHeadBytes = 64;

    internal long CapacityBytes { get; }
    internal int ObjectCountMax { get; }
    internal int EventCapacity { get; }
    internal int ChunkCount { get; }
    internal int BucketCount { get; }
    internal long WaitOffset { get; }
    internal long RingOffset { get; }
    internal long StashOffset { get; }
    internal long BucketsOffset { get; }
    internal long EntriesOffset { get; }
    internal long PolicyOffset { get; }
    internal long AllocatorOffset { get; }
    internal long ChunksOffset { get; }
    internal long WordsOffset { get; }
    internal long MetaBytes { get; }

    /// <summary>Entry, two index words and one block word.</summary>
    internal double MetaBytesPerObject => ObjectEntry.SizeBytes + (double)BucketCount * WordsPerBucket * sizeof(ulong) / ObjectCountMax + ChunkMap.WordBytes;

    /// <summary>Geometry of a new store.</summary>
    /// <exception cref="ArgumentOutOfRangeException">An option is outside its limits.</exception>
    internal static StoreGeometry From(PlasmaOptions options)
    {
        if (options.CapacityBytes is <= 0 or > CapacityBytesMax)
            throw new ArgumentOutOfRangeException(nameof(options), options.CapacityBytes, $"CapacityBytes is {options.CapacityBytes}; it can be 1 to {CapacityBytesMax}.");
        long capacity = (options.CapacityBytes + ChunkMap.ChunkBytes - 1) / ChunkMap.ChunkBytes * ChunkMap.ChunkBytes;
        if (options.ObjectCountMax is < 0 or > ObjectCountLimit)
            throw new ArgumentOutOfRangeException(nameof(options), options.ObjectCountMax, $"ObjectCountMax is {options.ObjectCountMax}; it can be 0 (choose) or up to {ObjectCountLimit}.");
        int objects = options.ObjectCountMax == 0
            ? (int)Math.Clamp(capacity / BytesPerObjectDefault, 4096, ObjectCountLimit)
            : Math.Max(options.ObjectCountMax, ObjectCountMin);
        if (options.EventCapacity is < 1 or > EventCapacityMax)
            throw new ArgumentOutOfRangeException(nameof(options), options.EventCapacity, $"EventCapacity is {options.EventCapacity}; it can be 1 to {EventCapacityMax}.");
        int events = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(options.EventCapacity, EventCapacityMin));
        return new StoreGeometry(capacity, objects, events);
    }

    /// <summary>Writes the geometry into a new header.</summary>
    internal unsafe void WriteTo(StoreHeader* header)
    {
        header->CapacityBytes = CapacityBytes;
        header->ObjectCountMax = ObjectCountMax;
        header->EventCapacity = EventCapacity;
        header->BucketCount = BucketCount;
        header->StashCount = StashCount;
        header->ParticipantCountMax = ParticipantCountMax;
        header->ChunkCount = ChunkCount;
        header->WaitOffset = WaitOffset;
        header->RingOffset = RingOffset;
        header->StashOffset = StashOffset;
        header->BucketsOffset = BucketsOffset;
        header->EntriesOffset = EntriesOffset;
        header->PolicyOffset = PolicyOffset;
        header->AllocatorOffset = AllocatorOffset;
        header->ChunksOffset = ChunksOffset;
        header->WordsOffset = WordsOffset;
        header->MetaBytes = MetaBytes;
    }

    /// <summary>Geometry of an existing header; the validating exit of its numbers.</summary>
    /// <exception cref="PlasmaFormatException">A number is impossible, or the header disagrees with what follows from it.</exception>
    internal static unsafe StoreGeometry Read(StoreHeader* h, string path)
    {
        Require(h->Magic == StoreHeader.MagicValue, path, "Magic", $"0x{h->Magic:x}", "a FastPlasma store");
        Require(h->LayoutVersion == StoreHeader.LayoutVersionValue, path, "LayoutVersion", $"{h->LayoutVersion}", $"{StoreHeader.LayoutVersionValue}");
        Require(h->FeatureBits == 0, path, "FeatureBits", $"0x{h->FeatureBits:x}", "0");
        Require(h->Fingerprint == StoreHeader.CurrentFingerprint, path, "Fingerprint", $"0x{h->Fingerprint:x}", $"0x{StoreHeader.CurrentFingerprint:x} of this build");
        Require(h->HeaderChecksum == StoreHeader.ChecksumOf(h), path, "HeaderChecksum", $"0x{h->HeaderChecksum:x}", $"0x{StoreHeader.ChecksumOf(h):x}: the header is damaged");
        Require(h->CapacityBytes is >= CapacityBytesMin and <= CapacityBytesMax && h->CapacityBytes % ChunkMap.ChunkBytes == 0, path, "CapacityBytes", $"{h->CapacityBytes}", "a multiple of 2 MiB");
        Require(h->ObjectCountMax is >= ObjectCountMin and <= ObjectCountLimit, path, "ObjectCountMax", $"{h->ObjectCountMax}", $"{ObjectCountMin} to {ObjectCountLimit}");
        Require(h->EventCapacity is >= EventCapacityMin and <= EventCapacityMax && BitOperations.IsPow2(h->EventCapacity), path, "EventCapacity", $"{h->EventCapacity}", "a power of two");
        Require(h->DataDirectoryBytes is >= 0 and <= StoreHeader.DataDirectoryBytesMax, path, "DataDirectoryBytes", $"{h->DataDirectoryBytes}", $"at most {StoreHeader.DataDirectoryBytesMax}");
        Require(h->SpillDirectoryCount is >= 0 and <= SpillPlace.DirectoryCountMax, path, "SpillDirectoryCount", $"{h->SpillDirectoryCount}", $"0 to {SpillPlace.DirectoryCountMax}");
        var g = new StoreGeometry(h->CapacityBytes, h->ObjectCountMax, h->EventCapacity);
        Require(
            h->BucketCount == g.BucketCount && h->StashCount == StashCount && h->ParticipantCountMax == ParticipantCountMax && h->ChunkCount == g.ChunkCount
            && h->WaitOffset == g.WaitOffset && h->RingOffset == g.RingOffset && h->StashOffset == g.StashOffset && h->BucketsOffset == g.BucketsOffset
            && h->EntriesOffset == g.EntriesOffset && h->PolicyOffset == g.PolicyOffset && h->AllocatorOffset == g.AllocatorOffset && h->ChunksOffset == g.ChunksOffset && h->WordsOffset == g.WordsOffset
            && h->MetaBytes == g.MetaBytes,
            path, "geometry", "other offsets", "those that follow from its sizes");
        return g;
    }

    private static void Require(bool holds, string path, string field, string found, string expected)
    {
        if (!holds)
            throw new PlasmaFormatException($"{path} cannot be used as a store: {field} is {found}, expected {expected}.");
    }

    private static long Pages(long bytes) => (bytes + PageBytes - 1) / PageBytes * PageBytes;
}
