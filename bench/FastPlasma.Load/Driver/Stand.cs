using System.Diagnostics;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Peers;

namespace FastPlasma.Load.Driver;

/// <summary>One peer under test: a running instance and the worker processes that use it.</summary>
internal sealed class Stand : IDisposable
{
    private const int LeadMs = 20;
    private readonly LoadContext _context;
    private readonly List<WorkerProcess> _workers = [];
    private readonly HashSet<(int Worker, WorkKind Kind, bool Touch)> _warmed = [];
    private IPeerInstance? _instance;
    private string? _directory;
    private PeerSetup _setup = null!;

    internal Stand(LoadContext context, IPeer peer)
    {
        _context = context;
        Peer = peer;
    }

    /// <summary>Who is measured.</summary>
    internal IPeer Peer { get; }

    /// <summary>Starts an empty instance, in place of the one before if there was one, and opens it in <paramref name="workers"/> processes.</summary>
    internal void Start(int workers, long capacityBytes, int objectCountMax, int objectBytesMax, bool evicts = false)
    {
        EndInstance();
        _directory = _context.Folder.CreateNext();
        _setup = new PeerSetup(_directory, capacityBytes, objectCountMax, objectBytesMax) { Evicts = evicts };
        _instance = Peer.Start(_setup);
        int first = _workers.Count;
        while (_workers.Count < workers)
            _workers.Add(new WorkerProcess($"worker {_workers.Count} of {Peer.Name}", _context.Folder.Path, _context.ProcessorOf(_workers.Count), _context.Cancellation));
        for (int i = first; i < workers; i++)
            _workers[i].WaitUntilReady();
        var open = new WorkerRequest { Open = new OpenRequest(Peer.Name, _instance.Address, _setup) };
        foreach (WorkerProcess worker in _workers)
            worker.Send(open);
        Check([.. _workers.Select(static worker => worker.ReceiveResult())]);
    }

    /// <summary>Does something untimed in one worker.</summary>
    internal void Do(WorkPlan plan, int worker = 0)
    {
        _workers[worker].Send(new WorkerRequest { Plan = plan });
        Check([_workers[worker].ReceiveResult()]);
    }

    /// <summary>The same work in each of the first <paramref name="processes"/> workers, with seeds of their own, begun together.</summary>
    internal Measurement Measure(WorkPlan plan, int processes = 1) =>
        Measurement.Of(Measure([.. Enumerable.Range(0, processes).Select(i => plan with { Seed = plan.Seed + i })]));

    /// <summary>Work of one worker that times itself and needs no common start.</summary>
    internal Measurement MeasureOne(WorkPlan plan)
    {
        _context.Cancellation.ThrowIfCancellationRequested();
        _workers[0].Send(new WorkerRequest { Plan = plan });
        WorkResult result = _workers[0].ReceiveResult();
        Check([result]);
        return Measurement.Of(result);
    }

    /// <summary>Brings the code of plans that will be measured to its final form in all workers at once, which otherwise each would do at its first turn.</summary>
    internal void Warm(WorkPlan[] plans) => Measure([.. plans.Select(static plan => plan with { DurationMs = 1 })]);

    /// <summary>As the other, the same plan in each of the first <paramref name="processes"/> workers.</summary>
    internal void Warm(WorkPlan plan, int processes) => Warm([.. Enumerable.Repeat(plan, processes)]);

    /// <summary>A plan for each worker, begun together; their results in the same order.</summary>
    internal WorkResult[] Measure(WorkPlan[] plans)
    {
        _context.Cancellation.ThrowIfCancellationRequested();
        for (int i = 0; i < plans.Length; i++)
            _workers[i].Send(new WorkerRequest { Plan = plans[i] with { Warm = plans[i].Warm && _warmed.Add((i, plans[i].Kind, plans[i].Touch)) } });
        WorkResult[] prepared = [.. _workers.Take(plans.Length).Select(static worker => worker.ReceiveResult())];

        // Also after an error: a worker that is prepared waits for the start, and answers once more.
        long start = Stopwatch.GetTimestamp() + (LeadMs * Stopwatch.Frequency / 1000);
        for (int i = 0; i < plans.Length; i++)
            _workers[i].Go(start);
        WorkResult[] results = [.. _workers.Take(plans.Length).Select(static worker => worker.ReceiveResult())];
        Check(prepared);
        Check(results);
        return results;
    }

    public void Dispose()
    {
        foreach (WorkerProcess worker in _workers)
            worker.Dispose();
        _workers.Clear();
        EndInstance();
    }

    private void EndInstance()
    {
        _instance?.Dispose();
        _instance = null;
        if (_directory is not null && Directory.Exists(_directory))
            Directory.Delete(_directory, recursive: true);
        _directory = null;
    }

    private static void Check(WorkResult[] results)
    {
        if (Array.Find(results, static result => result.Error is not null) is { } failed)
            throw new PeerException(failed.Error!, failed.IsLimit);
    }
}

/// <summary>A peer did not do what it was asked to.</summary>
/// <param name="message">What happened.</param>
/// <param name="isLimit">Whether the peer said that it cannot (NotSupportedException), which is a remark and no failure.</param>
internal sealed class PeerException(string message, bool isLimit) : Exception(message)
{
    internal bool IsLimit { get; } = isLimit;
}
