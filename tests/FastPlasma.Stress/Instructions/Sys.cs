using System.Runtime.InteropServices;

namespace FastPlasma.Stress.Instructions;

/// <summary>The system calls of a tracer. Names and constants are those of ptrace(2), waitpid(2) and posix_spawn(3); registers are those of x64.</summary>
internal static unsafe partial class Sys
{
    private const string Libc = "libc";

    internal const int PTRACE_CONT = 7, PTRACE_SINGLESTEP = 9, PTRACE_GETREGS = 12, PTRACE_SETREGS = 13, PTRACE_SEIZE = 0x4206, PTRACE_INTERRUPT = 0x4207;
    internal const int PTRACE_O_TRACECLONE = 8, PTRACE_O_EXITKILL = 0x100000;
    internal const int WALL = 0x40000000, WNOTHREAD = 0x20000000;
    internal const int SIGTRAP = 5, SIGKILL = 9;
    internal const int EINTR = 4, ESRCH = 3, ECHILD = 10;
    internal const int O_RDWR = 2, O_CLOEXEC = 0x80000;
    internal const short POLLIN = 1;

    /// <summary>struct user_regs_struct.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 27 * 8)]
    internal struct Registers
    {
        [FieldOffset(16 * 8)] internal ulong Rip;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct PollFd
    {
        internal int Descriptor;
        internal short Events;
        internal short Returned;
    }

    [LibraryImport(Libc, SetLastError = true)]
    internal static partial long ptrace(int request, int task, nint address, nint data);

    [LibraryImport(Libc, SetLastError = true)]
    internal static partial int waitpid(int task, int* status, int options);

    [LibraryImport(Libc, SetLastError = true)]
    internal static partial int kill(int process, int signal);

    [LibraryImport(Libc, SetLastError = true)]
    internal static partial int pipe2(int* descriptors, int flags);

    [LibraryImport(Libc, SetLastError = true)]
    internal static partial int close(int descriptor);

    [LibraryImport(Libc, SetLastError = true)]
    internal static partial nint read(int descriptor, byte* buffer, nint count);

    [LibraryImport(Libc, SetLastError = true)]
    internal static partial nint write(int descriptor, byte* buffer, nint count);

    [LibraryImport(Libc, SetLastError = true)]
    internal static partial nint pread(int descriptor, byte* buffer, nint count, long offset);

    [LibraryImport(Libc, SetLastError = true)]
    internal static partial nint pwrite(int descriptor, byte* buffer, nint count, long offset);

    [LibraryImport(Libc, SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int open(string path, int flags);

    [LibraryImport(Libc, SetLastError = true)]
    internal static partial int poll(PollFd* descriptors, nint count, int timeoutMs);

    [LibraryImport(Libc)]
    internal static partial int posix_spawn_file_actions_init(byte* actions);

    [LibraryImport(Libc)]
    internal static partial int posix_spawn_file_actions_adddup2(byte* actions, int from, int to);

    [LibraryImport(Libc)]
    internal static partial int posix_spawn_file_actions_destroy(byte* actions);

    [LibraryImport(Libc, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int posix_spawn(int* process, string path, byte* actions, byte* attributes, byte** arguments, byte** environment);

    internal static IOException Error(string what) => new($"{what}: {Marshal.GetLastPInvokeErrorMessage()} (errno {Marshal.GetLastPInvokeError()}).");
}
