"""Builds the wheel. With TALKSPURT_COMPILED=1 the modules that `pyproject.toml` lists go into it as machine code, too.

mypyc compiles them as they stand (docs/adr/0019), and their sources are in the wheel as in any other one. Nothing is
written into the tree: a left-over there would be imported in place of what is being worked on.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import copytree
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WANTED: Final = "TALKSPURT_COMPILED"
COMPILE: Final = """
import sys
from mypyc.build import mypycify
from setuptools import setup

setup(
    name="talkspurt",
    script_args=["-q", "build_ext", "--build-lib", "lib", "--build-temp", "objects"],
    ext_modules=mypycify(sys.argv[1:], opt_level="2", target_dir="generated"),
)
"""


class CompiledModules(BuildHookInterface):  # type: ignore[type-arg] # how many it takes depends on hatchling
    """Compiles for the interpreter that builds; such a wheel is for this version of Python and this platform."""

    PLUGIN_NAME = "custom"
    _folder: tempfile.TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile what is to be compiled. Raises `SystemExit` with what the compiler said."""
        if os.environ.get(WANTED) != "1" or version == "editable":
            return
        self._folder = tempfile.TemporaryDirectory(prefix="talkspurt-")
        folder = Path(self._folder.name)
        copytree(Path(self.root) / "src", folder / "src", ignore=lambda _folder, names: {"__pycache__"} & set(names))
        modules = []
        for pattern in self.config["modules"]:
            found = [str(path.relative_to(folder)) for path in sorted(folder.glob(pattern))]
            if not found:
                self.app.abort(f"pyproject.toml wants {pattern} compiled, and there is no such module")
            modules += found
        self.app.display_waiting(f"Compiling {len(modules)} modules, about two minutes")
        configuration = ["--config-file", str(Path(self.root) / "pyproject.toml")]
        done = subprocess.run(
            [sys.executable, "-c", COMPILE, *configuration, *modules],
            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            self.app.abort(
                f"they could not be compiled; `make wheel` sees to it that mypy, gcc and Python's headers are there:\n"
                f"{done.stdout[-4000:]}"
            )
        built = folder / "lib"
        build_data["force_include"] |= {str(path): str(path.relative_to(built)) for path in built.rglob("*.so")}
        build_data |= {"pure_python": False, "infer_tag": True}

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Put away what was compiled."""
        if self._folder is not None:
            self._folder.cleanup()
