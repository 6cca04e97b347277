using System.Diagnostics;
using System.Globalization;
using FastPlasma.Load.Driver;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Parts;
using FastPlasma.Load.Peers;
using FastPlasma.Load.Plots;
using FastPlasma.Load.Reporting;

namespace FastPlasma.Load.Scenarios;

/// <summary>Do gets become slower when a writer stands still in the middle of a create?</summary>
internal sealed unsafe class StoppedScenario : IScenario
{
    private const int RoundsFull = 45, RoundsQuick = 9, GetsFull = 100_000, GetsQuick = 50_000, StopAttemptsMax = 1000;
    private const long CapacityBytes = 64L << 20;
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    public string Name => "stopped";

    public string Question => "Do gets become slower when another process is stopped in the middle of a create or delete?";

    public string Method =>
        "One process times gets of 1,000 resident objects of 1,000 bytes one by one, while another one that puts and deletes is stopped (SIGSTOP) inside an operation. Ceiling, in turns with it: the same while the writer rests between two operations, so that the processors are as " +
        "free. For comparison: while it works. The clock's own time, some 25 ns, is part of all figures.";

    private enum Writer
    {
        Rests, Stopped, Works,
    }

    public ScenarioResult Run(LoadContext context)
    {
        var results = new ScenarioResult(this);
        if (context.Product is not { } product)
            return results;
        if (!OperatingSystem.IsLinux())
        {
            results.AddRemark(product, "processes are stopped on Linux only, so not measured");
            return results;
        }

        List<WorkResult>[] found = [[], [], []];
        context.Guard(results, product, "", () =>
        {
            using var instance = new Instance(context, product, CapacityBytes, 16_384, 1 << 12);
            string path = Path.Combine(context.Folder.CreateNext(), "page");
            using var page = new SharedPage(path);
            using WorkerProcess reader = WorkerProcess.StartPart(context, StoppedReaderPart.PartName, instance.Open.Address);
            reader.WaitUntil(StoppedReaderPart.Ready);
            using WorkerProcess writer = WorkerProcess.StartPart(context, StoppedWriterPart.PartName, instance.Open.Address, path, Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
            try
            {
                int rounds = context.Pick(RoundsFull, RoundsQuick);
                for (int round = 0; round < rounds; round++)
                {
                    context.Report($"round {round + 1} of {rounds}");
                    for (int i = 0; i < found.Length; i++)
                    {
                        var state = (Writer)((round + i) % found.Length); // Each state is the first in a third of the rounds.
                        Enter(writer.Id, page, state);
                        reader.Say(context.Pick(GetsFull, GetsQuick).ToString(CultureInfo.InvariantCulture));
                        found[(int)state].Add(reader.PartResult());
                        Leave(writer.Id, page, state);
                    }
                }
            }
            finally
            {
                writer.Kill(); // It takes no requests.
            }

            Measurement rests = Measurement.OfRounds(found[(int)Writer.Rests]), stopped = Measurement.OfRounds(found[(int)Writer.Stopped]), works = Measurement.OfRounds(found[(int)Writer.Works]);
            foreach ((string name, FigureKind kind) in ((string, FigureKind)[])[("p50", FigureKind.MedianNs), ("p99", FigureKind.P99Ns), ("p99.9", FigureKind.P999Ns)])
            {
                Add(PeerList.Ceiling, $"writer stopped, {name}", kind, rests);
                Add(product, $"writer stopped, {name}", kind, stopped);
                Add(PeerList.Ceiling, $"writer works, {name}", kind, rests);
                Add(product, $"writer works, {name}", kind, works);
            }

            results.AddPlot(new Plot("stopped", "Gets while a writer is stopped inside an operation, and (ceiling) while it rests", [Series(PeerList.Ceiling, rests), Series(product, stopped)])
            {
                X = (AxisKind.Percentile, "gets that were not slower"),
                Y = (AxisKind.Time, "time of one get, with the clock"),
            });
        });
        return results;

        void Add(IPeer peer, string name, FigureKind kind, Measurement measurement) => results.Add(peer, name, kind, measurement);
    }

    private static PlotSeries Series(IPeer peer, Measurement found)
    {
        (double X, double Percent)[] places = [(2, 50), (10, 90), (100, 99), (1000, 99.9), (10_000, 99.99)];
        return new PlotSeries(peer.Name, [.. places.Select(place => (place.X, found.Latencies.PercentileNs(place.Percent)))]);
    }

    private static void Enter(int writer, SharedPage page, Writer state)
    {
        Await(() => Volatile.Read(ref *StoppedWriterPart.Busy(page)) != 0, "the writer works");
        switch (state)
        {
            case Writer.Rests:
                long pause = Interlocked.Increment(ref *StoppedWriterPart.Pause(page));
                Await(() => Volatile.Read(ref *StoppedWriterPart.Resting(page)) == pause, "the writer rests");
                break;
            case Writer.Stopped:
                for (int attempt = 1; ; attempt++) // Ends: at most so many attempts.
                {
                    ChildSignals.StopChild(writer);
                    if (Volatile.Read(ref *StoppedWriterPart.Busy(page)) != 0)
                        break;
                    ChildSignals.ContinueChild(writer);
                    if (attempt == StopAttemptsMax)
                        throw new TimeoutException($"The writer was stopped {attempt} times and never inside an operation.");
                    Thread.Sleep(1);
                }

                break;
            default:
                break;
        }
    }

    private static void Leave(int writer, SharedPage page, Writer state)
    {
        if (state == Writer.Rests)
            Interlocked.Increment(ref *StoppedWriterPart.Pause(page));
        else if (state == Writer.Stopped)
            ChildSignals.ContinueChild(writer);
    }

    private static void Await(Func<bool> condition, string what)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            if (Stopwatch.GetElapsedTime(start) > s_patience)
                throw new TimeoutException($"Not within {s_patience.TotalSeconds:0} s: {what}.");
            Thread.Sleep(1); // The pace of looking.
        }
    }
}
