"""One exception class for each status of the C library."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import List, Optional


class Status(enum.IntEnum):
    """What a call of the C library ended with (fp_status)."""

    OK = 0
    NOT_FOUND = 1
    EXISTS = 2
    NOT_SEALED = 3
    ALREADY_SEALED = 4
    NOT_OWNER = 5
    STORE_FULL = 6
    TOO_MANY_OBJECTS = 7
    TOO_MANY_PINS = 8
    TOO_LARGE = 9
    TIMEOUT = 10
    CLOSED = 11
    NOT_RESIDENT = 12
    INVALID_ARGUMENT = 100
    IO_ERROR = 101
    ACCESS_DENIED = 102
    BAD_FORMAT = 103
    NO_STORE = 104
    FORKED = 105
    CANCELLED = 106
    NO_MEMORY = 107
    UNSUPPORTED = 108
    INTERNAL = 199


class FastPlasmaError(Exception):
    """What the store refuses. ``status`` says which refusal it is; each has a class of its own."""

    status: Status = Status.INTERNAL


class NotFound(FastPlasmaError, LookupError):
    """There is no sealed object of that id."""

    status = Status.NOT_FOUND


class Exists(FastPlasmaError):
    """The id is taken, by a sealed object or by one that is being created; or the store's name is."""

    status = Status.EXISTS


class NotSealed(FastPlasmaError):
    """The object is still being created."""

    status = Status.NOT_SEALED


class AlreadySealed(FastPlasmaError):
    """The object is sealed already."""

    status = Status.ALREADY_SEALED


class NotOwner(FastPlasmaError):
    """Another process is creating the object."""

    status = Status.NOT_OWNER


@dataclass(frozen=True)
class MemoryHolder:
    """One attachment that keeps memory of a full store from being freed."""

    creates: bool
    """Whether it is creating the objects; else it pins them."""
    process_id: int
    process_name: str
    object_count: int
    pin_count: int
    size: int
    """Memory of the objects, in bytes."""
    since_ns: int
    """When the oldest pin or create began, since 1970, UTC; to 0.1 s."""
    stopped: bool
    """The process stands still (SIGSTOP, a debugger)."""
    other_pid_namespace: bool
    """``process_id`` means nothing here."""


@dataclass(frozen=True)
class FullReport:
    """The numbers behind a store that is full, in bytes, and who held what: those that pin, then those that create, who holds most first."""

    requested_bytes: int
    capacity_bytes: int
    used_bytes: int
    pinned_bytes: int
    keep_bytes: int
    condemned_bytes: int
    creating_bytes: int
    largest_free_run_bytes: int
    reservation_error: Optional[str]
    """Why the system refused memory, if it did."""
    holders: List[MemoryHolder]


FULL_REPORT_NUMBERS = tuple(FullReport.__dataclass_fields__)[:-2]


class StoreFull(FastPlasmaError):
    """No memory, also after eviction and waiting. ``report`` has the numbers, and who holds what."""

    status = Status.STORE_FULL
    report: Optional[FullReport] = None


class TooManyObjects(FastPlasmaError):
    """All object records of the store are taken."""

    status = Status.TOO_MANY_OBJECTS


class TooManyPins(FastPlasmaError):
    """All pin slots of this attachment are taken."""

    status = Status.TOO_MANY_PINS


class TooLarge(FastPlasmaError):
    """The object can never fit into this store. ``report`` has the numbers."""

    status = Status.TOO_LARGE
    report: Optional[FullReport] = None


class Timeout(FastPlasmaError, TimeoutError):
    """The deadline passed."""

    status = Status.TIMEOUT


class Closed(FastPlasmaError):
    """The writer, object, subscription or store was sealed, released or closed before."""

    status = Status.CLOSED


class NotResident(FastPlasmaError):
    """The object is on disk and was not brought back into memory: the call does not (timeout 0), or could not."""

    status = Status.NOT_RESIDENT


class InvalidArgument(FastPlasmaError, ValueError):
    """An argument is out of range."""

    status = Status.INVALID_ARGUMENT


class IoError(FastPlasmaError, OSError):
    """The system refused files or memory."""

    status = Status.IO_ERROR


class AccessDenied(FastPlasmaError, PermissionError):
    """The user is neither writer nor admitted reader, or the attachment is read-only."""

    status = Status.ACCESS_DENIED


class BadFormat(FastPlasmaError):
    """The files are no store of this version, or its shared state is broken; or an object does not hold what its media type says."""

    status = Status.BAD_FORMAT


class NoStore(FastPlasmaError, LookupError):
    """There is no store of that name."""

    status = Status.NO_STORE


class Forked(FastPlasmaError):
    """This process was forked from one that used FastPlasma. Start processes with the method ``spawn``, or fork before the first call."""

    status = Status.FORKED


class Cancelled(FastPlasmaError):
    """``Cancellation.cancel`` was called."""

    status = Status.CANCELLED


class NoMemory(FastPlasmaError, MemoryError):
    """This process has no memory left, or too many handles of one kind (4,095)."""

    status = Status.NO_MEMORY


class Unsupported(FastPlasmaError):
    """The processor lacks instructions that the library is compiled with; of every call then."""

    status = Status.UNSUPPORTED


class InternalError(FastPlasmaError):
    """A bug of the library; the message says more."""

    status = Status.INTERNAL


class PickleRefused(FastPlasmaError):
    """The object is a pickle, and this store was opened with ``allow_pickle=False``."""

    status = Status.ACCESS_DENIED


class LibraryNotFound(ImportError):
    """libfastplasma.so was not found or cannot be used; the message names every place that was tried."""


CLASS_OF_STATUS: "dict[int, type[FastPlasmaError]]" = {
    c.status: c
    for c in (
        NotFound, Exists, NotSealed, AlreadySealed, NotOwner, StoreFull, TooManyObjects, TooManyPins, TooLarge, Timeout, Closed, NotResident, InvalidArgument,
        IoError, AccessDenied, BadFormat, NoStore, Forked, Cancelled, NoMemory, Unsupported, InternalError,
    )
}
