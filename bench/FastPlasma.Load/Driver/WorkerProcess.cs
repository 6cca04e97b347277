using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using FastPlasma.Cli.Children;
using FastPlasma.Load.Commands;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Worker;

namespace FastPlasma.Load.Driver;

/// <summary>The driver's end of one worker process.</summary>
internal sealed class WorkerProcess : IDisposable
{
    // Far above the longest measurement: a peer that hangs must not hang the run.
    private static readonly TimeSpan s_answerTimeout = TimeSpan.FromSeconds(120);

    private readonly ChildProcess _process;
    private readonly CancellationToken _cancellation;

    /// <summary>Starts a worker.</summary>
    /// <param name="processor">Processor to stay on, or -1.</param>
    internal WorkerProcess(string label, string directory, int processor, CancellationToken cancellation)
        : this(label, cancellation, WorkerCommand.Name, directory, processor.ToString(CultureInfo.InvariantCulture))
    {
    }

    private WorkerProcess(string label, CancellationToken cancellation, params ReadOnlySpan<string> arguments)
        : this(label, ChildProcess.InfoOfSelf(arguments), cancellation)
    {
    }

    private WorkerProcess(string label, ProcessStartInfo program, CancellationToken cancellation)
    {
        _cancellation = cancellation;
        cancellation.ThrowIfCancellationRequested();
        _process = ChildProcess.Start(label, program);
    }

    /// <summary>Its process id.</summary>
    internal int Id => _process.Id;

    /// <summary>Starts a process that plays one part of a scenario (<see cref="Parts.IPart"/>).</summary>
    internal static WorkerProcess StartPart(LoadContext context, string part, params ReadOnlySpan<string> arguments) => StartPart(context, part, -1, arguments);

    /// <summary>As the other, on one processor.</summary>
    /// <param name="processor">Processor to stay on, or -1.</param>
    internal static WorkerProcess StartPart(LoadContext context, string part, int processor, params ReadOnlySpan<string> arguments) =>
        new(part, context.Cancellation, [PartCommand.Name, context.Folder.Path, part, processor.ToString(CultureInfo.InvariantCulture), .. arguments]);

    /// <summary>Starts another program, which answers as a part does: by lines that are a <see cref="WorkResult"/> each. It ends with its standard input.</summary>
    internal static WorkerProcess StartProgram(LoadContext context, string label, ProcessStartInfo program) =>
        new(label, program, context.Cancellation);

    /// <summary>Says a line to it.</summary>
    internal void Say(string line) => _process.Send(line);

    /// <summary>Waits for the result of a part.</summary>
    /// <exception cref="PeerException">It has none.</exception>
    internal WorkResult PartResult()
    {
        WorkResult result = ReceiveResult();
        return result.Error is { } error ? throw new PeerException($"{_process.Label}: {error}", result.IsLimit) : result;
    }

    /// <summary>Ends it at once, as a crash would; returns when the kernel has cleared it away.</summary>
    internal void Kill()
    {
        using var process = Process.GetProcessById(_process.Id);
        process.Kill();
        process.WaitForExit();
    }

    /// <summary>Waits until it listens.</summary>
    internal void WaitUntilReady() => WaitUntil(WorkerMain.Ready);

    /// <summary>Waits until it says a line.</summary>
    internal void WaitUntil(string expected)
    {
        if (Receive() is var line && line != expected)
            throw new ChildProcessException($"{_process.Label} (process {_process.Id}) said '{line}'.");
    }

    /// <summary>Asks for something; <see cref="ReceiveResult"/> has the answer.</summary>
    internal void Send(WorkerRequest request) => _process.Send(JsonSerializer.Serialize(request, WorkJson.Default.WorkerRequest));

    /// <summary>Lets what was prepared begin at a reading of the clock.</summary>
    internal void Go(long timestamp) => _process.Send(string.Create(CultureInfo.InvariantCulture, $"{WorkerMain.Go} {timestamp}"));

    /// <summary>Waits for an answer.</summary>
    internal WorkResult ReceiveResult() =>
        JsonSerializer.Deserialize(Receive(), WorkJson.Default.WorkResult) ?? throw new ChildProcessException($"{_process.Label} (process {_process.Id}) answered null.");

    public void Dispose()
    {
        try
        {
            // Without it the worker takes itself for an orphan and removes the run's folder.
            _process.Send(ParentPipe.Exit);
        }
        catch (ChildProcessException)
        {
            // It has ended already; whoever waited for its answer was told why.
        }

        _process.Dispose();
    }

    private string Receive()
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(_cancellation);
        limit.CancelAfter(s_answerTimeout);
        try
        {
            return _process.ReceiveAsync(limit.Token).GetAwaiter().GetResult();
        }
        catch (OperationCanceledException) when (!_cancellation.IsCancellationRequested)
        {
            // Ended, so that what is asked next fails at once. It is this process's child and not waited for yet, so the id is still its own.
            using var stuck = Process.GetProcessById(_process.Id);
            stuck.Kill();
            throw new ChildProcessException($"{_process.Label} (process {_process.Id}) did not answer within {s_answerTimeout.TotalSeconds:0} s and was ended.");
        }
    }
}
