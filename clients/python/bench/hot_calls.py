"""What the calls cost from Python, and what Python programs use instead: the Python third of the load driver's scenarios client-calls and client-put-get, which start and ask it.

    hot_calls.py STORE DIRECTORY FOLDER [REDIS_SOCKET]

FOLDER lies in memory and takes the pickle files. Reads lines ``WHAT SIZE OPERATIONS [PEER KIND]`` (``give`` and ``take``: a name) and answers each with a line of JSON, whose Pairs are one
value: picoseconds per operation and 1. WHAT is as in clients/c/bench/hot_calls.c; PEER is one of ``PEERS``, KIND ``bytes``, ``array`` or ``frame``; ``sum`` is a get that reads every element, ``own-sum``
its ceiling, ``copies`` counts, ``check`` looks whether what is put is got.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import pickle
import socket
import struct
import sys
import time
from multiprocessing.shared_memory import SharedMemory
from typing import Any, Callable, Dict, List, Optional

import fastplasma
from fastplasma import _native

try:
    import numpy as np
except ImportError:
    np = None  # type: ignore[assignment]
try:
    import pandas as pd
except ImportError:
    pd = None

FRAME_COLUMNS, DOUBLE_BYTES, ALIGNMENT = 8, 8, 64
Look = Callable[[Any], Any]


class FastPlasma:
    """The store, by its values: what put takes, get gives back in place."""

    def __init__(self, store: fastplasma.Store) -> None:
        self._store = store
        self._keys: List[fastplasma.ObjectId] = []

    @property
    def copied(self) -> int:
        """Bytes: counted by the store and by the client."""
        counts, own = self._store.stats().process, self._store.copies
        return (counts.put_copied_bytes + counts.create_copied_bytes + counts.get_copied_bytes
                + own.gathered_bytes + own.written_bytes + own.pickled_bytes + own.unpickled_bytes + own.read_bytes)

    def prepare(self, operations: int) -> None:
        self._keys = [fastplasma.ObjectId.random() for _ in range(operations)]

    def put(self, index: int, value: Any) -> None:
        self._store.put(self._keys[index], value)

    def get(self, index: int, look: Look) -> Any:
        return look(self._store.get(self._keys[index]))

    def delete(self, index: int) -> None:
        self._store.delete(self._keys[index])


class Peer:
    """Something else. Counts the bytes that it copies, writes or reads itself; what the kernel and a server do with them is not in the count."""

    def __init__(self) -> None:
        self.copied = 0
        self._next = 0
        self._first = 0

    def prepare(self, operations: int) -> None:
        self._first, self._next = self._next, self._next + operations

    def _key(self, index: int) -> str:
        return f"fp-load-{os.getpid()}-{self._first + index}"


class SharedMemoryPeer(Peer):
    """multiprocessing.shared_memory, one segment per object: bytes as they are, everything else as a pickle of protocol 5 whose buffers lie beside the stream and are read in place."""

    HEAD = struct.Struct("<qq")  # Bytes of the stream (0: no pickle), number of buffers; then the size of each buffer.

    def put(self, index: int, value: Any) -> None:
        buffers: List[pickle.PickleBuffer] = []
        if isinstance(value, (bytes, memoryview)):
            stream, parts = b"", [memoryview(value)]
        else:
            stream = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
            parts = [buffer.raw() for buffer in buffers]
        head = self.HEAD.pack(len(stream), len(parts)) + struct.pack(f"<{len(parts)}q", *(part.nbytes for part in parts)) + stream
        end = len(head)
        places = []
        for part in parts:
            start = -(-end // ALIGNMENT) * ALIGNMENT
            end = start + part.nbytes
            places.append((start, end))
        segment = SharedMemory(self._key(index), create=True, size=end)
        segment.buf[: len(head)] = head
        for (start, stop), part in zip(places, parts):
            segment.buf[start:stop] = part
        self.copied += 2 * len(stream) + sum(part.nbytes for part in parts)
        segment.close()

    def get(self, index: int, look: Look) -> Any:
        segment = SharedMemory(self._key(index))
        try:
            return look(self._value(segment.buf))
        finally:
            segment.close()

    def delete(self, index: int) -> None:
        segment = SharedMemory(self._key(index))
        segment.close()
        segment.unlink()

    def _value(self, memory: memoryview) -> Any:
        stream_bytes, count = self.HEAD.unpack_from(memory)
        sizes = struct.unpack_from(f"<{count}q", memory, self.HEAD.size)
        stream = self.HEAD.size + 8 * count
        end = stream + stream_bytes
        parts = []
        for size in sizes:
            start = -(-end // ALIGNMENT) * ALIGNMENT
            end = start + size
            parts.append(memory[start:end].toreadonly())
        self.copied += stream_bytes
        return pickle.loads(memory[stream : stream + stream_bytes], buffers=parts) if stream_bytes else parts[0]


class PickleFilePeer(Peer):
    """A file in memory: written beside its place and renamed, so that readers see all of it or nothing."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    def put(self, index: int, value: Any) -> None:
        path = self._path(index)
        with open(path + ".new", "wb") as file:
            pickle.dump(value, file, protocol=5)
            self.copied += file.tell()
        os.rename(path + ".new", path)

    def get(self, index: int, look: Look) -> Any:
        with open(self._path(index), "rb") as file:
            value = pickle.load(file)
            self.copied += file.tell()
        return look(value)

    def delete(self, index: int) -> None:
        os.unlink(self._path(index))

    def _path(self, index: int) -> str:
        return os.path.join(self._folder, self._key(index))


class RedisPeer(Peer):
    """redis-server over a unix socket by the bare protocol, with less work than any client library: bytes as they are, everything else pickled, received into one buffer."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._answers = self._socket.makefile("rb", buffering=1 << 16)

    def put(self, index: int, value: Any) -> None:
        is_bytes = isinstance(value, (bytes, memoryview))
        data = value if is_bytes else pickle.dumps(value, protocol=5)
        size = len(data)
        self._send("SET", index, f"${size}\r\n".encode())
        self._socket.sendall(data)
        self._socket.sendall(b"\r\n")
        self._expect(b"+OK")
        self.copied += size if is_bytes else 2 * size

    def get(self, index: int, look: Look) -> Any:
        self._send("GET", index)
        size = int(self._line()[1:])
        data = bytearray(size)
        view, at = memoryview(data), 0
        while at < size:
            read = self._answers.readinto(view[at:])
            if not read:
                raise ConnectionError("redis-server has closed the connection.")
            at += read
        self._answers.read(2)
        is_pickle = data[:1] == b"\x80"  # Of every pickle; the bytes that are put here begin with another.
        self.copied += 2 * size if is_pickle else size
        return look(pickle.loads(data) if is_pickle else data)

    def delete(self, index: int) -> None:
        self._send("DEL", index)
        self._expect(b":1")

    def _send(self, command: str, index: int, more: bytes = b"") -> None:
        key = self._key(index)
        self._socket.sendall(f"*{3 if more else 2}\r\n${len(command)}\r\n{command}\r\n${len(key)}\r\n{key}\r\n".encode() + more)

    def _line(self) -> bytes:
        return self._answers.readline().rstrip(b"\r\n")

    def _expect(self, expected: bytes) -> None:
        line = self._line()
        if line != expected:
            raise ValueError(f"redis-server answered {line!r} where {expected!r} was due.")


class Clock:
    """One value: so many operations, so much time."""

    def __init__(self, operations: int) -> None:
        self._operations = operations
        self._start = time.perf_counter_ns()

    def answer(self) -> "Dict[str, Any]":
        ns = max(1, time.perf_counter_ns() - self._start)
        each = ns / self._operations
        return {"Operations": self._operations, "Seconds": ns / 1e9, "OperationsPerSecond": 1e9 / each, "Batch": self._operations, "Pairs": [round(each * 1000), 1]}


class Calls:
    """Does what is asked."""

    def __init__(self, store: fastplasma.Store, folder: str, redis: Optional[str]) -> None:
        self._store = store
        self._hot = fastplasma.ObjectId.from_name("hot")
        self.peers: "Dict[str, Any]" = {"fastplasma": FastPlasma(store), "shared-memory": SharedMemoryPeer(), "pickle-file": PickleFilePeer(folder)}
        if redis:
            self.peers["redis"] = RedisPeer(redis)
        self._values: "Dict[tuple[str, int], Any]" = {}
        self._target = bytearray()
        # The same function of the library as in C, as a foreign call that gives nothing: the least that ctypes can do, and any other way to call (cffi) would have its own least here.
        self._empty = ctypes.CDLL(_native.lib()._name)["fp_last_error"]
        self._empty.argtypes, self._empty.restype = [], None

    def value(self, kind: str, size: int) -> Any:
        """The same each time; no page of it could be shared or compressed."""
        made = self._values.get((kind, size))
        if made is None:
            for key in [key for key in self._values if key[1] != size]:
                del self._values[key]
            if kind == "bytes":
                made = b"\x07" + os.urandom(size - 1)
            elif kind == "array":
                made = np.random.default_rng(size).random(size // DOUBLE_BYTES)
            else:
                made = pd.DataFrame(np.random.default_rng(size).random((size // DOUBLE_BYTES // FRAME_COLUMNS, FRAME_COLUMNS)), columns=list("abcdefgh"))
            self._values[kind, size] = made
        return made

    def do(self, what: str, size: int, operations: int, rest: "List[str]") -> "Dict[str, Any]":
        if what in ("empty", "empty-pair", "get-release", "contains"):
            return self._hot_call(what, operations)
        if what == "copy":
            return self._copy(size, operations)
        if what == "own-sum":
            array, clock = self.value("array", size), Clock(operations)
            for _ in range(operations):
                array.sum()
            return clock.answer()
        if what in ("give", "take"):
            return self._exchange(what, size, rest[0])
        if what == "kinds":
            return {"Figures": [1, int(np is not None), int(pd is not None)]}
        peer, kind = self.peers[rest[0]], rest[1]
        if what == "check":
            return self._check(peer, kind, size)
        if what == "copies":
            return self._copies(peer, kind, size)
        if what == "put":
            value, put = self.value(kind, size), peer.put
            peer.prepare(operations)
            clock = Clock(operations)
            for i in range(operations):
                put(i, value)
            return clock.answer()
        if what in ("get", "sum"):
            look, get = self._look(what, kind, size), peer.get
            clock = Clock(operations)
            for i in range(operations):
                get(i, look)
            return clock.answer()
        if what == "delete":
            clock = Clock(operations)
            for i in range(operations):
                peer.delete(i)
            return clock.answer()
        raise ValueError(f"There is no such work: {what}.")

    def _hot_call(self, what: str, operations: int) -> "Dict[str, Any]":
        empty, pin, contains, hot = self._empty, self._store.pin, self._store.contains, self._hot
        clock = Clock(operations)
        if what == "empty":
            for _ in range(operations):
                empty()
        elif what == "empty-pair":
            for _ in range(operations):
                empty()
                empty()
        elif what == "get-release":
            for _ in range(operations):
                pin(hot).release()
        else:
            for _ in range(operations):
                if not contains(hot):
                    raise ValueError("The hot object is missing.")
        return clock.answer()

    def _copy(self, size: int, operations: int) -> "Dict[str, Any]":
        """To as many places as a put of so many objects has."""
        if len(self._target) != size * operations:
            self._target = bytearray(b"\x01") * (size * operations)
        target, source = memoryview(self._target), memoryview(self.value("bytes", size))
        clock = Clock(operations)
        for start in range(0, size * operations, size):
            target[start : start + size] = source
        return clock.answer()

    def _exchange(self, what: str, size: int, name: str) -> "Dict[str, Any]":
        expected = bytes((i * 7 + (i >> 8)) & 255 for i in range(size))
        clock = Clock(1)
        if what == "give":
            self._store.put(name, expected)
        elif self._store.get(name) != expected:
            raise ValueError(f"{name} has other bytes than were put.")
        return clock.answer()

    def _check(self, peer: Any, kind: str, size: int) -> "Dict[str, Any]":
        """What was put is what is got, and after the delete it is gone."""
        value = self.value(kind, size)
        clock = Clock(1)
        peer.prepare(1)
        peer.put(0, value)
        equal = peer.get(0, lambda found: found.equals(value) if kind == "frame" else np.array_equal(found, value) if kind == "array" else found == value)
        if not equal:
            raise ValueError(f"{type(peer).__name__} gave another {kind} of {size} bytes than was put.")
        peer.delete(0)
        try:
            gone = peer.get(0, lambda found: False)
        except (LookupError, OSError, ValueError):
            gone = None  # No store has it; redis-server's answer for nothing is no length.
        if gone is not None:
            raise ValueError(f"{type(peer).__name__} still has the {kind} of {size} bytes that was deleted.")
        return clock.answer()

    def _copies(self, peer: Any, kind: str, size: int) -> "Dict[str, Any]":
        """How often the bytes were copied at put and at get."""
        value, clock = self.value(kind, size), Clock(1)
        peer.prepare(1)
        at = [peer.copied]
        peer.put(0, value)
        at.append(peer.copied)
        peer.get(0, self._look("get", kind, size))
        at.append(peer.copied)
        peer.delete(0)
        return {**clock.answer(), "Figures": [(at[1] - at[0]) / size, (at[2] - at[1]) / size]}

    @staticmethod
    def _look(what: str, kind: str, size: int) -> Look:
        """One element, or all of them."""
        if what == "sum":
            return lambda found: found.sum()
        middle = size // 2 if kind == "bytes" else size // DOUBLE_BYTES // 2
        return (lambda found: found.iat[middle // FRAME_COLUMNS, 0]) if kind == "frame" else lambda found: found[middle]


def main() -> None:
    name, directory, folder, *redis = sys.argv[1:]
    with fastplasma.Store.open(name, fastplasma.StoreOptions(directory=directory)) as store:
        calls = Calls(store, folder, redis[0] if redis else None)
        gc.disable()  # As timeit does: what is measured makes no cycles, and a collection at a random moment would be a random figure.
        for line in sys.stdin:
            if line == "exit\n":
                break
            what, size, operations, *rest = line.split()
            try:
                answer = calls.do(what, int(size), int(operations), rest)
            except Exception as e:
                answer = {"Error": f"{type(e).__name__}: {e}"}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
