"""FastPlasma: processes of one machine share large immutable objects through shared memory.

    import fastplasma

    with fastplasma.Store.open_or_create("prices") as store:
        store.put("snapshot-1", frame)            # one copy; bytes, numpy arrays, DataFrames, anything that pickles
        frame = store.get("snapshot-1", timeout=5)  # no copy, here and in every other process; read-only

Needs the C library (libfastplasma.so), which the first call loads; see docs/python.md.
"""

from ._async import CallbackSubscription, EventStream
from ._copies import CopyCounts
from ._errors import (
    AccessDenied, AlreadySealed, BadFormat, Cancelled, Closed, Exists, FastPlasmaError, Forked, FullReport, InternalError, InvalidArgument, IoError, LibraryNotFound, MemoryHolder, NoMemory, NoStore,
    NotFound, NotOwner, NotResident, NotSealed, PickleRefused, Status, StoreFull, Timeout, TooLarge, TooManyObjects, TooManyPins, Unsupported,
)
from ._events import Event, EventKind, Subscription
from ._ids import IdLike, ObjectId
from ._inspect import ObjectInfo, ObjectState, OperationCounts, ParticipantInfo, PinHolder, StoreDetails, StoreStats, VerifyReport
from ._objects import ObjectDetails, PlasmaObject
from ._options import Access, HugePages, LogLevel, ObjectOptions, Retention, StoreOptions
from ._store import Store, destroy, library_version, list_stores
from ._waits import Cancellation
from ._writers import ArrayWriter, ObjectWriter

__version__ = "0.1.0"

__all__ = [
    "AccessDenied", "Access", "AlreadySealed", "ArrayWriter", "BadFormat", "CallbackSubscription", "Cancellation", "Cancelled", "Closed", "CopyCounts", "Event", "EventKind", "EventStream", "Exists", "FastPlasmaError",
    "Forked", "FullReport", "HugePages", "IdLike", "InternalError", "InvalidArgument", "IoError", "LibraryNotFound", "LogLevel", "MemoryHolder", "NoMemory", "NoStore", "NotFound", "NotOwner",
    "NotResident", "NotSealed", "ObjectDetails", "ObjectId", "ObjectInfo", "ObjectOptions", "ObjectState", "ObjectWriter", "OperationCounts", "ParticipantInfo", "PickleRefused",
    "PinHolder", "PlasmaObject", "Retention", "Status", "Store", "StoreDetails", "StoreFull", "StoreOptions", "StoreStats", "Subscription", "Timeout", "TooLarge", "TooManyObjects", "TooManyPins", "Unsupported", "VerifyReport",
    "destroy", "library_version", "list_stores",
]
