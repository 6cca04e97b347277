using System.CommandLine;
using System.Diagnostics;

namespace FastPlasma.Stress.Storms;

/// <summary>FastPlasma.Stress stopped-writer: whether gets become slower while a writer stands still in the middle of a create or delete.</summary>
/// <remarks>
/// This process only reads. The other one creates and deletes; in each round gets are timed one by one while it rests between two operations (the control: the processor is as free as in the
/// stop), while it works, and while it is stopped inside an operation. The order changes from round to round.
/// </remarks>
internal static unsafe class StoppedWriter
{
    internal const double RatioLimit = 1.5;

    private const double Quantile = 0.999;
    private const int WarmupGets = 50_000;

    /// <summary>What the writer does while gets are timed.</summary>
    internal enum Writer
    {
        Rests, Works, Stopped,
    }

    /// <summary>p99.9 of each round in nanoseconds.</summary>
    internal sealed record Result(double[] Rests, double[] Works, double[] Stopped)
    {
        internal double Ratio => Median(Stopped) / Median(Rests);

        internal static double Median(double[] values) => StormReport.Quantile(values, 0.5);
    }

    internal static Command Create()
    {
        Option<int> rounds = new("--rounds") { Description = "Rounds.", HelpName = "N", DefaultValueFactory = static _ => 45 };
        Option<int> gets = new("--gets") { Description = "Gets per round and state of the writer.", HelpName = "N", DefaultValueFactory = static _ => 100_000 };
        Command command = new("stopped-writer", $"p99.9 of gets while a writer is stopped inside an operation, against a control (at most {RatioLimit} times).") { rounds, gets };
        command.SetAction(parse =>
        {
            Result result = Run(new StormOptions { Time = default }, parse.GetValue(rounds), parse.GetValue(gets));
            Console.WriteLine(FormattableString.Invariant($"p99.9 of TryGet, {result.Rests.Length} rounds of {parse.GetValue(gets)} gets; median (min to max) over the rounds"));
            Write("writer rests (control)", result.Rests);
            Write("writer works", result.Works);
            Write("writer stopped", result.Stopped);
            Console.WriteLine(FormattableString.Invariant($"stopped / control {result.Ratio:0.00} (limit {RatioLimit}), stopped / working {Result.Median(result.Stopped) / Result.Median(result.Works):0.00}"));
            return result.Ratio <= RatioLimit ? 0 : 1;
        });
        return command;
    }

    private static void Write(string what, double[] values) => Console.WriteLine(
        FormattableString.Invariant($"  {what,-24}{Result.Median(values),8:0} ns ({values.Min():0} to {values.Max():0})"));

    internal static Result Run(StormOptions options, int rounds, int gets)
    {
        using var measurement = new Measurement(options, StoreAccess.ReadOnly);
        measurement.Start(MeasuredChild.StartChurner);
        double[][] p = [new double[rounds], new double[rounds], new double[rounds]];
        long[] ticks = new long[gets];
        Time(measurement.Store, new long[WarmupGets]);
        for (int round = 0; round < rounds; round++)
        {
            for (int i = 0; i < p.Length; i++)
            {
                var writer = (Writer)((round + i) % p.Length);
                Enter(measurement, writer);
                Time(measurement.Store, ticks);
                Leave(measurement, writer);
                Array.Sort(ticks);
                p[(int)writer][round] = (double)ticks[(int)(gets * Quantile)] / Stopwatch.Frequency * 1e9;
            }
        }
        return new Result(p[(int)Writer.Rests], p[(int)Writer.Works], p[(int)Writer.Stopped]);
    }

    private static void Enter(Measurement measurement, Writer writer)
    {
        ProcessRecord* record = measurement.Record;
        measurement.Await(() => Volatile.Read(ref record->OperationStart) != 0, "the writer works");
        if (writer == Writer.Rests)
        {
            int pause = ++measurement.Ledger.Pause;
            measurement.Await(() => Volatile.Read(ref record->Quiet) == pause, "the writer rests");
        }
        else if (writer == Writer.Stopped)
        {
            measurement.Await(() => IsStoppedInside(measurement.OtherId, record), "the writer is stopped inside an operation");
        }
    }

    private static void Leave(Measurement measurement, Writer writer)
    {
        if (writer == Writer.Rests)
            Interlocked.Increment(ref measurement.Ledger.Pause);
        else if (writer == Writer.Stopped)
            Native.Signal(measurement.OtherId, Native.SigContinue);
    }

    /// <summary>Stops the process; lets it go on if it was between two operations.</summary>
    private static bool IsStoppedInside(int process, ProcessRecord* record)
    {
        Native.Signal(process, Native.SigStop);
        while (File.ReadAllText($"/proc/{process}/stat").Split(") ")[1][0] != 'T') // Ends: the signal cannot be held up.
            Thread.Yield();
        if (Volatile.Read(ref record->OperationStart) != 0)
            return true;
        Native.Signal(process, Native.SigContinue);
        return false;
    }

    private static void Time(PlasmaStore store, long[] ticks)
    {
        ObjectId[] ids = [.. Enumerable.Range(0, MeasuredChild.ResidentCount).Select(MeasuredChild.Resident)];
        for (int i = 0, next = 0; i < ticks.Length; i++, next = (next + 617) % ids.Length)
        {
            long start = Stopwatch.GetTimestamp();
            bool found = store.TryGet(ids[next], out PlasmaObject obj);
            ticks[i] = Stopwatch.GetTimestamp() - start;
            obj.Dispose();
            if (!found)
                throw new InvalidOperationException($"Resident object {next} is not there.");
        }
    }
}
