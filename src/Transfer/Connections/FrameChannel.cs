using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using FastPlasma.Native;
using FastPlasma.Transfer.Wire;

namespace FastPlasma.Transfer.Connections;

/// <summary>Frames over a connection: checked when they come, whole when they go.</summary>
/// <remarks>Receiving belongs to one thread. Any thread may send; frames do not mix. Every number that <see cref="TryReceive"/> lets through is within the limits of its frame type.</remarks>
internal sealed unsafe class FrameChannel : IDisposable
{
    private readonly ITransferConnection _connection;
    private readonly Lock _sendLock = new();

    // Headers and records that have been received, from _from to _to; the bytes of objects never come here.
    private const int BufferBytes = 2 * (FrameHeader.SizeBytes + Limits.BodyBytesMax);
    private readonly byte* _buffer = (byte*)NativeMemory.AlignedAlloc(BufferBytes, 64);
    private readonly int _aheadBytes;
    private int _from, _to;
    private byte* _records;

    // Frames that wait to be sent, in a row. Filled under its own lock, so that who has a frame to send never waits for who is sending.
    private readonly Lock _queueLock = new();
    private byte[] _queue = new byte[1024], _sending = new byte[1024];
    private int _queuedBytes;

    // What is left of the queue that was taken last. Guarded by the send lock.
    private int _sendingFrom, _sendingTo;

    private long _receivingSince, _sendingSince, _receivedAt = Environment.TickCount64;
    private long _bytesIn, _bytesOut;
    private int _disposed, _drainScheduled;

    /// <summary>Frames without bytes that may wait for a slow peer before it counts as broken.</summary>
    internal const int QueuedBytesMax = 4 << 20;

    /// <summary>Takes ownership of a connection whose handshake is done.</summary>
    /// <param name="connection">The connection.</param>
    /// <param name="aheadBytes">How much one receive may take, from a frame's beginning on, before it is known what frame it is. No more than the shortest frame has, header and records, that is followed by bytes of an object: those are received straight to their places.</param>
    internal FrameChannel(ITransferConnection connection, int aheadBytes = FrameHeader.SizeBytes)
    {
        _connection = connection;
        _aheadBytes = Math.Max(aheadBytes, FrameHeader.SizeBytes);
    }

    /// <summary>For who answers: no frame of a requester is followed by bytes of an object, so that many are received at once.</summary>
    internal const int AheadOfServer = 16 << 10;

    /// <summary>For who asks: what a server sends, header and record at once.</summary>
    internal static int AheadOf(ConnectionKind kind) => FrameHeader.SizeBytes + (kind == ConnectionKind.Data ? ChunkRecord.SizeBytes : ObjectRecord.SizeBytes);

    /// <summary>The other end, to show.</summary>
    internal string RemoteAddress => _connection.RemoteAddress;

    internal long BytesIn => Volatile.Read(ref _bytesIn);

    internal long BytesOut => Volatile.Read(ref _bytesOut);

    internal long CopiedBytes => _connection.CopiedBytes;

    /// <summary>When something came last, in milliseconds of <see cref="Environment.TickCount64"/>.</summary>
    internal long ReceivedAtMs => Math.Max(Volatile.Read(ref _receivedAt), _connection.ReceivedAtMs);

    /// <summary>For how long the channel has been in the middle of a frame without getting on; 0 when it is not.</summary>
    internal long StuckMs(long nowMs)
    {
        long receiving = Volatile.Read(ref _receivingSince), sending = Volatile.Read(ref _sendingSince);
        return Math.Max(
            receiving == 0 ? 0 : nowMs - Math.Max(receiving, _connection.ReceivedAtMs),
            sending == 0 ? 0 : nowMs - Math.Max(sending, _connection.SentAtMs));
    }

    /// <summary>Waits for the next frame and reads its header and records.</summary>
    /// <returns>False if the other side has closed between two frames.</returns>
    /// <exception cref="ProtocolException">What came is no frame, or says Bye.</exception>
    /// <exception cref="IOException">The connection broke.</exception>
    internal bool TryReceive(out FrameHeader header)
    {
        if (!TryFill(FrameHeader.SizeBytes))
        {
            header = default;
            return false;
        }
        header = Unsafe.ReadUnaligned<FrameHeader>(_buffer + _from);
        if (header.Validate() is { } wrong)
            throw new ProtocolException($"{RemoteAddress}: {wrong}");
        if (header.BodyBytes > 0)
            FillRest(FrameHeader.SizeBytes + (int)header.BodyBytes);
        _records = _buffer + _from + FrameHeader.SizeBytes;
        _from += FrameHeader.SizeBytes + (int)header.BodyBytes;
        uint check = header.CheckOf(new ReadOnlySpan<byte>(_records, (int)header.BodyBytes));
        if (check != header.Check)
            throw new ProtocolException($"{RemoteAddress}: the check of a {header.Type} frame is {header.Check:x8} instead of {check:x8}");
        Interlocked.Add(ref _bytesIn, FrameHeader.SizeBytes + header.BodyBytes);
        Volatile.Write(ref _receivedAt, Environment.TickCount64);
        if (header.Type == FrameType.Bye)
            throw new ProtocolException($"{RemoteAddress} closed: {Printable(Records<byte>(header))}", isRefusal: true);
        return true;
    }

    /// <summary>Records of the frame that <see cref="TryReceive"/> has just returned; valid until its next call.</summary>
    internal ReadOnlySpan<T> Records<T>(in FrameHeader header)
        where T : unmanaged =>
        new(_records, (int)header.BodyBytes / sizeof(T)); // SAFETY: the body holds so many records of the type; the header was validated.

    /// <summary>Receives until so many bytes of the next frame are there.</summary>
    /// <returns>False if the stream ended before the first.</returns>
    private bool TryFill(int bytes)
    {
        int there = _to - _from;
        if (there >= bytes)
            return true;
        if (there == 0)
        {
            _from = _to = 0;
        }
        else if (_from + Math.Max(bytes, _aheadBytes) > BufferBytes)
        {
            Buffer.MemoryCopy(_buffer + _from, _buffer, BufferBytes, there);
            (_from, _to) = (0, there);
        }
        // SAFETY: Validate bounds a frame by half of the buffer, which is more than _aheadBytes.
        int received = _connection.ReceiveSome(_buffer + _to, bytes - there, Math.Max(bytes, _aheadBytes) - there);
        _to += received;
        return received > 0 || (there > 0 ? throw new EndOfStreamException($"{RemoteAddress} closed the connection in the middle of a frame") : false);
    }

    private void FillRest(int bytes)
    {
        if (_to - _from >= bytes)
            return;
        Volatile.Write(ref _receivingSince, Environment.TickCount64);
        try
        {
            TryFill(bytes);
        }
        finally
        {
            Volatile.Write(ref _receivingSince, 0);
        }
    }

    /// <summary>Receives the bytes that follow a frame, straight to their places.</summary>
    internal void ReceiveBytes(ReadOnlySpan<IoPart> parts)
    {
        if (_from != _to) // No frame that bytes follow is shorter than what is read ahead.
            throw new ProtocolException($"{RemoteAddress}: {_to - _from} bytes of an object were taken for a frame");
        Volatile.Write(ref _receivingSince, Environment.TickCount64);
        try
        {
            if (!_connection.Receive(parts))
                throw new EndOfStreamException($"{RemoteAddress} closed the connection in the middle of a frame");
        }
        finally
        {
            Volatile.Write(ref _receivingSince, 0);
        }
        long bytes = 0;
        foreach (IoPart part in parts)
            bytes += (long)part.Bytes;
        Interlocked.Add(ref _bytesIn, bytes);
        Volatile.Write(ref _receivedAt, Environment.TickCount64);
    }

    internal void ReceiveBytes(IoPart part) => ReceiveBytes(new ReadOnlySpan<IoPart>(in part));

    /// <summary>Lets bytes go by that nobody wants any more.</summary>
    internal void DiscardBytes(long bytes)
    {
        const int scratchBytes = 16 << 10;
        byte* scratch = stackalloc byte[scratchBytes];
        for (; bytes > 0; bytes -= scratchBytes)
            ReceiveBytes(new IoPart(scratch, (nuint)Math.Min(bytes, scratchBytes)));
    }

    /// <summary>Sends one frame, and the bytes that follow it straight from their places, which must stay as they are until this returns.</summary>
    internal void Send<T>(FrameType type, ulong tag, ReadOnlySpan<T> records, ReadOnlySpan<IoPart> bytes = default)
        where T : unmanaged
    {
        FrameHeader header = HeaderOf(type, tag, MemoryMarshal.AsBytes(records));
        fixed (T* body = records)
        {
            IoPart* parts = stackalloc IoPart[bytes.Length + 2];
            int count = PartsOf(&header, (byte*)body, parts);
            bytes.CopyTo(new Span<IoPart>(parts + count, bytes.Length));
            SendParts(new ReadOnlySpan<IoPart>(parts, count + bytes.Length));
        }
    }

    /// <summary>Sends a frame without records.</summary>
    internal void Send(FrameType type, ulong tag) => Send(type, tag, ReadOnlySpan<byte>.Empty);

    /// <summary>Sends a frame without waiting: now if the connection takes it, else as soon as it does, before anything that is sent later.</summary>
    /// <remarks>Never throws for a broken connection: that is told to who receives. One whose other side lets <see cref="QueuedBytesMax"/> bytes pile up is broken off.</remarks>
    internal void Post<T>(FrameType type, ulong tag, ReadOnlySpan<T> records)
        where T : unmanaged
    {
        ReadOnlySpan<byte> body = MemoryMarshal.AsBytes(records);
        FrameHeader header = HeaderOf(type, tag, body);
        lock (_queueLock)
        {
            int needed = _queuedBytes + FrameHeader.SizeBytes + body.Length;
            if (needed > QueuedBytesMax)
            {
                Abort();
                return;
            }
            if (needed > _queue.Length)
                Array.Resize(ref _queue, Math.Max(needed, 2 * _queue.Length));
            MemoryMarshal.Write(_queue.AsSpan(_queuedBytes), header);
            body.CopyTo(_queue.AsSpan(_queuedBytes + FrameHeader.SizeBytes));
            Volatile.Write(ref _queuedBytes, needed);
        }
        try
        {
            DrainUnlessBusy();
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            Abort();
        }
    }

    internal void Post(FrameType type, ulong tag) => Post(type, tag, ReadOnlySpan<byte>.Empty);

    /// <summary>Says why this side closes, if that can be said without waiting.</summary>
    internal void Bye(string reason)
    {
        byte[] text = Encoding.UTF8.GetBytes(reason);
        int bytes = Math.Min(text.Length, Limits.ByeBytesMax);
        while (bytes < text.Length && bytes > 0 && (text[bytes] & 0xC0) == 0x80)
            bytes--; // Not in the middle of a character.
        Post(FrameType.Bye, 0, new ReadOnlySpan<byte>(text, 0, bytes));
    }

    /// <summary>Ends calls that wait in the channel; by any thread.</summary>
    internal void Abort() => _connection.Abort();

    /// <summary>By the receiving thread, or when there is none.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        _connection.Abort();
        lock (_sendLock)
            _connection.Dispose();
        NativeMemory.AlignedFree(_buffer);
    }

    private void SendParts(ReadOnlySpan<IoPart> parts)
    {
        long bytes = 0;
        foreach (IoPart part in parts)
            bytes += (long)part.Bytes;
        lock (_sendLock)
        {
            Volatile.Write(ref _sendingSince, Environment.TickCount64);
            try
            {
                Drain(wait: true); // What was queued earlier goes first.
                _connection.Send(parts);
            }
            finally
            {
                Volatile.Write(ref _sendingSince, 0);
            }
        }
        Interlocked.Add(ref _bytesOut, bytes);
        DrainUnlessBusy(); // What was queued meanwhile, by those who found the lock taken.
    }

    /// <summary>Sends what is queued unless another thread is sending, who then looks again when it is done. What the connection does not take now is left to the thread pool.</summary>
    private void DrainUnlessBusy()
    {
        // The caller has queued (under the queue lock) before it tries the send lock; the holder looks at the queue after it has given the send lock back. So one of them sees the frame.
        while (Volatile.Read(ref _queuedBytes) > 0) // Ends: each round empties the queue, or finds somebody else who does.
        {
            if (!_sendLock.TryEnter())
                return;
            bool left;
            try
            {
                left = !Drain(wait: false);
            }
            finally
            {
                _sendLock.Exit();
            }
            if (left)
            {
                if (Interlocked.Exchange(ref _drainScheduled, 1) == 0)
                    ThreadPool.UnsafeQueueUserWorkItem(static channel => channel.DrainWaiting(), this, preferLocal: false);
                return;
            }
        }
    }

    private void DrainWaiting()
    {
        try
        {
            Volatile.Write(ref _drainScheduled, 0);
            lock (_sendLock)
            {
                Volatile.Write(ref _sendingSince, Environment.TickCount64);
                try
                {
                    Drain(wait: true);
                }
                finally
                {
                    Volatile.Write(ref _sendingSince, 0);
                }
            }
            DrainUnlessBusy();
        }
#pragma warning disable CA1031 // A thread of the pool: whatever it is, only the connection is lost.
        catch (Exception)
#pragma warning restore CA1031
        {
            Abort(); // Whoever receives here learns that the connection is over.
        }
    }

    /// <summary>Sends the queue. By the holder of the send lock. Returns false if some of it is left, which only happens without waiting.</summary>
    private bool Drain(bool wait)
    {
        while (true) // Ends when there is nothing more, or the connection takes no more.
        {
            if (_sendingFrom == _sendingTo)
            {
                lock (_queueLock)
                {
                    if (_queuedBytes == 0)
                        return true;
                    (_queue, _sending) = (_sending, _queue);
                    (_sendingFrom, _sendingTo) = (0, _queuedBytes);
                    Volatile.Write(ref _queuedBytes, 0);
                }
                Interlocked.Add(ref _bytesOut, _sendingTo);
            }
            fixed (byte* first = _sending)
            {
                var part = new IoPart(first + _sendingFrom, (nuint)(_sendingTo - _sendingFrom));
                var parts = new ReadOnlySpan<IoPart>(in part);
                if (wait)
                {
                    _connection.Send(parts);
                    _sendingFrom = _sendingTo;
                    continue;
                }
                nint sent = _connection.TrySend(parts);
                _sendingFrom += (int)sent;
                if (_sendingFrom < _sendingTo)
                    return false;
            }
        }
    }

    private static FrameHeader HeaderOf(FrameType type, ulong tag, ReadOnlySpan<byte> body)
    {
        var header = new FrameHeader { Type = type, Tag = tag, BodyBytes = (uint)body.Length };
        int recordBytes = FrameHeader.ShapeOf(type).RecordBytes;
        header.Count = (ushort)(recordBytes == 0 ? 0 : body.Length / recordBytes);
        header.Check = header.CheckOf(body);
        return header;
    }

    private static int PartsOf(FrameHeader* header, byte* body, IoPart* parts)
    {
        parts[0] = new IoPart((byte*)header, FrameHeader.SizeBytes);
        if (header->BodyBytes == 0)
            return 1;
        parts[1] = new IoPart(body, header->BodyBytes);
        return 2;
    }

    /// <summary>Text of another machine, safe to show.</summary>
    internal static string Printable(ReadOnlySpan<byte> text)
    {
        Span<char> chars = stackalloc char[Limits.ByeBytesMax];
        int count = Encoding.UTF8.GetChars(text[..Math.Min(text.Length, Limits.ByeBytesMax)], chars);
        for (int i = 0; i < count; i++)
            if (char.IsControl(chars[i]))
                chars[i] = '?';
        return new string(chars[..count]);
    }
}
