using System.Diagnostics;
using System.Globalization;
using System.IO.Hashing;
using FastPlasma.Transfer;
using FastPlasma.Transfer.Directory;

namespace FastPlasma.Worker;

/// <summary>The commands "lab …": a node with an anonymous store in this process.</summary>
internal sealed class LabNodeCommands
{
    private PlasmaStore? _store;
    private PlasmaNode? _node;

    private PlasmaNode Node => _node ?? throw new InvalidOperationException("No node has been started.");

    internal string Run(string[] a)
    {
        switch (a[1])
        {
            case "start": // lab start MEBIBYTES ADDRESS KEY PEERS [streams=N] [stall=MS] [silence=MS]
                Start(a);
                return "ok";
            case "await-peers":
                Wait(() => Node.Peers().Count(static peer => peer.IsUp) >= Int(a[2]));
                return "ok";
            case "put": // lab put NAME BYTES SEED
                using (ObjectWriter writer = Node.Store.Create(Id(a[2]), long.Parse(a[3], CultureInfo.InvariantCulture)))
                {
                    Pattern.Fill(writer.Span, Int(a[4]));
                    writer.Seal();
                }
                return "ok";
            case "pull": // lab pull SECONDS NAME…: answers the seconds that it took.
                return Pull(a);
            case "describe":
                using (PlasmaObject obj = Node.Store.Get(Id(a[2]), TimeSpan.Zero))
                    return string.Create(CultureInfo.InvariantCulture, $"ok {obj.Length} {XxHash3.HashToUInt64(obj.Span):x}");
            case "delete":
                return $"ok {Node.Store.Delete(Id(a[2]))}";
            case "stats":
                TransferStats stats = Node.Stats();
                return string.Create(CultureInfo.InvariantCulture, $"ok {stats.ReceivedBytes} {stats.BadBytes} {stats.DiscardedBytes} {stats.SentBytes} {stats.RelayedBytes}");
            case "stop":
                Close();
                return "ok";
            default:
                throw new ArgumentException($"unknown lab command '{a[1]}'");
        }
    }

    internal void Close()
    {
        _node?.DisposeAsync().AsTask().GetAwaiter().GetResult();
        _node = null;
        _store?.Dispose();
        _store = null;
    }

    private void Start(string[] a)
    {
        _store = PlasmaStore.CreateAnonymous(new PlasmaOptions { CapacityBytes = (long)Int(a[2]) << 20, ObjectCountMax = 4096 });
        _node = NodeOf(_store, a);
        _node.StartAsync(CancellationToken.None).GetAwaiter().GetResult();
    }

    private static PlasmaNode NodeOf(PlasmaStore store, string[] a)
    {
        Dictionary<string, int> options = a[6..].Select(static word => word.Split('=')).ToDictionary(static pair => pair[0], static pair => Int(pair[1]));
        NodeEndpoint[] peers = [.. a[5].Split(',').Select(NodeEndpoint.Parse)];
        var defaults = new PlasmaNodeOptions();
        return new PlasmaNode(store, defaults with
        {
            Listen = NodeEndpoint.Parse(a[3]),
            ClusterKey = Convert.FromHexString(a[4]),
            Directory = () => new StaticPeers(peers),
            StreamsPerPeer = options.GetValueOrDefault("streams", defaults.StreamsPerPeer),
            StallTimeout = options.TryGetValue("stall", out int stall) ? TimeSpan.FromMilliseconds(stall) : defaults.StallTimeout,
            SilenceTimeout = options.TryGetValue("silence", out int silence) ? TimeSpan.FromMilliseconds(silence) : defaults.SilenceTimeout,
        });
    }

    private string Pull(string[] a)
    {
        long start = Stopwatch.GetTimestamp();
        PullReport report = Node.PullAsync(a[3..].Select(Id).ToArray(), TimeSpan.FromSeconds(Int(a[2]))).GetAwaiter().GetResult();
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        return report.Failures.Count > 0
            ? $"error {report.Failures[0].Status} {report.Failures[0].Reason}"
            : string.Create(CultureInfo.InvariantCulture, $"ok {seconds:0.0000}");
    }

    private static void Wait(Func<bool> condition)
    {
        const int waitMs = 30_000;
        long end = Environment.TickCount64 + waitMs;
        while (!condition())
        {
            if (Environment.TickCount64 > end)
                throw new TimeoutException($"not within {waitMs / 1000} s");
            Thread.Sleep(2);
        }
    }

    private static ObjectId Id(string name) => ObjectId.FromName(name);

    private static int Int(string text) => int.Parse(text, CultureInfo.InvariantCulture);
}
