using System.Runtime.InteropServices;

namespace FastPlasma.Native;

/// <summary>One stretch of memory of a gathering or scattering call: struct iovec.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct IoPart(byte* address, nuint bytes)
{
    internal byte* Address = address;
    internal nuint Bytes = bytes;
}

/// <summary>Gathering sends and scattering receives on a connected stream socket, straight from and to memory that the caller keeps in place (sendmsg(2), recvmsg(2)). No copy in user space.</summary>
internal static unsafe class SocketIo
{
    /// <summary>Most parts of one call: IOV_MAX.</summary>
    internal const int PartCountMax = 1024;

    /// <summary>Sends from the beginning of the parts.</summary>
    /// <returns>Bytes taken, at least 1; 0 if <paramref name="wait"/> is false and nothing can be taken now.</returns>
    /// <exception cref="OsException">The connection is broken.</exception>
    internal static nint Send(int socket, IoPart* parts, int count, bool wait)
    {
        var message = new Libc.Msghdr { Parts = parts, PartCount = (nuint)count };
        while (true) // Ends with bytes or an error; a signal only repeats the call.
        {
            nint sent = Libc.sendmsg(socket, &message, Libc.MSG_NOSIGNAL | (wait ? 0 : Libc.MSG_DONTWAIT));
            if (sent >= 0)
                return sent;
            int errno = Marshal.GetLastPInvokeError();
            if (errno == Libc.EAGAIN && !wait)
                return 0;
            if (errno != Libc.EINTR)
                throw new OsException("send to", "a peer", errno);
        }
    }

    /// <summary>Receives into the parts, in their order.</summary>
    /// <param name="socket">The descriptor.</param>
    /// <param name="parts">Where to.</param>
    /// <param name="count">How many of them.</param>
    /// <param name="all">Whether to wait until all of them are full, instead of until anything is there.</param>
    /// <returns>Bytes received, fewer than all that were to be waited for only when the sender has closed or was interrupted; 0 when there will be none.</returns>
    /// <exception cref="OsException">The connection is broken.</exception>
    internal static nint Receive(int socket, IoPart* parts, int count, bool all = true)
    {
        var message = new Libc.Msghdr { Parts = parts, PartCount = (nuint)count };
        while (true) // Ends with bytes, the end of the stream or an error; a signal only repeats the call.
        {
            nint received = Libc.recvmsg(socket, &message, all ? Libc.MSG_WAITALL : 0);
            if (received >= 0)
                return received;
            int errno = Marshal.GetLastPInvokeError();
            if (errno != Libc.EINTR)
                throw new OsException("receive from", "a peer", errno);
        }
    }
}
