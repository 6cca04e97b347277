using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;

namespace FastPlasma.Lab;

/// <summary>Up to eight hosts for nodes: network namespaces, each with one link to a switch (a bridge in a namespace of its own), whose rate, loss and cuts are chosen. Nothing of it touches the machine's own network.</summary>
/// <remarks>
/// Where namespaces cannot be made (no root, no iproute2) the hosts are loopback ports without limits, and <see cref="Problem"/> says why: what is measured then is no network, and whoever uses the lab says so.
/// Names carry the process that made them and when it began, so what a killed run left behind is found and removed by the next lab.
/// </remarks>
internal sealed class NetworkLab : IDisposable
{
    internal const int HostsMax = 8;

    /// <summary>Beginning of every namespace's name.</summary>
    internal const string Prefix = "fplab-";

    private const string Subnet = "10.77.0";
    private const int BurstBytes = 64 << 10, QueueMs = 25;

    private readonly string _name;

    private NetworkLab(string name, int hostCount, string? problem)
    {
        _name = name;
        Problem = problem;
        Hosts = [.. Enumerable.Range(0, hostCount).Select(i => new LabHost(this, i, problem is null ? Space(i) : null, problem is null ? $"{Subnet}.{i + 1}" : "127.0.0.1"))];
    }

    /// <summary>Why the hosts are loopback ports; null when they are namespaces.</summary>
    internal string? Problem { get; }

    internal IReadOnlyList<LabHost> Hosts { get; }

    /// <summary>Makes a lab.</summary>
    /// <param name="hostCount">1 to <see cref="HostsMax"/>.</param>
    /// <param name="megabits">Rate of each link in each direction, in 10^6 bit/s; 0 for no limit.</param>
    internal static NetworkLab Create(int hostCount, int megabits = 0)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(hostCount, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(hostCount, HostsMax);
        string name = $"{Prefix}{Environment.ProcessId.ToString(CultureInfo.InvariantCulture)}-{BeganAt(Environment.ProcessId)}-{Interlocked.Increment(ref s_count).ToString(CultureInfo.InvariantCulture)}";
        try
        {
            RemoveLeftovers();
            var lab = new NetworkLab(name, hostCount, problem: null);
            try
            {
                lab.Build(megabits);
                return lab;
            }
            catch
            {
                lab.Dispose();
                throw;
            }
        }
        catch (Exception e) when (e is LabException or Win32Exception)
        {
            return new NetworkLab(name, hostCount, $"network namespaces cannot be made here: {e.Message}");
        }
    }

    /// <summary>Names of the namespaces whose maker is gone.</summary>
    internal static List<string> Leftovers() => [.. Run("ip", "netns", "list").Split('\n').Select(static line => line.Split(' ')[0]).Where(static name => name.StartsWith(Prefix, StringComparison.Ordinal) && IsLeft(name))];

    /// <summary>Removes what killed runs have left behind.</summary>
    internal static void RemoveLeftovers()
    {
        foreach (string name in Leftovers())
            RemoveSpace(name);
    }

    public void Dispose()
    {
        if (Problem is not null)
            return;
        foreach (string name in Run("ip", "netns", "list").Split('\n').Select(static line => line.Split(' ')[0]).Where(name => name.StartsWith(_name + "-", StringComparison.Ordinal)).ToArray())
            RemoveSpace(name);
    }

    /// <summary>Cuts the links between two hosts, in both directions, without either being told.</summary>
    internal void Cut(LabHost a, LabHost b) => a.Filter($"ip saddr {b.Address} drop", $"ip daddr {b.Address} drop");

    /// <summary>Sets the rate of a host's link, in 10^6 bit/s.</summary>
    internal void Limit(LabHost host, int upMegabits, int downMegabits)
    {
        Shape(Space(host.Index), "eth0", upMegabits);
        Shape(Switch, $"p{host.Index}", downMegabits);
    }

    private static int s_count;

    private string Switch => $"{_name}-sw";

    private string Space(int host) => $"{_name}-n{host.ToString(CultureInfo.InvariantCulture)}";

    private void Build(int megabits)
    {
        Run("ip", "netns", "add", Switch);
        InSpace(Switch, "ip", "link", "add", "br0", "type", "bridge", "forward_delay", "0");
        InSpace(Switch, "ip", "link", "set", "br0", "up");
        foreach (LabHost host in Hosts)
        {
            string space = Space(host.Index), port = $"p{host.Index}";
            Run("ip", "netns", "add", space);
            Run("ip", "link", "add", port, "netns", Switch, "type", "veth", "peer", "name", "eth0", "netns", space);
            InSpace(Switch, "ip", "link", "set", port, "master", "br0", "up");
            InSpace(space, "ip", "address", "add", $"{host.Address}/24", "dev", "eth0");
            InSpace(space, "ip", "link", "set", "eth0", "up");
            InSpace(space, "ip", "link", "set", "lo", "up");
            if (megabits > 0)
                Limit(host, megabits, megabits);
        }
    }

    private static void Shape(string space, string device, int megabits) =>
        InSpace(space, "tc", "qdisc", "replace", "dev", device, "root", "tbf", "rate", $"{megabits}mbit", "burst", $"{BurstBytes}", "latency", $"{QueueMs}ms");

    internal static void InSpace(string space, params string[] command) => Run("ip", ["netns", "exec", space, .. command]);

    private static void RemoveSpace(string name)
    {
        try
        {
            Run("ip", "netns", "delete", name);
        }
        catch (LabException)
        {
            // Another run was first.
        }
    }

    private static bool IsLeft(string name)
    {
        string[] parts = name[Prefix.Length..].Split('-');
        return parts.Length < 2 || !int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int process) || BeganAt(process) != parts[1];
    }

    /// <summary>When a process began, in ticks since boot, or nothing when it is gone.</summary>
    private static string BeganAt(int process)
    {
        try
        {
            return File.ReadAllText($"/proc/{process.ToString(CultureInfo.InvariantCulture)}/stat").Split(") ")[^1].Split(' ')[19];
        }
        catch (IOException)
        {
            return "";
        }
    }

    internal static string Run(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(start) ?? throw new LabException($"{program} did not start");
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? output : throw new LabException($"{program} {string.Join(' ', arguments)}: {errors.Result.Trim()}");
    }
}

/// <summary>The lab could not do something.</summary>
internal sealed class LabException(string message) : Exception(message);
