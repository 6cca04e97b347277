using System.CommandLine;
using System.Text.Json;
using FastPlasma.Cli.Nodes;
using FastPlasma.Transfer;
using Microsoft.Extensions.Logging;

namespace FastPlasma.Cli.Commands;

/// <summary>fastplasma serve</summary>
internal static class ServeCommand
{
    private static readonly NodeEndpoint DefaultListen = new PlasmaNodeOptions().Listen;

    private static readonly Option<NodeEndpoint?> Listen = NodeSettings.Endpoint(
        "--listen", $"Where to listen; port 0 lets the system choose. Default {DefaultListen}. What other machines can reach needs --key-file or TLS.");

    private static readonly Option<NodeEndpoint?> Advertise = NodeSettings.Endpoint("--advertise", "Where others dial this node, if that is not where it listens; port 0 stands for the port that it listens on.");

    private static readonly Option<int?> Streams = new("--streams") { Description = "Data connections to a node that has a whole object. Default 4.", HelpName = "N" };

    private static readonly Option<int?> Replicas = new("--replicas") { Description = "Copies that each object sealed here is to have on other nodes. Default 0.", HelpName = "N" };

    private static readonly Option<string?> Name = new("--name") { Description = "Name to show; default machine and store.", HelpName = "NAME" };

    private static readonly Option<long?> CreateSize = new("--create-size")
    {
        Description = "Create the store with this capacity if it is missing.",
        HelpName = "SIZE",
        CustomParser = static result => Sizes.ParseBytes(result),
    };

    private static readonly Option<LogLevel?> Log = new("--log") { Description = "Least important log lines on stderr. Default information.", HelpName = "debug|information|warning" };

    internal static Command Create() => new StoreCommand(
        "serve", "Run the store's node service: other nodes get its objects, processes of this machine those of others. Until SIGINT or SIGTERM.",
        "fastplasma serve --store prices --peer 10.0.0.2 --peer 10.0.0.3 --listen 10.0.0.1 --key-file /etc/fastplasma/key",
        "fastplasma serve --store scratch --create-size 4GiB --listen 127.0.0.1:0 --json")
    {
        Listen, Advertise, NodeSettings.Peers, NodeSettings.Redis, NodeSettings.Cluster, NodeSettings.KeyFile, NodeSettings.TlsCertificate, NodeSettings.TlsKey, NodeSettings.TlsAuthorities, Streams, Replicas, Name, CreateSize, Log,
    }.RunsUntilSignalled().Runs(Run);

    private static int Run(Call call)
    {
        if (call.Value(CreateSize) is <= 0)
            throw CliException.Usage("--create-size has to be more than 0");
        PlasmaNodeOptions options = NodeSettings.Of(call, call.Value(Listen) ?? DefaultListen, call.Value(NodeSettings.Peers));
        options = options with
        {
            Advertise = call.Value(Advertise),
            StreamsPerPeer = call.Value(Streams) ?? options.StreamsPerPeer,
            Replicas = call.Value(Replicas) ?? options.Replicas,
            Name = call.Value(Name),
        };
        if (options.Validate() is { } wrong)
            throw CliException.Usage(wrong); // Before a store is made.
        using PlasmaStore store = call.Value(CreateSize) is { } size
            ? PlasmaStore.OpenOrCreate(call.StoreName, new PlasmaOptions { CapacityBytes = size, Directory = call.Directory, PopulateAheadBytes = 0 })
            : call.Open(StoreAccess.ReadWrite);
        NodeHost.RunAsync(store, options, call.Value(Log) ?? LogLevel.Information, node => Say(call, node), call.Cancellation).GetAwaiter().GetResult();
        return ExitCodes.Ok;
    }

    /// <summary>One line, at once: who started the service waits for it.</summary>
    private static void Say(Call call, PlasmaNode node)
    {
        if (call.Json)
            call.WriteLine(JsonSerializer.Serialize(new ServeJson(node.Store.Name, node.Store.Uuid, Environment.ProcessId, node.Id, node.Endpoint), CliJson.Lines.ServeJson));
        else
            call.WriteLine($"serving {TextTable.Printable(node.Store.Name)} at {node.Endpoint}, process {Environment.ProcessId}");
        call.Context.Output.Flush();
    }
}
