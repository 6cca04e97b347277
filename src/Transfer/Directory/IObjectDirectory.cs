namespace FastPlasma.Transfer.Directory;

/// <summary>An object of this node's store, as it is announced.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Incarnation">Which creation.</param>
/// <param name="PayloadBytes">Its size.</param>
/// <param name="IsComplete">False while it is still being received; such a node serves what it has.</param>
public readonly record struct LocalObject(ObjectId Id, ulong Incarnation, long PayloadBytes, bool IsComplete);

/// <summary>That an incarnation was deleted, and for how much longer that is remembered.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Incarnation">Which creation.</param>
/// <param name="Left">From now on.</param>
public readonly record struct Tombstone(ObjectId Id, ulong Incarnation, TimeSpan Left);

/// <summary>What a directory tells its node. Calls may come from any thread and must not block.</summary>
public interface IDirectoryListener
{
    /// <summary>A watched object, or one whose location was asked for, is somewhere now.</summary>
    void Appeared(ObjectId id, ObjectLocation location);

    /// <summary>An object was deleted somewhere.</summary>
    void Deleted(ReadOnlySpan<Tombstone> tombstones);

    /// <summary>All objects of this node, and its tombstones, have to be announced: the directory has just been reached, or lost what it knew. Called by one thread at a time, whose announcements wait for room.</summary>
    void AnnounceAgain();

    /// <summary>This object has to be announced again if it is here: somebody did not find it here, and its location was removed.</summary>
    void AnnounceAgain(ObjectId id);
}

/// <summary>Who is there, and who has which object. Finds copies; never moves bytes and never decides what is true: a location that turns out to be wrong is corrected by its use.</summary>
/// <remarks>All members may be called from any thread. A directory that cannot be reached fails what asks it and nothing else: <see cref="Problem"/> says why, and it comes back by itself.</remarks>
public interface IObjectDirectory : IAsyncDisposable
{
    /// <summary>Whether it knows where objects are. If not, the nodes themselves are asked.</summary>
    bool KnowsLocations { get; }

    /// <summary>Nodes that are alive as far as is known, without this one.</summary>
    IReadOnlyList<NodeDescription> Nodes { get; }

    /// <summary>Why it cannot be asked at the moment; null if it can.</summary>
    string? Problem { get; }

    /// <summary>Begins to take part. Does not wait for the directory to be reachable.</summary>
    ValueTask StartAsync(NodeDescription self, IDirectoryListener listener, CancellationToken cancellationToken);

    /// <summary>Where objects are; one list for each id, empty where nothing is known. Empty lists from a directory that does not know locations.</summary>
    /// <exception cref="IOException">It cannot be reached; the message is <see cref="Problem"/>.</exception>
    ValueTask<IReadOnlyList<ObjectLocation>[]> LocateAsync(ReadOnlyMemory<ObjectId> ids, CancellationToken cancellationToken);

    /// <summary>Tells the listener when one of these objects appears anywhere, for so long. Locations that are there already are told too.</summary>
    void Watch(ReadOnlySpan<ObjectId> ids, TimeSpan howLong);

    /// <summary>These objects are here. Returns at once; what cannot be told now is told later.</summary>
    void Announce(ReadOnlySpan<LocalObject> objects);

    /// <summary>These objects are not here any more.</summary>
    void Withdraw(ReadOnlySpan<LocalObject> objects);

    /// <summary>A location turned out to be wrong: the node was asked and has no such object.</summary>
    void Correct(ObjectId id, ObjectLocation wrong);

    /// <summary>These objects were deleted here, everywhere.</summary>
    void Delete(ReadOnlySpan<Tombstone> tombstones);

    /// <summary>Deletes that are still remembered, for a node that was away. Empty if the nodes tell each other.</summary>
    ValueTask<IReadOnlyList<Tombstone>> TombstonesAsync(CancellationToken cancellationToken);
}
