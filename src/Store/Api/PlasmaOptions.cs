using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace FastPlasma;

/// <summary>What an attachment may do with a store.</summary>
public enum StoreAccess
{
    /// <summary>Create, get, delete, evict, and recover what dead processes left.</summary>
    ReadWrite = 0,

    /// <summary>Get, wait and observe only. The process maps payload, index, entries and allocator words read-only.</summary>
    ReadOnly = 1,
}

/// <summary>Whether the payload pages of a store are 2 MiB pages.</summary>
public enum HugePages
{
    /// <summary>4 KiB pages.</summary>
    Never = 0,

    /// <summary>2 MiB pages where the directory's file system gives them at no cost (hugetlbfs; tmpfs mounted with huge=always, within_size or advise), else 4 KiB pages; what was really got is in <see cref="StoreStats"/>.</summary>
    Auto = 1,

    /// <summary>As <see cref="Auto"/>; elsewhere the kernel (6.1 or later) is asked to make 2 MiB pages of small ones, which takes it milliseconds for each. Memory that cannot be had in 2 MiB pages is an error.</summary>
    Require = 2,
}

/// <summary>What may happen to a sealed object when memory is short.</summary>
public enum Retention
{
    /// <summary>Stays until somebody deletes it.</summary>
    Keep = 0,

    /// <summary>May be dropped when nobody reads it and memory is needed; those that were not read for long go first (docs/eviction.md).</summary>
    Evictable = 1,
}

/// <summary>How a store is created or opened. Geometry and rights count at creation only; an opener takes them from the store.</summary>
public sealed record PlasmaOptions
{
    /// <summary>Limit of payload memory in bytes, rounded up to 2 MiB; memory is taken as it is needed. Default 1 GiB.</summary>
    public long CapacityBytes { get; init; } = 1L << 30;

    /// <summary>Limit of objects at one time; 0 (default) takes one per 32 KiB of capacity, at least 4,096 and at most 16,777,216.</summary>
    public int ObjectCountMax { get; init; }

    /// <summary>Page size of the payload memory. Default <see cref="HugePages.Auto"/>.</summary>
    public HugePages HugePages { get; init; } = HugePages.Auto;

    /// <summary>Rights of the store's files; group rights make the members of <see cref="Group"/> writers. Default: owner only.</summary>
    public UnixFileMode Mode { get; init; } = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <summary>Group of the store's files; null keeps the creator's.</summary>
    public string? Group { get; init; }

    /// <summary>Rights of this attachment. Default <see cref="StoreAccess.ReadWrite"/>.</summary>
    public StoreAccess Access { get; init; }

    /// <summary>Folder of the store's files; null (default) is the system's shared memory (/dev/shm). A hugetlbfs mount holds the payload only; the rest then stays in shared memory.</summary>
    public string? Directory { get; init; }

    /// <summary>Retention of objects that do not say. Default <see cref="Retention.Keep"/>.</summary>
    public Retention DefaultRetention { get; init; }

    /// <summary>Time to live of objects that do not say, counted from the seal; null (default) for no end.</summary>
    public TimeSpan? DefaultTimeToLive { get; init; }

    /// <summary>Free payload memory that background threads of writers keep by evicting ahead of need once the store has been full, in bytes; null (default) is 0 below 64 MiB of capacity and a
    /// sixty-fourth of it from there on, 128 MiB at most. Objects go that much earlier than they would have to, and a put finds memory instead of making room first.</summary>
    public long? EvictAheadBytes { get; init; }

    /// <summary>Payload memory that a background thread of this attachment keeps reserved and ready ahead of need, in bytes; null (default) is 0 below 4 GiB of capacity and 128 MiB from there on.</summary>
    public long? PopulateAheadBytes { get; init; }

    /// <summary>Slots of the event ring, rounded up to a power of two: how many events a subscriber may lag behind. Default 4,096.</summary>
    public int EventCapacity { get; init; } = 4096;

    /// <summary>How long a create waits for memory when its options do not say. Default zero: a full store answers at once.</summary>
    public TimeSpan FullTimeout { get; init; }

    /// <summary>Memory that objects created through this attachment may take together, in bytes; null (default) for no limit but the store's. An attachment over its quota evicts its own
    /// evictable objects and never another's; when that is not enough, creates answer StoreFull. Counted again when reached, so creates that run at the same
    /// moment may pass it by their own size.</summary>
    public long? QuotaBytes { get; init; }

    /// <summary>How many threads copy one put of 16 MiB or more without checksum: the caller, and threads of the pool as far as they are free; 1 to 64. 0 (default) takes half of the processors, at least 2 and at most 4,
    /// and never more than there are. 1 keeps every put on the thread that calls.</summary>
    public int CopyThreads { get; init; }

    /// <summary>Folders on disk to which objects are written that must not be lost when memory is short; the first that works is taken, the next when it fails or is full. Empty (default): the store spills nothing. At most 16, each named
    /// once; counts at creation, and every attachment uses them. A folder that cannot be used at creation is left out by this store for good, with a warning; it is an error only when none can be used.</summary>
    public IReadOnlyList<string> SpillDirectories { get; init; } = [];

    /// <summary>Limit of the disk space of all spill directories together in bytes, rounded up to 2 MiB; null (default) for no limit but <see cref="SpillReserve"/>. Counts at creation.</summary>
    public long? SpillBytes { get; init; }

    /// <summary>Share of a spill directory's file system that stays free: nothing is spilled there that would leave less, 0 to 0.99. Default 0.05. Counts at creation.</summary>
    public double SpillReserve { get; init; } = 0.05;

    /// <summary>Whether the objects on disk outlive the store: when its last writer has left, a catalogue of them stays in the spill directories, and the next store that is created with the same name, folder and spill directories has them again.
    /// Objects that are in memory only are not among them. Counts at creation.</summary>
    public bool Persist { get; init; }

    /// <summary>Whether this attachment has the thread that moves objects to disk ahead of need. For attacks that stop all threads of a process but one: what that thread holds would never be given back.</summary>
    internal bool SpillsAhead { get; init; } = true;

    /// <summary>How long calls wait for a disk that does not answer and have no deadline of their own. <see cref="Timeout.InfiniteTimeSpan"/>: all calls do the disk's work themselves, and wait for it however long that takes; for attacks as above.</summary>
    internal TimeSpan DiskPatience { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Seed of the index's hash at creation; null (default) is a random one, so that nobody can aim ids at one place. For attacks that must find the same collisions each time.</summary>
    internal ulong? HashSeed { get; init; }

    /// <summary>Where recoveries, refused files and background work are reported.</summary>
    public ILogger Logger { get; init; } = NullLogger.Instance;
}

/// <summary>How one object is created; the default value is a plain object of the store's default retention.</summary>
public readonly ref struct ObjectOptions
{
    /// <summary>Bytes that travel with the payload and are read apart from it; empty by default, at most 16 MiB.</summary>
    public ReadOnlySpan<byte> Metadata { get; init; }

    /// <summary>A name to show, at most 4,096 bytes of UTF-8; it need not belong to the id.</summary>
    public ReadOnlySpan<char> Name { get; init; }

    /// <summary>A media type to show, at most 255 bytes of UTF-8.</summary>
    public ReadOnlySpan<char> ContentType { get; init; }

    /// <summary>Null takes the store's default.</summary>
    public Retention? Retention { get; init; }

    /// <summary>How long the object lives after its seal: then it is gone for every call, as if it were deleted. Precise to a second, never early; by the machine's clock, so a clock that is set moves the end. Null takes the
    /// store's default, <see cref="Timeout.InfiniteTimeSpan"/> is no end; else above zero and at most 100 years. Copies on other nodes end at the same moment, by their clocks.</summary>
    public TimeSpan? TimeToLive { get; init; }

    /// <summary>Address alignment of the payload in bytes: 64 (and 4,096 from 32 KiB on) when 0; else 64, 4,096 or 2,097,152.</summary>
    public int AlignmentBytes { get; init; }

    /// <summary>Whether a 64-bit XXH3 checksum over payload and metadata is stored at seal.</summary>
    public bool Checksum { get; init; }

    /// <summary>How long to wait for memory; null takes <see cref="PlasmaOptions.FullTimeout"/>. Zero does not wait for others to free any; what has to go to disk first is moved all the same, unless the disk does not answer for some seconds, and for 30 seconds at most (and one more for each 32 MiB).</summary>
    public TimeSpan? Timeout { get; init; }

    /// <summary>Ends the wait for memory at once: the create throws <see cref="OperationCanceledException"/>, and there is no object.</summary>
    public CancellationToken CancellationToken { get; init; }
}
