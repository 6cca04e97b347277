using FastPlasma.Load.Measuring;
using FastPlasma.Load.Peers;
using FastPlasma.Load.Plots;
using FastPlasma.Load.Scenarios;

namespace FastPlasma.Load.Reporting;

/// <summary>Lines and plots of one scenario.</summary>
internal sealed class ScenarioResult(IScenario scenario)
{
    // A percentile is given only if at least so many values lie beyond it.
    private const int ValuesBeyondMin = 3;
    private readonly List<ResultLine> _lines = [];
    private readonly List<Plot> _plots = [];
    private readonly List<Remark> _remarks = [];

    internal string Name => scenario.Name;

    internal string Question => scenario.Question;

    internal string Method => scenario.Method;

    /// <summary>How long it took.</summary>
    internal double Seconds { get; set; }

    internal IReadOnlyList<ResultLine> Lines => _lines;

    internal IReadOnlyList<Plot> Plots => _plots;

    internal IReadOnlyList<Remark> Remarks => _remarks;

    /// <summary>Adds a figure, and gives it back.</summary>
    internal ResultLine Add(IPeer peer, string name, FigureKind kind, Measurement found, int payloadBytes = 0, string? note = null) =>
        Add(peer.Name, name, kind, found, payloadBytes, note);

    /// <summary>Adds a figure of something that is no peer.</summary>
    internal ResultLine Add(string peer, string name, FigureKind kind, Measurement found, int payloadBytes = 0, string? note = null)
    {
        Latencies latencies = found.Latencies;
        double? Percentile(double percent) => latencies.Count * (100 - percent) / 100 >= ValuesBeyondMin ? latencies.PercentileNs(percent) : null;
        double p50 = latencies.PercentileNs(50);
        ResultLine line = new()
        {
            Scenario = Name,
            Peer = peer,
            Case = name,
            Kind = kind,
            Figure = kind switch
            {
                FigureKind.MedianNs => p50,
                FigureKind.P99Ns => latencies.PercentileNs(99),
                FigureKind.P999Ns => latencies.PercentileNs(99.9),
                _ => found.OperationsPerSecond,
            },
            P50Ns = p50,
            P90Ns = Percentile(90),
            P99Ns = Percentile(99),
            P999Ns = Percentile(99.9),
            P9999Ns = Percentile(99.99),
            MaxNs = latencies.MaxNs,
            OperationsPerSecond = found.OperationsPerSecond,
            BytesPerSecond = payloadBytes == 0 ? null : found.OperationsPerSecond * payloadBytes,
            Batch = found.Batch,
            Samples = latencies.Count,
            AllocatedBytesPerOperation = Math.Round(found.AllocatedBytesPerOperation, 1),
            Collections = found.Collections,
            Note = note,
        };
        _lines.Add(line);
        return line;
    }

    internal void AddPlot(Plot plot)
    {
        if (plot.Series.Any(static series => series.Points.Count > 0))
            _plots.Add(plot);
    }

    internal void AddRemark(IPeer peer, string text) => AddRemark(peer.Name, text);

    /// <summary>Says something about what is no peer.</summary>
    internal void AddRemark(string name, string text) => _remarks.Add(new Remark(name, text, IsFailure: false));

    internal void AddFailure(IPeer peer, string which, string text) => _remarks.Add(new Remark(peer.Name, which.Length == 0 ? text : $"{which}: {text}", IsFailure: true));

    /// <summary>Holds every line against the ceiling and against FastPlasma in the same case.</summary>
    internal ScenarioResult Compare()
    {
        Dictionary<string, ResultLine> ceilings = ByCase(CeilingPeer.PeerName), products = ByCase(PeerList.Product);
        for (int i = 0; i < _lines.Count; i++)
        {
            ResultLine line = _lines[i];
            if (ceilings.TryGetValue(line.Case, out ResultLine? ceiling) && ceiling.Figure > 0 && line.Peer != CeilingPeer.PeerName)
                line = line with { Ceiling = ceiling.Figure, Ratio = line.Figure / ceiling.Figure };
            if (products.TryGetValue(line.Case, out ResultLine? product) && product.Figure > 0 && line.Figure > 0 && line.Peer is not (CeilingPeer.PeerName or PeerList.Product))
                line = line with { FastPlasmaIsBetterBy = line.Kind == FigureKind.OperationsPerSecond ? product.Figure / line.Figure : line.Figure / product.Figure };
            _lines[i] = line;
        }

        return this;
    }

    private Dictionary<string, ResultLine> ByCase(string peer) =>
        _lines.Where(line => line.Peer == peer).GroupBy(static line => line.Case).ToDictionary(static group => group.Key, static group => group.First());
}
