using System.Globalization;
using FastPlasma.Lab;
using FastPlasma.Load.Driver;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Peers;
using FastPlasma.Load.Reporting;

namespace FastPlasma.Load.Scenarios;

/// <summary>Does it take longer to bring an object to many nodes than to one?</summary>
internal sealed class BroadcastScenario : IScenario
{
    private const int RoundsFull = 5, RoundsQuick = 3;
    private const double NsPerSecond = 1e9;

    public string Name => "broadcast";

    public string Question => "How much longer does it take to bring one object from one node to all others than to bring it to one?";

    public string Method =>
        "Nodes in network namespaces, each with a link of 200 Mbit/s (quick: 100 Mbit/s) in each direction; 128 MiB to 7 nodes (quick: 16 MiB to 3), which ask at the same time and are told of each other by the source only. The figure is the time until the last one has it. " +
        "Ceiling: the same object over the same links to one node. The notes have what each node sent, in objects, and how much of that while it was still receiving.";

    public ScenarioResult Run(LoadContext context)
    {
        var results = new ScenarioResult(this);
        if (context.Product is not { } product)
            return results;
        (int nodes, int megabits, int mebibytes) = context.Pick((8, 200, 128), (4, 100, 16));
        context.Guard(results, product, "", () =>
        {
            using var lab = NetworkLab.Create(nodes, megabits);
            if (lab.Problem is not null)
                throw new PeerException($"{lab.Problem}: over loopback there is no link to share, so not measured", isLimit: true);
            using var cluster = new LabCluster(lab, mebibytes * 3 + 64);
            var one = new Latencies();
            var all = new Latencies();
            long bytes = (long)mebibytes << 20;
            cluster.Spread("warm", bytes, nodes - 1); // Code in its final form, memory that was touched.
            string notes = "";
            for (int round = 0; round < context.Pick(RoundsFull, RoundsQuick); round++)
            {
                context.Cancellation.ThrowIfCancellationRequested();
                context.Report($"round {round + 1}");
                SpreadRun single = cluster.Spread($"one{round}", bytes, 1), many = cluster.Spread($"all{round}", bytes, nodes - 1);
                one.Record((long)(single.Seconds * NsPerSecond), 1);
                all.Record((long)(many.Seconds * NsPerSecond), 1);
                notes += string.Create(CultureInfo.InvariantCulture, $"{(round > 0 ? "; " : "")}{many.Seconds / single.Seconds:0.00} × (sent: {string.Join(", ", many.Traffic.Select(traffic => Sent(traffic, bytes)))})");
            }
            string name = string.Create(CultureInfo.InvariantCulture, $"{mebibytes} MiB to {nodes - 1} nodes, {megabits} Mbit/s");
            results.Add(PeerList.Ceiling, name, FigureKind.MedianNs, Measurement.Of(new WorkResult { Operations = one.Count, Pairs = one.ToPairs() }));
            results.Add(product, name, FigureKind.MedianNs, Measurement.Of(new WorkResult { Operations = all.Count, Pairs = all.ToPairs() }), note: notes);
        });
        return results;
    }

    private static string Sent(NodeTraffic traffic, long bytes) => string.Create(
        CultureInfo.InvariantCulture, $"{traffic.SentBytes / (double)bytes:0.00}{(traffic.RelayedBytes > 0 ? $" relayed {traffic.RelayedBytes / (double)bytes:0.00}" : "")}");
}
