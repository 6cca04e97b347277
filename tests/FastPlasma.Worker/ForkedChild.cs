using System.Runtime.InteropServices;
using System.Text;

namespace FastPlasma.Worker;

/// <summary>A real fork of the worker. Only the forking thread lives on in the child, so the child does little, has a watchdog of the kernel's, and ends by _exit.</summary>
internal static unsafe partial class ForkedChild
{
    private const uint WatchdogSeconds = 60;

    /// <summary>What the child wrote, once it has ended.</summary>
    internal static string Run(Func<string> child)
    {
        int* ends = stackalloc int[2];
        if (pipe(ends) != 0)
            throw new InvalidOperationException("pipe");
        int id = Fork(() =>
        {
            byte[] answer = Encoding.UTF8.GetBytes(child());
            fixed (byte* p = answer)
                _ = write(ends[1], p, (nuint)answer.Length);
        });
        _ = close(ends[1]);
        byte[] buffer = new byte[65536];
        int length = 0;
        fixed (byte* p = buffer)
        {
            nint read;
            while ((read = ReadAll(ends[0], p + length, buffer.Length - length)) > 0) // Ends with the child, at the latest by its watchdog.
                length += (int)read;
        }
        _ = close(ends[0]);
        _ = waitpid(id, out int status, 0);
        return status == 0 ? Encoding.UTF8.GetString(buffer, 0, length) : throw new InvalidOperationException($"The forked child ended with status 0x{status:x}.");
    }

    /// <summary>A child that only stands there with what it has inherited, until it is killed. Returns its process id.</summary>
    internal static int Stay() => Fork(static () =>
    {
        while (pause() != 0) // Ends with the process: signals that are handled let it go on.
        {
        }
    });

    private static int Fork(Action child)
    {
        int id = fork();
        if (id < 0)
            throw new InvalidOperationException("fork");
        if (id > 0)
            return id;
        _ = alarm(WatchdogSeconds);
        child();
        _exit(0);
        return 0;
    }

    private static nint ReadAll(int fd, byte* to, int bytes)
    {
        nint n;
        do
            n = read(fd, to, (nuint)bytes);
        while (n < 0 && Marshal.GetLastPInvokeError() == 4); // EINTR; ends with the signals.
        return n;
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fork();

    [LibraryImport("libc", SetLastError = true)]
    private static partial int pipe(int* ends);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int close(int fd);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint read(int fd, byte* to, nuint bytes);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint write(int fd, byte* from, nuint bytes);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int waitpid(int id, out int status, int options);

    [LibraryImport("libc")]
    private static partial uint alarm(uint seconds);

    [LibraryImport("libc")]
    private static partial int pause();

    [LibraryImport("libc")]
    private static partial void _exit(int status);
}
