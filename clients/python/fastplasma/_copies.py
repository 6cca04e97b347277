"""Counts of the copies that Python itself makes, which the store cannot see."""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass(frozen=True)
class CopyCounts:
    """Bytes that this package has copied or converted, beside those in ``StoreStats.process``."""

    written_bytes: int = 0
    """Written by this package into objects that it created (pickles)."""
    gathered_bytes: int = 0
    """Copied into one piece before a put (arrays and views that are not contiguous)."""
    pickled_bytes: int = 0
    """Made by pickle, of everything that gives no buffer."""
    unpickled_bytes: int = 0
    """Read by pickle to make new Python objects."""
    read_bytes: int = 0
    """Copied out of objects by ``get_bytes``."""


class Copies:
    """Counts, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # Not Lock: a signal handler may put, too.
        self._counts = dict.fromkeys(CopyCounts.__dataclass_fields__, 0)

    def add(self, **counts: int) -> None:
        with self._lock:
            for name, value in counts.items():
                self._counts[name] += value

    def taken(self) -> CopyCounts:
        with self._lock:
            return CopyCounts(**self._counts)
