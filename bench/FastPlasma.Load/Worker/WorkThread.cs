using System.Diagnostics;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Peers;

namespace FastPlasma.Load.Worker;

/// <summary>One thread of a worker: prepares, waits for the common start, measures.</summary>
internal sealed class WorkThread : IDisposable
{
    // The clock takes about 25 ns to read: 1 percent of this. Operations that are longer are timed one by one.
    private const int BatchNsMin = 2500;
    private const int SamplesMin = 3;

    private const int ShortWarmMs = 20, CalibrationRuns = 5, CalibrationBatch = 8;
    private const double CalibrationNsMax = 1e7;

    private readonly WorkPlan _plan;
    private readonly int _index;
    private readonly Thread _thread;
    private readonly IPeerSession _session;
    private readonly ManualResetEventSlim _start = new();
    private readonly ManualResetEventSlim _prepared = new();
    private long _startAt;

    internal WorkThread(WorkPlan plan, IPeerSession session, int index)
    {
        (_plan, _session, _index) = (plan, session, index);
        _thread = new Thread(Main) { IsBackground = true, Name = $"work {index}" };
        _thread.Start();
    }

    /// <summary>Values of this thread.</summary>
    internal Latencies Latencies { get; } = new();

    internal long Operations { get; private set; }

    internal double Seconds { get; private set; }

    internal int Batch { get; private set; } = 1;

    internal Exception? Error { get; private set; }

    /// <summary>Waits until it only needs the start.</summary>
    internal void WaitUntilPrepared() => _prepared.Wait();

    /// <summary>Lets it begin at a reading of the clock.</summary>
    internal void StartAt(long timestamp)
    {
        _startAt = timestamp;
        _start.Set();
    }

    /// <summary>Waits for its end.</summary>
    internal void Join() => _thread.Join();

    public void Dispose()
    {
        _start.Dispose();
        _prepared.Dispose();
    }

    private void Main()
    {
        try
        {
            using IPeerClient client = _session.Connect();
            Operation operation = Operation.Create(_plan, client, _index);
            Batch = Prepare(operation);
            _prepared.Set();
            _start.Wait();
            while (Stopwatch.GetTimestamp() < _startAt)
                Thread.SpinWait(1);
            if (_plan.ArrivalsPerSecond > 0)
                RunOpen(operation);
            else
                RunClosed(operation);
            operation.End();
        }
        catch (Exception e)
        {
            // Told to the driver, which tells the user.
            Error = e;
        }
        finally
        {
            _prepared.Set();
        }
    }

    /// <summary>Runs the code until it has its final form, and finds how many operations belong between two readings of the clock.</summary>
    private int Prepare(Operation operation)
    {
        if (_plan.Kind == WorkKind.PutFresh)
            return Math.Max(1, _plan.Batch); // Every run would use up memory that nobody has touched; PutRecycled has run the same code before.
        if (_plan.Warm)
            FinalForm.Reach(milliseconds => RunFor(operation, milliseconds));

        RunFor(operation, ShortWarmMs);
        return _plan.Batch > 0 ? _plan.Batch : BatchOf(operation);
    }

    private static int BatchOf(Operation operation)
    {
        double ns = LeastNs(operation, 1);
        if (ns < BatchNsMin)
            ns = Math.Max(1, LeastNs(operation, CalibrationBatch)); // Without the clock's own time.
        return (int)Math.Min(Math.Clamp(Math.Ceiling(BatchNsMin / ns), 1, WorkPlan.BatchMax), operation.Left);
    }

    /// <summary>Least time of one operation in a few short batches. Long operations are tried once.</summary>
    private static double LeastNs(Operation operation, int count)
    {
        double least = double.MaxValue;
        for (int i = 0; i < CalibrationRuns; i++)
        {
            long start = Stopwatch.GetTimestamp();
            operation.Run(count);
            long ticks = Stopwatch.GetTimestamp() - start;
            operation.Restore();
            least = Math.Min(least, ticks * (1e9 / Stopwatch.Frequency) / count);
            if (least > CalibrationNsMax)
                break;
        }

        return least;
    }

    private static void RunFor(Operation operation, int milliseconds)
    {
        long end = Stopwatch.GetTimestamp() + (milliseconds * Stopwatch.Frequency / 1000);
        do
        {
            operation.Run(1);
            operation.Restore();
        }
        while (Stopwatch.GetTimestamp() < end);
    }

    /// <summary>Closed loop: the next operation begins when the last has ended.</summary>
    private void RunClosed(Operation operation)
    {
        long begin = _startAt, end = begin + (_plan.DurationMs * Stopwatch.Frequency / 1000), timed = 0, now;
        int samples = 0;
        do
        {
            int count = (int)Math.Min(Batch, operation.Left);
            if (count == 0)
                break;
            long start = Stopwatch.GetTimestamp();
            operation.Run(count);
            now = Stopwatch.GetTimestamp();
            Latencies.Record(now - start, count);
            Operations += count;
            timed += now - start;
            samples++;
            operation.Restore();
        }
        while (now < end || samples < SamplesMin);

        // Where other work lies between the batches, only the batches count.
        bool isApart = operation.Restores || _plan.Kind == WorkKind.PutFresh;
        Seconds = (isApart ? timed : Stopwatch.GetTimestamp() - begin) / (double)Stopwatch.Frequency;
    }

    /// <summary>
    /// Open loop: operation i is due at i / rate whether or not the one before has ended, and its time counts from when it was due. An operation that is slow so delays
    /// those behind it visibly, as it would delay the requests of users.
    /// </summary>
    private void RunOpen(Operation operation)
    {
        long count = (long)_plan.ArrivalsPerSecond * _plan.DurationMs / 1000, now = 0;
        double ticksPerArrival = Stopwatch.Frequency / (double)_plan.ArrivalsPerSecond;
        for (long i = 0; i < count; i++)
        {
            long due = _startAt + (long)(i * ticksPerArrival);
            while (Stopwatch.GetTimestamp() < due)
                Thread.SpinWait(1);
            operation.Run(1);
            now = Stopwatch.GetTimestamp();
            Latencies.Record(now - due, 1);
        }

        Operations = count;
        Seconds = (now - _startAt) / (double)Stopwatch.Frequency;
    }
}
