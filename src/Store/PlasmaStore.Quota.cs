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
            long used = AccountBytes();
            while (used + bytes > quota) // Ends: each round condemns something, or there is nothing left.
            {
                Evict(thread, _evictor.ChooseOf(_account, used + bytes - quota), out int condemned);
                if (condemned == 0)
                {
                    Volatile.Write(ref _quotaUsedAtMost, used);
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
