using FastPlasma.Cli.Children;

namespace FastPlasma.Cli.Bench.Scenarios;

/// <summary>How long after a seal does a sleeping getter in another process have the object?</summary>
internal sealed class WakeSleepScenario : IBenchPeerScenario
{
    public string Name => "wake-sleep";

    public string Unit => "us";

    public BenchBound Bound => BenchBound.AtMost(1.2);

    public BenchFigures Run(BenchContext context)
    {
        WakeLatencies wake = new WakeRounds(spin: false).Run(this, context.Pick(6000, 2000));
        return new BenchFigures(wake.StoreMedian / 1000, wake.StoreP99 / 1000, wake.StoreMedian / wake.BareMedian)
        {
            Ceiling = "bare futex wake between the same processes, one way",
            CeilingMedian = wake.BareMedian / 1000,
            Note = BenchResult.Text($"bare futex p99 {wake.BareP99 / 1000:0.0} us"),
        };
    }

    public void RunPeer(ParentPipe parent, PlasmaStore store) => new WakeRounds(spin: false).RunPeer(parent, store);
}
