using System.Runtime.CompilerServices;

namespace FastPlasma.Format;

/// <summary>Value of an entry's state word.</summary>
/// <remarks><code>
///  63         32 31     20 19         8 7     4 3     0
/// |  generation | attempt | participant | state | flags |
/// </code>generation: incarnation of the entry, from 1; an entry whose generation is used up is never taken again. attempt: of an unload, reserved for spill. participant: who took the entry
/// (kept until it is Free). Every change is one compare-exchange; a change to Aborted or Condemned alters the state nibble only.</remarks>
internal readonly record struct StateWord(ulong Value)
{
    internal const int StateShift = 4, ParticipantShift = 8, GenerationShift = 32;
    internal const ulong StateMask = 0xFUL << StateShift, ParticipantMask = 0xFFFUL << ParticipantShift;
    internal const int ParticipantCountMax = 1 << 12;

    /// <summary>May be dropped when memory is short.</summary>
    internal const ulong EvictableFlag = 1;

    /// <summary>The entry holds a checksum.</summary>
    internal const ulong ChecksumFlag = 2;

    /// <summary>The object is a copy of one that was made in another store. Set by its creator in Creating.</summary>
    internal const ulong ReplicaFlag = 4;

    /// <summary>The entry's ExpiresAt counts: from then on the object is gone. Set by its creator before Sealed.</summary>
    internal const ulong ExpiresFlag = 8;

    /// <summary>Objects that a search for victims finds.</summary>
    internal const ulong CandidateMask = EvictableFlag;

    /// <summary>Objects of which a get does more than pin them.</summary>
    internal const ulong TouchMask = CandidateMask | ExpiresFlag;

    internal StateWord(uint generation, int participant, ObjectState state, ulong flags)
        : this(((ulong)generation << GenerationShift) | ((ulong)(uint)participant << ParticipantShift) | ((ulong)state << StateShift) | flags)
    {
    }

    internal uint Generation => (uint)(Value >> GenerationShift);

    internal int Participant => (int)((Value & ParticipantMask) >> ParticipantShift);

    internal ObjectState State => (ObjectState)((Value & StateMask) >> StateShift);

    internal bool IsEvictable => (Value & EvictableFlag) != 0;

    /// <summary>Whether it is in the map of candidates (<see cref="PolicyLayout"/>) while it is there.</summary>
    internal bool IsCandidate => (Value & CandidateMask) != 0;

    internal bool Expires => (Value & ExpiresFlag) != 0;

    internal bool IsReplica => (Value & ReplicaFlag) != 0;

    internal bool HasChecksum => (Value & ChecksumFlag) != 0;

    internal StateWord With(ObjectState state) => new((Value & ~StateMask) | ((ulong)state << StateShift));

    /// <summary>Whether the word says Sealed in generation <paramref name="generation"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool IsSealed(uint generation) =>
        (Value & (StateMask | (0xFFFFFFFFUL << GenerationShift))) == (((ulong)generation << GenerationShift) | ((ulong)ObjectState.Sealed << StateShift));

    /// <summary>States in which the id counts as taken.</summary>
    internal bool IsCommitted => State is ObjectState.Creating or ObjectState.Sealed or ObjectState.Unloading or ObjectState.Spilled or ObjectState.Restoring;

    /// <summary>States in which an entry holds, or may hold, a block.</summary>
    internal bool IsLive => State != ObjectState.Free;
}

/// <summary>Value of an index word.</summary>
/// <remarks><code>
///  63 56 55        24 23     0
/// |  tag | generation | entry |      0 = empty
/// </code>The whole generation is in the word, so that a delayed removal can never hit a later word of the same entry.</remarks>
internal readonly record struct IndexWord(ulong Value)
{
    internal const int EntryBits = 24, GenerationShift = EntryBits, TagShift = 56;
    internal const int EntryCountMax = 1 << EntryBits;

    internal IndexWord(ulong hash, uint generation, uint entry)
        : this((hash & (0xFFUL << TagShift)) | ((ulong)generation << GenerationShift) | entry)
    {
    }

    internal uint Entry => (uint)Value & (EntryCountMax - 1);

    internal uint Generation => (uint)(Value >> GenerationShift);

    internal bool IsEmpty => Value == 0;

    internal bool HasTagOf(ulong hash) => (Value ^ hash) >> TagShift == 0;
}

/// <summary>What a slot announces.</summary>
internal enum SlotKind : uint
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Somebody reads the entry's bytes: its memory stays.</summary>
    Pin = 1,

    /// <summary>Somebody is making the entry.</summary>
    Own = 2,

    /// <summary>Somebody is deleting or evicting the entry.</summary>
    Condemn = 3,
}

/// <summary>Value of a slot word.</summary>
/// <remarks><code>
///  63         32 31  28 27     0
/// |  generation | kind  | entry |    0 = free
/// </code></remarks>
internal readonly record struct SlotWord(ulong Value)
{
    internal SlotWord(SlotKind kind, uint generation, uint entry)
        : this(((ulong)generation << 32) | ((ulong)kind << 28) | entry)
    {
    }

    internal SlotKind Kind => (SlotKind)((uint)Value >> 28);

    internal uint Entry => (uint)Value & 0x0FFFFFFF;

    internal uint Generation => (uint)(Value >> 32);
}

/// <summary>Owner of a block as the allocator sees it: generation 32 | entry + 1 32.</summary>
internal static class BlockOwner
{
    internal static ulong Of(uint generation, uint entry) => ((ulong)generation << 32) | (entry + 1);

    internal static uint GenerationOf(ulong owner) => (uint)(owner >> 32);

    internal static uint EntryOf(ulong owner) => (uint)owner - 1;
}
