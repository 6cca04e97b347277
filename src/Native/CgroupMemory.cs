using System.Globalization;

namespace FastPlasma.Native;

/// <summary>How much memory the control group of this process may still take. Shared memory counts there, and going over kills instead of failing.</summary>
internal static class CgroupMemory
{
    // The limit files in force, found once: a process rarely moves, and looking for them at each reservation would cost more than the reservation.
    private static readonly (string Limit, string Usage, string Statistics)[] s_groups = FindGroups("/proc/self/cgroup", "/sys/fs/cgroup");

    /// <summary>Least headroom over all groups in force, in bytes; <see cref="long.MaxValue"/> without a limit. Reclaimable file cache counts as free.</summary>
    internal static long HeadroomBytes() => HeadroomBytes(s_groups);

    /// <summary>The same over given groups.</summary>
    internal static long HeadroomBytes((string Limit, string Usage, string Statistics)[] groups)
    {
        long headroom = long.MaxValue;
        foreach ((string limitFile, string usageFile, string statisticsFile) in groups)
        {
            if (!TryReadNumber(limitFile, out long limit) || limit >= long.MaxValue / 2 || !TryReadNumber(usageFile, out long usage))
                continue;
            headroom = Math.Min(headroom, Math.Max(0, limit - usage + ReadStatistic(statisticsFile, "inactive_file")));
        }
        return headroom;
    }

    /// <summary>Groups with a limit, of both versions.</summary>
    /// <param name="membershipFile">Form of /proc/self/cgroup; none means no groups.</param>
    /// <param name="mountPoint">Where the group file systems are mounted.</param>
    internal static (string Limit, string Usage, string Statistics)[] FindGroups(string membershipFile, string mountPoint)
    {
        var groups = new List<(string, string, string)>();
        if (!File.Exists(membershipFile))
            return [];
        foreach (string line in File.ReadLines(membershipFile))
        {
            string[] parts = line.Split(':', 3);
            if (parts.Length != 3)
                continue;
            bool isVersion2 = parts[0] == "0" && parts[1].Length == 0;
            bool isMemory1 = parts[1].Split(',').Contains("memory");
            if (!isVersion2 && !isMemory1)
                continue;
            string root = isMemory1 ? $"{mountPoint}/memory" : Directory.Exists($"{mountPoint}/unified") ? $"{mountPoint}/unified" : mountPoint;
            (string limit, string usage) = isMemory1 ? ("memory.limit_in_bytes", "memory.usage_in_bytes") : ("memory.max", "memory.current");

            // A container sees its own group at the mount's root although /proc names the path outside; both forms are tried, and every parent limits too.
            string path = parts[2].Trim('/');
            while (true)
            {
                string folder = path.Length == 0 ? root : $"{root}/{path}";
                if (File.Exists($"{folder}/{limit}"))
                    groups.Add(($"{folder}/{limit}", $"{folder}/{usage}", $"{folder}/memory.stat"));
                if (path.Length == 0)
                    break;
                path = path.Contains('/') ? path[..path.LastIndexOf('/')] : "";
            }
        }
        return [.. groups.Where(g => TryReadNumber(g.Item1, out long limit) && limit < long.MaxValue / 2)];
    }

    private static bool TryReadNumber(string file, out long value)
    {
        value = 0;
        try
        {
            string text = File.ReadAllText(file).Trim();
            if (text == "max")
            {
                value = long.MaxValue;
                return true;
            }
            return long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value);
        }
        catch (IOException)
        {
            return false; // The group went away: it no longer limits us.
        }
        catch (UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static long ReadStatistic(string file, string name)
    {
        try
        {
            foreach (string line in File.ReadLines(file))
                if (line.StartsWith(name, StringComparison.Ordinal) && line.Length > name.Length && line[name.Length] == ' '
                    && long.TryParse(line.AsSpan(name.Length + 1), NumberStyles.None, CultureInfo.InvariantCulture, out long value))
                    return value;
        }
        catch (IOException)
        {
            return 0;
        }
        return 0;
    }
}
