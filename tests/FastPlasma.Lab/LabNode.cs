using System.Diagnostics;
using System.Globalization;

namespace FastPlasma.Lab;

/// <summary>A node with a store of its own in a process on a host of the lab, driven line by line. It ends with its input.</summary>
internal sealed class LabNode : IDisposable
{
    internal static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    private readonly Process _process;

    private LabNode(Process process, string address)
    {
        _process = process;
        Endpoint = address;
    }

    /// <summary>Address and port, as peers are told.</summary>
    internal string Endpoint { get; private set; }

    /// <summary>Starts the process; <see cref="Begin"/> starts the node in it.</summary>
    internal static LabNode Start(LabHost host, int port)
    {
        string executable = Path.Combine(WorkerFolder, "FastPlasma.Worker");
        if (!File.Exists(executable))
            throw new LabException($"{executable} is not there: build the solution");
        string[] command = [.. host.Wrapper, executable];
        var start = new ProcessStartInfo(command[0], command[1..]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = "/" };
        start.Environment["DOTNET_EnableDiagnostics"] = "0"; // A killed process would leave its diagnostic socket behind.
        start.Environment.Remove("DOTNET_gcServer");
        Process process = Process.Start(start) ?? throw new LabException("the worker did not start");
        process.ErrorDataReceived += static (_, _) => { }; // Drained, so that a crash report cannot block it.
        process.BeginErrorReadLine();
        return new LabNode(process, string.Create(CultureInfo.InvariantCulture, $"{host.Address}:{port}"));
    }

    /// <summary>Starts the node. Its answer is to be received.</summary>
    internal void Begin(int storeMebibytes, string keyHex, IEnumerable<string> peers, string options = "") =>
        Send(string.Create(CultureInfo.InvariantCulture, $"lab start {storeMebibytes} {Endpoint} {keyHex} {string.Join(',', peers)} {options}"));

    internal string Call(string command)
    {
        Send(command);
        return Receive();
    }

    internal void Send(string command)
    {
        _process.StandardInput.WriteLine(command);
        _process.StandardInput.Flush();
    }

    /// <summary>What follows "ok".</summary>
    internal string Receive()
    {
        string? line = _process.StandardOutput.ReadLineAsync().WaitAsync(Patience).GetAwaiter().GetResult();
        return line is not null && line.StartsWith("ok", StringComparison.Ordinal) ? line[2..].Trim() : throw new LabException(line ?? $"the node {Endpoint} ended");
    }

    internal void Kill()
    {
        _process.Kill(entireProcessTree: true);
        _process.WaitForExit();
    }

    public void Dispose()
    {
        if (!_process.HasExited)
            Kill();
        _process.Dispose();
    }

    /// <summary>The worker's build output: beside that of whoever uses the lab.</summary>
    private static string WorkerFolder
    {
        get
        {
            var own = new DirectoryInfo(AppContext.BaseDirectory);
            return Path.Combine(own.Parent!.Parent!.FullName, "FastPlasma.Worker", own.Name);
        }
    }
}
