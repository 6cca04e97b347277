using System.Net.Sockets;
using FastPlasma.Native;

namespace FastPlasma.Transfer.Connections;

/// <summary>A TCP socket without cipher: gathering sends and scattering receives straight from and to their memory.</summary>
internal sealed unsafe class PlainConnection : ITransferConnection
{
    /// <summary>Calls are cut into pieces, so that progress of a slow link is seen: of the smaller size at first, of twice as much each time that one went by in less than <see cref="QuickMs"/>.</summary>
    private const int PieceBytesMin = 256 << 10, PieceBytesMax = 4 << 20, QuickMs = 20;

    private readonly Socket _socket;
    private readonly int _descriptor;
    private bool _held;
    private int _aborted;
    private long _receivedAt = Environment.TickCount64, _sentAt = Environment.TickCount64;
    private int _sendPiece = PieceBytesMin; // Of the sending thread.
    private int _receivePiece = PieceBytesMin; // Of the receiving one.

    /// <summary>Takes ownership of a connected socket that blocks.</summary>
    internal PlainConnection(Socket socket)
    {
        _socket = socket;
        _descriptor = (int)socket.SafeHandle.DangerousGetHandle();
        RemoteAddress = socket.RemoteEndPoint?.ToString() ?? "";
        SocketSetup.Prepare(socket);
        socket.SafeHandle.DangerousAddRef(ref _held); // The descriptor stays open, and its number nobody else's, until Dispose.
    }

    public string RemoteAddress { get; }

    public long CopiedBytes => 0;

    public long ReceivedAtMs => Volatile.Read(ref _receivedAt);

    public long SentAtMs => Volatile.Read(ref _sentAt);

    public void Send(ReadOnlySpan<IoPart> parts)
    {
        IoPart* rest = stackalloc IoPart[parts.Length];
        parts.CopyTo(new Span<IoPart>(rest, parts.Length));
        var left = new PartList(rest, parts.Length);
        while (!left.IsEmpty) // Ends: each call sends at least a byte or throws.
        {
            ThrowIfAborted();
            long begun = Environment.TickCount64;
            nuint whole = left.Cut((nuint)_sendPiece, out int count);
            nint sent = SocketIo.Send(_descriptor, left.First, count, wait: true);
            left.Uncut(count, whole);
            left.Advance(sent);
            Volatile.Write(ref _sentAt, NextPiece(ref _sendPiece, sent, begun));
        }
    }

    public nint TrySend(ReadOnlySpan<IoPart> parts)
    {
        ThrowIfAborted();
        fixed (IoPart* first = parts)
            return SocketIo.Send(_descriptor, first, Math.Min(parts.Length, SocketIo.PartCountMax), wait: false);
    }

    public bool Receive(ReadOnlySpan<IoPart> parts)
    {
        IoPart* rest = stackalloc IoPart[parts.Length];
        parts.CopyTo(new Span<IoPart>(rest, parts.Length));
        var left = new PartList(rest, parts.Length);
        bool any = false;
        while (!left.IsEmpty) // Ends: each call receives at least a byte, or the stream has ended.
        {
            ThrowIfAborted();
            long begun = Environment.TickCount64;
            nuint whole = left.Cut((nuint)_receivePiece, out int count);
            nint received = SocketIo.Receive(_descriptor, left.First, count);
            left.Uncut(count, whole);
            if (received == 0)
            {
                ThrowIfAborted();
                return any ? throw new EndOfStreamException($"{RemoteAddress} closed the connection in the middle of a frame") : false;
            }
            any = true;
            left.Advance(received);
            Volatile.Write(ref _receivedAt, NextPiece(ref _receivePiece, received, begun));
        }
        return true;
    }

    public int ReceiveSome(byte* address, int atLeast, int atMost)
    {
        int got = 0;
        while (got < atLeast) // Ends: each call receives at least a byte, or the stream has ended.
        {
            ThrowIfAborted();
            var part = new IoPart(address + got, (nuint)(atMost - got));
            nint received = SocketIo.Receive(_descriptor, &part, 1, all: false);
            if (received == 0)
            {
                ThrowIfAborted();
                return got == 0 ? 0 : throw new EndOfStreamException($"{RemoteAddress} closed the connection in the middle of a frame");
            }
            got += (int)received;
            Volatile.Write(ref _receivedAt, Environment.TickCount64);
        }
        return got;
    }

    /// <summary>Adjusts the size of pieces to how long one took. Returns the time.</summary>
    private static long NextPiece(ref int pieceBytes, nint moved, long begun)
    {
        long now = Environment.TickCount64;
        if (now - begun >= QuickMs)
            pieceBytes = PieceBytesMin;
        else if (moved >= pieceBytes)
            pieceBytes = Math.Min(2 * pieceBytes, PieceBytesMax);
        return now;
    }

    public void Abort()
    {
        if (Interlocked.Exchange(ref _aborted, 1) != 0)
            return;
        try
        {
            _socket.Shutdown(SocketShutdown.Both); // Wakes who waits in the descriptor; closing it would not.
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // It is not connected any more, which is as good.
        }
    }

    public void Dispose()
    {
        Abort();
        if (_held)
        {
            _held = false;
            _socket.SafeHandle.DangerousRelease();
        }
        _socket.Dispose();
    }

    private void ThrowIfAborted()
    {
        if (Volatile.Read(ref _aborted) != 0)
            throw new IOException($"the connection to {RemoteAddress} was closed here");
    }
}

/// <summary>What is left to send or receive of a list of parts.</summary>
internal unsafe ref struct PartList
{
    /// <summary>Skips parts without bytes.</summary>
    internal PartList(IoPart* parts, int count)
    {
        First = parts;
        _count = count;
        Advance(0);
    }

    private int _count;

    internal IoPart* First { get; private set; }

    /// <summary>Parts of the next call.</summary>
    internal readonly int Count => Math.Min(_count, SocketIo.PartCountMax);

    internal readonly bool IsEmpty => _count == 0;

    /// <summary>Shortens the list to so many bytes for one call; <see cref="Uncut"/> follows.</summary>
    /// <param name="bytesMax">At least 1.</param>
    /// <param name="count">Parts of the call.</param>
    /// <returns>Length of the last of these parts before it was shortened.</returns>
    internal readonly nuint Cut(nuint bytesMax, out int count)
    {
        int all = Count;
        for (count = 1; ; count++) // Ends with the list or the bytes.
        {
            IoPart* last = First + count - 1;
            if (last->Bytes >= bytesMax || count == all)
            {
                nuint whole = last->Bytes;
                last->Bytes = Math.Min(whole, bytesMax);
                return whole;
            }
            bytesMax -= last->Bytes;
        }
    }

    /// <summary>Before <see cref="Advance"/>: the last part of the call has its length again.</summary>
    internal readonly void Uncut(int count, nuint whole) => First[count - 1].Bytes = whole;

    internal void Advance(nint bytes)
    {
        while (_count > 0 && (nuint)bytes >= First->Bytes) // Ends with the parts.
        {
            bytes -= (nint)First->Bytes;
            First++;
            _count--;
        }
        if (_count > 0)
        {
            First->Address += bytes;
            First->Bytes -= (nuint)bytes;
        }
    }
}
