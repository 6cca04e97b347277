using FastPlasma.Nodes;

namespace FastPlasma.Transfer.Wire;

/// <summary>What a record says of an object, in the store's terms, and back.</summary>
internal static class ReplicaImage
{
    /// <summary>Not yet validated: the numbers are another node's.</summary>
    internal static ObjectImage Of(in ObjectRecord record) => new()
    {
        Id = record.Id,
        PayloadBytes = record.PayloadBytes,
        NameBytes = record.NameBytes,
        ContentTypeBytes = record.ContentTypeBytes,
        UserBytes = record.UserBytes,
        Incarnation = record.Incarnation,
        Checksum = record.Checksum,
        HasChecksum = (record.Flags & ObjectRecord.ChecksumFlag) != 0,
        IsEvictable = (record.Flags & ObjectRecord.EvictableFlag) != 0,
        CreatedAtTicks = record.CreatedAtTicks,
        ExpiresAtTicks = record.ExpiresAtTicks,
    };

    internal static ObjectRecord ToRecord(in ObjectImage image, ObjectAnswer answer) => new()
    {
        Id = image.Id,
        Answer = answer,
        Flags = (byte)((image.HasChecksum ? ObjectRecord.ChecksumFlag : 0) | (image.IsEvictable ? ObjectRecord.EvictableFlag : 0)),
        ContentTypeBytes = (ushort)image.ContentTypeBytes,
        Incarnation = image.Incarnation,
        PayloadBytes = image.PayloadBytes,
        NameBytes = image.NameBytes,
        UserBytes = image.UserBytes,
        Checksum = image.Checksum,
        CreatedAtTicks = image.CreatedAtTicks,
        ExpiresAtTicks = image.ExpiresAtTicks,
    };
}
