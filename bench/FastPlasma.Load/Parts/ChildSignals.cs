using System.Runtime.InteropServices;

namespace FastPlasma.Load.Parts;

/// <summary>The few calls of the C library with which processes are stopped and bound to their parent.</summary>
internal static partial class ChildSignals
{
    private const int Kill = 9, Continue = 18, Stop = 19, ParentDeathSignal = 1;

    /// <summary>Stops a child, and returns when it stands still.</summary>
    internal static void StopChild(int process)
    {
        Send(process, Stop);
        while (File.ReadAllText($"/proc/{process}/stat").Split(") ")[1][0] != 'T') // Ends: the signal cannot be held up.
            Thread.Yield();
    }

    /// <summary>Lets a child go on.</summary>
    internal static void ContinueChild(int process) => Send(process, Continue);

    /// <summary>From now on the kernel kills this process when its parent dies, also while it is stopped and so cannot notice by itself. Ends it if the parent is dead already.</summary>
    internal static void DieWith(int parent)
    {
        if (prctl(ParentDeathSignal, Kill, 0, 0, 0) != 0)
            throw new InvalidOperationException($"prctl failed with errno {Marshal.GetLastPInvokeError()}.");
        if (getppid() != parent)
            Environment.Exit(1);
    }

    private static void Send(int process, int signal)
    {
        if (kill(process, signal) != 0)
            throw new InvalidOperationException($"kill({process}, {signal}) failed with errno {Marshal.GetLastPInvokeError()}.");
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int kill(int process, int signal);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int prctl(int option, nuint a, nuint b, nuint c, nuint d);

    [LibraryImport("libc")]
    private static partial int getppid();
}
