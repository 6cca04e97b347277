"""Any Python object as one object of the store: pickle protocol 5, with large buffers beside the stream (PEP 574).

    off  bytes  field
      0      8  magic "FPPICKL5"
      8      8  bytes of the pickle stream         little-endian, as all numbers here
     16      8  number n of buffers
     24      8  0
     32   16 n  offset and bytes of each buffer
      .         pickle stream, at a multiple of 64
      .         buffers, each at a multiple of 64; zeros between
"""

from __future__ import annotations

import pickle
import struct
from typing import Any, List, Tuple

from . import _memory
from ._errors import BadFormat

CONTENT_TYPE = "application/x-fastplasma-pickle5"
MAGIC = b"FPPICKL5"
ALIGNMENT = 64
_HEAD = struct.Struct("<8sQQQ")
_PLACE = struct.Struct("<QQ")


def _up(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT


class Pickled:
    """A value, ready to be written into an object of ``size`` bytes. Holds views of the value's buffers, not copies."""

    def __init__(self, value: object) -> None:
        self._buffers: List[memoryview] = []
        self._stream = pickle.dumps(value, protocol=5, buffer_callback=self._take)
        self._stream_offset = _up(_HEAD.size + len(self._buffers) * _PLACE.size)
        end = self._stream_offset + len(self._stream)
        self._places: List[Tuple[int, int]] = []
        for buffer in self._buffers:
            self._places.append((_up(end), buffer.nbytes))
            end = _up(end) + buffer.nbytes
        self.size = end

    @property
    def stream_bytes(self) -> int:
        """What pickle itself wrote: everything that gave no buffer."""
        return len(self._stream)

    @property
    def buffer_bytes(self) -> int:
        return sum(buffer.nbytes for buffer in self._buffers)

    def _take(self, buffer: pickle.PickleBuffer) -> bool:
        """Whether a buffer stays in the stream: only one that does not lie in one piece."""
        try:
            self._buffers.append(buffer.raw())
        except BufferError:
            return True
        return False

    def write(self, address: int) -> None:
        """One copy of everything to where the object is."""
        head = bytearray(self._stream_offset)
        _HEAD.pack_into(head, 0, MAGIC, len(self._stream), len(self._buffers), 0)
        for i, place in enumerate(self._places):
            _PLACE.pack_into(head, _HEAD.size + i * _PLACE.size, *place)
        _memory.copy(address, bytes(head), len(head))
        _memory.copy(address + self._stream_offset, self._stream, len(self._stream))
        end = self._stream_offset + len(self._stream)
        for (offset, size), buffer in zip(self._places, self._buffers):
            _memory.clear(address + end, offset - end)
            with _memory.Contiguous(buffer) as source:
                _memory.copy(address + offset, source.address, size)
            end = offset + size


def read(data: memoryview) -> "tuple[Any, int]":
    """The value, over read-only views of the object, and how many bytes pickle decoded. BadFormat if the object is no such thing."""
    stream, buffers = parts(data)
    return pickle.loads(stream, buffers=buffers), stream.nbytes


def parts(data: memoryview) -> "tuple[memoryview, List[memoryview]]":
    """The pickle stream and the buffers, in place. Unpickles nothing."""
    if data.nbytes < _HEAD.size:
        raise BadFormat(f"A pickle has a head of {_HEAD.size} bytes, the object has {data.nbytes}.")
    magic, stream_bytes, count, zero = _HEAD.unpack_from(data)
    if magic != MAGIC or zero != 0 or count > (data.nbytes - _HEAD.size) // _PLACE.size:
        raise BadFormat("The object says that it is a pickle and has no head of one.")
    stream_offset = _up(_HEAD.size + count * _PLACE.size)
    buffers = []
    for i in range(count):
        offset, size = _PLACE.unpack_from(data, _HEAD.size + i * _PLACE.size)
        buffers.append(_part(data, offset, size))
    return _part(data, stream_offset, stream_bytes), buffers


def _part(data: memoryview, offset: int, size: int) -> memoryview:
    if offset > data.nbytes or size > data.nbytes - offset:
        raise BadFormat(f"A part of the pickle lies outside of the object: {size:,} bytes at {offset:,} of {data.nbytes:,}.")
    return data[offset : offset + size]
