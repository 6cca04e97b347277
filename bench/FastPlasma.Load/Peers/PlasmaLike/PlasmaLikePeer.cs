using System.Globalization;
using System.IO.MemoryMappedFiles;
using System.Net.Sockets;
using FastPlasma.Cli.Children;
using Microsoft.Win32.SafeHandles;

namespace FastPlasma.Load.Peers.PlasmaLike;

/// <summary>A store with a daemon, as Arrow Plasma was one: shared memory for the bytes, a socket for everything else.</summary>
/// <remarks>Made as good as such a thing can be without much ado, so that what is compared is a daemon and a socket with an index in shared memory, and not somebody's message format.</remarks>
internal sealed class PlasmaLikePeer : IPeer
{
    public string Name => "plasma-like";

    public string Description =>
        "A store daemon as Arrow Plasma was one, written for this comparison: bytes in shared memory that clients map once by a passed descriptor, and one round trip over a unix socket each for create, seal, get, release, contains " +
        "and delete. Messages of fixed binary size, a server thread for each connection, no allocation for a request. A get is a view in place.";

    public bool IsShared => true;

    public string? Missing => OperatingSystem.IsLinux() ? ServerProcess.MissingKeeper : "it needs Linux (SCM_RIGHTS).";

    public IPeerInstance Start(PeerSetup setup)
    {
        long bytes = SizeClassArena.BytesFor(setup.CapacityBytes, setup.ObjectBytesMax);
        string socketPath = PlasmaServer.SocketPath(setup.Directory);
        (string program, string[] arguments) = ChildProcess.CommandOfSelf(
            PlasmaServer.CommandName, setup.Directory, bytes.ToString(CultureInfo.InvariantCulture), Math.Max(1024, setup.ObjectCountMax + 64).ToString(CultureInfo.InvariantCulture));
        return new Instance(ServerProcess.Start(program, arguments, socketPath, IsReady), setup.Directory);
    }

    public IPeerSession Open(string address, PeerSetup setup) => new Session(address);

    // The server speaks first: the size of its memory, with the descriptor.
    private static bool IsReady(Socket socket)
    {
        int descriptor = UnixSocket.ReceiveDescriptor(socket, out _);
        new SafeFileHandle(descriptor, ownsHandle: true).Dispose();
        return true;
    }

    private sealed class Instance(ServerProcess server, string directory) : IPeerInstance
    {
        public string Address => directory;

        public void Dispose() => server.Dispose();
    }

    private sealed unsafe class Session : IPeerSession
    {
        private readonly string _directory;
        private readonly MemoryMappedFile _file;
        private readonly MemoryMappedViewAccessor _view;
        private readonly byte* _memory;
        private readonly long _bytes;

        internal Session(string directory)
        {
            _directory = directory;
            using Socket socket = ConnectSocket(out int descriptor, out _bytes);
            using var memory = new FileStream(new SafeFileHandle(descriptor, ownsHandle: true), FileAccess.ReadWrite, bufferSize: 0);
            _file = MemoryMappedFile.CreateFromFile(memory, mapName: null, 0, MemoryMappedFileAccess.ReadWrite, HandleInheritability.None, leaveOpen: true);
            _view = _file.CreateViewAccessor();
            _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _memory);
        }

        public IPeerClient Connect()
        {
            Socket socket = ConnectSocket(out int descriptor, out _);
            new SafeFileHandle(descriptor, ownsHandle: true).Dispose(); // This process has its mapping already.
            return new Client(socket, _memory, _bytes);
        }

        public void Dispose()
        {
            _view.SafeMemoryMappedViewHandle.ReleasePointer();
            _view.Dispose();
            _file.Dispose();
        }

        private Socket ConnectSocket(out int descriptor, out long bytes)
        {
            Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                socket.Connect(new UnixDomainSocketEndPoint(PlasmaServer.SocketPath(_directory)));
                descriptor = UnixSocket.ReceiveDescriptor(socket, out bytes);
                return socket;
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        }
    }

    private sealed unsafe class Client(Socket socket, byte* memory, long bytes) : IPeerClient
    {
        public void Put(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
        {
            Reply created = Ask(new Request { Kind = RequestKind.Create, Key = new Key(key), Length = value.Length });
            if ((ReplyStatus)created.Status != ReplyStatus.Ok)
                throw new InvalidOperationException($"Create of {value.Length} bytes answered {(ReplyStatus)created.Status}.");
            value.CopyTo(new Span<byte>(Place(created.Offset, value.Length), value.Length));
            Require(Ask(new Request { Kind = RequestKind.Seal, Handle = created.Handle }), "Seal");
        }

        public long Get(ReadOnlySpan<byte> key, bool touch, out ulong sum)
        {
            sum = 0;
            Reply found = Ask(new Request { Kind = RequestKind.Get, Key = new Key(key) });
            if ((ReplyStatus)found.Status == ReplyStatus.NotFound)
                return -1;
            Require(found, "Get");
            if (touch)
                sum = Payload.Sum(new ReadOnlySpan<byte>(Place(found.Offset, found.Length), (int)found.Length));
            Require(Ask(new Request { Kind = RequestKind.Release, Handle = found.Handle }), "Release");
            return found.Length;
        }

        public bool Contains(ReadOnlySpan<byte> key) => (ReplyStatus)Ask(new Request { Kind = RequestKind.Contains, Key = new Key(key) }).Status == ReplyStatus.Ok;

        public bool Delete(ReadOnlySpan<byte> key) => (ReplyStatus)Ask(new Request { Kind = RequestKind.Delete, Key = new Key(key) }).Status == ReplyStatus.Ok;

        public void Dispose() => socket.Dispose();

        private static void Require(in Reply reply, string what)
        {
            if ((ReplyStatus)reply.Status != ReplyStatus.Ok)
                throw new InvalidOperationException($"{what} answered {(ReplyStatus)reply.Status}.");
        }

        private Reply Ask(Request request)
        {
            UnixSocket.Send(socket, ref request);
            return UnixSocket.Receive(socket, out Reply reply) ? reply : throw new IOException("The server has closed the connection.");
        }

        // SAFETY: the server gave a place inside the memory that it mapped; a wrong one stops here.
        private byte* Place(long offset, long length) =>
            offset > 0 && length <= bytes - offset ? memory + offset : throw new InvalidOperationException($"The server gave the place {offset} for {length} bytes.");
    }
}
