using System.Diagnostics;
using System.Globalization;
using FastPlasma.Cli.Children;

namespace FastPlasma.Cli.Bench.Scenarios;

/// <summary>Do two processes that read the same object get in each other's way?</summary>
internal sealed class GetHotTwoProcessesScenario : IBenchPeerScenario
{
    // The clock is read once in 256 gets.
    private const int OperationsPerLook = 256, WindowMs = 100, LeadMs = 5;

    public string Name => "get-hot-1k-2proc";

    public string Unit => "Mops/s";

    public BenchBound Bound => BenchBound.AtLeast(1.8);

    public BenchFigures Run(BenchContext context)
    {
        using BenchStore owned = new(new PlasmaOptions { CapacityBytes = 64 << 20 });
        ObjectId id = BenchIds.Of(1);
        owned.Store.Put(id, new byte[1024]);
        using ChildProcess peer = BenchContext.StartPeer(this, owned.Store);
        Warm(owned.Store, id);
        int rounds = context.Pick(30, 10);
        Series one = new(rounds), two = new(rounds), oneByCpu = new(rounds), twoByCpu = new(rounds);
        for (int round = 0; round < rounds; round++)
        {
            // Each process is the lone one in every second round, so that a difference between them cancels out.
            GetRate alone = round % 2 == 0
                ? Rate(owned.Store, id, Stopwatch.GetTimestamp())
                : PeerRate(peer);
            GetRate own = Rate(owned.Store, id, StartPeer(peer)), other = ReceiveRate(peer);
            (one[round], two[round]) = (alone.Wall, own.Wall + other.Wall);
            (oneByCpu[round], twoByCpu[round]) = (alone.Cpu, own.Cpu + other.Cpu);
        }

        peer.Send(ParentPipe.Exit);
        return new BenchFigures(two.Median, two.Quantile(0.01), two.Median / one.Median)
        {
            Ceiling = "one process alone (two on two free cores: 2)",
            CeilingMedian = one.Median,
            Note = BenchResult.Text($"per second of processor time the ratio is {twoByCpu.Median / oneByCpu.Median:0.00} (if it is much higher, something else was using the cores)"),
        };
    }

    public void RunPeer(ParentPipe parent, PlasmaStore store)
    {
        ObjectId id = BenchIds.Of(1);
        Warm(store, id);
        while (parent.Receive() is var command and not ParentPipe.Exit)
            parent.Send(Rate(store, id, long.Parse(command, CultureInfo.InvariantCulture)).ToLine());
    }

    /// <summary>Tells the peer to begin a little later, at a reading of the clock that all processes of the machine share.</summary>
    private static long StartPeer(ChildProcess peer)
    {
        long start = Stopwatch.GetTimestamp() + (LeadMs * Stopwatch.Frequency / 1000);
        peer.Send(start.ToString(CultureInfo.InvariantCulture));
        return start;
    }

    private static GetRate PeerRate(ChildProcess peer)
    {
        StartPeer(peer);
        return ReceiveRate(peer);
    }

    private static GetRate ReceiveRate(ChildProcess peer) => GetRate.FromLine(peer.Receive());

    private static void Warm(PlasmaStore store, ObjectId id) => Series.Warm(1000, count => GetHotScenario.Get(store, id, count));

    /// <summary>Gets in the window that begins at <paramref name="start"/>.</summary>
    private static GetRate Rate(PlasmaStore store, ObjectId id, long start)
    {
        while (Stopwatch.GetTimestamp() < start)
            Thread.SpinWait(1);
        TimeSpan cpu = Environment.CpuUsage.TotalTime;
        long end = start + (WindowMs * Stopwatch.Frequency / 1000), now, operations = 0;
        do
        {
            GetHotScenario.Get(store, id, OperationsPerLook);
            operations += OperationsPerLook;
            now = Stopwatch.GetTimestamp();
        }
        while (now < end);
        cpu = Environment.CpuUsage.TotalTime - cpu;
        return new GetRate(operations / Stopwatch.GetElapsedTime(start, now).TotalMicroseconds, operations / cpu.TotalMicroseconds);
    }

    /// <summary>Million gets per second of time, and per second in which this process had a processor.</summary>
    private readonly record struct GetRate(double Wall, double Cpu)
    {
        internal string ToLine() => string.Create(CultureInfo.InvariantCulture, $"{Wall} {Cpu}");

        internal static GetRate FromLine(string line)
        {
            string[] fields = line.Split(' ');
            return new GetRate(double.Parse(fields[0], CultureInfo.InvariantCulture), double.Parse(fields[1], CultureInfo.InvariantCulture));
        }
    }
}
