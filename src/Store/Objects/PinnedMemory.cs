using System.Buffers;

namespace FastPlasma;

/// <summary>A part of a pinned payload as <see cref="ReadOnlyMemory{T}"/>. Each access checks the handle, so memory that outlives it throws instead of showing other bytes; who pins the memory keeps the object's pin.</summary>
internal sealed unsafe class PinnedMemory(PlasmaObject obj, long offset, int length) : MemoryManager<byte>
{
    /// <summary>Longest segment of a sequence.</summary>
    internal const int SegmentBytesMax = 1 << 30;

    internal static ReadOnlySequence<byte> Sequence(in PlasmaObject obj, long length)
    {
        if (length == 0)
            return ReadOnlySequence<byte>.Empty;
        Segment? first = null, last = null;
        for (long offset = 0; offset < length; offset += SegmentBytesMax)
        {
            int bytes = (int)Math.Min(SegmentBytesMax, length - offset);
            last = new Segment(new PinnedMemory(obj, offset, bytes).Memory, last);
            first ??= last;
        }
        return new ReadOnlySequence<byte>(first!, 0, last!, last!.Memory.Length);
    }

    // The base class wants a writable span; only read-only memory is given out, and the pages themselves are read-only.
    public override Span<byte> GetSpan()
    {
        fixed (byte* p = obj.GetSpan(offset, length))
            return new Span<byte>(p, length);
    }

    public override MemoryHandle Pin(int elementIndex = 0)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)elementIndex, (uint)length);
        return new MemoryHandle(obj.Keep() + offset + elementIndex, default, this);
    }

    public override void Unpin() => obj.EndKeeping();

    protected override void Dispose(bool disposing)
    {
    }

    private sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        internal Segment(ReadOnlyMemory<byte> memory, Segment? previous)
        {
            Memory = memory;
            if (previous is null)
                return;
            RunningIndex = previous.RunningIndex + previous.Memory.Length;
            previous.Next = this;
        }
    }
}
