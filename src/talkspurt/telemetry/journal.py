"""A call's journal: when which fact came, what the floor became and what was decided, and nobody's words.

One JSON object a line: `at` (seconds since the call began), `kind` (`fact`, `state` or `decision`), `name`, `detail`.
It is for understanding and drawing a call; nothing is restored from it. Text, digits and arguments never enter it:
of words only their number.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import structlog

from talkspurt.core.commands import (
    CollectSecret,
    Command,
    Count,
    DiscardSecret,
    EndCall,
    ExecuteEffect,
    ForgetCaller,
    RequestReply,
    RunTool,
    RunWithSecret,
    Speak,
    StopPlayback,
)
from talkspurt.core.events import (
    Event,
    PlaybackReached,
    ReplyTextReceived,
    ReplyToolComing,
    SpeechContinued,
    SpeechStarted,
    SpeechStirred,
    SpeechStopped,
    Transcribed,
    TurnJudged,
    Voice,
)
from talkspurt.core.states import Endpointing, Floor
from talkspurt.media.evidence import Evidence

_QUIET: Final = (PlaybackReached, SpeechContinued, SpeechStirred, ReplyTextReceived, ReplyToolComing)
"""Facts that come too often to tell anything."""
LARGEST: Final = 4_000_000
"""Bytes of one call's journal: an hour's call takes a tenth of it."""

_log = structlog.get_logger(__name__)


class Journal(Protocol):
    """Takes note of every step of a conversation."""

    def took(self, now: float, fact: Event | None, before: Floor, after: Floor, commands: Sequence[Command], /) -> None:
        """The conversation received `fact`; its floor went from `before` to `after`, and `commands` followed."""

    def measured(self, evidence: Evidence, /) -> None:
        """What was measured of the talkspurt that the next fact is about."""

    def close(self) -> None:
        """Write what is left. Idempotent."""


class NoJournal:
    """For calls of which no journal is kept."""

    def took(self, *_step: object) -> None:
        """Take no note."""

    def measured(self, _evidence: Evidence, /) -> None:
        """Take no note."""

    def close(self) -> None:
        """Nothing to write."""


class FileJournal:
    """A journal in a file. It never raises: a journal is not worth a call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[str] = []
        self._written = 0
        self._evidence: Evidence | None = None

    def took(self, now: float, fact: Event | None, before: Floor, after: Floor, commands: Sequence[Command], /) -> None:
        """Note the fact, the change of state and the decisions."""
        seen, self._evidence = self._evidence, None
        if fact is not None and not isinstance(fact, _QUIET):
            self._note(now, "fact", type(fact).__name__, _about(fact) + _measures(fact, seen))
        if type(before) is not type(after):
            self._note(now, "state", type(after).__name__, "")
        elif isinstance(after, Endpointing) and after != before:
            pause = after.pause
            detail = f"{pause.expectation.kind} {pause.completeness.value} words {pause.words} habit {pause.habit:.2f}"
            self._note(now, "decision", "pause", detail + " in-noise" * pause.in_noise)
        for command in commands:
            name, detail = _decided(command)
            if name:
                self._note(now, "decision", name, detail)

    def measured(self, evidence: Evidence, /) -> None:
        """Keep it for the fact that comes next: a voice that begins where it can stop nothing has none."""
        self._evidence = evidence

    def close(self) -> None:
        """Write what is left."""
        lines, self._lines = self._lines, []
        if not lines:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.writelines(lines)
        except OSError as error:
            _log.warning("journal_not_written", error=str(error))

    def _note(self, at: float, kind: str, name: str, detail: str) -> None:
        line = json.dumps({"at": round(at, 3), "kind": kind, "name": name, "detail": detail}) + "\n"
        if self._written + len(line) <= LARGEST:
            self._written += len(line)
            self._lines.append(line)


def _about(fact: Event) -> str:
    match fact:
        case SpeechStarted(talkspurt, at, voice):
            return f"{talkspurt} at {at:.3f}{_voice(voice)}"
        case SpeechStopped(talkspurt, at, voiced, voice):
            return f"{talkspurt} at {at:.3f} voiced {voiced:.2f}{_voice(voice)}"
        case Transcribed(text=text):
            return f"{len(text.split())} words"
        case TurnJudged(score=score):
            return f"{score:.2f}"
        case _:
            return ""


def _measures(fact: Event, seen: Evidence | None) -> str:
    if seen is None or not isinstance(fact, SpeechStarted | SpeechStopped):
        return ""
    likeness = "-" if seen.likeness is None else f"{seen.likeness:.2f}"
    return f" echo {seen.echo:.2f} likeness {likeness} voicing {seen.voicing:.2f} level {seen.level_dbfs:.0f}"


def _voice(voice: Voice) -> str:
    verdicts = {
        "echo": voice.is_echo is True,
        "stranger": voice.is_caller is False,
        "noise": voice.is_voice is False,
        "in-noise": voice.is_in_noise,
    }
    return "".join(f" {name}" for name, holds in verdicts.items() if holds)


def _decided(command: Command) -> tuple[str, str]:
    match command:
        case StopPlayback(epoch):
            return "clear", f"epoch {epoch}"
        case RequestReply(reply):
            return "ask", f"reply {reply}"
        case Speak(segment, _, _, source):
            return ("speak" if source is None else "resume"), f"segment {segment}"
        case RunTool():
            # Not its name: a model may put anything there.
            return "tool", ""
        case ForgetCaller():
            return "forget_caller", ""
        case ExecuteEffect():
            return "execute_effect", ""
        case CollectSecret():
            return "collect_secret", ""
        case RunWithSecret():
            return "run_with_secret", ""
        case DiscardSecret():
            return "discard_secret", ""
        case Count(name):
            return name, ""
        case EndCall(reason):
            return "end", reason
        case _:
            return "", ""
