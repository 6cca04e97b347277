using System.Diagnostics;
using System.Text;

namespace FastPlasma.Stress.Fuzz;

/// <summary>A victim, and the watchdog over it. After a death or a hang the next case gets a new one.</summary>
internal sealed class FuzzVictimProcess : IDisposable
{
    internal const string Command = "fuzz-victim";

    private readonly string _executable;
    private readonly string _folder;
    private readonly TimeSpan _patience;
    private readonly StringBuilder _errors = new();
    private Process? _process;

    /// <param name="executable">FastPlasma.Stress itself.</param>
    /// <param name="folder">Where its stores lie; made here, gone afterwards.</param>
    /// <param name="patience">Longest time of one case; what takes longer hangs.</param>
    internal FuzzVictimProcess(string executable, string folder, TimeSpan patience)
    {
        (_executable, _folder, _patience) = (executable, folder, patience);
        Directory.CreateDirectory(folder);
    }

    /// <summary>Null when a line was answered with "ok"; else what went wrong.</summary>
    internal string? Try(string line)
    {
        Process process = _process ??= Start();
        try
        {
            process.StandardInput.WriteLine(line);
            process.StandardInput.Flush();
        }
        catch (IOException)
        {
            return End(process, "died before the case");
        }
        Task<string?> answer = process.StandardOutput.ReadLineAsync();
        if (!answer.Wait(_patience))
        {
            process.Kill();
            return End(process, $"hang: no answer within {_patience.TotalSeconds} s; killed");
        }
        if (answer.Result is not string text)
            return End(process, "crash");
        return text == "ok" || text.StartsWith("ok ", StringComparison.Ordinal) ? null : text;
    }

    private Process Start()
    {
        var start = new ProcessStartInfo(_executable, [Command, _folder]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["DOTNET_EnableDiagnostics"] = "0"; // A killed process would leave its diagnostic socket behind.
        start.Environment["DOTNET_DbgEnableMiniDump"] = "0";
        start.Environment["DOTNET_GCHeapHardLimit"] = "0x20000000"; // A wild length that becomes an allocation has to show.
        start.Environment.Remove("DOTNET_gcServer");
        Process process = Process.Start(start) ?? throw new InvalidOperationException($"{_executable} did not start.");
        lock (_errors)
            _errors.Clear();
        process.ErrorDataReceived += (_, e) =>
        {
            lock (_errors)
                if (_errors.Length < 4000)
                    _errors.Append(e.Data).Append(" | ");
        };
        process.BeginErrorReadLine();
        return process;
    }

    private string End(Process process, string what)
    {
        process.WaitForExit();
        string signal = process.ExitCode > 128 ? $" by signal {process.ExitCode - 128}" : "";
        _process = null;
        process.Dispose();
        foreach (string left in Directory.EnumerateFileSystemEntries(_folder))
        {
            if (Directory.Exists(left))
                Directory.Delete(left, recursive: true);
            else
                File.Delete(left);
        }
        lock (_errors)
            return $"{what}{signal} {_errors}";
    }

    public void Dispose()
    {
        if (_process is { } process)
        {
            process.StandardInput.Close();
            if (!process.WaitForExit(_patience))
                process.Kill();
            End(process, "end");
        }
        Directory.Delete(_folder, recursive: true);
    }
}
