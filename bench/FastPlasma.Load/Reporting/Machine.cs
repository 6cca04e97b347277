using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;

namespace FastPlasma.Load.Reporting;

/// <summary>Where and when it was measured, and what.</summary>
internal sealed record Machine
{
    private const double LoadMax = 0.5;

    public string Processor { get; init; } = ProcessorName();

    public int Processors { get; init; } = Environment.ProcessorCount;

    public string Memory { get; init; } = Units.Size(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes);

    public string System { get; init; } = RuntimeInformation.OSDescription;

    public string Kernel { get; init; } = ReadLine("/proc/sys/kernel/osrelease");

    /// <summary>Whether a hypervisor is below, and so the processors may be somebody else's at times.</summary>
    public string Virtual { get; init; } = CpuInfo("flags").Split(' ').Contains("hypervisor") ? "yes" : "no, or unknown";

    public string HugePagesOfSharedMemory { get; init; } = ReadLine("/sys/kernel/mm/transparent_hugepage/shmem_enabled");

    /// <summary>Processes that wanted to run, over one, five and fifteen minutes before: above 0.5, others were at work.</summary>
    public string LoadBefore { get; init; } = string.Join(' ', ReadLine("/proc/loadavg").Split(' ').Take(3));

    public string DotNet { get; init; } = RuntimeInformation.FrameworkDescription;

    public string Commit { get; init; } = CommitOfBuild();

    public DateTimeOffset Date { get; init; } = DateTimeOffset.UtcNow;

    /// <summary>Names and values for tables.</summary>
    internal IEnumerable<(string Name, string Value)> Rows() =>
    [
        ("processor", $"{Processor}, {Processors} processors"),
        ("virtual machine", Virtual),
        ("memory", Memory),
        ("system", System),
        ("kernel", Kernel),
        ("huge pages of shared memory", HugePagesOfSharedMemory),
        ("load before (1, 5, 15 min)", LoadBefore),
        (".NET", DotNet),
        ("FastPlasma commit", Commit),
        ("date", Date.ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture)),
    ];

    /// <summary>What makes this run doubtful, or null.</summary>
    internal string? Doubt() =>
        double.TryParse(LoadBefore.Split(' ')[0], CultureInfo.InvariantCulture, out double load) && load > LoadMax
            ? $"The load average before the run was {LoadBefore.Split(' ')[0]}: other processes were at work, so these figures say little. Repeat on a quiet machine."
            : null;

    /// <summary>A name for a folder: processor and time.</summary>
    internal string FolderName()
    {
        string processor = string.Join('-', new string([.. Processor.ToLowerInvariant().Select(static c => char.IsAsciiLetterOrDigit(c) ? c : ' ')]).Split(' ', StringSplitOptions.RemoveEmptyEntries).Take(4));
        return $"{(processor.Length == 0 ? "unknown" : processor)}-{Date.ToString("yyyyMMdd-HHmm", CultureInfo.InvariantCulture)}";
    }

    private static string ProcessorName() => CpuInfo("model name") is { Length: > 0 } name ? name : RuntimeInformation.ProcessArchitecture.ToString();

    private static string CpuInfo(string field)
    {
        if (!File.Exists("/proc/cpuinfo"))
            return "";
        string? line = File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith(field, StringComparison.Ordinal));
        return line is null ? "" : line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim();
    }

    private static string ReadLine(string path) => File.Exists(path) ? File.ReadLines(path).FirstOrDefault("") : "unknown";

    private static string CommitOfBuild()
    {
        string version = typeof(PlasmaStore).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";
        int plus = version.IndexOf('+', StringComparison.Ordinal);
        return plus < 0 ? $"{version} (built outside of a repository)" : $"{version[(plus + 1)..]} (version {version[..plus]})";
    }
}
