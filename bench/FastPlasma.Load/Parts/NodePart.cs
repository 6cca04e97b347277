using System.Diagnostics;
using System.Globalization;
using FastPlasma.Cli.Children;
using FastPlasma.Load.Measuring;
using FastPlasma.Nodes;
using FastPlasma.Transfer;
using FastPlasma.Transfer.Directory;
using FastPlasma.Transfer.Fetching;

namespace FastPlasma.Load.Parts;

/// <summary>A node with a store of its own. Arguments: the store's folder; its name; capacity; objects; data connections to a peer; ports of other nodes. First answer: its port.</summary>
/// <remarks>
/// Lines: <c>put COUNT BYTES</c> makes objects 0 to COUNT-1, which may be evicted; <c>pull COUNT BYTES</c> brings them here in one call, timed, and drops them again; <c>each COUNT BYTES</c> brings them one after the other, each timed from the
/// request to its seal, and drops them.
/// </remarks>
internal sealed class NodePart : IPart
{
    internal const string PartName = "node";

    /// <summary>Places in the figures of a result: processor seconds of this process; bytes received, sent, copied in user space.</summary>
    internal const int ProcessorSeconds = 0, ReceivedBytes = 1, SentBytes = 2, CopiedBytes = 3;

    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(100);

    public string Name => PartName;

    public void Run(ParentPipe parent, string[] arguments)
    {
        var options = new PlasmaOptions
        {
            Directory = arguments[0],
            CapacityBytes = long.Parse(arguments[2], CultureInfo.InvariantCulture),
            ObjectCountMax = int.Parse(arguments[3], CultureInfo.InvariantCulture),
            DefaultRetention = Retention.Evictable,
        };
        using PlasmaStore store = PlasmaStore.Create(arguments[1], options);
        NodeEndpoint[] peers = [.. arguments[5..].Select(static port => new NodeEndpoint("127.0.0.1", int.Parse(port, CultureInfo.InvariantCulture)))];
        var node = new PlasmaNode(store, new PlasmaNodeOptions
        {
            Listen = new NodeEndpoint("127.0.0.1", 0),
            StreamsPerPeer = int.Parse(arguments[4], CultureInfo.InvariantCulture),
            Directory = () => new StaticPeers(peers),
        });
        try
        {
            node.StartAsync(CancellationToken.None).GetAwaiter().GetResult();
            parent.SendResult(new WorkResult { Figures = [node.Endpoint.Port] });
            for (string line = parent.Receive(); line != ParentPipe.Exit; line = parent.Receive())
            {
                string[] words = line.Split(' ');
                int count = int.Parse(words[1], CultureInfo.InvariantCulture), bytes = int.Parse(words[2], CultureInfo.InvariantCulture);
                parent.SendResult(words[0] switch
                {
                    "put" => Put(store, count, bytes),
                    "pull" => Pull(node, count),
                    "each" => Each(node, count),
                    _ => throw new InvalidOperationException($"There is no order '{line}'."),
                });
            }
        }
        finally
        {
            node.DisposeAsync().AsTask().GetAwaiter().GetResult();
        }
    }

    /// <summary>For the driver, which destroys the stores of parts that were ended.</summary>
    internal static ObjectId Id(int i) => HolderPart.Id(i);

    private static WorkResult Put(PlasmaStore store, int count, int bytes)
    {
        byte[] payload = new byte[bytes];
        new Random(bytes).NextBytes(payload);
        for (int i = 0; i < count; i++)
            store.Put(Id(i), payload);
        return new WorkResult { Operations = count };
    }

    private static WorkResult Pull(PlasmaNode node, int count)
    {
        var ids = new ObjectId[count];
        for (int i = 0; i < count; i++)
            ids[i] = Id(i);
        TransferStats before = node.Stats();
        TimeSpan processor = Environment.CpuUsage.TotalTime;
        long start = Stopwatch.GetTimestamp();
        PullReport report = node.PullAsync(ids, s_deadline).GetAwaiter().GetResult();
        long ticks = Stopwatch.GetTimestamp() - start;
        if (report.Failures.Count > 0)
            throw new InvalidOperationException($"{report.Failures.Count} of {count} objects did not come: {report.Failures[0].Reason}");
        WorkResult result = ResultOf(node, before, processor, count, ticks, new Latencies());
        Drop(node);
        return result;
    }

    private static WorkResult Each(PlasmaNode node, int count)
    {
        TransferStats before = node.Stats();
        TimeSpan processor = Environment.CpuUsage.TotalTime;
        var latencies = new Latencies();
        using var waiter = new SealWaiter();
        long timed = 0;
        for (int i = 0; i < count; i++)
        {
            ObjectId id = Id(i);
            waiter.Reset();
            long start = Stopwatch.GetTimestamp();
            node.Fetches.Request(new ReadOnlySpan<ObjectId>(in id), waiter, TransferPriority.Get, FetchTable.DeadlineTicks(s_deadline));
            long ticks = waiter.Wait() - start;
            latencies.Record(ticks, 1);
            timed += ticks;
        }
        WorkResult result = ResultOf(node, before, processor, count, timed, latencies);
        Drop(node);
        return result;
    }

    private static WorkResult ResultOf(PlasmaNode node, TransferStats before, TimeSpan processor, int count, long ticks, Latencies latencies)
    {
        TransferStats after = node.Stats();
        return new WorkResult
        {
            Operations = count,
            OperationsPerSecond = count * (double)Stopwatch.Frequency / ticks,
            Seconds = ticks / (double)Stopwatch.Frequency,
            Pairs = latencies.ToPairs(),
            Figures = [(Environment.CpuUsage.TotalTime - processor).TotalSeconds, after.ReceivedBytes - before.ReceivedBytes, after.SentBytes - before.SentBytes, after.CopiedBytes - before.CopiedBytes],
        };
    }

    /// <summary>The copies go, and the memory stays warm for the next ones.</summary>
    private static void Drop(PlasmaNode node)
    {
        node.Store.Evict(long.MaxValue / 2);
        if (node.Store.Stats().SealedCount > 0)
            throw new InvalidOperationException("Copies are still there.");
    }

    /// <summary>Reads the clock when the object is sealed.</summary>
    private sealed class SealWaiter : IFetchWaiter, IDisposable
    {
        private readonly ManualResetEventSlim _done = new(initialState: false, spinCount: 0); // A waiter that spins would take a processor from those that are measured.
        private long _at;
        private string? _failure;

        internal void Reset() => _done.Reset();

        public void Dispose() => _done.Dispose();

        internal long Wait()
        {
            _done.Wait();
            return _failure is null ? _at : throw new InvalidOperationException(_failure);
        }

        public void OnFetched(in ObjectId id, NodeAnswer answer, string? reason)
        {
            _at = Stopwatch.GetTimestamp();
            _failure = answer == NodeAnswer.Fetched ? null : $"{id}: {answer} ({reason})";
            _done.Set();
        }

        public void OnProgress(in ObjectId id, NodeAnswer state)
        {
            // Only the end counts.
        }
    }
}
