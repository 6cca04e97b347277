using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using FastPlasma.Cli.Children;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Peers;

namespace FastPlasma.Load.Worker;

/// <summary>A worker process: takes one request a line from the driver, and ends with it.</summary>
internal static class WorkerMain
{
    internal const string Ready = "ready", Go = "go";

    private static IPeerSession? s_session;
    private static OpenRequest? s_opened;

    /// <summary>Keeps this thread, and those that it starts from now on, on one processor; on any if it is negative.</summary>
    internal static void StayOn(int processor)
    {
        if (processor < 0 || !(OperatingSystem.IsLinux() || OperatingSystem.IsWindows()))
            return;
        using var self = Process.GetCurrentProcess();
        self.ProcessorAffinity = (nint)1 << processor;
    }

    /// <summary>Works until the driver says exit or has gone.</summary>
    /// <param name="directory">The driver's folder, removed by an orphan because nobody else will.</param>
    /// <param name="processor">Processor to stay on, or -1.</param>
    internal static int Run(string directory, int processor)
    {
        // The terminal sends Ctrl-C to all processes; the driver decides when this one ends.
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, static signal => signal.Cancel = true);
        StayOn(processor);
        using var parent = new ParentPipe(orphaned: () =>
        {
            if (Directory.Exists(directory))
                Directory.Delete(directory, recursive: true);
        });
        parent.Send(Ready);
        while (parent.Receive() is var line and not ParentPipe.Exit)
        {
            WorkResult result;
            try
            {
                WorkerRequest request = JsonSerializer.Deserialize(line, WorkJson.Default.WorkerRequest) ?? throw new FormatException("The request is null.");
                result = request.Open is { } open ? Open(open) : Do(request.Plan ?? throw new FormatException("The request asks for nothing."), parent);
            }
            catch (Exception e)
            {
                result = WorkResult.Failed(e);
            }

            parent.Send(JsonSerializer.Serialize(result, WorkJson.Default.WorkResult));
        }

        s_session?.Dispose();
        return 0;
    }

    private static WorkResult Open(OpenRequest request)
    {
        s_session?.Dispose();
        s_session = null;
        s_session = PeerList.Find(request.Peer).Open(request.Address, request.Setup);
        s_opened = request;
        return new WorkResult();
    }

    private static WorkResult Do(WorkPlan plan, ParentPipe parent)
    {
        GC.Collect(); // The arrays of the plan before, of up to a gigabyte.
        IPeerSession session = s_session ?? throw new InvalidOperationException("No instance is open.");
        if (plan.Kind is WorkKind.Attach or WorkKind.FirstGet)
        {
            session.Dispose(); // Some stores may be open once in a process.
            s_session = null;
            WorkResult attached = Attachment.Measure(plan, s_opened!);
            Open(s_opened!);
            return attached;
        }

        switch (plan.Kind)
        {
            case WorkKind.Populate or WorkKind.Clear:
                using (IPeerClient client = session.Connect())
                    DoUntimed(plan, client);
                return new WorkResult();
            default:
                return Measure(plan, session, parent);
        }
    }

    private static void DoUntimed(WorkPlan plan, IPeerClient client)
    {
        var keys = new KeySet(plan.FirstKey, plan.KeyCount);
        byte[] payload = plan.Kind == WorkKind.Populate ? Operation.Bytes(plan.PayloadBytes) : [];
        for (int i = 0; i < keys.Count; i++)
        {
            if (plan.Kind == WorkKind.Populate)
                client.Put(keys[i], payload);
            else
                client.Delete(keys[i]);
        }
    }

    private static WorkResult Measure(WorkPlan plan, IPeerSession session, ParentPipe parent)
    {
        var threads = new WorkThread[plan.Threads];
        for (int i = 0; i < threads.Length; i++)
            threads[i] = new WorkThread(plan, session, i);
        foreach (WorkThread thread in threads)
            thread.WaitUntilPrepared();

        // Also after an error: all workers take part in the same steps.
        parent.Send(JsonSerializer.Serialize(Array.Find(threads, static thread => thread.Error is not null) is { } bad ? WorkResult.Failed(bad.Error!) : new WorkResult(), WorkJson.Default.WorkResult));
        string go = parent.Receive();
        if (!go.StartsWith(Go, StringComparison.Ordinal))
            throw new InvalidOperationException($"The driver said '{go}' where '{Go}' was due.");
        long start = long.Parse(go.AsSpan(Go.Length), CultureInfo.InvariantCulture);

        int[] collections = Collections();
        long allocated = GC.GetTotalAllocatedBytes(precise: true);
        foreach (WorkThread thread in threads)
            thread.StartAt(start);
        foreach (WorkThread thread in threads)
            thread.Join();
        allocated = GC.GetTotalAllocatedBytes(precise: true) - allocated;
        if (Array.Find(threads, static thread => thread.Error is not null) is { } failed)
            return WorkResult.Failed(failed.Error!);

        var latencies = new Latencies();
        foreach (WorkThread thread in threads)
            latencies.Add(thread.Latencies);
        foreach (WorkThread thread in threads)
            thread.Dispose();
        return new WorkResult
        {
            Operations = threads.Sum(static thread => thread.Operations),
            Seconds = threads.Max(static thread => thread.Seconds),
            OperationsPerSecond = threads.Sum(static thread => thread.Operations / thread.Seconds),
            Batch = threads.Max(static thread => thread.Batch),
            Pairs = latencies.ToPairs(),
            AllocatedBytes = allocated,
            Collections = [.. Collections().Zip(collections, static (after, before) => after - before)],
        };
    }

    private static int[] Collections() => [GC.CollectionCount(0), GC.CollectionCount(1), GC.CollectionCount(2)];
}
