using System.Globalization;
using FastPlasma.Load.Driver;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Parts;
using FastPlasma.Load.Peers;
using FastPlasma.Load.Reporting;

namespace FastPlasma.Load.Scenarios;

/// <summary>Is a put into fresh memory faster with huge pages?</summary>
internal sealed class HugeScenario : IScenario
{
    private const int RoundsFull = 12, RoundsQuick = 4;
    private const long BytesFull = 512L << 20, BytesQuick = 128L << 20;
    private const string PoolFree = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", Case = "16 MiB";

    public string Name => "huge";

    public string Question => "What does a put into memory that nobody has touched take with 4 KiB pages, and with huge pages where the machine has them?";

    public string Method =>
        "One process for each kind of pages puts objects of 16 MiB into a new store of 512 MiB (quick: 128 MiB), again and again, in turns. Ceiling, in turns with them: the first touch of as many 4 KiB pages of a new mapped file, one byte each, without the copy; " +
        "huge pages may so be better than it. The note has how much of the store the kernel really gave in huge pages. Nothing of the machine is changed: without a mounted hugetlbfs with free pages, or a tmpfs mounted with huge=always, within_size or advise, there is no such line.";

    public ScenarioResult Run(LoadContext context)
    {
        var results = new ScenarioResult(this);
        if (context.Product is not { } product)
            return results;
        context.Guard(results, product, "", () =>
        {
            long bytes = context.Pick(BytesFull, BytesQuick);
            context.RequireMemory(bytes);
            string? pool = FindPool(bytes, out string reason), tmpfs = FindTmpfs(bytes);
            if (pool is null)
                results.AddRemark(product, $"hugetlbfs was not measured: {reason}");
            if (tmpfs is null)
                results.AddRemark(product, $"tmpfs with huge pages was not measured: none is mounted that has {Units.Size(bytes)} free and that we may write to");
            string folder = context.Folder.CreateNext();
            (string Kind, string Folder)[] kinds =
            [
                (HugePart.Touch, folder), (HugePart.Never, folder), (HugePart.Auto, folder), .. tmpfs is null ? [] : new[] { (HugePart.HugeTmpfs, tmpfs) }, .. pool is null ? [] : new[] { (HugePart.Pool, pool) },
            ];
            var parts = new List<WorkerProcess>();
            var found = kinds.ToDictionary(static kind => kind.Kind, static _ => new List<WorkResult>());
            try
            {
                foreach ((string kind, string where) in kinds)
                    parts.Add(WorkerProcess.StartPart(context, HugePart.PartName, where, kind, bytes.ToString(CultureInfo.InvariantCulture)));
                for (int round = 0; round <= context.Pick(RoundsFull, RoundsQuick); round++)
                    for (int i = 0; i < kinds.Length; i++)
                    {
                        context.Report($"{kinds[i].Kind}, round {round}");
                        parts[i].Say("round");
                        WorkResult one = parts[i].PartResult();
                        if (round > 0) // The first one warms.
                            found[kinds[i].Kind].Add(one);
                    }
            }
            finally
            {
                foreach (WorkerProcess part in parts)
                    part.Dispose();
            }

            foreach ((string kind, string pages) in ((string, string)[])[(HugePart.Never, "4 KiB pages"), (HugePart.Auto, "HugePages.Auto"), (HugePart.HugeTmpfs, "tmpfs with huge pages"), (HugePart.Pool, "hugetlbfs")])
            {
                if (!found.TryGetValue(kind, out List<WorkResult>? rounds))
                    continue;
                results.Add(PeerList.Ceiling, $"{Case}, {pages}", FigureKind.MedianNs, Measurement.OfRounds(found[HugePart.Touch]), HugePart.ObjectBytes);
                string note = $"{Units.Size(rounds.Average(static one => one.Figures[0]))} of {Units.Size(bytes)} in huge pages";
                results.Add(product, $"{Case}, {pages}", FigureKind.MedianNs, Measurement.OfRounds(rounds), HugePart.ObjectBytes, note);
            }
        });
        return results;
    }

    /// <summary>Where a tmpfs is mounted that gives huge pages by itself, or when it is asked.</summary>
    private static string? FindTmpfs(long bytes) => !File.Exists("/proc/mounts")
        ? null
        : File.ReadLines("/proc/mounts").Select(static line => line.Split(' '))
            .Where(static parts => parts[2] == "tmpfs" && parts[3].Split(',').Any(static option => option is "huge=always" or "huge=within_size" or "huge=advise"))
            .Select(static parts => parts[1])
            .FirstOrDefault(folder => IsWritable(folder) && new DriveInfo(folder).AvailableFreeSpace >= bytes + (16L << 20));

    private static bool IsWritable(string folder)
    {
        try
        {
            using FileStream probe = new(Path.Combine(folder, $"probe-{Guid.NewGuid():N}"), FileMode.CreateNew, FileAccess.Write, FileShare.None, 1, FileOptions.DeleteOnClose);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static string? FindPool(long bytes, out string reason)
    {
        reason = "no hugetlbfs with 2 MiB pages is mounted";
        if (!File.Exists("/proc/mounts") || !File.Exists(PoolFree))
            return null;
        string[]? mount = File.ReadLines("/proc/mounts").Select(static line => line.Split(' ')).FirstOrDefault(static parts => parts[2] == "hugetlbfs" && !parts[3].Contains("pagesize=1", StringComparison.Ordinal));
        if (mount is null)
            return null;
        long freeBytes = long.Parse(File.ReadAllText(PoolFree), CultureInfo.InvariantCulture) << 21, neededBytes = bytes + (4L << 20);
        reason = $"{mount[1]} has {Units.Size(freeBytes)} of free pages and {Units.Size(neededBytes)} are needed (vm.nr_hugepages)";
        return freeBytes >= neededBytes ? mount[1] : null;
    }
}
