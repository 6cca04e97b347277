using System.Buffers;

namespace FastPlasma.Data;

/// <summary>The payload under Arrow arrays. The pin on the object ends when its owner is disposed and nobody has the memory pinned any more: exported arrays pin it until they are released.</summary>
internal sealed unsafe class PinnedArrowMemory(PlasmaObject obj, int length) : MemoryManager<byte>
{
    private int _references = 1;

    internal bool IsHeld => Volatile.Read(ref _references) > 0;

    // The base class wants a writable span; only read-only memory is given out, and the pages themselves are read-only.
    public override Span<byte> GetSpan()
    {
        fixed (byte* p = obj.GetSpan(0, length))
            return new Span<byte>(p, length);
    }

    public override MemoryHandle Pin(int elementIndex = 0)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)elementIndex, (uint)length);
        byte* start = obj.Pointer; // Throws when the pin is gone, before anything is counted.
        for (int seen = Volatile.Read(ref _references); ; seen = Volatile.Read(ref _references)) // Ends: a rival's change of the count is progress.
        {
            ObjectDisposedException.ThrowIf(seen == 0, typeof(ArrowObject));
            if (Interlocked.CompareExchange(ref _references, seen + 1, seen) == seen)
                return new MemoryHandle(start + elementIndex, default, this);
        }
    }

    public override void Unpin()
    {
        if (Interlocked.Decrement(ref _references) == 0)
            obj.Dispose();
    }

    protected override void Dispose(bool disposing)
    {
    }
}
