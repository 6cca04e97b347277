using System.Globalization;
using FastPlasma.Load.Driver;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Parts;
using FastPlasma.Load.Peers;
using FastPlasma.Load.Reporting;

namespace FastPlasma.Load.Scenarios;

/// <summary>How fast do objects go from node to node?</summary>
internal sealed class TransferScenario : IScenario
{
    private const int LargeFull = 1 << 30, LargeQuick = 256 << 20, SmallBytes = 1024, SmallFull = 100_000, SmallQuick = 20_000, OneBytes = 4096;
    private const int RoundsOfChoice = 3, RoundsFull = 9, RoundsQuick = 5, RoundsOfLargeFull = 21, RoundsOfLargeQuick = 7;
    private static readonly int[] s_pieces = [256 << 10, 512 << 10, 1 << 20];
    private static readonly (int Way, string Name)[] s_ways = [(RawSocketPart.Spans, "Socket.Send and Receive"), (RawSocketPart.Messages, "sendmsg and recvmsg"), (RawSocketPart.Asynchronous, "SendAsync and ReceiveAsync")];

    public string Name => "transfer";

    public string Question => "How fast do objects go from one node's store into another's, and what does the socket alone allow?";

    public string Method =>
        "Two nodes on loopback, one process each; the objects are dropped after each round, so that memory is warm on both sides, as it is in the ceiling. Large: one object of 1 GiB (quick: 256 MiB) over 1 and over 4 data connections; the ceiling is a pair of processes with as many blocking sockets, " +
        "plain memory and the same checksum of each piece on both sides: of three ways to send and receive and three sizes of pieces (quick: one size) the best is chosen first, and then runs in turns with the nodes. Small: 100,000 objects of 1 KiB (quick: 20,000) in one pull; beside it the same values as pipelined GETs of redis-server, answers read into one buffer. One: a pull of 4 KiB, from the request to the seal, and a get of it in another process of the node's machine, from the call to the bytes read, each node on a processor of its own; " +
        "the ceiling is a round trip of raw sockets with as many bytes. The note has processor seconds per GB of both sides and the bytes that were copied in user space.";

    public ScenarioResult Run(LoadContext context)
    {
        var results = new ScenarioResult(this);
        if (context.Product is not { } product)
            return results;
        int large = context.Pick(LargeFull, LargeQuick);
        context.Guard(results, product, "", () =>
        {
            context.RequireMemory(4L * large);
            string folder = context.Folder.CreateNext();
            using WorkerProcess rawSource = WorkerProcess.StartPart(context, RawSocketPart.PartName, RawSocketPart.Serve);
            using WorkerProcess raw = WorkerProcess.StartPart(context, RawSocketPart.PartName, Text(rawSource.PartResult().Figures[0]));
            raw.PartResult();
            using var source = new Node(context, folder, "source", large, 4);
            foreach (int streams in (int[])[1, 4])
                Large(context, results, product, folder, source, raw, large, streams, context.Pick(RoundsOfLargeFull, RoundsOfLargeQuick));
            Small(context, results, product, folder);
            One(context, results, product, folder);
        });
        return results;
    }

    private static void Large(LoadContext context, ScenarioResult results, IPeer product, string folder, Node source, WorkerProcess raw, int bytes, int streams, int rounds)
    {
        using var target = new Node(context, folder, $"target{streams}", bytes, streams, source: source);
        if (streams == 1)
            source.Order("put", 1, bytes);
        int[] pieces = context.Pick(s_pieces, [512 << 10]);
        var ways = pieces.SelectMany(static piece => s_ways.Select(way => (piece, way.Way))).ToDictionary(static raw => raw, static _ => new List<WorkResult>());

        // The best way is found first and measured anew: the best of many figures of one run would be the luckiest.
        for (int round = 0; round <= RoundsOfChoice; round++)
            foreach (((int piece, int way), List<WorkResult> found) in ways)
            {
                context.Report($"{streams} connections, the best raw loop, round {round}");
                WorkResult one = Raw(raw, streams, bytes, piece, way);
                if (round > 0) // The first one warms.
                    found.Add(one);
            }
        (int bestPiece, int bestWay) = ways.MinBy(static way => Median(way.Value)).Key;
        List<WorkResult> ours = [], best = [];
        for (int round = 0; round <= rounds; round++)
        {
            context.Report($"{streams} connections, round {round}");
            WorkResult one = target.Order("pull", 1, bytes), ceiling = Raw(raw, streams, bytes, bestPiece, bestWay);
            if (round == 0)
                continue;
            ours.Add(one);
            best.Add(ceiling);
        }
        string name = $"{Units.Size(bytes)}, {streams} connection{(streams == 1 ? "" : "s")}";
        string choice = string.Join(", ", s_ways.Select(way => string.Create(
            CultureInfo.InvariantCulture, $"{way.Name} {bytes / 1e9 / ways.Where(raw => raw.Key.Way == way.Way).Min(static raw => Median(raw.Value)):0.00} GB/s")));
        choice = string.Create(CultureInfo.InvariantCulture, $"{s_ways.First(way => way.Way == bestWay).Name} in pieces of {Units.Size(bestPiece)}, chosen from {choice}");
        results.Add(PeerList.Ceiling, name, FigureKind.OperationsPerSecond, MedianOf(best), bytes, choice);
        WorkResult median = ours.OrderBy(static one => one.Seconds).ElementAt(ours.Count / 2);
        string note = string.Create(
            CultureInfo.InvariantCulture,
            $"{median.Figures[NodePart.ProcessorSeconds] / (bytes / 1e9):0.000} s of the receiver's processors per GB (ceiling {best.Average(static one => one.Figures[0]) / (bytes / 1e9):0.000}), {median.Figures[NodePart.CopiedBytes]:0} bytes copied in user space");
        results.Add(product, name, FigureKind.OperationsPerSecond, MedianOf(ours), bytes, note);
    }

    private static WorkResult Raw(WorkerProcess raw, int streams, int bytes, int piece, int way)
    {
        raw.Say($"stream {streams} {bytes} {piece} {way}");
        return raw.PartResult();
    }

    private static void Small(LoadContext context, ScenarioResult results, IPeer product, string folder)
    {
        int count = context.Pick(SmallFull, SmallQuick), rounds = context.Pick(RoundsFull, RoundsQuick);
        using var source = new Node(context, folder, "small-source", 512 << 20, 4, 2 * count);
        using var target = new Node(context, folder, "small-target", 512 << 20, 4, 2 * count, source);
        source.Order("put", count, SmallBytes);
        using RedisPipeline? redis = RedisPipeline.TryStart(context, folder, count, SmallBytes);
        List<WorkResult> ours = [], theirs = [];
        for (int round = 0; round <= rounds; round++)
        {
            context.Report($"small, round {round}");
            WorkResult one = target.Order("pull", count, SmallBytes);
            WorkResult? other = redis?.GetAll();
            if (round == 0)
                continue;
            ours.Add(one);
            if (other is not null)
                theirs.Add(other);
        }
        string name = $"{count:N0} objects of {Units.Size(SmallBytes)}";
        if (theirs.Count > 0)
            results.Add("redis", name, FigureKind.OperationsPerSecond, MedianOf(theirs), SmallBytes, "GET, pipelined over loopback TCP");
        else
            results.AddRemark(product, "redis was not measured beside it: redis-server is not installed (Debian: apt-get install redis-server)");
        results.Add(product, name, FigureKind.OperationsPerSecond, MedianOf(ours), SmallBytes);
    }

    /// <summary>Each node on a processor of its own, as two machines would be, and so the two ends of the raw sockets: left to the scheduler, these two run in turn on one processor, and nobody has to be woken on another.</summary>
    private static void One(LoadContext context, ScenarioResult results, IPeer product, string folder)
    {
        const int count = 2000, here = 0, there = 1;
        if (Environment.ProcessorCount < 2)
        {
            results.AddRemark(product, "the pull of one object needs a processor for each node, and there is one");
            return;
        }
        using WorkerProcess rawSource = WorkerProcess.StartPart(context, RawSocketPart.PartName, there, RawSocketPart.Serve);
        using WorkerProcess raw = WorkerProcess.StartPart(context, RawSocketPart.PartName, here, Text(rawSource.PartResult().Figures[0]));
        raw.PartResult();
        using var source = new Node(context, folder, "one-source", 64 << 20, 4, 2 * count, processor: there);
        using var target = new Node(context, folder, "one-target", 64 << 20, 4, 2 * count, source, here);
        using WorkerProcess getter = WorkerProcess.StartPart(context, RemoteGetPart.PartName, here, folder, "one-target");
        getter.PartResult();
        source.Order("put", count, OneBytes);
        List<WorkResult> ours = [], theirs = [], gets = [];
        for (int round = 0; round <= 5; round++)
        {
            context.Report($"one, round {round}");
            WorkResult one = target.Order("each", count, OneBytes);
            getter.Say($"get {count}");
            WorkResult got = getter.PartResult();
            // As many bytes as the frames have: an Ask of one record; an answer of one record and the image.
            raw.Say($"ping {count} 72 {24 + 128 + OneBytes}");
            WorkResult ceiling = raw.PartResult();
            if (round == 0)
                continue;
            ours.Add(one);
            gets.Add(got);
            theirs.Add(ceiling);
        }
        foreach ((string name, List<WorkResult> found) in (ReadOnlySpan<(string, List<WorkResult>)>)[("pull of 4 KiB", ours), ("get of 4 KiB in another process", gets)])
        {
            results.Add(PeerList.Ceiling, name, FigureKind.MedianNs, Measurement.OfRounds(theirs));
            results.Add(product, name, FigureKind.MedianNs, Measurement.OfRounds(found));
        }
    }

    private static double Median(List<WorkResult> rounds) => rounds.Select(static one => one.Seconds).Order().ElementAt(rounds.Count / 2);

    private static Measurement MedianOf(List<WorkResult> rounds) => Measurement.Of(rounds.OrderBy(static one => one.OperationsPerSecond).ElementAt(rounds.Count / 2));

    private static string Text(double number) => number.ToString("0", CultureInfo.InvariantCulture);

    /// <summary>A node in a process of its own.</summary>
    private sealed class Node : IDisposable
    {
        private readonly WorkerProcess _process;

        internal Node(LoadContext context, string folder, string name, long bytes, int streams, int objects = 4096, Node? source = null, int processor = -1)
        {
            string[] arguments = [folder, name, Text(bytes + (16 << 20)), Text(objects), Text(streams), .. source is null ? [] : new[] { Text(source.Port) }];
            _process = WorkerProcess.StartPart(context, NodePart.PartName, processor, arguments);
            Port = (int)_process.PartResult().Figures[0];
        }

        internal int Port { get; }

        internal WorkResult Order(string what, int count, int bytes)
        {
            _process.Say(string.Create(CultureInfo.InvariantCulture, $"{what} {count} {bytes}"));
            return _process.PartResult();
        }

        public void Dispose() => _process.Dispose();
    }
}
