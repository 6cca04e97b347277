using FastPlasma.Load.Clients;
using FastPlasma.Load.Driver;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Peers;
using FastPlasma.Load.Reporting;

namespace FastPlasma.Load.Scenarios;

/// <summary>What do the shortest calls take from each language?</summary>
internal sealed class ClientCallsScenario : IScenario
{
    private const int RoundsFull = 201, RoundsQuick = 31, WarmRounds = 2, OperationsFull = 100_000, OperationsQuick = 30_000, PythonShare = 50;
    private const long CapacityBytes = 64L << 20;

    /// <summary>A pair from C takes at most so many pairs from .NET.</summary>
    private const double BoundOfC = 4;

    private const string Pair = "get + release", Contains = "contains";

    // What is asked, and which empty call is its ceiling: a get and its release are two calls.
    private static readonly (string Case, string What, string Empty)[] s_calls = [(Pair, "get-release", "empty-pair"), (Contains, "contains", "empty")];

    public string Name => "client-calls";

    public string Question => "What do the shortest calls of a hot object take from .NET, from C and from Python?";

    public string Method =>
        "A process in each language, on one store, in turns, in batches. Before that each reads what each other has put. Ceilings: .NET, one atomic increment; C, as many calls of the library as it takes (two, one) that do nothing but enter managed code (fp_last_error); " +
        "Python, as many of the same function through ctypes, which the package is built on (no other way of foreign calls is measured). The note has the ratio to .NET; a pair from C should take at most 4 of .NET.";

    public string? Missing => ClientTools.Missing;

    public ScenarioResult Run(LoadContext context)
    {
        var results = new ScenarioResult(this);
        if (context.Product is not { } product)
            return results;
        var table = new RoundTable();
        context.Guard(results, product, "", () =>
        {
            using ClientSet clients = ClientSet.Start(context, results, product, CapacityBytes);
            int rounds = context.Pick(RoundsFull, RoundsQuick), operations = context.Pick(OperationsFull, OperationsQuick);
            for (int round = -WarmRounds; round < rounds; round++)
            {
                context.Report($"round {round + 1} of {rounds}");
                foreach ((string call, string what, string empty) in s_calls)
                    foreach (Client client in clients.All)
                    {
                        int count = client.Name == ClientSet.Python ? operations / PythonShare : operations;
                        WorkResult least = client.Ask(empty, 0, count), found = client.Ask(what, 0, count);
                        if (round < 0)
                            continue;
                        table.Add(CaseOf(call, client.Name), PeerList.Ceiling.Name, least);
                        table.Add(CaseOf(call, client.Name), product.Name, found);
                    }
            }
        });
        table.WriteTo(results, static _ => 0, (name, peer) => peer == product.Name ? NoteOf(table, name, peer) : null);
        if (RatioOf(table, CaseOf(Pair, ClientSet.C), product.Name) is { } ratio)
            results.AddRemark(product, $"{Pair} from C takes {Units.Factor(ratio)} × as long as from .NET; the bound is {Units.Factor(BoundOfC)} × ({(ratio <= BoundOfC ? "ok" : "over")})");
        return results;
    }

    private static string CaseOf(string call, string client) => $"{call}, {client}";

    private static string? NoteOf(RoundTable table, string name, string peer) => RatioOf(table, name, peer) is { } ratio ? $"{Units.Factor(ratio)} × .NET" : null;

    /// <summary>A case of C or Python against the same call of .NET.</summary>
    private static double? RatioOf(RoundTable table, string name, string peer) =>
        name.EndsWith($", {ClientSet.DotNet}", StringComparison.Ordinal) ? null : table.MedianNs(name, peer) / table.MedianNs(CaseOf(name.Split(", ")[0], ClientSet.DotNet), peer);
}
