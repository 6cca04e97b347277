namespace FastPlasma;

/// <summary>Whether anybody wants a spill file.</summary>
public enum SpillFileState
{
    /// <summary>A process has it open, or its store is there.</summary>
    InUse = 0,

    /// <summary>A persistent store has left it with a catalogue; the next store of that name takes it over.</summary>
    Persisted = 1,

    /// <summary>Its store is gone, and nobody comes back to it.</summary>
    Orphan = 2,

    /// <summary>Its header or its catalogue is not what was written, so that nothing can be said about its objects.</summary>
    Damaged = 3,

    /// <summary>This user may not look.</summary>
    Unknown = 4,
}

/// <summary>One file of a spill directory, looked at from outside of any store.</summary>
public sealed record SpillFileInfo
{
    /// <summary>The file.</summary>
    public required string Path { get; init; }

    /// <summary>Name of the store, as in the file's name.</summary>
    public required string StoreName { get; init; }

    /// <summary>Whether anybody wants it.</summary>
    public required SpillFileState State { get; init; }

    /// <summary>Why it is in that state, for people.</summary>
    public required string Detail { get; init; }

    /// <summary>Its length.</summary>
    public long SizeBytes { get; init; }

    /// <summary>Disk space that it takes.</summary>
    public long AllocatedBytes { get; init; }

    /// <summary>Objects that its catalogue lists; 0 without a valid one.</summary>
    public int ObjectCount { get; init; }

    /// <summary>Whether it was removed by the call that returned this.</summary>
    public bool IsRemoved { get; init; }
}

/// <summary>One spill directory of a store, with the numbers of all its attachments since the store was created.</summary>
public sealed record SpillDirectoryInfo
{
    /// <summary>The directory.</summary>
    public required string Path { get; init; }

    /// <summary>The store's file there; null when this attachment does not have it open.</summary>
    public required string? File { get; init; }

    /// <summary>Why nothing is written there at the moment, or why this attachment can use nothing there; null when all is well.</summary>
    public required string? Problem { get; init; }

    /// <summary>Objects that have a copy there.</summary>
    public required int ObjectCount { get; init; }

    /// <summary>Disk space of blocks that belong to a copy, or to one that is being written.</summary>
    public required long UsedBytes { get; init; }

    /// <summary>Disk space that the store has taken there.</summary>
    public required long BackedBytes { get; init; }

    /// <summary>What a user without privileges can still take on that file system; -1 when it cannot be asked.</summary>
    public required long AvailableBytes { get; init; }

    /// <summary>Size of that file system; -1 when it cannot be asked.</summary>
    public required long FileSystemBytes { get; init; }

    /// <summary>Copies written.</summary>
    public required long WrittenCount { get; init; }

    /// <summary>Their bytes on disk.</summary>
    public required long WrittenBytes { get; init; }

    /// <summary>Reads of copies or parts of them.</summary>
    public required long ReadCount { get; init; }

    /// <summary>Their bytes.</summary>
    public required long ReadBytes { get; init; }

    /// <summary>Writes that failed, also for want of space.</summary>
    public required long WriteErrors { get; init; }

    /// <summary>Reads that the system refused.</summary>
    public required long ReadErrors { get; init; }

    /// <summary>Copies that were not what had been written, each time one was met.</summary>
    public required long BadCopies { get; init; }
}

/// <summary>The spill space of a store.</summary>
public sealed record SpillInfo
{
    /// <summary>Its directories in the order in which they are tried; empty when the store spills nothing.</summary>
    public required IReadOnlyList<SpillDirectoryInfo> Directories { get; init; }

    /// <summary>Limit of all directories together; null for none but those of the file systems.</summary>
    public required long? LimitBytes { get; init; }

    /// <summary>Share of a directory's file system that stays free.</summary>
    public required double Reserve { get; init; }

    /// <summary>Whether the objects on disk outlive the store.</summary>
    public required bool IsPersistent { get; init; }
}

/// <summary>What a look at all copies on disk has found.</summary>
public sealed record SpillVerifyReport
{
    /// <summary>Copies that were read.</summary>
    public required int CopyCount { get; init; }

    /// <summary>Bytes of objects in them.</summary>
    public required long ImageBytes { get; init; }

    /// <summary>What is wrong; empty when all is well.</summary>
    public required IReadOnlyList<SpillError> Errors { get; init; }
}
