"""Edges of the rules that planted faults went past unnoticed (see `docs/mutation.md`), each noticed by a test here."""

from collections import deque
from collections.abc import Sequence

import pytest

from core.call_world import Asks, Says, World, settings, words
from talkspurt.core.commands import EndCall, Prepare, RunTool
from talkspurt.core.events import CallerHungUp, EndRequested
from talkspurt.core.sentences import SHORTEST_CLAUSE, take_speakable
from talkspurt.core.states import Speaking


def world(*replies: Sequence[object], **behaviour: object) -> World:
    """A call with scripted replies, whose state is restored from a snapshot at every step."""
    return World(replies=deque(replies), rehearse=True, **behaviour)  # type: ignore[arg-type]


# ── what the agent says ───────────────────────────────────────────────────────────


def test_a_model_that_talks_and_asks_for_tools_for_ever_is_apologised_for() -> None:
    call = World(default_reply=lambda _reply: [Says("Let me look. "), Asks("look")], rehearse=True).answered()
    call.asks().listens()
    assert len(call.of(RunTool)) == settings().max_tool_rounds + 1
    assert call.phrases[-1] == "apology"


def test_an_end_asked_for_while_the_model_is_at_it_is_announced_though_it_says_something() -> None:
    """What the model says cannot announce what it does not know."""
    call = world([Says(f"{words('r1.0', 6)}. "), Says(f"{words('r1.1', 6)}. ", after=2.0)]).answered()
    call.asks().run_until(lambda world: isinstance(world.floor, Speaking))
    call.give(EndRequested("shutdown"))
    call.run(30)
    assert call.said[-1].split()[-5:-4] == [f"{words('r1.1', 6)}.".split()[-1]]
    assert call.phrases == ["goodbye_shutdown"]
    assert call.of(EndCall) == [EndCall("shutdown")]


def test_a_guess_is_prepared_from_all_pieces_of_its_first_sentence() -> None:
    call = world([Says("It "), Says("ships on "), Says("Monday. It is late. ")], transcribe=lambda text: (0.02, text))
    call.answered().says("when").run(0.8)
    assert call.of(Prepare) == [Prepare(1, "It ships on Monday.")]


@pytest.mark.parametrize("spare", [0, 1])
def test_the_shortest_first_clause_is_spoken(spare: int) -> None:
    clause = f"{'a' * (SHORTEST_CLAUSE - 1 - spare)},"
    spoken, rest = take_speakable(f"{clause} and more", first=True)
    assert (spoken, rest) == (((), f"{clause} and more") if spare else ((clause,), "and more"))


# ── the end ───────────────────────────────────────────────────────────────────────


def test_nothing_is_orphaned_by_a_process_that_dies_after_the_call() -> None:
    call = world().answered()
    assert call.conversation.orphaned()
    call.give(CallerHungUp())
    assert call.conversation.orphaned() == ()


def test_nothing_is_orphaned_by_a_process_that_dies_before_there_was_a_line() -> None:
    call = world()
    assert call.conversation.attachment == 0
    assert call.conversation.orphaned() == ()


# ── what the caller says ──────────────────────────────────────────────────────────


def test_a_recognizer_that_fails_at_the_second_pause_is_not_waited_for() -> None:
    call = world(transcribe=lambda text: None if text == "where" else (0.1, None)).answered()
    call.says("where").run(0.3)
    call.says("is it").run(2.0)
    assert call.counted == ["transcription_failed", "utterance_without_words"]
    assert call.phrases == ["missed"]
