namespace FastPlasma.Transfer;

/// <summary>A node as others know it.</summary>
/// <param name="Id">Of this run of the node; another run has another.</param>
/// <param name="Endpoint">Where it can be dialed.</param>
/// <param name="StoreUuid">Its store.</param>
/// <param name="Name">To show: machine and store.</param>
public sealed record NodeDescription(Guid Id, NodeEndpoint Endpoint, Guid StoreUuid, string Name);

/// <summary>That a node has an object.</summary>
/// <param name="Node">Where it can be dialed.</param>
/// <param name="Incarnation">Which creation of the id; 0 if that is not known.</param>
/// <param name="IsComplete">False while the node still receives it.</param>
/// <param name="PayloadBytes">Size, or -1 if that is not known.</param>
public sealed record ObjectLocation(NodeEndpoint Node, ulong Incarnation, bool IsComplete, long PayloadBytes);
