using System.ComponentModel;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FastPlasma.Load.Peers.PlasmaLike;

/// <summary>Messages of fixed size over a blocking unix socket, one system call each, and the passing of a descriptor (unix(7), SCM_RIGHTS).</summary>
internal static unsafe partial class UnixSocket
{
    private const int NoSignal = 0x4000, WaitAll = 0x100, CloseOnExec = 0x40000000;
    private const int SocketLevel = 1, Rights = 1, Interrupted = 4, ConnectionReset = 104;

    /// <summary>Sends a whole message.</summary>
    internal static void Send<T>(Socket socket, ref T message)
        where T : unmanaged
    {
        fixed (T* data = &message)
            for (int done = 0; done < sizeof(T);)
                done += Check(SendCall((int)socket.Handle, (byte*)data + done, (nuint)(sizeof(T) - done), NoSignal), "send");
    }

    /// <summary>Receives a whole message; false when the other side has closed.</summary>
    internal static bool Receive<T>(Socket socket, out T message)
        where T : unmanaged
    {
        Unsafe.SkipInit(out message);
        fixed (T* data = &message)
            for (int done = 0; done < sizeof(T);)
            {
                int got = Check(ReceiveCall((int)socket.Handle, (byte*)data + done, (nuint)(sizeof(T) - done), WaitAll), "recv");
                if (got == 0 && Marshal.GetLastPInvokeError() is not Interrupted)
                    return false;
                done += got;
            }

        return true;
    }

    /// <summary>Sends a number and with it a descriptor.</summary>
    internal static void SendDescriptor(Socket socket, long number, int descriptor)
    {
        var control = new ControlMessage { Length = ControlMessage.UsedBytes, Level = SocketLevel, Type = Rights, Descriptor = descriptor };
        var part = new Part { Data = &number, Bytes = sizeof(long) };
        var header = new MessageHeader { Parts = &part, PartCount = 1, Control = &control, ControlBytes = (nuint)sizeof(ControlMessage) };
        if (Check(SendMessage((int)socket.Handle, &header, NoSignal), "sendmsg") != sizeof(long))
            throw new IOException("The descriptor was not sent with the whole message.");
    }

    /// <summary>Receives what <see cref="SendDescriptor"/> sends; the descriptor is the caller's.</summary>
    internal static int ReceiveDescriptor(Socket socket, out long number)
    {
        long received = 0;
        ControlMessage control = default;
        var part = new Part { Data = &received, Bytes = sizeof(long) };
        var header = new MessageHeader { Parts = &part, PartCount = 1, Control = &control, ControlBytes = (nuint)sizeof(ControlMessage) };
        if (Check(ReceiveMessage((int)socket.Handle, &header, CloseOnExec), "recvmsg") != sizeof(long) || control.Level != SocketLevel || control.Type != Rights || control.Length < ControlMessage.UsedBytes)
            throw new IOException("The server sent no descriptor.");
        number = received;
        return control.Descriptor;
    }

    // An interrupted call counts as no bytes, and is made again.
    private static int Check(nint result, string call)
    {
        if (result >= 0)
        {
            Marshal.SetLastPInvokeError(0);
            return (int)result;
        }

        int error = Marshal.GetLastPInvokeError();
        return error switch
        {
            Interrupted => 0,
            ConnectionReset => throw new IOException($"The other side of the socket has gone ({call})."),
            _ => throw new Win32Exception(error, $"{call} failed with error {error}: {Marshal.GetPInvokeErrorMessage(error)}."),
        };
    }

    [LibraryImport("libc", EntryPoint = "send", SetLastError = true)]
    private static partial nint SendCall(int socket, void* data, nuint bytes, int flags);

    [LibraryImport("libc", EntryPoint = "recv", SetLastError = true)]
    private static partial nint ReceiveCall(int socket, void* data, nuint bytes, int flags);

    [LibraryImport("libc", EntryPoint = "sendmsg", SetLastError = true)]
    private static partial nint SendMessage(int socket, MessageHeader* header, int flags);

    [LibraryImport("libc", EntryPoint = "recvmsg", SetLastError = true)]
    private static partial nint ReceiveMessage(int socket, MessageHeader* header, int flags);

    /// <summary>struct iovec.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Part
    {
        public void* Data;
        public nuint Bytes;
    }

    /// <summary>struct msghdr of 64-bit Linux.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct MessageHeader
    {
        public void* Name;
        public nuint NameBytes;
        public Part* Parts;
        public nuint PartCount;
        public void* Control;
        public nuint ControlBytes;
        public int Flags;
    }

    /// <summary>struct cmsghdr with one descriptor behind it, padded to a multiple of eight.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 24)]
    private struct ControlMessage
    {
        public const int UsedBytes = 20;
        public nuint Length;
        public int Level;
        public int Type;
        public int Descriptor;
    }
}
