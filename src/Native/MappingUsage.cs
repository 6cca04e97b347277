using System.Globalization;

namespace FastPlasma.Native;

/// <summary>What the kernel really gave: sums of /proc/self/smaps over this process's mappings of one file.</summary>
/// <param name="ResidentBytes">Pages in the page table, over all mappings.</param>
/// <param name="ProportionalBytes">The same, shared pages divided by their users.</param>
/// <param name="HugePageBytes">In 2 MiB pages, of the mapping that has most: the views of a file show the same pages.</param>
internal readonly record struct MappingUsage(long ResidentBytes, long ProportionalBytes, long HugePageBytes)
{
    /// <summary>Reads the sums for mappings whose path ends in <paramref name="fileName"/> (memfd names included), of this or another process.</summary>
    internal static MappingUsage Read(string fileName, string process = "self")
    {
        long rss = 0, pss = 0, huge = 0, hugeMax = 0;
        bool ours = false;
        foreach (string line in File.ReadLines($"/proc/{process}/smaps"))
        {
            int colon = line.IndexOf(':');
            if (colon < 0 || line.IndexOf(' ') < colon)
            {
                (hugeMax, huge) = (Math.Max(hugeMax, huge), 0);
                ours = line.EndsWith(fileName, StringComparison.Ordinal) || line.EndsWith(fileName + " (deleted)", StringComparison.Ordinal);
                continue;
            }
            if (!ours)
                continue;
            switch (line.AsSpan(0, colon))
            {
                case "Rss": rss += Kilobytes(line); break;
                case "Pss": pss += Kilobytes(line); break;
                case "ShmemPmdMapped" or "FilePmdMapped" or "Shared_Hugetlb" or "Private_Hugetlb": huge += Kilobytes(line); break;
            }
        }
        return new MappingUsage(rss, pss, Math.Max(hugeMax, huge));
    }

    private static long Kilobytes(string line)
    {
        ReadOnlySpan<char> number = line.AsSpan(line.IndexOf(':') + 1).Trim();
        int space = number.IndexOf(' ');
        return long.TryParse(space < 0 ? number : number[..space], NumberStyles.None, CultureInfo.InvariantCulture, out long value) ? value * 1024 : 0;
    }
}
