using System.Runtime.CompilerServices;

namespace FastPlasma.Format;

/// <summary>Value of an entry's state word.</summary>
/// <remarks><code>
///  63         32 31     20 19         8 7     4 3     0
/// |  generation | flags 2 | participant | state | flags |
/// </code>generation: incarnation of the entry, from 1; an entry whose generation is used up is never taken again. participant: who took the entry, and later who unloaded or restored it last
/// (kept until it is Free). flags 2: more flags. Every change is one compare-exchange; a change to Aborted or Condemned alters the state nibble only.</remarks>
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

    /// <summary>May be moved to disk when memory is short, and comes back when it is wanted. Set by its creator, in a store with a place to spill to.</summary>
    internal const ulong MovableFlag = 1UL << 21;

    /// <summary>The entry's ExpiresAt counts: from then on the object is gone. Set by its creator before Sealed.</summary>
    internal const ulong ExpiresFlag = 8;

    /// <summary>Objects that a search for victims finds.</summary>
    internal const ulong CandidateMask = EvictableFlag | MovableFlag;

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

    internal bool IsMovable => (Value & MovableFlag) != 0;

    /// <summary>Whether it is in the map of candidates (<see cref="PolicyLayout"/>) while it is there.</summary>
    internal bool IsCandidate => (Value & CandidateMask) != 0;

    internal bool Expires => (Value & ExpiresFlag) != 0;

    internal bool IsReplica => (Value & ReplicaFlag) != 0;

    internal bool HasChecksum => (Value & ChecksumFlag) != 0;

    internal StateWord With(ObjectState state) => new((Value & ~StateMask) | ((ulong)state << StateShift));

    /// <summary>The same entry in a state that is in the hands of one participant.</summary>
    internal StateWord With(ObjectState state, int participant) => new((Value & ~(StateMask | ParticipantMask)) | ((ulong)(uint)participant << ParticipantShift) | ((ulong)state << StateShift));

    /// <summary>Whether the word says <paramref name="state"/> in generation <paramref name="generation"/>.</summary>
    internal bool Is(ObjectState state, uint generation) => State == state && Generation == generation;

    /// <summary>Whether the word says <paramref name="state"/> in generation <paramref name="generation"/>, in the hands of <paramref name="participant"/>.</summary>
    internal bool Is(ObjectState state, uint generation, int participant) => State == state && Generation == generation && Participant == participant;

    /// <summary>Whether the word says Sealed in generation <paramref name="generation"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool IsSealed(uint generation) =>
        (Value & (StateMask | (0xFFFFFFFFUL << GenerationShift))) == (((ulong)generation << GenerationShift) | ((ulong)ObjectState.Sealed << StateShift));

    /// <summary>States in which the id counts as taken.</summary>
    internal bool IsCommitted => State == ObjectState.Creating || IsPresent;

    /// <summary>States of an object that is sealed, in memory, on disk or between: what contains, waits, lists and deletes mean by "there".</summary>
    internal bool IsPresent => (PresentStates >> (int)State & 1) != 0;

    private const uint PresentStates = 1u << (int)ObjectState.Sealed | 1u << (int)ObjectState.Unloading | 1u << (int)ObjectState.Emptying | 1u << (int)ObjectState.Spilled | 1u << (int)ObjectState.Restoring;

    /// <summary>Whether the object is there and its bytes cannot be pinned at this moment.</summary>
    internal bool IsAway => State != ObjectState.Sealed && IsPresent;

    /// <summary>Whether the entry's block holds, or may hold, memory: of an object on disk only the place is left where it was.</summary>
    internal bool HasMemory => State is not (ObjectState.Free or ObjectState.Spilled);

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

    /// <summary>Somebody is taking the entry's memory away; keeps nothing, so an unloader's own announcement is no reader in its scan.</summary>
    Unload = 4,

    /// <summary>Somebody writes the entry's bytes to disk: reads them like a pin, and has claimed the entry's spill word.</summary>
    Copy = 5,

    /// <summary>Somebody brings the entry's bytes back from disk: keeps it from being freed like a pin, which it becomes.</summary>
    Restore = 9,
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

    /// <summary>Without it the words of all kinds that keep an entry's memory (Pin, Copy, Restore) are the same, so that a scan compares once.</summary>
    internal const ulong KeepingMask = ~(0xCUL << 28);

    /// <summary>Whether the entry is not to be freed or unloaded while this stands.</summary>
    internal bool Keeps => ((uint)Value >> 28 & 3) == (uint)SlotKind.Pin;

    internal const byte CheckKeepingKinds = ((int)SlotKind.Copy & 3) == (int)SlotKind.Pin && ((int)SlotKind.Restore & 3) == (int)SlotKind.Pin && ((int)SlotKind.Unload & 3) != (int)SlotKind.Pin
        && ((int)SlotKind.Own & 3) != (int)SlotKind.Pin && ((int)SlotKind.Condemn & 3) != (int)SlotKind.Pin ? 0 : -1;
}

/// <summary>Owner of a block as the allocator sees it: generation 32 | entry + 1 32.</summary>
internal static class BlockOwner
{
    internal static ulong Of(uint generation, uint entry) => ((ulong)generation << 32) | (entry + 1);

    internal static uint GenerationOf(ulong owner) => (uint)(owner >> 32);

    internal static uint EntryOf(ulong owner) => (uint)owner - 1;
}
