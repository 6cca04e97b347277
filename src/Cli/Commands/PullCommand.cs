using System.CommandLine;
using System.CommandLine.Parsing;
using FastPlasma.Cli.Nodes;
using FastPlasma.Transfer;

namespace FastPlasma.Cli.Commands;

/// <summary>fastplasma pull</summary>
internal static class PullCommand
{
    private static readonly Argument<string[]> Keys = StoreOptions.Keys($"The objects to bring. {StoreOptions.KeyForms}");

    private static readonly Option<NodeEndpoint[]> From = NodeSettings.Endpoints("--from", "A node to ask beside those that the node service knows; without a service the command itself is a node that knows these.");

    private static readonly Option<TimeSpan?> Timeout = StoreOptions.Timeout($"How long to look for the objects and to receive them. Default {MoveReport.DefaultTimeout.TotalSeconds}s.");

    private static readonly Option<TransferPriority?> Priority = new("--priority")
    {
        Description = "Who goes first when not everything can be moved at once: get, then wait, then prefetch. Default get.",
        HelpName = "get|wait|prefetch",
        CustomParser = ParsePriority,
    };

    internal static Command Create() => new StoreCommand(
        "pull", "Bring objects of other nodes into the store.",
        "fastplasma pull model.bin name:ticks --timeout 30s",
        "fastplasma pull model.bin --from 10.0.0.2 --key-file /etc/fastplasma/key")
    {
        Keys, From, Timeout, Priority, NodeSettings.KeyFile, NodeSettings.TlsCertificate, NodeSettings.TlsKey, NodeSettings.TlsAuthorities,
    }.NegativeWhen("an object was not found or did not come in time; the others are here").Runs(Run);

    private static int Run(Call call)
    {
        ObjectKey[] keys = [.. call.Value(Keys)!.Select(ObjectKey.Parse)];
        NodeEndpoint[] from = call.Value(From) ?? [];
        TimeSpan timeout = call.Value(Timeout) ?? MoveReport.DefaultTimeout;
        using PlasmaStore store = call.Open(StoreAccess.ReadOnly);
        using NodeAccess access = NodeAccess.ToServiceOrOwn(call, store, new NodeEndpoint("127.0.0.1", 0), from, ", or say --from");
        return MoveReport.Run(call, $"pull into {store.Name}", keys, (ids, progress) =>
            access.Client.PullAsync(ids, from, timeout, call.Value(Priority) ?? TransferPriority.Get, progress, call.Cancellation));
    }

    private static TransferPriority? ParsePriority(ArgumentResult result)
    {
        string text = result.Tokens.Count == 0 ? "" : result.Tokens[^1].Value;
        switch (text.ToLowerInvariant())
        {
            case "get": return TransferPriority.Get;
            case "wait": return TransferPriority.Wait;
            case "prefetch": return TransferPriority.Prefetch;
            default:
                result.AddError($"--priority is '{text}'; it has to be get, wait or prefetch.");
                return null;
        }
    }
}
