namespace FastPlasma;

/// <summary>What both streams share: a position inside a fixed length. All calls are done when they return, the asynchronous ones too: there is nothing to wait for, and so nothing to allocate.</summary>
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

    public override Task FlushAsync(CancellationToken cancellationToken) => cancellationToken.IsCancellationRequested ? Task.FromCanceled(cancellationToken) : Task.CompletedTask;

    public override long Seek(long offset, SeekOrigin origin) => Position = origin switch
    {
        SeekOrigin.Begin => offset,
        SeekOrigin.Current => _position + offset,
        _ => length + offset,
    };

    public override void SetLength(long value) => throw new NotSupportedException("An object's length is fixed at its creation.");

    public override int Read(byte[] buffer, int offset, int count) => Read(Checked(buffer, offset, count));

    public override int ReadByte()
    {
        byte value = 0;
        return Read(new Span<byte>(ref value)) == 0 ? -1 : value;
    }

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (cancellationToken.IsCancellationRequested)
            return ValueTask.FromCanceled<int>(cancellationToken);
        try
        {
            return new ValueTask<int>(Read(buffer.Span));
        }
        catch (Exception e) when (IsForTask(e))
        {
            return ValueTask.FromException<int>(e);
        }
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
    {
        _ = Checked(buffer, offset, count);
        return ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(Checked(buffer, offset, count));

    public override void WriteByte(byte value) => Write(new ReadOnlySpan<byte>(ref value));

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (cancellationToken.IsCancellationRequested)
            return ValueTask.FromCanceled(cancellationToken);
        try
        {
            Write(buffer.Span);
            return default;
        }
        catch (Exception e) when (IsForTask(e))
        {
            return ValueTask.FromException(e);
        }
    }

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
    {
        _ = Checked(buffer, offset, count);
        return WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();
    }

    private static Span<byte> Checked(byte[] buffer, int offset, int count)
    {
        ValidateBufferArguments(buffer, offset, count);
        return buffer.AsSpan(offset, count);
    }

    /// <summary>What reading and writing throw; the awaiter gets it.</summary>
    private static bool IsForTask(Exception e) => e is IOException or InvalidOperationException or NotSupportedException; // ObjectDisposedException is an InvalidOperationException.
}

/// <summary>Reads a pinned payload.</summary>
internal sealed class PlasmaObjectStream(PlasmaObject obj) : FixedLengthStream(obj.Length)
{
    /// <summary>Most that another stream is given at once, so that a cancellation need not wait for all of it.</summary>
    private const int PieceBytes = 16 << 20;

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

    /// <summary>The other stream is given the object's own memory: no buffer is between, and no copy is made here or counted.</summary>
    public override void CopyTo(Stream destination, int bufferSize)
    {
        ValidateCopyToArguments(destination, bufferSize);
        for (int bytes; (bytes = NextPiece()) > 0; Position += bytes) // Ends with the payload.
            destination.Write(obj.GetSpan(Position, bytes));
    }

    /// <inheritdoc cref="CopyTo(Stream, int)"/>
    /// <remarks>Whoever pins the memory meanwhile, as the system's own input and output does, keeps the object.</remarks>
    public override async Task CopyToAsync(Stream destination, int bufferSize, CancellationToken cancellationToken)
    {
        ValidateCopyToArguments(destination, bufferSize);
        for (int bytes; (bytes = NextPiece()) > 0; Position += bytes) // Ends with the payload.
            await destination.WriteAsync(new PinnedMemory(obj, Position, bytes).Memory, cancellationToken).ConfigureAwait(false);
        cancellationToken.ThrowIfCancellationRequested();
    }

    public override void Write(ReadOnlySpan<byte> buffer) => throw new NotSupportedException("A sealed object is immutable.");

    private int NextPiece() => (int)Math.Min(PieceBytes, Remaining);
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
