using System.Globalization;
using System.Runtime.InteropServices;

namespace FastPlasma.Native;

/// <summary>Who and where this process is.</summary>
internal static unsafe class OsIdentity
{
    /// <summary>Effective user of the process: the trust border of a store.</summary>
    internal static uint EffectiveUid => Libc.geteuid();

    /// <summary>Id of this process, asked of the kernel: the runtime remembers the parent's in a forked child.</summary>
    internal static int ProcessId => Libc.getpid();

    /// <summary>Number of the pid namespace in which <see cref="ProcessId"/> counts, as in /proc/self/ns/pid; 0 where that cannot be read.</summary>
    internal static ulong PidNamespace =>
        new FileInfo("/proc/self/ns/pid").LinkTarget is { } link && ulong.TryParse(link.AsSpan()["pid:[".Length..^1], NumberStyles.None, CultureInfo.InvariantCulture, out ulong number) ? number : 0;

    /// <summary>State letter of a process of this pid namespace, as in /proc/PID/stat ('T' is stopped); null when there is no such process, or only its exit status.</summary>
    internal static char? StateOf(int processId)
    {
        try
        {
            string stat = File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{processId}/stat"));
            char state = stat[stat.LastIndexOf(')') + 2]; // The name before it may hold any character.
            return state is 'Z' or 'X' ? null : state;
        }
        catch (IOException)
        {
            return null; // It does not exist, or has ended while it was read.
        }
    }

    /// <summary>Changes at every boot of the machine; a store in memory does not outlive it.</summary>
    internal static Guid BootId { get; } = Guid.TryParse(ReadLine("/proc/sys/kernel/random/boot_id"), out Guid id) ? id : Guid.Empty;

    /// <summary>Command name of this process, at most 15 characters.</summary>
    internal static string CommandName { get; } = ReadLine("/proc/self/comm") ?? "?";

    /// <summary>Command name of a process of this pid namespace.</summary>
    internal static string CommandNameOf(int processId) => ReadLine(string.Create(CultureInfo.InvariantCulture, $"/proc/{processId}/comm")) ?? "?";

    /// <summary>Uid of a user name or of its decimal form.</summary>
    /// <exception cref="ArgumentException">There is no such user.</exception>
    internal static uint UidOf(string user)
    {
        if (uint.TryParse(user, NumberStyles.None, CultureInfo.InvariantCulture, out uint uid) && uid != uint.MaxValue)
            return uid;
        return Lookup(user, &Libc.getpwnam_r) ?? throw new ArgumentException($"There is no user '{user}' on this machine.", nameof(user));
    }

    /// <summary>Gid of a group name or of its decimal form.</summary>
    /// <exception cref="ArgumentException">There is no such group.</exception>
    internal static uint GidOf(string group)
    {
        if (uint.TryParse(group, NumberStyles.None, CultureInfo.InvariantCulture, out uint gid) && gid != uint.MaxValue)
            return gid;
        return Lookup(group, &Libc.getgrnam_r) ?? throw new ArgumentException($"There is no group '{group}' on this machine.", nameof(group));
    }

    /// <summary>The number of a name; null when there is none of it.</summary>
    private static uint? Lookup(string name, delegate*<string, out Libc.NamedId, byte*, nuint, out Libc.NamedId*, int> call)
    {
        const int bufferBytesMax = 1 << 20; // A group's members may fill much of it.
        for (int bytes = 1 << 12; ; bytes *= 4) // Ends with the largest.
        {
            byte* buffer = (byte*)NativeMemory.Alloc((nuint)bytes);
            try
            {
                int errno = call(name, out Libc.NamedId entry, buffer, (nuint)bytes, out Libc.NamedId* result);
                if (errno == Libc.ERANGE && bytes < bufferBytesMax)
                    continue;
                return errno == 0 && result != null ? entry.Id : null;
            }
            finally
            {
                NativeMemory.Free(buffer);
            }
        }
    }

    private static string? ReadLine(string file)
    {
        try
        {
            return File.ReadAllText(file).Trim();
        }
        catch (IOException)
        {
            return null; // Not there, or the process has ended while it was read.
        }
    }
}
