using System.Net.Sockets;

namespace FastPlasma.Native;

/// <summary>Stream sockets with a name in a directory (unix(7)), also where the name is longer than the 107 bytes of an address: the kernel is given a descriptor's name instead.</summary>
internal static class LocalSocket
{
    private const uint OwnerOnly = 0x180; // 0600
    private const int Backlog = 64;

    /// <summary>Listens under a name, in place of whatever had it. Only the owner may connect, from the moment on at which the name exists.</summary>
    /// <param name="directory">Where.</param>
    /// <param name="temporaryName">Name until it listens; short, and nobody else's at this moment.</param>
    /// <param name="name">Its name.</param>
    /// <exception cref="IOException">The system refused.</exception>
    internal static Socket Listen(string directory, string temporaryName, string name)
    {
        SharedFile.TryUnlink(directory, temporaryName);
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            // A socket's own mode becomes that of its file, so there is no moment at which others could connect.
            if (Libc.fchmod((int)socket.SafeHandle.DangerousGetHandle(), OwnerOnly) != 0)
                throw OsException.FromLastError("fchmod", name);
            WithDescriptor(directory, $"/{temporaryName}", address => socket.Bind(address));
            socket.Listen(Backlog);
            if (Libc.rename(SharedFile.Combine(directory, temporaryName), SharedFile.Combine(directory, name)) != 0)
                throw OsException.FromLastError("rename to", SharedFile.Combine(directory, name));
            return socket;
        }
        catch (SocketException e)
        {
            socket.Dispose();
            throw new IOException($"cannot listen on {SharedFile.Combine(directory, name)}: {e.Message}", e);
        }
        catch
        {
            socket.Dispose();
            SharedFile.TryUnlink(directory, temporaryName);
            throw;
        }
    }

    /// <summary>Connects to the socket of that name; null when there is none, or nobody listens any more.</summary>
    /// <exception cref="UnauthorizedAccessException">It is another user's.</exception>
    /// <exception cref="IOException">The system refused.</exception>
    internal static Socket? TryConnect(string directory, string name)
    {
        string path = SharedFile.Combine(directory, name);
        if (SharedFile.OwnerOf(path) is not { } owner)
            return null;
        // A folder of shared memory is everybody's: a stranger may have put something under the name.
        if (owner != OsIdentity.EffectiveUid && owner != 0)
            throw new UnauthorizedAccessException($"{path} belongs to user {owner}");
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            WithDescriptor(path, "", address => socket.Connect(address));
            return socket;
        }
        catch (SocketException e)
        {
            socket.Dispose();
            return e.SocketErrorCode switch
            {
                SocketError.ConnectionRefused => null,
                SocketError.AccessDenied => throw new UnauthorizedAccessException($"{path} is not open to this user", e),
                _ => throw new IOException($"cannot connect to {path}: {e.Message}", e),
            };
        }
        catch (OsException e) when (e.ErrorNumber == Libc.ENOENT)
        {
            socket.Dispose();
            return null; // Removed at this moment.
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Opens a path for its place alone, and gives the address that leads there through the descriptor.</summary>
    private static void WithDescriptor(string path, string below, Action<UnixDomainSocketEndPoint> use)
    {
        int fd = Libc.open(path, Libc.O_PATH | Libc.O_CLOEXEC | (below.Length == 0 ? Libc.O_NOFOLLOW : 0), 0);
        if (fd < 0)
            throw OsException.FromLastError("open", path);
        try
        {
            use(new UnixDomainSocketEndPoint($"/proc/self/fd/{fd}{below}"));
        }
        finally
        {
            _ = Libc.close(fd);
        }
    }
}
