namespace FastPlasma;

/// <summary>Expected outcome of a call that does not throw for it.</summary>
public enum PlasmaStatus
{
    /// <summary>Done.</summary>
    Ok = 0,

    /// <summary>No sealed object of that id.</summary>
    NotFound = 1,

    /// <summary>The id is taken, by a sealed object or by one that is being created.</summary>
    Exists = 2,

    /// <summary>The object is still being created.</summary>
    NotSealed = 3,

    /// <summary>The object is sealed already.</summary>
    AlreadySealed = 4,

    /// <summary>The object is being created by another participant.</summary>
    NotOwner = 5,

    /// <summary>No memory, also after eviction and waiting to the deadline.</summary>
    StoreFull = 6,

    /// <summary>All object records, or the places of the index for this id, are taken.</summary>
    TooManyObjects = 7,

    /// <summary>All pin slots of this participant are taken.</summary>
    TooManyPins = 8,

    /// <summary>The object can never fit into this store.</summary>
    TooLarge = 9,

    /// <summary>The deadline passed.</summary>
    Timeout = 10,

    /// <summary>The writer was sealed, aborted or disposed before.</summary>
    Closed = 11,

    /// <summary>The object is on disk, and was not brought back: the call does not (timeout zero), or could not.</summary>
    NotResident = 12,
}

/// <summary>A store operation failed; <see cref="Status"/> says how, the message with which numbers.</summary>
public class PlasmaException : Exception
{
    /// <summary>Creates the exception of a status.</summary>
    public PlasmaException(PlasmaStatus status, string message)
        : base(message) => Status = status;

    /// <summary>The outcome that the non-throwing form of the call returns.</summary>
    public PlasmaStatus Status { get; }
}

/// <summary>A create found no memory until its deadline; <see cref="Report"/> says who holds what.</summary>
public sealed class StoreFullException : PlasmaException
{
    internal StoreFullException(PlasmaStatus status, string message, StoreFullReport report)
        : base(status, message) => Report = report;

    /// <summary>Numbers of the store at the moment of failure.</summary>
    public StoreFullReport Report { get; }
}

/// <summary>The files of a store are not what this build can work with, or its shared state is broken.</summary>
public sealed class PlasmaFormatException : Exception
{
    /// <summary>Creates the exception.</summary>
    public PlasmaFormatException(string message)
        : base(message)
    {
    }
}
