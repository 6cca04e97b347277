using System.Collections.Concurrent;
using System.Globalization;
using System.IO.Hashing;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using FastPlasma.Data;
using FastPlasma.Nodes;
using FastPlasma.Transfer;
using FastPlasma.Transfer.Directory;

namespace FastPlasma.Worker;

/// <summary>One attachment of this process, its open handles and writers by tag, and its commands.</summary>
/// <remarks>Ids are names, hashed to object ids. Answers begin with "ok" or with "error TYPE: message".</remarks>
internal sealed unsafe partial class Session
{
    private const int DumpableOption = 4;

    private readonly ConcurrentDictionary<string, PlasmaObject> _held = new();
    private readonly ConcurrentDictionary<string, ObjectWriter> _writers = new();
    private readonly ConcurrentDictionary<string, Task<string>> _background = new();
    private readonly List<PlasmaStore> _more = [];
    private readonly LabNodeCommands _lab = new();
    private PlasmaStore? _store;
    private NodeRequests? _service;
    private PlasmaNode? _node;

    private PlasmaStore Store => _store ?? throw new InvalidOperationException("No store is open.");

    internal string Answer(string line)
    {
        try
        {
            return Run(line.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        }
#pragma warning disable CA1031 // The other side judges.
        catch (Exception e)
#pragma warning restore CA1031
        {
            return $"error {e.GetType().Name}: {e.Message.ReplaceLineEndings(" ")}";
        }
    }

    internal void Close()
    {
        _lab.Close();
        _node?.StopAsync(CancellationToken.None).GetAwaiter().GetResult();
        _node = null;
        _more.ForEach(static store => store.Dispose());
        _more.Clear();
        _store?.Dispose();
        _store = null;
    }

    /// <summary>How long to wait for a disk: as long as anybody, or half a second.</summary>
    private static TimeSpan Patience(string[] a) => a.Contains("hurried") ? TimeSpan.FromSeconds(0.5) : new PlasmaOptions().DiskPatience;

    private string Run(string[] a)
    {
        switch (a[0])
        {
            case "open":
                _store = PlasmaStore.Open(a[1], new PlasmaOptions { Access = a.Contains("ro") ? StoreAccess.ReadOnly : StoreAccess.ReadWrite, DiskPatience = Patience(a) });
                return "ok";
            case "vectors":
                return $"ok {VectorCheck.Run(Int(a[1]))}";
            case "open-many": // open-many NAME N [ro]: that many more attachments; answers how many there are, and what refused the next.
                for (int i = 0; i < Int(a[2]); i++)
                {
                    string opened = Outcome(() => _more.Add(PlasmaStore.Open(a[1], new PlasmaOptions { Access = a.Contains("ro") ? StoreAccess.ReadOnly : StoreAccess.ReadWrite })));
                    if (opened != "done")
                        return $"ok {_more.Count} {opened}";
                }
                return $"ok {_more.Count}";
            case "close-one":
                _more[^1].Dispose();
                _more.RemoveAt(_more.Count - 1);
                return "ok";
            case "make":
                _store = PlasmaStore.Create(a[1], new PlasmaOptions { CapacityBytes = 16 << 20, ObjectCountMax = 1024 });
                return "ok";
            case "make-spilling": // make-spilling NAME DIR[,DIR] [hurried] [persist]
                _store = PlasmaStore.Create(a[1], new PlasmaOptions
                {
                    CapacityBytes = 16 << 20,
                    ObjectCountMax = 1024,
                    SpillDirectories = a[2].Split(','),
                    SpillReserve = 0,
                    SpillsAhead = false,
                    Persist = a.Contains("persist"),
                    DiskPatience = Patience(a),
                });
                return "ok";
            case "at-disk": // How many threads wait for a disk, or did lately.
                return $"ok {DiskThreadCount()}";
            case "destroy": // destroy NAME [hurried]
                return $"ok {Files.StoreFiles.Destroy(a[1], null, keepSpilled: false, Patience(a))}";
            case "descriptors": // Of stores; the runtime opens files too.
                return $"ok {Directory.GetFileSystemEntries("/proc/self/fd").Count(static fd => new FileInfo(fd).LinkTarget?.Contains("fastplasma.", StringComparison.Ordinal) == true)}";
            case "pid": // Behind a wrapper it is not that of the process that was started.
                return $"ok {Environment.ProcessId}";
            case "close":
                Close();
                return "ok";
            case "exit":
                return "ok";
            case "lab":
                return _lab.Run(a);
            case "bg":
                string line = string.Join(' ', a[2..]);
                _background[a[1]] = Task.Factory.StartNew(() => Answer(line), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
                return "ok";
            case "join":
                return _background[a[1]].GetAwaiter().GetResult();
            case "spill":
                return RunSpill(a);
            case "put":
                return $"ok {Store.TryPut(Id(a[1]), Pattern.Of(Int(a[3]), Int(a[2])), Options(a))}";
            case "create":
                PlasmaStatus created = Store.TryCreate(Id(a[2]), Int(a[3]), out ObjectWriter writer, Options(a));
                if (created == PlasmaStatus.Ok)
                    _writers[a[1]] = writer;
                return $"ok {created}";
            case "race": // race TAG START ID N: creates as soon as START is there.
                Store.Get(Id(a[2]), TimeSpan.FromSeconds(20), spin: TimeSpan.FromMilliseconds(1)).Dispose();
                return Run(["create", a[1], a[3], a[4]]);
            case "fill":
                Pattern.Fill(_writers[a[1]].Span, Int(a[2]));
                return "ok";
            case "seal":
                return $"ok {_writers[a[1]].TrySeal()}";
            case "drop":
                _writers[a[1]].Dispose();
                return "ok";
            case "abort":
                return $"ok {Store.Abort(Id(a[1]))}";
            case "delete":
                return $"ok {Store.Delete(Id(a[1]))}";
            case "contains":
                return $"ok {Store.Contains(Id(a[1]))}";
            case "evict":
                return $"ok {Store.Evict(Int(a[1]))}";
            case "maintain":
                return $"ok {Store.Maintain()}";
            case "hold":
                PlasmaStatus held = Store.TryGet(Id(a[2]), Ms(a[3]), out PlasmaObject obj);
                if (held == PlasmaStatus.Ok)
                    _held[a[1]] = obj;
                return $"ok {held}";
            case "read":
                return $"ok {Describe(_held[a[1]])}";
            case "release":
                _held[a[1]].Dispose();
                return "ok";
            case "get":
                PlasmaStatus got = Store.TryGet(Id(a[1]), Ms(a[2]), out PlasmaObject read);
                using (read)
                    return got == PlasmaStatus.Ok ? $"ok Ok {Describe(read)}" : $"ok {got}";
            case "wait": // wait K TIMEOUT ID...
                ObjectId[] ids = [.. a[3..].Select(Id)];
                return $"ok {Store.Wait(ids, Int(a[1]), Ms(a[2]), new bool[ids.Length])}";
            case "await": // await ID TIMEOUT [async]: as get, but the error says why.
                using (PlasmaObject awaited = a.Contains("async") ? Store.GetAsync(Id(a[1]), Ms(a[2])).AsTask().GetAwaiter().GetResult() : Store.Get(Id(a[1]), Ms(a[2])))
                    return $"ok Ok {Describe(awaited)}";
            case "give-up": // give-up ID MS: a get that is cancelled after so long.
                using (var cancellation = new CancellationTokenSource(Int(a[2])))
                    return $"ok {Store.TryGet(Id(a[1]), TimeSpan.FromSeconds(25), out _, cancellationToken: cancellation.Token)}";
            case "get-many": // get-many PREFIX N TIMEOUT: how many of PREFIX-0 to PREFIX-(N-1).
                var many = new PlasmaObject[Int(a[2])];
                int found = Store.Get(Ids(a[1], many.Length), many, Ms(a[3]));
                foreach (PlasmaObject one in many)
                    one.Dispose();
                return $"ok {found}";
            case "wait-many": // wait-many PREFIX N TIMEOUT
                return $"ok {Store.Wait(Ids(a[1], Int(a[2])), Int(a[2]), Ms(a[3]), new bool[Int(a[2])])}";
            case "prefetch": // prefetch PREFIX N
                return $"ok {Store.Prefetch(Ids(a[1], Int(a[2])))}";
            case "serve": // Becomes the node service, or says who is.
                _service = NodeRequests.TryOpen(Store, out int other);
                return _service is null ? $"ok {other}" : "ok serving";
            case "node": // node PORT [PEER...]: serves the store to other nodes; answers its address.
                _node = StartNode(Store, Int(a[1]), [.. a[2..].Select(NodeEndpoint.Parse)]);
                return $"ok {_node.Endpoint}";
            case "collect": // collect N: takes requests until there are so many.
                var requests = new List<NodeRequest>();
                while (requests.Count < Int(a[1])) // Ends with the requests; the test has a watchdog.
                {
                    _service!.Wait(TimeSpan.FromSeconds(1), CancellationToken.None);
                    _service.Collect(requests, []);
                }
                return $"ok {requests.Count}";
            case "stats":
                StoreStats stats = Store.Stats();
                return $"ok {stats.SealedCount} {stats.CreatingCount} {stats.CondemnedCount} {stats.Participants.Count}";
            case "churn": // churn PREFIX N: puts evictable objects for ever, deleting and reading now and then.
                Churn(a[1], Int(a[2]));
                return "ok";
            case "exchange": // exchange SENT RECEIVED N SEED BYTES: puts SENT-0 to SENT-(N-1) and checks RECEIVED-0 to RECEIVED-(N-1) of another process; answers their bytes.
                return $"ok {new Exchange(Store, Int(a[4]), Int(a[5])).Run(a[1], a[2], Int(a[3]))}";
            case "record": // record FILE PLAN: makes the plan's calls and writes them to the file.
                Recorder.Plan plan = Recorder.Plan.Parse(a.AsSpan(2));
                using (var file = new RecordFile(a[1], plan.RecordCount))
                    new Recorder(Store, file, plan).Run();
                return "ok";
            case "scramble": // scramble PROCESS SEED THREADS MS [trespasser]: allocates and frees, and looks for foreign bytes.
                return "ok " + new Scrambler(Store, Int(a[1])).Run(Int(a[2]), Int(a[3]), Int(a[4]), a.Contains(Scrambler.Trespasser));
            case "poke": // Writes through the pointer of a get. Without a core dump, which nobody asked for.
                if (prctl(DumpableOption, 0, 0, 0, 0) != 0)
                    throw new InvalidOperationException("prctl");
                *_held[a[1]].Pointer ^= 0xFF;
                return "ok";
            case "maps":
                return "ok " + string.Join(';', File.ReadLines("/proc/self/maps").Where(static m => m.Contains("fastplasma.", StringComparison.Ordinal)).Select(static m => m.Split(' ')[1] + " " + Path.GetFileName(m)));
            case "writable": // writable NAME: the store's files that this process can open for writing.
                return "ok " + string.Join(';', Directory.EnumerateFiles("/dev/shm", $"fastplasma.{a[1]}*").Where(CanWrite).Select(Path.GetFileName));
            case "fork": // fork TAG WRITER: what every call says in a forked child, for a held object and a writer.
                return "ok " + ForkedChild.Run(() => CallsOfAChild(_held[a[1]], _writers[a[2]]));
            case "fork-stay":
                return $"ok {ForkedChild.Stay()}";
            case "fork-reopen": // fork-reopen NAME ID NEW: a child that opens the store for itself.
                return "ok " + ForkedChild.Run(() => ReopenInAChild(a[1], Id(a[2]), Id(a[3])));
            case "hostile": // hostile NAME WHAT ...: what a reader could try beside the library.
                return $"ok {RunHostile(a)}";
            case "tensor": // tensor ID: what a tensor of doubles holds.
                using (TensorObject<double> tensor = Store.GetTensor<double>(Id(a[1]), TimeSpan.Zero))
                    return $"ok {string.Join('x', tensor.Span.Lengths.ToArray())} {Tensor.Sum(tensor.Span).ToString(CultureInfo.InvariantCulture)}";
            case "arrow": // arrow ID: what a batch holds, and whether its buffers lie in the object.
                using (ArrowObject arrow = Store.GetArrow(Id(a[1]), TimeSpan.Zero))
                    return $"ok {ArrowReading.Describe(arrow)}";
            case "fault": // Whatever a reader might try with the writing calls.
                Store.Put(Id("x"), [1]);
                return "ok";
            default:
                throw new ArgumentException($"No such command: {a[0]}");
        }
    }

    private string CallsOfAChild(PlasmaObject held, ObjectWriter writer)
    {
        var calls = new (string Name, Action Call)[]
        {
            ("get", () => Store.TryGet(held.Id, out _)), ("get known", () => Store.TryGet(Id("a"), out _)), ("contains", () => Store.Contains(Id("a"))), ("put", () => Store.Put(Id("child"), [1])),
            ("delete", () => Store.Delete(Id("a"))), ("evict", () => Store.Evict(1)), ("list", () => Store.List()), ("stats", () => Store.Stats()), ("verify", () => Store.Verify()),
            ("wait", () => Store.Wait([Id("b")], 1, Ms("1"), new bool[1])), ("maintain", () => Store.Maintain()), ("subscribe", () => Store.Subscribe()),
            ("length", () => _ = held.Length), ("span", () => _ = held.Span[0]), ("metadata", () => _ = held.Metadata.Length), ("copy", () => held.CopyTo(new byte[1 << 20])),
            ("writer span", () => writer.Span[0] = 1), ("seal", () => writer.Seal()),
            ("valid", () => Refuse(!held.IsValid)), ("open", () => Refuse(!writer.IsOpen)),
            ("release", () => held.Dispose()), ("abort", () => writer.Dispose()), ("dispose", () => Store.Dispose()), ("dispose again", () => Store.Dispose()), ("after dispose", () => Store.Contains(Id("a"))),
        };
        return string.Join('|', calls.Select(call => $"{call.Name}: {Outcome(call.Call)}"));

        static void Refuse(bool right)
        {
            if (!right)
                throw new ArgumentException("says yes");
        }
    }

    private static PlasmaNode StartNode(PlasmaStore store, int port, NodeEndpoint[] peers)
    {
        var node = new PlasmaNode(store, new PlasmaNodeOptions { Listen = new NodeEndpoint("127.0.0.1", port), Directory = () => new StaticPeers(peers) });
        node.StartAsync(CancellationToken.None).GetAwaiter().GetResult();
        return node;
    }

    private static string ReopenInAChild(string name, ObjectId known, ObjectId added)
    {
        using PlasmaStore store = PlasmaStore.Open(name);
        store.Put(added, [1, 2, 3]);
        using PlasmaObject obj = store.Get(known, TimeSpan.Zero);
        return $"{Describe(obj)} {store.Stats().Participants.Count}";
    }

    private static string Outcome(Action call)
    {
        try
        {
            call();
            return "done";
        }
#pragma warning disable CA1031 // The other side judges.
        catch (Exception e)
#pragma warning restore CA1031
        {
            return $"{e.GetType().Name} {e.Message}";
        }
    }

    private static string RunHostile(string[] a)
    {
        if (a[2] == "burn")
            Hostile.Burn();
        var hostile = new Hostile(a[1]);
        switch (a[2])
        {
            case "try":
                return hostile.Try(Int(a[3]));
            case "squat":
                hostile.Squat(a[1], a[3]);
                break;
            case "unsquat":
                hostile.RemoveSquatted(a[1]);
                break;
            case "fill":
                hostile.Fill(Int(a[3]), (uint)Int(a[4]));
                break;
            default:
                hostile.Storm(Int(a[3]));
                break;
        }
        return "";
    }

    private void Churn(string prefix, int length)
    {
        byte[] payload = Pattern.Of(length, length);
        for (int i = 0; ; i++) // Ends with the process.
        {
            ObjectId id = Id($"{prefix}-{i}");
            PlasmaStatus status = Store.TryPut(id, payload, new ObjectOptions { Retention = Retention.Evictable });
            if (status is not (PlasmaStatus.Ok or PlasmaStatus.StoreFull or PlasmaStatus.TooManyObjects))
                throw new InvalidOperationException($"put: {status}");
            if (i % 3 == 0)
                Store.Delete(id);
            if (i % 5 == 0 && Store.TryGet(Id($"{prefix}-{Math.Max(0, i - 2)}"), out PlasmaObject obj))
            {
                using (obj)
                    if (!obj.Span.SequenceEqual(payload))
                        throw new InvalidOperationException($"{prefix}-{i - 2} does not hold its own bytes");
            }
        }
    }

    private static bool CanWrite(string path)
    {
        try
        {
            using FileStream stream = new(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
            return true;
        }
        catch (UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static ObjectOptions Options(string[] a) => new()
    {
        Retention = a.Contains("evictable") ? Retention.Evictable : Retention.Keep,
        Timeout = a.Contains("patient") ? TimeSpan.FromSeconds(20) : TimeSpan.Zero,
    };

    private static string Describe(in PlasmaObject obj) => string.Create(CultureInfo.InvariantCulture, $"{obj.Length} {XxHash3.HashToUInt64(obj.Span):x}");

    private static ObjectId Id(string name) => ObjectId.FromName(name);

    private static ObjectId[] Ids(string prefix, int count) => [.. Enumerable.Range(0, count).Select(i => Id(string.Create(CultureInfo.InvariantCulture, $"{prefix}-{i}")))];

    private static int Int(string text) => int.Parse(text, CultureInfo.InvariantCulture);

    private static TimeSpan Ms(string text) => Int(text) < 0 ? Timeout.InfiniteTimeSpan : TimeSpan.FromMilliseconds(Int(text));

    [LibraryImport("libc", SetLastError = true)]
    private static partial int prctl(int option, nuint a, nuint b, nuint c, nuint d);
}
