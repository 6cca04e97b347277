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
        Series one = new(rounds), two = new(rounds);
        for (int round = 0; round < rounds; round++)
        {
            // Each process is the lone one in every second round, so that a difference between them cancels out.
            one[round] = round % 2 == 0
                ? Rate(owned.Store, id, Stopwatch.GetTimestamp())
                : PeerRate(peer);
            double own = Rate(owned.Store, id, StartPeer(peer));
            two[round] = own + ReceiveRate(peer);
        }

        peer.Send(ParentPipe.Exit);
        return new BenchFigures(two.Median, two.Quantile(0.01), two.Median / one.Median)
        {
            Ceiling = "one process alone (two on two free cores: 2)",
            CeilingMedian = one.Median,
        };
    }

    public void RunPeer(ParentPipe parent, PlasmaStore store)
    {
        ObjectId id = BenchIds.Of(1);
        Warm(store, id);
        while (parent.Receive() is var command and not ParentPipe.Exit)
            parent.Send(Rate(store, id, long.Parse(command, CultureInfo.InvariantCulture)).ToString(CultureInfo.InvariantCulture));
    }

    /// <summary>Tells the peer to begin a little later, at a reading of the clock that all processes of the machine share.</summary>
    private static long StartPeer(ChildProcess peer)
    {
        long start = Stopwatch.GetTimestamp() + (LeadMs * Stopwatch.Frequency / 1000);
        peer.Send(start.ToString(CultureInfo.InvariantCulture));
        return start;
    }

    private static double PeerRate(ChildProcess peer)
    {
        StartPeer(peer);
        return ReceiveRate(peer);
    }

    private static double ReceiveRate(ChildProcess peer) => double.Parse(peer.Receive(), CultureInfo.InvariantCulture);

    private static void Warm(PlasmaStore store, ObjectId id) => Series.Warm(1000, count => GetHotScenario.Get(store, id, count));

    /// <summary>Million gets per second in the window that begins at <paramref name="start"/>.</summary>
    private static double Rate(PlasmaStore store, ObjectId id, long start)
    {
        while (Stopwatch.GetTimestamp() < start)
            Thread.SpinWait(1);
        long end = start + (WindowMs * Stopwatch.Frequency / 1000), now, operations = 0;
        do
        {
            GetHotScenario.Get(store, id, OperationsPerLook);
            operations += OperationsPerLook;
            now = Stopwatch.GetTimestamp();
        }
        while (now < end);
        return operations / ((now - start) / (double)Stopwatch.Frequency) / 1e6;
    }
}
