"""How loaded every worker of this machine is: a file mapped into the memory of them all.

Invariants:
* one slot per worker, and only that worker writes it; the supervisor clears the slot of a worker that has died;
* a slot ends with a checksum, so one that is read while it is written is recognised, and read again;
* a slot has a heartbeat by the machine's monotonic clock, so one that nobody writes any more is recognised, too;
* behind the slots is one byte that only the supervisor writes: whether all workers have been warm once.

It decides nothing: see `fleet`.
"""

import mmap
import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final, Self

MOST_WORKERS: Final = 64
FRESH: Final = 1.0
"""Seconds after its heartbeat for which a slot is believed: four beats (`pulse`)."""
_TRIES: Final = 3
"""A slot is written in less than a microsecond: who reads it torn again has met a writer that was stopped just then."""

_FIELDS: Final = struct.Struct(f"<BBHffd{MOST_WORKERS}H")
_CHECKSUM: Final = struct.Struct("<I")
_SLOT_BYTES: Final = 192
assert _FIELDS.size + _CHECKSUM.size <= _SLOT_BYTES


class State(IntEnum):
    """What a worker is about."""

    ABSENT = 0
    """Not there: not started, or dead."""
    WARMING = 1
    READY = 2
    DRAINING = 3


@dataclass(frozen=True, slots=True)
class Load:
    """What a worker says of itself."""

    state: State = State.ABSENT
    heartbeat: float = 0.0
    """Seconds of `time.monotonic`, which is one clock for all processes of a machine."""
    calls: int = 0
    """Live calls."""
    full: bool = False
    """Too late already to take more calls (`strain`)."""
    lag: float = 0.0
    """p99 of the seconds by which the media clock ticked late."""
    lateness: float = 0.0
    """p99 of the seconds by which audio was handed to the carrier later than its lead allows."""
    given: tuple[int, ...] = ()
    """How many callers it has told to connect to each of the workers who are not there yet."""

    def fresh(self, now: float) -> bool:
        """Whether the worker is alive and writes."""
        return self.state is not State.ABSENT and now - self.heartbeat < FRESH

    def places_given_at(self, worker: int) -> int:
        """Callers on their way to `worker`, by this worker's word."""
        return self.given[worker] if worker < len(self.given) else 0


ABSENT: Final = Load()


class LoadTable:
    """The slots of `workers` workers. Made by `create`, `open` or `alone`."""

    def __init__(self, memory: mmap.mmap, workers: int) -> None:
        self._memory = memory
        self.workers: Final = workers

    @classmethod
    def create(cls, path: Path, workers: int) -> Self:
        """A new table in a file that must not exist."""
        with path.open("xb") as file:
            file.truncate(workers * _SLOT_BYTES + 1)
        table = cls.open(path)
        for worker in range(workers):
            table.write(worker, ABSENT)
        return table

    @classmethod
    def open(cls, path: Path) -> Self:
        """The table that another process has created."""
        with path.open("r+b") as file:
            memory = mmap.mmap(file.fileno(), 0)
        return cls(memory, len(memory) // _SLOT_BYTES)

    @classmethod
    def alone(cls) -> Self:
        """A table of one slot that no other process sees."""
        table = cls(mmap.mmap(-1, _SLOT_BYTES + 1), 1)
        table.write(0, ABSENT)
        return table

    def write(self, worker: int, load: Load) -> None:
        """Replace what `worker` says of itself."""
        given = load.given + (0,) * (MOST_WORKERS - len(load.given))
        fields = _FIELDS.pack(
            load.state, load.full, min(load.calls, 0xFFFF), load.lag, load.lateness, load.heartbeat, *given
        )
        start = worker * _SLOT_BYTES
        self._memory[start : start + _FIELDS.size + _CHECKSUM.size] = fields + _CHECKSUM.pack(zlib.crc32(fields))

    def read(self, worker: int) -> Load:
        """What `worker` said last; `ABSENT` when its slot cannot be read."""
        start = worker * _SLOT_BYTES
        for _ in range(_TRIES):
            slot = self._memory[start : start + _FIELDS.size + _CHECKSUM.size]
            fields, checksum = slot[: _FIELDS.size], slot[_FIELDS.size :]
            if _CHECKSUM.unpack(checksum)[0] == zlib.crc32(fields):
                state, full, calls, lag, lateness, heartbeat, *given = _FIELDS.unpack(fields)
                return Load(State(state), heartbeat, calls, bool(full), lag, lateness, tuple(given[: self.workers]))
        return ABSENT

    def read_all(self) -> list[Load]:
        """What every worker said last, by its number."""
        return [self.read(worker) for worker in range(self.workers)]

    @property
    def started(self) -> bool:
        """Whether all workers have been warm once."""
        return self._memory[self.workers * _SLOT_BYTES] != 0

    def note_started(self) -> None:
        """All workers are warm."""
        self._memory[self.workers * _SLOT_BYTES] = 1

    def close(self) -> None:
        """Let go of the memory. Idempotent."""
        self._memory.close()
