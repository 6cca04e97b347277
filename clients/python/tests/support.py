"""What tests need and must leave as they found it: stores with names of their own, and workers of the .NET side."""

from __future__ import annotations

import glob
import itertools
import os
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path
from typing import Any, Callable, List, Optional

import fastplasma
from fastplasma import Store, StoreOptions

PACKAGE = Path(__file__).resolve().parents[1]
CHECKOUT = PACKAGE.parents[1]
PREFIX = os.environ.get("FASTPLASMA_TEST_PREFIX", f"py{os.getpid()}-")
SMALL = StoreOptions(capacity_bytes=64 << 20, object_count_max=4096)
PATIENCE = 30.0

_names = itertools.count(1)


class StoreCase(unittest.TestCase):
    """A test with one store. Nothing is left of it: every store is verified and destroyed, and no file of it remains."""

    options = SMALL

    def setUp(self) -> None:
        self.name = self.new_name()
        self.store = Store.create_store(self.name, self.options)
        self.addCleanup(self._end, self.store)

    def new_name(self) -> str:
        name = f"{PREFIX}{os.getpid()}-{next(_names)}"
        self.addCleanup(self._destroy, name)
        return name

    def _end(self, store: Store) -> None:
        if not store.closed:
            self.assertEqual([], store.verify(checksums=True).problems)
            store.close()

    def _destroy(self, name: str) -> None:
        try:
            fastplasma.destroy(name)
        except fastplasma.NoStore:
            pass
        self.assertEqual([], glob.glob(f"/dev/shm/fastplasma.{name}*"))

    def pins(self) -> int:
        """Pins on all objects, by all processes."""
        return sum(info.pin_count for info in self.store.list())

    def assertAddressWithin(self, address: int, obj: fastplasma.PlasmaObject, size: int = 1) -> None:
        self.assertGreaterEqual(address, obj.address)
        self.assertLessEqual(address + size, obj.address + obj.size)


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Looks again and again until a condition holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"Not within {PATIENCE} s: {what}.")
        time.sleep(0.001)  # Only the pace of looking.


def run_threads(*bodies: Callable[[], Any]) -> None:
    """Runs each body in a thread, and fails with what any of them raised."""
    failures: List[BaseException] = []

    def guarded(body: Callable[[], Any]) -> None:
        try:
            body()
        except BaseException as e:
            failures.append(e)

    threads = [threading.Thread(target=guarded, args=(body,), daemon=True) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        if thread.is_alive():
            raise AssertionError("A thread did not end.")
    if failures:
        raise failures[0]


def run_python(source: str, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Another Python process that runs a piece of source."""
    environment = dict(os.environ, PYTHONPATH=str(PACKAGE), PYTHONDONTWRITEBYTECODE="1")
    done = subprocess.run([sys.executable, "-X", "dev", "-c", source, *arguments], env=environment, capture_output=True, text=True, timeout=2 * PATIENCE)
    if check and done.returncode != 0:
        raise AssertionError(f"The process ended with {done.returncode}.\n{done.stdout}{done.stderr}")
    return done


def loaded_library() -> str:
    """The path of the C library that this process uses."""
    fastplasma.library_version()
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "libfastplasma.so" in line:
            return line.split()[-1]
    raise AssertionError("libfastplasma.so is not mapped.")


class Worker:
    """A process of the .NET side (tests/FastPlasma.Worker), driven line by line. It ends with its input."""

    def __init__(self, store: Optional[str] = None) -> None:
        environment = dict(os.environ, DOTNET_EnableDiagnostics="0", DOTNET_DbgEnableMiniDump="0")
        self._process = subprocess.Popen([worker_path()], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1)
        if store is not None:
            self.call(f"open {store}")

    @property
    def id(self) -> int:
        return self._process.pid

    def send(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def receive(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().rstrip("\n")
        if line == "ok" or line.startswith("ok "):
            return line[3:]
        raise AssertionError(f"The worker answered: {line or 'nothing, it has ended'}")

    def call(self, command: str) -> str:
        """Sends a command and returns what follows "ok"."""
        self.send(command)
        return self.receive()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE)

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.kill()
        self._process.wait(PATIENCE)
        self._process.stdin.close()
        self._process.stdout.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def worker_path() -> str:
    named = os.environ.get("FASTPLASMA_WORKER")
    if named:
        return named
    for configuration in ("release", "debug"):
        path = CHECKOUT / "artifacts" / "bin" / "FastPlasma.Worker" / configuration / "FastPlasma.Worker"
        if path.is_file():
            return str(path)
    raise FileNotFoundError("FastPlasma.Worker is not there: build the solution (or set FASTPLASMA_WORKER).")
