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

    /// <summary>A random (version 4) Guid, as <see cref="Guid.NewGuid"/>, which needs a descriptor for /dev/urandom.</summary>
    internal static Guid NewGuid()
    {
        Span<byte> bytes = stackalloc byte[16];
        Fill(bytes);
        bytes[6] = (byte)(bytes[6] & 0x0F | 0x40);
        bytes[8] = (byte)(bytes[8] & 0x3F | 0x80);
        return new Guid(bytes, bigEndian: true);
    }
}
