"""Calls that once went wrong, played again from the log of their events (`logs/`, see `talkspurt.testing.event_log`).

Each log is the call as it goes since the fault was mended, in English; the test says what went wrong before, and fails
when the mending commit's change is taken back. A log holds what happened outside the core, so it stays what it is.
Where an event's fields change, mend the log by hand or record the call anew, by a `World` with an `EventLog` in `give`.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from talkspurt.agent.locales import ENGLISH
from talkspurt.core.commands import (
    CancelTool,
    Count,
    EndCall,
    ExecuteEffect,
    Phrase,
    RequestReply,
    RunTool,
    RunWithSecret,
    Speak,
    StopPlayback,
    WithdrawEffect,
)
from talkspurt.core.conversation import Conversation
from talkspurt.core.events import SpeechStopped
from talkspurt.core.history import AgentSaid, CallerSaid, ToolAnswered, ToolCalled
from talkspurt.core.settings import Settings
from talkspurt.core.states import Listening, Lost
from talkspurt.testing.event_log import Replay, read, replay

LOGS = Path(__file__).parent / "logs"
GREETING = "Thanks for calling. How can I help?"
SETTINGS = Settings(greeting=GREETING, language=ENGLISH.language)


def played(name: str) -> Replay:
    return replay(LOGS / f"{name}.jsonl", SETTINGS)


def asked(call: Replay) -> list[str]:
    """What history says of the caller."""
    return [entry.text for entry in call.conversation.history if isinstance(entry, CallerSaid)]


def said(call: Replay) -> list[str]:
    """What history says of the agent, behind its greeting."""
    words = [entry.text for entry in call.conversation.history if isinstance(entry, AgentSaid)]
    assert words[0].startswith(GREETING)
    return words[1:]


def phrases(call: Replay) -> list[str]:
    """The stock sentences that were ordered."""
    return [speak.text.name for speak in call.of(Speak) if isinstance(speak.text, Phrase)]


def counted(call: Replay) -> list[str]:
    return [count.name for count in call.of(Count)]


# ── whose voice ───────────────────────────────────────────────────────────────────


def test_a_caller_whose_voice_was_once_taken_for_somebody_elses_is_answered() -> None:
    """They never were again (ffebd2a)."""
    call = played("a_changed_caller_is_heard")
    assert asked(call) == ["where is my order please"]
    assert said(call) == ["It ships on Monday."]


def test_a_stranger_in_the_callers_pause_does_not_cost_the_caller_their_words() -> None:
    """The whole utterance was left alone as somebody else's, for its last voice was (eb8dfe3)."""
    assert asked(played("a_stranger_in_the_callers_pause")) == ["where is my order dinner"]


def test_a_stranger_who_is_known_late_does_not_keep_the_agent_silent() -> None:
    """The agent had lost the floor once the second step had passed, and waited for the stranger to end (ffebd2a)."""
    call = played("a_stranger_who_is_known_late")
    assert asked(call) == ["where is my order"]
    assert said(call)[0].endswith("by Thursday evening at the latest.")
    assert call.of(StopPlayback) == [StopPlayback(1)]


def test_a_late_start_of_a_past_talkspurt_does_not_make_the_agent_deaf() -> None:
    """It was waited for the end of a voice that had ceased, for as long as an utterance may last (8f8f544)."""
    call = played("a_late_start_of_a_past_talkspurt")
    assert phrases(call) == ["still_there"]


def test_words_said_while_typing_are_taken_up_when_the_entry_is_over() -> None:
    """They were nobody's, because the floor was the keys' (ffebd2a)."""
    assert asked(played("words_while_typing")) == ["12", "and another thing"]


def test_what_was_begun_for_the_caller_before_is_not_for_whoever_takes_the_phone() -> None:
    """Their address proved who the next one is, was said to them, and shown to the model (a86d644)."""
    call = played("what_was_begun_for_the_caller_before")
    assert [tool.name for tool in call.of(RunTool)] == ["find_parcel", "new_caller"]
    assert "Elm Street" not in str(call.of(Speak))
    assert "Elm Street" not in str(call.of(RequestReply)[-1].history)
    assert said(call)[1:] == ["Who is that?", "Hello Anna."]


# ── effects ───────────────────────────────────────────────────────────────────────


def test_a_yes_over_the_last_word_of_a_read_back_confirms_nothing() -> None:
    """What was heard of a sentence counted as all of it (8f8f544)."""
    call = played("a_yes_over_the_last_word_of_a_read_back")
    assert asked(call)[-1] == "yes do that"
    assert call.of(ExecuteEffect) == []
    assert call.of(WithdrawEffect) == [WithdrawEffect("p1")]


def test_a_proposal_that_comes_twice_is_one() -> None:
    """The second one withdrew the first, and the caller's yes did nothing (8f8f544)."""
    call = played("a_proposal_that_came_twice")
    assert call.of(WithdrawEffect) == []
    assert call.of(ExecuteEffect) == [ExecuteEffect("t1-confirmed", "p1", 2)]
    assert said(call)[-1] == "Your refund is on its way."


def test_an_effect_that_never_answers_is_in_doubt_and_not_cancelled() -> None:
    """The watchdog of tools cancelled it in the middle, and told the model that it had not answered (8f8f544)."""
    call = played("an_effect_that_never_answered")
    assert call.of(CancelTool) == []
    answers = {entry.tool_call: entry.content for entry in call.conversation.history if isinstance(entry, ToolAnswered)}
    assert "in_doubt" in answers["t1-confirmed"]


def test_a_goodbye_behind_a_read_back_waits_for_the_answer() -> None:
    """The agent read the change back and hung up on its own question (6d6cb07)."""
    call = played("a_goodbye_behind_a_read_back")
    assert call.of(EndCall) == []
    assert call.of(ExecuteEffect) == [ExecuteEffect("t1-confirmed", "p1", 2)]
    assert said(call)[-1] == "Your refund is on its way."


def test_a_secret_stands_behind_its_prompt_for_the_model() -> None:
    """The model read its own question after the result, and took it for unanswered (7722c77)."""
    call = played("a_secret_behind_its_prompt")
    assert call.of(RunWithSecret) == [RunWithSecret("t1")]
    kinds = [type(entry) for entry in call.of(RequestReply)[-1].history]
    assert kinds == [AgentSaid, CallerSaid, AgentSaid, ToolCalled, ToolAnswered]


# ── into the agent's speech ───────────────────────────────────────────────────────


def test_a_yes_to_the_goodbye_of_a_silent_line_is_answered() -> None:
    """The caller was hung up on (b92ce4c), then their "yes" was taken for an "mm-hm" to it (1b621fd)."""
    call = played("a_yes_to_the_goodbye_of_a_silent_line")
    assert phrases(call)[-1] == "goodbye_silence"
    assert asked(call) == ["when does it ship", "yes"]
    assert said(call)[-1] == "There you are."
    assert call.of(EndCall) == []


def test_a_last_word_that_was_coughed_into_is_said_again() -> None:
    """It counted as heard before half of it was (f880024)."""
    call = played("a_cough_into_the_last_word")
    assert call.of(Speak)[-1].text == "Wednesday."
    assert said(call) == ["It will be with you on Wednesday."]


def test_two_words_behind_the_last_mark_are_in_history() -> None:
    """What was played since the last mark was missing (2b9c3b5)."""
    assert said(played("two_words_behind_the_last_mark"))[0] == "All of it is in a"


def test_two_hums_one_after_the_other_do_not_take_the_turn() -> None:
    """The second one was taken for insisting (2f9edac)."""
    call = played("two_hums_one_after_the_other")
    assert asked(call) == ["where is my order"]
    assert counted(call).count("brief_words") == 2
    assert said(call)[0].endswith("and is with the carrier.")


def test_a_hum_that_was_heard_as_hello_does_not_take_the_turn() -> None:
    """It was a demand for it (e20cfc6)."""
    call = played("a_hum_that_was_heard_as_hello")
    assert asked(call) == ["where is my order"]
    assert said(call) == ["Your order has left our warehouse in Memphis on Monday."]


# ── the line, the synthesizer, the model, tools ───────────────────────────────────


def test_a_new_line_before_the_old_one_is_known_to_be_dead_takes_over() -> None:
    """It was counted as opened twice; then the old one closed, and the call ended as lost (8f8f544)."""
    call = played("a_new_line_before_the_old_one_is_dead")
    assert call.conversation.attachment == 2
    assert not isinstance(call.conversation.floor, Lost)
    assert said(call)[0].endswith("by Thursday evening at the latest.")
    assert call.of(EndCall) == []


def test_a_mark_that_repeats_itself_does_not_postpone_the_watchdog() -> None:
    """As long as it came, nothing was missing, and the caller could not be heard (8f8f544)."""
    call = played("a_mark_that_repeats_itself")
    assert counted(call)[0] == "marks_missing"
    assert set(counted(call)) == {"marks_missing", "stale_mark"}
    assert isinstance(call.conversation.floor, Listening)


def test_a_segment_that_never_begins_does_not_block_what_follows_it() -> None:
    """The session speaks one after the other, and waited for it for ever (8f8f544)."""
    # In the log nothing bridges the wait for it.
    call = replay(LOGS / "a_segment_that_never_began.jsonl", replace(SETTINGS, filler_after=99, longest_silence=99))
    assert call.of(StopPlayback) == [StopPlayback(1)]
    assert said(call) == ["It ships on Monday."]


def test_a_silent_model_behind_a_filler_is_asked_once_more() -> None:
    """The filler counted as its answer (8f8f544)."""
    # The log's fillers came when they came then.
    call = replay(
        LOGS / "a_silent_model_behind_a_filler.jsonl", replace(SETTINGS, filler_after=1.8, progress_after=1.8)
    )
    assert [request.reply for request in call.of(RequestReply)] == [1, 2]
    assert set(phrases(call)) == {"filler", "still_working"}
    assert said(call)[0].endswith("It ships on Monday.")


def test_a_late_answer_that_never_comes_is_given_up() -> None:
    """Nothing in the core bounded how long its caller waits (2790c40)."""
    call = played("a_late_answer_that_never_came")
    assert call.of(CancelTool) == [CancelTool("t1")]
    assert said(call)[-1].endswith("I did not find it.")


# ── when a turn is over ───────────────────────────────────────────────────────────


def test_a_line_that_crackles_does_not_hold_the_turn_for_ever() -> None:
    """Every moment that sounded like voice held it for a moment more (26e8515)."""
    call = played("a_line_that_crackles")
    assert said(call) == ["It ships on Monday."]


def test_half_a_number_that_was_misheard_as_a_whole_one_is_not_answered() -> None:
    """It was, for in noise the other half is noticed late (3cb0b80)."""
    call = played("half_a_number_that_was_misheard_as_a_whole_one")
    assert asked(call) == ["where is my order", "10012"]
    assert [speak.text for speak in call.of(Speak)][1:] == ["What is your zip code?", "It ships on Monday."]


def test_the_question_stays_in_mind_when_the_agent_did_not_hear_the_answer() -> None:
    """The "yes" was waited for as if "Could you say that again?" had been the question (de231cc)."""
    events = list(read(LOGS / "a_question_that_was_not_heard.jsonl"))
    stopped = max(event.at for _, event in events if isinstance(event, SpeechStopped))
    call = Replay(Conversation(SETTINGS)).receive(entry for entry in events if entry[0] <= stopped + 0.5)
    assert phrases(call) == ["missed"]
    assert asked(call) == ["these cups are broken", "yes"]


def test_a_hash_alone_is_answered() -> None:
    """The caller who had pressed it waited in silence (01f1678)."""
    assert phrases(played("a_hash_alone")) == ["missed"]


# ── the logs themselves ───────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", sorted(LOGS.glob("*.jsonl")), ids=lambda path: path.stem)
def test_every_log_is_played_and_in_order(path: Path) -> None:
    assert f'"{path.stem}' in Path(__file__).read_text(encoding="utf-8")
    times = [at for at, _ in read(path)]
    assert times == sorted(times)
