"""Memory of the store as Python buffers, and buffers of Python as addresses."""

from __future__ import annotations

import ctypes
import functools
import pickle
from types import TracebackType
from typing import Any, Optional, Type, Union

Buffer = Any
"""Anything with the buffer protocol (PEP 3118): bytes, bytearray, memoryview, array.array, mmap, numpy arrays. Python 3.11 has no type for it."""


@functools.lru_cache(maxsize=1024)
def bytes_type(size: int) -> "type[ctypes.Array[ctypes.c_ubyte]]":
    """An array type of so many bytes. Its instances take attributes and weak references. Not ``c_ubyte * size``: ctypes remembers each of those for ever."""
    kind: Any = type(ctypes.Array)
    made: "type[ctypes.Array[ctypes.c_ubyte]]" = kind("StoreMemory", (ctypes.Array,), {"_type_": ctypes.c_ubyte, "_length_": size, "__doc__": "Memory of a store."})
    return made


def memory_at(address: Optional[int], size: int, owner: object) -> "ctypes.Array[ctypes.c_ubyte]":
    """A buffer over ``size`` bytes that keeps ``owner`` alive, as does every view of it."""
    memory = bytes_type(size).from_address(address or ctypes.addressof(_NOTHING))  # An empty payload may lie nowhere.
    memory.owner = owner  # type: ignore[attr-defined]
    return memory


def read_only(memory: "ctypes.Array[ctypes.c_ubyte]") -> memoryview:
    """A read-only view of bytes. Its ``obj`` is read-only too: numpy looks there when it is asked to make an array writable."""
    return memoryview(pickle.PickleBuffer(memoryview(memory).cast("B").toreadonly()))


_NOTHING = ctypes.c_uint64()


class _PyBuffer(ctypes.Structure):
    """Py_buffer, which is part of the stable interface since Python 3.11 and had this layout before."""

    _fields_ = [
        ("buf", ctypes.c_void_p), ("obj", ctypes.c_void_p), ("len", ctypes.c_ssize_t), ("itemsize", ctypes.c_ssize_t), ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int), ("format", ctypes.c_char_p), ("shape", ctypes.c_void_p), ("strides", ctypes.c_void_p), ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    ]


_WRITABLE = 1
_get_buffer = ctypes.pythonapi.PyObject_GetBuffer
_get_buffer.argtypes = [ctypes.py_object, ctypes.c_void_p, ctypes.c_int]
_get_buffer.restype = ctypes.c_int
_release_buffer = ctypes.pythonapi.PyBuffer_Release
_release_buffer.argtypes = [ctypes.c_void_p]
_release_buffer.restype = None


class Contiguous:
    """Address and size of a buffer's bytes while the block runs. What is not C-contiguous is copied first; ``copied_bytes`` says how much that was."""

    __slots__ = ("_data", "_view", "address", "size", "copied_bytes")
    address: int
    size: int
    copied_bytes: int

    def __init__(self, data: Buffer, writable: bool = False) -> None:
        self._view = _PyBuffer()
        self.copied_bytes = 0
        if not writable and not isinstance(data, (bytes, bytearray)):
            view = memoryview(data)  # TypeError: not a buffer.
            if not view.c_contiguous:
                data = view.tobytes()
                self.copied_bytes = len(data)
        self._data = data
        _get_buffer(data, ctypes.addressof(self._view), _WRITABLE if writable else 0)
        self.address = self._view.buf or ctypes.addressof(_NOTHING)
        self.size = self._view.len

    def __enter__(self) -> Contiguous:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def close(self) -> None:
        _release_buffer(ctypes.addressof(self._view))  # A second time does nothing.

    def __del__(self) -> None:
        self.close()


def copy(destination: int, source: Union[int, bytes], size: int) -> None:
    """memcpy, without the interpreter's lock."""
    ctypes.memmove(destination, source, size)


def clear(destination: int, size: int) -> None:
    ctypes.memset(destination, 0, size)
