using FastPlasma.Format;

namespace FastPlasma.Nodes;

/// <summary>What a store has to know of an object to hold a copy of it. The image itself is what follows from the payload's address on: payload, padding to 8, name, content type, user metadata.</summary>
/// <remarks>Equal incarnations of one id have equal images, but for the padding, which holds whatever was there.</remarks>
internal readonly record struct ObjectImage
{
    internal required ObjectId Id { get; init; }

    internal required long PayloadBytes { get; init; }

    internal int NameBytes { get; init; }

    internal int ContentTypeBytes { get; init; }

    internal int UserBytes { get; init; }

    internal required ulong Incarnation { get; init; }

    /// <summary>XXH3 over payload and tail as the store computes it; 0 unless <see cref="HasChecksum"/>.</summary>
    internal ulong Checksum { get; init; }

    internal bool HasChecksum { get; init; }

    internal bool IsEvictable { get; init; }

    /// <summary>Whether this is a copy of another store's object; of the local copy, not of what is to be made.</summary>
    internal bool IsReplica { get; init; }

    /// <summary>UTC ticks.</summary>
    internal long CreatedAtTicks { get; init; }

    /// <summary>UTC ticks; 0 where it does not matter. Only a copy on disk carries it.</summary>
    internal long SealedAtTicks { get; init; }

    /// <summary>When the object is gone by itself, in UTC ticks; 0 for never.</summary>
    internal long ExpiresAtTicks { get; init; }

    internal long TailBytes => (long)NameBytes + ContentTypeBytes + UserBytes;

    /// <summary>Length of the image.</summary>
    internal long ImageBytes => ObjectEntry.BytesNeeded(PayloadBytes, TailBytes);

    /// <summary>What is impossible about it, or null. It comes from another machine: nothing else of it is used before this.</summary>
    internal string? Validate()
    {
        if (PayloadBytes is < 0 or > PayloadBytesMax)
            return $"an image has a payload of {PayloadBytes} bytes; 0 to {PayloadBytesMax} are possible";
        if (NameBytes is < 0 or > PlasmaStore.NameBytesMax)
            return $"an image has a name of {NameBytes} bytes; 0 to {PlasmaStore.NameBytesMax} are possible";
        if (ContentTypeBytes is < 0 or > PlasmaStore.ContentTypeBytesMax)
            return $"an image has a content type of {ContentTypeBytes} bytes; 0 to {PlasmaStore.ContentTypeBytesMax} are possible";
        if (UserBytes is < 0 or > PlasmaStore.MetadataBytesMax)
            return $"an image has metadata of {UserBytes} bytes; 0 to {PlasmaStore.MetadataBytesMax} are possible";
        if (ExpiresAtTicks < 0 || ExpiresAtTicks > DateTime.MaxValue.Ticks)
            return $"an image expires at {ExpiresAtTicks} ticks, which is no time";
        return CreatedAtTicks < 0 || CreatedAtTicks > DateTime.MaxValue.Ticks ? $"an image was created at {CreatedAtTicks} ticks, which is no time" : null;
    }

    /// <summary>More than any store holds, and small enough for sums.</summary>
    internal const long PayloadBytesMax = 1L << 56;
}
