using System.Diagnostics;
using System.Globalization;
using FastPlasma.Cli.Children;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Worker;

namespace FastPlasma.Load.Parts;

/// <summary>What is asked of a part that times its calls itself: one line "WHAT SIZE OPERATIONS [REST...]".</summary>
/// <param name="What">Which call.</param>
/// <param name="Bytes">Size of the payload.</param>
/// <param name="Operations">How many calls.</param>
/// <param name="Rest">More, as the part understands it.</param>
internal sealed record CallRequest(string What, int Bytes, int Operations, string[] Rest)
{
    internal static CallRequest Parse(string line)
    {
        string[] words = line.Split(' ');
        return new CallRequest(words[0], int.Parse(words[1], CultureInfo.InvariantCulture), int.Parse(words[2], CultureInfo.InvariantCulture), words[3..]);
    }
}

/// <summary>Answers requests with one value each: so many calls, so much time.</summary>
internal static class TimedCalls
{
    /// <summary>Answers until the driver says that it is enough.</summary>
    internal static void Serve(ParentPipe parent, Func<CallRequest, WorkResult> work)
    {
        while (parent.Receive() is var line && line != ParentPipe.Exit)
            parent.SendResult(work(CallRequest.Parse(line)));
    }

    /// <summary>Times calls together, as one value.</summary>
    internal static WorkResult Time(int operations, Action work)
    {
        long allocated = GC.GetAllocatedBytesForCurrentThread(), start = Stopwatch.GetTimestamp();
        work();
        long ticks = Math.Max(1, Stopwatch.GetTimestamp() - start);
        allocated = GC.GetAllocatedBytesForCurrentThread() - allocated;
        var latencies = new Latencies();
        latencies.Record(ticks, operations);
        return new WorkResult
        {
            Operations = operations,
            Seconds = ticks / (double)Stopwatch.Frequency,
            OperationsPerSecond = operations * (double)Stopwatch.Frequency / ticks,
            Batch = operations,
            Pairs = latencies.ToPairs(),
            AllocatedBytes = allocated,
        };
    }

    /// <summary>Runs code that will be timed until it has its final form.</summary>
    internal static WorkResult Warm(Action work)
    {
        FinalForm.Reach(milliseconds =>
        {
            long end = Stopwatch.GetTimestamp() + (milliseconds * Stopwatch.Frequency / 1000);
            do
                work();
            while (Stopwatch.GetTimestamp() < end);
        });
        return new WorkResult();
    }
}
