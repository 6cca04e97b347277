using System.Runtime.InteropServices;

namespace FastPlasma.Native;

/// <summary>Random bytes of the kernel (getrandom(2)). The runtime's generator asks OpenSSL, which a process without .NET need not have.</summary>
internal static unsafe class OsRandom
{
    internal static void Fill(Span<byte> bytes)
    {
        fixed (byte* p = bytes)
        {
            for (int done = 0; done < bytes.Length;) // Ends with the bytes, or an error.
            {
                nint got = Libc.getrandom(p + done, (nuint)(bytes.Length - done), 0);
                if (got >= 0)
                    done += (int)got;
                else if (Marshal.GetLastPInvokeError() is var errno && errno != Libc.EINTR)
                    throw new OsException("getrandom", $"{bytes.Length} bytes", errno);
            }
        }
    }
}
