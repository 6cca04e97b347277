using System.Globalization;
using FastPlasma.Load.Driver;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Parts;
using FastPlasma.Load.Peers;
using FastPlasma.Load.Plots;
using FastPlasma.Load.Reporting;

namespace FastPlasma.Load.Scenarios;

/// <summary>How long does the work take that releases what a dead process held?</summary>
internal sealed class RecoveryScenario : IScenario
{
    private const int DeathsFull = 25, DeathsQuick = 4, AttemptsPerDeath = 4;
    private const long CapacityBytes = 64L << 20;

    private static readonly (int Pins, int Unsealed)[] s_quick = [(1, 0), (100, 0), (10_000, 0), (1, 100), (1, 1000)];
    private static readonly (int Pins, int Unsealed)[] s_full =
        [(1, 0), (10, 0), (100, 0), (1000, 0), (10_000, 0), (1, 1), (1, 10), (1, 100), (1, 1000), (10_000, 1000)];

    public string Name => "recovery";

    public string Question => "A process is killed that held pins and unsealed objects: how long does it take another one to release all of it?";

    public string Method =>
        "A process that holds so much is killed; once the kernel has cleared it away, so that its life token is free, Maintain is timed in another process. Afterwards nothing of the dead one is left, which is checked. " +
        "Ceiling: Maintain when nobody has died. Deaths that the store's own thread noticed first do not count. No peer recovers from the death of a client without a server.";

    public ScenarioResult Run(LoadContext context)
    {
        var results = new ScenarioResult(this);
        if (context.Product is not { } product)
            return results;
        List<(double, double)> byPins = [], byUnsealed = [], idlePins = [], idleUnsealed = [];
        context.Guard(results, product, "", () =>
        {
            using var instance = new Instance(context, product, CapacityBytes, 16_384, HolderPart.PayloadBytes);
            using WorkerProcess recoverer = WorkerProcess.StartPart(context, RecovererPart.PartName, instance.Open.Address);
            recoverer.WaitUntil(HolderPart.Ready);
            Measure(context, recoverer, instance.Open.Address, 1, 1, deaths: 1); // Its code runs for the first time.
            foreach ((int pins, int unsealed) in context.Pick(s_full, s_quick))
            {
                string name = $"{pins:N0} pin{(pins == 1 ? "" : "s")}, {unsealed:N0} unsealed";
                context.Report(name);
                (Measurement dead, Measurement idle) = Measure(context, recoverer, instance.Open.Address, pins, unsealed, context.Pick(DeathsFull, DeathsQuick));
                double idleNs = results.Add(PeerList.Ceiling, name, FigureKind.MedianNs, idle).Figure, deadNs = results.Add(product, name, FigureKind.MedianNs, dead).Figure;
                if (unsealed == 0)
                {
                    byPins.Add((pins, deadNs));
                    idlePins.Add((pins, idleNs));
                }

                if (pins == 1 && unsealed > 0)
                {
                    byUnsealed.Add((unsealed, deadNs));
                    idleUnsealed.Add((unsealed, idleNs));
                }
            }
        });
        results.AddPlot(Plot("recovery-pins", "Recovery of a dead process with pins", "pins that it held", idlePins, byPins));
        results.AddPlot(Plot("recovery-unsealed", "Recovery of a dead process with unsealed objects", "unsealed objects", idleUnsealed, byUnsealed));
        return results;

        Plot Plot(string name, string title, string label, List<(double, double)> idle, List<(double, double)> dead) =>
            new(name, title, [new PlotSeries(PeerList.Ceiling.Name, idle), new PlotSeries(product.Name, dead)]) { X = (AxisKind.Steps, label), Y = (AxisKind.Time, "median time of Maintain") };
    }

    private static (Measurement Dead, Measurement Idle) Measure(LoadContext context, WorkerProcess recoverer, string directory, int pins, int unsealed, int deaths)
    {
        var dead = new Latencies();
        var idle = new Latencies();
        for (int attempt = 0; dead.Count < deaths; attempt++)
        {
            context.Cancellation.ThrowIfCancellationRequested();
            if (attempt == deaths * AttemptsPerDeath)
                throw new InvalidOperationException($"The store's own thread was first in {attempt - dead.Count} of {attempt} deaths.");
            using WorkerProcess holder = WorkerProcess.StartPart(context, HolderPart.PartName, directory, pins.ToString(CultureInfo.InvariantCulture), unsealed.ToString(CultureInfo.InvariantCulture));
            holder.WaitUntil(HolderPart.Ready);
            holder.Kill();
            recoverer.Say(RecovererPart.Time);
            double[] found = recoverer.PartResult().Figures;
            if (found[0] != 1)
                continue;
            if (found[3] != unsealed || found[4] != pins)
                throw new InvalidOperationException($"The dead process held {found[3]} unsealed objects and {found[4]} pins where {unsealed} and {pins} were due.");
            dead.Record((long)found[1], 1);
            idle.Record((long)found[2], 1);
        }

        return (Measurement.Of(new WorkResult { Operations = dead.Count, Pairs = dead.ToPairs() }), Measurement.Of(new WorkResult { Operations = idle.Count, Pairs = idle.ToPairs() }));
    }
}
