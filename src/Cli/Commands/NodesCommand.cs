using System.CommandLine;
using FastPlasma.Cli.Nodes;
using FastPlasma.Transfer;
using FastPlasma.Transfer.Nodes;

namespace FastPlasma.Cli.Commands;

/// <summary>fastplasma nodes</summary>
internal static class NodesCommand
{
    internal static Command Create() => new StoreCommand(
        "nodes", "Show the store's node service and the nodes that it knows.",
        "fastplasma nodes --store prices")
        .Runs(Run);

    private static int Run(Call call)
    {
        using PlasmaStore store = call.Open(StoreAccess.ReadOnly);
        using NodeAccess access = NodeAccess.ToService(call, store, "");
        NodeReport node = access.Client.StatusAsync(call.Cancellation).GetAwaiter().GetResult();
        if (call.Json)
        {
            call.WriteJson(node, CliJson.Documents.NodeReport);
            return ExitCodes.Ok;
        }

        call.WriteLine(Line(node));
        if (node.DirectoryProblem is { } problem)
            call.WriteLine($"directory: {TextTable.Printable(problem)}");
        var table = new TextTable("NODE", "STATE", ">PING", "ID", "PROBLEM");
        foreach (PeerInfo peer in node.Peers)
        {
            table.Add(
                peer.Endpoint.ToString(), peer.IsUp ? "up" : "down", peer.PingMicroseconds < 0 ? "-" : Sizes.Duration(TimeSpan.FromMicroseconds(peer.PingMicroseconds)),
                peer.NodeId == Guid.Empty ? "-" : peer.NodeId.ToString(), peer.IsUp ? "" : peer.Problem ?? "");
        }

        table.Write(call.Context);
        return ExitCodes.Ok;
    }

    /// <summary>The service in one line.</summary>
    internal static string Line(NodeReport node) =>
        $"process {node.ProcessId} at {node.Endpoint}, {(node.Security == "none" ? "open to this machine" : node.Security)}; received {Sizes.Bytes(node.Stats.ReceivedBytes)} in {Sizes.Count(node.Stats.ObjectsReceived)} objects, "
        + $"sent {Sizes.Bytes(node.Stats.SentBytes)} (relayed {Sizes.Bytes(node.Stats.RelayedBytes)}), {Sizes.Count(node.FetchCount)} fetches, {Sizes.Count(node.Stats.FailedFetches)} failed; "
        + $"{node.Peers.Count(static peer => peer.IsUp)} of {node.Peers.Count} peers up, {Sizes.Count(node.ConnectionCount)} connections";
}
