using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace FastPlasma.Tests.Interop;

/// <summary>The Python client: the unittests in clients/python/tests, file by file, against the published C library and the worker of these tests.</summary>
public sealed partial class PythonTests(ITestOutputHelper output)
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(5);

    private static string Client { get; } = Path.Combine(Repository.Folder, "clients", "python");

    private static string Library { get; } = Path.Combine(Repository.Folder, "artifacts", "publish", "FastPlasma.Interop", "libfastplasma.so");

    /// <summary>The system's interpreter, for which eng/test installs numpy and pandas; not the first of the path.</summary>
    private static string Python => Environment.GetEnvironmentVariable("FASTPLASMA_PYTHON") ?? (File.Exists("/usr/bin/python3") ? "/usr/bin/python3" : "python3");

    public static TheoryData<string> Files => [.. Directory.GetFiles(Path.Combine(Client, "tests"), "test_*.py").Select(static file => Path.GetFileNameWithoutExtension(file)!).Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Files))]
    public void Python_tests_pass_and_none_is_skipped(string file)
    {
        Assert.True(File.Exists(Library), $"{Library} is not there: publish it (dotnet publish src/Interop -c Release).");
        (int exitCode, string text) = Run("-X", "dev", "-m", "unittest", "-v", $"tests.{file}");
        output.WriteLine(text);
        int count = Ran().Match(text) is { Success: true } ran ? int.Parse(ran.Groups[1].Value, CultureInfo.InvariantCulture) : 0;
        Assert.True(exitCode == 0 && count > 0 && !text.Contains("skipped", StringComparison.Ordinal), $"{file}: {count} tests ran, python3 ended with {exitCode}.\n{text}");
    }

    /// <summary>Exit code and output of an interpreter that is killed with its children when it takes too long.</summary>
    private static (int ExitCode, string Text) Run(params string[] arguments)
    {
        var start = new ProcessStartInfo(Python, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = Client };
        start.Environment["FASTPLASMA_LIBRARY"] = Library;
        start.Environment["FASTPLASMA_WORKER"] = Path.Combine(WorkerProcess.Folder, "FastPlasma.Worker");
        start.Environment["FASTPLASMA_TEST_PREFIX"] = $"{Leftovers.Prefix}py";
        start.Environment["FASTPLASMA_TEST_SEED"] = LongRun.Seed.ToString(CultureInfo.InvariantCulture);
        start.Environment["PYTHONDONTWRITEBYTECODE"] = "1";
        start.Environment.Remove("PYTHONPATH");
        using Process process = Process.Start(start)!;
        var text = new StringBuilder();
        DataReceivedEventHandler append = (_, line) =>
        {
            lock (text)
                text.AppendLine(line.Data);
        };
        process.OutputDataReceived += append;
        process.ErrorDataReceived += append;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        process.StandardInput.Close();
        bool ended = process.WaitForExit(s_patience);
        if (!ended)
            process.Kill(entireProcessTree: true);
        process.WaitForExit(); // Also for the rest of its output.
        lock (text)
            return (ended ? process.ExitCode : -1, text.ToString());
    }

    [GeneratedRegex(@"^Ran (\d+) tests?", RegexOptions.Multiline)]
    private static partial Regex Ran();
}
