using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Native;
using FastPlasma.Participants;

namespace FastPlasma.Waiting;

/// <summary>The store's ring of seal, delete and evict events: bounded, overwritten by the newest, never waited for by a publisher.</summary>
internal sealed unsafe class EventRing
{
    private readonly StoreMemory _memory;
    private readonly WaitWords _waits;
    private readonly SlotScan _scan;
    private readonly ulong* _followed;
    private readonly int _participant;
    private readonly ulong _mask;

    internal EventRing(StoreMemory memory, WaitWords waits, SlotScan scan, int participant)
    {
        (_memory, _waits, _scan, _participant) = (memory, waits, scan, participant);
        _followed = memory.Wait(WaitWord.FollowedIndex);
        _mask = (ulong)memory.Geometry.EventCapacity - 1;
    }

    /// <summary>Last ticket given out. Only what fits into a slot's word, so that a damaged head cannot lead a cursor in a circle.</summary>
    internal ulong Head => Volatile.Read(ref *_memory.RingHead) & EventSlot.TicketMask;

    internal ulong* WaitWordOfRing => _memory.Wait(WaitWord.RingIndex);

    internal int Capacity => _memory.Geometry.EventCapacity;

    /// <summary>Says that somebody follows the ring, before he reads its head or looks at anything. Readers of other users cannot; who has admitted any publishes everything.</summary>
    /// <remarks>Also called before each sleep, in case somebody has damaged the word.</remarks>
    internal void Follow()
    {
        // PUBLISH followed: full fence. OBSERVE in Publish: either a publisher sees the mark, or its change came before it and the follower's first look sees that. A mark that is there already was
        // written after every change that missed it, so who reads it sees those changes; writing it again would only take the line away from all publishers.
        if (_memory.CanWriteWaits && Volatile.Read(ref *_followed) == 0)
            Interlocked.Exchange(ref *_followed, 1);
    }

    /// <summary>Announces a change that is already visible, after a full fence, if anybody may follow. Drops the event when the slot is held by another, which readers count as lost.</summary>
    internal void Publish(PlasmaEventKind kind, in ObjectId id, long payloadBytes, int metadataBytes, ulong incarnation)
    {
        // OBSERVE followed: two processes that share nothing else would write to the ring's lines in turns, for nobody.
        if (Volatile.Read(ref *_followed) == 0 && !_scan.HasForeignDomains)
            return;

        // CRASH event-ticket: a hole that readers give up on after a bounded wait.
        ulong ticket = Interlocked.Increment(ref *_memory.RingHead) & EventSlot.TicketMask;
        FailPoint.Pass("event-ticket");
        EventSlot* slot = _memory.RingSlots + (ticket & _mask);
        ulong old = Volatile.Read(ref slot->Word);
        if (EventSlot.PhaseOf(old) != EventSlot.PhaseBusy && EventSlot.TicketOf(old) < ticket
            && Interlocked.CompareExchange(ref slot->Word, EventSlot.Pack(ticket, _participant, EventSlot.PhaseBusy), old) == old)
        {
            // CRASH event-busy: recovery makes the slot void.
            FailPoint.Pass("event-busy");
            slot->Kind = (int)kind;
            slot->MetadataBytes = metadataBytes;
            slot->PayloadBytes = payloadBytes;
            slot->Id = id;
            slot->Incarnation = incarnation;

            // PUBLISH event: full fence, so that the read of the wait word below comes after it. OBSERVE in TryRead.
            Interlocked.Exchange(ref slot->Word, EventSlot.Pack(ticket, _participant, EventSlot.PhaseComplete));
        }
        _waits.Wake(WaitWordOfRing);
    }

    /// <summary>What a look at one ticket found.</summary>
    internal enum Look
    {
        /// <summary>The event.</summary>
        Found,

        /// <summary>Not there yet; perhaps never.</summary>
        Pending,

        /// <summary>Overwritten or given up.</summary>
        Lost,
    }

    /// <summary>Reads the event of <paramref name="ticket"/>, which is at most <see cref="Head"/>.</summary>
    internal Look TryRead(ulong ticket, out PlasmaEvent e, out ulong incarnation)
    {
        EventSlot* slot = _memory.RingSlots + (ticket & _mask);
        ulong word = Volatile.Read(ref slot->Word);
        e = default;
        incarnation = 0;
        if (EventSlot.TicketOf(word) > ticket)
            return Look.Lost;
        if (EventSlot.TicketOf(word) < ticket)
            return EventSlot.PhaseOf(word) == EventSlot.PhaseBusy ? Look.Lost : Look.Pending; // Held by an older ticket: ours was dropped.
        if (EventSlot.PhaseOf(word) == EventSlot.PhaseVoid)
            return Look.Lost;
        if (EventSlot.PhaseOf(word) != EventSlot.PhaseComplete)
            return Look.Pending;
        e = new PlasmaEvent((PlasmaEventKind)slot->Kind, slot->Id, slot->PayloadBytes, slot->MetadataBytes, (long)ticket);
        incarnation = slot->Incarnation;
        Volatile.ReadBarrier(); // OBSERVE event: the fields are read before the word is read again; else they could be a newer event's.
        return Volatile.Read(ref slot->Word) == word ? Look.Found : Look.Lost;
    }

    /// <summary>Slots that a dead participant was writing.</summary>
    internal void Recover(int participant)
    {
        for (int i = 0; i < Capacity; i++)
        {
            EventSlot* slot = _memory.RingSlots + i;
            ulong word = Volatile.Read(ref slot->Word);
            if (EventSlot.PhaseOf(word) == EventSlot.PhaseBusy && EventSlot.ParticipantOf(word) == participant)
                Interlocked.CompareExchange(ref slot->Word, EventSlot.Pack(EventSlot.TicketOf(word), participant, EventSlot.PhaseVoid), word);
        }
    }
}

/// <summary>A reader's place in the ring.</summary>
internal struct EventCursor
{
    /// <summary>Longest wait for events that were begun and not finished, over one pass.</summary>
    private const int PendingMaxMs = 10;

    private readonly EventRing _ring;
    private ulong _next;
    private long _pendingSinceMs;

    internal EventCursor(EventRing ring)
    {
        _ring = ring;
        ring.Follow();
        _next = ring.Head + 1;
        _pendingSinceMs = -1;
    }

    /// <summary>Events that were overwritten or never finished. A reader that needs completeness looks at everything again when this changes.</summary>
    internal long Lost { get; private set; }

    /// <summary>Next event; false when there is none now.</summary>
    /// <param name="e">The event.</param>
    /// <param name="pending">Whether one was begun that is not finished: the caller looks again soon instead of sleeping long.</param>
    internal bool TryNext(out PlasmaEvent e, out bool pending) => TryNext(out e, out _, out pending);

    /// <inheritdoc cref="TryNext(out PlasmaEvent, out bool)"/>
    internal bool TryNext(out PlasmaEvent e, out ulong incarnation, out bool pending)
    {
        pending = false;
        incarnation = 0;
        while (true) // Ends: _next only rises, and at most one ring's length of tickets can be found.
        {
            ulong head = _ring.Head;
            if (_next > head)
            {
                if (_next > head + 1)
                {
                    _next = head + 1; // The head never falls by itself: somebody has damaged it, and what came between is not known.
                    Lost++;
                }
                e = default;
                return false;
            }
            if (head - _next >= (ulong)_ring.Capacity)
            {
                ulong oldest = head - (ulong)_ring.Capacity + 1;
                Lost += (long)(oldest - _next);
                _next = oldest;
            }
            switch (_ring.TryRead(_next, out e, out incarnation))
            {
                case EventRing.Look.Found:
                    _next++;
                    _pendingSinceMs = -1;
                    return true;
                case EventRing.Look.Lost:
                    Lost++;
                    _next++;
                    _pendingSinceMs = -1;
                    continue;
                default:
                    long now = Environment.TickCount64;
                    if (_pendingSinceMs < 0)
                        _pendingSinceMs = now;
                    if (now - _pendingSinceMs < PendingMaxMs)
                    {
                        pending = true;
                        return false;
                    }
                    // Whoever began it is stopped or dead. Skip all that is unfinished up to here in one go: one budget per pass, not per hole.
                    while (_next <= head && _ring.TryRead(_next, out _, out _) != EventRing.Look.Found)
                    {
                        Lost++;
                        _next++;
                    }
                    _pendingSinceMs = -1;
                    continue;
            }
        }
    }
}
