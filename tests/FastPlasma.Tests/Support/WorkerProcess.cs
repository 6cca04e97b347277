using System.Diagnostics;
using System.IO.Hashing;
using System.Globalization;
using Mono.Unix.Native;

namespace FastPlasma.Tests;

/// <summary>A worker executable as a child process, driven line by line. It ends with its input, so a test run that dies leaves none behind.</summary>
internal sealed class WorkerProcess : IDisposable
{
    private readonly Process _process;
    private bool _disposed;

    private WorkerProcess(Process process) => _process = process;

    internal int Id => _process.Id;

    /// <summary>0; after the death by a signal 128 + its number.</summary>
    internal int ExitCode => _process.ExitCode;

    internal int? ExitCodeOrNull => _process.HasExited ? _process.ExitCode : null;

    /// <summary>Folder of the worker's build output: beside the tests' own.</summary>
    internal static string Folder
    {
        get
        {
            var own = new DirectoryInfo(AppContext.BaseDirectory);
            return Path.Combine(own.Parent!.Parent!.FullName, "FastPlasma.Worker", own.Name);
        }
    }

    /// <param name="folder">Where the executable is; null for the build output.</param>
    /// <param name="uid">User to run as; only root can choose.</param>
    /// <param name="wrapper">A program and its arguments that starts the worker.</param>
    internal static WorkerProcess Start(string? folder = null, uint? uid = null, string[]? wrapper = null)
    {
        string executable = Path.Combine(folder ?? Folder, "FastPlasma.Worker");
        Assert.True(File.Exists(executable), $"{executable} is not there: build the solution.");
        if (uid is uint u)
        {
            string id = u.ToString(CultureInfo.InvariantCulture);
            wrapper = ["setpriv", $"--reuid={id}", $"--regid={id}", "--clear-groups"];
        }
        var start = new ProcessStartInfo(wrapper?[0] ?? executable)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = "/",
        };
        if (wrapper is not null)
            foreach (string argument in (string[])[.. wrapper[1..], executable])
                start.ArgumentList.Add(argument);
        start.Environment["DOTNET_EnableDiagnostics"] = "0"; // A killed process would leave its diagnostic socket behind.
        start.Environment["DOTNET_DbgEnableMiniDump"] = "0";
        start.Environment["DOTNET_TieredCompilation"] = "1";
        start.Environment["DOTNET_EnableWriteXorExecute"] = "0"; // Else the runtime maps compiled code shared, and what a forked child compiles is written over its parent's.
        start.Environment.Remove("DOTNET_gcServer");
        Process process = Process.Start(start) ?? throw new InvalidOperationException("The worker did not start.");
        process.ErrorDataReceived += static (_, _) => { }; // Drained, so that a crash report cannot block it.
        process.BeginErrorReadLine();
        return new WorkerProcess(process);
    }

    /// <summary>Sends a command and returns what follows "ok".</summary>
    /// <exception cref="WorkerException">It answered with an error.</exception>
    internal string Call(string command)
    {
        Send(command);
        return Receive() ?? throw new WorkerException($"The worker ended at '{command}'.");
    }

    internal void Send(string command)
    {
        _process.StandardInput.WriteLine(command);
        _process.StandardInput.Flush();
    }

    /// <summary>The next answer; null when the process ended instead.</summary>
    internal string? Receive(TimeSpan? patience = null)
    {
        string? line = _process.StandardOutput.ReadLineAsync().WaitAsync(patience ?? Eventually.Patience).GetAwaiter().GetResult();
        if (line is null || line == "ok")
            return line is null ? null : "";
        return line.StartsWith("ok ", StringComparison.Ordinal) ? line[3..] : throw new WorkerException(line);
    }

    internal void Kill()
    {
        _process.Kill();
        AwaitExit();
    }

    internal void AwaitExit() => Assert.True(_process.WaitForExit(Eventually.Patience), $"Worker {Id} did not end.");

    /// <summary>Stops the process and returns when the kernel shows it stopped.</summary>
    internal void Stop()
    {
        Assert.Equal(0, Syscall.kill(Id, Signum.SIGSTOP));
        Eventually.True(() => File.ReadAllText($"/proc/{Id}/stat").Split(") ")[1][0] == 'T', $"worker {Id} is stopped");
    }

    internal void Continue() => Assert.Equal(0, Syscall.kill(Id, Signum.SIGCONT));

    internal void CloseInput() => _process.StandardInput.Close();

    /// <summary>What "read" and "get" answer for a payload.</summary>
    internal static string Describe(ReadOnlySpan<byte> payload) => string.Create(CultureInfo.InvariantCulture, $"{payload.Length} {XxHash3.HashToUInt64(payload):x}");

    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        if (!_process.HasExited)
            Kill();
        _process.Dispose();
    }
}

/// <summary>An error that a worker answered with: "error TYPE: message".</summary>
internal sealed class WorkerException(string message) : Exception(message);
