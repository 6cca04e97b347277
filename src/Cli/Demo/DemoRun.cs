using System.Diagnostics;
using System.Text.Json;
using FastPlasma.Cli.Children;

namespace FastPlasma.Cli.Demo;

/// <summary>One run of the demo: the parent of a producer and several consumers, on a store of their own.</summary>
internal sealed class DemoRun
{
    private readonly DemoProgress _progress;
    private readonly string _root;
    private readonly DemoFiles _files;
    private readonly int _consumerCount;
    private readonly TimeSpan _timeout;
    private readonly string _store = $"fastplasma-demo-{Environment.ProcessId}-{Guid.NewGuid():N}"[..40];
    private readonly List<ChildProcess> _consumers = [];
    private ChildProcess? _producer;
    private DemoResult _result;

    internal DemoRun(string root, DemoFiles files, int consumerCount, TimeSpan timeout, DemoProgress progress)
    {
        _root = Path.GetFullPath(root);
        _files = files;
        _consumerCount = consumerCount;
        _timeout = timeout;
        _progress = progress;
        _result = new DemoResult { Path = _root, Files = files.Files.Count, Bytes = files.TotalBytes, Skipped = files.Skipped };
    }

    /// <summary>Runs everything; what goes wrong is in the result, and whatever happens, no process and no store is left behind.</summary>
    /// <exception cref="OperationCanceledException"><paramref name="cancellation"/> asked for the end.</exception>
    internal async Task<DemoResult> RunAsync(CancellationToken cancellation)
    {
        long start = Stopwatch.GetTimestamp();
        using CancellationTokenSource deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        deadline.CancelAfter(_timeout);
        try
        {
            using PlasmaStore store = PlasmaStore.Create(_store, new PlasmaOptions
            {
                CapacityBytes = _files.CapacityBytes,
                ObjectCountMax = Math.Max(4096, 2 * (_files.Files.Count + (_consumerCount * (DemoChild.WakeWarmups + DemoChild.WakeSamples)))),
            });
            await StartAsync(deadline.Token);
            await ShareAsync(store, deadline.Token);
            Observe(store);
            await MeasureGetsAsync(deadline.Token);
            await MeasureWakesAsync(deadline.Token);
            foreach (ChildProcess child in Children())
                child.Send(ParentPipe.Exit);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            Fail($"The demo did not end within {_timeout.TotalSeconds:0} s (--timeout).");
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            Fail(e is PlasmaException or ChildProcessException ? e.Message : $"{e.GetType().Name}: {e.Message}");
        }
        finally
        {
            foreach (ChildProcess child in Children())
                child.Dispose();
            PlasmaStore.Destroy(_store);
        }

        return _result with { Seconds = Stopwatch.GetElapsedTime(start).TotalSeconds };
    }

    private IEnumerable<ChildProcess> Children() => _producer is null ? _consumers : _consumers.Append(_producer);

    /// <summary>Starts the consumers, then the producer; all are attached afterwards, and none has begun.</summary>
    private async Task StartAsync(CancellationToken cancellation)
    {
        for (int i = 0; i < _consumerCount; i++)
            _consumers.Add(Start($"consumer {i + 1}", DemoCommand.ConsumerCommand, i));
        _producer = Start("producer", DemoCommand.ProducerCommand, 0);
        foreach (ChildProcess child in Children())
            await ExpectAsync(child, DemoMessageKind.Ready, onProgress: null, cancellation);
    }

    private ChildProcess Start(string label, string command, int index)
    {
        ChildProcess child = ChildProcess.Start(label, "demo", command);
        DemoPlan plan = new(_store, _root, index, _consumerCount, (int)_timeout.TotalMilliseconds, _files.Files);
        child.Send(JsonSerializer.Serialize(plan, DemoMessageJson.Default.DemoPlan));
        return child;
    }

    /// <summary>Consumers ask for everything, the producer puts it, and the consumers compare it with the disk.</summary>
    private async Task ShareAsync(PlasmaStore store, CancellationToken cancellation)
    {
        foreach (ChildProcess consumer in _consumers)
            consumer.Send(DemoChild.Go);

        // The first file does not exist until the producer is told to go, so consumers that have missed it once are about to sleep.
        while (store.Stats().Store.GetMisses < _consumerCount)
            await Task.Delay(5, cancellation);
        long start = Stopwatch.GetTimestamp();
        _producer!.Send(DemoChild.Go);
        List<Task> all = [];
        all.Add(Task.Run(
            async () =>
            {
                await ExpectAsync(_producer, DemoMessageKind.Stored, done => _progress.Report(_producer.Label, "put", done, _files.Files.Count), cancellation);
                _result = _result with { PutSeconds = Stopwatch.GetElapsedTime(start).TotalSeconds };
            },
            cancellation));
        Task<DemoProcess>[] consumers = [.. _consumers.Select(consumer => Task.Run(() => VerifiedAsync(consumer, cancellation), cancellation))];
        all.AddRange(consumers);
        await AllOrFirstFailureAsync(all);
        _result = _result with { Consumers = [.. consumers.Select(consumer => consumer.Result)] };
    }

    private async Task<DemoProcess> VerifiedAsync(ChildProcess consumer, CancellationToken cancellation)
    {
        DemoMessage message = await ExpectAsync(
            consumer, DemoMessageKind.Verified, done => _progress.Report(consumer.Label, "verify", done, _files.Files.Count), cancellation);
        DemoVerification verification = message.Verification!;
        foreach (string failure in verification.Failures)
            Fail($"{consumer.Label} (process {consumer.Id}): {failure}");
        return new DemoProcess(consumer.Label, consumer.Id) { Verified = verification.Verified, Waited = verification.Waited };
    }

    /// <summary>Reads the store's counts, the kernel's account and the holders of every object, while all consumers hold all objects.</summary>
    private void Observe(PlasmaStore store)
    {
        StoreStats stats = store.Stats();
        OperationCounts counts = stats.Store;
        _result = _result with
        {
            Operations =
            [
                new DemoOperation("put", counts.Puts, counts.PutBytes, counts.PutCopiedBytes),
                new DemoOperation("create + seal", counts.Creates, counts.CreateBytes, counts.CreateCopiedBytes),
                new DemoOperation("get", counts.Gets, counts.GetBytes, counts.GetCopiedBytes),
            ],
            StoreUsedBytes = stats.UsedBytes,
            Producer = new DemoProcess(_producer!.Label, _producer.Id),
        };
        if (FileOfPayload(store) is { } file)
            ObserveMemory(file);

        // Last, because it reads the objects' names, which puts pages of the store into this process as well.
        _result = _result with { ReadersAtOnceMax = store.List().Select(info => info.Holders.DistinctBy(holder => holder.ProcessId).Count()).DefaultIfEmpty().Max() };
    }

    private void ObserveMemory(string file)
    {
        DemoProcess producer = WithMemory(_result.Producer!, file);
        DemoProcess[] consumers = [.. _result.Consumers.Select(consumer => WithMemory(consumer, file))];
        _result = _result with
        {
            Producer = producer,
            Consumers = consumers,
            RssBytesSum = producer.RssBytes + consumers.Sum(consumer => consumer.RssBytes),
            PssBytesSum = producer.PssBytes + consumers.Sum(consumer => consumer.PssBytes),
        };
    }

    /// <summary>The file behind an object's address. The address alone is used: reading there would add this process to the kernel's account.</summary>
    private unsafe string? FileOfPayload(PlasmaStore store)
    {
        if (_files.Files.Count == 0)
            return null;
        using PlasmaObject any = store.Get(_files.Files[0].Id, TimeSpan.Zero);
        return DemoMemory.FileAt((nuint)any.Pointer);
    }

    private static DemoProcess WithMemory(DemoProcess process, string file)
    {
        DemoMemory memory = DemoMemory.Read(process.ProcessId, file);
        return process with { RssBytes = memory.RssBytes, PssBytes = memory.PssBytes };
    }

    private async Task MeasureGetsAsync(CancellationToken cancellation)
    {
        if (_files.Files.Count == 0)
            return;
        DemoMessage[] answers = await MeasureAsync(DemoChild.MeasureGet, cancellation);
        _result = _result with { Consumers = [.. _result.Consumers.Select((consumer, i) => consumer with { GetNs = answers[i].Latency, TimerNs = answers[i].TimerNs })] };
    }

    private async Task MeasureWakesAsync(CancellationToken cancellation)
    {
        Task<DemoMessage[]> answers = MeasureAsync(DemoChild.MeasureWake, cancellation);
        _producer!.Send(DemoChild.MeasureWake);
        DemoMessage[] wakes = await answers;
        _result = _result with { Consumers = [.. _result.Consumers.Select((consumer, i) => consumer with { WakeNs = wakes[i].Latency })] };
    }

    private async Task<DemoMessage[]> MeasureAsync(string command, CancellationToken cancellation)
    {
        foreach (ChildProcess consumer in _consumers)
            consumer.Send(command);
        Task<DemoMessage>[] answers = [.. _consumers.Select(consumer => Task.Run(() => ExpectAsync(consumer, DemoMessageKind.Latency, onProgress: null, cancellation), cancellation))];
        await AllOrFirstFailureAsync([.. answers]);
        return [.. answers.Select(answer => answer.Result)];
    }

    /// <summary>Receives from one child until it says what is due.</summary>
    private static async Task<DemoMessage> ExpectAsync(ChildProcess child, DemoMessageKind kind, Action<int>? onProgress, CancellationToken cancellation)
    {
        while (true)
        {
            DemoMessage message = DemoMessage.FromLine(await child.ReceiveAsync(cancellation));
            if (message.Kind == DemoMessageKind.Failed)
                throw new ChildProcessException($"{child.Label} (process {child.Id}): {message.Error}");
            onProgress?.Invoke(message.Done);
            if (message.Kind == kind)
                return message;
        }
    }

    /// <summary>Waits for all, but for no one after the first failure: the others may be waiting for what the failed one did not do.</summary>
    private static async Task AllOrFirstFailureAsync(List<Task> tasks)
    {
        while (tasks.Count > 0)
        {
            Task ended = await Task.WhenAny(tasks);
            tasks.Remove(ended);
            await ended;
        }
    }

    private void Fail(string failure)
    {
        lock (_files)
            _result = _result with { Failures = [.. _result.Failures, failure] };
    }
}
