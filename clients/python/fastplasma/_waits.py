"""Waiting: without the interpreter's lock, ended by signals, by a cancellation, or by the store's close."""

from __future__ import annotations

import ctypes
import threading
import time
from types import TracebackType
from typing import Any, Callable, Optional, Type

from . import _native
from ._errors import Status
from ._options import milliseconds

SLICE_MS = 100
"""Python runs signal handlers (KeyboardInterrupt) in the main thread between two calls, so that thread waits in pieces of this length."""


class Cancellation:
    """Ends waits from another thread: they raise ``Cancelled``. One may serve any number of waits; once cancelled it stays so."""

    def __init__(self) -> None:
        handle = ctypes.c_void_p()
        _native.check(_native.lib().fp_cancellation_new(ctypes.byref(handle)))
        self._handle: Optional[int] = handle.value
        self.cancelled = False

    def cancel(self) -> None:
        """Ends all waits with it, now and later. A second call does nothing."""
        self.cancelled = True
        _native.check(_native.lib().fp_cancel(self._handle))

    def __del__(self) -> None:
        handle = getattr(self, "_handle", None)
        if handle and _native.usable():
            _native.lib().fp_cancellation_free(handle)

    def __enter__(self) -> Cancellation:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.cancel()

    def __repr__(self) -> str:
        return f"<fastplasma.Cancellation{', cancelled' if self.cancelled else ''}>"


def wait(timeout: Optional[float], spin: float, cancellation: Optional[Cancellation], call: Callable[[int, Any], Any]) -> int:
    """Status of ``call(timeout_ms, wait_options)``, made again and again in the main thread until the time is over.

    ``call`` is made with the whole time by other threads, and must leave nothing behind when it answers TIMEOUT or NOT_FOUND.
    """
    total_ms = milliseconds(timeout)
    options = None
    if cancellation is not None or spin > 0:
        options = _native.filled(_native.FpWaitOptions, "fp_wait_options_init_sized")
        options.spin_us = int(spin * 1e6)
        options.cancellation = cancellation._handle if cancellation is not None else None
    pointer = ctypes.byref(options) if options is not None else None
    if 0 <= total_ms <= SLICE_MS or threading.current_thread() is not threading.main_thread():
        status = int(call(total_ms, pointer))
        if status == Status.CLOSED and _native.ending:
            threading.Event().wait()  # A daemon thread while the interpreter ends, which stops all of them for ever a moment later: nobody is left to tell.
        return status
    start = time.monotonic()
    while True:  # Ends with the time, or with whatever else the call answers.
        left_ms = SLICE_MS if total_ms < 0 else total_ms - int((time.monotonic() - start) * 1000)
        status = int(call(max(0, min(SLICE_MS, left_ms)), pointer))
        if status not in (Status.TIMEOUT, Status.NOT_FOUND) or 0 <= total_ms <= (time.monotonic() - start) * 1000:
            return Status.TIMEOUT if status == Status.NOT_FOUND else status
        if options is not None:
            options.spin_us = 0
