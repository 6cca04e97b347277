using System.Runtime.InteropServices;

namespace FastPlasma.Format;

/// <summary>Value of the header's word NodeService: which participant serves this store's node.</summary>
/// <remarks><code>
///  63            12 11                 0
/// |  generation    | participant + 1    |    low bits 0 = nobody
/// </code>The generation counts services and stays when one leaves, so that who has asked one knows that it was another.</remarks>
internal readonly record struct NodeServiceWord(ulong Value)
{
    internal const int GenerationShift = 12;
    internal const ulong ParticipantMask = (1UL << GenerationShift) - 1;
    internal const byte CheckParticipantsFit = StateWord.ParticipantCountMax <= 1 << GenerationShift ? 0 : -1;

    internal NodeServiceWord(ulong generation, int participant)
        : this((generation << GenerationShift) | ((ulong)(uint)participant + 1))
    {
    }

    internal bool IsThere => (Value & ParticipantMask) != 0;

    internal int Participant => (int)(Value & ParticipantMask) - 1;

    internal ulong Generation => Value >> GenerationShift;

    /// <summary>What records carry of the generation; it comes again after 65,536 services, when nobody remembers the first.</summary>
    internal ushort Mark => (ushort)Generation;

    internal NodeServiceWord WithNobody => new(Value & ~ParticipantMask);
}

/// <summary>State of a request to the node service.</summary>
internal enum NodeRecordState
{
    /// <summary>Nobody asks; the requester may.</summary>
    Free = 0,

    /// <summary>The service is to take it.</summary>
    Asked = 1,

    /// <summary>The service whose mark is in the word works on it.</summary>
    Taken = 2,

    /// <summary>The service has done what it will do; the requester may still wait for the object.</summary>
    Answered = 3,
}

/// <summary>Value of a request record's word.</summary>
/// <remarks><code>
///  63      32 31      16 15     8  7    6  5      4 3     0
/// | sequence | service  | answer | 0 | kept | priority | state |
/// </code>sequence: rises with each request of the record, over all participants that have the place, so no request's word comes twice. service: mark of who has taken it. answer: the last thing that it said
/// (NodeAnswer; of a priority Restore a RestoreAnswer), also while Taken. kept: the requester leaves the record alone until it no longer wants the object; a record that is not kept serves the next request as soon as it is Taken.</remarks>
internal readonly record struct NodeRecordWord(ulong Value)
{
    internal const int PriorityShift = 4, KeptShift = 6, AnswerShift = 8, ServiceShift = 16, SequenceShift = 32;
    internal const ulong StateMask = 0xF, PriorityMask = 3UL << PriorityShift, AnswerMask = 0xFFUL << AnswerShift, ServiceMask = 0xFFFFUL << ServiceShift;

    /// <summary>A new request.</summary>
    internal NodeRecordWord(uint sequence, int priority, bool kept)
        : this(((ulong)sequence << SequenceShift) | ((ulong)(uint)priority << PriorityShift) | (kept ? 1UL << KeptShift : 0) | (ulong)NodeRecordState.Asked)
    {
    }

    internal uint Sequence => (uint)(Value >> SequenceShift);

    internal ushort Service => (ushort)(Value >> ServiceShift);

    internal byte Answer => (byte)(Value >> AnswerShift);

    internal int Priority => (int)((Value & PriorityMask) >> PriorityShift);

    internal bool IsKept => (Value & (1UL << KeptShift)) != 0;

    internal NodeRecordState State => (NodeRecordState)(Value & StateMask);

    internal NodeRecordWord AsFree => new((ulong)Sequence << SequenceShift);

    internal NodeRecordWord With(NodeRecordState state, ushort service, byte answer) =>
        new((Value & ~(StateMask | ServiceMask | AnswerMask)) | ((ulong)service << ServiceShift) | ((ulong)answer << AnswerShift) | (ulong)state);
}

/// <summary>One request of a participant to its store's node service, in the participant's block.</summary>
/// <remarks><code>
/// off bytes field     written by                                       read by
///   0    8  Word      requester: to Free, to Asked; service: Asked to Taken, Taken to Answered    both; compare-exchange where both may write
///   8    8  Deadline  requester, in Free                               service, validating Word
///  16   28  Id        requester, in Free                               service, validating Word
///  44   20  reserved, 0
/// </code>Deadline is a time of CLOCK_MONOTONIC in nanoseconds, which all processes of a machine share except those in another time namespace (time_namespaces(7)): from there it is off by the difference
/// of the clocks, and the service gives up that much too early or too late. long.MaxValue is none.</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal struct NodeRecord
{
    internal const int SizeBytes = 64;
    [FieldOffset(0)] internal ulong Word;
    [FieldOffset(8)] internal long Deadline;
    [FieldOffset(16)] internal ObjectId Id;
}
