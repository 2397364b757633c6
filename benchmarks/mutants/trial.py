"""Runs the core's tests against a copy of the source that has one fault in it, never against the tree itself.

Each worker has a copy of `src` and `tests`. A trial is a forked process: what the tests need beside our own package is
imported once in the worker, our package anew in every trial. Its processor time and memory are bounded, so that a fault
which never ends is one that was noticed, however busy the machine is.
"""

import ast
import contextlib
import gc
import hashlib
import importlib
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, NoReturn

from benchmarks.mutants.operators import Edit, edits, mutated

ROOT: Final = Path(__file__).resolve().parents[2]
CORE: Final = Path("src/talkspurt/core")
TESTS: Final = Path("tests/core")
PROPERTIES: Final = "test_conversation_properties.py"
"""Last, because it is slow; alone with `--properties`."""
_COPIED: Final = ("src", "tests/core", "docs/states.md", "scripts/state_diagram.py", "pyproject.toml")
_PRELOADED: Final = ("pytest", "hypothesis.stateful", "pydantic", "structlog", "sqlalchemy", "numpy", "httpx")
_OPTIONS: Final = (
    *("-x", "-q", "--noconftest", "--tb=short", "-p", "no:cacheprovider"),
    *("-o", "timeout=0"),  # processor time is bounded instead
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # hypothesis was imported before
)
_LARGEST: Final = 4 << 30
"""Bytes of address space of a trial: a fault that fills memory fails in its test, not on the machine."""
_OTHER_SOURCE: Final = 77
_NOTHING_RAN: Final = (4, 5)
"""Exit codes of pytest that tell nothing of the fault: wrong usage, and no tests found."""

Outcome = Literal["killed", "survived", "timeout"]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault in one module; `number` is its place among all of them, `twin` among those that read the same."""

    module: str
    number: int
    line: int
    operator: str
    before: str
    after: str
    twin: int = 0

    @property
    def key(self) -> str:
        """What it is called in the results: the same for as long as nothing is changed above it."""
        again = f" ({self.twin + 1})" if self.twin else ""
        return f"{self.module}:{self.line} [{self.operator}] {self.before} → {self.after or '(nothing)'}{again}"


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a mutant."""

    mutant: Mutant
    outcome: Outcome
    test: str
    """The first test that failed, "" for none."""
    seconds: float
    """Processor time."""


def mutants(module: str) -> list[Mutant]:
    """All faults that can be made in a module of the core."""
    seen: Counter[str] = Counter()
    found = []
    for number, edit in enumerate(_edits(ROOT / CORE, module)[1]):
        mutant = Mutant(module, number, edit.line, edit.operator, edit.before, edit.after)
        found.append(replace(mutant, twin=seen[mutant.key]))
        seen[mutant.key] += 1
    return found


def modules() -> list[str]:
    """The modules of the core that hold anything to mutate."""
    return [path.stem for path in sorted((ROOT / CORE).glob("*.py")) if mutants(path.stem)]


def digest(*paths: Path) -> str:
    """Changes when one of the files does."""
    files = sorted(file for path in paths for file in ([path] if path.is_file() else path.glob("*.py")))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def _edits(folder: Path, module: str) -> tuple[ast.Module, list[Edit]]:
    tree = ast.parse((folder / f"{module}.py").read_text(encoding="utf-8"))
    return tree, edits(tree)


def _imports(file: Path) -> set[str]:
    """The modules that a file imports by `from … import …`, the only way in which the core and its tests do."""
    return {
        f"{step.module}.{name.name}" if step.module == "talkspurt.core" else step.module
        for step in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(step, ast.ImportFrom) and step.module
        for name in step.names
    }


class Workspace:
    """A copy of everything that a trial needs."""

    def __init__(self, folder: Path, *, properties: bool) -> None:
        self._folder = folder
        self._properties = properties
        self._limit = resource.RLIM_INFINITY
        shutil.rmtree(folder, ignore_errors=True)
        for name in _COPIED:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, target)
        assert not any(name.partition(".")[0] == "talkspurt" for name in sys.modules)
        for name in _PRELOADED:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        # What is shared with all trials stays shared: no collection in one of them touches it.
        gc.freeze()

    def settle(self) -> float:
        """Run the tests on the source as it is, which they must pass. Returns the processor seconds."""
        code, seconds, _ = self._run([str(file) for file in (self._folder / TESTS).glob("test_*.py")])
        if code != 0:
            raise RuntimeError(f"the tests fail without any fault, exit code {code}:\n{self._log_end}")
        return seconds

    def bound(self, seconds: float) -> None:
        """Bound all trials by what the tests take without a fault."""
        self._limit = int(3 * seconds) + 10

    def attempt(self, mutant: Mutant) -> Trial:
        """Make the fault, run the tests, take it back."""
        path = self._folder / CORE / f"{mutant.module}.py"
        original = path.read_text(encoding="utf-8")
        tree, possible = _edits(path.parent, mutant.module)
        path.write_text(mutated(tree, possible[mutant.number]), encoding="utf-8")
        for compiled in (path.parent / "__pycache__").glob(f"{mutant.module}.*"):
            # Python takes a source of the same size and second for the one that it has compiled.
            compiled.unlink()
        try:
            code, seconds, failed = self._run(self._order(mutant.module))
        finally:
            path.write_text(original, encoding="utf-8")
        if code == _OTHER_SOURCE or code in _NOTHING_RAN:
            raise RuntimeError(f"{mutant.key} was not tried, exit code {code}:\n{self._log_end}")
        outcome: Outcome = "timeout" if code < 0 else "killed" if code else "survived"
        return Trial(mutant, outcome, failed, round(seconds, 2))

    @property
    def _log(self) -> Path:
        return self._folder / "log.txt"

    @property
    def _log_end(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]

    def _order(self, module: str) -> list[str]:
        """The test files that can notice a fault in the module: those that name it first, the slow properties last."""
        files = sorted((self._folder / TESTS).glob("test_*.py"))
        if self._properties:
            files = [file for file in files if file.name == PROPERTIES]
        name = f"talkspurt.core.{module}"
        files = [file for file in files if name in self._reached(file)]

        def rank(file: Path) -> tuple[bool, bool, int]:
            return file.name == PROPERTIES, name not in _imports(file), file.stat().st_size

        return [str(file) for file in sorted(files, key=rank)]

    def _reached(self, file: Path) -> set[str]:
        """The modules of the core that a test imports, itself or by another.

        Our package's `__init__` imports them all, but what it makes of them is no part of these tests.
        """
        reached: set[str] = set()
        waiting = [file]
        while waiting:
            for name in _imports(waiting.pop()) - reached:
                reached.add(name)
                folder = name.partition(".")[0]
                home = self._folder / ("tests" if folder == "core" else "src")
                path = home / f"{name.replace('.', '/')}.py"
                if folder in ("core", "talkspurt") and path.is_file():
                    waiting.append(path)
        return reached

    def _run(self, files: Sequence[str]) -> tuple[int, float, str]:
        """Exit code (negative for a signal), processor seconds and the first failed test."""
        child = os.fork()
        if child == 0:
            self._become_a_trial(files)
        _, status, used = os.wait4(child, 0)
        code = os.waitstatus_to_exitcode(status)
        failed = [line for line in self._log.read_text(errors="replace").splitlines() if line.startswith("FAILED ")]
        test = failed[0].split(" - ")[0].removeprefix("FAILED ").removeprefix("tests/core/") if failed else ""
        return code, used.ru_utime + used.ru_stime, test

    def _become_a_trial(self, files: Sequence[str]) -> NoReturn:
        try:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_CPU, (self._limit, self._limit))
            resource.setrlimit(resource.RLIMIT_AS, (_LARGEST, _LARGEST))
            log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            for stream in (1, 2):
                os.dup2(log, stream)
            # Hypothesis draws the same examples in every trial, and keeps none.
            os.environ["CI"] = "1"
            os.chdir(self._folder)
            sys.path.insert(0, str(self._folder / "src"))
            import pytest

            code = int(pytest.main([*_OPTIONS, *files]))
            source = getattr(sys.modules.get("talkspurt.core"), "__file__", None) or str(self._folder / "src")
            if not source.startswith(str(self._folder)):
                code = _OTHER_SOURCE
            sys.stdout.flush()
            os._exit(code)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(3)


def be_idle() -> None:
    """Let everything else on the machine go first."""
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


_workspace: Workspace | None = None


def begin(folder: Path, seconds: float, *, properties: bool) -> None:
    """Prepare a worker process."""
    global _workspace  # noqa: PLW0603 -- one per process of a pool, which has nowhere else to keep it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    be_idle()
    _workspace = Workspace(folder / f"{os.getpid()}-{time.monotonic_ns()}", properties=properties)
    _workspace.bound(seconds)


def attempt(mutant: Mutant) -> Trial:
    """Try a mutant in this worker process."""
    assert _workspace is not None
    return _workspace.attempt(mutant)
