"""The store."""

from __future__ import annotations

import atexit
import ctypes
import dataclasses
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Iterable, List, Mapping, Optional, Sequence, Tuple, Type, TypeVar, Union

from . import _arrays, _async, _inspect, _native, _pickling
from ._async import CallbackSubscription, EventStream
from ._copies import CopyCounts, Copies
from ._errors import Closed, FastPlasmaError, PickleRefused, Status
from ._events import Event, Subscription
from ._ids import ID_BYTES, IdLike, ObjectId, object_id, raw_id
from ._memory import Buffer, Contiguous, bytes_type
from ._objects import Pin, PlasmaObject
from ._options import LogLevel, ObjectOptions, StoreOptions, native_object_options, native_store_options, text
from ._waits import Cancellation, wait
from ._writers import ArrayWriter, ObjectWriter, OpenWriter

if TYPE_CHECKING:
    import numpy.typing as npt

_Info = TypeVar("_Info")
_DEFAULT_STORE, _DEFAULT_OBJECT = StoreOptions(), ObjectOptions()
_open_stores: "weakref.WeakSet[Store]" = weakref.WeakSet()


class Store:
    """One attachment of this process to a store: a set of files in shared memory that any number of processes attach to.

    Made by ``open``, ``create_store``, ``open_or_create`` or ``create_anonymous``; a context manager. Every method may be called by any thread; none holds
    the interpreter's lock while it waits or copies. Timeouts are seconds, 0 looks once, None waits for ever.

    What has been read stays valid after ``close``, until nobody refers to it any more.
    """

    def __init__(self) -> None:
        raise TypeError("Use Store.open, Store.create_store, Store.open_or_create or Store.create_anonymous.")

    # ---- opening -------------------------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, name: str, options: StoreOptions = _DEFAULT_STORE) -> Store:
        """Attaches to a store that is there. ``NoStore``, ``AccessDenied``, ``BadFormat``, ``IoError``."""
        return cls._attach("fp_open", name, options)

    @classmethod
    def create_store(cls, name: str, options: StoreOptions = _DEFAULT_STORE) -> Store:
        """Creates a store and attaches to it. ``Exists`` if there is one of that name."""
        return cls._attach("fp_create_store", name, options)

    @classmethod
    def open_or_create(cls, name: str, options: StoreOptions = _DEFAULT_STORE) -> Store:
        """Attaches to a store, which is created if it is not there."""
        return cls._attach("fp_open_or_create", name, options)

    @classmethod
    def create_anonymous(cls, options: StoreOptions = _DEFAULT_STORE) -> Store:
        """A store without a name for the threads of this process; it vanishes with it."""
        return cls._attach("fp_create_anonymous", None, options)

    @classmethod
    def _attach(cls, function: str, name: Optional[str], options: StoreOptions) -> Store:
        log = None
        if options.log is not None:
            log = _native.LogCallback(_logger(options.log))
        native = native_store_options(options, log)
        handle = ctypes.c_void_p()
        arguments = (ctypes.byref(native), ctypes.byref(handle))
        call = getattr(_native.lib(), function)
        _native.check(call(*arguments) if name is None else call(text(name), *arguments))
        store = cls.__new__(cls)
        store._handle = handle
        store._name = name
        store._options = options
        store._log = log
        store._copies = Copies()
        store._streams = weakref.WeakSet()
        store._closed = False
        _open_stores.add(store)
        return store

    _handle: ctypes.c_void_p
    _name: Optional[str]
    _options: StoreOptions
    _log: Any
    _copies: Copies
    _streams: "weakref.WeakSet[EventStream]"
    _closed: bool

    def close(self) -> None:
        """Detaches. Waits in other threads end with ``Closed``; views of objects stay valid. A second call does nothing."""
        if self._closed or not _native.usable():
            return
        self._closed = True
        status = _native.lib().fp_close(self._handle)
        if status != Status.CLOSED:  # By another thread.
            _native.check(status)
        for stream in list(self._streams):
            stream.close()

    @property
    def name(self) -> Optional[str]:
        """None of a store without one."""
        return self._name

    @property
    def closed(self) -> bool:
        return self._closed

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def __del__(self) -> None:
        if _native is not None and not getattr(self, "_closed", True) and _native.usable():
            self._closed = True
            _native.lib().fp_close(self._handle)

    def __repr__(self) -> str:
        return f"<fastplasma.Store {repr(self._name) if self._name is not None else 'without a name'}{', closed' if self._closed else ''}>"

    def __reduce__(self) -> Any:
        raise TypeError(f"An attachment belongs to its process. Send the store's name ({self._name!r}), and open it there.")

    # ---- writing -------------------------------------------------------------------------------------------------------------------

    def put(self, key: IdLike, value: object, options: ObjectOptions = _DEFAULT_OBJECT) -> ObjectId:
        """Stores a value under an id and returns the id; ``get`` gives an equal value back.

        bytes, bytearray and memoryview are stored as they are, numpy arrays as arrays, anything else as a pickle whose buffers (arrays in it, columns of a
        DataFrame) lie beside the stream: one copy in all three cases. ``Exists``, ``StoreFull``, ``TooManyObjects``, ``TooManyPins``, ``TooLarge``, ``AccessDenied``.
        """
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self.put_bytes(key, value, options)
        if _arrays.is_storable(value):
            return self.put_array(key, value, options)  # type: ignore[arg-type]
        return self.put_pickle(key, value, options)

    def put_bytes(self, key: IdLike, data: Buffer, options: ObjectOptions = _DEFAULT_OBJECT) -> ObjectId:
        """Stores the bytes of anything that has the buffer protocol: one copy, or two if it is not C-contiguous."""
        made = object_id(key)
        native = None if options is _DEFAULT_OBJECT else ctypes.byref(native_object_options(options))
        with Contiguous(data) as source:
            if source.copied_bytes:
                self._copies.add(gathered_bytes=source.copied_bytes)
            _native.check(_native.lib().fp_put(self._open(), raw_id(made), source.address, source.size, native))
        return made

    def put_array(self, key: IdLike, array: "npt.ArrayLike", options: ObjectOptions = _DEFAULT_OBJECT) -> ObjectId:
        """Stores a numpy array, or what numpy makes one of. One copy if it is C- or Fortran-contiguous, else two. Its dtype holds no Python objects."""
        import numpy as np

        elements, order, gathered = _arrays.contiguous(np.asarray(array))
        dtype = _arrays.dtype_for(elements.dtype)
        if gathered:
            self._copies.add(gathered_bytes=gathered)
        made = object_id(key)
        native = native_object_options(_array_options(options, _arrays.header(dtype, elements.shape, order)))
        _native.check(_native.lib().fp_put(self._open(), raw_id(made), elements.ctypes.data, elements.nbytes, ctypes.byref(native)))
        return made

    def put_pickle(self, key: IdLike, value: object, options: ObjectOptions = _DEFAULT_OBJECT) -> ObjectId:
        """Stores any value that can be pickled. What gives pickle buffers (PEP 574) is written once, straight into the object; the rest goes through the stream."""
        pickled = _pickling.Pickled(value)
        with self._create(key, pickled.size, _with_type(options, _pickling.CONTENT_TYPE)) as writer:
            pickled.write(writer.address)
        self._copies.add(pickled_bytes=pickled.stream_bytes, written_bytes=pickled.size)
        return writer.id

    def put_many(self, values: Union[Mapping[Any, object], Iterable[Tuple[IdLike, object]]], options: ObjectOptions = _DEFAULT_OBJECT) -> List[Status]:
        """Stores several values; one that fails does not stop the others. Returns what became of each, in their order. Bytes go to the store in one call."""
        items = list(values.items() if isinstance(values, Mapping) else values)
        statuses = [Status.OK] * len(items)
        plain = [i for i, (_, value) in enumerate(items) if isinstance(value, (bytes, bytearray, memoryview))]
        sources: List[Contiguous] = []
        try:
            payloads = bytearray(ctypes.sizeof(_native.FpBuffer) * len(plain))
            for n, i in enumerate(plain):
                source = Contiguous(items[i][1])
                sources.append(source)
                buffer = _native.FpBuffer.from_buffer(payloads, n * ctypes.sizeof(_native.FpBuffer))
                buffer.data, buffer.size = source.address, source.size
            if plain:
                gathered = sum(source.copied_bytes for source in sources)
                if gathered:
                    self._copies.add(gathered_bytes=gathered)
                results = bytes_type(ctypes.sizeof(ctypes.c_int32) * len(plain))()
                native = native_object_options(options)
                ids = b"".join(raw_id(items[i][0]) for i in plain)
                with Contiguous(payloads) as table:
                    _native.check(_native.lib().fp_put_many(self._open(), ids, table.address, len(plain), ctypes.byref(native), ctypes.addressof(results), None))
                for i, status in zip(plain, memoryview(results).cast("B").cast("i")):
                    statuses[i] = Status(status)
        finally:
            for source in sources:
                source.close()
        batched = set(plain)
        for i, (key, value) in enumerate(items):
            if i not in batched:
                try:
                    self.put(key, value, options)
                except FastPlasmaError as e:
                    statuses[i] = e.status
        return statuses

    def create(self, key: IdLike, size: int, options: ObjectOptions = _DEFAULT_OBJECT) -> ObjectWriter:
        """Begins an object of ``size`` bytes that is written in place: no copy. Statuses as ``put``."""
        return self._create(key, size, options)

    def create_array(self, key: IdLike, shape: Union[int, Sequence[int]], dtype: "npt.DTypeLike", options: ObjectOptions = _DEFAULT_OBJECT) -> ArrayWriter:
        """Begins a numpy array that is filled in place: no copy. C order."""
        kind, dims = _arrays.dtype_for(dtype), _arrays.shape_of(shape)
        made = object_id(key)
        opened = self._begin(made, _arrays.size_of(kind, dims), _array_options(options, _arrays.header(kind, dims, "C")))
        return ArrayWriter(opened, made, self.pin, lambda data: _arrays.over(data, kind, dims))

    def seal(self, writer: ObjectWriter) -> None:
        """Publishes what ``create`` has begun; the same as ``writer.seal()``."""
        writer.seal()

    def abort(self, key: IdLike) -> None:
        """Gives up what this attachment is creating under an id. ``NotFound``, ``AlreadySealed``, ``NotOwner``. No thread may be writing it."""
        _native.check(_native.lib().fp_abort_id(self._open(), raw_id(key)))

    def delete(self, key: IdLike) -> None:
        """Gone for new gets at once; the memory is freed after the last release. ``NotFound``, ``NotSealed``."""
        _native.check(_native.lib().fp_delete(self._open(), raw_id(key)))

    # ---- reading -------------------------------------------------------------------------------------------------------------------

    def get(self, key: IdLike, timeout: Optional[float] = 0, *, spin: float = 0, cancellation: Optional[Cancellation] = None) -> Any:
        """The value of a sealed object, over the store's memory and without a copy of its bytes: what ``put`` stored, read-only.

        Bytes come back as a read-only memoryview, arrays as read-only arrays, pickles as new Python objects whose arrays lie in the store. All of them keep the
        object pinned as long as they live. ``NotFound`` with timeout 0, else ``Timeout``; ``NotResident`` if it is on disk and cannot be
        brought back (with timeout 0: is not); ``Cancelled``, ``Closed``, ``TooManyPins``. For ``spin`` seconds it looks again
        and again before it sleeps, which costs a core and saves the wake-up.

        A pickle can run any code, so get only what writers that you trust have put, or open the store with ``allow_pickle=False``.
        """
        return self._value(self.pin(key, timeout, spin=spin, cancellation=cancellation))

    async def get_async(self, key: IdLike, timeout: Optional[float] = None) -> Any:
        """As ``get`` for asyncio: waits without a thread until the object is sealed. ``NotFound`` with timeout 0, else ``Timeout``; ``NotResident``, ``Closed``, ``TooManyPins``; at
        most 4,095 wait at once (``NoMemory``).

        A task that is cancelled (``asyncio.wait_for`` too) ends the wait, and leaves nothing pinned.
        """
        return self._value(await self.pin_async(key, timeout))

    def get_many(self, keys: Iterable[IdLike], needed: Optional[int] = None, timeout: Optional[float] = 0, *, missing: Any = None,
                 cancellation: Optional[Cancellation] = None) -> List[Any]:
        """The values of several objects, ``missing`` in place of those that are not there. Waits until ``needed`` of them (None: all) are there, or the time is over."""
        return [missing if obj is None else self._value(obj) for obj in self.pin_many(keys, needed, timeout, cancellation=cancellation)]

    def get_buffer(self, key: IdLike, timeout: Optional[float] = 0) -> memoryview:
        """The bytes of an object in place, whatever it is. Never unpickles."""
        return self.pin(key, timeout).data

    def get_bytes(self, key: IdLike, timeout: Optional[float] = 0) -> bytes:
        """A copy of the bytes of an object, whatever it is. Pins nothing beyond the call. Never unpickles."""
        with self.pin(key, timeout) as obj:
            copied = bytes(obj.data)
        self._copies.add(read_bytes=len(copied))
        return copied

    def get_array(self, key: IdLike, timeout: Optional[float] = 0) -> "npt.NDArray[Any]":
        """The read-only array that an object is, in place. TypeError if it is none. Never unpickles."""
        obj = self.pin(key, timeout)
        if obj.content_type != _arrays.CONTENT_TYPE:
            raise TypeError(f"Object {obj.id} is no array; its media type is '{obj.content_type}'.")
        return _arrays.read(obj.metadata, obj.data)

    def get_into(self, key: IdLike, buffer: Buffer, timeout: Optional[float] = 0) -> int:
        """Copies the bytes of an object into a writable buffer and returns how many they are. Pins nothing. ``InvalidArgument`` if the buffer is too small."""
        size = ctypes.c_int64()
        raw = raw_id(key)
        with Contiguous(buffer, writable=True) as target:
            _native.check(wait(timeout, 0, None, lambda ms, options: _native.lib().fp_get_into(
                self._open(), raw, ms, options, target.address, target.size, ctypes.byref(size))))
        return size.value

    def pin(self, key: IdLike, timeout: Optional[float] = 0, *, spin: float = 0, cancellation: Optional[Cancellation] = None) -> PlasmaObject:
        """The object itself: its bytes, metadata, name, media type, until the pin and all views are gone. As ``get`` otherwise."""
        made = object_id(key)
        raw = made._raw
        pin = Pin()
        native = ctypes.byref(pin.native)
        status = _native.lib().fp_try_get(self._open(), raw, native)
        if status == Status.NOT_FOUND and timeout != 0:
            status = wait(timeout, spin, cancellation, lambda ms, options: _native.lib().fp_get(self._open(), raw, ms, options, native))
        _native.check(status)
        return PlasmaObject(pin, made)

    async def pin_async(self, key: IdLike, timeout: Optional[float] = None) -> PlasmaObject:
        """As ``pin`` for asyncio, and as ``get_async``: the object itself."""
        made = object_id(key)
        pin = Pin()
        status = _native.lib().fp_try_get(self._open(), made._raw, ctypes.byref(pin.native))  # What is there needs no other thread.
        if status == Status.NOT_FOUND and timeout != 0:
            pin = await _async.pin(self, self._handle, made, timeout)
        else:
            _native.check(status)
        return PlasmaObject(pin, made)

    def pin_many(self, keys: Iterable[IdLike], needed: Optional[int] = None, timeout: Optional[float] = 0, *,
                 cancellation: Optional[Cancellation] = None) -> List[Optional[PlasmaObject]]:
        """As ``get_many``, the objects themselves; None in place of those that are not there."""
        ids = [object_id(key) for key in keys]
        if not ids:
            return []
        item_bytes = ctypes.sizeof(_native.FpObject)
        raw, count = b"".join(made._raw for made in ids), len(ids)
        table = bytes_type(item_bytes * count)()
        address = ctypes.addressof(table)
        wanted = count if needed is None else needed
        try:
            status = wait(timeout, 0, cancellation, lambda ms, options: self._pin_slice(raw, count, wanted, ms, options, address))
            if status == Status.TIMEOUT:
                status = _native.lib().fp_get_many(self._open(), raw, count, 0, 0, None, address, None)
            _native.check(status)
            pins = [Pin() for _ in ids]
            for i, pin in enumerate(pins):
                ctypes.memmove(ctypes.byref(pin.native), address + i * item_bytes, item_bytes)
            return [PlasmaObject(pin, made) if pin.native.data is not None else None for pin, made in zip(pins, ids)]
        except BaseException:
            _native.lib().fp_release_many(address, count)  # An interrupt too. A pin that was copied is the same pin.
            raise

    def _pin_slice(self, ids: bytes, count: int, needed: int, timeout_ms: int, options: Any, table: int) -> int:
        """fp_get_many that keeps no pins unless it has all that are needed."""
        status: int = _native.lib().fp_get_many(self._open(), ids, count, needed, timeout_ms, options, table, None)
        if status == Status.TIMEOUT:
            _native.check(_native.lib().fp_release_many(table, count))
        return status

    def contains(self, key: IdLike) -> bool:
        """Whether there is a sealed object of that id now."""
        status = _native.lib().fp_contains(self._open(), raw_id(key))
        if status == Status.NOT_FOUND:
            return False
        _native.check(status)
        return True

    def __contains__(self, key: object) -> bool:
        return self.contains(key)  # type: ignore[arg-type]  # A TypeError says what an id is.

    def wait(self, keys: Iterable[IdLike], needed: Optional[int] = None, timeout: Optional[float] = None, *,
             cancellation: Optional[Cancellation] = None) -> List[bool]:
        """Waits until ``needed`` of the ids (None: all) are sealed or the time is over, and says of each whether it is. Pins nothing."""
        ids = b"".join(raw_id(key) for key in keys)
        count = len(ids) // ID_BYTES
        if count == 0:
            return []
        ready = bytes_type(count)()
        wanted = count if needed is None else needed
        status = wait(timeout, 0, cancellation, lambda ms, options: _native.lib().fp_wait(
            self._open(), ids, count, wanted, ms, options, ctypes.addressof(ready), None))
        if status not in (Status.OK, Status.TIMEOUT):
            _native.check(status)
        return [flag != 0 for flag in bytes(ready)]

    def _value(self, obj: PlasmaObject) -> Any:
        """What an object stands for, by its media type."""
        content_type = obj.content_type
        if content_type == _arrays.CONTENT_TYPE:
            return _arrays.read(obj.metadata, obj.data)
        if content_type == _pickling.CONTENT_TYPE:
            if not self._options.allow_pickle:
                raise PickleRefused(f"Object {obj.id} is a pickle, and the store was opened with allow_pickle=False. get_buffer and pin read it without unpickling.")
            value, unpickled = _pickling.read(obj.data)
            self._copies.add(unpickled_bytes=unpickled)
            return value
        return obj.data

    # ---- looking in ----------------------------------------------------------------------------------------------------------------

    def subscribe(self) -> Subscription:
        """Follows seals, deletes and evictions from now on."""
        handle = ctypes.c_void_p()
        _native.check(_native.lib().fp_subscribe(self._open(), ctypes.byref(handle)))
        return Subscription(handle.value or 0, self)

    def subscribe_callback(self, each: Callable[[Event], object]) -> CallbackSubscription:
        """Calls ``each`` with every seal, delete and eviction from now on, by a thread of the library, until the subscription is closed or nobody refers to it."""
        return CallbackSubscription(self, each)

    def events(self, capacity: int = 4096) -> EventStream:
        """Seals, deletes and evictions from now on for asyncio: ``async for event in store.events()``. In the event loop that reads it."""
        return EventStream(self, capacity)

    @property
    def details(self) -> _inspect.StoreDetails:
        """What this attachment is, without a look at the store."""
        native = _native.sized(_native.FpStoreDetails)
        _native.check(_native.lib().fp_store_details_get(self._open(), ctypes.byref(native)))
        return _inspect.store_details(native)

    def list(self) -> "List[_inspect.ObjectInfo]":
        """All objects, each as it is when it is looked at."""
        return _walk(_native.ObjectInfoCallback, _inspect.object_info, lambda each: _native.lib().fp_list(self._open(), each, None))

    def holders(self, key: Optional[IdLike] = None) -> "List[_inspect.PinHolder]":
        """Who pins the objects of an id (None: all objects). A walk over everything in both cases."""
        raw = None if key is None else raw_id(key)
        return _walk(_native.PinHolderCallback, _inspect.pin_holder, lambda each: _native.lib().fp_list_holders(self._open(), raw, each, None))

    def participants(self) -> "List[_inspect.ParticipantInfo]":
        """All attachments of all processes."""
        return _walk(_native.ParticipantCallback, _inspect.participant_info, lambda each: _native.lib().fp_list_participants(self._open(), each, None))

    def stats(self) -> _inspect.StoreStats:
        """The store's numbers."""
        native = _native.sized(_native.FpStoreStats)
        _native.check(_native.lib().fp_stats(self._open(), ctypes.byref(native)))
        return _inspect.store_stats(native)

    @property
    def copies(self) -> CopyCounts:
        """What this package itself has copied for this attachment; the store's own copies are in ``stats().process``."""
        return self._copies.taken()

    def verify(self, checksums: bool = False, progress: Optional[Callable[[float], None]] = None) -> _inspect.VerifyReport:
        """Walks everything and checks it, with ``checksums`` also the bytes of objects that have one. ``progress`` is called with 0 to 1; what it raises stops the walk and is
        raised here."""
        problems: List[str] = []
        notes: List[str] = []

        def found(context: object, is_problem: int, line: bytes) -> None:
            (problems if is_problem else notes).append(line.decode("utf-8", "replace"))

        failures: List[BaseException] = []

        def tell(context: object, done: float) -> int:
            try:
                if progress is not None:
                    progress(done)
                return 0
            except BaseException as e:
                failures.append(e)
                return 1

        report = _native.sized(_native.FpVerifyReport)
        status = _native.lib().fp_verify(self._open(), int(checksums), _native.ProgressCallback(tell), _native.FindingCallback(found), None, ctypes.byref(report))
        if failures:
            raise failures[0]
        _native.check(status)
        return _inspect.VerifyReport(report.objects, report.checksums_verified, report.payload_bytes, problems, notes)

    # ---- keeping house -------------------------------------------------------------------------------------------------------------

    def evict(self, size: int) -> int:
        """Drops evictable objects that nobody reads until so many bytes are free of them. Returns how many were."""
        return self._amount("fp_evict", ctypes.c_int64, size)

    def trim(self) -> int:
        """Gives memory that no object uses back to the system. Returns how much, in bytes."""
        return self._amount("fp_trim", ctypes.c_int64)

    def maintain(self) -> int:
        """Finishes what dead processes left, now instead of within a second. Returns how many those were."""
        return self._amount("fp_maintain", ctypes.c_int32)

    def admit_reader(self, user: str) -> None:
        """Gives one other user the right to read, for good."""
        _native.check(_native.lib().fp_admit_reader(self._open(), text(user)))

    def _amount(self, function: str, kind: "type[Any]", *arguments: int) -> int:
        amount = kind()
        _native.check(getattr(_native.lib(), function)(self._open(), *arguments, ctypes.byref(amount)))
        return int(amount.value)

    def _open(self) -> ctypes.c_void_p:
        if self._closed:
            raise Closed(f"The store {self._name!r} was closed.")
        return self._handle

    def _create(self, key: IdLike, size: int, options: ObjectOptions) -> ObjectWriter:
        made = object_id(key)
        return ObjectWriter(self._begin(made, size, options), made, self.pin)

    def _begin(self, key: ObjectId, size: int, options: ObjectOptions) -> OpenWriter:
        native, opened = native_object_options(options), OpenWriter()
        _native.check(_native.lib().fp_create(self._open(), raw_id(key), size, ctypes.byref(native), ctypes.byref(opened.native)))
        return opened


def destroy(name: str, directory: Optional[str] = None) -> None:
    """Removes a store's files. ``NoStore`` if there were none. Processes that have it open keep what they have."""
    _native.check(_native.lib().fp_destroy(text(name), text(directory)))


def list_stores(directory: Optional[str] = None) -> List[str]:
    """Names of the stores in a directory (None: /dev/shm), sorted."""
    names: List[str] = []

    def each(context: object, name: bytes) -> int:
        names.append(name.decode("utf-8", "replace"))
        return 0

    _native.check(_native.lib().fp_list_stores(text(directory), _native.NameCallback(each), None))
    return names


def library_version() -> str:
    """Version of the C library that is loaded."""
    version: bytes = _native.lib().fp_version()
    return version.decode()


def _walk(kind: Any, convert: Callable[[Any], _Info], call: Callable[[Any], Any]) -> List[_Info]:
    """Everything that a callback of the library is called with, converted during the call."""
    found: List[_Info] = []
    failures: List[BaseException] = []

    def each(context: object, info: Any) -> int:
        try:
            found.append(convert(info.contents))
            return 0
        except BaseException as e:  # Must not reach the library.
            failures.append(e)
            return 1

    status = call(kind(each))
    if failures:
        raise failures[0]
    _native.check(status)
    return found


def _logger(log: Callable[[LogLevel, str], None]) -> Callable[[object, int, bytes], None]:
    def write(context: object, level: int, line: bytes) -> None:
        log(LogLevel(level), line.decode("utf-8", "replace"))

    return write


def _with_type(options: ObjectOptions, content_type: str, **more: Any) -> ObjectOptions:
    if options.content_type not in ("", content_type):
        raise ValueError(f"The media type of such an object is {content_type}, not '{options.content_type}'.")
    return dataclasses.replace(options, content_type=content_type, **more)


def _array_options(options: ObjectOptions, metadata: bytes) -> ObjectOptions:
    if options.metadata:
        raise ValueError("The metadata of an array are its dtype and shape. Put bytes (put_bytes) with metadata of your own, or a pickle.")
    return _with_type(options, _arrays.CONTENT_TYPE, metadata=metadata)


@atexit.register
def _close_all() -> None:
    """Before the interpreter ends: no thread of the library may call into it later."""
    _native.ending = True
    _async.end_all(list(_open_stores))
