"""How stores are opened and objects made."""

from __future__ import annotations

import ctypes
import enum
import math
from dataclasses import dataclass
from typing import Any, Callable, Optional, Sequence

from . import _native


class Access(enum.IntEnum):
    """What an attachment may do."""

    READ_WRITE = 0
    READ_ONLY = 1


class HugePages(enum.IntEnum):
    """Whether payload memory is of huge pages."""

    NEVER = 0
    AUTO = 1
    REQUIRE = 2


class Retention(enum.IntEnum):
    """Whether an object may be evicted when the store is full."""

    DEFAULT = -1
    KEEP = 0
    EVICTABLE = 1


class LogLevel(enum.IntEnum):
    """Weight of a log line."""

    DEBUG = 1
    INFORMATION = 2
    WARNING = 3
    ERROR = 4


@dataclass(frozen=True)
class StoreOptions:
    """How a store is opened. None stands for the library's default; ``capacity_bytes`` to ``event_capacity`` count only when the store is created."""

    capacity_bytes: Optional[int] = None
    """Limit of payload memory, rounded up to 2 MiB; 1 GiB. Memory is taken as it is needed."""
    object_count_max: Optional[int] = None
    """One per 32 KiB of capacity, at least 4,096."""
    huge_pages: Optional[HugePages] = None
    mode: Optional[int] = None
    """Rights of the files; 0o600. Group rights make the members of ``group`` writers."""
    default_retention: Optional[Retention] = None
    """What becomes of objects that say nothing: KEEP."""
    group: Optional[str] = None
    populate_ahead_bytes: Optional[int] = None
    event_capacity: Optional[int] = None
    """Events that a subscriber may lag behind; 4,096."""
    access: Access = Access.READ_WRITE
    directory: Optional[str] = None
    """Folder of the files; /dev/shm."""
    full_timeout: Optional[float] = None
    """Seconds that a put or create waits for memory; 0. ``math.inf`` for ever."""
    quota_bytes: Optional[int] = None
    """Limit of what this attachment creates; none."""
    copy_threads: Optional[int] = None
    """Threads for one put of 16 MiB or more; half of the processors, 2 to 4."""
    default_time_to_live: Optional[float] = None
    """Seconds that objects live which say nothing, from their seal on; for ever. Counts only when the store is created, as the next one."""
    evict_ahead_bytes: Optional[int] = None
    """Free memory that eviction in the background keeps; a sixty-fourth of 64 MiB or more, at most 128 MiB. -1: none."""
    spill_directories: Sequence[str] = ()
    """Folders on disk for what must not be lost when memory is short, at most 16; none: the store spills nothing. Counts only when the store is created, as the next three."""
    spill_bytes: Optional[int] = None
    """Limit of the disk space of all of them together; none but ``spill_reserve``."""
    spill_reserve: Optional[float] = None
    """Share of a file system that stays free, 0 to 0.99; 0.05."""
    persist: bool = False
    """True: what is on disk is there again in the next store of that name, folder and spill directories."""
    log: Optional[Callable[[LogLevel, str], None]] = None
    """Called with each line of the store's log, by any thread, until ``close``."""
    allow_pickle: bool = True
    """False: ``get`` raises ``PickleRefused`` instead of unpickling. A pickle can run any code, so say False if you do not trust every writer of the store."""


@dataclass(frozen=True)
class ObjectOptions:
    """How an object is made."""

    metadata: bytes = b""
    """Read apart from the payload; at most 16 MiB. Arrays use it themselves."""
    name: str = ""
    """To show, at most 4,096 bytes; need not belong to the id."""
    content_type: str = ""
    """A media type to show, at most 255 bytes. Arrays and pickles have their own."""
    retention: Retention = Retention.DEFAULT
    alignment: int = 0
    """0: 64, and 4,096 from 32 KiB on; or 64, 4,096, 2,097,152."""
    checksum: bool = False
    """Store an XXH3 of payload and metadata."""
    timeout: Optional[float] = None
    """Seconds to wait for memory; None: the store's ``full_timeout``; ``math.inf`` for ever."""
    time_to_live: Optional[float] = None
    """Seconds after its seal in which the object is gone, to a second, never early; None: the store's ``default_time_to_live``; ``math.inf`` for never."""


def milliseconds(seconds: Optional[float]) -> int:
    """For the library: None and infinity are for ever, parts of a millisecond count as one."""
    if seconds is None or seconds == math.inf:
        return _native.INFINITE
    if not seconds >= 0:
        raise ValueError(f"A timeout is 0 or more seconds, None or infinity, not {seconds}.")
    return min(math.ceil(seconds * 1000), (1 << 62))


def life_milliseconds(seconds: float) -> int:
    """A time to live for the library, where 0 would say nothing."""
    life = milliseconds(seconds)
    if life == 0:
        raise ValueError("A time to live is more than 0 seconds.")
    return life


def native_store_options(options: StoreOptions, log: Any) -> Any:
    """fp_store_options; ``log`` is the LogCallback, or None."""
    native = _native.filled(_native.FpStoreOptions, "fp_store_options_init_sized")
    for name in ("capacity_bytes", "object_count_max", "huge_pages", "mode", "default_retention", "populate_ahead_bytes", "event_capacity", "quota_bytes", "copy_threads", "evict_ahead_bytes"):
        value = getattr(options, name)
        if value is not None:
            setattr(native, name, int(value))
    native.access = int(options.access)
    native.group = text(options.group)
    native.directory = text(options.directory)
    if options.full_timeout is not None:
        native.full_timeout_ms = milliseconds(options.full_timeout)
    if options.default_time_to_live is not None:
        native.default_time_to_live_ms = life_milliseconds(options.default_time_to_live)
    if isinstance(options.spill_directories, str):
        raise TypeError("spill_directories is a sequence of paths, not one of them.")
    if options.spill_directories:
        paths = [text(path) for path in options.spill_directories]
        native.spill_directories, native.spill_directory_count = (ctypes.c_char_p * len(paths))(*paths), len(paths)
    native.spill_bytes, native.persist = options.spill_bytes or 0, int(options.persist)
    if options.spill_reserve is not None:
        native.spill_reserve = options.spill_reserve
    if log is not None:
        native.log = _native.address_of(log)
    return native


def native_object_options(options: ObjectOptions) -> Any:
    """fp_object_options."""
    native = _native.filled(_native.FpObjectOptions, "fp_object_options_init_sized")
    name, content_type = options.name.encode(), options.content_type.encode()
    native.metadata, native.metadata_size = options.metadata, len(options.metadata)
    native.name, native.name_size = name, len(name)
    native.content_type, native.content_type_size = content_type, len(content_type)
    native.retention, native.alignment, native.checksum = int(options.retention), options.alignment, int(options.checksum)
    if options.timeout is not None:
        native.timeout_ms = milliseconds(options.timeout)
    if options.time_to_live is not None:
        native.time_to_live_ms = life_milliseconds(options.time_to_live)
    return native


def text(value: Optional[str]) -> Optional[bytes]:
    """Text that ends with NUL for the library."""
    if value is None:
        return None
    raw = str(value).encode()
    if b"\0" in raw:
        raise ValueError("There is a NUL in the text.")
    return raw
