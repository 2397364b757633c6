"""What happened in one call, seen from outside the product: what was heard and said, and when a tool's own code ran.

One JSON object a line, written at once and never buffered, so that a `kill -9` loses nothing that happened before it
and whoever takes the call over, and the referee, read it from the file.
"""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Literal

Kind = Literal[
    "line",  # an attachment opened or closed
    "heard",  # a word of the agent was played to its end
    "said",  # the caller spoke
    "wish",  # the caller turned to the wish with this number
    "worded",  # a tool's read-back was made
    "ran",  # a tool's function was entered
    "claimed",  # a sweeper took an effect for one that nobody executes any more
    "told",  # a person was told of an effect in doubt, and found out
    "ended",  # the call is over
]
Entry = dict[str, Any]


class CallLog:
    """The events of one call in order, each with `kind` and `at` (virtual seconds)."""

    def __init__(self, now: Callable[[], float], path: Path | None = None) -> None:
        """`path` is appended to; what it already holds is read first."""
        self.entries: Final[list[Entry]] = list(read(path)) if path is not None and path.exists() else []
        self._now = now
        self._file = None if path is None else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def add(self, kind: Kind, **fields: Any) -> None:
        """Note an event as of now."""
        entry = {"kind": kind, "at": round(self._now(), 3), **fields}
        self.entries.append(entry)
        if self._file is not None:
            os.write(self._file, json.dumps(entry).encode() + b"\n")

    def of(self, *kinds: Kind) -> Iterator[Entry]:
        """The events of these kinds."""
        return (entry for entry in self.entries if entry["kind"] in kinds)

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def read(path: Path) -> Iterator[Entry]:
    """The events of a file. A last line that was cut off by a kill is not one."""
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return
