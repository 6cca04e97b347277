using FastPlasma.Format;
using FastPlasma.Participants;
using FastPlasma.Reclaim;

namespace FastPlasma;

public sealed unsafe partial class PlasmaStore
{
    private readonly Lock _quotaLock = new();
    private long _quotaUsedAtMost;

    /// <summary>Makes room for a block inside the quota of this attachment, by evicting its own objects if need be.</summary>
    /// <remarks>A private count that only rises says "surely inside" for the price of an addition. When it reaches the quota the entries are counted, because others may have deleted objects of this attachment.</remarks>
    private bool TryFitQuota(ThreadSlots thread, long bytes, long quota)
    {
        if (Interlocked.Add(ref _quotaUsedAtMost, bytes) <= quota)
            return true;
        lock (_quotaLock)
        {
            if (IsRefusedCheaply)
                return false; // It was counted several times a moment ago, in vain, and is not again.
            long used = AccountBytes();
            while (used + bytes > quota) // Ends: each round condemns something, or there is nothing left.
            {
                // Some more than needed, where there is more, because the count that follows reads all records.
                const int share = 32;
                long wanted = used + bytes - quota;
                List<Evictor.Victim> victims = _evictor.Choose(Math.Max(wanted, quota / share), (StateWord state, in ObjectEntry entry) => state.IsEvictable && entry.QuotaAccount == _account, PolicyLayout.QuotaHand);
                if (victims.Sum(static v => v.Bytes) < wanted)
                    victims.Clear(); // Nothing goes in vain.
                Condemn(thread, victims, PlasmaEventKind.Evicted, out int condemned);
                if (condemned == 0)
                {
                    Volatile.Write(ref _quotaUsedAtMost, used);
                    CountRefusal();
                    return false;
                }
                used = AccountBytes();
            }
            Volatile.Write(ref _quotaUsedAtMost, used + bytes);
            return true;
        }
    }

    /// <summary>Memory in blocks of this attachment's objects, those included that are deleted but still read; objects on disk have none.</summary>
    private long AccountBytes()
    {
        long used = 0;
        for (uint e = 0; e < (uint)ObjectCountMax; e++)
        {
            ObjectEntry* entry = _memory.Entries + e;
            if (entry->QuotaAccount == _account && new StateWord(Volatile.Read(ref entry->State)).HasMemory)
                used += _allocator.BlockBytesAt(entry->Block);
        }
        return used;
    }
}
