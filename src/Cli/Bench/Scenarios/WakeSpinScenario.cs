using FastPlasma.Cli.Children;

namespace FastPlasma.Cli.Bench.Scenarios;

/// <summary>How long after a seal does a getter that spins in another process have the object?</summary>
/// <remarks>The ratio is the median in microseconds: what spinning is for is an absolute time.</remarks>
internal sealed class WakeSpinScenario : IBenchPeerScenario
{
    public string Name => "wake-spin";

    public string Unit => "us";

    public BenchBound Bound => BenchBound.AtMost(1);

    public BenchFigures Run(BenchContext context)
    {
        WakeLatencies wake = new WakeRounds(spin: true).Run(this, context.Pick(200_000, 50_000));
        return new BenchFigures(wake.StoreMedian / 1000, wake.StoreP99 / 1000, wake.StoreMedian / 1000)
        {
            Ceiling = "bare shared word, spinning, one way; the ratio is the median in us",
            CeilingMedian = wake.BareMedian / 1000,
            Note = BenchResult.Text($"bare word p99 {wake.BareP99 / 1000:0.00} us"),
        };
    }

    public void RunPeer(ParentPipe parent, PlasmaStore store) => new WakeRounds(spin: true).RunPeer(parent, store);
}
