"""Other processes: spawned, forked, killed, and those of .NET."""

import multiprocessing
import os
import pickle
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import fastplasma
from fastplasma import Forked, ObjectId, ObjectOptions, Status, Store

from .support import PACKAGE, PATIENCE, PREFIX, StoreCase, Worker, eventually, loaded_library, run_python


def sum_of(name: str, key: str) -> "tuple[int, float]":
    with Store.open(name) as store:
        return os.getpid(), float(store.get(key, PATIENCE).sum())


class ProcessesTests(StoreCase):
    def test_spawned_processes_read_in_place_what_this_one_has_put(self) -> None:
        self.store.put("a", np.arange(100_000, dtype="f8"))
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            results = pool.starmap(sum_of, [(self.name, "a")] * 4)
        self.assertEqual({float(np.arange(100_000).sum())}, {total for _, total in results})
        self.assertEqual(0, self.store.stats().store.get_copied_bytes)

    def test_what_belongs_to_a_process_is_not_sent_to_another(self) -> None:
        self.store.put("a", b"x")
        with self.store.create("w", 1) as writer, self.store.subscribe() as events:
            for thing in (self.store, self.store.pin("a"), writer, events):
                with self.assertRaises(TypeError):
                    pickle.dumps(thing)

    def test_a_forked_child_is_refused_with_a_reason_and_harms_nothing(self) -> None:
        self.store.put("a", b"hello")
        view, obj, writer, events = self.store.get("a"), self.store.pin("a"), self.store.create("w", 5), self.store.subscribe()
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                answers = []
                for call in (
                    lambda: self.store.get("a"), lambda: self.store.put("b", b""), lambda: Store.open(self.name), lambda: obj.metadata, writer.seal, lambda: events.next(0), fastplasma.list_stores,
                    fastplasma.Cancellation, lambda: "a" in self.store,
                ):
                    try:
                        call()
                        answers.append("done")
                    except Forked as e:
                        answers.append(str(e))
                self.store.close()
                obj.release()
                del view, obj, writer, events
                os.write(write, "\n".join(answers).encode())
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read) as pipe:
            answers = pipe.read().split("\n")
        self.assertEqual(0, os.waitpid(child, 0)[1])
        self.assertEqual(9, len(answers))
        for answer in answers:
            self.assertIn("spawn", answer)
        self.assertEqual((b"hello", 2), (view, self.pins()))
        writer.data[:] = b"12345"
        writer.seal()
        self.assertEqual(b"12345", self.store.get("w"))
        self.assertEqual(ObjectId.from_name("w"), events.next(PATIENCE).id)
        events.close()

    def test_a_view_in_a_forked_child_is_a_fault_and_never_other_bytes(self) -> None:
        done = run_python(
            "import os, sys, fastplasma\nstore = fastplasma.Store.open(sys.argv[1])\nstore.put('a', b'hello')\nview = store.get('a')\n"
            "import faulthandler, resource; faulthandler.disable(); resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
            "child = os.fork()\nif child == 0: view.tobytes(); os._exit(0)\nprint(os.waitpid(child, 0)[1] & 127, bytes(view))",
            self.name,
        )
        self.assertEqual(f"{int(signal.SIGSEGV)} b'hello'\n", done.stdout)

    def test_multiprocessing_by_fork_says_what_to_do(self) -> None:
        with self.assertRaisesRegex(Forked, "spawn") as caught:
            with multiprocessing.get_context("fork").Pool(1) as pool:
                pool.apply(sum_of, (self.name, "a"))
        self.assertEqual(Status.FORKED, caught.exception.status)

    def test_a_process_that_forks_before_its_first_call_is_like_any_other(self) -> None:
        done = run_python(
            """
import os, sys, fastplasma
child = os.fork()
store = fastplasma.Store.open(sys.argv[1])
store.put("child" if child == 0 else "parent", b"x")
store.close()
if child: sys.exit(os.waitpid(child, 0)[1])
""",
            self.name,
        )
        self.assertEqual("", done.stderr)
        self.assertEqual([b"x", b"x"], self.store.get_many(["child", "parent"]))

    def test_a_killed_process_leaves_what_it_sealed_and_nothing_else(self) -> None:
        done = run_python(
            "import os, sys, fastplasma\nstore = fastplasma.Store.open(sys.argv[1])\nstore.put('sealed', b'x')\nview = store.get('sealed')\n"
            "writer = store.create('unsealed', 100)\nos.kill(os.getpid(), 9)",
            self.name, check=False,
        )
        self.assertEqual(-signal.SIGKILL, done.returncode)
        self.store.maintain()
        self.assertEqual((0, 1, 0), (self.pins(), self.store.stats().sealed_count, self.store.stats().creating_count))
        self.store.put("unsealed", b"free again")

    def test_an_admitted_user_reads_in_place_and_cannot_write(self) -> None:
        self.store.put("a", np.arange(1000))
        self.store.put("pickle", {"x": 1})
        self.store.admit_reader("nobody")
        source = """
import sys, fastplasma
from fastplasma import Access, Store, StoreOptions
store = Store.open(sys.argv[1], StoreOptions(access=Access.READ_ONLY, allow_pickle=False))
array = store.get("a")
print(int(array.sum()), array.flags.writeable)
for call in (lambda: store.get("pickle"), lambda: store.put("b", b""), lambda: store.delete("a"), lambda: Store.open(sys.argv[1])):
    try: call()
    except fastplasma.FastPlasmaError as e: print(type(e).__name__)
"""
        nobody = pwd.getpwnam("nobody").pw_uid
        with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:  # Wherever the checkout lies, that user may not get there.
            shutil.copytree(PACKAGE / "fastplasma", f"{folder}/fastplasma", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
            shutil.copyfile(loaded_library(), f"{folder}/fastplasma/libfastplasma.so")
            for path in [Path(folder), *Path(folder).rglob("*")]:
                path.chmod(0o755)
            done = subprocess.run(
                [sys.executable, "-c", source, self.name], cwd="/", env={"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}, user=nobody, group=nobody, extra_groups=[],
                capture_output=True, text=True, timeout=60,
            )
        self.assertEqual("499500 False\nPickleRefused\nAccessDenied\nAccessDenied\nAccessDenied\n", done.stdout, done.stderr)

    def test_exceptions_cross_processes(self) -> None:
        with self.assertRaises(fastplasma.TooLarge) as caught:
            self.store.put("a", bytes(100 << 20))
        again = pickle.loads(pickle.dumps(caught.exception))
        self.assertEqual((str(caught.exception), caught.exception.report, Status.TOO_LARGE), (str(again), again.report, again.status))


class DotNetTests(StoreCase):
    def setUp(self) -> None:
        super().setUp()
        self.worker = Worker(self.name)
        self.addCleanup(self.worker.close)

    def test_python_waits_for_what_dotnet_puts_and_the_other_way_round(self) -> None:
        self.worker.send("get from-python 20000")
        self.store.put("from-python", b"hello", ObjectOptions(checksum=True))
        self.assertEqual("Ok 5 ", self.worker.receive()[:5])
        self.worker.call("bg later put from-dotnet 1000 7")
        self.assertEqual(1000, self.store.get("from-dotnet", PATIENCE).nbytes)

    def test_both_see_the_same_bytes(self) -> None:
        self.worker.call("put pattern 5000 3")
        payload = self.store.get_bytes("pattern")
        self.store.put("again", payload)
        self.assertEqual(self.worker.call("get pattern 0"), self.worker.call("get again 0"))
        self.assertEqual("Ok 0 2d06800538d394c2", self.worker.call("get " + self._put("empty", b"") + " 0"))  # XXH3 of nothing.

    def _put(self, name: str, payload: Any) -> str:
        self.store.put(name, payload)
        return name

    def test_a_view_holds_against_a_delete_by_dotnet(self) -> None:
        self.worker.call("put a 5000 3")
        view = self.store.get("a")
        before = bytes(view)
        self.assertEqual("Ok", self.worker.call("delete a"))
        self.assertEqual("NotFound", self.worker.call("get a 0"))
        self.assertEqual("Ok", self.worker.call("put b 5000 4"))
        self.assertEqual(before, bytes(view))
        self.assertEqual("1 0 1 2", self.worker.call("stats"))
        del view
        eventually(lambda: self.worker.call("stats") == "1 0 0 2", "the memory of the deleted object is free")

    def test_a_killed_dotnet_process_does_not_hold_anything(self) -> None:
        self.worker.call("create w half 100")
        self.worker.call("put a 100 1")
        self.worker.call("hold h a 0")
        self.assertEqual(1, self.pins())
        self.worker.kill()
        self.store.maintain()
        self.assertEqual(0, self.pins())
        self.store.put("half", b"whole")

    def test_events_of_dotnet_are_told(self) -> None:
        with self.store.subscribe() as events:
            self.worker.call("put a 100 1")
            event = events.next(PATIENCE)
            self.assertEqual((ObjectId.from_name("a"), fastplasma.EventKind.SEALED, 100), (event.id, event.kind, event.payload_size))

    def test_a_frame_that_was_put_by_one_python_is_read_by_another_while_dotnet_looks_on(self) -> None:
        frame = pd.DataFrame({"a": np.arange(1000), "b": np.arange(1000) / 3})
        self.store.put("frame", frame)
        self.assertEqual("Ok", self.worker.call("hold h frame 0"))
        done = run_python("import sys, fastplasma\nstore = fastplasma.Store.open(sys.argv[1])\nprint(int(store.get('frame')['a'].sum()))", self.name)
        self.assertEqual("499500\n", done.stdout)


if __name__ == "__main__":
    unittest.main()
