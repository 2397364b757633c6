"""Stock phrases on disk: what every call may need is spoken once for a machine, and is there when no synthesizer is.

Only what the runtime and the agent's author wrote is kept here (greetings, fillers, apologies, the keypad menu), never
a sentence of a call: nothing here is about anybody.

One file a phrase, named by the hash of all that its sound depends on. Written aside and renamed, so that several
workers may write the same one. What cannot be read is made anew. Over `capacity_bytes` the files that were used
longest ago go.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from talkspurt.ports import SpeechChunk

CAPACITY_BYTES: Final = 64_000_000
"""More than an hour of speech: the stock phrases of a dozen agents in a dozen voices."""
_SUFFIX: Final = ".phrase"
_VERSION: Final = 1

_log = structlog.get_logger(__name__)


class StockPhrases:
    """A folder of spoken phrases. Its methods block, for threads, and never raise: without a disk nothing is kept."""

    def __init__(self, folder: Path, *, capacity_bytes: int = CAPACITY_BYTES) -> None:
        self._folder = folder
        self._capacity = capacity_bytes

    def load(self, *key: str) -> list[SpeechChunk] | None:
        """The speech of a phrase; `key` is vendor, settings, voice, locale, text. None when it is not there."""
        path = self._path(key)
        try:
            head, _, pcm = path.read_bytes().partition(b"\n")
            facts = json.loads(head)
            if facts["key"] != list(key) or facts["bytes"] != len(pcm):
                raise ValueError("it is not whole")
            words = tuple((str(word), float(start)) for word, start in facts["words"])
            os.utime(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("stock_phrase_not_readable", file=path.name, error=str(error))
            return None
        return [SpeechChunk(pcm, words)]

    def store(self, chunks: Sequence[SpeechChunk], *key: str) -> None:
        """Keep the speech of a phrase."""
        pcm = b"".join(chunk.pcm for chunk in chunks)
        words = [word for chunk in chunks for word in chunk.words]
        facts = {"version": _VERSION, "key": key, "bytes": len(pcm), "words": words}
        path = self._path(key)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
                try:
                    file.write(json.dumps(facts, separators=(",", ":")).encode() + b"\n" + pcm)
                    file.flush()
                    Path(file.name).replace(path)
                except OSError:
                    Path(file.name).unlink(missing_ok=True)
                    raise
            self._make_room()
        except OSError as error:
            _log.warning("stock_phrase_not_kept", error=str(error))

    def _path(self, key: Sequence[str]) -> Path:
        digest = hashlib.sha256(json.dumps([_VERSION, *key]).encode()).hexdigest()
        return self._folder / f"{digest[:40]}{_SUFFIX}"

    def _make_room(self) -> None:
        files = []
        for path in self._folder.glob(f"*{_SUFFIX}"):
            with suppress(FileNotFoundError):
                stat = path.stat()
                files.append((stat.st_mtime, stat.st_size, path))
        size = sum(entry[1] for entry in files)
        for _, length, path in sorted(files):
            if size <= self._capacity:
                return
            path.unlink(missing_ok=True)
            size -= length
