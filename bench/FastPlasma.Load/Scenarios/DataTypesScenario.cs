using System.Globalization;
using FastPlasma.Load.Driver;
using FastPlasma.Load.Measuring;
using FastPlasma.Load.Parts;
using FastPlasma.Load.Peers;
using FastPlasma.Load.Reporting;

namespace FastPlasma.Load.Scenarios;

/// <summary>Do tensors and Arrow batches cost more than their bytes?</summary>
internal sealed class DataTypesScenario : IScenario
{
    /// <summary>What its lines show beside the product.</summary>
    internal const string PeerName = DataPart.MemoryStream;

    private const int WarmRounds = 1, SmallRoundsFull = 31, SmallRoundsQuick = 9, LargeRoundsFull = 9, LargeRoundsQuick = 3, LargeBytesMin = 16 << 20, CopiesBytes = 1 << 20;
    private const long CapacityBytes = 512L << 20;
    private static readonly (int Bytes, int Operations)[] s_sizes = [(1 << 10, 2000), (1 << 20, 16), (100 << 20, 1)];
    private static readonly string[] s_kinds = [DataPart.Tensor, DataPart.Arrow], s_peers = [CeilingPeer.PeerName, PeerList.Product, PeerName], s_calls = ["put", "get", "sum"];

    public string Name => "data-types";

    public string Question => "What do put and get of a tensor and of an Arrow batch take beside their plain bytes, and beside a serializer's way through a MemoryStream?";

    public string Method =>
        "One process puts and gets tensors and Arrow batches of doubles (four columns) in a store, in batches, in turns: gets that read one element, and gets that sum all. Ceiling: Span.CopyTo of as many bytes to as many places, used before, one atomic increment, and the sum of an own array. " +
        "memory-stream: the same store, but written into a MemoryStream, which is used again, and put from there, and got through a MemoryStream into new arrays (Apache.Arrow's ArrowStreamWriter and ArrowStreamReader; BinaryWriter and BinaryReader for tensors). " +
        "At 100 MiB one value is one operation, whose code and data are out of the caches after the copies before. The remarks have how often each copies 1 MiB, as counted by the store, and for the streams also by their length.";

    public ScenarioResult Run(LoadContext context)
    {
        var results = new ScenarioResult(this);
        if (context.Product is not { } product)
            return results;
        var table = new RoundTable();
        context.Guard(results, product, "", () =>
        {
            context.RequireMemory(CapacityBytes);
            using var instance = new Instance(context, product, CapacityBytes, 1 << 12, 128 << 20);
            using WorkerProcess part = WorkerProcess.StartPart(context, DataPart.PartName, instance.Open.Address);
            foreach (string kind in s_kinds)
                foreach (string peer in s_peers)
                    Ask(part, "check", CopiesBytes, 1, kind, peer);
            Ask(part, DataPart.Warm, 0, 1, "", "");
            foreach (string peer in s_peers[1..])
                results.AddRemark(peer, $"copies at put and at get: {string.Join(", ", s_kinds.Select(kind => Copies(part, kind, peer)))}");
            foreach ((int bytes, int operations) in s_sizes)
            {
                int rounds = bytes >= LargeBytesMin ? context.Pick(LargeRoundsFull, LargeRoundsQuick) : context.Pick(SmallRoundsFull, SmallRoundsQuick);
                for (int round = -WarmRounds; round < rounds; round++)
                {
                    context.Report($"{Units.Size(bytes)}, round {round + 1} of {rounds}");
                    foreach (string kind in s_kinds)
                        foreach (string peer in s_peers)
                        {
                            foreach (string what in s_calls)
                                if (Ask(part, what, bytes, operations, kind, peer) is var found && round >= 0)
                                    table.Add($"{what} {Units.Size(bytes)}, {kind}", peer, found);
                            Ask(part, "delete", bytes, operations, kind, peer);
                        }
                }
            }
        });
        table.WriteTo(results, PayloadOf, static (_, _) => null);
        return results;
    }

    private static WorkResult Ask(WorkerProcess part, string what, int bytes, int operations, string kind, string peer)
    {
        part.Say(string.Create(CultureInfo.InvariantCulture, $"{what} {bytes} {operations} {kind} {peer}"));
        return part.PartResult();
    }

    private static string Copies(WorkerProcess part, string kind, string peer)
    {
        double[] copies = Ask(part, "copies", CopiesBytes, 1, kind, peer).Figures;
        return string.Create(CultureInfo.InvariantCulture, $"{kind} {copies[0]:0.##} and {copies[1]:0.##}");
    }

    private static int PayloadOf(string name) => name.StartsWith("get ", StringComparison.Ordinal) ? 0 : s_sizes.First(size => name.Contains($" {Units.Size(size.Bytes)},", StringComparison.Ordinal)).Bytes;
}
