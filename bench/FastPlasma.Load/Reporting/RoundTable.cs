using FastPlasma.Load.Measuring;

namespace FastPlasma.Load.Reporting;

/// <summary>Rounds of figures that are measured in turns, until they become lines.</summary>
internal sealed class RoundTable
{
    private readonly OrderedDictionary<(string Case, string Peer), List<WorkResult>> _rounds = [];

    /// <summary>Adds one round of a figure.</summary>
    internal void Add(string name, string peer, WorkResult found)
    {
        if (!_rounds.TryGetValue((name, peer), out List<WorkResult>? rounds))
            _rounds.Add((name, peer), rounds = []);
        rounds.Add(found);
    }

    /// <summary>The median of a figure, or null when there is none.</summary>
    internal double? MedianNs(string name, string peer) =>
        _rounds.TryGetValue((name, peer), out List<WorkResult>? rounds) ? Measurement.OfRounds(rounds).Latencies.PercentileNs(50) : null;

    /// <summary>A line for each figure.</summary>
    /// <param name="results">Where they go.</param>
    /// <param name="payloadBytesOf">Bytes that one operation of a case moves, or 0.</param>
    /// <param name="noteOf">What is said beside a figure, or null.</param>
    internal void WriteTo(ScenarioResult results, Func<string, int> payloadBytesOf, Func<string, string, string?> noteOf)
    {
        foreach (((string name, string peer), List<WorkResult> rounds) in _rounds)
            results.Add(peer, name, FigureKind.MedianNs, Measurement.OfRounds(rounds), payloadBytesOf(name), noteOf(name, peer));
    }
}
