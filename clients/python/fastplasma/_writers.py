"""Objects that are being created: written in place, then sealed."""

from __future__ import annotations

import ctypes
import threading
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Optional, Type

from . import _native
from ._errors import Closed, NotFound, Status
from ._ids import ObjectId
from ._memory import memory_at
from ._objects import PlasmaObject

if TYPE_CHECKING:
    import numpy.typing as npt


class _OwnedWriter(_native.FpWriter):
    """fp_writer that aborts with itself what was neither sealed nor aborted."""

    ended = False

    def end(self) -> None:
        if not self.ended and _native is not None and any(self.internal) and _native.usable():
            _native.lib().fp_abort(ctypes.byref(self))
            self.ended = True

    def __del__(self) -> None:
        self.end()


class OpenWriter:
    """Place for one writer of the library, there before the library fills it. Given up when nobody refers to it any more and it was neither sealed nor aborted."""

    __slots__ = ("native", "ended", "pin")

    def __init__(self) -> None:
        self.native = _OwnedWriter()
        self.ended = False
        self.pin: Optional[PlasmaObject] = None  # Of what was sealed, for views that outlive the writer.

    def __del__(self) -> None:
        if hasattr(self, "native") and not self.ended:
            self.native.end()  # As in Pin.


class ObjectWriter:
    """An object that is being created. Fill all of ``data``, then ``seal``; as a context manager it seals at the end of the block and aborts on an exception.

    ``data`` holds what its last owner left. Several threads may write different parts of it.
    """

    def __init__(self, opened: OpenWriter, key: ObjectId, pin: Callable[[ObjectId], PlasmaObject]) -> None:
        self._open = opened
        self._lock = threading.RLock()
        self._id = key
        self._pin = pin
        self.size: int = opened.native.size
        memory = memory_at(opened.native.data, self.size, opened)
        self._memory = weakref.ref(memory)
        self._data = memoryview(memory).cast("B")

    @property
    def id(self) -> ObjectId:
        return self._id

    @property
    def data(self) -> memoryview:
        """The payload, writable until seal or abort, which release this view."""
        if self._open.ended:
            raise Closed(f"The writer of object {self._id} was sealed or aborted.")
        return self._data

    @property
    def address(self) -> int:
        """Where the payload lies in this process."""
        if self._open.ended:
            raise Closed(f"The writer of object {self._id} was sealed or aborted.")
        return self._open.native.data or 0

    def seal(self) -> None:
        """Publishes the object: immutable from here on.

        BufferError while something else than ``data`` itself can still write to it (slices, arrays made of it): drop that first. ``Closed`` if it was sealed or aborted.
        """
        with self._lock:
            if self._open.ended:
                raise Closed(f"The writer of object {self._id} was sealed or aborted.")
            self._take_back()
            _native.check(_native.lib().fp_seal(ctypes.byref(self._open.native)))
            self._open.ended = self._open.native.ended = True
            self._sealed()

    def abort(self) -> None:
        """Gives the object up: id and memory are free again. Nothing may write to ``data`` any more. Does nothing after seal or abort."""
        with self._lock:
            if self._open.ended:
                return
            self._open.ended = self._open.native.ended = True
            self._freeze()
            status = _native.lib().fp_abort(ctypes.byref(self._open.native))
            if status != Status.CLOSED:  # An interrupt came between the seal and its return, or somebody has aborted it by its id.
                _native.check(status)

    def _take_back(self) -> None:
        """Ends the ways to write that were handed out."""
        refusal = f"Object {self._id} cannot be sealed: slices or arrays of its data are alive and could still be written. Delete them first."
        try:
            self._data.release()
        except BufferError:
            raise BufferError(refusal) from None
        memory = self._memory()
        if memory is not None:
            self._data = memoryview(memory).cast("B")
            del memory
            raise BufferError(refusal)

    def _sealed(self) -> None:
        """After the seal, for what is left of the ways to write."""

    def _freeze(self) -> None:
        try:
            self._data.release()
        except BufferError:
            pass

    def __enter__(self) -> ObjectWriter:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        if kind is not None:
            self.abort()
        elif not self._open.ended:
            try:
                self.seal()
            except BaseException:
                self.abort()
                raise

    def __repr__(self) -> str:
        return f"<fastplasma.{type(self).__name__} {self._id.hex[:12]}…, {self.size:,} bytes{', ended' if self._open.ended else ''}>"

    def __reduce__(self) -> Any:
        raise TypeError("A writer belongs to its process.")


class ArrayWriter(ObjectWriter):
    """A numpy array that is being created in place: fill ``array``, then ``seal``, which makes that very array read-only and pinned.

    Views of ``array`` that were taken before the seal could still write; do not.
    """

    def __init__(self, opened: OpenWriter, key: ObjectId, pin: Callable[[ObjectId], PlasmaObject], over: "Callable[[memoryview], npt.NDArray[Any]]") -> None:
        super().__init__(opened, key, pin)
        memory = self._memory()
        assert memory is not None  # data has it.
        self.array: "npt.NDArray[Any]" = over(memoryview(memory).cast("B"))
        """The array in place; writable until seal or abort."""

    def __enter__(self) -> ArrayWriter:
        return self

    def _take_back(self) -> None:
        try:
            self._data.release()
        except BufferError:
            raise BufferError(f"Object {self._id} cannot be sealed: arrays of its data are alive and could still be written. Delete them first, or use array.") from None
        self.array.flags.writeable = False

    def _sealed(self) -> None:
        try:
            self._open.pin = self._pin(self._id)
        except NotFound:
            pass  # Deleted at once, by somebody else.

    def _freeze(self) -> None:
        super()._freeze()
        self.array.flags.writeable = False
