"""The C library: where it is found, its structs and functions as in fastplasma.h, and what its statuses become here.

It is loaded by the first call that needs it, not by the import: a process that forks before that is like any other.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from ctypes import CFUNCTYPE, POINTER, Structure, byref, c_char, c_char_p, c_double, c_int, c_int32, c_int64, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any, NoReturn, Union

from ._errors import CLASS_OF_STATUS, FULL_REPORT_NUMBERS, FastPlasmaError, Forked, FullReport, LibraryNotFound, MemoryHolder, Status, StoreFull, TooLarge

FILE = "libfastplasma.so"
SONAME = "libfastplasma.so.0"
VARIABLE = "FASTPLASMA_LIBRARY"
VERSION = (0, 1)  # Major and minor of the header that this module follows.
ID_BYTES = 28
INFINITE = -1
STORE_NAME_SIZE = 129


class FpStoreOptions(Structure):
    _fields_ = [
        ("struct_size", c_size_t), ("capacity_bytes", c_int64), ("object_count_max", c_int32), ("huge_pages", c_int32), ("mode", c_uint32),
        ("default_retention", c_int32), ("group", c_char_p), ("populate_ahead_bytes", c_int64), ("event_capacity", c_int32), ("access", c_int32),
        ("directory", c_char_p), ("full_timeout_ms", c_int64), ("quota_bytes", c_int64), ("copy_threads", c_int32), ("reserved", c_int32),
        ("log", c_void_p), ("log_context", c_void_p), ("default_time_to_live_ms", c_int64), ("evict_ahead_bytes", c_int64),
        ("spill_directories", POINTER(c_char_p)), ("spill_directory_count", c_int32), ("persist", c_int32), ("spill_bytes", c_int64), ("spill_reserve", c_double),
    ]


class FpStoreDetails(Structure):
    _fields_ = [
        ("struct_size", c_size_t), ("uuid", c_uint8 * 16), ("capacity_bytes", c_int64), ("object_count_max", c_int32), ("access", c_int32), ("name", c_char * STORE_NAME_SIZE),
    ]


class FpObjectOptions(Structure):
    _fields_ = [
        ("struct_size", c_size_t), ("metadata", c_char_p), ("metadata_size", c_size_t), ("name", c_char_p), ("name_size", c_size_t),
        ("content_type", c_char_p), ("content_type_size", c_size_t), ("retention", c_int32), ("alignment", c_int32), ("checksum", c_int32),
        ("reserved", c_int32), ("timeout_ms", c_int64), ("time_to_live_ms", c_int64),
    ]


class FpBuffer(Structure):
    _fields_ = [("data", c_void_p), ("size", c_int64)]


class FpWriter(Structure):
    _fields_ = [("data", c_void_p), ("size", c_int64), ("internal", c_uint64 * 5)]


class FpObject(Structure):
    _fields_ = [("data", c_void_p), ("size", c_int64), ("internal", c_uint64 * 4)]


class FpWaitOptions(Structure):
    _fields_ = [("struct_size", c_size_t), ("spin_us", c_int64), ("cancellation", c_void_p)]


class FpObjectDetails(Structure):
    _fields_ = [
        ("struct_size", c_size_t), ("incarnation", c_uint64), ("checksum", c_uint64), ("sealed_at_ns", c_int64), ("has_checksum", c_int32), ("reserved", c_int32),
    ]


class FpEvent(Structure):
    _fields_ = [("id", c_uint8 * ID_BYTES), ("kind", c_int32), ("payload_size", c_int64), ("metadata_size", c_int64), ("sequence", c_int64)]


class FpObjectInfo(Structure):
    _fields_ = [
        ("struct_size", c_size_t), ("id", c_uint8 * ID_BYTES), ("state", c_int32), ("payload_size", c_int64), ("metadata_size", c_int64), ("block_size", c_int64),
        ("created_at_ns", c_int64), ("sealed_at_ns", c_int64), ("incarnation", c_uint64), ("retention", c_int32), ("creator_process_id", c_int32),
        ("pin_count", c_int32), ("holder_count", c_int32), ("name", c_char_p), ("content_type", c_char_p), ("expires_at_ns", c_int64),
    ]


class FpPinHolder(Structure):
    _fields_ = [
        ("struct_size", c_size_t), ("id", c_uint8 * ID_BYTES), ("process_id", c_int32), ("incarnation", c_uint64), ("since_ns", c_int64), ("pin_count", c_int32),
        ("other_pid_namespace", c_int32), ("process_name", c_char_p),
    ]


class FpOperationCounts(Structure):
    _fields_ = [
        (name, c_int64)
        for name in (
            "gets", "get_misses", "get_bytes", "get_copied_bytes", "puts", "put_bytes", "put_copied_bytes", "creates", "create_bytes", "create_copied_bytes",
            "aborts", "deletes", "evictions", "evicted_bytes", "recoveries",
        )
    ]


class FpStoreStats(Structure):
    _fields_ = [
        ("struct_size", c_size_t), ("uuid", c_uint8 * 16), ("capacity_bytes", c_int64), ("backed_bytes", c_int64), ("meta_bytes", c_int64), ("used_bytes", c_int64),
        ("object_bytes", c_int64), ("slab_free_bytes", c_int64), ("largest_free_run_bytes", c_int64), ("condemned_bytes", c_int64), ("evictable_bytes", c_int64),
        ("creating_bytes", c_int64), ("huge_page_bytes", c_int64), ("sealed_count", c_int32), ("creating_count", c_int32), ("condemned_count", c_int32),
        ("object_count_max", c_int32), ("participant_count", c_int32), ("huge_pages", c_int32), ("process", FpOperationCounts), ("store", FpOperationCounts),
        ("populate_target_bytes", c_int64), ("populated_bytes", c_int64), ("meta_bytes_per_object", c_double),
        ("pinned_bytes", c_int64), ("keep_bytes", c_int64), ("waiting_count", c_int64), ("waiting_bytes", c_int64), ("waiting_since_ns", c_int64),
        ("evict_ahead_bytes", c_int64), ("default_time_to_live_ms", c_int64), ("process_expirations", c_int64), ("store_expirations", c_int64),
        ("spilled_count", c_int64), ("spilled_bytes", c_int64), ("clean_bytes", c_int64),
    ]


class FpParticipantInfo(Structure):
    _fields_ = [
        ("struct_size", c_size_t), ("uid", c_uint32), ("index", c_int32), ("process_id", c_int32), ("access", c_int32), ("attached_at_ns", c_int64),
        ("pin_count", c_int32), ("creating_count", c_int32), ("alive", c_int32), ("token_kept", c_int32), ("other_pid_namespace", c_int32), ("reserved", c_int32),
        ("process_name", c_char_p),
    ]


class FpFullReport(Structure):
    _fields_ = [("struct_size", c_size_t)] + [(name, c_int64) for name in FULL_REPORT_NUMBERS] + [("reservation_error", c_char_p)]


class FpMemoryHolder(Structure):
    _fields_ = [
        ("struct_size", c_size_t), ("creates", c_int32), ("process_id", c_int32), ("object_count", c_int32), ("pin_count", c_int32), ("bytes", c_int64), ("since_ns", c_int64),
        ("stopped", c_int32), ("other_pid_namespace", c_int32), ("process_name", c_char_p),
    ]


class FpVerifyReport(Structure):
    _fields_ = [("struct_size", c_size_t)] + [(name, c_int64) for name in ("objects", "checksums_verified", "payload_bytes", "problem_count", "note_count")]


LogCallback = CFUNCTYPE(None, c_void_p, c_int, c_char_p)
NameCallback = CFUNCTYPE(c_int, c_void_p, c_char_p)
ObjectInfoCallback = CFUNCTYPE(c_int, c_void_p, POINTER(FpObjectInfo))
ParticipantCallback = CFUNCTYPE(c_int, c_void_p, POINTER(FpParticipantInfo))
PinHolderCallback = CFUNCTYPE(c_int, c_void_p, POINTER(FpPinHolder))
MemoryHolderCallback = CFUNCTYPE(c_int, c_void_p, POINTER(FpMemoryHolder))
GetCallback = CFUNCTYPE(None, c_void_p, c_int, POINTER(FpObject))
EventCallback = CFUNCTYPE(None, c_void_p, POINTER(FpEvent), c_int64)
ProgressCallback = CFUNCTYPE(c_int, c_void_p, c_double)
FindingCallback = CFUNCTYPE(None, c_void_p, c_int, c_char_p)

# Pointers to ids, buffers and structs are c_void_p: bytes, byref() and addresses all pass.
_P, _S = c_void_p, c_char_p
_FUNCTIONS: "dict[str, list[Any]]" = {
    "fp_store_options_init_sized": [_P, c_size_t], "fp_object_options_init_sized": [_P, c_size_t], "fp_wait_options_init_sized": [_P, c_size_t],
    "fp_open": [_S, _P, _P], "fp_create_store": [_S, _P, _P], "fp_open_or_create": [_S, _P, _P], "fp_create_anonymous": [_P, _P], "fp_close": [_P],
    "fp_store_details_get": [_P, _P], "fp_destroy": [_S, _S], "fp_list_stores": [_S, NameCallback, _P], "fp_admit_reader": [_P, _S], "fp_maintain": [_P, _P],
    "fp_evict": [_P, c_int64, _P], "fp_trim": [_P, _P],
    "fp_put": [_P, _P, _P, c_int64, _P], "fp_put_many": [_P, _P, _P, c_size_t, _P, _P, _P], "fp_create": [_P, _P, c_int64, _P, _P],
    "fp_seal": [_P], "fp_abort": [_P], "fp_abort_id": [_P, _P], "fp_delete": [_P, _P],
    "fp_try_get": [_P, _P, _P], "fp_get": [_P, _P, c_int64, _P, _P], "fp_get_many": [_P, _P, c_size_t, c_size_t, c_int64, _P, _P, _P],
    "fp_get_into": [_P, _P, c_int64, _P, _P, c_int64, _P], "fp_release": [_P], "fp_release_many": [_P, c_size_t], "fp_contains": [_P, _P],
    "fp_get_async": [_P, _P, c_int64, _P, GetCallback, _P],
    "fp_wait": [_P, _P, c_size_t, c_size_t, c_int64, _P, _P, _P],
    "fp_object_id": [_P, _P], "fp_object_metadata": [_P, _P, _P], "fp_object_name": [_P, _P, _P], "fp_object_content_type": [_P, _P, _P],
    "fp_object_details_get": [_P, _P], "fp_object_verify": [_P, _P],
    "fp_cancellation_new": [_P], "fp_cancel": [_P], "fp_cancellation_free": [_P],
    "fp_subscribe": [_P, _P], "fp_next_event": [_P, c_int64, _P, _P], "fp_lost_events": [_P, _P], "fp_unsubscribe": [_P],
    "fp_subscribe_callback": [_P, EventCallback, _P, _P],
    "fp_list": [_P, ObjectInfoCallback, _P], "fp_stats": [_P, _P], "fp_list_participants": [_P, ParticipantCallback, _P],
    "fp_list_holders": [_P, _P, PinHolderCallback, _P], "fp_last_full_report": [_P], "fp_last_full_holders": [MemoryHolderCallback, _P],
    "fp_verify": [_P, c_int32, ProgressCallback, FindingCallback, _P, _P],
}


class _Forked:
    """Takes the library's place in a forked child."""

    def __getattr__(self, name: str) -> NoReturn:
        raise Forked(
            "This process was forked from one that used FastPlasma, and threads and locks of the library did not come along. "
            "Use multiprocessing.get_context('spawn') and open the store in the child, or fork before the first call of FastPlasma."
        )


_loaded: "Union[ctypes.CDLL, _Forked, None]" = None
_loading = threading.RLock()
ending = False  # The interpreter ends, and has closed the stores.


def lib() -> Any:
    """The library, loaded by the first call. In a forked child any use of it raises ``Forked``."""
    loaded = _loaded
    return loaded if loaded is not None else _load_once()


def usable() -> bool:
    """Whether something is still to be given back to the library: false in a forked child and while the interpreter ends."""
    return isinstance(_loaded, ctypes.CDLL) and not sys.is_finalizing()


def _load_once() -> Any:
    global _loaded
    with _loading:
        if _loaded is None:
            _loaded = _find()
    return _loaded


def _refuse_child() -> None:
    global _loaded
    if _loaded is not None:
        _loaded = _Forked()
    _loading.release()


os.register_at_fork(before=_loading.acquire, after_in_parent=_loading.release, after_in_child=_refuse_child)  # A fork waits for a load that has begun.


def candidates() -> "list[tuple[str, str]]":
    """Where the library is looked for, in this order: (why, path). FASTPLASMA_LIBRARY, if set, is the only place."""
    named = os.environ.get(VARIABLE)
    if named:
        return [(f"environment variable {VARIABLE}", named)]
    package = Path(__file__).resolve().parent
    places = [("next to the package", str(package / FILE))]
    for folder in package.parents:
        if (folder / "FastPlasma.sln").is_file():
            places.append(("published in this checkout", str(folder / "artifacts" / "publish" / "FastPlasma.Interop" / FILE)))
            break
    return [*places, ("the system's loader", SONAME), ("the system's loader", FILE)]


def _find() -> ctypes.CDLL:
    tried = []
    for why, path in candidates():
        if os.sep in path and not os.path.exists(path):
            tried.append(f"{path} ({why}): no such file")
            continue
        try:
            library = _declare(ctypes.CDLL(path))
        except (OSError, AttributeError) as e:
            tried.append(f"{path} ({why}): {e}")
            continue
        text: str = library.fp_version().decode()
        if tuple(int(part) for part in text.split(".")[:2]) == VERSION:
            return library
        tried.append(f"{path} ({why}): it is version {text}, this package needs {VERSION[0]}.{VERSION[1]}")
    raise LibraryNotFound(
        f"{FILE} was not found. Tried:\n  " + "\n  ".join(tried) + f"\nPublish it in a checkout (dotnet publish src/Interop -c Release), or set {VARIABLE} to its path."
    )


def _declare(library: ctypes.CDLL) -> ctypes.CDLL:
    library.fp_version.restype = library.fp_last_error.restype = library.fp_status_name.restype = c_char_p
    for name, arguments in _FUNCTIONS.items():
        function = getattr(library, name)
        function.argtypes = arguments
        function.restype = None if name.endswith("_init_sized") else c_int
    return library


def check(status: int) -> None:
    """Raises what a status stands for, with the message of the call that this thread made last."""
    if status:
        raise error(status)


def error(status: int) -> FastPlasmaError:
    text: str = lib().fp_last_error().decode("utf-8", "replace")
    kind = CLASS_OF_STATUS.get(status)
    if kind is None:
        return FastPlasmaError(f"status {status}: {text}")
    made = kind(text or Status(status).name)
    if isinstance(made, (StoreFull, TooLarge)):
        report = FpFullReport(struct_size=ctypes.sizeof(FpFullReport))
        if lib().fp_last_full_report(byref(report)) == Status.OK:
            made.report = _full_report(report)
    return made


def _full_report(native: FpFullReport) -> FullReport:
    """With who held what, which the library remembers for this thread until its next full store."""
    found: "list[MemoryHolder]" = []
    failures: "list[BaseException]" = []

    def each(context: object, holder: Any) -> int:
        try:
            info = holder.contents
            found.append(MemoryHolder(
                bool(info.creates), info.process_id, text_of(info.process_name), info.object_count, info.pin_count, info.bytes, info.since_ns, bool(info.stopped),
                bool(info.other_pid_namespace)))
            return 0
        except BaseException as e:  # Must not reach the library.
            failures.append(e)
            return 1

    status = lib().fp_last_full_holders(MemoryHolderCallback(each), None)
    if failures:
        raise failures[0]
    check(status)
    reason = native.reservation_error
    numbers = {name: getattr(native, name) for name in FULL_REPORT_NUMBERS}
    return FullReport(**numbers, reservation_error=None if reason is None else text_of(reason), holders=found)


def text_of(raw: "bytes | None") -> str:
    """Text of the library."""
    return (raw or b"").decode("utf-8", "replace")


def filled(kind: "type[Structure]", init: str) -> Any:
    """A struct with the library's defaults."""
    defaults = _defaults.get(init)
    if defaults is None:
        struct = kind()
        getattr(lib(), init)(byref(struct), ctypes.sizeof(kind))
        defaults = _defaults[init] = bytes(struct)
    return kind.from_buffer_copy(defaults)


_defaults: "dict[str, bytes]" = {}


def address_of(callback: Any) -> int:
    """Address of a callback, which has to be kept alive by whoever gives it away."""
    return ctypes.cast(callback, c_void_p).value or 0


def sized(kind: "type[Structure]") -> Any:
    """A struct that the library fills."""
    return kind(struct_size=ctypes.sizeof(kind))
