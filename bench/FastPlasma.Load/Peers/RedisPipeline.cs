using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using FastPlasma.Load.Driver;
using FastPlasma.Load.Measuring;

namespace FastPlasma.Load.Peers;

/// <summary>A redis-server on loopback TCP, and a client that does the least: GETs in groups over one connection, answers read into one buffer and counted, values not looked at.</summary>
internal sealed class RedisPipeline : IDisposable
{
    private const int Group = 256;

    private readonly ServerProcess _server;
    private readonly Socket _socket;
    private readonly int _count, _answerBytes;
    private readonly byte[][] _questions;

    private RedisPipeline(ServerProcess server, int port, int count, int bytes)
    {
        _server = server;
        _count = count;
        _socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        _socket.Connect(IPAddress.Loopback, port);
        string value = new('x', bytes);
        _answerBytes = $"${bytes}\r\n".Length + bytes + 2;
        for (int from = 0; from < count; from += Group)
        {
            int n = Math.Min(Group, count - from);
            var text = new StringBuilder();
            for (int i = from; i < from + n; i++)
                text.Append(CultureInfo.InvariantCulture, $"SET {i:D8} {value}\r\n");
            _socket.Send(Encoding.ASCII.GetBytes(text.ToString()));
            Receive(n * "+OK\r\n".Length);
        }
        _questions = [.. Enumerable.Range(0, (count + Group - 1) / Group).Select(group => Encoding.ASCII.GetBytes(string.Concat(
            Enumerable.Range(group * Group, Math.Min(Group, count - (group * Group))).Select(static i => string.Create(CultureInfo.InvariantCulture, $"*2\r\n$3\r\nGET\r\n$8\r\n{i:D8}\r\n")))))];
    }

    /// <summary>Null if there is no redis-server.</summary>
    internal static RedisPipeline? TryStart(LoadContext context, string folder, int count, int bytes)
    {
        context.Cancellation.ThrowIfCancellationRequested();
        if (ServerProcess.Missing("redis-server", "redis-server") is not null)
            return null;
        using (var probe = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp))
        {
            probe.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            int port = ((IPEndPoint)probe.LocalEndPoint!).Port;
            probe.Dispose();
            string socket = Path.Combine(folder, "pipeline.sock");
            string[] arguments = ["--port", port.ToString(CultureInfo.InvariantCulture), "--bind", "127.0.0.1", "--unixsocket", socket, "--daemonize", "no", "--dir", folder, "--logfile", "", "--save", "", "--appendonly", "no"];
            return new RedisPipeline(ServerProcess.Start("redis-server", arguments, socket, ServerProcess.Answers("PING\r\n", "+PONG")), port, count, bytes);
        }
    }

    /// <summary>Gets every value once: so many groups are on their way at a time as FastPlasma has.</summary>
    internal WorkResult GetAll()
    {
        const int ahead = 8;
        long start = Stopwatch.GetTimestamp();
        for (int group = 0; group < _questions.Length + ahead; group++)
        {
            if (group < _questions.Length)
                _socket.Send(_questions[group]);
            int answered = group - ahead;
            if (answered >= 0)
                Receive(Math.Min(Group, _count - (answered * Group)) * _answerBytes);
        }
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        return new WorkResult { Operations = _count, OperationsPerSecond = _count / seconds, Seconds = seconds };
    }

    public void Dispose()
    {
        _socket.Dispose();
        _server.Dispose();
    }

    private readonly byte[] _buffer = new byte[1 << 20];

    private void Receive(int bytes)
    {
        while (bytes > 0) // Ends with the bytes, or with the server.
        {
            int received = _socket.Receive(_buffer, 0, Math.Min(bytes, _buffer.Length), SocketFlags.None);
            if (received == 0)
                throw new EndOfStreamException("redis-server closed the connection.");
            bytes -= received;
        }
    }
}
