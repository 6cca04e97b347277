"""Where the C library is found, what it must be, and what this package promises beside the store."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import fastplasma
from fastplasma import _native

from .support import CHECKOUT, PACKAGE, PREFIX, loaded_library



class LibraryTests(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix=PREFIX)
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def run_with(self, library: "str | None", source: str, path: Path = PACKAGE) -> "subprocess.CompletedProcess[str]":
        environment = {key: value for key, value in os.environ.items() if key not in ("FASTPLASMA_LIBRARY", "PYTHONPATH")}
        environment.update(PYTHONPATH=str(path), PYTHONDONTWRITEBYTECODE="1")
        if library is not None:
            environment["FASTPLASMA_LIBRARY"] = library
        return subprocess.run([sys.executable, "-c", source], env=environment, cwd="/", capture_output=True, text=True, timeout=60)

    def test_a_library_that_is_not_found_is_an_import_error_that_names_what_was_tried(self) -> None:
        source = "import fastplasma\ntry: fastplasma.list_stores()\nexcept ImportError as e: print(e)"
        text = self.run_with("/nowhere/libfastplasma.so", source).stdout
        self.assertIn("/nowhere/libfastplasma.so (environment variable FASTPLASMA_LIBRARY): no such file", text)
        self.assertNotIn("loader", text)
        alone = self.folder / "alone"
        shutil.copytree(PACKAGE / "fastplasma", alone / "fastplasma", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        text = self.run_with(None, source, alone).stdout
        for place in (str(alone / "fastplasma" / "libfastplasma.so"), "the system's loader"):
            self.assertIn(place, text)

    def test_a_file_that_is_no_library_is_named_with_the_reason(self) -> None:
        junk = self.folder / "libfastplasma.so"
        junk.write_bytes(b"not a library")
        for path, reason in ((str(junk), "invalid ELF header|file too short"), ("libc.so.6", "undefined symbol|fp_version")):
            text = self.run_with(path, "import fastplasma\ntry: fastplasma.list_stores()\nexcept ImportError as e: print(e)").stdout
            self.assertRegex(text, reason)

    def test_the_library_next_to_the_package_is_found(self) -> None:
        shutil.copytree(PACKAGE / "fastplasma", self.folder / "fastplasma", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copyfile(loaded_library(), self.folder / "fastplasma" / "libfastplasma.so")
        done = self.run_with(None, "import fastplasma\nwith fastplasma.Store.create_anonymous() as s: print(s.get(s.put('a', [1])), open('/proc/self/maps').read())", self.folder)
        self.assertIn("[1]", done.stdout, done.stderr)
        self.assertIn(str(self.folder / "fastplasma" / "libfastplasma.so"), done.stdout)

    def test_the_library_of_a_checkout_is_found(self) -> None:
        (self.folder / "FastPlasma.sln").touch()
        published = self.folder / "artifacts" / "publish" / "FastPlasma.Interop"
        published.mkdir(parents=True)
        shutil.copyfile(loaded_library(), published / "libfastplasma.so")
        shutil.copytree(PACKAGE / "fastplasma", self.folder / "clients" / "python" / "fastplasma", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        done = self.run_with(None, "import fastplasma; print(fastplasma.library_version())", self.folder / "clients" / "python")
        self.assertEqual(fastplasma.library_version() + "\n", done.stdout, done.stderr)

    def test_an_import_loads_nothing(self) -> None:
        done = self.run_with("/nowhere", "import sys, fastplasma\nprint(fastplasma.ObjectId.from_name('a').hex[:8], 'numpy' in sys.modules)")
        self.assertEqual(("ca978112 False\n", ""), (done.stdout, done.stderr))

    def test_pip_installs_the_package_with_the_library_from_a_checkout_without_a_network(self) -> None:
        checkout = self.folder / "checkout"
        shutil.copytree(PACKAGE, checkout / "clients" / "python", ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info", "*.so"))
        (checkout / "artifacts" / "publish" / "FastPlasma.Interop").mkdir(parents=True)
        for name in ("libfastplasma.so", "dotnet-LICENSE.TXT", "dotnet-THIRD-PARTY-NOTICES.TXT"):
            shutil.copyfile(Path(loaded_library()).parent / name, checkout / "artifacts" / "publish" / "FastPlasma.Interop" / name)
        environment = {key: value for key, value in os.environ.items() if key not in ("FASTPLASMA_LIBRARY", "PYTHONPATH")}
        environment.update(PIP_DISABLE_PIP_VERSION_CHECK="1", HOME=str(self.folder))

        def run(*command: str) -> str:
            done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=300)
            self.assertEqual(0, done.returncode, f"{command}\n{done.stdout}{done.stderr}")
            return done.stdout

        run(sys.executable, "-m", "venv", "--system-site-packages", str(self.folder / "venv"))
        python = str(self.folder / "venv" / "bin" / "python")
        run(python, "-m", "pip", "install", "--no-index", "--no-build-isolation", str(checkout / "clients" / "python"))
        shutil.rmtree(checkout)
        source = "import fastplasma, numpy as np\nwith fastplasma.Store.create_anonymous() as s: print(s.get(s.put('a', np.arange(3))), fastplasma.__file__)"
        text = run(python, "-c", source)
        self.assertRegex(text, r"^\[0 1 2\] .*/venv/lib/.*site-packages/fastplasma/__init__\.py\n$")
        self.assertIn("fastplasma", run(python, "-m", "pip", "list"))
        for name in ("py.typed", "dotnet-LICENSE.TXT", "dotnet-THIRD-PARTY-NOTICES.TXT"):
            self.assertTrue(list((self.folder / "venv").glob(f"lib/*/site-packages/fastplasma/{name}")), name)


class PromisesTests(unittest.TestCase):
    def test_the_package_passes_mypy_strict(self) -> None:
        with tempfile.TemporaryDirectory(prefix=PREFIX) as cache:
            done = subprocess.run([sys.executable, "-m", "mypy", "--strict", "--cache-dir", cache, "fastplasma"], cwd=PACKAGE, capture_output=True, text=True, timeout=300)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)

    def test_everything_public_has_a_docstring(self) -> None:
        for name in fastplasma.__all__:
            thing = getattr(fastplasma, name)
            if name == "IdLike":
                continue
            self.assertTrue(thing.__doc__, name)
            if isinstance(thing, type):
                for member, value in vars(thing).items():
                    if not member.startswith("_") and callable(value) and member not in ("from_bytes",):
                        self.assertTrue(value.__doc__, f"{name}.{member}")

    def test_the_package_follows_the_header(self) -> None:
        header = (CHECKOUT / "src" / "Interop" / "include" / "fastplasma.h").read_text()
        major, minor = (int(re.search(rf"FP_VERSION_{part} (\d+)", header).group(1)) for part in ("MAJOR", "MINOR"))  # type: ignore[union-attr]
        self.assertEqual(_native.VERSION, (major, minor))
        enumeration = header[header.index("typedef enum fp_status") : header.index("} fp_status")]
        statuses = {name: int(number) for name, number in re.findall(r"FP_([A-Z_]+) = (\d+)", enumeration)}
        self.assertEqual(statuses, {status.name: int(status) for status in fastplasma.Status})
        declared = set(re.findall(r"^(?!static)[\w ]+[ *](fp_\w+)\(", header, re.M))
        unused = {
            "fp_id_from_name", "fp_id_from_content", "fp_id_random", "fp_id_parse", "fp_id_format",  # hashlib and os do these.
        }
        self.assertEqual(declared, (set(_native._FUNCTIONS) | {"fp_version", "fp_last_error", "fp_status_name"} | unused))

    def test_the_structs_have_the_sizes_and_offsets_of_the_header(self) -> None:
        structs = {
            name: kind for name, kind in ((re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower(), kind) for name, kind in vars(_native).items())
            if isinstance(kind, type) and issubclass(kind, ctypes.Structure) and kind is not ctypes.Structure
        }
        lines = ["#include <stdio.h>", '#include "fastplasma.h"', "int main(void) {"]
        expected = []
        for name, kind in structs.items():
            lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
            expected.append(f"{name} {ctypes.sizeof(kind)}")
            for field in kind._fields_:
                lines.append(f'printf("{name}.{field[0]} %zu\\n", offsetof({name}, {field[0]}));')
                expected.append(f"{name}.{field[0]} {getattr(kind, field[0]).offset}")
        with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
            source, program = Path(folder) / "sizes.c", Path(folder) / "sizes"
            source.write_text("\n".join([*lines, "return 0; }"]))
            subprocess.run(["gcc", "-I", str(CHECKOUT / "src" / "Interop" / "include"), str(source), "-o", str(program)], check=True, timeout=60)
            self.assertEqual(expected, subprocess.run([str(program)], capture_output=True, text=True, check=True, timeout=60).stdout.splitlines())


if __name__ == "__main__":
    unittest.main()
