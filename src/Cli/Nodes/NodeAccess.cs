using FastPlasma.Cli.Commands;
using FastPlasma.Transfer;
using FastPlasma.Transfer.Nodes;

namespace FastPlasma.Cli.Nodes;

/// <summary>The way of a command to a node: the running service of the store, or a node of its own as long as the command runs.</summary>
internal sealed class NodeAccess : IDisposable
{
    private static readonly TimeSpan LookTime = TimeSpan.FromSeconds(2);

    private readonly PlasmaStore? _ownStore;
    private readonly PlasmaNode? _ownNode;

    private NodeAccess(NodeControlClient client, PlasmaStore? ownStore, PlasmaNode? ownNode) => (Client, _ownStore, _ownNode) = (client, ownStore, ownNode);

    internal NodeControlClient Client { get; }

    /// <summary>Whether this process is the node.</summary>
    internal bool IsOwn => _ownNode is not null;

    /// <summary>Connects to the service.</summary>
    /// <exception cref="CliException">None runs, or it is not for this user.</exception>
    internal static NodeAccess ToService(Call call, PlasmaStore store, string otherwise) => TryService(call, store) ?? throw Missing(store, otherwise);

    /// <summary>Connects to the service, or runs a node that knows these others.</summary>
    /// <param name="call">Of the command.</param>
    /// <param name="store">The store, open for reading.</param>
    /// <param name="listen">Where an own node listens.</param>
    /// <param name="others">Whom it knows; without any there is none.</param>
    /// <param name="otherwise">What the error advises beside 'fastplasma serve'.</param>
    internal static NodeAccess ToServiceOrOwn(Call call, PlasmaStore store, NodeEndpoint listen, NodeEndpoint[] others, string otherwise)
    {
        if (TryService(call, store) is { } service)
            return service;
        if (others.Length == 0)
            throw Missing(store, otherwise);
        PlasmaNodeOptions options = NodeSettings.Of(call, listen, others);
        PlasmaStore writable = call.Open(StoreAccess.ReadWrite);
        PlasmaNode? node = null;
        try
        {
            node = new PlasmaNode(writable, options);
            node.StartAsync(call.Cancellation).GetAwaiter().GetResult();
            // The same way as to a service, so that there is one way.
            return new NodeAccess(NodeControlClient.TryConnect(writable) ?? throw new IOException($"the control socket of store '{store.Name}' cannot be made"), writable, node);
        }
        catch (Exception e)
        {
            node?.DisposeAsync().AsTask().GetAwaiter().GetResult();
            writable.Dispose();
            if (e is InvalidOperationException or IOException)
                throw new CliException(ExitCodes.InputOutput, Failure.InputOutputStatus, Failure.MessageOf(e), e);
            throw;
        }
    }

    /// <summary>What the service says of itself; null when there is none, or none that this user may ask.</summary>
    internal static NodeReport? Look(PlasmaStore store, CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(LookTime);
        try
        {
            using NodeControlClient? client = NodeControlClient.TryConnect(store);
            return client?.StatusAsync(limit.Token).GetAwaiter().GetResult();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException || (e is OperationCanceledException && !cancellation.IsCancellationRequested))
        {
            return null; // Stopped at this moment, standing still, or another user's: the store is looked at, not the service.
        }
    }

    public void Dispose()
    {
        Client.Dispose();
        _ownNode?.DisposeAsync().AsTask().GetAwaiter().GetResult();
        _ownStore?.Dispose();
    }

    private static NodeAccess? TryService(Call call, PlasmaStore store)
    {
        call.Cancellation.ThrowIfCancellationRequested();
        return NodeControlClient.TryConnect(store) is { } client ? new NodeAccess(client, null, null) : null;
    }

    private static CliException Missing(PlasmaStore store, string otherwise) => new(
        ExitCodes.Store, NoServiceStatus, $"no node service runs for store '{TextTable.Printable(store.Name)}'; 'fastplasma serve --store {TextTable.Printable(store.Name)}' runs one{otherwise}");

    private const string NoServiceStatus = "NoService";
}
