using System.Diagnostics;
using System.Globalization;
using FastPlasma.Cli.Children;

namespace FastPlasma.Cli.Bench.Scenarios;

/// <summary>Do two processes that read the same object get in each other's way?</summary>
/// <remarks>
/// One process counts while the other gets an object of a store of its own, with which it shares nothing; then both get the same object. A lone process on an idle
/// machine would be a wrong measure of one: processors clock higher for it, and virtual ones also hand it the time of their neighbours.
/// </remarks>
internal sealed class GetHotTwoProcessesScenario : IBenchPeerScenario
{
    // The clock is read once in 256 gets.
    private const int OperationsPerLook = 256, WindowMs = 50, LeadMs = 5;

    // What the peer is told besides a time: get the object that both know, or the own one.
    private const string SharedObject = "shared", OwnObject = "own";

    public string Name => "get-hot-1k-2proc";

    public string Unit => "Mops/s";

    public BenchBound Bound => BenchBound.AtLeast(1.9);

    public BenchFigures Run(BenchContext context)
    {
        using BenchStore owned = new(new PlasmaOptions { CapacityBytes = 64 << 20 });
        ObjectId id = BenchIds.Of(1);
        owned.Store.Put(id, new byte[1024]);
        using ChildProcess peer = BenchContext.StartPeer(this, owned.Store);
        using PlasmaStore ownStore = CreateOwnStore(id);
        Warm(owned.Store, id);
        Warm(ownStore, id);
        int rounds = context.Pick(60, 20);
        Series one = new(rounds), two = new(rounds), idle = new(rounds), twoByCpu = new(rounds), oneByCpu = new(rounds);
        for (int round = 0; round < rounds; round++)
        {
            // Each process is the one in every second round, so that a difference between them cancels out.
            bool peerIsOne = round % 2 != 0;
            GetRate own = Rate(peerIsOne ? ownStore : owned.Store, id, StartPeer(peer, peerIsOne ? SharedObject : OwnObject)), other = ReceiveRate(peer);
            (one[round], oneByCpu[round]) = peerIsOne ? (other.Wall, other.Cpu) : (own.Wall, own.Cpu);
            own = Rate(owned.Store, id, StartPeer(peer, SharedObject));
            other = ReceiveRate(peer);
            (two[round], twoByCpu[round]) = (own.Wall + other.Wall, own.Cpu + other.Cpu);
            idle[round] = Rate(owned.Store, id, Stopwatch.GetTimestamp()).Wall;
        }

        peer.Send(ParentPipe.Exit);
        return new BenchFigures(two.Median, two.Quantile(0.01), two.Median / one.Median)
        {
            Ceiling = "one process, while the other gets an object of a store of its own (two that share nothing: 2)",
            CeilingMedian = one.Median,
            Note = BenchResult.Text($"per second of processor time the ratio is {twoByCpu.Median / oneByCpu.Median:0.00}; one process on an otherwise idle machine: {idle.Median:0.0} Mops/s"),
        };
    }

    public void RunPeer(ParentPipe parent, PlasmaStore store)
    {
        ObjectId id = BenchIds.Of(1);
        using PlasmaStore ownStore = CreateOwnStore(id);
        Warm(store, id);
        Warm(ownStore, id);
        while (parent.Receive() is var command and not ParentPipe.Exit)
        {
            string[] fields = command.Split(' ');
            parent.Send(Rate(fields[1] == SharedObject ? store : ownStore, id, long.Parse(fields[0], CultureInfo.InvariantCulture)).ToLine());
        }
    }

    private static PlasmaStore CreateOwnStore(ObjectId id)
    {
        PlasmaStore store = PlasmaStore.CreateAnonymous(new PlasmaOptions { CapacityBytes = 64 << 20 });
        store.Put(id, new byte[1024]);
        return store;
    }

    /// <summary>Tells the peer to begin a little later, at a reading of the clock that all processes of the machine share.</summary>
    private static long StartPeer(ChildProcess peer, string what)
    {
        long start = Stopwatch.GetTimestamp() + (LeadMs * Stopwatch.Frequency / 1000);
        peer.Send(string.Create(CultureInfo.InvariantCulture, $"{start} {what}"));
        return start;
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
