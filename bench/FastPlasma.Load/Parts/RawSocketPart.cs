using System.Diagnostics;
using System.Globalization;
using System.IO.Hashing;
using System.Net;
using System.Net.Sockets;
using FastPlasma.Cli.Children;
using FastPlasma.Load.Measuring;
using FastPlasma.Native;

namespace FastPlasma.Load.Parts;

/// <summary>The least that moving bytes between two processes takes: blocking sockets, plain memory on both sides, a checksum of each piece on both sides, nothing else. Arguments: <c>serve</c>, or the port of the one that serves.</summary>
/// <remarks>Lines to the other one: <c>stream STREAMS BYTES PIECE WAY</c> receives so many bytes over so many connections, in one of the ways to send and receive; <c>ping COUNT QUESTION ANSWER</c> makes so many round trips with a question and an answer of so many bytes.</remarks>
internal sealed class RawSocketPart : IPart
{
    internal const string PartName = "raw-socket", Serve = "serve";

    /// <summary>Ways to send and receive: spans over .NET's blocking sockets; sendmsg and recvmsg, which waits until all is there; .NET's asynchronous sockets.</summary>
    internal const int Spans = 0, Messages = 1, Asynchronous = 2;

    private const int OrderBytes = 32;
    private byte[] _memory = [];

    public string Name => PartName;

    public void Run(ParentPipe parent, string[] arguments)
    {
        if (arguments[0] == Serve)
        {
            using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            listener.Listen(64);
            new Thread(() => Accept(listener)) { IsBackground = true }.Start();
            parent.SendResult(new WorkResult { Figures = [((IPEndPoint)listener.LocalEndPoint!).Port] });
            for (string line = parent.Receive(); line != ParentPipe.Exit; line = parent.Receive())
                parent.SendResult(new WorkResult { Figures = [Environment.CpuUsage.TotalTime.TotalSeconds] });
            return;
        }
        int port = int.Parse(arguments[0], CultureInfo.InvariantCulture);
        parent.SendResult(new WorkResult());
        for (string line = parent.Receive(); line != ParentPipe.Exit; line = parent.Receive())
        {
            string[] words = line.Split(' ');
            int[] numbers = [.. words[1..].Select(static word => int.Parse(word, CultureInfo.InvariantCulture))];
            parent.SendResult(words[0] == "stream" ? Stream(port, numbers[0], numbers[1], numbers[2], numbers[3]) : Ping(port, numbers[0], numbers[1], numbers[2]));
        }
    }

    private static Socket Connect(int port)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        socket.Connect(IPAddress.Loopback, port);
        return socket;
    }

    private WorkResult Stream(int port, int streams, int bytes, int piece, int way)
    {
        if (_memory.Length < bytes)
            _memory = GC.AllocateUninitializedArray<byte>(bytes, pinned: true);
        Socket[] sockets = [.. Enumerable.Range(0, streams).Select(_ => Connect(port))];
        TimeSpan processor = Environment.CpuUsage.TotalTime;
        long start = Stopwatch.GetTimestamp();
        Exception? failure = null;
        Thread[] threads =
        [
            .. sockets.Select((socket, i) => new Thread(() =>
            {
                try
                {
                    int share = bytes / streams;
                    Order(socket, i * share, share, piece, way);
                    if (way == Asynchronous)
                        ReceiveAsync(socket, _memory.AsMemory(i * share, share), piece).GetAwaiter().GetResult();
                    else
                        ReceiveAll(socket, _memory.AsSpan(i * share, share), piece, way);
                }
                catch (Exception e)
                {
                    failure = e; // Thrown below.
                }
            })),
        ];
        foreach (Thread thread in threads)
            thread.Start();
        foreach (Thread thread in threads)
            thread.Join();
        long ticks = Stopwatch.GetTimestamp() - start;
        foreach (Socket socket in sockets)
            socket.Dispose();
        if (failure is not null)
            throw failure;
        return new WorkResult
        {
            Operations = 1,
            OperationsPerSecond = Stopwatch.Frequency / (double)ticks,
            Seconds = ticks / (double)Stopwatch.Frequency,
            Figures = [(Environment.CpuUsage.TotalTime - processor).TotalSeconds],
        };
    }

    private static void ReceiveAll(Socket socket, Span<byte> memory, int piece, int way)
    {
        Span<byte> check = stackalloc byte[sizeof(ulong)];
        for (int at = 0; at < memory.Length; at += piece)
        {
            Span<byte> part = memory.Slice(at, Math.Min(piece, memory.Length - at));
            if (way == Messages)
                ReceiveMessage(socket, check, part);
            else
            {
                Receive(socket, check);
                Receive(socket, part);
            }
            Check(part, check);
        }
    }

    private static async Task ReceiveAsync(Socket socket, Memory<byte> memory, int piece)
    {
        byte[] check = new byte[sizeof(ulong)];
        for (int at = 0; at < memory.Length; at += piece)
        {
            Memory<byte> part = memory.Slice(at, Math.Min(piece, memory.Length - at));
            foreach (Memory<byte> next in (Memory<byte>[])[check, part])
                for (Memory<byte> rest = next; rest.Length > 0;)
                {
                    int received = await socket.ReceiveAsync(rest).ConfigureAwait(false);
                    rest = received > 0 ? rest[received..] : throw new EndOfStreamException();
                }
            Check(part.Span, check);
        }
    }

    private static void Check(ReadOnlySpan<byte> part, ReadOnlySpan<byte> check)
    {
        if (XxHash3.HashToUInt64(part) != BitConverter.ToUInt64(check))
            throw new InvalidDataException("The bytes are not those that were sent.");
    }

    private static unsafe void ReceiveMessage(Socket socket, Span<byte> check, Span<byte> part)
    {
        fixed (byte* first = check, second = part)
        {
            IoPart* parts = stackalloc IoPart[] { new(first, (nuint)check.Length), new(second, (nuint)part.Length) };
            int bytes = check.Length + part.Length;
            nint received = SocketIo.Receive((int)socket.Handle, parts, 2);
            if (received != bytes)
                throw new EndOfStreamException();
        }
    }

    private static unsafe void SendMessage(Socket socket, ReadOnlySpan<byte> check, ReadOnlySpan<byte> part)
    {
        fixed (byte* first = check, second = part)
        {
            IoPart* parts = stackalloc IoPart[] { new(first, (nuint)check.Length), new(second, (nuint)part.Length) };
            nint sent = SocketIo.Send((int)socket.Handle, parts, 2, wait: true);
            if (sent < check.Length)
                throw new EndOfStreamException();
            Send(socket, part[(int)(sent - check.Length)..]); // Nothing, as a rule: a blocking send takes all.
        }
    }

    private static WorkResult Ping(int port, int count, int questionBytes, int answerBytes)
    {
        using Socket socket = Connect(port);
        byte[] question = new byte[questionBytes], answer = new byte[answerBytes];
        var latencies = new Latencies();
        Order(socket, -1, questionBytes, answerBytes, Spans);
        long timed = 0;
        for (int i = 0; i < count; i++)
        {
            long start = Stopwatch.GetTimestamp();
            socket.Send(question);
            Receive(socket, answer);
            long ticks = Stopwatch.GetTimestamp() - start;
            latencies.Record(ticks, 1);
            timed += ticks;
        }
        return new WorkResult { Operations = count, OperationsPerSecond = count * (double)Stopwatch.Frequency / timed, Pairs = latencies.ToPairs() };
    }

    private void Accept(Socket listener)
    {
        try
        {
            while (true) // Ends with the process.
            {
                Socket socket = listener.Accept();
                socket.NoDelay = true;
                new Thread(() => Answer(socket)) { IsBackground = true }.Start();
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The part ends.
        }
    }

    private void Answer(Socket socket)
    {
        using Socket owned = socket;
        Span<byte> order = stackalloc byte[OrderBytes];
        try
        {
            Receive(socket, order);
            int from = BitConverter.ToInt32(order), bytes = BitConverter.ToInt32(order[8..]), piece = BitConverter.ToInt32(order[16..]), way = BitConverter.ToInt32(order[24..]);
            if (from < 0)
            {
                byte[] question = new byte[bytes], answer = new byte[piece];
                while (true) // Ends with the connection.
                {
                    Receive(socket, question);
                    socket.Send(answer);
                }
            }
            lock (this)
                if (_memory.Length < from + bytes)
                {
                    // Filled: memory that was never written to is one page of zeroes, read from the nearest cache.
                    byte[] memory = GC.AllocateUninitializedArray<byte>(1 << 30, pinned: true);
                    new Random(1).NextBytes(memory);
                    _memory = memory;
                }
            if (way == Asynchronous)
            {
                SendAsync(socket, _memory.AsMemory(from, bytes), piece).GetAwaiter().GetResult();
                return;
            }
            Span<byte> check = stackalloc byte[sizeof(ulong)];
            for (int at = 0; at < bytes; at += piece)
            {
                ReadOnlySpan<byte> part = _memory.AsSpan(from + at, Math.Min(piece, bytes - at));
                BitConverter.TryWriteBytes(check, XxHash3.HashToUInt64(part));
                if (way == Messages)
                    SendMessage(socket, check, part);
                else
                {
                    Send(socket, check);
                    Send(socket, part);
                }
            }
        }
        catch (Exception e) when (e is SocketException or IOException)
        {
            // The other one has what it wanted.
        }
    }

    private static async Task SendAsync(Socket socket, ReadOnlyMemory<byte> memory, int piece)
    {
        byte[] check = new byte[sizeof(ulong)];
        for (int at = 0; at < memory.Length; at += piece)
        {
            ReadOnlyMemory<byte> part = memory.Slice(at, Math.Min(piece, memory.Length - at));
            BitConverter.TryWriteBytes(check, XxHash3.HashToUInt64(part.Span));
            await socket.SendAsync(check).ConfigureAwait(false);
            for (ReadOnlyMemory<byte> rest = part; rest.Length > 0;)
                rest = rest[await socket.SendAsync(rest).ConfigureAwait(false)..];
        }
    }

    private static void Order(Socket socket, int from, int bytes, int piece, int way)
    {
        byte[] order = new byte[OrderBytes];
        BitConverter.TryWriteBytes(order, from);
        BitConverter.TryWriteBytes(order.AsSpan(8), bytes);
        BitConverter.TryWriteBytes(order.AsSpan(16), piece);
        BitConverter.TryWriteBytes(order.AsSpan(24), way);
        socket.Send(order);
    }

    private static void Send(Socket socket, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
            bytes = bytes[socket.Send(bytes)..];
    }

    private static void Receive(Socket socket, Span<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            int received = socket.Receive(bytes);
            if (received == 0)
                throw new EndOfStreamException();
            bytes = bytes[received..];
        }
    }
}
