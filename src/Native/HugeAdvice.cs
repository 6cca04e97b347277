namespace FastPlasma.Native;

/// <summary>Whether a file lies where the kernel gives 2 MiB pages to mappings that ask for them, and only at faults: tmpfs mounted with huge=advise.</summary>
/// <remarks>Elsewhere nothing is gained by faults: with huge=always and huge=within_size, and on hugetlbfs, a plain reservation is made of 2 MiB pages; with huge=never, the default of /dev/shm, faults give none either.</remarks>
internal static class HugeAdvice
{
    private const string MountsFile = "/proc/self/mountinfo", AnonymousFile = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";

    /// <param name="path">Of the file; for a memory file anything that does not begin with '/'.</param>
    internal static bool Counts(string path)
    {
        try
        {
            return path.StartsWith('/') ? OptionsOf(path).Split(',').Contains("huge=advise") : File.ReadAllText(AnonymousFile).Contains("[advise]", StringComparison.Ordinal);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false; // No /proc or no such kernel: plain reservations work everywhere.
        }
    }

    /// <summary>Options of the file system that a path lies in, as mounted last; empty when none is found.</summary>
    private static string OptionsOf(string path)
    {
        string options = "";
        int longest = -1;
        foreach (string line in File.ReadLines(MountsFile))
        {
            // ID PARENT MAJOR:MINOR ROOT MOUNT-POINT OPTIONS [TAG...] - TYPE SOURCE SUPER-OPTIONS (proc_pid_mountinfo(5))
            string[] fields = line.Split(' ');
            string point = fields.Length > 9 ? Unescape(fields[4]) : "";
            if (point.Length < longest || point.Length == 0 || !(path.StartsWith(point, StringComparison.Ordinal) && (point == "/" || path.Length == point.Length || path[point.Length] == '/')))
                continue;
            (longest, options) = (point.Length, fields[^1]);
        }
        return options;
    }

    /// <summary>Spaces and the like are three octal digits there.</summary>
    private static string Unescape(string field) => field.Replace("\\040", " ", StringComparison.Ordinal).Replace("\\011", "\t", StringComparison.Ordinal).Replace("\\134", "\\", StringComparison.Ordinal);
}
