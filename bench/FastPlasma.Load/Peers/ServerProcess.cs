using System.Diagnostics;
using System.Net.Sockets;
using System.Text;

namespace FastPlasma.Load.Peers;

/// <summary>A server that listens on a unix socket and ends with whoever started it: by <see cref="Dispose"/>, or by the kernel when this process dies in any way.</summary>
/// <remarks>
/// The kernel's parent-death signal is bound to the thread that started the child, not to its process, so a thread of its own starts the server and waits until it ends. What remains is a gap of about a millisecond: a
/// driver that is killed before setpriv has asked for the signal leaves the server behind.
/// </remarks>
internal sealed class ServerProcess : IDisposable
{
    private const int ReadyTimeoutMs = 10_000, EndTimeoutMs = 60_000, PollMs = 2, OutputCharsMax = 4096, AnswerBytesMax = 256;

    /// <summary>A unix socket's path has 108 bytes and ends with a zero.</summary>
    private const int SocketPathBytesMax = 107;

    private static readonly string[] s_systemFolders = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];

    private readonly string _program, _socketPath;
    private readonly StringBuilder _output = new();
    private readonly Thread _keeper;
    private readonly TaskCompletionSource<Process> _started = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Process? _process;

    private ServerProcess(string program, string socketPath, ProcessStartInfo start)
    {
        _program = program;
        _socketPath = socketPath;
        _keeper = new Thread(() => Keep(start)) { IsBackground = true, Name = $"keeper of {program}" };
    }

    /// <summary>Which program is missing, with the Debian package that has it; null when nothing is.</summary>
    internal static string? Missing(string program, string package) =>
        Find(program) is null ? $"{program} is not installed (Debian: apt-get install {package})" : MissingKeeper;

    /// <summary>Whether what ties a server to this process is missing; null when not.</summary>
    internal static string? MissingKeeper => Find("setpriv") is null ? "setpriv is not installed (Debian: apt-get install util-linux)" : null;

    /// <summary>Starts a server and returns when it answers.</summary>
    /// <param name="program">Its path, or its name, looked for in PATH.</param>
    /// <param name="arguments">Its arguments; they make it stay in the foreground and listen on <paramref name="socketPath"/>.</param>
    /// <param name="socketPath">Where it listens.</param>
    /// <param name="isReady">Whether a server to which this socket is connected is ready to serve.</param>
    internal static ServerProcess Start(string program, IEnumerable<string> arguments, string socketPath, Func<Socket, bool> isReady)
    {
        int socketPathBytes = Encoding.UTF8.GetByteCount(socketPath);
        if (socketPathBytes > SocketPathBytesMax)
            throw new InvalidOperationException($"The path of {program}'s socket has {socketPathBytes} bytes, a unix socket's has at most {SocketPathBytesMax}: {socketPath}");
        var start = new ProcessStartInfo(Find("setpriv") ?? throw new InvalidOperationException("setpriv is not installed."))
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = "/",
        };
        string path = Find(program) ?? throw new InvalidOperationException($"{program} is not installed.");
        foreach (string argument in (string[])["--pdeathsig", "KILL", "--", path, .. arguments])
            start.ArgumentList.Add(argument);

        var server = new ServerProcess(program, socketPath, start);
        try
        {
            server._keeper.Start();
            server._process = server._started.Task.GetAwaiter().GetResult();
            server.AwaitReady(isReady);
            return server;
        }
        catch
        {
            server.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        if (_process is null)
            return;
        if (!_process.HasExited)
            _process.Kill();
        if (!_process.WaitForExit(EndTimeoutMs) || !_keeper.Join(EndTimeoutMs))
            throw new TimeoutException($"{_program} (process {_process.Id}) was killed and has not ended after {EndTimeoutMs} ms.");
        _process.Dispose();
        _process = null;
        if (File.Exists(_socketPath))
            File.Delete(_socketPath);
    }

    /// <summary>For <see cref="Start"/>: ready when the answer to a question, both in ASCII, begins like this.</summary>
    internal static Func<Socket, bool> Answers(string question, string answer) => socket =>
    {
        socket.Send(Encoding.ASCII.GetBytes(question));
        byte[] buffer = new byte[AnswerBytesMax];
        return Encoding.ASCII.GetString(buffer, 0, socket.Receive(buffer)).StartsWith(answer, StringComparison.Ordinal);
    };

    /// <summary>Path of a program, or null.</summary>
    internal static string? Find(string program) =>
        Path.IsPathRooted(program) ? program
        : (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries).Concat(s_systemFolders)
            .Select(folder => Path.Combine(folder, program)).FirstOrDefault(File.Exists);

    private void Keep(ProcessStartInfo start)
    {
        try
        {
            Process process = Process.Start(start) ?? throw new InvalidOperationException($"{_program} did not start.");
            process.OutputDataReceived += (_, e) => Remember(e.Data);
            process.ErrorDataReceived += (_, e) => Remember(e.Data);
            process.BeginOutputReadLine();
            process.BeginErrorReadLine();
            _started.SetResult(process);
            process.WaitForExit();
        }
        catch (Exception e) when (!_started.Task.IsCompleted)
        {
            _started.SetException(e); // Thrown where the server was wanted.
        }
    }

    private void Remember(string? line)
    {
        lock (_output)
            if (line is not null && _output.Length < OutputCharsMax)
                _output.AppendLine(line);
    }

    private void AwaitReady(Func<Socket, bool> isReady)
    {
        var watch = Stopwatch.StartNew();
        string last = "no connection";
        while (watch.ElapsedMilliseconds < ReadyTimeoutMs)
        {
            if (_process!.WaitForExit(PollMs))
            {
                _process.WaitForExit(); // Until all of its output was read.
                throw new InvalidOperationException($"{_program} ended with code {_process.ExitCode} instead of listening on {_socketPath}. It said:\n{Output}");
            }
            try
            {
                using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = ReadyTimeoutMs };
                socket.Connect(new UnixDomainSocketEndPoint(_socketPath));
                if (isReady(socket))
                    return;
                last = "it is not ready";
            }
            catch (SocketException e)
            {
                last = e.SocketErrorCode.ToString();
            }
        }
        throw new TimeoutException($"{_program} did not answer on {_socketPath} within {ReadyTimeoutMs} ms; last: {last}. It said:\n{Output}");
    }

    private string Output
    {
        get
        {
            lock (_output)
                return _output.Length == 0 ? "(nothing)" : _output.ToString();
        }
    }
}
