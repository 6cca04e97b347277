"""Gets and events for asyncio: threads of the library call in here, and hand what they bring to the event loop."""

from __future__ import annotations

import asyncio
import collections
import ctypes
import itertools
import threading
import time
import weakref
from types import TracebackType
from typing import Any, Callable, Deque, Dict, Optional, Type, Union

from . import _native
from ._errors import Closed, FastPlasmaError, Status
from ._events import Event, event
from ._ids import ObjectId
from ._objects import Pin
from ._options import milliseconds
from ._waits import Cancellation

_numbers = itertools.count(1)
_gets: "Dict[int, Optional[_Get]]" = {}
"""Those that the library has not answered yet, by the number that it was given for them. None: a thread of the library is on its way out of the callback."""
_subscriptions: "weakref.WeakValueDictionary[int, CallbackSubscription]" = weakref.WeakValueDictionary()


def _got(number: int, status: int, native: Any) -> None:
    try:
        answer: Union[Pin, FastPlasmaError]
        if status == Status.OK:
            answer = Pin()
            ctypes.memmove(ctypes.byref(answer.native), native, ctypes.sizeof(_native.FpObject))
        else:
            answer = _native.error(status)
        get = _gets[number]
        assert get is not None
        get.deliver(answer)
        del answer
    finally:
        get = _gets[number] = None  # What this frees may call the library.
        del _gets[number]  # The last thing, and frees nothing: ``end_all`` lets the interpreter end when it has seen it.


def _told(number: int, native: Any, lost: int) -> None:
    subscription = _subscriptions.get(number)
    if subscription is not None:
        subscription._tell(event(native.contents), lost)


# Made once and never freed, so that none is freed while a thread of the library is inside.
_GOT = _native.GetCallback(_got)
_TOLD = _native.EventCallback(_told)


class _Get:
    """One asynchronous get. Until the library answers, ``_gets`` keeps it and its task alive, as a loop keeps what it waits for; if the loop has gone, the answer is dropped."""

    def __init__(self, store: object) -> None:
        self._store = store  # Stays open until the library has answered.
        self._loop = asyncio.get_running_loop()
        self.future: "asyncio.Future[Pin]" = self._loop.create_future()
        self.cancellation = Cancellation()

    def deliver(self, answer: Union[Pin, FastPlasmaError]) -> None:
        """By a thread of the library."""
        try:
            self._loop.call_soon_threadsafe(self._settle, answer)
        except RuntimeError:  # The loop is closed: nobody waits any more.
            if isinstance(answer, Pin):
                answer.end()

    def _settle(self, answer: Union[Pin, FastPlasmaError]) -> None:
        if isinstance(answer, Pin):
            if self.future.done():  # The task was cancelled.
                answer.end()
            else:
                self.future.set_result(answer)
        elif not self.future.done():
            self.future.set_exception(answer)


async def pin(store: object, handle: Any, key: ObjectId, timeout: Optional[float]) -> Pin:
    """The pin of an object, when it is sealed. A task that is cancelled meanwhile ends the wait in the library too."""
    timeout_ms = milliseconds(timeout)
    get = _Get(store)
    options = _native.filled(_native.FpWaitOptions, "fp_wait_options_init_sized")
    options.cancellation = get.cancellation._handle
    number = next(_numbers)
    _gets[number] = get
    try:
        status = _native.lib().fp_get_async(handle, key._raw, timeout_ms, ctypes.byref(options), _GOT, number)
    except BaseException:
        _gets.pop(number, None)  # Forked: the library was not called.
        raise
    if status != Status.OK:
        del _gets[number]
        raise _native.error(status)
    try:
        return await get.future
    except (asyncio.CancelledError, GeneratorExit):
        if _gets.get(number) is not None and _native.usable():  # Else the library has answered, and the cancellation may be gone already.
            get.cancellation.cancel()
        raise


class CallbackSubscription:
    """Events that a thread of the library hands to a function, one after the other, until ``close``, the store's ``close``, or the end of this object.

    What the function raises goes to ``sys.unraisablehook``, and the next event follows.
    """

    def __init__(self, store: Any, each: Callable[[Event], object]) -> None:
        self._handle: Optional[int] = None
        self._store = store
        self._each = each
        self._number = next(_numbers)
        self._lost = 0
        _subscriptions[self._number] = self
        handle = ctypes.c_void_p()
        _native.check(_native.lib().fp_subscribe_callback(store._open(), _TOLD, self._number, ctypes.byref(handle)))
        self._handle = handle.value

    @property
    def lost(self) -> int:
        """How many events were lost so far, because the function took too long."""
        return self._lost

    @property
    def closed(self) -> bool:
        return self._handle is None

    def close(self) -> None:
        """Ends the subscription, and waits for a call that is running, unless the function calls this itself. A second call does nothing."""
        handle, self._handle = self._handle, None
        if handle and _native is not None and _native.usable():
            _native.lib().fp_unsubscribe(handle)

    def _tell(self, told: Event, lost: int) -> None:
        self._lost = lost
        self._each(told)

    def __enter__(self) -> CallbackSubscription:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_handle"):
            self.close()

    def __repr__(self) -> str:
        return f"<fastplasma.CallbackSubscription{', closed' if self._handle is None else ''}>"

    def __reduce__(self) -> Any:
        raise TypeError("A subscription belongs to its process.")


class EventStream:
    """Events for asyncio, from the creation of the stream on: ``async for event in stream``, which ends with ``close`` or the store's.

    ``capacity`` events are kept for a reader that lags behind, then the oldest are lost; ``lost`` says how many. One task reads at a time. Made and read in one event loop.
    """

    def __init__(self, store: Any, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"A stream keeps 1 event or more, not {capacity}.")
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._events: Deque[Event] = collections.deque()
        self._capacity = capacity
        self._dropped = 0
        self._closed = False
        self._waiter: "Optional[asyncio.Future[None]]" = None
        this = weakref.ref(self)  # The stream ends when nobody refers to it, not only when it is closed.

        def each(told: Event) -> None:
            stream = this()
            if stream is not None:
                stream._add(told)

        self._source = CallbackSubscription(store, each)
        store._streams.add(self)

    async def next(self) -> Event:
        """The next event; waits for it. ``Closed`` after ``close`` or the store's, when all that was told before is read."""
        while True:  # Ends with an event or the close; another task may have taken what woke this one.
            with self._lock:
                if self._events:
                    return self._events.popleft()
                if self._closed:
                    raise Closed("The stream of events was closed.")
                if self._waiter is not None and not self._waiter.done():
                    raise RuntimeError("Another task reads this stream.")
                waiter = self._waiter = self._loop.create_future()
            await waiter

    @property
    def lost(self) -> int:
        """How many events were lost so far."""
        return self._source.lost + self._dropped

    def close(self) -> None:
        """Ends the stream, and a ``next`` that waits. A second call does nothing. By any thread."""
        self._source.close()
        with self._lock:
            self._closed = True
        self._wake()

    def _add(self, told: Event) -> None:
        """By a thread of the library."""
        with self._lock:
            if len(self._events) == self._capacity:
                self._events.popleft()
                self._dropped += 1
            self._events.append(told)
            waiting = self._waiter is not None
        if waiting:
            self._wake()

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._woken)
        except RuntimeError:
            pass  # The loop is closed, and with it nobody waits.

    def _woken(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> Event:
        try:
            return await self.next()
        except Closed:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> EventStream:
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<fastplasma.EventStream{', closed' if self._closed else ''}>"

    def __reduce__(self) -> Any:
        raise TypeError("A stream of events belongs to its process.")


def end_all(stores: "list[Any]") -> None:
    """Before the interpreter ends: closes the stores, and returns when no thread of the library is in here or will come."""
    for subscription in list(_subscriptions.values()):
        subscription.close()
    for store in stores:
        store.close()
    while _gets and _native.usable():  # The close ends them all.
        time.sleep(0.001)
