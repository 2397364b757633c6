"""Whole calls in which keys are pressed: open entries, and secrets that a tool waits for.

Like the other scenarios these run under the rules of `call_referee`, in a twin that is restored at every step. Secrets
are keyed in with the letters A to D, so that the referee knows their digits wherever it meets them.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

import pytest

from core.call_world import (
    Asks,
    Proposes,
    Returns,
    Says,
    Stalls,
    Voices,
    Wants,
    World,
    WorldLanguage,
    settings,
    words,
)
from talkspurt.core.commands import (
    CancelTool,
    CollectSecret,
    Count,
    DiscardSecret,
    EndUtterance,
    RequestReply,
    RunWithSecret,
    Speak,
    StopPlayback,
    WithdrawEffect,
)
from talkspurt.core.conversation import Conversation
from talkspurt.core.digits import EntryRules
from talkspurt.core.events import (
    CallerHungUp,
    DigitPressed,
    EffectProposed,
    EndRequested,
    SecretEntered,
    SecretProgress,
    SecretRequested,
    ToolReturned,
    Voice,
)
from talkspurt.core.history import AgentSaid, CallerSaid, ToolAnswered, ToolCalled
from talkspurt.core.keypad import TRAILING
from talkspurt.core.language import ANYTHING, Expectation
from talkspurt.core.log import RUNNING
from talkspurt.core.secret_entry import LONGEST, NOT_ENTERED
from talkspurt.core.states import (
    Closing,
    Collecting,
    Endpointing,
    Hearing,
    Listening,
    Lost,
    Speaking,
    Thinking,
    Typing,
    Yielding,
)

FOUR = EntryRules(shortest=4, longest=4)
PROMPT = f"{words('key-t1', 5)}."


def world(*replies: Sequence[object], **behaviour: Any) -> World:
    return World(replies=deque(replies), rehearse=True, **behaviour)  # type: ignore[arg-type]


def until(call: World, state: type) -> World:
    return call.run_until(lambda world: isinstance(world.floor, state))


def wanting(*replies: Sequence[object], rules: EntryRules = FOUR, **behaviour: Any) -> World:
    """A caller has asked for something that a tool needs a secret for."""
    behaviour.setdefault("tool", lambda _command: Wants(rules))
    return world([Asks("verify")], *replies, **behaviour).answered().asks()


def over(call: World, reason: str) -> None:
    call.run_until(lambda world: bool(world.ended), patience=2000)
    assert call.ended == reason
    call.run(40)
    call.referee.close()


def ordered(call: World, *kinds: type) -> list[type]:
    return [type(command) for command in call.of(*kinds)]


# ── a secret ──────────────────────────────────────────────────────────────────────


def test_a_tool_gets_the_secret_that_the_caller_keys_in_and_the_model_what_the_tool_says() -> None:
    call = wanting([Says("You are verified. ")])
    until(call, Collecting)
    call.types("DBCA").listens()
    assert call.taken == {"t1": "DBCA"}
    assert call.answers() == {"t1": '{"verified":true}'}
    assert call.said[-1].endswith("You are verified.")
    assert call.history[1:5] == (
        CallerSaid("please"),
        AgentSaid(PROMPT),
        ToolCalled("t1", "verify", "{}"),
        ToolAnswered("t1", "verify", '{"verified":true}'),
    )
    over(call, "caller_silent")


def test_keys_are_collected_from_before_the_first_word_of_the_prompt() -> None:
    call = wanting()
    call.run_until(lambda world: bool(world.of(CollectSecret)))
    assert ordered(call, CollectSecret, Speak)[-2:] == [CollectSecret, Speak]


def test_the_patience_begins_when_the_prompt_has_been_heard() -> None:
    call = until(wanting(), Collecting)
    heard = call.now
    assert call.conversation.deadline == pytest.approx(heard + FOUR.first)
    call.types("D", pause=0.0)
    assert call.conversation.deadline == pytest.approx(heard + FOUR.unfinished)


def test_no_filler_and_no_watchdog_of_the_tool_while_the_caller_looks_for_the_card() -> None:
    slow = EntryRules(shortest=4, longest=4, first=30.0)
    call = until(wanting(rules=slow), Collecting)
    call.run(25.0)
    assert isinstance(call.floor, Collecting)
    assert call.phrases == []
    call.types("DBCA").listens()
    assert call.answers() == {"t1": '{"verified":true}'}
    assert "tool_overdue" not in call.counted


def test_a_tool_that_waits_for_a_secret_is_not_overdue_with_another_that_is() -> None:
    slow = EntryRules(shortest=4, longest=4, first=30.0)
    call = world(
        [Asks("verify"), Asks("look")], tool=lambda command: Wants(slow) if command.name == "verify" else None
    ).answered()
    until(call.asks(), Collecting).run_until(lambda world: "tool_overdue" in world.counted)
    assert isinstance(call.floor, Collecting)
    assert call.answers()["t1"] == RUNNING
    call.types("DBCA").listens()
    assert call.answers()["t1"] == '{"verified":true}'


def test_the_watchdog_of_the_tool_begins_when_it_gets_the_secret() -> None:
    call = until(wanting(keyed=lambda _secret: None), Collecting).run(6.0)
    call.types("DBCA", pause=0.0)
    began = call.now
    call.run_until(lambda world: "tool_overdue" in world.counted)
    assert call.now == pytest.approx(began + call.rules.tool_timeout)
    assert "timeout" in call.answers()["t1"]
    assert call.phrases[0] == "tool_filler"


def test_the_end_key_and_a_pause_end_a_secret_of_no_fixed_length() -> None:
    rules = EntryRules(shortest=2, longest=6)
    call = until(wanting(rules=rules), Collecting).types("ABC#").listens()
    assert call.taken == {"t1": "ABC"}
    call = until(wanting(rules=rules), Collecting).types("DA", pause=0.0).run(rules.finished + 0.1)
    assert call.taken == {"t1": "DA"}


def test_whoever_knows_the_prompt_need_not_hear_it_out() -> None:
    call = until(wanting(), Speaking).run(1.0)
    call.types("D", pause=0.0)
    assert isinstance(call.floor, Collecting)
    assert call.of(StopPlayback)
    call.types("BCA").listens()
    assert call.taken == {"t1": "DBCA"}
    assert [speak.text for speak in call.of(Speak)].count(PROMPT) == 1
    prompt = call.history[2]
    assert isinstance(prompt, AgentSaid)
    assert prompt.interrupted
    assert "key-t1.4" not in prompt.text


def test_a_secret_is_keyed_in_before_the_prompt_has_begun() -> None:
    call = wanting(voice=lambda speak: Voices(after=0.1 if speak.segment == 1 else 2.0))
    call.run_until(lambda world: bool(world.of(CollectSecret)))
    assert isinstance(call.floor, Thinking)
    call.types("DBCA").listens()
    assert call.taken == {"t1": "DBCA"}
    assert not any("key-t1" in text for text in call.said)


def test_what_the_model_says_besides_is_said_once_the_secret_is_there() -> None:
    call = world(
        [Asks("verify"), Says(f"{words('r1.0', 3)}. ", after=1.5)], [Says("Fine. ")], tool=lambda _command: Wants(FOUR)
    ).answered()
    call.asks().run_until(lambda world: bool(world.of(CollectSecret)))
    call.types("DB", pause=0.8).types("CA").listens()
    assert call.taken == {"t1": "DBCA"}
    assert call.said[-1].endswith(f"{words('r1.0', 3)}. Fine.")


def test_keys_do_not_interrupt_what_nothing_may() -> None:
    call = world(
        [Asks("verify")],
        [Says("Fine. ")],
        rules=settings(interruptible="never"),
        tool=lambda _command: Wants(FOUR),
    ).answered()
    until(call.asks(), Speaking)
    call.types("DBCA", pause=0.1)
    assert isinstance(call.floor, Speaking)
    call.listens()
    assert PROMPT in " ".join(call.said)
    assert call.taken == {"t1": "DBCA"}
    assert call.of(StopPlayback) == []


def test_too_few_digits_are_asked_for_once_more_and_then_given_up() -> None:
    call = until(wanting([Says("Never mind. ")]), Collecting).types("DB#")
    assert isinstance(call.floor, Thinking | Speaking)
    assert ordered(call, CollectSecret, RunWithSecret, DiscardSecret) == [CollectSecret] * 2
    until(call, Collecting).types("D").listens()
    assert ordered(call, CollectSecret, RunWithSecret, DiscardSecret) == [CollectSecret] * 2 + [DiscardSecret]
    assert call.answers() == {"t1": NOT_ENTERED}
    assert call.said[-1].endswith("Never mind.")


def test_the_second_time_is_as_good_as_the_first() -> None:
    call = until(wanting(), Collecting).types("DB#").types("ABCD").listens()
    assert call.taken == {"t1": "ABCD"}
    assert call.answers() == {"t1": '{"verified":true}'}


def test_a_caller_who_presses_nothing_is_asked_twice() -> None:
    call = until(wanting(), Collecting).run(FOUR.first + 0.1)
    until(call, Collecting).run(FOUR.first + 0.1)
    assert len(call.of(CollectSecret)) == 2
    assert call.answers() == {"t1": NOT_ENTERED}
    assert len(call.of(RequestReply)) == 2, "the model is asked at once"


def test_one_who_clears_for_ever_is_given_up() -> None:
    call = until(wanting(), Collecting)
    began = call.now
    while call.referee.collecting:
        call.types("*", pause=1.0)
        assert call.now < began + LONGEST + 2.0
    assert call.answers() == {"t1": NOT_ENTERED}
    assert len(call.of(CollectSecret)) == 1


def test_words_instead_of_keys_are_an_answer() -> None:
    call = until(wanting([Says("Then not. ")]), Collecting).types("DB")
    call.asks("I have none").listens()
    assert call.answers() == {"t1": NOT_ENTERED}
    assert call.asked == ["please", "I have none"]
    assert call.taken == {}
    assert call.history[2:-1] == (
        AgentSaid(PROMPT),
        ToolCalled("t1", "verify", "{}"),
        ToolAnswered("t1", "verify", NOT_ENTERED),
        CallerSaid("I have none"),
    )
    assert call.of(DiscardSecret) == [DiscardSecret("t1")]
    over(call, "caller_silent")


@pytest.mark.parametrize(
    ("noise", "sound"),
    [("", Voice()), ("mhm", Voice()), ("what", Voice(is_caller=False))],
    ids=["cough", "mhm", "other"],
)
def test_noises_and_other_voices_while_keys_are_waited_for_change_nothing(noise: str, sound: Voice) -> None:
    call = until(wanting(), Collecting).types("DB", pause=0.2)
    call.says(noise, duration=0.4, sound=sound)
    # Somebody else's words are not waited for.
    assert isinstance(call.floor, Collecting if sound.is_caller is False else Endpointing)
    until(call, Collecting)
    assert isinstance(call.floor, Collecting)
    assert call.conversation.deadline == pytest.approx(call.floor.since + FOUR.unfinished)
    call.types("CA").listens()
    assert call.taken == {"t1": "DBCA"}
    assert len(call.of(CollectSecret)) == 1


def test_an_echo_while_keys_are_waited_for_is_not_even_listened_to() -> None:
    call = until(wanting(), Collecting)
    call.starts("", sound=Voice(is_echo=True)).run(0.3)
    assert isinstance(call.floor, Collecting)
    call.sound = Voice()
    call.run(0.2)
    assert isinstance(call.floor, Hearing)


def test_a_voice_is_heard_where_only_keys_may_stop_the_agent() -> None:
    call = world([Asks("verify")], rules=settings(interruptible="keypad"), tool=lambda _command: Wants(FOUR)).answered()
    until(call.asks(), Collecting)
    call.asks("I have none")
    assert call.answers() == {"t1": NOT_ENTERED}


@pytest.mark.parametrize("state", [Yielding, Hearing, Endpointing])
def test_keys_take_over_from_a_voice(state: type) -> None:
    call = until(wanting(), Speaking).run(0.5)
    call.starts("so my number is")
    if state is Endpointing:
        call.run(0.5).stops()
    until(call, state)
    call.types("D", pause=0.0)
    assert isinstance(call.floor, Collecting)
    assert len(call.of(EndUtterance)) == 2
    if call.speaking_since is not None:
        call.stops()
    call.types("BCA").listens()
    assert call.taken == {"t1": "DBCA"}
    assert call.asked == ["please"]


def test_a_noise_into_the_prompt_is_followed_by_its_rest() -> None:
    call = until(wanting(), Speaking).run(1.0)
    call.says("", duration=0.3)
    until(call, Collecting)
    assert PROMPT in call.said[-1]
    assert len(call.of(CollectSecret)) == 1


def test_a_second_secret_is_refused_while_the_first_is_waited_for() -> None:
    call = world([Asks("verify"), Asks("verify")], tool=lambda _command: Wants(FOUR)).answered()
    until(call.asks(), Collecting)
    assert call.of(DiscardSecret) == [DiscardSecret("t2")]
    call.types("DBCA").listens()
    assert call.taken == {"t1": "DBCA"}
    assert "one thing at a time" in call.answers()["t2"]


def test_an_effect_is_refused_while_a_secret_is_waited_for_and_the_other_way_round() -> None:
    def tool(command: Any) -> Any:
        return Wants(FOUR, after=wait) if command.name == "verify" else Proposes(f"{words('p1', 3)}.", "p1")

    wait = 0.1
    call = world([Asks("verify"), Asks("refund")], tool=tool).answered()
    until(call.asks(), Collecting).run(1.0)
    assert call.of(WithdrawEffect) == [WithdrawEffect("p1")]
    assert "one thing at a time" in call.answers()["t2"]
    wait = 0.5
    call = world([Asks("refund"), Asks("verify")], tool=tool).answered().asks().listens()
    assert call.of(CollectSecret) == []
    assert call.of(DiscardSecret) == [DiscardSecret("t2")]
    assert "one thing at a time" in call.answers()["t2"]


def test_another_tool_goes_on_while_the_caller_keys_it_in() -> None:
    def tool(command: Any) -> Any:
        return Wants(FOUR) if command.name == "verify" else Returns('"looked"', after=3.0)

    call = world([Asks("verify"), Asks("look")], tool=tool).answered()
    until(call.asks(), Collecting).run(3.0)
    assert call.answers()["t2"] == '"looked"'
    assert len(call.of(RequestReply)) == 1
    call.types("DBCA").listens()
    assert len(call.of(RequestReply)) == 2


def test_a_secret_for_a_turn_that_is_gone_is_discarded() -> None:
    call = world([Asks("verify")], tool=lambda _command: Wants(FOUR, after=3.0)).answered()
    call.asks().run_until(lambda world: bool(world._tools))
    call.asks("no, wait").listens().run(2.0)
    assert call.of(CollectSecret) == []
    assert call.of(DiscardSecret) == [DiscardSecret("t1")]
    assert call.answers() == {"t1": NOT_ENTERED}
    assert "stale_secret" in call.counted


def test_news_of_a_secret_that_nobody_waits_for_is_stale() -> None:
    call = world().answered()
    call.give(SecretRequested("t7", "Key it in.", FOUR))
    assert call.of(DiscardSecret) == [DiscardSecret("t7")]
    call.give(SecretProgress("t7", 1))
    call.give(SecretEntered("t7", 4))
    assert call.counted.count("stale_secret") == 3
    assert isinstance(call.floor, Listening)
    call = until(wanting(), Collecting)
    call.give(SecretEntered("t7", 4))
    assert isinstance(call.floor, Collecting)


@pytest.mark.parametrize("keyed", [False, True])
def test_a_secret_is_asked_for_once_however_often_the_tool_wants_it(keyed: bool) -> None:
    call = until(wanting(keyed=lambda _secret: None), Collecting)
    if keyed:
        call.types("DBCA")
    call.give(SecretRequested("t1", PROMPT, FOUR))
    assert len(call.of(CollectSecret)) == 1
    assert call.of(DiscardSecret) == []
    assert "duplicate_secret" in call.counted


def test_keys_pressed_just_before_a_secret_is_asked_for_are_forgotten() -> None:
    call = world([Asks("verify")], tool=lambda _command: Wants(FOUR, after=1.0)).answered()
    call.asks().run_until(lambda world: bool(world._tools))
    call.types("12", pause=0.1)
    assert isinstance(call.floor, Typing)
    until(call, Collecting).types("DBCA").listens()
    assert call.asked == ["please"]
    assert call.taken == {"t1": "DBCA"}


def test_keys_kept_for_later_are_forgotten_when_a_secret_is_asked_for() -> None:
    call = world(
        [Asks("verify")], rules=settings(interruptible="never"), tool=lambda _command: Wants(FOUR, after=1.0)
    ).answered()
    call.asks().run_until(lambda world: bool(world._tools))
    call.types("12", pause=0.1)
    until(call, Collecting).types("DBCA").listens().run(5.0)
    assert call.asked == ["please"]


def test_a_digit_that_comes_to_the_conversation_all_the_same_enters_nothing() -> None:
    call = until(wanting(), Speaking)
    call.give(DigitPressed("7"))
    assert isinstance(call.floor, Speaking)
    until(call, Collecting)
    call.give(DigitPressed("7"))
    assert isinstance(call.floor, Collecting)
    assert call.counted.count("digit_out_of_turn") == 2


# ── its ends ──────────────────────────────────────────────────────────────────────


def collecting() -> World:
    return until(wanting(), Collecting).types("DB")


def test_a_hang_up_discards_the_secret() -> None:
    call = collecting()
    call.give(CallerHungUp())
    assert call.of(DiscardSecret) == [DiscardSecret("t1")]
    assert call.of(CancelTool) == []
    assert call.answers() == {"t1": NOT_ENTERED}
    over(call, "caller_hung_up")


@pytest.mark.parametrize("reason", ["shutdown", "operator"])
def test_a_call_that_is_to_end_collects_nothing(reason: Any) -> None:
    call = collecting()
    call.give(EndRequested(reason))
    assert isinstance(call.floor, Closing)
    over(call, reason)
    call = until(wanting([Says("Bye. ")]), Speaking).run(0.5)
    call.give(EndRequested(reason))
    assert call.referee.collecting is None
    over(call, reason)
    assert [speak.text for speak in call.of(Speak)].count(PROMPT) == 1


def test_a_secret_for_a_turn_that_is_the_last_is_not_asked_for() -> None:
    call = world([Asks("verify")], tool=lambda _command: Wants(FOUR, after=1.0)).answered()
    call.asks().run_until(lambda world: bool(world._tools))
    call.give(EndRequested("operator"))
    over(call, "operator")
    assert call.of(CollectSecret) == []
    assert call.answers() == {"t1": NOT_ENTERED}


def test_a_line_lost_in_the_middle_discards_the_secret_and_the_model_is_told() -> None:
    call = collecting().lose_line()
    assert call.of(DiscardSecret) == [DiscardSecret("t1")]
    call.run(1.0).dial().listens()
    assert call.answers() == {"t1": NOT_ENTERED}
    assert len(call.of(RequestReply)) == 2


def test_a_line_lost_in_the_prompt_does_not_go_on_with_it() -> None:
    call = until(wanting(), Speaking).run(0.5).lose_line().run(1.0).dial().listens()
    assert [speak.text for speak in call.of(Speak)].count(PROMPT) == 1
    assert not any("key-t1.4" in text for text in call.said)


def test_a_secret_asked_for_while_the_line_is_lost_is_collected_when_it_is_back() -> None:
    call = world([Asks("verify")], tool=lambda _command: Wants(FOUR, after=1.0)).answered()
    call.asks().run_until(lambda world: bool(world._tools))
    call.lose_line().run(2.0)
    assert isinstance(call.floor, Lost)
    call.give(SecretProgress("t1", 1))
    assert isinstance(call.floor, Lost)
    call.dial()
    until(call, Collecting).types("DBCA").listens()
    assert call.taken == {"t1": "DBCA"}


def test_a_secret_asked_for_after_the_end_is_discarded() -> None:
    call = world().answered()
    call.give(CallerHungUp())
    call.give(SecretRequested("t1", PROMPT, FOUR))
    assert call.of(DiscardSecret) == [DiscardSecret("t1")]


def test_a_process_that_takes_the_call_over_has_no_digits_and_asks_for_none() -> None:
    call = collecting()
    restored = Conversation.restore(call.rules, call.conversation.snapshot())
    commands = [command for fact in restored.orphaned() for command in restored.receive(fact, call.now)]
    assert DiscardSecret("t1") in commands
    assert isinstance(restored.floor, Lost)
    assert [entry.content for entry in restored.history if isinstance(entry, ToolAnswered)] == [NOT_ENTERED]
    assert restored.snapshot()["secret"] is None


def test_a_tool_that_answers_without_the_secret_ends_the_collecting() -> None:
    call = collecting()
    call.give(ToolReturned("t1", '"never mind"'))
    assert call.of(DiscardSecret) == [DiscardSecret("t1")]
    assert isinstance(call.floor, Thinking)
    call.listens()
    assert call.answers() == {"t1": '"never mind"'}


def test_an_effect_proposed_by_the_tool_that_waits_for_a_secret_is_refused() -> None:
    call = collecting()
    call.give(EffectProposed("t1", "p1", "I do it.", "{}"))
    assert call.of(WithdrawEffect) == [WithdrawEffect("p1")]
    assert call.referee.collecting is None
    assert isinstance(call.floor, Thinking)


def test_a_tool_that_a_barge_in_cancels_is_cancelled_while_it_waits() -> None:
    call = world(
        [Asks("verify")], rules=settings(cancellable=frozenset({"verify"})), tool=lambda _command: Wants(FOUR)
    ).answered()
    until(call.asks(), Collecting).asks("something else")
    assert call.of(CancelTool) == [CancelTool("t1")]
    assert call.of(DiscardSecret) == [DiscardSecret("t1")]


def test_a_model_that_says_nothing_more_is_asked_once_more_without_the_secret_being_lost() -> None:
    call = world([Asks("verify"), Stalls()], [Says("Fine. ")], tool=lambda _command: Wants(FOUR)).answered()
    until(call.asks(), Collecting)
    assert "reply_overdue" in call.counted
    call.types("DBCA").listens()
    assert call.taken == {"t1": "DBCA"}


# ── open entries ──────────────────────────────────────────────────────────────────


class Asking(WorldLanguage):
    """Every sentence of the agent asks for one thing."""

    def __init__(self, expectation: Expectation) -> None:
        self._expectation = expectation

    def expectation(self, said: str, /) -> Expectation:
        return self._expectation if said else ANYTHING


def asked_for(kind: str, pattern: str = "") -> World:
    return world(rules=settings(language=Asking(Expectation(kind, pattern)))).answered()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "pattern", "keys"),
    [
        ("zip", "", "94103"),
        ("phone", "", "4155550123"),
        ("phone", "", "14155550123"),
        ("identifier", r"W\d{7}", "1234567"),
    ],
)
def test_an_entry_of_a_known_length_is_over_at_once(kind: str, pattern: str, keys: str) -> None:
    call = asked_for(kind, pattern).types(keys, pause=0.0)
    assert isinstance(call.floor, Thinking)
    assert call.asked == [keys]


def test_more_is_waited_for_longer_than_an_end() -> None:
    call = asked_for("zip").types("941", pause=4.5)
    assert isinstance(call.floor, Typing)
    call.types("03", pause=0.0)
    assert call.asked == ["94103"]
    call = asked_for("anything").types("941", pause=0.0).run(call.rules.digit_patience + 0.1)
    assert call.asked == ["941"]


def test_the_rules_are_those_of_the_question_that_was_heard_when_the_first_key_was_pressed() -> None:
    call = asked_for("zip").types("9", pause=0.0)
    assert isinstance(call.floor, Typing)
    assert call.floor.rules.longest == 5


def test_a_question_under_way_counts_as_far_as_it_was_heard() -> None:
    class Zip(WorldLanguage):
        def expectation(self, said: str, /) -> Expectation:
            return Expectation("zip") if "r1.0.0" in said else ANYTHING

    call = world([Says(f"{words('r1.0', 20)}. ")], rules=settings(language=Zip())).answered()
    until(call.asks(), Speaking).run(2.0).types("94103", pause=0.0)
    assert call.asked == ["please", "94103"]


def test_an_entry_that_was_cleared_waits_no_longer_than_one_that_may_be_whole() -> None:
    call = asked_for("anything").types("12*", pause=0.0).run(settings().digit_patience + 0.1)
    assert not isinstance(call.floor, Typing)


@pytest.mark.parametrize("after", [0.5, TRAILING - 0.1])
def test_an_end_key_behind_an_entry_that_was_whole_already_interrupts_nobody(after: float) -> None:
    call = asked_for("zip").types("94103", pause=0.0).run(after)
    before = type(call.floor)
    call.types("#", pause=0.0)
    assert type(call.floor) is before
    assert "digit_behind_entry" in call.counted
    assert Count("digit_behind_entry") in call.commands
    call.listens()
    assert call.asked == ["94103"]


def test_an_end_key_long_after_an_entry_is_one_that_came_to_nothing() -> None:
    call = asked_for("zip").types("94103").listens().run(TRAILING)
    call.types("#").listens()
    assert call.phrases == ["missed"]
