"""Puts the C library into what pip installs, if this checkout has built it; everything else is in pyproject.toml."""

import os
import shutil
import sysconfig
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # Before setuptools 70.
    from wheel.bdist_wheel import bdist_wheel

FILE = "libfastplasma.so"
LICENSES = ("dotnet-LICENSE.TXT", "dotnet-THIRD-PARTY-NOTICES.TXT")  # Of the .NET runtime inside; published beside it.
LIBRARY = Path(os.environ.get("FASTPLASMA_LIBRARY") or Path(__file__).resolve().parents[2] / "artifacts/publish/FastPlasma.Interop" / FILE)


class BuildWithLibrary(build_py):
    def run(self) -> None:
        super().run()
        if LIBRARY.is_file():
            for name in (FILE, *LICENSES):
                if (LIBRARY.parent / name).is_file():
                    shutil.copyfile(LIBRARY.parent / name, Path(self.build_lib) / "fastplasma" / name)


class PlatformWheel(bdist_wheel):
    """Any Python 3, but one platform: the library is machine code."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.root_is_pure = not LIBRARY.is_file()

    def get_tag(self) -> "tuple[str, str, str]":
        return ("py3", "none", sysconfig.get_platform().replace("-", "_").replace(".", "_") if LIBRARY.is_file() else "any")


setup(cmdclass={"build_py": BuildWithLibrary, "bdist_wheel": PlatformWheel})
