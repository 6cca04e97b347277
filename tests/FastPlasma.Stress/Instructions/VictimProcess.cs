using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace FastPlasma.Stress.Instructions;

/// <summary>A victim as a child of the calling thread. Not System.Diagnostics.Process, whose reaping of children would steal what a tracer waits for.</summary>
internal sealed unsafe class VictimProcess : IDisposable
{
    private const int PatienceMs = 60_000;

    private readonly List<byte> _pending = [];
    private int _input, _output;

    private VictimProcess(int id, int input, int output) => (Id, _input, _output) = (id, input, output);

    internal int Id { get; }

    /// <summary>Set when the process has been reaped: as waitpid gave it.</summary>
    internal int? WaitStatus { get; set; }

    /// <summary>What it said after "done"; null when it did not come so far.</summary>
    internal string? Done { get; private set; }

    /// <summary>Starts it and returns when it is ready.</summary>
    internal static VictimProcess Start(string executable, params string[] arguments)
    {
        int* toChild = stackalloc int[2], fromChild = stackalloc int[2];
        if (Sys.pipe2(toChild, Sys.O_CLOEXEC) != 0 || Sys.pipe2(fromChild, Sys.O_CLOEXEC) != 0)
            throw Sys.Error("pipe2");
        byte* actions = stackalloc byte[512]; // posix_spawn_file_actions_t has 80 bytes in glibc.
        _ = Sys.posix_spawn_file_actions_init(actions);
        _ = Sys.posix_spawn_file_actions_adddup2(actions, toChild[0], 0);
        _ = Sys.posix_spawn_file_actions_adddup2(actions, fromChild[1], 1);
        string[] all = [executable, .. arguments];
        byte** argv = stackalloc byte*[all.Length + 1];
        for (int i = 0; i < all.Length; i++)
            argv[i] = (byte*)Marshal.StringToCoTaskMemUTF8(all[i]);
        argv[all.Length] = null;
        string?[] variables = ["DOTNET_EnableDiagnostics=0", Environment.GetEnvironmentVariable("DOTNET_ROOT") is { } root ? $"DOTNET_ROOT={root}" : "TZ="];
        byte** environment = stackalloc byte*[variables.Length + 1];
        for (int i = 0; i < variables.Length; i++)
            environment[i] = (byte*)Marshal.StringToCoTaskMemUTF8(variables[i]);
        environment[variables.Length] = null;
        int id;
        int error = Sys.posix_spawn(&id, executable, actions, null, argv, environment);
        for (int i = 0; i < all.Length; i++)
            Marshal.FreeCoTaskMem((nint)argv[i]);
        for (int i = 0; i < variables.Length; i++)
            Marshal.FreeCoTaskMem((nint)environment[i]);
        _ = Sys.posix_spawn_file_actions_destroy(actions);
        _ = Sys.close(toChild[0]);
        _ = Sys.close(fromChild[1]);
        var victim = new VictimProcess(id, toChild[1], fromChild[0]);
        if (error != 0)
        {
            victim.WaitStatus = 0;
            victim.Dispose();
            throw new IOException($"{executable} cannot be started: error {error}. Publish the victim first (dotnet publish tests/FastPlasma.Victim -c Release).");
        }
        string? line = victim.ReadLine();
        if (line != "ready")
        {
            victim.Dispose();
            throw new InvalidOperationException($"The victim {string.Join(' ', arguments)} said '{line}' instead of being ready (wait status {victim.WaitStatus}).");
        }
        return victim;
    }

    /// <summary>Lets the operation begin; when it is done, the process ends by itself, because its input has ended.</summary>
    internal void Go()
    {
        fixed (byte* go = "go\n"u8)
            _ = Sys.write(_input, go, 3);
        _ = Sys.close(_input);
        _input = -1;
    }

    /// <summary>Reads what is left of its output. To be called when it is dead, or expected to end.</summary>
    internal void ReadRest()
    {
        while (ReadLine() is string line)
            if (line.StartsWith("done", StringComparison.Ordinal))
                Done = line[4..].Trim();
    }

    /// <summary>SIGKILL. A tracer reaps itself, with all tasks.</summary>
    internal void Signal()
    {
        if (WaitStatus is null)
            _ = Sys.kill(Id, Sys.SIGKILL);
    }

    /// <summary>Waits until the process is gone, with its files closed and its locks fallen.</summary>
    internal void Reap()
    {
        while (WaitStatus is null) // Ends with the process; whoever calls has killed it or sees it end.
        {
            int status, task = Sys.waitpid(-1, &status, Sys.WALL | Sys.WNOTHREAD);
            if (task < 0 && Marshal.GetLastPInvokeError() == Sys.EINTR)
                continue;
            if (task < 0)
                throw Sys.Error($"waitpid for victim {Id}");
            if (task == Id && (status & 0xff) != 0x7f)
                WaitStatus = status;
        }
    }

    public void Dispose()
    {
        Signal();
        Reap();
        if (_input >= 0)
            _ = Sys.close(_input);
        if (_output >= 0)
            _ = Sys.close(_output);
        _input = _output = -1;
    }

    /// <summary>One line of output; null at its end.</summary>
    private string? ReadLine()
    {
        byte* buffer = stackalloc byte[4096];
        long start = Stopwatch.GetTimestamp();
        while (true) // Ends with a line, the end of the output or the patience.
        {
            int end = _pending.IndexOf((byte)'\n');
            if (end >= 0)
            {
                string line = Encoding.UTF8.GetString(CollectionsMarshal.AsSpan(_pending)[..end]);
                _pending.RemoveRange(0, end + 1);
                return line;
            }
            var poll = new Sys.PollFd { Descriptor = _output, Events = Sys.POLLIN };
            int ready = Sys.poll(&poll, 1, 1000);
            if (ready <= 0)
            {
                if (Stopwatch.GetElapsedTime(start).TotalMilliseconds > PatienceMs)
                    throw new TimeoutException(string.Create(CultureInfo.InvariantCulture, $"Victim {Id} said nothing for {PatienceMs} ms."));
                continue;
            }
            nint read = Sys.read(_output, buffer, 4096);
            if (read <= 0)
                return null;
            _pending.AddRange(new ReadOnlySpan<byte>(buffer, (int)read));
        }
    }
}
