using System.Diagnostics.Metrics;

namespace FastPlasma.Transfer.Nodes;

/// <summary>What a node has moved, for whoever listens to System.Diagnostics.Metrics. Everything is read when a listener asks for it; nothing is done otherwise.</summary>
internal sealed class NodeMeter : IDisposable
{
    /// <summary>Name of the meter.</summary>
    internal const string Name = "FastPlasma.Node";

    private readonly Meter _meter = new(Name);

    internal NodeMeter(PlasmaNode node)
    {
        KeyValuePair<string, object?>[] tags = [new("store", node.Store.Name), new("node", node.Endpoint.ToString())];
        Counter("received", "By", "Bytes received into the store or into a caller's buffer, also those that had to come again.", static stats => stats.ReceivedBytes);
        Counter("sent", "By", "Bytes sent from the store.", static stats => stats.SentBytes);
        Counter("relayed", "By", "Of the bytes sent, those of objects that were still being received.", static stats => stats.RelayedBytes);
        Counter("broken", "By", "Length of the chunks and answers in whose middle the connection broke.", static stats => stats.BrokenBytes);
        Counter("discarded", "By", "Bytes that came when nobody wanted them any more.", static stats => stats.DiscardedBytes);
        Counter("bad", "By", "Of the bytes received, those whose checksum was wrong.", static stats => stats.BadBytes);
        Counter("copied", "By", "Bytes copied in user space on their way.", static stats => stats.CopiedBytes);
        Counter("objects.received", "{object}", "Objects that arrived whole.", static stats => stats.ObjectsReceived);
        Counter("objects.sent", "{object}", "Objects that were sent inside one answer.", static stats => stats.ObjectsSent);
        Counter("fetches.failed", "{fetch}", "Fetches that ended without the object.", static stats => stats.FailedFetches);
        Counter("connections.refused", "{connection}", "Connections that were not let in.", static stats => stats.RefusedConnections);
        Gauge("fetches", "{fetch}", "Objects that are being fetched.", static node => node.FetchCount);
        Gauge("peers.up", "{node}", "Nodes to which a connection stands.", static node => node.UpPeerCount);
        Gauge("connections", "{connection}", "Connections of other nodes to this one.", static node => node.ConnectionCount);

        void Counter(string name, string unit, string description, Func<TransferStats, long> value) =>
            _meter.CreateObservableCounter($"fastplasma.node.{name}", () => new Measurement<long>(value(node.Stats()), tags), unit, description);

        void Gauge(string name, string unit, string description, Func<PlasmaNode, int> value) =>
            _meter.CreateObservableGauge($"fastplasma.node.{name}", () => new Measurement<int>(value(node), tags), unit, description);
    }

    public void Dispose() => _meter.Dispose();
}
