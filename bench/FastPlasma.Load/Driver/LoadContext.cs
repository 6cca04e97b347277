using System.Globalization;
using FastPlasma.Load.Peers;
using FastPlasma.Load.Reporting;

namespace FastPlasma.Load.Driver;

/// <summary>What a scenario needs from the driver.</summary>
/// <param name="quick">Less of everything.</param>
/// <param name="pin">Whether worker i stays on processor i.</param>
/// <param name="peers">Peers that can run here and passed their self-check.</param>
/// <param name="folder">Where instances are made.</param>
/// <param name="progress">Told what is being measured.</param>
internal sealed class LoadContext(bool quick, bool pin, IReadOnlyList<IPeer> peers, WorkFolder folder, Action<string> progress, CancellationToken cancellation)
{
    internal bool Quick { get; } = quick;

    internal IReadOnlyList<IPeer> Peers { get; } = peers;

    /// <summary>FastPlasma, if it is among them.</summary>
    internal IPeer? Product => Peers.FirstOrDefault(static peer => peer.Name == PeerList.Product);

    internal WorkFolder Folder { get; } = folder;

    internal CancellationToken Cancellation { get; } = cancellation;

    /// <summary>Chooses by <see cref="Quick"/>.</summary>
    internal T Pick<T>(T full, T quick) => Quick ? quick : full;

    /// <summary>A quick run with all scenarios stays below five minutes with this share of what each would like.</summary>
    private const double QuickShare = 0.6;

    /// <summary>How long to measure each of so many points of one peer, so that the scenario takes about <paramref name="fullSeconds"/> (or <paramref name="quickSeconds"/>) with all peers.</summary>
    internal int PointMs(int points, int fullSeconds, int quickSeconds)
    {
        const int PointMsMin = 40;
        return Math.Clamp((int)(Pick(fullSeconds, quickSeconds * QuickShare) * 1000 / ((Peers.Count + 1) * points)), PointMsMin, Pick(2000, 300));
    }

    /// <summary>Says no, as a limit and not as a failure, when the machine has not twice so many bytes of memory free: stores round up, and a machine out of memory ends other processes.</summary>
    /// <exception cref="PeerException">It has not.</exception>
    internal void RequireMemory(long bytes)
    {
        const string Available = "MemAvailable:";
        if (!File.Exists("/proc/meminfo"))
            return;
        string line = File.ReadLines("/proc/meminfo").First(static line => line.StartsWith(Available, StringComparison.Ordinal));
        long freeBytes = Math.Min(long.Parse(line[Available.Length..].Replace("kB", "", StringComparison.Ordinal), CultureInfo.InvariantCulture) << 10, new DriveInfo(Folder.Path).AvailableFreeSpace);
        if (freeBytes / 2 < bytes)
            throw new PeerException($"needs twice {Units.Size(bytes)} of free memory, and there are {Units.Size(freeBytes)}", isLimit: true);
    }

    /// <summary>The processor that worker i stays on, or -1.</summary>
    internal int ProcessorOf(int worker) => pin ? worker % Math.Min(Environment.ProcessorCount, 64) : -1;

    /// <summary>Tells what is being measured.</summary>
    internal void Report(string what) => progress(what);

    /// <summary>Does the same with the ceiling and then with every peer. A peer that fails is a line of the results, and the next one follows.</summary>
    internal void ForEachPeer(ScenarioResult results, Action<Stand> measure, bool onlyShared = false)
    {
        foreach (IPeer peer in Peers.Prepend(PeerList.Ceiling))
        {
            if (onlyShared && !peer.IsShared)
            {
                results.AddRemark(peer, "not shared between processes, so not measured");
                continue;
            }

            Report(peer.Name);
            using var stand = new Stand(this, peer);
            Guard(results, peer, "", () => measure(stand));
        }
    }

    /// <summary>Does a part whose failure must not hide the others.</summary>
    internal void Guard(ScenarioResult results, IPeer peer, string which, Action part)
    {
        try
        {
            part();
        }
        catch (PeerException e) when (e.IsLimit)
        {
            results.AddRemark(peer, $"{which} {e.Message}".Trim());
        }
        catch (NotSupportedException e) // The peer said so before it had a worker that could tell.
        {
            results.AddRemark(peer, $"{which} {e.Message}".Trim());
        }
        catch (PeerException e)
        {
            results.AddFailure(peer, which, e.Message);
        }
        catch (Exception e) when (e is not OperationCanceledException && !Cancellation.IsCancellationRequested)
        {
            results.AddFailure(peer, which, $"{e.GetType().Name}: {e.Message}");
        }
    }
}
