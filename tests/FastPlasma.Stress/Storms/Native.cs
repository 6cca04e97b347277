using System.Runtime.InteropServices;

namespace FastPlasma.Stress.Storms;

/// <summary>The few calls of the C library with which processes are stopped and bound to their parent.</summary>
internal static partial class Native
{
    internal const int SigKill = 9, SigContinue = 18, SigStop = 19;

    private const int ParentDeathSignal = 1;

    /// <summary>Sends a signal to a child that has not been reaped.</summary>
    internal static void Signal(int process, int signal)
    {
        if (kill(process, signal) != 0)
            throw new InvalidOperationException($"kill({process}, {signal}) failed with errno {Marshal.GetLastPInvokeError()}.");
    }

    /// <summary>From now on the kernel kills this process when its parent dies, also while it is stopped. Ends it if the parent is dead already.</summary>
    internal static void DieWith(int parent)
    {
        if (prctl(ParentDeathSignal, SigKill, 0, 0, 0) != 0)
            throw new InvalidOperationException($"prctl failed with errno {Marshal.GetLastPInvokeError()}.");
        if (getppid() != parent)
            Environment.Exit(1);
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int kill(int process, int signal);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int prctl(int option, nuint a, nuint b, nuint c, nuint d);

    [LibraryImport("libc")]
    private static partial int getppid();
}
