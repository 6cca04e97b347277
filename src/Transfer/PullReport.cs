namespace FastPlasma.Transfer;

/// <summary>What became of a pull.</summary>
/// <param name="Here">Objects that are in the store now.</param>
/// <param name="Failures">The others.</param>
public sealed record PullReport(int Here, IReadOnlyList<PullFailure> Failures);

/// <summary>An object that did not come.</summary>
/// <param name="Id">Which.</param>
/// <param name="Status">NotFound, StoreFull, TooLarge, Timeout, or Closed when the node was stopped.</param>
/// <param name="Reason">For people.</param>
public sealed record PullFailure(ObjectId Id, PlasmaStatus Status, string Reason);

/// <summary>A peer as this node sees it.</summary>
/// <param name="Endpoint">Where it is dialed.</param>
/// <param name="NodeId">Id of its present run; empty before the first connection.</param>
/// <param name="StoreUuid">Its store; empty likewise.</param>
/// <param name="IsUp">Whether a connection to it stands.</param>
/// <param name="PingMicroseconds">Round trip of the last ping; negative before the first.</param>
/// <param name="Problem">Why it cannot be reached, or null.</param>
public sealed record PeerInfo(NodeEndpoint Endpoint, Guid NodeId, Guid StoreUuid, bool IsUp, double PingMicroseconds, string? Problem);
