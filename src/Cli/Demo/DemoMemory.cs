using System.Globalization;

namespace FastPlasma.Cli.Demo;

/// <summary>What one process has mapped of the store's data file, from the kernel's account of it (/proc/PID/smaps).</summary>
/// <param name="RssBytes">Pages that the process sees.</param>
/// <param name="PssBytes">The same pages, each divided by the number of processes that see it; the sum over all processes is the memory really used.</param>
internal sealed record DemoMemory(long RssBytes, long PssBytes)
{
    /// <summary>Name of the mapped file at an address of this process ("device inode"), or null where the kernel does not tell.</summary>
    internal static string? FileAt(nuint address)
    {
        if (!OperatingSystem.IsLinux())
            return null;
        foreach (string line in File.ReadLines("/proc/self/maps"))
            if (TryParseHeader(line, out nuint start, out nuint end, out string file) && address >= start && address < end)
                return file;
        return null;
    }

    /// <summary>Adds up the mappings of one file in one process.</summary>
    internal static DemoMemory Read(int processId, string file)
    {
        long rss = 0, pss = 0;
        bool inside = false;
        foreach (string line in File.ReadLines($"/proc/{processId}/smaps"))
        {
            if (TryParseHeader(line, out _, out _, out string mapped))
                inside = mapped == file;
            else if (inside && line.StartsWith("Rss:", StringComparison.Ordinal))
                rss += Kibibytes(line);
            else if (inside && line.StartsWith("Pss:", StringComparison.Ordinal))
                pss += Kibibytes(line);
        }

        return new DemoMemory(rss << 10, pss << 10);
    }

    /// <summary>Header lines look like "7f00-7f10 r--s 00000000 00:18 1234 /path"; all others begin with a name and a colon.</summary>
    private static bool TryParseHeader(string line, out nuint start, out nuint end, out string file)
    {
        start = end = 0;
        file = "";
        string[] fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (fields.Length < 5 || fields[0].IndexOf('-', StringComparison.Ordinal) is var dash && dash < 0)
            return false;
        file = $"{fields[3]} {fields[4]}";
        return nuint.TryParse(fields[0].AsSpan(0, dash), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out start)
            && nuint.TryParse(fields[0].AsSpan(dash + 1), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out end);
    }

    private static long Kibibytes(string line) => long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
}
