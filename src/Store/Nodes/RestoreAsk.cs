using FastPlasma.Format;
using FastPlasma.Native;
using FastPlasma.Waiting;

namespace FastPlasma.Nodes;

/// <summary>One wait's request to the writers of the store: bring an object back from disk. For attachments that cannot write.</summary>
/// <remarks>Nobody takes such a request: each writer's spiller looks at it while it stands, and brings the object as often as it is away. So nothing is lost when a writer dies, and nothing is written to the records of other users.</remarks>
internal struct RestoreAsk
{
    /// <summary>How often the writers are rung again, in milliseconds.</summary>
    private const int RingMs = 1000;

    private NodeTicket _ticket;
    private long _rungAtMs;

    /// <summary>To be called before each sleep of the wait. Null while there is hope, else why a writer could not bring it.</summary>
    internal unsafe string? Look(NodeMailbox box, ulong* doorbell, WaitWords waits, in ObjectId id, Deadline deadline)
    {
        long now = Environment.TickCount64;
        if (_ticket.IsSome)
        {
            NodeRecordWord word = box.WordOf(_ticket);
            if (word.Sequence != _ticket.Sequence)
            {
                _ticket = default; // It was not kept, and its lease is over.
            }
            else if (word.State == NodeRecordState.Answered && !box.IsReadOnly)
            {
                string reason = Describe((RestoreAnswer)word.Answer);
                End(box);
                return reason;
            }
        }
        bool isNew = !_ticket.IsSome && box.TryAsk(id, deadline, NodePriority.Restore, keep: true, out _ticket); // If no record is free, the next look tries again.
        if (isNew || now - _rungAtMs >= RingMs)
        {
            _rungAtMs = now;
            if (box.IsReadOnly)
                Futex.WakeAll((uint*)doorbell); // Without the sequence: a spiller that is about to sleep sleeps a slice.
            else
                waits.Wake(doorbell);
        }
        return null;
    }

    /// <summary>The wait is over.</summary>
    internal void End(NodeMailbox box)
    {
        box.End(_ticket);
        _ticket = default;
    }

    private static string Describe(RestoreAnswer answer) => answer switch
    {
        RestoreAnswer.Unreadable => "a writer of the store could not read its copy on disk",
        _ => $"a writer of the store answered with code {(int)answer}",
    };
}

/// <summary>Why a writer could not bring an object.</summary>
internal enum RestoreAnswer : byte
{
    /// <summary>None yet.</summary>
    None = 0,

    /// <summary>The copy on disk is missing, damaged, or cannot be read.</summary>
    Unreadable = 1,
}
