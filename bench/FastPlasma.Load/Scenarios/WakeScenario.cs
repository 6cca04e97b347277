using FastPlasma.Load.Driver;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Parts;
using FastPlasma.Load.Peers;
using FastPlasma.Load.Plots;
using FastPlasma.Load.Reporting;

namespace FastPlasma.Load.Scenarios;

/// <summary>How long after an object is published does another process have it?</summary>
internal sealed class WakeScenario : IScenario
{
    private const int SleepRoundsFull = 6000, SleepRoundsQuick = 800, SpinRoundsFull = 200_000, SpinRoundsQuick = 20_000, PollRoundsFull = 20_000, PollRoundsQuick = 3000;
    private const int SleepSettleUs = 200, SpinSettleUs = 3, PollSettleUs = 30;

    public string Name => "wake";

    public string Question => "How long after an object is published does another process have it that waits for it?";

    public string Method =>
        "Two processes, one way, by one clock. Asleep and spinning: FastPlasma's get waits for an object that the other process seals. Polling: gets without a pause until the object is there that the other process puts, the whole put included; this is what peers can do " +
        "by the calls that all have. Ceiling, measured in turns with it between the same processes: a bare futex (asleep), a bare shared word (spinning and polling). Redis's blocking calls are not measured, because its client has none.";

    public ScenarioResult Run(LoadContext context)
    {
        var results = new ScenarioResult(this);
        List<PlotSeries> polling = [];
        if (context.Product is { } product)
        {
            Measure(product, "asleep", WakeKind.Seal, sleeps: true, context.Pick(SleepRoundsFull, SleepRoundsQuick), SleepSettleUs, withCeiling: true);
            Measure(product, "spinning", WakeKind.Seal, sleeps: false, context.Pick(SpinRoundsFull, SpinRoundsQuick), SpinSettleUs, withCeiling: true);
        }

        bool isFirst = true;
        foreach (IPeer peer in context.Peers)
        {
            if (!peer.IsShared)
            {
                results.AddRemark(peer, "not shared between processes, so not measured");
                continue;
            }

            Measure(peer, "polling", WakeKind.Poll, sleeps: false, context.Pick(PollRoundsFull, PollRoundsQuick), PollSettleUs, withCeiling: isFirst);
            isFirst = false;
        }

        results.AddPlot(new Plot("wake-polling", "From the beginning of a put until a polling process has the object", polling) { Y = (AxisKind.Time, "median time") });
        return results;

        void Measure(IPeer peer, string name, WakeKind kind, bool sleeps, int rounds, int settleUs, bool withCeiling) => context.Guard(results, peer, name, () =>
        {
            context.Report($"{peer.Name}, {name}");
            (Measurement bare, Measurement stored) = WakePair.Measure(context, peer, kind, sleeps, rounds, settleUs);
            if (withCeiling)
                Plot(results.Add(PeerList.Ceiling, name, FigureKind.MedianNs, bare));
            Plot(results.Add(peer, name, FigureKind.MedianNs, stored, note: $"beside it the bare {(sleeps ? "futex" : "word")} took {Units.Time(bare.Latencies.PercentileNs(50))}"));

            void Plot(ResultLine line)
            {
                if (kind == WakeKind.Poll)
                    polling.Add(new PlotSeries(line.Peer, [(0, line.Figure)]));
            }
        });
    }
}
