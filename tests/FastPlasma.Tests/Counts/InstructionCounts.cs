using System.Diagnostics;
using System.Globalization;

namespace FastPlasma.Tests.Counts;

/// <summary>What one run of FastPlasma.Counted under callgrind has counted: instructions and managed bytes of each hot operation.</summary>
/// <remarks>The same program executes the same instructions every time, whatever else the machine does; so these are figures of the code, as times never are.</remarks>
public sealed class InstructionCounts
{
    private const string Mark = "FastPlasma_Counted_FastPlasma_Counted_Program__Mark";

    /// <summary>Of each operation: preparation, N runs, preparation, 2N runs.</summary>
    private const int PartsPerOperation = 4;

    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(3); // It takes some seconds on an idle machine.

    private readonly Dictionary<string, double> _instructions = [];
    private readonly Dictionary<string, long> _bytes = [];

    public InstructionCounts()
    {
        string program = Path.Combine(Repository.Folder, "artifacts", "publish", "FastPlasma.Counted", "release", "FastPlasma.Counted");
        Assert.True(File.Exists(program), $"{program} is not there: publish it (dotnet publish tests/FastPlasma.Counted -c Release).");
        string name = $"{Leftovers.Prefix}counted", folder = Directory.CreateTempSubdirectory(Leftovers.Prefix).FullName;
        try
        {
            string counts = Path.Combine(folder, "counts");
            string[] lines = Run(
                "valgrind", "--quiet", "--tool=callgrind", "--separate-threads=yes", "--combine-dumps=yes", $"--dump-before={Mark}", $"--callgrind-out-file={counts}", program, name);
            Read(lines, [.. File.ReadLines(counts)]);
        }
        finally
        {
            PlasmaStore.Destroy(name); // Of a run that did not end.
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>What determines the counts beside our code: compiler, libraries, counter.</summary>
    internal string Built { get; private set; } = "";

    internal IReadOnlyDictionary<string, double> Instructions => _instructions;

    /// <summary>Managed bytes that N runs of an operation allocate.</summary>
    internal IReadOnlyDictionary<string, long> AllocatedBytes => _bytes;

    private void Read(string[] lines, string[] counts)
    {
        string[][] operations = [.. lines.Where(static line => line.StartsWith("operation ", StringComparison.Ordinal)).Select(static line => line.Split(' '))];
        string[] built = [.. lines.Where(static line => line.StartsWith("built ", StringComparison.Ordinal))], creator = [.. counts.Where(static line => line.StartsWith("creator: ", StringComparison.Ordinal))];
        Built = $"{Assert.Single(built)["built ".Length..]}, {creator[0]["creator: ".Length..]}";

        // Only the thread that calls; the runtime's own have parts of their own.
        var parts = new List<long>();
        string thread = "";
        foreach (string line in counts)
        {
            if (line.StartsWith("thread: ", StringComparison.Ordinal))
                thread = line["thread: ".Length..];
            else if (thread == "1" && line.StartsWith("totals: ", StringComparison.Ordinal))
                parts.Add(long.Parse(line.AsSpan("totals: ".Length), CultureInfo.InvariantCulture));
        }
        Assert.Equal(operations.Length * PartsPerOperation + 1, parts.Count); // The last part is the end of the process.
        foreach (var (i, words) in operations.Index())
        {
            // operation NAME N BYTES
            long once = parts[i * PartsPerOperation + 1], twice = parts[i * PartsPerOperation + 3];
            _instructions[words[1]] = (double)(twice - once) / int.Parse(words[2], CultureInfo.InvariantCulture);
            _bytes[words[1]] = long.Parse(words[3], CultureInfo.InvariantCulture);
        }
    }

    private static string[] Run(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = "/" };
        using Process process = Process.Start(start) ?? throw new InvalidOperationException($"{program} did not start.");
        Task<string> standard = process.StandardOutput.ReadToEndAsync(), error = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(s_patience))
        {
            process.Kill(entireProcessTree: true);
            process.WaitForExit();
        }
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}: {standard.Result}{error.Result}");
        return standard.Result.Split('\n');
    }
}
