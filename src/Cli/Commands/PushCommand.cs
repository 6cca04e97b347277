using System.CommandLine;
using FastPlasma.Cli.Nodes;
using FastPlasma.Transfer;

namespace FastPlasma.Cli.Commands;

/// <summary>fastplasma push</summary>
internal static class PushCommand
{
    private static readonly Argument<string[]> Keys = new("ID|NAME") { Description = $"The objects to bring. {StoreOptions.KeyForms}", Arity = ArgumentArity.ZeroOrMore };

    private static readonly Option<bool> All = new("--all") { Description = "Every object of the store." };

    private static readonly Option<NodeEndpoint?> To = NodeSettings.Endpoint("--to", "The node that is to have them.");

    private static readonly Option<NodeEndpoint?> Listen = NodeSettings.Endpoint(
        "--listen", "Without a node service: where the other node, which takes the objects from here, reaches this command. Default a port of 127.0.0.1, which serves nodes of this machine only.");

    private static readonly Option<TimeSpan?> Timeout = StoreOptions.Timeout($"How long to wait until they are there. Default {MoveReport.DefaultTimeout.TotalSeconds}s.");

    internal static Command Create() => new StoreCommand(
        "push", "Have another node take objects of the store, and wait until it has them.",
        "fastplasma push model.bin --to 10.0.0.2",
        "fastplasma push --all --to 10.0.0.2 --listen 10.0.0.1:0 --key-file /etc/fastplasma/key")
    {
        Keys, All, To, Listen, Timeout, NodeSettings.KeyFile, NodeSettings.TlsCertificate, NodeSettings.TlsKey, NodeSettings.TlsAuthorities,
    }.NegativeWhen("an object is not here or was not taken in time; the others are there").Runs(Run);

    private static int Run(Call call)
    {
        ObjectKey[] keys = [.. call.Value(Keys)!.Select(ObjectKey.Parse)];
        if (call.Value(All) == keys.Length > 0)
            throw CliException.Usage(keys.Length > 0 ? "--all and single objects exclude each other" : "name objects, or say --all");
        NodeEndpoint to = call.Value(To) ?? throw CliException.Usage("--to says which node is to have the objects");
        NodeEndpoint listen = call.Value(Listen) ?? new NodeEndpoint("127.0.0.1", 0);
        using PlasmaStore store = call.Open(StoreAccess.ReadOnly);
        if (keys.Length == 0)
            keys = [.. store.List().Where(static info => info.IsSealed).Select(static info => new ObjectKey(info.Id, info.Id.ToString()))];
        using NodeAccess access = NodeAccess.ToServiceOrOwn(call, store, listen, [to], "");
        if (access.IsOwn && listen.IsLoopback && !to.IsLoopback)
            throw CliException.Usage($"{to} takes the objects from here and cannot reach {listen.Host}; say --listen with an address of this machine, or run 'fastplasma serve'");
        TimeSpan timeout = call.Value(Timeout) ?? MoveReport.DefaultTimeout;
        return MoveReport.Run(call, $"push to {to}", keys, (ids, progress) => access.Client.PushAsync(ids, to, timeout, progress, call.Cancellation));
    }
}
