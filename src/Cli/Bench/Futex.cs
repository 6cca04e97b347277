using System.ComponentModel;
using System.Runtime.InteropServices;

namespace FastPlasma.Cli.Bench;

/// <summary>The bare system call between processes (futex(2), without the private flag): the ceiling of every wake.</summary>
internal static unsafe partial class Futex
{
    private const int Wait = 0, Wake = 1;
    private const int Again = 11, Interrupted = 4, TimedOut = 110;

    private static nint Number => RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 98 : 202;

    /// <summary>Sleeps while the word is <paramref name="expected"/>, at most <paramref name="timeout"/>; may return early.</summary>
    internal static void WaitOn(uint* word, uint expected, TimeSpan timeout)
    {
        long* time = stackalloc long[2];
        time[0] = timeout.Ticks / TimeSpan.TicksPerSecond;
        time[1] = timeout.Ticks % TimeSpan.TicksPerSecond * 100;
        if (SystemCall(Number, word, Wait, (nint)expected, time, 0, 0) < 0 && Marshal.GetLastPInvokeError() is var error and not (Again or Interrupted or TimedOut))
            throw new Win32Exception(error, $"FUTEX_WAIT failed with error {error}.");
    }

    /// <summary>Wakes one sleeper.</summary>
    internal static void WakeOne(uint* word)
    {
        if (SystemCall(Number, word, Wake, 1, null, 0, 0) < 0)
            throw new Win32Exception(Marshal.GetLastPInvokeError());
    }

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint SystemCall(nint number, uint* word, nint operation, nint value, long* timeout, nint word2, nint value3);
}
