"""Logs of a call's events, whole: what reached its conversation and when, so that the call can be played again.

A conversation does no I/O and draws no chance, so its events and their times are all that there is to a call. A log
of a call that went wrong is the test of what mended it.

One JSON object a line: `at`, seconds since the call began, and `event`, written as in a snapshot. Unlike a journal
(`talkspurt.telemetry.journal`) it holds what everybody said, though never a secret, whose digits do not reach the
conversation: it is for calls of your own, not for your callers'. A session takes one as its journal:
`Services(…, journals=lambda call: log)`.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar, get_args

from talkspurt.core.commands import Command
from talkspurt.core.conversation import Conversation
from talkspurt.core.digits import EntryRules
from talkspurt.core.events import Event, Voice
from talkspurt.core.language import Expectation
from talkspurt.core.settings import Settings
from talkspurt.core.snapshot import Decoder, encode
from talkspurt.core.spoken_form import SpokenForm
from talkspurt.core.states import Floor
from talkspurt.media.evidence import Evidence

_EVENTS: Final = get_args(Event)
_DECODER: Final = Decoder([*_EVENTS, EntryRules, Expectation, SpokenForm, Voice])

_C = TypeVar("_C", bound=Command)


class EventLog:
    """A `Journal` that keeps every event."""

    def __init__(self) -> None:
        self.events: list[tuple[float, Event]] = []

    def took(self, now: float, fact: Event | None, _before: Floor, _after: Floor, _made: Sequence[Command], /) -> None:
        """Keep the event. Deadlines are none: whoever plays the log again meets them at the same times."""
        if fact is not None:
            self.events.append((now, fact))

    def measured(self, _evidence: Evidence, /) -> None:
        """Keep nothing: what was measured is in the event."""

    def close(self) -> None:
        """Nothing to do: `write` says where to."""

    def write(self, path: Path) -> None:
        """Write the log, and its folder if need be. Raises `OSError`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = (json.dumps({"at": at, "event": encode(event)}) for at, event in self.events)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read(path: Path) -> Iterator[tuple[float, Event]]:
    """The events of a log with their times. Raises `ValueError` with the line's number for one that is none."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            entry = json.loads(line)
            at, event = float(entry["at"]), _DECODER.decode(entry["event"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}:{number} holds no event: {error}") from None
        if not isinstance(event, _EVENTS):
            raise ValueError(f"{path}:{number} holds no event: {type(event).__name__}")
        yield at, event


@dataclass
class Replay:
    """A call played again: its conversation, and every command that it gave."""

    conversation: Conversation
    commands: list[Command] = field(default_factory=list)

    def receive(self, events: Iterable[tuple[float, Event]]) -> "Replay":
        """Let the conversation have the events at their times."""
        for at, event in events:
            self.commands.extend(self.conversation.receive(event, at))
        return self

    def wait(self, until: float) -> "Replay":
        """Let deadlines pass."""
        self.commands.extend(self.conversation.receive(None, until))
        return self

    def of(self, kind: type[_C]) -> list[_C]:
        """All commands of a kind, in order."""
        return [command for command in self.commands if isinstance(command, kind)]


def replay(path: Path, settings: Settings) -> Replay:
    """Play a log again under `settings`. Raises `ValueError` and `OSError` as `read` does."""
    return Replay(Conversation(settings)).receive(read(path))
