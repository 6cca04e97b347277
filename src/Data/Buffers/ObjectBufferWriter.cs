using System.Buffers;

namespace FastPlasma.Data;

/// <summary>Writes an object of known size through <see cref="IBufferWriter{T}"/>, in place: what is written lies in the object at once.</summary>
/// <remarks>
/// A writer that asks for more room than is left (serializers ask for the worst case) gets a buffer of its own for that piece, which <see cref="Advance"/> copies into the object; only what does not fit is an error.
/// An object cannot grow. For a size that is not known, count it first (<see cref="CountingBufferWriter"/>): collecting the bytes elsewhere and putting them would be a second copy. Not for several threads at once.
/// </remarks>
/// <param name="writer">The open object; sealing and disposing it stays with the caller.</param>
public sealed class ObjectBufferWriter(ObjectWriter writer) : IBufferWriter<byte>
{
    /// <summary>Longest piece that is given out, so that memory and offsets stay within what spans can hold.</summary>
    private const int PieceBytesMax = 1 << 30;

    private byte[]? _spare;
    private bool _spareGiven;

    /// <summary>Bytes written so far.</summary>
    public long WrittenCount { get; private set; }

    /// <summary>Bytes that still fit.</summary>
    public long FreeCount => writer.Length - WrittenCount;

    /// <summary>Of the written bytes those that came through a buffer of their own: an extra copy.</summary>
    public long SpareCopiedCount { get; private set; }

    /// <summary>Counts bytes as written.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The count is negative.</exception>
    /// <exception cref="InvalidOperationException">The bytes do not fit: nothing is counted, and nothing was written beyond the object.</exception>
    public void Advance(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        if (count > FreeCount)
            throw Full(count);
        if (_spareGiven)
        {
            if (count > _spare!.Length)
                throw new ArgumentOutOfRangeException(nameof(count), count, $"A buffer of {_spare.Length} bytes was given out.");
            writer.CopyFrom(_spare.AsSpan(0, count), WrittenCount);
            SpareCopiedCount += count;
            _spareGiven = false;
        }
        WrittenCount += count;
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">The object is full, or its writer is no longer open.</exception>
    public Memory<byte> GetMemory(int sizeHint = 0) => TryGetPiece(sizeHint, out int bytes) ? new WriterMemory(writer, WrittenCount, bytes).Memory : _spare!;

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">The object is full, or its writer is no longer open.</exception>
    public Span<byte> GetSpan(int sizeHint = 0) => TryGetPiece(sizeHint, out int bytes) ? writer.GetSpan(WrittenCount, bytes) : _spare!;

    /// <summary>Whether all of the object was written, which it must be before it is sealed.</summary>
    /// <exception cref="InvalidOperationException">It was not.</exception>
    public void RequireFull()
    {
        if (FreeCount != 0)
            throw new InvalidOperationException($"Of the object's {writer.Length} bytes only {WrittenCount} were written.");
    }

    private bool TryGetPiece(int sizeHint, out int bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(sizeHint);
        bytes = (int)Math.Min(FreeCount, PieceBytesMax);
        _spareGiven = false;
        if (bytes > 0 && sizeHint <= bytes)
            return true;
        if (FreeCount == 0 && sizeHint == 0)
            throw Full(1);
        if (_spare is null || _spare.Length < sizeHint)
            _spare = new byte[Math.Max(sizeHint, 256)];
        _spareGiven = true;
        return false;
    }

    private InvalidOperationException Full(int more) => new($"The object of {writer.Length} bytes is full: {WrittenCount} are written, {more} more do not fit.");
}

/// <summary>Counts what is written and keeps none of it: the first of two passes of a serializer that cannot tell a size.</summary>
public sealed class CountingBufferWriter : IBufferWriter<byte>
{
    private byte[] _scratch = new byte[4096];

    /// <summary>Bytes written so far.</summary>
    public long WrittenCount { get; private set; }

    /// <inheritdoc/>
    public void Advance(int count)
    {
        if (count < 0 || count > _scratch.Length)
            throw new ArgumentOutOfRangeException(nameof(count), count, $"A buffer of {_scratch.Length} bytes was given out.");
        WrittenCount += count;
    }

    /// <inheritdoc/>
    public Memory<byte> GetMemory(int sizeHint = 0) => Scratch(sizeHint);

    /// <inheritdoc/>
    public Span<byte> GetSpan(int sizeHint = 0) => Scratch(sizeHint);

    private byte[] Scratch(int sizeHint)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(sizeHint);
        if (_scratch.Length < sizeHint)
            _scratch = new byte[sizeHint];
        return _scratch;
    }
}

/// <summary>A part of an object that is being created as memory; access after its seal or abort throws.</summary>
internal sealed unsafe class WriterMemory(ObjectWriter writer, long offset, int length) : MemoryManager<byte>
{
    public override Span<byte> GetSpan() => writer.GetSpan(offset, length);

    public override MemoryHandle Pin(int elementIndex = 0)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)elementIndex, (uint)length);
        return new MemoryHandle(writer.Pointer + offset + elementIndex); // The mapping does not move.
    }

    public override void Unpin()
    {
    }

    protected override void Dispose(bool disposing)
    {
    }
}
