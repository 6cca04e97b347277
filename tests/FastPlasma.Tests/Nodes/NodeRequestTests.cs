using System.Diagnostics;
using FastPlasma.Format;
using FastPlasma.Nodes;
using FastPlasma.Participants;
using Mono.Unix.Native;

namespace FastPlasma.Tests.Nodes;

/// <summary>Processes that want what is not here, and a node service that only pretends to have a network.</summary>
public sealed class NodeRequestTests : StoreTest
{
    private const uint Nobody = 65534;

    [Fact]
    public void Get_of_another_process_reaches_the_service_and_ends_with_what_it_brings()
    {
        PlasmaStore store = Named(out string name);
        Assert.False(store.HasNodeService);
        using NodeRequests service = Serve(store);
        Assert.True(store.HasNodeService);
        WorkerProcess worker = StartWorker(name);
        long before = Stopwatch.GetTimestamp();
        worker.Call("bg g get a 25000");
        NodeRequest request = Collect(service, 1).Single();
        Assert.Equal((Id("a"), NodePriority.Get, true), (request.Id, request.Priority, request.IsKept));
        Assert.InRange(request.DeadlineTicks, before, Stopwatch.GetTimestamp() + 25 * Stopwatch.Frequency);
        Bring(store, "a");
        Assert.StartsWith("Ok ", worker.Call("join g"), StringComparison.Ordinal);
        Assert.Empty(Collect(service, 0, until: ended => ended.Contains(request.Handle)));
    }

    [Fact]
    public void Request_wakes_a_sleeping_service()
    {
        PlasmaStore store = Named(out string name);
        PlasmaStore other = Open(name);
        using NodeRequests service = Serve(store);
        var latencies = new List<double>();
        for (int i = 0; i < 21; i++)
        {
            ObjectId id = Id($"a{i}");
            Collect(service, 0); // What the last round left.
            long asked = 0;
            Eventually.Run run = Eventually.Start(() =>
            {
                Thread.Sleep(10 + i); // Spreads the rounds over the service's slices; nothing relies on its length.
                Volatile.Write(ref asked, Stopwatch.GetTimestamp());
                Assert.Equal(PlasmaStatus.Ok, other.TryGet(id, Eventually.Patience, out PlasmaObject obj));
                obj.Dispose();
            });
            Collect(service, 1);
            latencies.Add(Stopwatch.GetElapsedTime(Volatile.Read(ref asked)).TotalMilliseconds);
            store.Put(id, [1]);
            run.Join();
        }
        latencies.Sort();
        Assert.True(latencies[10] < 25, $"Half of the requests took more than {latencies[10]} ms to reach the service."); // By slices alone half would take 50 ms.
    }

    [Theory]
    [InlineData((int)NodeAnswer.NotFound, "the node service says: no node has it")]
    [InlineData((int)NodeAnswer.DirectoryUnreachable, "the node service says: the directory cannot be reached")]
    [InlineData(200, "the node service says: code 200")]
    public void Late_get_says_what_the_service_answered(int answer, string text)
    {
        PlasmaStore store = Named(out string name);
        using NodeRequests service = Serve(store);
        WorkerProcess worker = StartWorker(name);
        foreach (string form in (string[])["", "async"])
        {
            worker.Call($"bg g await a 400 {form}");
            NodeRequest request = Collect(service, 1).Single();
            Assert.True(service.Tell(request.Handle, NodeAnswer.SourceLost));
            Assert.True(service.Answer(request.Handle, (NodeAnswer)answer));
            string message = Assert.Throws<WorkerException>(() => worker.Call("join g")).Message;
            Assert.StartsWith("error TimeoutException: ", message, StringComparison.Ordinal);
            Assert.EndsWith($"nobody has begun to create it; {text}.", message, StringComparison.Ordinal);
            Assert.False(service.Answer(request.Handle, (NodeAnswer)answer)); // Nobody reads it any more.
        }
    }

    [Fact]
    public void Late_get_says_how_far_its_request_has_come()
    {
        PlasmaStore store = Named(out string name);
        PlasmaStore other = Open(name);
        Assert.EndsWith("nobody has begun to create it.", Late(), StringComparison.Ordinal);
        using (NodeRequests service = Serve(store))
        {
            Assert.EndsWith("; the node service has not taken the request.", Late(), StringComparison.Ordinal);
            Eventually.Run run = Eventually.Start(() => Assert.EndsWith("; the node service has not found it yet.", Late(500), StringComparison.Ordinal));
            Collect(service, 1);
            run.Join();
            run = Eventually.Start(() => Assert.EndsWith("; the node service says: no node has it.", Late(500), StringComparison.Ordinal));
            service.Tell(Collect(service, 1).Single().Handle, NodeAnswer.NotFound);
            run.Join();
            run = Eventually.Start(() =>
            {
                Assert.Equal(PlasmaStatus.Timeout, other.TryGet(Id("a"), Ms(500), out _));
                Assert.EndsWith("; the node service says: this store has no room for it", other.DescribeAbsence(Id("a")), StringComparison.Ordinal); // As the C library does.
            });
            service.Answer(Collect(service, 1).Single().Handle, NodeAnswer.NoSpace);
            run.Join();
            run = Eventually.Start(() => Assert.EndsWith("; the node service has ended.", Late(500), StringComparison.Ordinal));
            Collect(service, 1);
            service.Dispose();
            run.Join();
        }
        Assert.EndsWith("nobody has begun to create it.", Late(), StringComparison.Ordinal);

        string Late(int ms = 30) => Assert.Throws<TimeoutException>(() => other.Get(Id("a"), Ms(ms))).Message;
    }

    [Fact]
    public void Cancelled_get_is_reported_at_once_and_its_record_serves_again()
    {
        PlasmaStore store = Named(out string name);
        using NodeRequests service = Serve(store);
        PlasmaStore other = Open(name);
        for (int i = 0; i < 40; i++) // More than there are records.
        {
            using var cancellation = new CancellationTokenSource();
            Eventually.Run run = Eventually.Start(() => Assert.ThrowsAny<OperationCanceledException>(() => other.TryGet(Id($"a{i}"), Eventually.Patience, out _, default, cancellation.Token)));
            NodeRequest request = Collect(service, 1).Single();
            Assert.Equal(Id($"a{i}"), request.Id);
            cancellation.Cancel();
            Assert.Empty(Collect(service, 0, until: ended => ended.Contains(request.Handle)));
            run.Join();
        }
        WorkerProcess worker = StartWorker(name);
        worker.Call("bg g give-up b 500");
        NodeRequestHandle handle = Collect(service, 1).Single().Handle;
        Collect(service, 0, until: ended => ended.Contains(handle));
        Assert.Contains("OperationCanceledException", Assert.Throws<WorkerException>(() => worker.Call("join g")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Next_service_takes_over_what_a_killed_one_had_taken()
    {
        PlasmaStore store = Named(out string name);
        WorkerProcess killed = StartWorker(name), requester = StartWorker(name);
        Assert.Equal("serving", killed.Call("serve"));
        requester.Call("bg g await a 25000");
        killed.Call("collect 1");
        killed.Kill();
        Eventually.True(() => store.Maintain() > 0 || !store.HasNodeService, "the dead service is recovered");
        Assert.False(store.HasNodeService);
        using NodeRequests service = Serve(store);
        Assert.Equal(2UL, service.Generation);
        Assert.Equal(Id("a"), Collect(service, 1).Single().Id);
        Bring(store, "a");
        Assert.StartsWith("Ok", requester.Call("join g"), StringComparison.Ordinal);
    }

    [Fact]
    public void Request_that_an_earlier_service_answered_is_made_again()
    {
        PlasmaStore store = Named(out string name);
        WorkerProcess requester = StartWorker(name);
        using (NodeRequests first = Serve(store))
        {
            requester.Call("bg g await a 25000");
            Assert.True(first.Answer(Collect(first, 1).Single().Handle, NodeAnswer.NotFound));
        }
        using NodeRequests second = Serve(store);
        Assert.Equal(Id("a"), Collect(second, 1).Single().Id);
        Assert.Empty(Collect(second, 0));
        Bring(store, "a");
        Assert.StartsWith("Ok", requester.Call("join g"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("await a 25000")]
    [InlineData("await a 25000 async")]
    [InlineData("get-many a 1 25000")]
    [InlineData("wait-many a 1 25000")]
    public void Wait_that_began_before_the_service_asks_it(string call)
    {
        PlasmaStore store = Named(out string name);
        WorkerProcess requester = StartWorker(name);
        requester.Call($"bg g {call}");
        Eventually.True(() => requester.Call("stats").Length > 0, "the worker answers");
        using NodeRequests service = Serve(store);
        NodeRequest request = Collect(service, 1).Single();
        Assert.Equal(call.StartsWith("wait", StringComparison.Ordinal) ? NodePriority.Wait : NodePriority.Get, request.Priority);
        Assert.Equal(call.StartsWith("await", StringComparison.Ordinal), request.IsKept);
        store.Put(request.Id, [1]);
        Assert.DoesNotContain("rror", requester.Call("join g"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Requests_of_a_killed_process_are_over(bool taken)
    {
        PlasmaStore store = Named(out string name);
        using NodeRequests service = Serve(store);
        WorkerProcess requester = StartWorker(name);
        requester.Call("bg g await a 25000");
        NodeRequestHandle? handle = null;
        if (taken)
            handle = Collect(service, 1).Single().Handle;
        else
            Eventually.True(() => AnyRequest(store), "the request is made");
        requester.Kill();
        Eventually.True(() => store.Maintain() > 0 || store.Stats().Participants.Count == 1, "the requester is recovered");
        Assert.Empty(Collect(service, 0, until: ended => handle is null || ended.Contains(handle.Value)));

        // Whoever comes next to its place begins with nothing of it.
        WorkerProcess next = StartWorker(name);
        Assert.Empty(Collect(service, 0));
        next.Call("bg g await b 25000");
        Assert.Equal(Id("b"), Collect(service, 1).Single().Id);
        store.Put(Id("b"), [1]);
        next.Call("join g");
    }

    [Fact]
    public void Second_service_is_refused_and_told_who_is_the_first()
    {
        PlasmaStore store = Named(out string name);
        WorkerProcess worker = StartWorker(name);
        using (NodeRequests service = Serve(store))
        {
            Assert.Null(NodeRequests.TryOpen(store, out int own));
            Assert.Equal(Environment.ProcessId, own);
            Assert.Equal($"{Environment.ProcessId}", worker.Call("serve"));
        }
        Assert.False(store.HasNodeService);
        Assert.Equal("serving", worker.Call("serve"));
        Assert.Null(NodeRequests.TryOpen(store, out int other));
        Assert.Equal(worker.Id, other);
        worker.Kill();
        using NodeRequests next = Serve(store); // Before anybody has recovered the dead one.
        store.Maintain();
        Assert.True(store.HasNodeService);
        Assert.Throws<InvalidOperationException>(() => NodeRequests.TryOpen(Open(name, StoreAccess.ReadOnly), out _));
    }

    [Fact]
    public void Service_whose_store_is_closed_is_gone()
    {
        PlasmaStore store = Named(out string name), other = Open(name);
        NodeRequests service = Serve(store);
        Eventually.Run run = Eventually.Start(() => Assert.Throws<ObjectDisposedException>(() => ServeForEver(service)));
        store.Dispose();
        run.Join();
        Eventually.True(() => !other.HasNodeService, "the header names nobody");
        service.Dispose();
        Serve(other).Dispose();
    }

    [Theory]
    [InlineData("get-many", 1000)]
    [InlineData("wait-many", 1000)]
    [InlineData("prefetch", 200)]
    public void Many_ids_pass_through_the_records(string call, int count)
    {
        PlasmaStore store = Named(out string name, Small with { ObjectCountMax = 4096 });
        using NodeRequests service = Serve(store);
        WorkerProcess worker = StartWorker(name);
        bool isPrefetch = call == "prefetch";
        long start = Stopwatch.GetTimestamp();
        worker.Call($"bg g {call} a {count} {(isPrefetch ? "" : "25000")}");
        var wanted = new HashSet<ObjectId>();
        var requests = new List<NodeRequest>();
        int asked = int.MaxValue;
        while (wanted.Count < Math.Min(count, asked)) // Ends with the last request, or with the patience.
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < Eventually.Patience, $"{wanted.Count} of {count} ids were asked for.");
            requests.Clear();
            service.Wait(Ms(1), CancellationToken.None);
            service.Collect(requests, []);
            foreach (NodeRequest request in requests)
            {
                Assert.Equal((isPrefetch ? NodePriority.Prefetch : call[0] == 'g' ? NodePriority.Get : NodePriority.Wait, false), (request.Priority, request.IsKept));
                Assert.InRange(request.DeadlineTicks, 0, Stopwatch.GetTimestamp() + NodeMailbox.LeaseMs * (Stopwatch.Frequency / 1000));
                if (wanted.Add(request.Id))
                    store.Put(request.Id, [1]);
            }
            if (isPrefetch && asked == int.MaxValue && wanted.Count > 0)
                asked = int.Parse(worker.Call("join g"), System.Globalization.CultureInfo.InvariantCulture);
        }
        if (isPrefetch)
            Assert.InRange(asked, 32, count);
        else
            Assert.Equal($"{count}", worker.Call("join g"));
        Assert.Equal("0", worker.Call("prefetch a 1")); // It is there.
    }

    [Fact]
    public void Batch_asks_the_next_service_for_what_is_missing()
    {
        PlasmaStore store = Named(out string name);
        WorkerProcess worker = StartWorker(name);
        worker.Call("bg g get-many a 100 25000");
        var wanted = new HashSet<ObjectId>();
        using (NodeRequests first = Serve(store))
            wanted.UnionWith(Collect(first, 100).Select(static r => r.Id));
        Assert.Equal(100, wanted.Count);
        foreach (ObjectId id in wanted.Take(60))
            store.Put(id, [1]);
        using NodeRequests second = Serve(store);
        HashSet<ObjectId> again = [.. Collect(second, 40).Select(static r => r.Id)];
        Assert.Equal(wanted.Skip(60).ToHashSet(), again);
        foreach (ObjectId id in wanted.Skip(60))
            store.Put(id, [1]);
        Assert.Equal("100", worker.Call("join g"));
    }

    [Fact]
    public void Prefetch_asks_nobody_when_there_is_no_service_and_gives_way_to_gets()
    {
        PlasmaStore store = Named(out string name), other = Open(name);
        ObjectId[] ids = [.. Enumerable.Range(0, 100).Select(static i => Id($"a-{i}"))];
        Assert.Equal(0, other.Prefetch(ids));
        using NodeRequests service = Serve(store);
        Assert.Equal(32, other.Prefetch(ids)); // The service takes nothing.
        Eventually.Run run = Eventually.Start(() => other.Get(Id("b"), Eventually.Patience).Dispose());
        Eventually.True(() => Collect(service, 0, until: _ => true).Any(static r => r.Id == Id("b") && r.Priority == NodePriority.Get), "the get replaced a prefetch");
        store.Put(Id("b"), [1]);
        run.Join();
    }

    [Fact]
    public async Task More_gets_than_records_are_all_asked_for()
    {
        PlasmaStore store = Named(out string name), other = Open(name);
        using NodeRequests service = Serve(store);
        const int count = 60;
        var gets = Enumerable.Range(0, count).Select(i => other.GetAsync(Id($"a-{i}"), Eventually.Patience).AsTask()).ToList();
        gets.AddRange(Enumerable.Range(count, count).Select(i => Task.Factory.StartNew(() => other.Get(Id($"a-{i}"), Eventually.Patience), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)));
        var wanted = new HashSet<ObjectId>();
        Eventually.True(
            () =>
            {
                foreach (NodeRequest request in Collect(service, 0, until: _ => true))
                    wanted.Add(request.Id);
                return wanted.Count == 2 * count;
            },
            "all are asked for");
        foreach (ObjectId id in wanted)
            store.Put(id, [1]);
        foreach (PlasmaObject got in await Task.WhenAll(gets).WaitAsync(Eventually.Patience, TestContext.Current.CancellationToken))
            got.Dispose();
    }

    [Fact]
    public void Reader_of_another_user_is_heard_and_gets_no_answer()
    {
        if (Syscall.geteuid() != 0)
        {
            Assert.Fail("Only root can act as another user: run the tests as root.");
            return;
        }
        PlasmaStore store = Named(out string name);
        store.AdmitReader("65534");
        using NodeRequests service = Serve(store);
        WorkerProcess reader = StartAs(Nobody);
        reader.Call($"open {name} ro");
        reader.Call("bg g await a 25000");
        NodeRequest request = Collect(service, 1).Single();
        Assert.Equal((Id("a"), 1, true), (request.Id, request.Handle.Domain, request.IsKept));
        Assert.Empty(Collect(service, 0)); // Not again.
        Assert.False(service.Answer(request.Handle, NodeAnswer.NotFound));
        Bring(store, "a");
        Assert.StartsWith("Ok", reader.Call("join g"), StringComparison.Ordinal);

        string message = Assert.Throws<WorkerException>(() => reader.Call("await b 200")).Message;
        Assert.EndsWith("nobody has begun to create it.", message, StringComparison.Ordinal);
        NodeRequest given = Collect(service, 0, until: _ => true).FirstOrDefault();
        Assert.True(given == default || given.Id == Id("b"));

        reader.Call("bg g get-many c 100 25000");
        var wanted = new HashSet<ObjectId>();
        Eventually.True(
            () =>
            {
                foreach (NodeRequest r in Collect(service, 0, until: _ => true))
                    if (r.Id != Id("b") && wanted.Add(r.Id))
                        store.Put(r.Id, [1]);
                return wanted.Count == 100;
            },
            "all are asked for");
        Assert.Equal("100", reader.Call("join g"));

        reader.Call("bg g await d 25000");
        request = Collect(service, 1).Single(static r => r.Id == Id("d"));
        reader.Kill();
        Eventually.True(() => store.Maintain() > 0 || store.Stats().Participants.Count == 1, "the reader is recovered");
        Collect(service, 0, until: ended => ended.Contains(request.Handle));
    }

    private static void ServeForEver(NodeRequests service)
    {
        while (true) // Ends with the store.
        {
            service.Collect([], []);
            service.Wait(Timeout.InfiniteTimeSpan, CancellationToken.None);
        }
    }

    private static NodeRequests Serve(PlasmaStore store)
    {
        NodeRequests? service = NodeRequests.TryOpen(store, out int other);
        Assert.True(service is not null, $"Process {other} serves the store.");
        return service;
    }

    /// <summary>Collects and waits until there are so many requests, and the ends of others satisfy <paramref name="until"/>.</summary>
    private static List<NodeRequest> Collect(NodeRequests service, int count, Func<List<NodeRequestHandle>, bool>? until = null, List<NodeRequestHandle>? ended = null)
    {
        var requests = new List<NodeRequest>();
        ended ??= [];
        long start = Stopwatch.GetTimestamp();
        while (true) // Ends with what is wanted, or with the patience.
        {
            service.Collect(requests, ended);
            if (requests.Count >= count && (until is null || until(ended)))
                return requests;
            Assert.True(Stopwatch.GetElapsedTime(start) < Eventually.Patience, $"Not within {Eventually.Patience.TotalSeconds} s: {count} requests; there are {requests.Count}, and {ended.Count} ended.");
            service.Wait(Ms(1000), CancellationToken.None);
        }
    }

    /// <summary>What arrives from another node.</summary>
    private static unsafe void Bring(PlasmaStore store, string name)
    {
        var image = new ObjectImage { Id = Id(name), PayloadBytes = 1000, Incarnation = 77, IsEvictable = true };
        Assert.Equal(PlasmaStatus.Ok, store.TryCreateReplica(image, TimeSpan.Zero, CancellationToken.None, out ObjectWriter writer));
        Pattern.Of(9, 1000).CopyTo(new Span<byte>(writer.ImageAddress, 1000));
        Assert.Equal(PlasmaStatus.Ok, store.SealAndPin(writer, out PlasmaObject pinned));
        pinned.Dispose();
    }

    private static unsafe bool AnyRequest(PlasmaStore store)
    {
        for (int k = 0; k < store.Participants.High; k++)
            for (int r = 0; r < ParticipantBlock.RequestCount; r++)
                if (new NodeRecordWord(Volatile.Read(ref ParticipantTable.Requests(store.Participants.Block(k))[r].Word)).State == NodeRecordState.Asked)
                    return true;
        return false;
    }
}
