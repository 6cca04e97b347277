using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using FastPlasma.Transfer;

namespace FastPlasma.Tests;

/// <summary>A wire between two nodes that a test can slow down, cut, stop and falsify.</summary>
internal sealed class TcpProxy : IDisposable
{
    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly Lock _lock = new();
    private readonly List<Socket> _sockets = [];
    private readonly Pace? _pace;
    private int _connections;
    private long _toClient;
    private volatile bool _disposed;

    /// <summary>One direction of one connection.</summary>
    /// <param name="Connection">Number, from 0.</param>
    /// <param name="IsToClient">From the server to who dialed.</param>
    /// <param name="Before">Bytes that went before these.</param>
    internal readonly record struct Flow(int Connection, bool IsToClient, long Before);

    /// <summary>How many bytes a second several proxies pass together.</summary>
    internal sealed class Pace(double bytesPerSecond)
    {
        private readonly Lock _lock = new();
        private double _free;
        private readonly long _start = Stopwatch.GetTimestamp();

        internal void Wait(int bytes)
        {
            double until;
            lock (_lock)
                until = _free = Math.Max(_free, Stopwatch.GetElapsedTime(_start).TotalSeconds) + bytes / bytesPerSecond;
            double left = until - Stopwatch.GetElapsedTime(_start).TotalSeconds;
            if (left > 0)
                Thread.Sleep(TimeSpan.FromSeconds(left));
        }
    }

    internal TcpProxy(NodeEndpoint target, Pace? pace = null)
    {
        _pace = pace;
        Target = target;
        _listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _listener.Listen(64);
        Endpoint = new NodeEndpoint("127.0.0.1", ((IPEndPoint)_listener.LocalEndPoint!).Port);
        new Thread(Accept) { IsBackground = true }.Start();
    }

    internal NodeEndpoint Endpoint { get; }

    internal NodeEndpoint Target { get; set; }

    internal long BytesToClient => Volatile.Read(ref _toClient);

    internal int Connections => Volatile.Read(ref _connections);

    /// <summary>Sees, and may change or hold up, what passes; false cuts the connection.</summary>
    internal Func<Flow, ArraySegment<byte>, bool>? Meddle { get; set; }

    internal bool Refuses { get; set; }

    /// <summary>Cuts all connections that stand.</summary>
    internal void Cut()
    {
        Socket[] all;
        lock (_lock)
        {
            all = [.. _sockets];
            _sockets.Clear();
        }
        foreach (Socket socket in all)
            socket.Dispose();
    }

    public void Dispose()
    {
        _disposed = true;
        _listener.Dispose();
        Cut();
    }

    private void Accept()
    {
        try
        {
            while (true)
            {
                Socket client = _listener.Accept();
                int number = Interlocked.Increment(ref _connections) - 1;
                var server = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                lock (_lock)
                    _sockets.AddRange([client, server]);
                if (Refuses || _disposed)
                {
                    client.Dispose();
                    server.Dispose();
                    continue;
                }
                new Thread(() => Connect(client, server, number)) { IsBackground = true }.Start();
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The end of the proxy.
        }
    }

    private void Connect(Socket client, Socket server, int number)
    {
        try
        {
            client.NoDelay = server.NoDelay = true;
            if (_pace is not null)
                server.ReceiveBufferSize = client.SendBufferSize = 64 << 10; // Else the kernel would hold what the wire should.
            server.Connect(Target.Host, Target.Port);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            client.Dispose();
            server.Dispose();
            return;
        }
        new Thread(() => Pump(client, server, number, isToClient: false)) { IsBackground = true }.Start();
        Pump(server, client, number, isToClient: true);
    }

    private void Pump(Socket from, Socket to, int number, bool isToClient)
    {
        byte[] buffer = new byte[32 << 10];
        long before = 0;
        try
        {
            while (true)
            {
                int bytes = from.Receive(buffer);
                if (bytes == 0 || Meddle?.Invoke(new Flow(number, isToClient, before), new ArraySegment<byte>(buffer, 0, bytes)) == false)
                    break;
                if (isToClient)
                {
                    _pace?.Wait(bytes);
                    Interlocked.Add(ref _toClient, bytes);
                }
                before += bytes;
                for (int at = 0; at < bytes;)
                    at += to.Send(buffer, at, bytes - at, SocketFlags.None);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Cut.
        }
        from.Dispose();
        to.Dispose();
    }
}
