"""Events: seals, deletes, evictions and expiries, in order."""

from __future__ import annotations

import ctypes
import enum
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Iterator, Optional, Type

from . import _native
from ._errors import Cancelled, Closed
from ._ids import ObjectId
from ._waits import Cancellation, wait


class EventKind(enum.IntEnum):
    """What became of an object."""

    SEALED = 1
    DELETED = 2
    EVICTED = 3
    EXPIRED = 4


@dataclass(frozen=True)
class Event:
    """One change of the store."""

    id: ObjectId
    kind: EventKind
    payload_size: int
    metadata_size: int
    sequence: int
    """Rises from event to event."""


def event(native: Any) -> Event:
    """From fp_event."""
    return Event(ObjectId(bytes(native.id)), EventKind(native.kind), native.payload_size, native.metadata_size, native.sequence)


class Subscription:
    """A place in the store's order of events, from its creation on. Iterating waits for events until somebody closes the subscription or the store.

    A reader that lags behind more than the store's ``event_capacity`` loses the oldest; ``lost`` says how many. One thread reads at a time, others wait.
    """

    def __init__(self, handle: int, store: object) -> None:
        self._handle: Optional[int] = handle
        self._store = store  # Stays open as long as its subscriptions.
        self._reading = threading.Lock()
        self._closing = Cancellation()

    def next(self, timeout: Optional[float] = None) -> Event:
        """The next event. ``Timeout`` if there is none within so many seconds (0: now), ``Closed`` after ``close`` or the store's."""
        native = _native.FpEvent()
        with self._reading:
            handle = self._open()
            status = wait(timeout, 0, self._closing, lambda ms, options: _native.lib().fp_next_event(handle, ms, options, ctypes.byref(native)))
            try:
                _native.check(status)
            except Cancelled:
                raise Closed("The subscription was closed.") from None
        return event(native)

    @property
    def lost(self) -> int:
        """How many events were lost so far."""
        lost = ctypes.c_int64()
        with self._reading:
            _native.check(_native.lib().fp_lost_events(self._open(), ctypes.byref(lost)))
        return lost.value

    def close(self) -> None:
        """Ends the subscription, and a ``next`` that waits in another thread. A second call does nothing."""
        if self._handle is None or not _native.usable():
            return
        self._closing.cancel()
        with self._reading:
            handle, self._handle = self._handle, None
            if handle is not None:
                _native.lib().fp_unsubscribe(handle)

    def _open(self) -> int:
        if self._handle is None:
            raise Closed("The subscription was closed.")
        return self._handle

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        try:
            return self.next()
        except Closed:
            raise StopIteration from None

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def __del__(self) -> None:
        handle = getattr(self, "_handle", None)
        if handle and _native is not None and _native.usable():
            _native.lib().fp_unsubscribe(handle)

    def __repr__(self) -> str:
        return f"<fastplasma.Subscription{', closed' if self._handle is None else ''}>"

    def __reduce__(self) -> Any:
        raise TypeError("A subscription belongs to its process.")


