"""bench/hot_calls.py: what it measures are whole operations. Its times are the load driver's matter."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from typing import Any

from fastplasma import Store

from .support import PACKAGE, SMALL, StoreCase

_SCRIPT = PACKAGE / "bench" / "hot_calls.py"
_SIZE = 1 << 20


def _load() -> Any:
    spec = importlib.util.spec_from_file_location("hot_calls", _SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["hot_calls"] = module  # Annotations of the module are looked up by its name.
    spec.loader.exec_module(module)
    return module


hot_calls = _load()


class Benchmark(StoreCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = tempfile.TemporaryDirectory(dir="/dev/shm")
        self.addCleanup(self.folder.cleanup)
        self.calls = hot_calls.Calls(self.store, self.folder.name, None)

    def test_every_peer_gives_back_what_it_was_given_and_then_has_it_no_more(self) -> None:
        for peer in self.calls.peers:
            for kind in ("bytes", "array", "frame"):
                for size in (1 << 10, _SIZE):
                    with self.subTest(peer=peer, kind=kind, size=size):
                        self.assertEqual(1, self.calls.do("check", size, 1, [peer, kind])["Operations"])

    def test_a_peer_that_gives_something_else_is_found(self) -> None:
        for peer in self.calls.peers.values():
            get = peer.get
            peer.get = lambda index, look, get=get: get(index, lambda found: look(found[:-1]))
        for peer in self.calls.peers:
            for kind in ("bytes", "array", "frame"):
                with self.subTest(peer=peer, kind=kind), self.assertRaisesRegex(ValueError, "another"):
                    self.calls.do("check", _SIZE, 1, [peer, kind])
                self.calls.peers[peer].delete(0)

    def test_copies_are_counted(self) -> None:
        for peer, at_get in (("fastplasma", 0.0), ("shared-memory", 0.0), ("pickle-file", 1.0)):
            for kind in ("bytes", "array", "frame"):
                with self.subTest(peer=peer, kind=kind):
                    at_put, found = self.calls.do("copies", _SIZE, 1, [peer, kind])["Figures"]
                    self.assertAlmostEqual(1.0, at_put, places=2)
                    self.assertAlmostEqual(at_get, found, places=2)

    def test_lines_are_answered_by_lines_and_a_mistake_is_said(self) -> None:
        with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
            options = type(SMALL)(capacity_bytes=SMALL.capacity_bytes, directory=directory)
            with Store.create_store("load", options) as store:
                store.put("hot", bytes((i * 7 + (i >> 8)) & 255 for i in range(1024)))
                asked = "take 1024 1 hot\ntake 1023 1 hot\nget-release 0 10\ncontains 0 10\nempty 0 10\nnothing 0 1 fastplasma bytes\nexit\n"
                command = [sys.executable, str(_SCRIPT), "load", directory, self.folder.name]
                ran = subprocess.run(command, input=asked, capture_output=True, text=True, env={**hot_calls.os.environ, "PYTHONPATH": str(PACKAGE)}, check=True)
                answers = [hot_calls.json.loads(line) for line in ran.stdout.splitlines()]
        self.assertEqual([1, None, 10, 10, 10, None], [answer.get("Operations") for answer in answers])
        self.assertIn("other bytes", answers[1]["Error"])
        self.assertIn("no such work", answers[5]["Error"])
