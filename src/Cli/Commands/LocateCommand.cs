using System.CommandLine;
using FastPlasma.Cli.Nodes;
using FastPlasma.Transfer;

namespace FastPlasma.Cli.Commands;

/// <summary>fastplasma locate</summary>
internal static class LocateCommand
{
    private static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(5);

    private static readonly Argument<string> Key = new("ID|NAME") { Description = $"The object. {StoreOptions.KeyForms}" };

    private static readonly Option<NodeEndpoint[]> Peers = NodeSettings.Endpoints("--peer", "A node to ask beside those that the node service knows; without a service the command itself is a node that knows these.");

    private static readonly Option<TimeSpan?> Timeout = StoreOptions.Timeout($"How long to wait for the nodes' answers. Default {DefaultTimeout.TotalSeconds}s.");

    internal static Command Create() => new StoreCommand(
        "locate", "Ask which nodes have an object, this one included.",
        "fastplasma locate model.bin",
        "fastplasma locate model.bin --peer 10.0.0.2 --peer 10.0.0.3 --key-file /etc/fastplasma/key")
    {
        Key, Peers, Timeout, NodeSettings.KeyFile, NodeSettings.TlsCertificate, NodeSettings.TlsKey, NodeSettings.TlsAuthorities,
    }.NegativeWhen("no node has it, as far as they answered").Runs(Run);

    private static int Run(Call call)
    {
        ObjectKey key = ObjectKey.Parse(call.Value(Key)!);
        NodeEndpoint[] peers = call.Value(Peers) ?? [];
        using PlasmaStore store = call.Open(StoreAccess.ReadOnly);
        using NodeAccess access = NodeAccess.ToServiceOrOwn(call, store, new NodeEndpoint("127.0.0.1", 0), peers, ", or say --peer");
        IReadOnlyList<ObjectLocation> locations = access.Client.LocateAsync(key.Id, peers, call.Value(Timeout) ?? DefaultTimeout, call.Cancellation).GetAwaiter().GetResult();
        NodeEndpoint here = access.Client.StatusAsync(call.Cancellation).GetAwaiter().GetResult().Endpoint;
        if (call.Json)
        {
            call.WriteJson(
                new LocateJson(key.Id, key.Text, [.. locations.Select(at => new LocationJson(at.Node, at.Node == here, at.Incarnation.ToString("x16"), at.IsComplete, at.PayloadBytes < 0 ? null : at.PayloadBytes))]),
                CliJson.Documents.LocateJson);
        }
        else if (locations.Count > 0)
        {
            var table = new TextTable("NODE", "", "STATE", ">SIZE", "INCARNATION");
            foreach (ObjectLocation at in locations)
            {
                table.Add(
                    at.Node.ToString(), at.Node == here ? "here" : "", at.IsComplete ? "complete" : "being received", at.PayloadBytes < 0 ? "-" : Sizes.Bytes(at.PayloadBytes),
                    at.Incarnation == 0 ? "-" : at.Incarnation.ToString("x16"));
            }

            table.Write(call.Context);
        }

        return locations.Count > 0 ? ExitCodes.Ok : call.Report(CliException.Of(PlasmaStatus.NotFound, $"no node that answered has object {key}"));
    }
}
