"""Ids of objects."""

from __future__ import annotations

import hashlib
import os
import uuid
from typing import Union

ID_BYTES = 28
PLASMA_ID_BYTES = 20
UUID_BYTES = 16


class ObjectId:
    """Names one object: 28 opaque bytes. Immutable, hashable, ordered, equal to what the same name has in C and .NET.

    ``ObjectId(raw)`` takes 28 bytes, the 20 of a Plasma id or the 16 of a UUID; the shorter ones are followed by zeros.
    """

    __slots__ = ("_raw",)
    _raw: bytes

    def __init__(self, raw: Union[bytes, bytearray, memoryview]) -> None:
        data = bytes(raw)
        if len(data) not in (ID_BYTES, PLASMA_ID_BYTES, UUID_BYTES):
            raise ValueError(f"An id has {ID_BYTES} bytes ({PLASMA_ID_BYTES} of Plasma, {UUID_BYTES} of a UUID), not {len(data)}.")
        object.__setattr__(self, "_raw", data.ljust(ID_BYTES, b"\0"))

    @classmethod
    def from_name(cls, name: str) -> ObjectId:
        """The first 28 bytes of the SHA-256 of the name's UTF-8 form; at least one character."""
        if not name:
            raise ValueError("A name has at least one character.")
        return cls(hashlib.sha256(name.encode()).digest()[:ID_BYTES])

    @classmethod
    def from_content(cls, content: Union[bytes, bytearray, memoryview]) -> ObjectId:
        """The first 28 bytes of the SHA-256 of a content."""
        return cls(hashlib.sha256(content).digest()[:ID_BYTES])

    @classmethod
    def from_hex(cls, text: str) -> ObjectId:
        """From 56 hexadecimal digits, or the 40 of a Plasma id."""
        if len(text) not in (2 * ID_BYTES, 2 * PLASMA_ID_BYTES) or not all(c in "0123456789abcdefABCDEF" for c in text):
            raise ValueError(f"'{text}' is not {2 * ID_BYTES} or {2 * PLASMA_ID_BYTES} hexadecimal digits.")
        return cls(bytes.fromhex(text))

    @classmethod
    def from_int(cls, number: int) -> ObjectId:
        """The id whose 56 hexadecimal digits are this number: 0 to 2**224 - 1."""
        if not 0 <= number < 1 << 8 * ID_BYTES:
            raise ValueError(f"{number} is not within 0 to 2**224 - 1.")
        return cls(number.to_bytes(ID_BYTES, "big"))

    @classmethod
    def random(cls) -> ObjectId:
        """224 random bits of the operating system."""
        return cls(os.urandom(ID_BYTES))

    @property
    def hex(self) -> str:
        """56 lower-case hexadecimal digits."""
        return self._raw.hex()

    def __bytes__(self) -> bytes:
        return self._raw

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("An ObjectId is immutable.")

    def __reduce__(self) -> "tuple[type[ObjectId], tuple[bytes]]":
        return ObjectId, (self._raw,)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ObjectId):
            return NotImplemented
        return self._raw == other._raw

    def __lt__(self, other: ObjectId) -> bool:
        if not isinstance(other, ObjectId):
            return NotImplemented
        return self._raw < other._raw

    def __hash__(self) -> int:
        return hash(self._raw)

    def __str__(self) -> str:
        return self.hex

    def __repr__(self) -> str:
        return f"ObjectId.from_hex('{self.hex}')"


IdLike = Union[ObjectId, str, bytes, int, uuid.UUID]
"""What names an object: an ``ObjectId``; a ``str``, which is always a name (hexadecimal text needs ``ObjectId.from_hex``); 28, 20 or 16 raw bytes; an ``int``
(``ObjectId.from_int``); a UUID."""


def object_id(key: IdLike) -> ObjectId:
    """The id that a key stands for."""
    if isinstance(key, ObjectId):
        return key
    if isinstance(key, str):
        return ObjectId.from_name(key)
    if isinstance(key, (bytes, bytearray, memoryview)):
        return ObjectId(key)
    if isinstance(key, int) and not isinstance(key, bool):
        return ObjectId.from_int(key)
    if isinstance(key, uuid.UUID):
        return ObjectId(key.bytes)
    raise TypeError(f"An id is an ObjectId, str, bytes, int or UUID, not {type(key).__name__}.")


def raw_id(key: IdLike) -> bytes:
    """The 28 bytes of the id that a key stands for."""
    return object_id(key)._raw
