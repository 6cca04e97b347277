using FastPlasma.Load.Driver;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Parts;
using FastPlasma.Load.Peers;
using FastPlasma.Load.Plots;
using FastPlasma.Load.Reporting;

namespace FastPlasma.Load.Scenarios;

/// <summary>Does a wait for any of many objects take longer when more of them are not ready?</summary>
internal sealed class WaitAnyScenario : IScenario
{
    private const int RoundsFull = 2000, RoundsQuick = 300, SettleUs = 200;

    // Before it sleeps a wait looks at every id once; that is not the question.
    private const double SettleUsPerId = 0.6;
    private static readonly int[] s_counts = [1, 100, 10_000];

    public string Name => "wait-any";

    public string Question => "One of many objects that a process waits for is sealed: how long until its wait returns, and does that grow with the objects that are not ready?";

    public string Method =>
        "A process waits for any of 1, 100 and 10,000 ids and sleeps; another one seals one of them, at random. From the beginning of the seal to the return. Ceiling: a bare futex, in turns, between the same processes. " +
        "No peer has such a call.";

    public ScenarioResult Run(LoadContext context)
    {
        var results = new ScenarioResult(this);
        if (context.Product is not { } product)
            return results;
        List<(double, double)> times = [], bares = [];
        foreach (int count in s_counts)
        {
            string name = $"any of {count:N0}";
            context.Guard(results, product, name, () =>
            {
                context.Report(name);
                (Measurement bare, Measurement stored) = WakePair.Measure(context, product, WakeKind.Any, sleeps: true, context.Pick(RoundsFull, RoundsQuick), SettleUs + (int)(count * SettleUsPerId), count);
                bares.Add((count, results.Add(PeerList.Ceiling, name, FigureKind.MedianNs, bare).Figure));
                times.Add((count, results.Add(product, name, FigureKind.MedianNs, stored).Figure));
            });
        }

        results.AddPlot(new Plot("wait-any", "Waiting for any of many objects", [new PlotSeries(PeerList.Ceiling.Name, bares), new PlotSeries(product.Name, times)])
        {
            X = (AxisKind.Steps, "objects that are waited for"),
            Y = (AxisKind.Time, "median time from the seal to the return"),
        });
        return results;
    }
}
