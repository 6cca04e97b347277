"""examples/copies.py: the answer to the founding question."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import fastplasma

from .support import CHECKOUT, PACKAGE, PREFIX, eventually

EXAMPLE = CHECKOUT / "examples" / "copies.py"


class ExampleTests(unittest.TestCase):
    def run_example(self, *arguments: str, path: str = str(PACKAGE)) -> "subprocess.CompletedProcess[str]":
        environment = dict(os.environ, PYTHONPATH=path, PYTHONDONTWRITEBYTECODE="1")
        return subprocess.run([sys.executable, str(EXAMPLE), *arguments], env=environment, capture_output=True, text=True, timeout=120)

    def cells(self, text: str, kind: str) -> "list[str]":
        for line in text.splitlines():
            parts = [part.strip() for part in line.strip("│").split("│")]
            if parts[0] == kind:
                return parts
        self.fail(f"There is no row '{kind}'.\n{text}")

    def test_it_counts_no_copy_at_any_get_and_shows_one_file_in_two_processes(self) -> None:
        name = f"{PREFIX}copies"
        done = self.run_example("--size", "1", "--store", name)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        rows = {kind: self.cells(done.stdout, kind) for kind in ("bytes", "numpy array", "numpy, made in place", "DataFrame of numbers", "DataFrame with strings", "list of dicts")}
        mib = "1,048,576"
        self.assertEqual([mib, mib, "0", "0", "0", "in place"], rows["bytes"][1:])
        self.assertEqual([mib, mib, "0", "0", "0", "in place"], rows["numpy array"][1:])
        self.assertEqual([mib, "0", "0", "0", "0", "in place"], rows["numpy, made in place"][1:])
        self.assertEqual((rows["DataFrame of numbers"][1], "0", "0", "numbers in place"), (rows["DataFrame of numbers"][4], *rows["DataFrame of numbers"][2:4], rows["DataFrame of numbers"][6]))
        self.assertEqual("numbers in place, strings new", rows["DataFrame with strings"][6])
        self.assertEqual(("0", "new objects"), (rows["list of dicts"][3], rows["list of dicts"][6]))
        self.assertIn("Same bytes of one file", done.stdout)
        self.assertRegex(done.stdout, r"Both at once for [\d.]+ ms, results equal")
        self.assertNotIn(name, fastplasma.list_stores())
        self.assertNotIn("\x1b", done.stdout)

    def test_rows_without_their_library_are_left_out_with_the_reason(self) -> None:
        with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
            for library in ("numpy", "pandas"):
                Path(folder, f"{library}.py").write_text("raise ImportError('not here')")
            done = self.run_example("--size", "1", "--store", f"{PREFIX}copies", path=f"{folder}:{PACKAGE}")
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        self.assertIn("numpy array: left out, numpy cannot be imported here (not here)", done.stdout)
        self.assertIn("DataFrames: left out", done.stdout)
        self.assertEqual("0", self.cells(done.stdout, "list of dicts")[3])

    def test_it_has_help(self) -> None:
        done = self.run_example("--help")
        self.assertEqual(0, done.returncode)
        self.assertTrue(re.search("How many copies occur when I get an object", done.stdout))
        self.assertEqual(2, self.run_example("--size", "0").returncode)

    def test_a_store_of_somebody_else_is_left_alone(self) -> None:
        name = f"{PREFIX}copies"
        with fastplasma.Store.create_store(name, fastplasma.StoreOptions(capacity_bytes=16 << 20)):
            try:
                self.assertEqual(2, self.run_example("--store", name).returncode)
                self.assertIn(name, fastplasma.list_stores())
            finally:
                fastplasma.destroy(name)

    def test_it_leaves_no_store_behind_when_it_is_terminated(self) -> None:
        name = f"{PREFIX}copies"
        child = subprocess.Popen([sys.executable, str(EXAMPLE), "--size", "16", "--store", name], env=dict(os.environ, PYTHONPATH=str(PACKAGE)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            eventually(lambda: name in fastplasma.list_stores() or child.poll() is not None, "the example has its store")
            child.send_signal(signal.SIGTERM)
            self.assertIn(child.wait(60), (143, 0))
        finally:
            child.kill()
            child.wait()
        self.assertNotIn(name, fastplasma.list_stores())


if __name__ == "__main__":
    unittest.main()
