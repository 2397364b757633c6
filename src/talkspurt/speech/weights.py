"""The model store: a folder per model, every file with its pinned hash.

    <root>/<weights>/<file>          as the manifest says
    <root>/<weights>/prepared/…      what a one-time preparation made of it
    <root>/<weights>/.checked.json   which bytes were hashed when; see below

It fetches and checks files; it does not load models. Printing is the command line's affair.

Invariants: a file gets its final name only after its hash was right, by an atomic rename; two
processes that pull at once do not disturb each other (a file lock); a file whose size or time of
change differs from when it was last hashed is hashed again before it is handed out, so that a
damaged file is an error that says what to do, not a crash inside an inference library.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from filelock import FileLock, Timeout

from talkspurt.config import Config
from talkspurt.errors import WeightsError
from talkspurt.speech.voice_split import split_voice
from talkspurt.speech.weight_manifest import Manifest, WeightFile, Weights, bundled_manifest
from talkspurt.speech.weight_sources import FolderSource, HubSource, SourceUnavailableError, WeightSource, WheelSource

DEFAULT_GROUP: Final = "offline"
"""What runs without any account: recognizer, voice, voice activity, offline brain."""

LOCK_TIMEOUT: Final = 3600.0
"""Seconds to wait for another process that is pulling: longer than the slowest download."""

PREPARED: Final = "prepared"
_MADE_BY: Final = "made-by.txt"
"""In the folder of a preparation: the name of the step that made it."""
_CHECKED: Final = ".checked.json"
_SPARE_BYTES: Final = 50_000_000

PREPARATIONS: Final[dict[str, Callable[[Path, Path], None]]] = {"split-voice-2": split_voice}
"""Steps by name: called with the folder of the files and the empty folder to fill.

A step whose result changes gets another name, so that the next pull runs it again.
"""


@dataclass(frozen=True, slots=True)
class PullStep:
    """How far a pull is: `done` of `total` bytes of `file` from `source`; `file` is "" while preparing."""

    weights: str
    file: str
    source: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class WeightStatus:
    """What the store holds of one model. `problem` says what is wrong when it is not ready."""

    name: str
    purpose: str
    licence: str
    size: int
    folder: Path
    state: Literal["ready", "missing", "damaged"]
    problem: str = ""


Progress = Callable[[PullStep], None]


class WeightStore:
    """The weights below one root folder."""

    def __init__(
        self,
        root: Path,
        *,
        manifest: Manifest | None = None,
        weights_from: Path | None = None,
        sources: Sequence[WeightSource] | None = None,
    ) -> None:
        """`weights_from` is a folder to look in first; `sources` replaces all of them (tests, mirrors)."""
        self.root = root
        self._manifest = manifest or bundled_manifest()
        self._weights_from = weights_from
        self._sources = sources

    @classmethod
    def from_config(cls, config: Config) -> "WeightStore":
        """The store that the configuration names."""
        return cls(config.speech.weights_dir or default_root(), weights_from=config.speech.weights_from)

    def path(self, name: str, file: str | None = None) -> Path:
        """The folder of the weights `name`, or one `file` in it, complete and checked.

        May hash up to a hundred megabytes on first use, so call it off the event loop.
        Raises `WeightsError` that names the command to run.
        """
        problem = self._problem(name, self._manifest.named(name), thorough=False)
        if problem:
            raise WeightsError(f"weights '{name}' in {self.root}: {problem[1]}; run: talkspurt models pull {name}")
        folder = self.root / name
        return folder / file if file else folder

    def status(self) -> list[WeightStatus]:
        """Every known model, quickly: files unchanged since they were hashed are not hashed again."""
        return list(self._statuses(list(self._manifest.weights), thorough=False))

    def verify(self, names: Sequence[str] = ()) -> list[WeightStatus]:
        """Hash every file of `names` (default: all that are present, and the default group)."""
        if not names:
            present = [name for name in self._manifest.weights if (self.root / name).exists()]
            names = [DEFAULT_GROUP, *present] if DEFAULT_GROUP in self._manifest.groups else present
        return list(self._statuses(self._manifest.expand(names), thorough=True))

    def pull(self, names: Sequence[str] = (DEFAULT_GROUP,), progress: Progress | None = None) -> list[str]:
        """Fetch what is missing or damaged of `names` (weights or groups); returns what had to be fetched.

        Raises `WeightsError` with the reason of every source when a file cannot be had.
        """
        wanted = self._manifest.expand(names)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with FileLock(self.root / ".lock", timeout=LOCK_TIMEOUT):
                return self._pull_locked(wanted, progress or (lambda _step: None))
        except Timeout:
            raise WeightsError(f"another process has been pulling into {self.root} for an hour; end it") from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise WeightsError(
                f"cannot write to the model store {self.root}: {reason}; set speech.weights_dir to another folder"
            ) from error

    # ── fetching ──────────────────────────────────────────────────────────────────

    def _pull_locked(self, wanted: list[str], progress: Progress) -> list[str]:
        unready = [name for name in wanted if self._flaw(name, self._manifest.weights[name], thorough=True)]
        if not unready:
            return []
        needed = 2 * sum(self._manifest.weights[name].size for name in unready) + _SPARE_BYTES
        free = shutil.disk_usage(self.root).free
        if free < needed:
            raise WeightsError(
                f"the disk of {self.root} has {free // 1_000_000} MB free, {needed // 1_000_000} MB are needed; "
                "make room or set speech.weights_dir to another folder"
            )
        with tempfile.TemporaryDirectory(dir=self.root, prefix=".incoming-") as scratch_name:
            scratch = Path(scratch_name)
            for name in unready:
                self._pull_one(name, self._manifest.weights[name], scratch, progress)
        return unready

    def _pull_one(self, name: str, weights: Weights, scratch: Path, progress: Progress) -> None:
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        for file in weights.files:
            if not (folder / file.name).is_file() or _sha256(folder / file.name) != file.sha256:
                self._fetch(name, file, scratch, progress)
        if weights.prepare:
            progress(PullStep(name, "", "preparation", 0, 1))
            fresh = scratch / f"{name}.{PREPARED}"
            fresh.mkdir()
            PREPARATIONS[weights.prepare](folder, fresh)
            (fresh / _MADE_BY).write_text(weights.prepare, encoding="utf-8")
            shutil.rmtree(folder / PREPARED, ignore_errors=True)
            fresh.replace(folder / PREPARED)
            progress(PullStep(name, "", "preparation", 1, 1))
        self._record(name, weights)

    def _fetch(self, name: str, file: WeightFile, scratch: Path, progress: Progress) -> None:
        reasons = []
        incoming = scratch / f"{name}.{file.name}"
        for source in self._all_sources(scratch):

            def report(done: int, total: int, source_name: str = source.name) -> None:
                progress(PullStep(name, file.name, source_name, done, total))

            try:
                source.fetch(name, file, incoming, report)
            except SourceUnavailableError as error:
                reasons.append(f"{source.name}: {error}")
                continue
            found = _sha256(incoming)
            if found == file.sha256:
                incoming.replace(self.root / name / file.name)
                return
            incoming.unlink()
            reasons.append(f"{source.name}: refused, its SHA-256 is {found}, not the pinned {file.sha256}")
        raise WeightsError(
            f"cannot get {file.name} of the weights '{name}':\n  "
            + "\n  ".join(reasons)
            + "\nfetch its wheel elsewhere, put it into a folder, and name that folder in speech.weights_from"
        )

    def _all_sources(self, scratch: Path) -> Sequence[WeightSource]:
        if self._sources is not None:
            return self._sources
        named: list[WeightSource] = [FolderSource(self._weights_from)] if self._weights_from else []
        return [*named, WheelSource(scratch, self._manifest.wheels), HubSource()]

    # ── checking ──────────────────────────────────────────────────────────────────

    def _statuses(self, names: list[str], *, thorough: bool) -> Iterator[WeightStatus]:
        for name in names:
            weights = self._manifest.weights[name]
            problem = self._flaw(name, weights, thorough=thorough)
            state, text = problem or ("ready", "")
            yield WeightStatus(name, weights.purpose, weights.licence, weights.size, self.root / name, state, text)

    def _flaw(self, name: str, weights: Weights, *, thorough: bool) -> tuple[Literal["missing", "damaged"], str] | None:
        """What a pull would mend: a problem, or a preparation by an earlier version, which can still be used."""
        problem = self._problem(name, weights, thorough=thorough)
        if problem or not weights.prepare:
            return problem
        try:
            made_by = (self.root / name / PREPARED / _MADE_BY).read_text(encoding="utf-8")
        except OSError:
            made_by = ""
        return None if made_by == weights.prepare else ("missing", "its preparation is one of an earlier version")

    def _problem(
        self, name: str, weights: Weights, *, thorough: bool
    ) -> tuple[Literal["missing", "damaged"], str] | None:
        """What is wrong with one model; only thorough checks hash files that look untouched."""
        folder = self.root / name
        pinned = {file.name: (file.size, file.sha256) for file in weights.files}
        for file_name, (size, _) in pinned.items():
            try:
                actual = (folder / file_name).stat().st_size
            except OSError:
                return "missing", f"{file_name} is missing"
            if actual != size:
                return "damaged", f"{file_name} has {actual} bytes instead of {size}"
        checked = _read_checked(folder)
        if weights.prepare:
            made = {made_name: entry for made_name, entry in checked.items() if made_name not in pinned}
            if not made:
                return "missing", "its preparation has not been run"
            pinned |= {made_name: (entry["size"], entry["sha256"]) for made_name, entry in made.items()}
        all_known = True
        for file_name, (size, sha256) in pinned.items():
            path = folder / file_name
            if not path.is_file():
                return "missing", f"{file_name} is missing"
            stamp = _stamp(path)
            known = checked.get(file_name)
            if not thorough and known and known["sha256"] == sha256 and known["stamp"] == stamp:
                continue
            if path.stat().st_size != size or _sha256(path) != sha256:
                return "damaged", f"{file_name} does not have its pinned SHA-256"
            all_known = False
        if not all_known:
            self._record(name, weights)
        return None

    def _record(self, name: str, weights: Weights) -> None:
        """Note which bytes were found right. A store that cannot be written is hashed every time."""
        folder = self.root / name
        entries = {
            file.name: {"size": file.size, "sha256": file.sha256, "stamp": _stamp(folder / file.name)}
            for file in weights.files
        }
        if weights.prepare:
            for path in sorted((folder / PREPARED).rglob("*")):
                made = {"size": path.stat().st_size, "sha256": _sha256(path), "stamp": _stamp(path)}
                entries[path.relative_to(folder).as_posix()] = made
        try:
            fresh = folder / f"{_CHECKED}.{os.getpid()}"
            fresh.write_text(json.dumps(entries, indent=1), encoding="utf-8")
            fresh.replace(folder / _CHECKED)
        except OSError:
            return


def default_root() -> Path:
    """The user's cache folder: `$XDG_CACHE_HOME/talkspurt/weights`, or below `~/.cache`."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "talkspurt" / "weights"


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _stamp(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _read_checked(folder: Path) -> dict[str, dict[str, Any]]:
    try:
        entries = json.loads((folder / _CHECKED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return entries if isinstance(entries, dict) else {}
