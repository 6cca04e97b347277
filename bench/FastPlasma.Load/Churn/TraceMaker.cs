using FastPlasma.Cli.Bench;

namespace FastPlasma.Load.Churn;

/// <summary>Makes the trace of a nearly full store in which objects of all sizes come and go: the mix of fastplasma bench's alloc-churn.</summary>
/// <remarks>91 % of the allocations are 64 B to 16 KiB and 8 % up to 1 MiB, their logarithms evenly spread, and 1 % 8 to 16 MiB; the last are most of the bytes. Before an allocation would take more than 90 % of
/// the capacity, others are freed at random. In the end nine of ten of those that are left are freed, at random too: who gives memory back?</remarks>
internal sealed class TraceMaker(ulong seed, long capacityBytes)
{
    private const long LargeBytesMin = 8L << 20;
    private const int DrainedTenths = 9;

    private readonly long _liveBytesMax = capacityBytes / 10 * 9;
    private readonly List<ulong> _operations = [];
    private readonly List<(int Slot, long Bytes)> _live = [];
    private readonly Stack<int> _freeSlots = new();
    private ulong _steps;
    private long _liveBytes;
    private int _slotCount;

    /// <param name="operations">Allocations and frees in the full state.</param>
    internal Trace Make(int operations)
    {
        int fillEnd = -1;
        long next = NextBytes();
        while (fillEnd < 0 || _operations.Count < fillEnd + operations) // Ends: every round adds an operation.
        {
            if (_liveBytes + next > _liveBytesMax)
            {
                if (fillEnd < 0)
                    fillEnd = _operations.Count;
                Free();
                continue;
            }
            Allocate(next);
            next = NextBytes();
        }
        int churnEnd = _operations.Count;
        for (int left = _live.Count - _live.Count * DrainedTenths / 10; _live.Count > left;)
            Free();
        return new Trace
        {
            CapacityBytes = capacityBytes,
            SlotCount = _slotCount,
            LargeBytes = LargeBytesMin,
            FillEnd = fillEnd,
            ChurnEnd = churnEnd,
            Seed = seed,
            Operations = [.. _operations],
        };
    }

    private void Allocate(long bytes)
    {
        if (!_freeSlots.TryPop(out int slot))
            slot = _slotCount++;
        if (slot >= 1 << Trace.SlotBits)
            throw new InvalidOperationException($"More than {1 << Trace.SlotBits:N0} allocations live at once: the capacity is too large for this form of trace.");
        _operations.Add(Trace.Allocate(slot, bytes));
        _live.Add((slot, bytes));
        _liveBytes += bytes;
    }

    private void Free()
    {
        int victim = (int)(Next() % (ulong)_live.Count);
        var (slot, bytes) = _live[victim];
        _live[victim] = _live[^1];
        _live.RemoveAt(_live.Count - 1);
        _freeSlots.Push(slot);
        _liveBytes -= bytes;
        _operations.Add(Trace.Free(slot));
    }

    private long NextBytes() => (Next() % 100) switch
    {
        < 91 => LogUniform(64, 16 << 10),
        < 99 => LogUniform(16 << 10, 1 << 20),
        _ => LargeBytesMin + (long)(Next() % (ulong)LargeBytesMin),
    };

    private long LogUniform(long min, long max) => (long)(min * Math.Pow((double)max / min, (Next() >> 11) * (1.0 / (1UL << 53))));

    private ulong Next() => BenchIds.Mix(seed ^ BenchIds.Mix(_steps++));
}
