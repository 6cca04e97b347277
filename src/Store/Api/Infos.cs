namespace FastPlasma;

/// <summary>Life-cycle state of an object.</summary>
public enum ObjectState
{
    /// <summary>No object.</summary>
    Free = 0,

    /// <summary>A create that is not decided yet.</summary>
    Tentative = 1,

    /// <summary>A create that lost or was given up.</summary>
    Aborted = 2,

    /// <summary>Being written by its creator.</summary>
    Creating = 3,

    /// <summary>Immutable and readable.</summary>
    Sealed = 4,

    /// <summary>Deleted or evicted; memory is kept for those who still read it.</summary>
    Condemned = 5,

    /// <summary>On disk and still in memory, which is taken away unless somebody reads it at this very moment.</summary>
    Unloading = 6,

    /// <summary>On disk; a get with a timeout brings it back.</summary>
    Spilled = 7,

    /// <summary>On its way back from disk.</summary>
    Restoring = 8,

    /// <summary>On disk; its memory is being freed.</summary>
    Emptying = 9,
}

/// <summary>One attachment that reads an object.</summary>
/// <param name="ProcessId">Process id in its own pid namespace.</param>
/// <param name="ProcessName">Command name of the process.</param>
/// <param name="Pins">Open handles on the object.</param>
/// <param name="Since">When the oldest of them was opened, to 0.1 s.</param>
/// <param name="OtherPidNamespace">Whether the process id is a number of another pid namespace than the caller's (a container's), and means nothing here.</param>
public sealed record PinHolder(int ProcessId, string ProcessName, int Pins, DateTimeOffset Since, bool OtherPidNamespace);

/// <summary>One object as <see cref="PlasmaStore.List"/> saw it.</summary>
public sealed record ObjectInfo
{
    /// <summary>The id.</summary>
    public required ObjectId Id { get; init; }

    /// <summary>State at that moment.</summary>
    public required ObjectState State { get; init; }

    /// <summary>Name given at creation, or empty.</summary>
    public required string Name { get; init; }

    /// <summary>Media type given at creation, or empty.</summary>
    public required string ContentType { get; init; }

    /// <summary>Length of the payload in bytes.</summary>
    public required long PayloadBytes { get; init; }

    /// <summary>Length of the user metadata in bytes.</summary>
    public required int MetadataBytes { get; init; }

    /// <summary>Memory taken, in bytes.</summary>
    public required long BlockBytes { get; init; }

    /// <summary>Whether it is sealed and can be got: in memory, on disk or between.</summary>
    public bool IsSealed => State is ObjectState.Sealed or ObjectState.Unloading or ObjectState.Emptying or ObjectState.Spilled or ObjectState.Restoring;

    /// <summary>Whether its bytes are on disk: besides memory while <see cref="State"/> is Sealed, else only there, and then <see cref="BlockBytes"/> is 0 and <see cref="Name"/> and <see cref="ContentType"/> are empty.</summary>
    public bool IsOnDisk { get; init; }

    /// <summary>When its creation began, to 0.1 s.</summary>
    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>When it was sealed, to 0.1 s; null before.</summary>
    public required DateTimeOffset? SealedAt { get; init; }

    /// <summary>What may happen to it when memory is short.</summary>
    public required Retention Retention { get; init; }

    /// <summary>When it is gone by itself; null for never, and before it is sealed.</summary>
    public DateTimeOffset? ExpiresAt { get; init; }

    /// <summary>Unique number of this creation of the id.</summary>
    public required ulong Incarnation { get; init; }

    /// <summary>Whether it is a copy of an object that was made in another store, with the incarnation that it has there.</summary>
    public required bool IsReplica { get; init; }

    /// <summary>Process id of the creator while it is being created, else 0.</summary>
    public required int CreatorProcessId { get; init; }

    /// <summary>Who reads it.</summary>
    public required IReadOnlyList<PinHolder> Holders { get; init; }
}

/// <summary>One attachment of one process to the store.</summary>
/// <param name="Uid">User of its domain.</param>
/// <param name="Index">Place in its domain.</param>
/// <param name="ProcessId">Process id in its own pid namespace.</param>
/// <param name="ProcessName">Command name.</param>
/// <param name="Access">What it may do.</param>
/// <param name="AttachedAt">Since when.</param>
/// <param name="Pins">Open handles on objects.</param>
/// <param name="Creating">Unfinished creates.</param>
/// <param name="Alive">Whether its life token is held.</param>
/// <param name="TokenKept">Whether the token is held although the process is gone: a forked child keeps it, and what the process held is recovered when that ends.</param>
/// <param name="OtherPidNamespace">Whether the process id is a number of another pid namespace than the caller's (a container's), and means nothing here.</param>
public sealed record ParticipantInfo(
    uint Uid, int Index, int ProcessId, string ProcessName, StoreAccess Access, DateTimeOffset AttachedAt, int Pins, int Creating, bool Alive, bool TokenKept, bool OtherPidNamespace);

/// <summary>Cumulative counts of one process or of a whole store since its creation. Bytes are user-space copies by the store's own code.</summary>
public sealed record OperationCounts
{
    /// <summary>Gets that found their object.</summary>
    public long Gets { get; init; }

    /// <summary>Gets that did not.</summary>
    public long GetMisses { get; init; }

    /// <summary>Payload bytes that gets made readable, without copying them.</summary>
    public long GetBytes { get; init; }

    /// <summary>User-space bytes copied by gets: 0, unless a caller asks for a copy with CopyTo.</summary>
    public long GetCopiedBytes { get; init; }

    /// <summary>Puts: create, copy and seal in one call.</summary>
    public long Puts { get; init; }

    /// <summary>Payload bytes of puts.</summary>
    public long PutBytes { get; init; }

    /// <summary>User-space bytes copied by puts: their payload once.</summary>
    public long PutCopiedBytes { get; init; }

    /// <summary>Objects whose creator wrote the payload in place.</summary>
    public long Creates { get; init; }

    /// <summary>Payload bytes of those.</summary>
    public long CreateBytes { get; init; }

    /// <summary>User-space bytes copied by the store for those: 0, unless the creator used ObjectWriter.CopyFrom or a stream.</summary>
    public long CreateCopiedBytes { get; init; }

    /// <summary>Creates given up.</summary>
    public long Aborts { get; init; }

    /// <summary>Objects deleted by request.</summary>
    public long Deletes { get; init; }

    /// <summary>Objects evicted for memory.</summary>
    public long Evictions { get; init; }

    /// <summary>Payload bytes evicted.</summary>
    public long EvictedBytes { get; init; }

    /// <summary>Objects removed because their time to live was over.</summary>
    public long Expirations { get; init; }

    /// <summary>Recoveries of dead participants.</summary>
    public long Recoveries { get; init; }

    /// <summary>Copies of objects written to disk.</summary>
    public long Spills { get; init; }

    /// <summary>Payload bytes of those.</summary>
    public long SpilledBytes { get; init; }

    /// <summary>Objects brought back from disk.</summary>
    public long Restores { get; init; }

    /// <summary>Payload bytes of those.</summary>
    public long RestoredBytes { get; init; }

    /// <summary>Copies that could not be written.</summary>
    public long SpillErrors { get; init; }

    /// <summary>Objects that could not be brought back because of the disk: missing, damaged or unreadable.</summary>
    public long RestoreErrors { get; init; }
}

/// <summary>Numbers of a store at one moment. Byte figures are sums over a walk, so they may be off by what changed during it.</summary>
public sealed record StoreStats
{
    /// <summary>Store name; empty for an anonymous store.</summary>
    public required string Name { get; init; }

    /// <summary>Unique id of this store's files.</summary>
    public required Guid Uuid { get; init; }

    /// <summary>Limit of payload memory.</summary>
    public required long CapacityBytes { get; init; }

    /// <summary>Payload memory that the kernel has reserved for the store so far.</summary>
    public required long BackedBytes { get; init; }

    /// <summary>Bytes of metadata files, reserved.</summary>
    public required long MetaBytes { get; init; }

    /// <summary>Metadata bytes per possible object: entry, index share and one block word.</summary>
    public required double MetaBytesPerObject { get; init; }

    /// <summary>Memory in blocks of live and condemned objects.</summary>
    public required long UsedBytes { get; init; }

    /// <summary>Payload and metadata bytes of live and condemned objects: used memory less internal waste.</summary>
    public required long ObjectBytes { get; init; }

    /// <summary>Internal waste: used memory that is not object bytes.</summary>
    public long WasteBytes => UsedBytes - ObjectBytes;

    /// <summary>Free memory inside slabs, usable only for their size class.</summary>
    public required long SlabFreeBytes { get; init; }

    /// <summary>Longest contiguous run that one large object could take, in bytes.</summary>
    public required long LargestFreeRunBytes { get; init; }

    /// <summary>Memory of deleted or evicted objects that somebody still reads.</summary>
    public required long CondemnedBytes { get; init; }

    /// <summary>Memory that eviction could free if nobody reads it.</summary>
    public required long EvictableBytes { get; init; }

    /// <summary>Memory of objects that somebody reads.</summary>
    public long PinnedBytes { get; init; }

    /// <summary>Memory of sealed objects that may not be dropped.</summary>
    public long KeepBytes { get; init; }

    /// <summary>Creates that wait for space now; up to 64 are seen.</summary>
    public int WaitingCount { get; init; }

    /// <summary>Memory that they want.</summary>
    public long WaitingBytes { get; init; }

    /// <summary>Since when the first of them waits; null when there is none.</summary>
    public DateTimeOffset? WaitingSince { get; init; }

    /// <summary>Free memory that eviction in the background keeps; 0 when it does not.</summary>
    public long EvictAheadBytes { get; init; }

    /// <summary>Time to live of objects that do not say; null for none.</summary>
    public TimeSpan? DefaultTimeToLive { get; init; }

    /// <summary>Retention of objects that do not say.</summary>
    public Retention DefaultRetention { get; init; }

    /// <summary>Memory of objects that are being written.</summary>
    public required long CreatingBytes { get; init; }

    /// <summary>Sealed objects, in memory or on disk.</summary>
    public required int SealedCount { get; init; }

    /// <summary>Sealed objects that are on disk and not in memory.</summary>
    public int SpilledCount { get; init; }

    /// <summary>Payload and metadata bytes of those.</summary>
    public long SpilledBytes { get; init; }

    /// <summary>Memory of sealed objects that are on disk too: it can be taken without writing anything.</summary>
    public long CleanBytes { get; init; }

    /// <summary>Objects being written.</summary>
    public required int CreatingCount { get; init; }

    /// <summary>Condemned objects.</summary>
    public required int CondemnedCount { get; init; }

    /// <summary>Limit of objects.</summary>
    public required int ObjectCountMax { get; init; }

    /// <summary>What the creator asked for.</summary>
    public required HugePages HugePagesAsked { get; init; }

    /// <summary>Payload bytes that this process's mappings really hold in 2 MiB pages, from the kernel's own account.</summary>
    public required long HugePageBytes { get; init; }

    /// <summary>Goal of background population in bytes, 0 when off.</summary>
    public required long PopulateTargetBytes { get; init; }

    /// <summary>Payload memory reserved by background population so far.</summary>
    public required long PopulatedBytes { get; init; }

    /// <summary>Counts of this process's attachment.</summary>
    public required OperationCounts Process { get; init; }

    /// <summary>Counts of all attachments that ever were.</summary>
    public required OperationCounts Store { get; init; }

    /// <summary>Attachments now.</summary>
    public required IReadOnlyList<ParticipantInfo> Participants { get; init; }
}

/// <summary>Why a create found no memory.</summary>
/// <param name="RequestedBytes">Memory asked for.</param>
/// <param name="CapacityBytes">Limit of the store.</param>
/// <param name="UsedBytes">Memory in blocks.</param>
/// <param name="PinnedBytes">Memory of objects that somebody reads.</param>
/// <param name="KeepBytes">Memory of sealed objects that may not be dropped.</param>
/// <param name="CondemnedBytes">Memory that is deleted but still read.</param>
/// <param name="CreatingBytes">Memory of objects that are being written.</param>
/// <param name="LargestFreeRunBytes">Longest contiguous free run.</param>
/// <param name="ReservationError">What the operating system answered when more memory was asked of it; null when the limit is the store's own.</param>
/// <param name="Holders">Attachments that hold pins, most bytes first.</param>
/// <param name="Creators">Attachments with unfinished creates, most bytes first.</param>
public sealed record StoreFullReport(
    long RequestedBytes, long CapacityBytes, long UsedBytes, long PinnedBytes, long KeepBytes, long CondemnedBytes, long CreatingBytes,
    long LargestFreeRunBytes, string? ReservationError, IReadOnlyList<MemoryHolder> Holders, IReadOnlyList<MemoryHolder> Creators);

/// <summary>One attachment that keeps memory from being freed.</summary>
/// <param name="ProcessId">Process id in its own pid namespace.</param>
/// <param name="ProcessName">Command name.</param>
/// <param name="Objects">Objects that it reads, or creates.</param>
/// <param name="Pins">Open handles.</param>
/// <param name="Bytes">Memory of the objects.</param>
/// <param name="Since">When the oldest handle was opened, or the oldest create begun.</param>
/// <param name="Stopped">Whether the process stands still (SIGSTOP, a debugger).</param>
/// <param name="OtherPidNamespace">Whether the process id is a number of another pid namespace than the caller's (a container's), and means nothing here.</param>
public sealed record MemoryHolder(int ProcessId, string ProcessName, int Objects, int Pins, long Bytes, DateTimeOffset Since, bool Stopped, bool OtherPidNamespace);

/// <summary>What a walk over every invariant and checksum found.</summary>
/// <param name="Objects">Sealed objects looked at.</param>
/// <param name="ChecksumsVerified">Stored checksums that were compared.</param>
/// <param name="PayloadBytes">Payload bytes of the sealed objects.</param>
/// <param name="Problems">One sentence per broken invariant; empty when all hold.</param>
/// <param name="Notes">What breaks no invariant and keeps memory all the same: participants whose process is gone and whose life token a forked child keeps.</param>
public sealed record VerifyReport(long Objects, long ChecksumsVerified, long PayloadBytes, IReadOnlyList<string> Problems, IReadOnlyList<string> Notes);

/// <summary>Kind of a <see cref="PlasmaEvent"/>.</summary>
public enum PlasmaEventKind
{
    /// <summary>An object became readable.</summary>
    Sealed = 1,

    /// <summary>An object was deleted by request.</summary>
    Deleted = 2,

    /// <summary>An object was dropped for memory.</summary>
    Evicted = 3,

    /// <summary>An object's time to live is over. Gets have missed it for up to a second before this event.</summary>
    Expired = 4,
}

/// <summary>One change of the set of sealed objects.</summary>
/// <param name="Kind">What happened.</param>
/// <param name="Id">To which object.</param>
/// <param name="PayloadBytes">Length of its payload.</param>
/// <param name="MetadataBytes">Length of its user metadata.</param>
/// <param name="Sequence">Position in the store's event order, from 1.</param>
public readonly record struct PlasmaEvent(PlasmaEventKind Kind, ObjectId Id, long PayloadBytes, int MetadataBytes, long Sequence);
