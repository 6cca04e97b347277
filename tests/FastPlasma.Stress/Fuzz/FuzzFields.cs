using System.Globalization;
using FastPlasma.Allocator;
using FastPlasma.Files;
using FastPlasma.Format;

namespace FastPlasma.Stress.Fuzz;

/// <summary>Where a named field is: file, offset, width in bytes.</summary>
internal readonly record struct FuzzPlace(string File, long Offset, int Bytes);

/// <summary>Names of all shared words, and where they are in a store of a given geometry.</summary>
internal static class FuzzFields
{
    /// <summary>Fields of the meta header that the header's checksum covers: after changing one of them, "meta sign 0" makes the header valid again.</summary>
    internal static readonly (string Name, int Offset, int Bytes)[] SignedHeader =
    [
        ("Magic", 0, 8), ("LayoutVersion", 8, 4), ("FeatureBits", 12, 4), ("Fingerprint", 16, 8), ("Uuid", 24, 8), ("CapacityBytes", 56, 8), ("ObjectCountMax", 64, 4), ("EventCapacity", 68, 4),
        ("BucketCount", 72, 4), ("StashCount", 76, 4), ("ParticipantCountMax", 80, 4), ("ChunkCount", 84, 4), ("HashSeed", 88, 8), ("WaitOffset", 96, 8), ("RingOffset", 104, 8),
        ("StashOffset", 112, 8), ("BucketsOffset", 120, 8), ("EntriesOffset", 128, 8), ("AllocatorOffset", 136, 8), ("ChunksOffset", 144, 8), ("WordsOffset", 152, 8), ("MetaBytes", 160, 8),
        ("HugePages", 168, 4), ("DefaultRetention", 172, 4), ("OwnerUid", 176, 4), ("CreatedAt", 184, 8), ("PopulateTargetBytes", 192, 8), ("PolicyOffset", 200, 8), ("DefaultLifeTicks", 208, 8), ("EvictAheadBytes", 216, 8), ("DataDirectoryBytes", 240, 8), ("HeaderChecksum", 248, 8),
        ("DataDirectory", 1024, 8),
    ];

    internal static readonly (string Name, int Offset, int Bytes)[] OpenHeader =
    [
        ("Fault", 256, 4), ("StashUsed", 320, 4), ("EvictableUsed", 324, 4), ("OrphansRequested", 384, 8), ("OrphansDone", 392, 8), ("DomainCount", 448, 4), ("EntryCursor", 512, 8),
        ("PopulatedBytes", 576, 8), ("WriterAttaches", 640, 8), ("BootId", 704, 8), ("Clock", 768, 8), ("NextExpiry", 776, 8), ("NodeService", 832, 8),
    ];

    internal static readonly (string Name, int Offset, int Bytes)[] Domain = [("Uid", 0, 4), ("Kind", 4, 4)];

    internal static readonly (string Name, int Offset, int Bytes)[] Event =
        [("Word", 0, 8), ("Kind", 8, 4), ("MetadataBytes", 12, 4), ("PayloadBytes", 16, 8), ("Id", 24, 8), ("Incarnation", 56, 8)];

    internal static readonly (string Name, int Offset, int Bytes)[] Entry =
    [
        ("Id", 0, 8), ("UserBytes", 28, 4), ("State", ObjectEntry.StateOffset, 8), ("DataOffset", 40, 8), ("PayloadBytes", 48, 8), ("NameBytes", 56, 2), ("ContentTypeBytes", 58, 2),
        ("CreatedAt", 64, 8), ("SealedAt", 72, 8), ("ExpiresAt", 80, 8), ("Checksum", 88, 8), ("BlockIndex", ObjectEntry.BlockOffset, 8), ("BlockCount", ObjectEntry.BlockOffset + 8, 4),
        ("QuotaAccount", 108, 4), ("SpillPlace", 112, 8), ("Incarnation", 120, 8),
    ];

    internal static readonly (string Name, int Offset, int Bytes)[] Allocator = [("SlabLow", 0, 8), ("LargeHigh", 8, 8)];

    internal static readonly (string Name, int Offset, int Bytes)[] Waiter = [("Word", 0, 8), ("Bytes", 8, 8), ("Since", 16, 8)];

    internal static readonly (string Name, int Offset, int Bytes)[] Chunk = [("Word", 0, 8), ("FreeHint", 8, 4), ("WordsReservedBytes", 12, 4)];

    internal static readonly (string Name, int Offset, int Bytes)[] Pins = [("Magic", 0, 8), ("StoreUuid", 8, 8), ("Domain", 24, 4), ("ParticipantMax", 28, 4), ("ParticipantHigh", 64, 4)];

    internal static readonly (string Name, int Offset, int Bytes)[] Participant =
        [("Attached", 0, 4), ("Access", 4, 4), ("AttachCount", 8, 8), ("ProcessId", 16, 4), ("AttachedAt", 24, 8), ("CommandName", 32, 8), ("ChunkHigh", 64, 4), ("Recoveries", 128, 8)];

    internal static readonly (string Name, int Offset, int Bytes)[] Request = [("Word", 0, 8), ("Deadline", 8, 8), ("Id", 16, 8)];

    internal static readonly (string Name, int Offset, int Bytes)[] Slot = [("Word", 0, 8), ("Since", 8, 8)];

    /// <summary>Place of a target such as "entry:3.State", "word:0:17", "slot:1:0:5.Word" or "meta+4096".</summary>
    /// <exception cref="FormatException">There is no such field.</exception>
    internal static FuzzPlace Find(string target, in StoreGeometry g)
    {
        int plus = target.IndexOf('+', StringComparison.Ordinal);
        if (plus >= 0)
            return new FuzzPlace(target[..plus], (long)FuzzMutation.ParseNumber(target[(plus + 1)..]), sizeof(ulong));
        string[] halves = target.Split('.');
        string[] parts = halves[0].Split(':');
        string field = halves.Length > 1 ? halves[1] : "";
        switch (parts[0])
        {
            case "header":
                return In("meta", 0, [.. SignedHeader, .. OpenHeader]);
            case "domain":
                return In("meta", StoreHeader.SizeBytes + N(1) * DomainRecord.SizeBytes, Domain);
            case "wait":
                return new FuzzPlace("meta", g.WaitOffset + N(1) * WaitWord.StrideBytes, 8);
            case "ring":
                return new FuzzPlace("meta", g.RingOffset, 8);
            case "event":
                return In("meta", g.RingOffset + StoreGeometry.RingHeadBytes + N(1) * EventSlot.SizeBytes, Event);
            case "stash":
                return new FuzzPlace("meta", g.StashOffset + N(1) * 8, 8);
            case "bucket":
                return new FuzzPlace("meta", g.BucketsOffset + N(1) * 8, 8);
            case "entry":
                return In("meta", g.EntriesOffset + N(1) * ObjectEntry.SizeBytes, Entry);
            case "hand":
                return new FuzzPlace("meta", g.PolicyOffset + N(1) * 8, 8);
            case "waiter":
                return In("meta", g.PolicyOffset + PolicyLayout.WaitersOffset + N(1) * SpaceWaiter.SizeBytes, Waiter);
            case "candidate":
                return new FuzzPlace("meta", g.PolicyOffset + PolicyLayout.MapsOffset + N(1) * 8, 8);
            case "allocator":
                return In("meta", g.AllocatorOffset, Allocator);
            case "chunk":
                return In("meta", g.ChunksOffset + N(1) * ChunkRecord.SizeBytes, Chunk);
            case "word":
                return new FuzzPlace("meta", g.WordsOffset + (N(1) * ChunkMap.WordsPerChunk + N(2)) * ChunkMap.WordBytes, 8);
            case "pins":
                return In("pins", 0, Pins);
            case "participant":
                return In("pins", Block(), Participant);
            case "hint":
                return new FuzzPlace("pins", Block() + ParticipantBlock.HintsOffset + N(2) * 8, 8);
            case "condemned":
                return new FuzzPlace("pins", Block() + ParticipantBlock.CondemnedOffset + N(2) * 8, 8);
            case "request":
                return In("pins", Block() + ParticipantBlock.RequestsOffset + N(2) * NodeRecord.SizeBytes, Request);
            case "counter":
                return new FuzzPlace("pins", Block() + ParticipantBlock.SlotsOffset + N(2) * SlotChunk.SizeBytes + N(3) * 8, 8);
            case "slot":
                return In("pins", Block() + ParticipantBlock.SlotsOffset + N(2) * SlotChunk.SizeBytes + SlotChunk.CountersBytes + N(3) * PinSlot.SizeBytes, Slot);
            default:
                throw new FormatException($"There is no field '{target}'.");
        }

        long N(int i) => i < parts.Length ? long.Parse(parts[i], CultureInfo.InvariantCulture) : throw new FormatException($"'{target}' needs {i} numbers.");

        long Block() => PinsHeader.SizeBytes + N(1) * ParticipantBlock.SizeBytes;

        FuzzPlace In(string file, long at, (string Name, int Offset, int Bytes)[] fields)
        {
            foreach ((string name, int offset, int bytes) in fields)
                if (name == field)
                    return new FuzzPlace(file, at + offset, bytes);
            throw new FormatException($"There is no field '{target}'.");
        }
    }
}
