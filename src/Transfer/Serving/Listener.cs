using System.Net;
using System.Net.Sockets;
using FastPlasma.Transfer.Connections;
using FastPlasma.Transfer.Wire;
using Microsoft.Extensions.Logging;

namespace FastPlasma.Transfer.Serving;

/// <summary>Accepts connections, shakes hands, and gives each that is let in a thread. Who does not finish the handshake in time, or is one of too many, is cut off.</summary>
internal sealed class Listener : IDisposable
{
    /// <summary>Connections in the handshake at a time, in all and from one address.</summary>
    internal const int HandshakesMax = 64, HandshakesPerAddressMax = 16;

    /// <summary>Connections in all: each has a thread.</summary>
    internal const int ConnectionsMax = 4096;

    private const int Backlog = 256;

    private readonly IServerHost _host;
    private readonly PlasmaNodeOptions _options;
    private readonly ILogger _logger;
    private readonly Socket _socket;
    private readonly Lock _lock = new();
    private readonly LinkedList<Pending> _pending = [];
    private readonly List<ServerConnection> _connections = [];
    private Handshake.Self? _self;
    private bool _disposed;

    private sealed record Pending(Socket Socket, IPAddress Address, long SinceMs);

    /// <summary>Binds and listens; nobody is accepted before <see cref="Start"/>.</summary>
    /// <exception cref="IOException">The address cannot be had.</exception>
    internal Listener(IServerHost host, PlasmaNodeOptions options, ILogger logger)
    {
        (_host, _options, _logger) = (host, options, logger);
        try
        {
            IPAddress address = IPAddress.TryParse(options.Listen.Host, out IPAddress? literal) ? literal : Dns.GetHostAddresses(options.Listen.Host)[0];
            _socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            // Without the option ReuseAddress, which in .NET on Linux lets two processes share a port. What it is wanted for, a port of connections that ended just now, Bind allows by itself.
            _socket.Bind(new IPEndPoint(address, options.Listen.Port));
            _socket.Listen(Backlog);
            Port = ((IPEndPoint)_socket.LocalEndPoint!).Port;
        }
        catch (SocketException e)
        {
            _socket?.Dispose();
            throw new IOException($"cannot listen on {options.Listen}: {e.Message}", e);
        }
    }

    internal int Port { get; }

    internal int ConnectionCount
    {
        get
        {
            lock (_lock)
                return _connections.Count;
        }
    }

    internal void Start(Handshake.Self self)
    {
        _self = self;
        _host.Threads.Start("fastplasma accept", Accept);
    }

    /// <summary>Cuts off who is late or stuck.</summary>
    internal void Tick(long nowMs, long stuckMaxMs)
    {
        List<ServerConnection> connections;
        lock (_lock)
        {
            foreach (Pending pending in _pending)
                if (nowMs - pending.SinceMs > Limits.HandshakeMs)
                    Cut(pending.Socket);
            connections = [.. _connections];
        }
        foreach (ServerConnection connection in connections)
            connection.Tick(nowMs, stuckMaxMs);
    }

    public void Dispose()
    {
        List<ServerConnection> connections;
        lock (_lock)
        {
            _disposed = true;
            foreach (Pending pending in _pending)
                Cut(pending.Socket);
            connections = [.. _connections];
        }
        _socket.Dispose();
        foreach (ServerConnection connection in connections)
        {
            connection.Channel.Bye("the node is being stopped");
            connection.Channel.Abort();
        }
    }

    private void Accept()
    {
        while (true) // Ends with the socket.
        {
            Socket socket;
            try
            {
                socket = _socket.Accept();
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                if (_disposed)
                    return;
                _logger.LogWarning(e, "Accepting a connection failed.");
                Thread.Sleep(100); // Out of descriptors, for example: not again at once.
                continue;
            }
            var address = (socket.RemoteEndPoint as IPEndPoint)?.Address ?? IPAddress.None;
            LinkedListNode<Pending>? place;
            lock (_lock)
            {
                if (_disposed || _pending.Count(pending => pending.Address.Equals(address)) >= HandshakesPerAddressMax)
                {
                    place = null;
                }
                else
                {
                    if (_pending.Count >= HandshakesMax)
                        Cut(_pending.First!.Value.Socket); // The oldest makes room; its thread takes it out.
                    place = _pending.AddLast(new Pending(socket, address, Environment.TickCount64));
                }
            }
            if (place is null)
            {
                _host.Counters.CountRefused();
                socket.Dispose();
                continue;
            }
            try
            {
                _host.Threads.Start("fastplasma serve", () => Serve(place));
            }
            catch (OutOfMemoryException e) // No more threads.
            {
                _logger.LogWarning(e, "A connection from {Address} has no thread.", address);
                lock (_lock)
                    _pending.Remove(place);
                socket.Dispose();
            }
        }
    }

    private void Serve(LinkedListNode<Pending> place)
    {
        ITransferConnection? connection = null;
        Hello hello = default;
        string? refusal = null;
        ServerConnection? server = null;
        try
        {
            Socket socket = place.Value.Socket;
            connection = _options.Tls is { } tls ? TlsConnection.AsServer(socket, tls, _host.Counters) : new PlainConnection(socket);
            hello = Handshake.AsServer(connection, _self!);
            lock (_lock)
            {
                int sameNode = _connections.Count(other => other.NodeId == hello.NodeId);
                refusal = _disposed ? "the node is being stopped"
                    : _connections.Count >= ConnectionsMax ? $"this node has {ConnectionsMax} connections already"
                    : sameNode >= _options.ConnectionsPerPeerMax ? $"this node has {sameNode} connections from yours already" : null;
                if (refusal is null)
                {
                    server = new ServerConnection(_host, new FrameChannel(connection, FrameChannel.AheadOfServer), hello);
                    _connections.Add(server);
                }
            }
            if (refusal is null)
                Handshake.Admit(connection);
            else
                Handshake.Refuse(connection, refusal);
        }
#pragma warning disable CA1031 // Whoever dials, it costs this connection only.
        catch (Exception e)
#pragma warning restore CA1031
        {
            refusal = e.Message;
            if (e is not (IOException or SocketException or ObjectDisposedException))
                _host.Threads.Report(e);
        }
        finally
        {
            lock (_lock)
            {
                _pending.Remove(place);
                if (refusal is not null && server is not null)
                    _connections.Remove(server);
            }
        }
        if (refusal is not null || server is null)
        {
            _host.Counters.CountRefused();
            _logger.LogInformation("A connection from {Address} was not let in: {Reason}", place.Value.Address, refusal);
            server?.Dispose();
            connection?.Dispose();
            place.Value.Socket.Dispose();
            return;
        }
        using (server)
        {
            string reason = server.Run();
            lock (_lock)
                _connections.Remove(server);
            _logger.LogDebug("The connection from {Address} ended: {Reason}", place.Value.Address, reason);
        }
    }

    internal static void Cut(Socket socket)
    {
        try
        {
            socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // It has gone by itself.
        }
    }
}
