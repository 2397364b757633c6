"""Tools that answer in a later turn, and what tools say while they are at it."""

import json
from collections import deque

import pytest

from core.call_world import Asks, Part, Proposes, Returns, Says, Starts, Voices, World, settings, words
from talkspurt.core.commands import CancelTool, ExecuteEffect, Phrase, RequestReply, RunTool, Speak
from talkspurt.core.conversation import Conversation
from talkspurt.core.events import (
    CallerHungUp,
    EndRequested,
    HandoverReturned,
    LineOpened,
    ToolProgressed,
    ToolReturned,
    ToolStarted,
)
from talkspurt.core.history import CallerSaid, ToolAnswered, ToolCalled
from talkspurt.core.states import Hearing, Listening, Speaking, Thinking, Typing


def starting(*replies: list[Says | Asks], work: Starts | None = None, **how: object) -> World:
    script = [[Asks("work", "t1")], [Says("I have begun. ")], *replies]
    how = {"rules": settings(tool_times={"work": 90.0}), **how}
    return World(replies=deque(script), tool=lambda _command: work or Starts(), **how)  # type: ignore[arg-type]


def test_the_model_is_told_that_it_began_and_the_conversation_goes_on() -> None:
    call = starting([Says("It is sunny. ")], work=Starts(later=40.0)).answered().asks().listens()
    assert call.answers() == {"t1": '{"status":"started"}'}
    assert call.said[-1] == "I have begun."
    call.asks("what").listens()
    assert call.said[-1] == "It is sunny."


def test_its_answer_opens_a_turn_once_nobody_speaks() -> None:
    call = starting([Says("It is done. ")]).answered().asks().listens()
    call.run_until(lambda world: world.said[-1] == "It is done.")
    assert call.answers()["t1-finished"] == '{"ok":true}'
    called = [entry for entry in call.history if isinstance(entry, ToolCalled)]
    assert [(entry.tool_call, entry.name) for entry in called] == [("t1", "work"), ("t1-finished", "work")]
    call.listens()
    assert len(call.of(RequestReply)) == 3


def test_an_answer_while_the_caller_speaks_waits_for_the_end_of_their_turn() -> None:
    call = starting([Says("Fine, and it is done. ")], work=Starts(later=6.0)).answered().asks().listens()
    call.starts("well")
    call.run_until(lambda world: "t1-finished" in world.answers())
    assert isinstance(call.floor, Hearing)
    call.run(0.5).stops().listens()
    call.run(3.0)
    assert len(call.of(RequestReply)) == 3, "the caller's own turn tells of it: nobody is asked twice"
    assert call.said[-1] == "Fine, and it is done."


def test_an_answer_while_the_agent_speaks_is_told_behind_what_it_says() -> None:
    long = f"{words('r3.0', 40)}. "
    call = starting([Says(long)], [Says("It is done. ")], work=Starts(later=7.0)).answered().asks().listens()
    call.asks("what").run_until(lambda world: "t1-finished" in world.answers())
    call.run_until(lambda world: world.said[-1] == "It is done.")
    assert call.said[-2] == long.strip()


def test_an_answer_does_not_come_between_the_keys_of_an_entry_that_was_begun_while_nothing_could_be_stopped() -> None:
    long = f"{words('r3.0', 40)}. "
    rules = settings(tool_times={"work": 90.0}, interruptible="never")
    call = starting([Says(long)], [Says("It is 12, and done. ")], work=Starts(later=7.0), rules=rules)
    call.answered().asks().listens()
    call.asks("what")
    call.run_until(lambda world: "t1-finished" in world.answers())
    assert isinstance(call.floor, Speaking)
    call.types("12")
    call.run_until(lambda world: not isinstance(world.floor, Speaking))
    assert isinstance(call.floor, Typing)
    call.listens()
    assert CallerSaid("12", "keypad") in call.history


def test_an_answer_does_not_come_between_a_read_back_and_its_yes() -> None:
    def tool(command: RunTool) -> Starts | Proposes:
        return Starts(later=9.0) if command.name == "work" else Proposes("I will pay. Shall I?")

    script: list[list[Part]] = [[Asks("work", "t1"), Asks("pay", "t2")], [Says("Both are done. ")]]
    call = World(replies=deque(script), tool=tool).answered().asks().listens()
    call.run_until(lambda world: "t1-finished" in world.answers())
    call.run(1.0)
    assert isinstance(call.floor, Listening)
    assert call.said[-1] == "I will pay. Shall I?"
    call.asks("yes").listens()
    assert len(call.of(ExecuteEffect)) == 1
    assert call.said[-1] == "Both are done."


def test_a_call_that_ends_first_says_so() -> None:
    call = starting(work=Starts(later=None)).answered().asks().listens()
    call.lose_line(hung_up=True)
    assert "ended before" in call.answers()["t1-finished"]
    assert call.history[-1] == ToolAnswered("t1-finished", "work", call.answers()["t1-finished"])
    call.referee.close()


def test_a_caller_who_waits_is_not_asked_whether_they_are_there() -> None:
    call = starting(work=Starts(later=70.0)).answered().asks().listens()
    call.run(60.0)
    assert not {"still_there", "offer_help", "goodbye_silence"} & set(call.phrases)
    assert 4 <= call.phrases.count("still_working") <= 6
    call.run(60.0)
    assert "still_there" in call.phrases, "afterwards they are"


def test_a_caller_who_owes_a_yes_is_asked_for_it_whatever_is_under_way() -> None:
    def tool(command: RunTool) -> Starts | Proposes:
        return Starts(later=None) if command.name == "work" else Proposes("I will pay. Shall I?")

    script: list[list[Part]] = [[Asks("work", "t1"), Asks("pay", "t2")]]
    call = World(replies=deque(script), tool=tool).answered().asks().listens()
    call.run(14.0)
    assert call.phrases == ["still_there"]


def test_a_process_that_dies_takes_its_work_with_it_and_says_so() -> None:
    call = starting([Says("That failed. ")], work=Starts(later=None)).answered().asks().listens()
    call.clone()
    for event in call.conversation.orphaned():
        call.give(event)
    call.dial().listens()
    assert "timeout" in call.answers()["t1-finished"]
    assert call.said[-1].endswith(" That failed.")


@pytest.mark.parametrize(("tool_times", "lost"), [({}, True), ({"work": 60.0}, False)])
def test_an_answer_that_never_comes_is_given_up_when_its_tool_should_have_answered(
    tool_times: dict[str, float], lost: bool
) -> None:
    rules = settings(tool_times=tool_times)
    call = starting([Says("That failed. ")], work=Starts(later=None), rules=rules).answered().asks().listens().run(40.0)
    assert ("t1-finished" in call.answers() and "timeout" in call.answers()["t1-finished"]) is lost
    assert (CancelTool("t1") in call.of(CancelTool)) is lost
    assert ("That failed." in " ".join(call.said)) is lost
    assert call.counted.count("tool_overdue") == lost


def test_an_interruption_does_not_stop_it() -> None:
    rules = settings(cancellable=frozenset({"work"}))
    call = starting([Says("What? ")], work=Starts(later=5.0), rules=rules).answered().asks()
    call.run_until(lambda world: "t1" in world.answers()).says("stop").listens()
    call.run_until(lambda world: "t1-finished" in world.answers())
    assert call.of(CancelTool) == []
    assert call.answers()["t1-finished"] == '{"ok":true}'


def test_a_reply_that_was_guessed_before_it_came_is_not_used() -> None:
    call = starting([Says("I guessed. ")], [Says("Now I know. ")], work=Starts(later=None))
    call.answered().asks().listens()
    call.says("well").run_until(lambda world: len(world.of(RequestReply)) == 3)
    assert call.callers_turns == 1, "it is a guess"
    call.give(ToolReturned("t1", '{"ok":true}'))
    call.listens()
    assert call.said[-1] == "Now I know."


# ── progress ──────────────────────────────────────────────────────────────────────


def news_said(call: World) -> list[tuple[str, float]]:
    return [
        (speak.text, call.sent[speak.segment].start) for speak in call.of(Speak) if str(speak.text).startswith("nt")
    ]


def test_news_of_a_tool_that_the_turn_waits_for_come_behind_a_filler_that_is_heard_at_once() -> None:
    call = World(replies=deque([[Asks("look", "t1")]]), tool=lambda _command: None).answered().asks()
    call.run_until(lambda world: world.of(RunTool) != [])
    call.give(ToolProgressed("t1", "nt1.0 old."))
    call.give(ToolProgressed("t1", "nt1.1 new."))
    call.run_until(lambda world: world.said[-1].endswith("nt1.1 new."))
    assert [str(speak.text) if isinstance(speak.text, str) else speak.text.name for speak in call.of(Speak)][-2:] == [
        "tool_filler",
        "nt1.1 new.",
    ]
    assert [text for text, _ in news_said(call)] == ["nt1.1 new."]
    call.give(ToolReturned("t1", "{}"))
    call.listens()
    assert "nt1.1 new." in " ".join(call.said)


@pytest.mark.parametrize("later", [False, True])
def test_a_synthesizer_that_hangs_at_news_leaves_nobody_in_silence(later: bool) -> None:
    work = Starts(later=30.0, news=(2.0,)) if later else None
    script: list[list[Part]] = [[Asks("work", "t1")], [Says("I have begun. ")]]
    call = World(
        replies=deque(script),
        tool=lambda _command: work,
        voice=lambda speak: None if str(speak.text).startswith("nt") else Voices(),
    ).answered()
    call.asks()
    if later:
        call.listens()
    else:
        call.run_until(lambda world: world.of(RunTool) != [])
        call.give(ToolProgressed("t1", "nt1.0 new."))
        call.run_until(lambda world: isinstance(world.floor, Speaking))
    call.run_until(lambda world: isinstance(world.floor, Thinking))
    assert any(str(speak.text).startswith("nt") for speak in call.of(Speak))
    silent_since = call.now
    call.run_until(lambda world: isinstance(world.floor, Speaking))
    assert call.now - silent_since < 3.0
    assert isinstance(call.of(Speak)[-1].text, Phrase)


def test_a_caller_who_has_been_told_to_wait_hears_something_else_and_is_never_left_in_silence() -> None:
    call = World(replies=deque([[Asks("look", "t1")]]), tool=lambda _command: Returns(after=19.0))
    call.answered().asks().listens()
    bridges = [(call.sent[s.segment], s.text.name) for s in call.of(Speak) if isinstance(s.text, Phrase)]
    assert [name for _, name in bridges] == ["tool_filler", *["still_working"] * (len(bridges) - 1)]
    assert 2 <= len(bridges) <= 4


def test_news_are_told_to_a_caller_who_waits_and_not_twice() -> None:
    work = Starts(later=30.0, news=(1.0, 1.2, 12.0))
    call = starting(work=work).answered().asks().listens()
    call.run(25.0)
    assert [text.split(".")[1] for text, _ in news_said(call)] == ["1", "2"]


def test_news_are_never_told_over_the_caller() -> None:
    work = Starts(later=60.0, news=(2.0, 4.0, 6.0))
    call = starting(work=work).answered().asks().listens()
    call.starts("well").run(12.0)
    assert news_said(call) == []
    assert isinstance(call.floor, Hearing)


def test_many_news_are_a_bounded_number_of_sentences() -> None:
    work = Starts(later=40.0, news=tuple(number / 10 for number in range(10, 390)))
    call = starting(work=work).answered().asks().listens()
    call.run_until(lambda world: "t1-finished" in world.answers())
    assert 3 <= len(news_said(call)) <= 13


def test_news_of_what_is_over_are_counted() -> None:
    call = starting([Says("It is done. ")]).answered().asks().listens()
    call.run_until(lambda world: "t1-finished" in world.answers())
    call.give(ToolProgressed("t1", "nt1.9 late."))
    call.give(ToolStarted("t1", "{}"))
    assert call.counted.count("stale_tool") == 2
    call.run(20.0)
    assert news_said(call) == []


@pytest.mark.parametrize("content", ['{"ok":true}', '{"error":{"kind":"timeout","message":"That took too long."}}'])
def test_an_answer_lands_once_however_often_it_comes(content: str) -> None:
    call = starting([Says("It is done. ")], work=Starts(answer=content)).answered().asks().listens()
    call.run_until(lambda world: "t1-finished" in world.answers())
    call.give(ToolReturned("t1", '{"twice":true}'))
    call.listens()
    finished = [entry for entry in call.history if isinstance(entry, ToolAnswered) and entry.tool_call == "t1-finished"]
    assert [entry.content for entry in finished] == [content]
    assert sum(isinstance(entry, CallerSaid) for entry in call.history) == 1
    assert not isinstance(call.floor, Thinking)


def in_doubt() -> World:
    """A call whose effect is in doubt, which the caller has been told."""
    call = World(
        replies=deque([[Asks("pay", "t1")], [Says("It is not certain. ")], [Says("It is certain. ")]]),
        tool=lambda _command: Proposes("I will pay. Shall I?"),
        effect=lambda _command: None,
    ).answered()
    call.asks().listens().asks("yes").run(1.0)
    call.give(ToolStarted("t1-confirmed", '{"in":"doubt"}'))
    return call.listens()


def test_what_came_of_an_effect_in_doubt_is_told_in_a_later_turn() -> None:
    call = in_doubt()
    assert call.answers()["t1-confirmed"] == '{"in":"doubt"}'
    assert call.conversation.executing == (("t1-confirmed", "p1"),), "whoever restores it looks at the ledger"
    assert all(not isinstance(fact, ToolReturned) for fact in call.conversation.orphaned())
    call.give(ToolReturned("t1-confirmed", '{"done":true}'))
    call.run_until(lambda world: world.said[-1] == "It is certain.")
    assert call.answers()["t1-confirmed-finished"] == '{"done":true}'


def test_a_call_that_ends_in_doubt_does_not_say_that_nothing_was_done() -> None:
    call = in_doubt()
    call.give(CallerHungUp())
    assert "certain" in call.answers()["t1-confirmed-finished"]
    assert "in_doubt" in call.answers()["t1-confirmed-finished"]


def test_a_caller_who_comes_back_from_a_hand_over_is_told_what_came_of_a_doubt() -> None:
    call = in_doubt()
    call.give(EndRequested("handover", "t1"))
    call.run_until(lambda world: world.ended == "handover")
    assert "t1-confirmed-finished" not in call.answers()
    snapshot = json.loads(json.dumps(call.conversation.snapshot()))
    back = Conversation.take_back(call.rules, snapshot, HandoverReturned("back_unanswered", '{"status":"busy"}'))
    assert back.executing == (("t1-confirmed", "p1"),)
    back.receive(LineOpened(2), call.now)
    back.receive(ToolReturned("t1-confirmed", '{"done":true}'), call.now)
    assert ToolAnswered("t1-confirmed-finished", "pay", '{"done":true}') in back.history


@pytest.mark.parametrize(("tool_times", "answered"), [({"pay": 60.0}, False), ({"other": 60.0}, True)])
def test_an_effect_is_waited_for_as_long_as_its_tool_may_take(tool_times: dict[str, float], answered: bool) -> None:
    call = World(
        rules=settings(tool_times=tool_times),
        replies=deque([[Asks("pay", "t1")], [Says("Done. ")]]),
        tool=lambda _command: Proposes("I will pay. Shall I?"),
        effect=lambda _command: Returns(after=70.0),
    ).answered()
    call.asks().listens().asks("yes").run(60.0)
    assert ("t1-confirmed" in call.answers() and "in_doubt" in call.answers()["t1-confirmed"]) is answered
    call.run(15.0)
    assert ("in_doubt" in call.answers()["t1-confirmed"]) is answered
