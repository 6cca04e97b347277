using System.Runtime.InteropServices;

namespace FastPlasma.Native;

/// <summary>Sleep and wake on a 32-bit word of a shared mapping (futex(2), the non-private form: the word's file offset is the key, so every process meets there).</summary>
internal static unsafe class Futex
{
    /// <summary>Sleeps while <paramref name="word"/> holds <paramref name="expected"/>, at most <paramref name="timeoutMs"/>. Works on a read-only mapping.</summary>
    /// <remarks>Returns on wake, on another value, on timeout and on signals alike: the caller looks at its condition again.</remarks>
    internal static void Wait(uint* word, uint expected, int timeoutMs)
    {
        var timeout = new Libc.Timespec { Seconds = timeoutMs / 1000, Nanoseconds = timeoutMs % 1000 * 1_000_000L };
        if (Libc.futex(Libc.SYS_futex, word, Libc.FUTEX_WAIT, expected, &timeout, null, 0) == 0)
            return;
        int errno = Marshal.GetLastPInvokeError();
        if (errno is not (Libc.EAGAIN or Libc.EINTR or Libc.ETIMEDOUT))
            throw new OsException("futex wait", $"at 0x{(nuint)word:x}", errno);
    }

    /// <summary>Wakes everybody who sleeps on <paramref name="word"/>. Works on a read-only mapping.</summary>
    internal static void WakeAll(uint* word)
    {
        if (Libc.futex(Libc.SYS_futex, word, Libc.FUTEX_WAKE, int.MaxValue, null, null, 0) < 0)
            throw OsException.FromLastError("futex wake", $"at 0x{(nuint)word:x}");
    }
}
