using System.Globalization;
using FastPlasma.Load.Clients;
using FastPlasma.Load.Driver;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Peers;
using FastPlasma.Load.Plots;
using FastPlasma.Load.Reporting;

namespace FastPlasma.Load.Scenarios;

/// <summary>What do put and get take from each language, and what do Python's own means take instead?</summary>
internal sealed class ClientPutGetScenario : IScenario
{
    private const string SharedMemory = "shared-memory", PickleFile = "pickle-file", Redis = "redis", Bytes = "bytes", Array = "array", Frame = "frame";
    private const int WarmRounds = 1, SmallRoundsFull = 31, SmallRoundsQuick = 7, LargeRoundsFull = 9, LargeRoundsQuick = 3, LargeBytesMin = 16 << 20, CopiesBytes = 1 << 20;
    private const long CapacityBytes = 512L << 20, RedisBytes = 512L << 20;

    /// <summary>What Python programs use instead, in lines and plots beside the product; redis is a peer elsewhere too.</summary>
    internal static readonly string[] PeerNames = [SharedMemory, PickleFile];

    private static readonly string[] s_peers = [PeerList.Product, SharedMemory, PickleFile, Redis], s_kinds = [Bytes, Array, Frame];

    // Operations of one value; Python's are fewer, because they take longer.
    private static readonly (int Bytes, int Operations, int PythonOperations)[] s_sizes = [(1 << 10, 4000, 100), (1 << 20, 32, 8), (100 << 20, 1, 1)];

    public string Name => "client-put-get";

    public string Question => "What do put and get of 1 KiB, 1 MiB and 100 MiB take from .NET, C and Python, and what do Python's own means take instead?";

    public string Method =>
        "A process in each language, on one store, in turns, in batches: puts, gets that read one element, and for arrays gets that sum all of them; then deletes, not timed. Python's values are bytes, a numpy array and a pandas DataFrame of doubles. Ceilings: of a put a copy of as many bytes to as many places, " +
        "used before (Span.CopyTo, memcpy, bytearray[:] = bytes), of a get two empty calls (.NET: one atomic increment), of a sum that of an own array. " +
        "shared-memory is multiprocessing.shared_memory, one segment per object, pickle protocol 5 with its buffers beside the stream and read in place; pickle-file is a file in /dev/shm, renamed when it is complete; redis is redis-server on a unix socket by a bare protocol in Python. " +
        "At 100 MiB one value is one operation, whose code and data are out of the caches after the copies before, also for the ceiling. Segments and files get fresh pages each time, which is their way of working. A quick run measures them at 100 MiB with arrays alone. The remarks have how often each copies 1 MiB, as counted by the store and by the script: reads and writes count, what kernel and server copy further does not.";

    public string? Missing => ClientTools.Missing;

    public ScenarioResult Run(LoadContext context)
    {
        var results = new ScenarioResult(this);
        if (context.Product is not { } product)
            return results;
        var table = new RoundTable();
        context.Guard(results, product, "", () =>
        {
            context.RequireMemory(CapacityBytes + RedisBytes);
            IPeer redis = PeerList.Find(Redis);
            string? noRedis = redis.Missing;
            if (noRedis is not null)
                results.AddRemark(redis, $"cannot run here: {noRedis}");
            using Instance? server = noRedis is null ? new Instance(context, redis, RedisBytes, 1 << 10, 128 << 20) : null;
            using ClientSet clients = ClientSet.Start(context, results, product, CapacityBytes, server?.Open.Address);
            IReadOnlyList<Subject> subjects = [.. clients.All.SelectMany(client => SubjectsOf(client, results, server is not null))];
            foreach (Subject subject in subjects.Where(static subject => subject.Kind is not null))
                subject.Client.Ask("check", CopiesBytes, 1, subject.Words);
            TellCopies(results, subjects);
            foreach ((int bytes, int operations, int pythonOperations) in s_sizes)
            {
                int rounds = bytes >= LargeBytesMin ? context.Pick(LargeRoundsFull, LargeRoundsQuick) : context.Pick(SmallRoundsFull, SmallRoundsQuick);
                for (int round = -WarmRounds; round < rounds; round++)
                {
                    context.Report($"{Units.Size(bytes)}, round {round + 1} of {rounds}");
                    foreach (Client client in clients.All)
                    {
                        // The rounds before the others are for the store, which is to have its memory; files and segments are made anew each time. In a quick run these have large arrays alone: they take longest, and with all kinds about the same.
                        bool isAlone = round < 0, isShort = context.Quick && bytes >= LargeBytesMin;
                        Subject[] own = [.. subjects.Where(subject => subject.Client == client && (subject.Peer == product.Name || (!isAlone && !(isShort && subject.Kind != Array))))];
                        Measure(round < 0 ? new RoundTable() : table, client, own, bytes, client.Name == ClientSet.Python ? pythonOperations : operations);
                    }
                }
            }
        });
        table.WriteTo(results, PayloadOf, static (_, _) => null);
        foreach ((string what, string title) in ((string, string)[])[("put", "Put of a numpy array"), ("get", "Get of a numpy array, one element read")])
        {
            List<PlotSeries> series = [];
            foreach (string peer in s_peers.Prepend(PeerList.Ceiling.Name))
                series.Add(new PlotSeries(peer, [.. s_sizes.Select(size => ((double)size.Bytes, table.MedianNs(CaseOf(what, size.Bytes, ClientSet.Python, Array), peer) ?? 0)).Where(static point => point.Item2 > 0)]));
            results.AddPlot(new Plot($"client-{what}", $"{title}, from Python", series) { X = (AxisKind.Bytes, "size of the array"), Y = (AxisKind.Time, $"median time of one {what}") });
        }
        return results;
    }

    /// <summary>One client and what it puts with what.</summary>
    /// <param name="Kind">Of Python's values; null in other languages, which have bytes alone.</param>
    private sealed record Subject(Client Client, string Peer, string? Kind)
    {
        internal string[] Words => Kind is null ? [] : [Peer, Kind];
    }

    private static IEnumerable<Subject> SubjectsOf(Client client, ScenarioResult results, bool hasRedis)
    {
        if (client.Name != ClientSet.Python)
            return [new Subject(client, PeerList.Product, null)];
        double[] has = client.Ask("kinds").Figures;
        foreach ((int index, string package) in ((int, string)[])[(1, "numpy"), (2, "pandas")])
            if (has[index] == 0)
                results.AddRemark(ClientSet.Python, $"{s_kinds[index]} cannot run here: {package} is not installed (Debian: apt-get install python3-{package})");
        return [.. from kind in s_kinds where has[System.Array.IndexOf(s_kinds, kind)] != 0 from peer in s_peers where peer != Redis || hasRedis select new Subject(client, peer, kind)];
    }

    private static void Measure(RoundTable table, Client client, Subject[] subjects, int bytes, int operations)
    {
        WorkResult copy = client.Ask("copy", bytes, operations), empty = client.Ask("empty-pair", 0, operations);
        WorkResult? sum = subjects.Any(static subject => subject.Kind == Array) ? client.Ask("own-sum", bytes, operations) : null;
        foreach (string? kind in subjects.Select(static subject => subject.Kind).Distinct())
        {
            table.Add(CaseOf("put", bytes, client.Name, kind), PeerList.Ceiling.Name, copy);
            table.Add(CaseOf("get", bytes, client.Name, kind), PeerList.Ceiling.Name, empty);
            if (kind == Array)
                table.Add(CaseOf("sum", bytes, client.Name, kind), PeerList.Ceiling.Name, sum!);
        }
        foreach (Subject subject in subjects)
        {
            foreach (string what in subject.Kind == Array ? (string[])["put", "get", "sum"] : ["put", "get"])
                table.Add(CaseOf(what, bytes, client.Name, subject.Kind), subject.Peer, client.Ask(what, bytes, operations, subject.Words));
            client.Ask("delete", bytes, operations, subject.Words);
        }
    }

    private static void TellCopies(ScenarioResult results, IReadOnlyList<Subject> subjects)
    {
        foreach (IGrouping<string, Subject> peer in subjects.Where(static subject => subject.Kind is not null).GroupBy(static subject => subject.Peer))
        {
            IEnumerable<string> kinds = peer.Select(static subject =>
            {
                double[] copies = subject.Client.Ask("copies", CopiesBytes, 1, subject.Words).Figures;
                return string.Create(CultureInfo.InvariantCulture, $"{subject.Kind} {copies[0]:0.##} and {copies[1]:0.##}");
            });
            results.AddRemark(peer.Key, $"copies at put and at get, from Python: {string.Join(", ", kinds)}");
        }
    }

    private static string CaseOf(string what, int bytes, string client, string? kind) => $"{what} {Units.Size(bytes)}, {client}{(kind is null ? "" : $" {kind}")}";

    /// <summary>A get moves nothing where there is a view.</summary>
    private static int PayloadOf(string name) => name.StartsWith("get ", StringComparison.Ordinal) ? 0 : s_sizes.First(size => name.Contains($" {Units.Size(size.Bytes)},", StringComparison.Ordinal)).Bytes;
}
