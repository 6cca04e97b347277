using System.Diagnostics;
using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Native;
using FastPlasma.Participants;
using FastPlasma.Waiting;

namespace FastPlasma.Nodes;

/// <summary>A request of this attachment: record, sequence, and whether the record is kept.</summary>
internal readonly record struct NodeTicket(int Record, uint Sequence, bool IsKept)
{
    internal bool IsSome => Sequence != 0;
}

/// <summary>The requesters' side: this attachment's request records, and the node service's doorbell.</summary>
/// <remarks>
/// Records are shared by all threads of the attachment, under a lock of the process. Most may be kept by one wait each, so that it learns what the service says; the others serve requests that are over for the record
/// as soon as the service has taken them. Such a request carries a lease instead of a far deadline, and is asked again at half of it, because nobody could tell the service that it is no longer wanted.
/// The service cannot write to the records of readers of other users: there a kept record stays Asked until its wait ends, and one that is not kept serves again after a slice.
/// </remarks>
internal sealed unsafe class NodeMailbox
{
    internal const int LeaseMs = 20_000, RenewMs = LeaseMs / 2;

    /// <summary>So many records may be kept at a time; the rest is for requests that pass through.</summary>
    internal const int KeptMax = ParticipantBlock.RequestCount * 3 / 4;

    private readonly StoreHeader* _header;
    private readonly NodeRecord* _records;
    private readonly ulong* _doorbell;
    private readonly WaitWords _waits;
    private readonly bool _canRing;
    private readonly Lock _lock = new();
    private readonly bool[] _kept = new bool[ParticipantBlock.RequestCount];
    private readonly long[] _askedAtMs = new long[ParticipantBlock.RequestCount];
    private int _keptCount;
    private int _next;

    internal NodeMailbox(StoreMemory memory, ParticipantTable participants, WaitWords waits)
    {
        _header = memory.Header;
        _records = ParticipantTable.Requests(participants.Own);
        _doorbell = memory.Wait(WaitWord.DoorbellIndex);
        _waits = waits;
        _canRing = memory.CanWriteWaits;
        IsReadOnly = participants.Domain != 0;
    }

    /// <summary>The store's node service now; a load.</summary>
    internal NodeServiceWord Service => new(Volatile.Read(ref _header->NodeService)); // OBSERVE node service: one that is missed is met a slice later.

    /// <summary>Whether the service can only read this attachment's records.</summary>
    internal bool IsReadOnly { get; }

    /// <summary>Makes a request, without ringing; false when no record can be had now.</summary>
    internal bool TryAsk(in ObjectId id, Deadline deadline, NodePriority priority, bool keep, out NodeTicket ticket)
    {
        lock (_lock)
        {
            keep &= _keptCount < KeptMax;
            long now = Stopwatch.GetTimestamp();
            for (int i = 0; i < ParticipantBlock.RequestCount; i++)
            {
                int r = (_next + i) % ParticipantBlock.RequestCount;
                NodeRecord* record = _records + r;
                var word = new NodeRecordWord(Volatile.Read(ref record->Word));
                if (_kept[r] || (word.State == NodeRecordState.Asked && !MayReplace(r, word, priority, now)))
                    continue;

                // To Free first: the service takes a request by an exchange on the word that it read before id and deadline.
                NodeRecordWord free = word.AsFree;
                if (word != free && Interlocked.CompareExchange(ref record->Word, free.Value, word.Value) != word.Value)
                    continue; // Taken at this moment: it is free next time.
                record->Id = id;
                record->Deadline = keep ? deadline.At : Math.Min(deadline.At, now + LeaseMs * (Stopwatch.Frequency / 1000));
                uint sequence = free.Sequence == uint.MaxValue ? 1 : free.Sequence + 1;
                _askedAtMs[r] = Environment.TickCount64;
                if (keep)
                {
                    _kept[r] = true;
                    _keptCount++;
                }
                _next = r + 1;

                // PUBLISH asked: full fence; id and deadline before it, the look at the doorbell after it. OBSERVE in NodeRequests.
                Interlocked.Exchange(ref record->Word, new NodeRecordWord(sequence, (int)priority, keep).Value);
                // CRASH node-asked: nobody has rung; the service looks every slice, until the requester is recovered.
                FailPoint.Pass("node-asked");
                ticket = new NodeTicket(r, sequence, keep);
                return true;
            }
            ticket = default;
            return false;
        }
    }

    /// <summary>Wakes the service, after requests or their end.</summary>
    internal void Ring()
    {
        if (_canRing)
            _waits.Wake(_doorbell);
        else
            Futex.WakeAll((uint*)_doorbell); // Without the sequence: a service that is about to sleep sleeps a slice.
    }

    internal NodeRecordWord WordOf(NodeTicket ticket) => new(Volatile.Read(ref _records[ticket.Record].Word));

    /// <summary>A request is over for its requester. One that was not kept is taken back only if nobody has taken it. True when the service had not answered it.</summary>
    internal bool End(NodeTicket ticket)
    {
        if (!ticket.IsSome)
            return false;
        lock (_lock)
        {
            ref ulong place = ref _records[ticket.Record].Word;
            bool open = false;
            for (var word = new NodeRecordWord(Volatile.Read(ref place)); word.Sequence == ticket.Sequence; word = new NodeRecordWord(Volatile.Read(ref place)))
            {
                // Ends: the service moves a request at most from Asked to Taken, and says so much of it while it is wanted.
                if (word.State == NodeRecordState.Free || (!ticket.IsKept && word.State != NodeRecordState.Asked))
                    break;
                if (Interlocked.CompareExchange(ref place, word.AsFree.Value, word.Value) != word.Value)
                    continue;
                open = word.State != NodeRecordState.Answered;
                break;
            }
            if (ticket.IsKept)
            {
                _kept[ticket.Record] = false;
                _keptCount--;
            }
            return open;
        }
    }

    /// <summary>Whether a request that nobody has taken yet, and that no wait keeps, gives way to another.</summary>
    private bool MayReplace(int record, NodeRecordWord word, NodePriority priority, long now) =>
        (word.Priority == (int)NodePriority.Prefetch && priority > NodePriority.Prefetch)
        || now >= _records[record].Deadline
        || (IsReadOnly && Environment.TickCount64 - _askedAtMs[record] >= WaitWords.SliceMs);

    /// <summary>By an attacher, under its token, before it says that it is there: what the last owner of the place has asked. Sequences go on.</summary>
    internal static void EmptyRecords(ParticipantBlock* block)
    {
        NodeRecord* records = ParticipantTable.Requests(block);
        for (int r = 0; r < ParticipantBlock.RequestCount; r++)
        {
            var word = new NodeRecordWord(Volatile.Read(ref records[r].Word));
            if (word != word.AsFree)
                Interlocked.Exchange(ref records[r].Word, word.AsFree.Value);
        }
    }

    /// <summary>The participant serves nobody any more: by itself, or by its recoverer. Another service has another word.</summary>
    internal static void ForgetService(StoreHeader* header, int participant)
    {
        var word = new NodeServiceWord(Volatile.Read(ref header->NodeService));
        if (word.Participant == participant)
            Interlocked.CompareExchange(ref header->NodeService, word.WithNobody.Value, word.Value);
    }
}
