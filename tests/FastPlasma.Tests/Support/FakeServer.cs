using System.Net;
using System.Net.Sockets;
using FastPlasma.Transfer;
using FastPlasma.Transfer.Connections;

namespace FastPlasma.Tests;

/// <summary>Something that shakes hands like a node and then says whatever a test wants.</summary>
internal sealed class FakeServer : IDisposable
{
    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly Handshake.Self _self;
    private readonly Action<ConnectionKind, FrameChannel> _serve;
    private readonly Lock _lock = new();
    private readonly List<FrameChannel> _channels = [];
    private bool _disposed;

    internal FakeServer(Action<ConnectionKind, FrameChannel> serve)
    {
        _serve = serve;
        _socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _socket.Listen(64);
        Endpoint = new NodeEndpoint("127.0.0.1", ((IPEndPoint)_socket.LocalEndPoint!).Port);
        _self = new Handshake.Self(Guid.NewGuid(), Guid.NewGuid(), default, TimeSpan.FromMinutes(10), Endpoint);
        new Thread(Accept) { IsBackground = true }.Start();
    }

    internal NodeEndpoint Endpoint { get; }

    public void Dispose()
    {
        _socket.Dispose();
        lock (_lock)
        {
            _disposed = true;
            foreach (FrameChannel channel in _channels)
                channel.Abort();
        }
    }

    private void Accept()
    {
        try
        {
            while (true)
            {
                Socket socket = _socket.Accept();
                new Thread(() => Serve(socket)) { IsBackground = true }.Start();
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The end.
        }
    }

    private void Serve(Socket socket)
    {
        using var connection = new PlainConnection(socket);
        try
        {
            Hello hello = Handshake.AsServer(connection, _self);
            Handshake.Admit(connection);
            using var channel = new FrameChannel(connection);
            lock (_lock)
            {
                if (_disposed)
                    return;
                _channels.Add(channel);
            }
            try
            {
                _serve(hello.Kind, channel);
            }
            finally
            {
                lock (_lock)
                    _channels.Remove(channel);
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // The node has had enough of it.
        }
    }
}
