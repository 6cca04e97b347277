using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Mono.Unix.Native;

namespace FastPlasma.Tests;

/// <summary>redis-server processes of a test: one server, or three masters that share the keys. In a folder of the test, on free loopback ports, ended by their ids.</summary>
internal sealed class RedisServer : IDisposable
{
    private const int SlotCount = 16_384;

    private readonly string _folder, _password;
    private readonly bool _isCluster;
    private readonly int[] _ports, _busPorts;
    private readonly Process?[] _processes;

    /// <summary>Starts them and waits until they answer.</summary>
    internal RedisServer(string folder, int masterCount = 1, string password = "")
    {
        (_folder, _password, _isCluster) = (folder, password, masterCount > 1);
        _ports = [.. Enumerable.Range(0, masterCount).Select(static _ => FreePort())];
        _busPorts = [.. Enumerable.Range(0, masterCount).Select(static _ => FreePort())];
        _processes = new Process?[masterCount];
        Start();
        if (_isCluster)
            Join();
    }

    internal string Configuration => string.Join(',', _ports.Select(static port => $"127.0.0.1:{port.ToString(CultureInfo.InvariantCulture)}")) + (_password.Length > 0 ? $",password={_password}" : "");

    private static readonly ConcurrentDictionary<int, bool> s_given = new();

    /// <summary>A port that nobody listens on, below those that the system gives to outgoing connections: it stays free while its server is away. No other test of this process gets it.</summary>
    internal static int FreePort()
    {
        while (true) // Ends with the first that can be had.
        {
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            int port = Random.Shared.Next(12_000, 32_000);
            if (!s_given.TryAdd(port, true))
                continue;
            try
            {
                socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
                return port;
            }
            catch (SocketException)
            {
                // Taken.
            }
        }
    }

    /// <summary>Starts those that do not run, with what they have on disk: nothing.</summary>
    internal void Start()
    {
        for (int i = 0; i < _ports.Length; i++)
        {
            if (_processes[i] is not null)
                continue;
            string port = _ports[i].ToString(CultureInfo.InvariantCulture);
            List<string> arguments = ["--port", port, "--bind", "127.0.0.1", "--dir", _folder, "--save", "", "--appendonly", "no", "--logfile", Path.Combine(_folder, $"{port}.log"), "--daemonize", "no"];
            if (_isCluster)
                arguments.AddRange(["--cluster-enabled", "yes", "--cluster-port", _busPorts[i].ToString(CultureInfo.InvariantCulture), "--cluster-config-file", $"{port}.conf", "--cluster-node-timeout", "2000"]);
            if (_password.Length > 0)
                arguments.AddRange(["--requirepass", _password]);
            _processes[i] = Process.Start(new ProcessStartInfo("redis-server", arguments)) ?? throw new InvalidOperationException("redis-server did not start.");
        }
        for (int i = 0; i < _ports.Length; i++)
        {
            int at = i;
            Eventually.True(() => Ask(at, "PING") == "PONG" || (_processes[at]!.HasExited ? throw new InvalidOperationException($"redis-server has ended: {Log(at)}") : false), $"redis-server answers at port {_ports[at].ToString(CultureInfo.InvariantCulture)}");
        }
        if (_isCluster && _processes.Length > 0 && Ask(0, "CLUSTER", "INFO").Contains("cluster_known_nodes:3", StringComparison.Ordinal))
            AwaitCluster();
    }

    private string Log(int index)
    {
        string path = Path.Combine(_folder, $"{_ports[index].ToString(CultureInfo.InvariantCulture)}.log");
        return File.Exists(path) ? File.ReadAllText(path) : "there is no log";
    }

    /// <summary>Ends one at once, with what it has in memory.</summary>
    internal void Kill(int index = 0)
    {
        Process process = _processes[index]!;
        process.Kill();
        process.WaitForExit();
        process.Dispose();
        _processes[index] = null;
    }

    /// <summary>All stand still: connections stay, nothing is answered.</summary>
    internal void Freeze() => Signal(Signum.SIGSTOP);

    internal void Thaw() => Signal(Signum.SIGCONT);

    /// <summary>A command to each.</summary>
    internal void All(params string[] command)
    {
        for (int i = 0; i < _ports.Length; i++)
            Ask(i, command);
    }

    /// <summary>A command to one; its answer as redis-cli prints it.</summary>
    internal string Ask(int index, params string[] command)
    {
        var start = new ProcessStartInfo("redis-cli", ["-h", "127.0.0.1", "-p", _ports[index].ToString(CultureInfo.InvariantCulture), .. command]) { RedirectStandardOutput = true, RedirectStandardError = true };
        if (_password.Length > 0)
            start.Environment["REDISCLI_AUTH"] = _password;
        using Process cli = Process.Start(start) ?? throw new InvalidOperationException("redis-cli did not start.");
        string answer = cli.StandardOutput.ReadToEnd();
        cli.WaitForExit();
        return answer.Trim();
    }

    public void Dispose()
    {
        for (int i = 0; i < _processes.Length; i++)
            if (_processes[i] is not null)
                Kill(i);
    }

    private void Signal(Signum signal)
    {
        foreach (Process? process in _processes)
            if (process is not null)
                Assert.Equal(0, Syscall.kill(process.Id, signal));
    }

    private void Join()
    {
        int each = SlotCount / _ports.Length;
        for (int i = 0; i < _ports.Length; i++)
        {
            int first = i * each, last = i == _ports.Length - 1 ? SlotCount - 1 : first + each - 1;
            Assert.Equal("OK", Ask(i, "CLUSTER", "ADDSLOTSRANGE", first.ToString(CultureInfo.InvariantCulture), last.ToString(CultureInfo.InvariantCulture)));
            Assert.Equal("OK", Ask(i, "CLUSTER", "SET-CONFIG-EPOCH", (i + 1).ToString(CultureInfo.InvariantCulture)));
        }
        for (int i = 1; i < _ports.Length; i++)
            Assert.Equal("OK", Ask(0, "CLUSTER", "MEET", "127.0.0.1", _ports[i].ToString(CultureInfo.InvariantCulture), _busPorts[i].ToString(CultureInfo.InvariantCulture)));
        AwaitCluster();
    }

    private void AwaitCluster()
    {
        for (int i = 0; i < _ports.Length; i++)
        {
            int at = i;
            Eventually.True(() => Ask(at, "CLUSTER", "INFO") is { } info && info.Contains("cluster_state:ok", StringComparison.Ordinal) && info.Contains($"cluster_size:{_ports.Length}", StringComparison.Ordinal), "the cluster is whole");
        }
    }
}
