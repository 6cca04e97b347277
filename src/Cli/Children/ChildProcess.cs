using System.Diagnostics;
using System.Text;

namespace FastPlasma.Cli.Children;

/// <summary>One more process, most often of this executable, spoken to by lines over its standard streams.</summary>
/// <remarks>
/// The child ends when its standard input closes (<see cref="ParentPipe"/>), so it cannot outlive a killed parent; <see cref="Dispose"/> closes that
/// pipe, gives the child a moment and then kills exactly this process.
/// </remarks>
internal sealed class ChildProcess : IDisposable
{
    private const int EndTimeoutMs = 1000;
    private readonly Process _process;
    private readonly StringBuilder _errors = new();

    private ChildProcess(string label, Process process)
    {
        Label = label;
        _process = process;
        Id = process.Id;
        process.ErrorDataReceived += (_, line) =>
        {
            if (line.Data is { } text)
                lock (_errors)
                    _errors.AppendLine(text);
        };
        process.BeginErrorReadLine();
    }

    /// <summary>What it is called in messages.</summary>
    internal string Label { get; }

    /// <summary>Its process id.</summary>
    internal int Id { get; }

    /// <summary>Starts this executable again with the given arguments.</summary>
    internal static ChildProcess Start(string label, params ReadOnlySpan<string> arguments) => Start(label, InfoOfSelf(arguments));

    /// <summary>Starts another program, which must speak by lines too and end when its standard input closes.</summary>
    /// <param name="label">What it is called in messages.</param>
    /// <param name="program">Program, arguments and environment; the streams are set here.</param>
    internal static ChildProcess Start(string label, ProcessStartInfo program)
    {
        UTF8Encoding utf8 = new(encoderShouldEmitUTF8Identifier: false);
        program.RedirectStandardInput = program.RedirectStandardOutput = program.RedirectStandardError = true;
        program.StandardInputEncoding = program.StandardOutputEncoding = utf8;
        program.UseShellExecute = false;
        program.Environment["DOTNET_EnableDiagnostics"] = "0"; // A killed process would leave its diagnostic socket behind.
        Process process = Process.Start(program) ?? throw new InvalidOperationException($"'{program.FileName}' was not started.");
        return new ChildProcess(label, process);
    }

    /// <summary>How this executable is started again, for <see cref="Start(string, ProcessStartInfo)"/>.</summary>
    internal static ProcessStartInfo InfoOfSelf(params ReadOnlySpan<string> arguments)
    {
        (string path, string[] all) = CommandOfSelf(arguments);
        return new ProcessStartInfo(path, all);
    }

    /// <summary>Path and arguments with which this executable is started again.</summary>
    internal static (string Path, string[] Arguments) CommandOfSelf(params ReadOnlySpan<string> arguments)
    {
        string path = Environment.ProcessPath ?? throw new InvalidOperationException("The path of this executable is unknown, so no further process can be started.");

        // Started as "dotnet fastplasma.dll": the executable is the host and the library is its first argument.
        return string.Equals(System.IO.Path.GetFileNameWithoutExtension(path), "dotnet", StringComparison.OrdinalIgnoreCase)
            ? (path, [System.IO.Path.GetFullPath(Environment.GetCommandLineArgs()[0]), .. arguments])
            : (path, [.. arguments]);
    }

    /// <summary>Sends one line.</summary>
    internal void Send(string line)
    {
        try
        {
            _process.StandardInput.WriteLine(line);
            _process.StandardInput.Flush();
        }
        catch (IOException)
        {
            throw Ended();
        }
    }

    /// <summary>Receives the next line.</summary>
    /// <exception cref="ChildProcessException">The child has ended instead.</exception>
    internal async Task<string> ReceiveAsync(CancellationToken cancellation) =>
        await _process.StandardOutput.ReadLineAsync(cancellation) ?? throw Ended();

    /// <inheritdoc cref="ReceiveAsync"/>
    internal string Receive() => _process.StandardOutput.ReadLine() ?? throw Ended();

    /// <summary>Ends it at once, as kill -9 does.</summary>
    internal void Kill()
    {
        _process.Kill();
        _process.WaitForExit();
    }

    public void Dispose()
    {
        try
        {
            _process.StandardInput.Close();
        }
        catch (IOException)
        {
            // The child has gone first; that is what closing asks for.
        }

        if (!_process.WaitForExit(EndTimeoutMs))
        {
            _process.Kill();
            _process.WaitForExit();
        }

        _process.Dispose();
    }

    private ChildProcessException Ended()
    {
        string state = _process.WaitForExit(EndTimeoutMs) ? $"ended with exit code {_process.ExitCode}" : "closed its output";
        lock (_errors)
            return new ChildProcessException($"{Label} (process {Id}) {state}. {_errors.ToString().Trim()}".TrimEnd());
    }
}

/// <summary>A child process ended before it had answered.</summary>
internal sealed class ChildProcessException(string message) : Exception(message);
