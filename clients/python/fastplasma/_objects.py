"""Pins: sealed objects, read in place."""

from __future__ import annotations

import ctypes
import threading
import weakref
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Optional, Type

from . import _native
from ._errors import Closed
from ._ids import ObjectId
from ._memory import memory_at, read_only


@dataclass(frozen=True)
class ObjectDetails:
    """What the store knows about an object beside its bytes."""

    incarnation: int
    """Unique number of this creation of the id."""
    checksum: Optional[int]
    """XXH3 of payload and metadata; None if there is none."""
    sealed_at_ns: int
    """Since 1970, UTC; to 0.1 s."""


class _OwnedObject(_native.FpObject):
    """fp_object that ends its pin with itself."""

    data: Optional[int]

    def end(self) -> None:
        if self.data is not None and _native is not None and _native.usable():  # Module names are None late in the interpreter's end.
            _native.lib().fp_release(ctypes.byref(self))
            self.data = None

    def __del__(self) -> None:
        self.end()


class Pin:
    """Place for one pin of the library. It is there before the library fills it, so that an interrupt right after the call loses nothing. Ended by ``end``, or when
    nobody refers to it any more."""

    __slots__ = ("native",)

    def __init__(self) -> None:
        self.native = _OwnedObject()

    def end(self) -> None:
        self.native.end()

    def __del__(self) -> None:
        if hasattr(self, "native"):
            self.native.end()  # The struct tries again when it goes: what a signal handler raises in here Python ignores, and with it what was to be done.


class PlasmaObject:
    """A pin on a sealed object: its bytes stay, whoever deletes or evicts it meanwhile, until the pin and every view of ``data`` are gone.

    Thread-safe. As a context manager it lets go at the end of the block; views that are alive then keep the bytes for themselves.
    """

    __slots__ = ("_pin", "_memory", "_lock", "_id", "size")
    size: int
    """Bytes of the payload."""

    def __init__(self, pin: Pin, key: ObjectId) -> None:
        self._pin: Optional[Pin] = pin
        self._memory: "Optional[weakref.ref[Any]]" = None
        self._lock = threading.RLock()
        self._id = key
        self.size = pin.native.size

    @property
    def id(self) -> ObjectId:
        return self._id

    @property
    def data(self) -> memoryview:
        """The payload in place: a read-only view of bytes. It and whatever is made of it (slices, numpy arrays) keep the object pinned."""
        with self._lock:
            pin = self._open()
            memory = self._memory() if self._memory is not None else None
            if memory is None:
                memory = memory_at(pin.native.data, self.size, pin)
                self._memory = weakref.ref(memory)
            return read_only(memory)

    @property
    def address(self) -> int:
        """Where the payload lies in this process. Valid as long as the pin."""
        with self._lock:
            return self._open().native.data or 0

    @property
    def metadata(self) -> bytes:
        """A copy of the metadata."""
        return self._part("fp_object_metadata")

    @property
    def name(self) -> str:
        return self._part("fp_object_name").decode("utf-8", "replace")

    @property
    def content_type(self) -> str:
        return self._part("fp_object_content_type").decode("utf-8", "replace")

    @property
    def details(self) -> ObjectDetails:
        with self._lock:
            details = _native.sized(_native.FpObjectDetails)
            _native.check(_native.lib().fp_object_details_get(ctypes.byref(self._open().native), ctypes.byref(details)))
            return ObjectDetails(details.incarnation, details.checksum if details.has_checksum else None, details.sealed_at_ns)

    def verify(self) -> bool:
        """Whether the bytes have the checksum that was stored; True if none was."""
        with self._lock:
            pin = self._open()
        matches = ctypes.c_int32()
        _native.check(_native.lib().fp_object_verify(ctypes.byref(pin.native), ctypes.byref(matches)))
        return matches.value != 0

    @property
    def released(self) -> bool:
        return self._pin is None

    def release(self) -> None:
        """Ends the pin now. BufferError while views of ``data`` are alive: what they show must not change. A second call does nothing."""
        with self._lock:
            if self._pin is None:
                return
            if self._memory is not None and self._memory() is not None:
                raise BufferError(f"Views of object {self._id} are alive (memoryviews, numpy arrays or what was unpickled over them). Delete them first, or leave the release to them.")
            pin, self._pin = self._pin, None
        pin.end()

    def __enter__(self) -> PlasmaObject:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        with self._lock:
            pin, self._pin = self._pin, None  # Views that are alive have the last reference.
        del pin

    def __len__(self) -> int:
        return self.size

    def __repr__(self) -> str:
        name = ""
        if self._pin is not None and _native.usable():
            name = f" '{self.name}'" if self.name else ""
        return f"<fastplasma.PlasmaObject {self._id.hex[:12]}…{name}, {self.size:,} bytes{', released' if self._pin is None else ''}>"

    def __reduce__(self) -> Any:
        raise TypeError("A PlasmaObject belongs to its process. Send its id, and get it there.")

    def _part(self, function: str) -> bytes:
        with self._lock:
            address, size = ctypes.c_void_p(), ctypes.c_size_t()
            _native.check(getattr(_native.lib(), function)(ctypes.byref(self._open().native), ctypes.byref(address), ctypes.byref(size)))
            return ctypes.string_at(address.value, size.value) if address.value and size.value else b""

    def _open(self) -> Pin:
        if self._pin is None:
            raise Closed(f"Object {self._id} was released.")
        return self._pin
