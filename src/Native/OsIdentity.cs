using System.Globalization;
using Mono.Unix.Native;

namespace FastPlasma.Native;

/// <summary>Who and where this process is.</summary>
internal static class OsIdentity
{
    /// <summary>Effective user of the process: the trust border of a store.</summary>
    internal static uint EffectiveUid => Syscall.geteuid();

    /// <summary>Changes at every boot of the machine; a store in memory does not outlive it.</summary>
    internal static Guid BootId { get; } = Guid.TryParse(ReadLine("/proc/sys/kernel/random/boot_id"), out Guid id) ? id : Guid.Empty;

    /// <summary>Command name of this process, at most 15 characters.</summary>
    internal static string CommandName { get; } = ReadLine("/proc/self/comm") ?? "?";

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

    private static string? ReadLine(string file) => File.Exists(file) ? File.ReadAllText(file).Trim() : null;
}
