using BenchmarkDotNet.Attributes;
using FastPlasma.Format;
using FastPlasma.Participants;

namespace FastPlasma.Bench;

/// <summary>What do the pin and unpin of a slot take, alone, without index and record? Ceiling: one uncontended interlocked increment.</summary>
/// <remarks>The same steps as a get and a release: a slot is taken, announced with a full fence, emptied, and given back to one caller only.</remarks>
public unsafe class PinBenchmarks
{
    private PlasmaStore _store = null!;
    private ThreadSlots _thread = null!;
    private long _counter;

    /// <summary>Gives the measuring thread slots of its own.</summary>
    [GlobalSetup]
    public void Setup()
    {
        _store = PlasmaStore.CreateAnonymous(new PlasmaOptions { CapacityBytes = 16 << 20 });
        _thread = new ThreadSlots(_store);
        _store.Slots!.Register(_thread);
    }

    /// <summary>Ends the store.</summary>
    [GlobalCleanup]
    public void Cleanup() => _store.Dispose();

    /// <summary>The ceiling.</summary>
    [Benchmark(Baseline = true)]
    public long Increment() => Interlocked.Increment(ref _counter);

    /// <summary>Takes a slot and gives it back, unannounced.</summary>
    [Benchmark]
    public bool TakeAndGiveBack()
    {
        SlotTable slots = _store.Slots!;
        bool taken = slots.TryAcquire(_thread, out int slot, out long sequence) && slots.TryBeginRelease(slot, sequence);
        if (taken)
            slots.EndRelease(slot, sequence);
        return taken;
    }

    /// <summary>Takes a slot, announces a pin, empties it and gives it back.</summary>
    [Benchmark]
    public bool PinAndUnpin()
    {
        SlotTable slots = _store.Slots!;
        if (!slots.TryAcquire(_thread, out int slot, out long sequence))
            throw new InvalidOperationException("No slot is free.");
        PinSlot* pin = _thread.Pin;
        pin->Since = CoarseClock.UtcTicks;
        Interlocked.Exchange(ref pin->Word, new SlotWord(SlotKind.Pin, 1, 0).Value);
        if (!slots.TryBeginRelease(slot, sequence))
            throw new InvalidOperationException("The slot was released by somebody else.");
        Volatile.Write(ref pin->Word, 0);
        slots.EndRelease(slot, sequence);
        return true;
    }
}
