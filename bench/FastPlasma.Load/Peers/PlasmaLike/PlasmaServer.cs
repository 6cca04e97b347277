using System.CommandLine;
using System.IO.MemoryMappedFiles;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace FastPlasma.Load.Peers.PlasmaLike;

/// <summary>The server process: a thread for each connection, one lock around the table, no allocation for a request.</summary>
/// <remarks>A thread that blocks in recv for each of a few connections needs two system calls for a request; one thread with epoll would need three.</remarks>
internal sealed unsafe class PlasmaServer : IDisposable
{
    internal const string CommandName = "__plasma-server";
    private readonly FileStream _memory;
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly ObjectTable _objects;
    private readonly Lock _lock = new();
    private readonly long _bytes;

    private PlasmaServer(string directory, long bytes, int objectCountMax)
    {
        _bytes = bytes;

        // Without a name from the beginning: it lives as long as somebody has its descriptor.
        string path = Path.Combine(directory, "memory");
        _memory = new FileStream(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
        File.Delete(path);
        _memory.SetLength(bytes);
        _file = MemoryMappedFile.CreateFromFile(_memory, mapName: null, 0, MemoryMappedFileAccess.ReadWrite, HandleInheritability.None, leaveOpen: true);
        _view = _file.CreateViewAccessor();
        byte* mapped = null;
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref mapped);
        _objects = new ObjectTable(mapped, bytes, objectCountMax);
    }

    internal static Command CreateCommand()
    {
        Argument<string> directory = new("directory");
        Argument<long> bytes = new("bytes");
        Argument<int> objects = new("objects");
        Command command = new(CommandName) { directory, bytes, objects };
        command.Hidden = true;
        command.SetAction(parse => Serve(parse.GetRequiredValue(directory), parse.GetValue(bytes), parse.GetValue(objects)));
        return command;
    }

    /// <summary>Where clients connect.</summary>
    internal static string SocketPath(string directory) => Path.Combine(directory, "socket");

    public void Dispose()
    {
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
        _memory.Dispose();
    }

    private static int Serve(string directory, long bytes, int objectCountMax)
    {
        // The terminal sends Ctrl-C to all processes; whoever started this one decides when it ends, and the kernel ends it with that one (ServerProcess).
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, static signal => signal.Cancel = true);
        using var server = new PlasmaServer(directory, bytes, objectCountMax);
        using Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(SocketPath(directory)));
        listener.Listen();
        server.Accept(listener);
        return 0;
    }

    private void Accept(Socket listener)
    {
        while (true) // Ends with the process.
        {
            Socket socket = listener.Accept();
            new Thread(() => Serve(socket)) { IsBackground = true, Name = "connection" }.Start();
        }
    }

    private void Serve(Socket socket)
    {
        List<int> held = [];
        using (socket)
        {
            try
            {
                UnixSocket.SendDescriptor(socket, _bytes, (int)_memory.SafeFileHandle.DangerousGetHandle());
                while (UnixSocket.Receive(socket, out Request request))
                {
                    Reply reply;
                    lock (_lock)
                        reply = Answer(request, held);
                    UnixSocket.Send(socket, ref reply);
                }
            }
            catch (IOException)
            {
                // The client has gone; what it held is given back below.
            }
        }

        lock (_lock)
            foreach (int handle in held)
                _objects.Abandon(handle);
    }

    private Reply Answer(in Request request, List<int> held)
    {
        Reply reply = default;
        int handle = (int)request.Handle;
        ReplyStatus status;
        switch (request.Kind)
        {
            case RequestKind.Create:
                status = _objects.Create(request.Key, request.Length, out handle, out reply.Offset);
                break;
            case RequestKind.Get:
                status = _objects.Get(request.Key, out handle, out reply.Offset, out reply.Length);
                break;
            case RequestKind.Seal or RequestKind.Release when !held.Remove(handle):
                status = ReplyStatus.NotYours;
                break;
            case RequestKind.Seal:
                _objects.Seal(handle);
                status = ReplyStatus.Ok;
                break;
            case RequestKind.Release:
                _objects.Release(handle);
                status = ReplyStatus.Ok;
                break;
            case RequestKind.Contains:
                status = _objects.Contains(request.Key) ? ReplyStatus.Ok : ReplyStatus.NotFound;
                break;
            case RequestKind.Delete:
                status = _objects.Delete(request.Key);
                break;
            default:
                throw new IOException($"A client asked for {request.Kind}, which is nothing.");
        }

        if (status == ReplyStatus.Ok && request.Kind is RequestKind.Create or RequestKind.Get)
            held.Add(handle);
        (reply.Status, reply.Handle) = ((long)status, handle);
        return reply;
    }
}
