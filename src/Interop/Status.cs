namespace FastPlasma.Interop;

/// <summary>fp_status of the header. The first ones are those of <see cref="PlasmaStatus"/>.</summary>
internal enum Status
{
    Ok = PlasmaStatus.Ok,
    NotFound = PlasmaStatus.NotFound,
    Exists = PlasmaStatus.Exists,
    NotSealed = PlasmaStatus.NotSealed,
    AlreadySealed = PlasmaStatus.AlreadySealed,
    NotOwner = PlasmaStatus.NotOwner,
    StoreFull = PlasmaStatus.StoreFull,
    TooManyObjects = PlasmaStatus.TooManyObjects,
    TooManyPins = PlasmaStatus.TooManyPins,
    TooLarge = PlasmaStatus.TooLarge,
    Timeout = PlasmaStatus.Timeout,
    Closed = PlasmaStatus.Closed,
    NotResident = PlasmaStatus.NotResident,
    InvalidArgument = 100,
    IoError = 101,
    AccessDenied = 102,
    BadFormat = 103,
    NoStore = 104,
    Forked = 105,
    Cancelled = 106,
    NoMemory = 107,
    Unsupported = 108,
    Internal = 199,
}

/// <summary>The text of statuses, in memory that never moves.</summary>
internal static class StatusText
{
    /// <summary>What fp_last_error says when the failure brought no text of its own.</summary>
    internal static ReadOnlySpan<byte> MessageOf(Status status) => status switch
    {
        Status.Ok => ""u8,
        Status.NotFound => "There is no sealed object of that id."u8,
        Status.Exists => "The id is taken: an object of that id is sealed or being created."u8,
        Status.NotSealed => "The object is still being created."u8,
        Status.AlreadySealed => "The object is sealed already."u8,
        Status.NotOwner => "Another attachment is creating the object."u8,
        Status.StoreFull => "The store has no room, also after eviction and waiting."u8,
        Status.TooManyObjects => "All object records of the store are taken."u8,
        Status.TooManyPins => "All pin slots of this attachment are taken."u8,
        Status.TooLarge => "The object can never fit into this store."u8,
        Status.Timeout => "The time is over."u8,
        Status.Closed => "The handle was sealed, released or closed before."u8,
        Status.NotResident => "The object is on disk, and was not brought back into memory."u8,
        Status.InvalidArgument => "An argument is NULL, out of range, or no handle."u8,
        Status.IoError => "The system refused files or memory."u8,
        Status.AccessDenied => "The user or the attachment has no right to do that."u8,
        Status.BadFormat => "The files are no store of this version, or its shared state is broken."u8,
        Status.NoStore => "There is no store of that name."u8,
        Status.Forked => "The library was in use before a fork, and this is the forked child, where it cannot be used until exec."u8,
        Status.Cancelled => "The wait was cancelled."u8,
        Status.NoMemory => "This process has no memory left."u8,
        Status.Unsupported => "The processor lacks instructions that the library is compiled with."u8,
        _ => "The library has a bug."u8,
    };
}
