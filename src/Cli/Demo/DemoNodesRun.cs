using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text.Json;
using FastPlasma.Cli.Children;
using FastPlasma.Transfer;
using FastPlasma.Transfer.Nodes;
using Microsoft.Win32.SafeHandles;

namespace FastPlasma.Cli.Demo;

/// <summary>One run of the demo with several nodes: each a store and a service process of its own on this machine, one of which is killed while others receive from it.</summary>
internal sealed class DemoNodesRun
{
    private const int LargeCount = 6;
    private const int WarmUps = 50;
    private const double CutAtShare = 0.05;
    private static readonly TimeSpan LostTimeout = TimeSpan.FromSeconds(2);
    private static readonly ObjectId OnlyId = ObjectId.FromName("only\0");

    private readonly string _root;
    private readonly DemoFiles _files;
    private readonly long _largeBytes;
    private readonly TimeSpan _timeout;
    private readonly Action<string> _say;
    private readonly string[] _names;
    private readonly NodeEndpoint[] _endpoints;
    private readonly ChildProcess?[] _nodes;
    private readonly PlasmaStore?[] _stores;
    private readonly TransferStats[] _before; // Of runs that were killed.
    private readonly List<string> _failures = [];
    private readonly Dictionary<ObjectId, (string Name, byte[] Hash)> _hashes = [];
    private DemoNodesResult _result;

    internal DemoNodesRun(string root, DemoFiles files, int nodes, long largeBytes, TimeSpan timeout, Action<string> say)
    {
        (_root, _files, _largeBytes, _timeout, _say) = (Path.GetFullPath(root), files, largeBytes, timeout, say);
        string run = $"fastplasma-demo-{Environment.ProcessId}-{Guid.NewGuid():N}"[..36];
        _names = [.. Enumerable.Range(1, nodes).Select(i => $"{run}-{i}")];
        _endpoints = FreeEndpoints(nodes);
        _nodes = new ChildProcess?[nodes];
        _stores = new PlasmaStore?[nodes];
        _before = [.. Enumerable.Repeat(new TransferStats(), nodes)];
        _result = new DemoNodesResult { Path = _root, Files = files.Files.Count, Bytes = files.TotalBytes, Skipped = files.Skipped };
    }

    /// <summary>Runs everything; what goes wrong is in the result, and whatever happens, no process and no store is left behind.</summary>
    /// <exception cref="OperationCanceledException"><paramref name="cancellation"/> asked for the end.</exception>
    internal async Task<DemoNodesResult> RunAsync(CancellationToken cancellation)
    {
        long start = Stopwatch.GetTimestamp();
        using CancellationTokenSource deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        deadline.CancelAfter(_timeout);
        try
        {
            await StartAllAsync(deadline.Token);
            await ShareFilesAsync(deadline.Token);
            await CutAsync(deadline.Token);
            await BringBackAsync(deadline.Token);
            await ObserveAsync(deadline.Token);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            _failures.Add($"The demo did not end within {_timeout.TotalSeconds:0} s (--timeout).");
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            _failures.Add(e is PlasmaException or ChildProcessException or TimeoutException or IOException ? e.Message : $"{e.GetType().Name}: {e.Message}");
        }
        finally
        {
            foreach (ChildProcess? node in _nodes)
                Stop(node);
            foreach (PlasmaStore? store in _stores)
                store?.Dispose();
            foreach (string name in _names)
                PlasmaStore.Destroy(name);
        }

        return _result with { Failures = _failures, Seconds = Stopwatch.GetElapsedTime(start).TotalSeconds };
    }

    private async Task StartAllAsync(CancellationToken cancellation)
    {
        long capacity = _files.CapacityBytes + ((LargeCount + 1) * (_largeBytes + (_largeBytes / 4) + (64 << 10)));
        for (int i = 0; i < _names.Length; i++)
            _stores[i] = PlasmaStore.Create(_names[i], new PlasmaOptions { CapacityBytes = capacity, ObjectCountMax = Math.Max(4096, 2 * _files.Files.Count) });
        for (int i = 0; i < _names.Length; i++)
            Start(i);
        for (int i = 0; i < _names.Length; i++)
            await ReadyAsync(i, cancellation);
        _result = _result with { Nodes = [.. _nodes.Select((node, i) => new DemoNode(Label(i), _endpoints[i], node!.Id))] };
        _say($"{_names.Length} nodes run, each with a store and a process of its own: {string.Join(", ", _endpoints)}");
    }

    private static string Label(int i) => $"node {i + 1}";

    private void Start(int i)
    {
        _nodes[i] = ChildProcess.Start(Label(i), "demo", DemoCommand.NodeCommand);
        _nodes[i]!.Send(JsonSerializer.Serialize(new DemoNodePlan(_names[i], _endpoints[i], [.. _endpoints.Where((_, other) => other != i)], _names), DemoMessageJson.Default.DemoNodePlan));
    }

    private async Task ReadyAsync(int i, CancellationToken cancellation)
    {
        DemoMessage message = DemoMessage.FromLine(await _nodes[i]!.ReceiveAsync(cancellation));
        if (message.Kind != DemoMessageKind.Ready)
            throw new ChildProcessException($"{Label(i)}: {message.Error}");
    }

    /// <summary>Real files go into the first store, and every other node gets them by an ordinary get.</summary>
    private async Task ShareFilesAsync(CancellationToken cancellation)
    {
        long start = Stopwatch.GetTimestamp();
        byte[] buffer = new byte[_files.Files.Where(static file => !file.InPlace).Select(static file => file.Bytes).DefaultIfEmpty().Max()];
        byte[] hashBuffer = new byte[DemoConsumer.HashBytes];
        foreach (DemoFile file in _files.Files)
        {
            cancellation.ThrowIfCancellationRequested();
            string path = Path.Combine(_root, file.Path);
            using (SafeFileHandle source = File.OpenHandle(path))
            {
                if (file.InPlace)
                    DemoProducer.CreateInPlace(_stores[0]!, file, source);
                else
                    DemoProducer.Put(_stores[0]!, file, source, buffer);
            }

            _hashes[file.Id] = (file.Path, DemoConsumer.HashOfFile(path, hashBuffer));
        }

        ObjectId[] ids = [.. _files.Files.Select(static file => file.Id)];
        await Task.WhenAll(Enumerable.Range(1, _names.Length - 1).Select(i => Task.Run(
            () =>
            {
                _stores[i]!.Prefetch(ids);
                foreach (ObjectId id in ids)
                    _stores[i]!.Get(id, _timeout, cancellationToken: cancellation).Dispose();
            },
            cancellation)));
        _result = _result with { ShareSeconds = Stopwatch.GetElapsedTime(start).TotalSeconds };
        _say($"{_files.Files.Count} files were put on node 1, and every other node got them");
    }

    /// <summary>Large objects on two nodes; while the others receive them, the process of the first is killed.</summary>
    private async Task CutAsync(CancellationToken cancellation)
    {
        ObjectId[] large = [.. Enumerable.Range(0, LargeCount).Select(static i => ObjectId.FromName($"large\0{i}"))];
        foreach (ObjectId id in large)
            PutRandom(id, $"large object {id}");
        PutRandom(OnlyId, "the object of node 1 only");
        Expect(await PullAsync(1, large, _ => { }, cancellation), large.Length, "node 2");

        using NodeControlClient watch = Client(2), first = Client(0);
        long had = (await watch.StatusAsync(cancellation)).Stats.ReceivedBytes, total = LargeCount * _largeBytes;
        for (int i = 0; i < WarmUps; i++)
            _before[0] = (await first.StatusAsync(cancellation)).Stats; // Compiled code on both sides: what follows is a race.
        long sent = _before[0].SentBytes;
        Task<PullReport>[] pulls = [.. Enumerable.Range(2, _names.Length - 2).Select(i => PullAsync(i, large, _ => { }, cancellation))];
        do // Ends with the pulls at the latest.
            _before[0] = (await first.StatusAsync(cancellation)).Stats;
        while (_before[0].SentBytes - sent < CutAtShare * total && pulls.Any(static pull => !pull.IsCompleted));
        int killed = _nodes[0]!.Id;
        _nodes[0]!.Kill();
        long cutAt = Stopwatch.GetTimestamp();
        _nodes[0]!.Dispose();
        _nodes[0] = null;
        long received = (await watch.StatusAsync(cancellation)).Stats.ReceivedBytes - had;
        _result = _result with { LargeBytes = total, CutAtBytes = Math.Min(received, total) };
        _say($"kill -9 {killed}: node 1 is gone while node 3 had {Sizes.Bytes(received)} of {Sizes.Bytes(total)}{(received >= total ? " (too fast to be cut in the middle: say --large)" : "")}");

        for (int i = 0; i < pulls.Length; i++)
            Expect(await pulls[i], large.Length, Label(i + 2));
        _result = _result with { FinishSeconds = Stopwatch.GetElapsedTime(cutAt).TotalSeconds };
        _say($"the others have all large objects, the rest from node 2, {Sizes.Duration(TimeSpan.FromSeconds(_result.FinishSeconds))} later");

        // Of what only the dead node had, a get says so.
        PlasmaStatus status = _stores[2]!.TryGet(OnlyId, LostTimeout, out PlasmaObject lost, cancellationToken: cancellation);
        if (status == PlasmaStatus.Ok)
        {
            lost.Dispose();
            _failures.Add("Node 3 got an object whose only holder was dead.");
        }
        else
        {
            _result = _result with { LostReason = $"{status}: {_stores[2]!.DescribeAbsence(OnlyId)}" };
            _say($"an object that only node 1 has: {_result.LostReason}");
        }
    }

    private async Task BringBackAsync(CancellationToken cancellation)
    {
        Start(0);
        await ReadyAsync(0, cancellation);
        _result = _result with { Nodes = [_result.Nodes[0] with { ProcessId = _nodes[0]!.Id }, .. _result.Nodes.Skip(1)] };
        for (int i = 1; i < _names.Length; i++)
            _stores[i]!.Get(OnlyId, _timeout, cancellationToken: cancellation).Dispose();
        _say($"node 1 is back as process {_nodes[0]!.Id}, and so is its object: every node has it now");
    }

    private async Task ObserveAsync(CancellationToken cancellation)
    {
        DemoNode[] nodes = [.. _result.Nodes];
        await Parallel.ForAsync(0, nodes.Length, cancellation, (i, _) =>
        {
            nodes[i] = nodes[i] with { Verified = Verify(i, cancellation) };
            return ValueTask.CompletedTask;
        });
        TransferStats moved = new();
        for (int i = 0; i < nodes.Length; i++)
        {
            using NodeControlClient client = Client(i);
            TransferStats stats = Sum((await client.StatusAsync(cancellation)).Stats, _before[i]);
            nodes[i] = nodes[i] with { ReceivedBytes = stats.ReceivedBytes, SentBytes = stats.SentBytes, RelayedBytes = stats.RelayedBytes };
            moved = Sum(moved, stats);
        }

        OperationCounts[] counts = [.. _stores.Select(static store => store!.Stats().Store)];
        _result = _result with
        {
            Nodes = nodes,
            Operations =
            [
                new DemoOperation("put", counts.Sum(static c => c.Puts), counts.Sum(static c => c.PutBytes), counts.Sum(static c => c.PutCopiedBytes)),
                new DemoOperation("create + seal", counts[0].Creates, counts[0].CreateBytes, counts[0].CreateCopiedBytes),
                new DemoOperation("get", counts.Sum(static c => c.Gets), counts.Sum(static c => c.GetBytes), counts.Sum(static c => c.GetCopiedBytes)),

                // The nodes count what they copy for both directions in one number: each row has all of it.
                new DemoOperation("send (network)", LargeCount + 1 + _files.Files.Count, moved.SentBytes, moved.CopiedBytes),
                new DemoOperation("receive (network)", moved.ObjectsReceived, moved.ReceivedBytes, moved.CopiedBytes + counts.Skip(1).Sum(static c => c.CreateCopiedBytes)),
            ],
        };
    }

    private int Verify(int i, CancellationToken cancellation)
    {
        int verified = 0;
        foreach ((ObjectId id, (string name, byte[] hash)) in _hashes)
        {
            cancellation.ThrowIfCancellationRequested();
            if (!_stores[i]!.TryGet(id, out PlasmaObject found))
            {
                lock (_failures)
                    _failures.Add($"{Label(i)} has no {TextTable.Printable(name)}");
                continue;
            }

            using (found)
            {
                if (DemoConsumer.HashOfObject(found).AsSpan().SequenceEqual(hash))
                    verified++;
                else
                    lock (_failures)
                        _failures.Add($"{Label(i)}: the SHA-256 of {TextTable.Printable(name)} is another");
            }
        }

        return verified;
    }

    private void PutRandom(ObjectId id, string name)
    {
        using ObjectWriter writer = _stores[0]!.Create(id, _largeBytes);
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var random = new Random(id.GetHashCode());
        for (long offset = 0; offset < _largeBytes; offset += DemoConsumer.HashBytes)
        {
            Span<byte> piece = writer.GetSpan(offset, (int)Math.Min(DemoConsumer.HashBytes, _largeBytes - offset));
            random.NextBytes(piece);
            hash.AppendData(piece);
        }

        writer.Seal();
        _hashes[id] = (name, hash.GetHashAndReset());
    }

    private async Task<PullReport> PullAsync(int i, ObjectId[] ids, Action<double> progress, CancellationToken cancellation)
    {
        using NodeControlClient client = Client(i);
        return await client.PullAsync(ids, [], _timeout, TransferPriority.Get, new Progress<double>(progress), cancellation);
    }

    private void Expect(PullReport report, int count, string who)
    {
        if (report.Here < count)
            _failures.Add($"{who} has {report.Here} of {count} large objects: {report.Failures.Select(static failure => failure.Reason).FirstOrDefault()}");
    }

    private NodeControlClient Client(int i) => NodeControlClient.TryConnect(_stores[i]!) ?? throw new IOException($"{Label(i)} cannot be asked");

    private static TransferStats Sum(TransferStats a, TransferStats b) => new()
    {
        ReceivedBytes = a.ReceivedBytes + b.ReceivedBytes,
        SentBytes = a.SentBytes + b.SentBytes,
        RelayedBytes = a.RelayedBytes + b.RelayedBytes,
        CopiedBytes = a.CopiedBytes + b.CopiedBytes,
        ObjectsReceived = a.ObjectsReceived + b.ObjectsReceived,
    };

    private static void Stop(ChildProcess? node)
    {
        if (node is null)
            return;
        try
        {
            node.Send(ParentPipe.Exit);
        }
        catch (ChildProcessException)
        {
            // It has ended already.
        }

        node.Dispose();
    }

    /// <summary>Ports that are free now: every node is told the others' before any of them runs.</summary>
    private static NodeEndpoint[] FreeEndpoints(int count)
    {
        Socket[] sockets = [.. Enumerable.Range(0, count).Select(static _ => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp))];
        try
        {
            foreach (Socket socket in sockets)
                socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            return [.. sockets.Select(static socket => new NodeEndpoint("127.0.0.1", ((IPEndPoint)socket.LocalEndPoint!).Port))];
        }
        finally
        {
            foreach (Socket socket in sockets)
                socket.Dispose();
        }
    }
}
