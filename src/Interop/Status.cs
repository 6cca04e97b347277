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
    InvalidArgument = 100,
    IoError = 101,
    AccessDenied = 102,
    BadFormat = 103,
    NoStore = 104,
    Forked = 105,
    Cancelled = 106,
    NoMemory = 107,
    Internal = 199,
}

/// <summary>The text of statuses, in memory that never moves.</summary>
internal static class StatusText
{
    /// <summary>The name in the header.</summary>
    internal static ReadOnlySpan<byte> NameOf(Status status) => status switch
    {
        Status.Ok => "FP_OK"u8,
        Status.NotFound => "FP_NOT_FOUND"u8,
        Status.Exists => "FP_EXISTS"u8,
        Status.NotSealed => "FP_NOT_SEALED"u8,
        Status.AlreadySealed => "FP_ALREADY_SEALED"u8,
        Status.NotOwner => "FP_NOT_OWNER"u8,
        Status.StoreFull => "FP_STORE_FULL"u8,
        Status.TooManyObjects => "FP_TOO_MANY_OBJECTS"u8,
        Status.TooManyPins => "FP_TOO_MANY_PINS"u8,
        Status.TooLarge => "FP_TOO_LARGE"u8,
        Status.Timeout => "FP_TIMEOUT"u8,
        Status.Closed => "FP_CLOSED"u8,
        Status.InvalidArgument => "FP_INVALID_ARGUMENT"u8,
        Status.IoError => "FP_IO_ERROR"u8,
        Status.AccessDenied => "FP_ACCESS_DENIED"u8,
        Status.BadFormat => "FP_BAD_FORMAT"u8,
        Status.NoStore => "FP_NO_STORE"u8,
        Status.Forked => "FP_FORKED"u8,
        Status.Cancelled => "FP_CANCELLED"u8,
        Status.NoMemory => "FP_NO_MEMORY"u8,
        Status.Internal => "FP_INTERNAL"u8,
        _ => "FP_?"u8,
    };

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
        Status.InvalidArgument => "An argument is NULL, out of range, or no handle."u8,
        Status.IoError => "The system refused files or memory."u8,
        Status.AccessDenied => "The user or the attachment has no right to do that."u8,
        Status.BadFormat => "The files are no store of this version, or its shared state is broken."u8,
        Status.NoStore => "There is no store of that name."u8,
        Status.Forked => "The library was in use before a fork, and this is the forked child, where it cannot be used until exec."u8,
        Status.Cancelled => "The wait was cancelled."u8,
        Status.NoMemory => "This process has no memory left."u8,
        _ => "The library has a bug."u8,
    };
}
