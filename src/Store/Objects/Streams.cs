namespace FastPlasma;

/// <summary>What both streams share: a position inside a fixed length.</summary>
internal abstract class FixedLengthStream(long length) : Stream
{
    private long _position;

    public override bool CanSeek => true;

    public override long Length => length;

    public override long Position
    {
        get => _position;
        set
        {
            ArgumentOutOfRangeException.ThrowIfNegative(value);
            _position = value;
        }
    }

    protected long Remaining => Math.Max(0, length - _position);

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => Position = origin switch
    {
        SeekOrigin.Begin => offset,
        SeekOrigin.Current => _position + offset,
        _ => length + offset,
    };

    public override void SetLength(long value) => throw new NotSupportedException("An object's length is fixed at its creation.");

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));
}

/// <summary>Reads a pinned payload.</summary>
internal sealed class PlasmaObjectStream(PlasmaObject obj) : FixedLengthStream(obj.Length)
{
    public override bool CanRead => true;

    public override bool CanWrite => false;

    public override int Read(Span<byte> buffer)
    {
        int bytes = (int)Math.Min(buffer.Length, Remaining);
        if (bytes > 0)
            obj.CopyTo(Position, buffer[..bytes]);
        Position += bytes;
        return bytes;
    }

    public override void Write(ReadOnlySpan<byte> buffer) => throw new NotSupportedException("A sealed object is immutable.");
}

/// <summary>Writes the payload of an object that is being created.</summary>
internal sealed class ObjectWriterStream(ObjectWriter writer) : FixedLengthStream(writer.Length)
{
    public override bool CanRead => false;

    public override bool CanWrite => true;

    public override int Read(Span<byte> buffer) => throw new NotSupportedException("An object is read after its seal.");

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        if (buffer.Length > Remaining)
            throw new IOException($"{buffer.Length} bytes do not fit: {Remaining} of the object's {Length} bytes are left.");
        writer.CopyFrom(buffer, Position);
        Position += buffer.Length;
    }
}
