using FastPlasma.Files;
using FastPlasma.Format;
using FastPlasma.Participants;

namespace FastPlasma.Waiting;

/// <summary>Who waits for space, in the order of arrival. The order is a preference: whoever is not first lets the first one have a millisecond when space is offered, and then takes it.</summary>
/// <remarks>So a large request that nothing yet fits does not keep small ones waiting, and a stopped or dead one nobody for long. Creates that find room at once do not look here.</remarks>
internal sealed unsafe class SpaceQueue(StoreMemory memory, ParticipantTable participants)
{
    /// <summary>How long the first one has for what is offered.</summary>
    internal const int PassMs = 1;

    /// <summary>Enters with the highest ticket; -1 when the queue is full, and then the caller waits without an order.</summary>
    internal int Enter(long bytes, out ulong word)
    {
        for (int attempt = 0; attempt < PolicyLayout.WaiterCount; attempt++) // Each lost exchange is another's entry.
        {
            ulong highest = 0;
            int place = -1;
            for (int i = 0; i < PolicyLayout.WaiterCount; i++)
            {
                ulong other = Volatile.Read(ref memory.Waiters[i].Word);
                highest = Math.Max(highest, other >> SpaceWaiter.TicketShift);
                if (other == 0 && place < 0)
                    place = i;
            }
            if (place < 0)
                break;
            // A ticket above all that wait; two that enter at once may get the same, and then neither is behind the other.
            word = SpaceWaiter.Pack(highest + 1, participants.Index);
            SpaceWaiter* waiter = memory.Waiters + place;
            // PUBLISH waiter: full fence. OBSERVE in IsBehindAnother, where a late look costs one who is before us his millisecond.
            if (Interlocked.CompareExchange(ref waiter->Word, word, 0) != 0)
                continue;
            // CRASH space-waiting: a waiter that nobody is; the recovery of its participant takes it away, and until then it costs the others a millisecond each time.
            Native.FailPoint.Pass("space-waiting");
            waiter->Bytes = bytes;
            waiter->Since = CoarseClock.UtcTicks;
            return place;
        }
        word = 0;
        return -1;
    }

    internal void Leave(int place, ulong word)
    {
        if (place >= 0)
            Interlocked.CompareExchange(ref memory.Waiters[place].Word, 0, word);
    }

    /// <summary>Whether somebody who waits has come before.</summary>
    internal bool IsBehindAnother(int place, ulong word)
    {
        for (int i = 0; place >= 0 && i < PolicyLayout.WaiterCount; i++)
        {
            ulong other = Volatile.Read(ref memory.Waiters[i].Word); // OBSERVE waiter.
            if (i != place && other != 0 && other >> SpaceWaiter.TicketShift < word >> SpaceWaiter.TicketShift)
                return true;
        }
        return false;
    }

    /// <summary>Takes a dead participant's entries away.</summary>
    internal static void Recover(StoreMemory memory, int participant)
    {
        for (int i = 0; i < PolicyLayout.WaiterCount; i++)
        {
            ulong word = Volatile.Read(ref memory.Waiters[i].Word);
            if (word != 0 && SpaceWaiter.ParticipantOf(word) == participant)
                Interlocked.CompareExchange(ref memory.Waiters[i].Word, 0, word);
        }
    }

    /// <summary>Who waits now: how many, for how many bytes, and since when the first of them, in UTC ticks.</summary>
    internal static (int Count, long Bytes, long Since) Sum(StoreMemory memory)
    {
        (int count, long bytes, long since) = (0, 0, long.MaxValue);
        for (int i = 0; i < PolicyLayout.WaiterCount; i++)
        {
            SpaceWaiter waiter = memory.Waiters[i];
            if (waiter.Word == 0)
                continue;
            count++;
            bytes += Math.Max(waiter.Bytes, 0);
            since = Math.Min(since, waiter.Since);
        }
        return (count, bytes, count == 0 ? 0 : since);
    }
}
