using System.Diagnostics;
using System.Runtime.CompilerServices;
using FastPlasma.Format;
using FastPlasma.Waiting;

namespace FastPlasma.Nodes;

/// <summary>What is known of an object that did not come in time, from the node service: an answer of it, or one of these.</summary>
internal static class NodeReason
{
    internal const int Unknown = 0, NotAsked = -1, NotTaken = -2, Looking = -3, Gone = -4;

    /// <summary>Clause for a message; null when nothing is known.</summary>
    internal static string? Describe(int reason) => reason switch
    {
        Unknown => null,
        NotAsked => "the node service could not be asked, because all requests of this attachment are waiting for it",
        NotTaken => "the node service has not taken the request",
        Looking => "the node service has not found it yet",
        Gone => "the node service has ended",
        _ => $"the node service says: {Describe((NodeAnswer)reason)}",
    };

    private static string Describe(NodeAnswer answer) => answer switch
    {
        NodeAnswer.Fetched => "it was fetched",
        NodeAnswer.NotFound => "no node has it",
        NodeAnswer.DirectoryUnreachable => "the directory cannot be reached",
        NodeAnswer.NoSpace => "this store has no room for it",
        NodeAnswer.SourceLost => "the node that sent it was lost",
        NodeAnswer.TimedOut => "it did not arrive in time",
        NodeAnswer.TooLarge => "it can never fit into this store",
        NodeAnswer.Damaged => "it arrived damaged",
        NodeAnswer.Refused => "the node that has it refused to send it",
        NodeAnswer.Stopping => "it is stopping",
        _ => $"code {(int)answer}",
    };
}

/// <summary>One wait's request for one object: made as soon as there is a service, and again when another service has come that does not know of it.</summary>
internal struct NodeAsk
{
    private NodeTicket _ticket;
    private ulong _service;
    private long _askedAtMs;

    /// <summary>To be called before each sleep of the wait: a load when there is no service.</summary>
    internal void Look(NodeMailbox box, in ObjectId id, Deadline deadline, NodePriority priority)
    {
        NodeServiceWord service = box.Service;
        if (service.IsThere)
            LookAt(service, box, id, deadline, priority);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void LookAt(NodeServiceWord service, NodeMailbox box, in ObjectId id, Deadline deadline, NodePriority priority)
    {
        long now = Environment.TickCount64;
        if (_ticket.IsKept)
        {
            // A new service takes over what an older one had taken and not answered. Of one that can only read, nobody knows.
            NodeRecordWord word = box.WordOf(_ticket);
            if (word.State == NodeRecordState.Answered ? word.Service == service.Mark : !box.IsReadOnly || now - _askedAtMs < NodeMailbox.RenewMs)
                return;
        }
        else if (_askedAtMs != 0 && service.Value == _service && now - _askedAtMs < NodeMailbox.RenewMs)
        {
            return;
        }
        box.End(_ticket);
        _askedAtMs = 0; // If no record is free, the next look tries again.
        if (!box.TryAsk(id, deadline, priority, keep: true, out _ticket))
            return;
        (_service, _askedAtMs) = (service.Value, now);
        box.Ring();
    }

    /// <summary>The wait is over. Who gave up tells the service, which may be at work for it.</summary>
    internal void End(NodeMailbox box, bool found)
    {
        if (_ticket.IsSome && box.End(_ticket) && !found)
            box.Ring();
        _ticket = default;
    }

    /// <summary>A number of <see cref="NodeReason"/>, while the request is still open.</summary>
    internal readonly int Reason(NodeMailbox box)
    {
        bool isThere = box.Service.IsThere;
        if (_askedAtMs == 0 || box.IsReadOnly || !_ticket.IsKept)
            return isThere && _askedAtMs == 0 ? NodeReason.NotAsked : NodeReason.Unknown;
        NodeRecordWord word = box.WordOf(_ticket);
        if (word.Answer != 0)
            return word.Answer;
        return !isThere ? NodeReason.Gone : word.State == NodeRecordState.Asked ? NodeReason.NotTaken : NodeReason.Looking;
    }
}

/// <summary>The requests of a wait for many objects: one after the other through the records that are free, and all that are not there again when there is another service or leases run out.</summary>
internal sealed class NodeAsks(PlasmaStore store, NodePriority priority, Deadline deadline) : IDisposable
{
    /// <summary>How long a service that runs needs to take what it was asked, and less than a sleep costs.</summary>
    private const int SpinMicroseconds = 100;

    private readonly NodeMailbox _box = store.Mailbox;
    private uint[]? _sequences; // Of this wait's last request in each record.
    private int _cursor;
    private ulong _service;
    private long _startedAtMs;
    private int _pauseMs = 1;

    /// <summary>Requests made.</summary>
    internal int Count { get; private set; }

    /// <summary>Asks for what comes next and is not in the store. Returns the longest sleep before the next call, in milliseconds.</summary>
    /// <param name="ids">The same in each call.</param>
    /// <param name="nextSame">As long, or empty: not -1 for an id that comes again before.</param>
    internal int Pump(ReadOnlySpan<ObjectId> ids, ReadOnlySpan<int> nextSame)
    {
        NodeServiceWord service = _box.Service;
        if (!service.IsThere)
            return WaitWords.SliceMs;
        long now = Environment.TickCount64;
        if (service.Value != _service || now - _startedAtMs >= NodeMailbox.RenewMs)
            (_service, _startedAtMs, _cursor, _sequences) = (service.Value, now, 0, _sequences ?? new uint[ParticipantBlock.RequestCount]);
        return _cursor == ids.Length ? WaitWords.SliceMs : Ask(ids, nextSame);
    }

    private int Ask(ReadOnlySpan<ObjectId> ids, ReadOnlySpan<int> nextSame)
    {
        int before = Count;
        bool rung = true;
        long spinUntil = 0;
        while (_cursor < ids.Length) // Ends: each round asks for one, or passes one over, or spins for a bounded time after the last one.
        {
            if ((!nextSame.IsEmpty && nextSame[_cursor] >= 0) || store.ContainsCore(ids[_cursor]))
            {
                _cursor++;
                continue;
            }
            if (_box.TryAsk(ids[_cursor], deadline, priority, keep: false, out NodeTicket ticket))
            {
                _sequences![ticket.Record] = ticket.Sequence;
                _cursor++;
                Count++;
                rung = false;
                continue;
            }
            if (!rung)
            {
                _box.Ring();
                rung = true;
                spinUntil = Stopwatch.GetTimestamp() + SpinMicroseconds * Stopwatch.Frequency / 1_000_000;
            }
            if (_box.IsReadOnly || Stopwatch.GetTimestamp() >= spinUntil)
                break;
            Thread.Yield();
        }
        if (!rung)
            _box.Ring();
        _pauseMs = Count != before ? 1 : Math.Min(_pauseMs * 2, WaitWords.SliceMs); // A service that stands still is not asked a thousand times a second.
        return _cursor == ids.Length || _box.IsReadOnly ? WaitWords.SliceMs : _pauseMs;
    }

    /// <summary>Takes back what nobody has taken.</summary>
    public void Dispose()
    {
        for (int r = 0; _sequences is not null && r < _sequences.Length; r++)
            _box.End(new NodeTicket(r, _sequences[r], IsKept: false));
    }
}
