"""A call's journal tells what happened, in nobody's words, within bounds, and is never worth a call."""

import json
import re
from pathlib import Path
from random import Random
from typing import Any

import pytest

from core.call_fate import Fate
from talkspurt.core.commands import (
    BeginUtterance,
    Command,
    Count,
    ExecuteEffect,
    NoteReadBack,
    Phrase,
    Prepare,
    Record,
    RequestReply,
    RunTool,
    Source,
    Speak,
    StopPlayback,
    Transcribe,
)
from talkspurt.core.digits import Digits, EntryRules
from talkspurt.core.endpointing import Pause
from talkspurt.core.events import (
    DigitPressed,
    EffectProposed,
    Event,
    LineClosed,
    PartlyTranscribed,
    PlaybackReached,
    ReplyFailed,
    ReplyTextReceived,
    ReplyToolRequested,
    SecretRequested,
    SegmentFailed,
    SegmentStarted,
    SpeechContinued,
    SpeechStarted,
    SpeechStirred,
    SpeechStopped,
    ToolReturned,
    Transcribed,
    TranscriptionFailed,
    TurnJudged,
    Voice,
)
from talkspurt.core.history import CallerSaid
from talkspurt.core.language import Completeness, Expectation
from talkspurt.core.states import Endpointing, Hearing, Listening, Speaking, Typing
from talkspurt.media.evidence import Evidence
from talkspurt.telemetry import journal as module
from talkspurt.telemetry.journal import FileJournal

CANARY = "canary4711"
"""What the caller, the model and the tools say."""

FACTS: list[Event] = [
    Transcribed(1, 1, f"{CANARY} {CANARY}"),
    PartlyTranscribed(1, CANARY),
    TranscriptionFailed(1, 1, CANARY),
    ReplyTextReceived(1, CANARY),
    ReplyToolRequested(1, "t1", "look", CANARY),
    ReplyFailed(1, CANARY),
    SegmentStarted(1, 0, 0.0, CANARY),
    SegmentFailed(1, CANARY),
    ToolReturned("t1", CANARY),
    EffectProposed("t1", "p1", CANARY, CANARY),
    SecretRequested("t1", CANARY, EntryRules()),
]
COMMANDS: list[Command] = [
    RequestReply(1, (CallerSaid(CANARY, "voice"),)),
    Prepare(1, CANARY),
    Speak(1, 0, CANARY),
    Speak(2, 0, Phrase("tool_filler", (("tool", CANARY),))),
    RunTool("t1", "look", CANARY),
    NoteReadBack(CANARY, 1.0),
    ExecuteEffect("t1", CANARY, 2),
    Record(CallerSaid(CANARY, "voice")),
    Count("stale_reply", CANARY),
]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journals" / "call.jsonl"


def test_nobodys_words_are_in_it(path: Path) -> None:
    journal = FileJournal(path)
    heard = Endpointing(1, 0.0, 1.0, 1.0, text=CANARY)
    for fact in FACTS:
        journal.took(1.0, fact, Hearing(1, 0.0, 1), heard, COMMANDS)
        journal.took(1.0, fact, heard, Endpointing(1, 0.0, 1.0, 1.0, text=CANARY, pause=Pause(words=2)), ())
    journal.close()
    written = path.read_text()
    assert CANARY not in written
    assert "2 words" in written


def test_no_key_is_in_it(path: Path) -> None:
    journal = FileJournal(path)
    typing = Typing(Digits(at=0.0).press("7", 0.0, EntryRules()), EntryRules())
    journal.took(1.0, DigitPressed("7"), Listening(0.0), typing, ())
    journal.close()
    assert [(line["name"], line["detail"]) for line in lines(path)] == [("DigitPressed", ""), ("Typing", "")]


def test_no_word_of_a_whole_call_is_in_it(path: Path) -> None:
    """Neither the model's words, which carry their origin, nor the caller's."""
    journal, fate = FileJournal(path), Fate(Random(8))
    receive = fate.world.conversation.receive

    def watched(event: Event | None, now: float) -> tuple[Command, ...]:
        before = fate.world.conversation.floor
        commands = receive(event, now)
        journal.took(now, event, before, fate.world.conversation.floor, commands)
        return commands

    fate.world.conversation.receive = watched  # type: ignore[method-assign]
    fate.world.dial()
    for _ in range(30):
        if fate.alive:
            fate.agree()
    fate.finish()
    journal.close()
    written = path.read_text()
    said = " ".join([*fate.world.said, *fate.world.model_said.values()]).split()
    assert said
    assert not [word for word in said if word in written]
    assert "yes" in fate.world.asked
    assert not re.search(r"\byes\b", written)


def test_it_tells_facts_states_and_decisions_in_order(path: Path) -> None:
    journal = FileJournal(path)
    journal.measured(Evidence(0.3, -30.0, -60.0, 0.1, None, None, 0.9))
    started = SpeechStarted(4, 1.5, Voice(is_echo=True, is_caller=False, is_voice=False))
    journal.took(1.6004, started, Speaking(0.0), Hearing(1, 0.0, 4), [StopPlayback(2), BeginUtterance(1, 1.5)])
    pause = Pause(Expectation("zip"), Completeness.OPEN, 3, habit=0.5)
    before = Endpointing(1, 0.0, 2.0, 0.4)
    journal.took(2.0, SpeechStopped(4, 1.9, 0.4), Hearing(1, 0.0, 4), before, [Transcribe(1, 1)])
    after = Endpointing(1, 0.0, 2.0, 0.4, text="x", pause=pause)
    journal.took(2.2, TurnJudged(1, 1, 0.98), before, after, [Speak(3, 2, "x", Source(2, 0, 0.0)), Speak(4, 2, "x")])
    journal.close()
    told = [(line["at"], line["kind"], line["name"], line["detail"]) for line in lines(path)]
    assert told[0][:3] == (1.6, "fact", "SpeechStarted")
    assert told[0][3] == "4 at 1.500 echo stranger noise echo 0.10 likeness - voicing 0.90 level -30"
    assert told[1:3] == [(1.6, "state", "Hearing", ""), (1.6, "decision", "clear", "epoch 2")]
    assert [line[1:3] for line in told[3:5]] == [("fact", "SpeechStopped"), ("state", "Endpointing")]
    assert told[5:] == [
        (2.2, "fact", "TurnJudged", "0.98"),
        (2.2, "decision", "pause", "zip open words 3 habit 0.50"),
        (2.2, "decision", "resume", "segment 3"),
        (2.2, "decision", "speak", "segment 4"),
    ]


@pytest.mark.parametrize(
    "fact", [PlaybackReached(0, 1.0), SpeechContinued(1, 1.0, 0.1), SpeechStirred(1.0), ReplyTextReceived(1, "x"), None]
)
def test_facts_that_come_all_the_time_are_left_out(path: Path, fact: Event | None) -> None:
    journal = FileJournal(path)
    journal.took(1.0, fact, Listening(0.0), Listening(0.0), ())
    journal.close()
    assert not path.exists()


def test_it_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 2000)
    journal = FileJournal(path)
    for at in range(1000):
        journal.took(at, LineClosed(1, hung_up=False), Listening(0.0), Listening(0.0), ())
        if at % 100 == 0:
            journal.close()
    journal.close()
    assert 1500 < path.stat().st_size <= 2000
    assert len(journal._lines) == 0


def test_closing_again_writes_nothing_twice(path: Path) -> None:
    journal = FileJournal(path)
    journal.took(1.0, LineClosed(1, hung_up=False), Listening(0.0), Listening(0.0), ())
    journal.close()
    journal.close()
    assert len(lines(path)) == 1


def test_a_folder_that_cannot_be_written_raises_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    journal = FileJournal(tmp_path / "file" / "call.jsonl")
    journal.took(1.0, LineClosed(1, hung_up=False), Listening(0.0), Listening(0.0), ())
    journal.close()
    journal.close()
    assert (tmp_path / "file").read_text() == "in the way"
