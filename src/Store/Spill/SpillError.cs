namespace FastPlasma;

/// <summary>What kind of trouble spilling met.</summary>
public enum SpillErrorKind
{
    /// <summary>The limit in bytes (<see cref="PlasmaOptions.SpillBytes"/>) is reached.</summary>
    Limit = 1,

    /// <summary>The file system is full, or so full that the share that has to stay free (<see cref="PlasmaOptions.SpillReserve"/>) would be touched, or the user's quota on it is.</summary>
    NoSpace = 2,

    /// <summary>The system reported an error while it read, wrote or reserved.</summary>
    InputOutput = 3,

    /// <summary>The spill file or its directory is not there.</summary>
    Missing = 4,

    /// <summary>The spill file ends before the object's copy does.</summary>
    Truncated = 5,

    /// <summary>The bytes on disk are not those that were written.</summary>
    Damaged = 6,

    /// <summary>The place holds the copy of another object.</summary>
    WrongObject = 7,

    /// <summary>The place lies outside of the spill file, or the store has no such directory: the shared state is broken.</summary>
    BadPlace = 8,

    /// <summary>The system has answered writes neither with success nor with an error for some seconds.</summary>
    NoAnswer = 9,
}

/// <summary>Why an object could not be written to disk or read back; names object, file, offset and what was expected.</summary>
public sealed record SpillError
{
    /// <summary>What kind of trouble.</summary>
    public required SpillErrorKind Kind { get; init; }

    /// <summary>The object; null when the error is about no one object.</summary>
    public ObjectId? Id { get; init; }

    /// <summary>The spill file, or the directory when there is no file; with several directories that all refused, the last one.</summary>
    public required string File { get; init; }

    /// <summary>Where in the file; -1 when it is about no place in it.</summary>
    public long Offset { get; init; } = -1;

    /// <summary>The system's error number, or 0.</summary>
    public int ErrorNumber { get; init; }

    /// <summary>One sentence for people: object, file, offset, what was found and what was expected.</summary>
    public required string Message { get; init; }

    /// <inheritdoc/>
    public override string ToString() => Message;

    /// <summary>Whether the directory was not tried, because it failed a short while ago.</summary>
    internal bool IsResting { get; init; }
}
