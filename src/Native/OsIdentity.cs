using System.Globalization;
using Mono.Unix.Native;

namespace FastPlasma.Native;

/// <summary>Who and where this process is.</summary>
internal static class OsIdentity
{
    /// <summary>Effective user of the process: the trust border of a store.</summary>
    internal static uint EffectiveUid => Syscall.geteuid();

    /// <summary>Id of this process, asked of the kernel: the runtime remembers the parent's in a forked child.</summary>
    internal static int ProcessId => Syscall.getpid();

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
        return Syscall.getpwnam(user)?.pw_uid ?? throw new ArgumentException($"There is no user '{user}' on this machine.", nameof(user));
    }

    /// <summary>Gid of a group name or of its decimal form.</summary>
    /// <exception cref="ArgumentException">There is no such group.</exception>
    internal static uint GidOf(string group)
    {
        if (uint.TryParse(group, NumberStyles.None, CultureInfo.InvariantCulture, out uint gid) && gid != uint.MaxValue)
            return gid;
        return Syscall.getgrnam(group)?.gr_gid ?? throw new ArgumentException($"There is no group '{group}' on this machine.", nameof(group));
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
