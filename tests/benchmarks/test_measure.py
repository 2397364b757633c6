"""What each figure of the turn-taking benchmark means, on fabricated calls whose truth is known to the sample."""

import json
import math
import wave
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

# Benchmarks are run from the repository and are not installed.
from benchmarks.turns import measure as measuring
from benchmarks.turns.align import HeardWord, Stretch, Templates, Text
from benchmarks.turns.artefacts import (
    CallArtefact,
    CallerEvent,
    Entity,
    LineEvent,
    OrderedReply,
    Pause,
    Span,
    StoredEntry,
    save,
)
from benchmarks.turns.measure import (
    Evidence,
    Measured,
    Turn,
    compare_history,
    entity_in,
    measure,
    measure_folder,
    read_taken,
    texts_of,
)

from talkspurt.core.states import Endpointing, Hearing, Listening, Thinking
from talkspurt.telemetry.journal import FileJournal

WORD = 0.25
"""Seconds of every word of a fabricated text."""
REPLY = "one two three four five six seven eight nine ten eleven twelve"
OTHER = "something else is what you hear now"
FILLER = "one moment please"
TEXTS = (Text(REPLY), Text(OTHER), Text(FILLER, always=True))


def voice(*spans: tuple[float, float], seconds: float = 12.0) -> np.ndarray[Any, np.dtype[np.int16]]:
    samples = np.zeros(round(seconds * 8_000), dtype=np.int16)
    for begin, end in spans:
        samples[round(begin * 8_000) : round(end * 8_000)] = 5_000
    return samples


def heard(text: int, begin: float, first: int, count: float, *, late: float = 0.0) -> Stretch:
    """`count` words from `first` on, the last one perhaps in part; `late` shifts where the text is entered."""
    whole = math.ceil(count)
    words = tuple(
        HeardWord(first + n, min(1.0, count - n), begin + n * WORD, begin + min(n + 1, count) * WORD)
        for n in range(whole)
    )
    entry = first * WORD + late
    return Stretch(text, begin, begin + count * WORD, words, first, 0.5, entry, entry + count * WORD)


def event(
    begin: float, end: float, row: Any = "ordinary", expects: Any = "answer", text: str = "some words", **more: Any
) -> CallerEvent:
    known: dict[str, Any] = {
        "id": f"call/{begin}", "row": row, "expects": expects, "text": text, "begin": begin, "end": end,
        "voiced": (Span(begin, end),), "pauses": (), "source": "flite:slt", "synthetic": False,
        "agent_speaking": False, "reply_began": None, "entity": None, "level_db": None, "far_field": False,
        "measured": True,
    }  # fmt: skip
    return CallerEvent(**{**known, **more})


def evidence(
    agent: np.ndarray[Any, np.dtype[np.int16]],
    events: Sequence[CallerEvent],
    stretches: Sequence[Stretch] = (),
    *,
    clears: Sequence[float] = (),
    history: Sequence[StoredEntry] = (),
    taken: tuple[float, ...] = (),
) -> Evidence:
    artefact = CallArtefact(
        scenario={"id": "call", "channel": {"noise": "babble", "snr_db": 15}},
        stamp="",
        call_sid="",
        seconds=len(agent) / 8_000,
        greeting="",
        events=tuple(events),
        ordered=(),
        history=tuple(history),
        line=tuple(LineEvent(at, "clear") for at in clears),
        ended_by="caller",
        end_reason="",
        worst_lateness=0.0,
    )
    begins = tuple(tuple(n * WORD for n in range(len(text.text.split()))) for text in TEXTS)
    return Evidence(artefact, agent, TEXTS, tuple(stretches), begins, taken)


def turn(found: Evidence) -> Turn:
    return measure(found).turns[0]


def said(text: str, at: float = 0.0, *, interrupted: bool = False) -> StoredEntry:
    return StoredEntry(0, "agent_said", {"text": text, "interrupted": interrupted}, at)


def caller_said(text: str, at: float) -> StoredEntry:
    return StoredEntry(0, "caller_said", {"text": text, "source": "voice"}, at)


# ── response ──────────────────────────────────────────────────────────────────────


def test_latency_runs_from_the_last_caller_sample_to_the_first_of_the_answer() -> None:
    found = turn(evidence(voice((2.6, 5.6)), [event(1.0, 2.0)], [heard(0, 2.6, 0, 12)]))
    assert found.latency == pytest.approx(0.6)
    assert found.cut_in is False


def test_a_filler_is_a_sound_and_no_answer() -> None:
    stretches = [heard(2, 2.3, 0, 3), heard(0, 3.5, 0, 12)]
    found = turn(evidence(voice((2.3, 3.05), (3.5, 6.5)), [event(1.0, 2.0)], stretches))
    assert found.audible_latency == pytest.approx(0.3)
    assert found.latency == pytest.approx(1.5)


def test_a_turn_without_an_answer_has_an_infinite_latency_also_when_the_next_turn_is_answered() -> None:
    found = evidence(voice((8.0, 11.0)), [event(1.0, 2.0), event(6.0, 7.0)], [heard(0, 8.0, 0, 12)])
    assert [one.latency for one in measure(found).turns] == [math.inf, pytest.approx(1.0)]
    assert [one.audible_latency for one in measure(found).turns] == [math.inf, pytest.approx(1.0)]


def test_stages_are_counted_from_the_last_caller_sample() -> None:
    found = evidence(voice((2.6, 5.6)), [event(1.0, 2.0)], [heard(0, 2.6, 0, 12)], taken=(0.9, 2.3, 5.0))
    found = replace(found, texts=(Text(REPLY, (0.5, 2.1)), *TEXTS[1:]))
    assert turn(found).endpoint_after == pytest.approx(0.3)
    assert turn(found).voice_after == pytest.approx(0.3)
    assert turn(found).asked_after == pytest.approx(0.1)


# ── cut-ins ───────────────────────────────────────────────────────────────────────


def test_an_agent_that_begins_in_the_callers_pause_cuts_in() -> None:
    paused = event(1.0, 3.0, pauses=(Pause(1.3, 2.2, "clause", one_utterance=True),))
    found = turn(evidence(voice((1.4, 1.9)), [paused], [heard(0, 1.4, 0, 2)]))
    assert found.cut_in is True
    assert found.cut_in_after == pytest.approx(0.4)
    assert found.longest_pause == pytest.approx(0.9)


def test_a_turn_that_was_cut_into_has_no_latency() -> None:
    found = turn(evidence(voice((1.4, 1.9), (3.2, 5.0)), [event(1.0, 3.0)], [heard(0, 1.4, 0, 2), heard(1, 3.2, 0, 7)]))
    assert found.latency is None


def test_an_agent_that_begins_right_after_the_last_sample_does_not_cut_in() -> None:
    assert turn(evidence(voice((3.0, 5.0)), [event(1.0, 3.0)], [heard(0, 3.0, 0, 8)])).cut_in is False


def test_an_agent_that_begins_just_before_the_last_sample_cuts_in() -> None:
    assert turn(evidence(voice((2.95, 5.0)), [event(1.0, 3.0)], [heard(0, 2.95, 0, 8)])).cut_in is True


def test_a_caller_who_begins_while_the_agent_speaks_is_not_cut_off_by_it() -> None:
    assert turn(evidence(voice((0.5, 1.5)), [event(1.0, 3.0)], [heard(0, 0.5, 0, 4)])).cut_in is None


# ── yielding ──────────────────────────────────────────────────────────────────────


def interruption(begin: float = 3.0, end: float = 4.0) -> CallerEvent:
    return event(begin, end, row="interruption", expects="stop", agent_speaking=True)


def test_yielding_takes_from_the_first_caller_sample_to_the_agents_last() -> None:
    found = turn(evidence(voice((2.0, 3.25)), [interruption()], [heard(0, 2.0, 0, 5)], clears=[3.2]))
    assert found.yielded_after == pytest.approx(0.25)
    assert found.talked_on is False


def test_a_short_silence_is_no_yielding() -> None:
    spans = voice((2.0, 3.1), (3.35, 3.6))
    found = turn(evidence(spans, [interruption()], [heard(0, 2.0, 0, 6)], clears=[3.55]))
    assert found.yielded_after == pytest.approx(0.6)


def test_silence_of_a_third_of_a_second_is_yielding_whatever_is_said_after_it() -> None:
    spans = voice((2.0, 3.2), (3.55, 4.6))
    found = turn(evidence(spans, [interruption()], [heard(0, 2.0, 0, 5), heard(1, 3.55, 0, 4)], clears=[3.2]))
    assert found.yielded_after == pytest.approx(0.2)


def test_an_agent_that_never_stops_is_measured_to_its_end() -> None:
    found = turn(evidence(voice((2.0, 5.0)), [interruption()], [heard(0, 2.0, 0, 12)]))
    assert found.yielded_after == pytest.approx(2.0)
    assert found.talked_on is True


def test_a_reply_that_ends_by_itself_is_no_yielding() -> None:
    found = turn(evidence(voice((0.2, 3.2)), [interruption()], [heard(0, 0.2, 0, 12)]))
    assert found.yielded_after is None


def test_an_agent_that_was_silent_has_nothing_to_yield() -> None:
    found = turn(evidence(voice((1.0, 2.0), (4.5, 6.0)), [interruption()], [heard(0, 1.0, 0, 4), heard(1, 4.5, 0, 6)]))
    assert found.yielded_after is None
    assert found.latency == pytest.approx(0.5)


# ── false interruptions ───────────────────────────────────────────────────────────


def sound(row: Any = "backchannel", begin: float = 3.0, end: float = 3.4, text: str = "mm-hm") -> CallerEvent:
    return event(begin, end, row=row, expects="go_on", text=text, agent_speaking=True)


def stopped(first: int, *, late: float = 0.0) -> Evidence:
    """Five and a half words from 1.85 to 3.225, then from 3.9 on the text from word `first`."""
    return evidence(
        voice((1.85, 3.225), (3.9, 3.9 + (12 - first) * WORD)),
        [sound()],
        [heard(0, 1.85, 0, 5.5), heard(0, 3.9, first, 12 - first, late=late)],
        clears=[3.22],
    )


def test_the_time_to_resume_runs_from_the_end_of_the_sound_and_the_silence_from_the_stop() -> None:
    found = turn(stopped(5))
    assert found.stops == 1
    assert found.gone is False
    assert found.resumed_after == pytest.approx(0.5)
    assert found.silent_for == pytest.approx(0.67, abs=0.02)
    assert found.ignored is True


@pytest.mark.parametrize(("first", "right"), [(5, True), (4, True), (3, False), (6, True), (7, False), (0, False)])
def test_the_right_word_is_the_one_that_was_cut_or_a_neighbour_that_leaves_nothing_out(first: int, right: bool) -> None:
    # Half of word five was heard, which counts as heard: going on with word six leaves nothing out.
    assert turn(stopped(first)).right_word is right


def test_an_agent_that_says_something_else_has_stopped_for_good() -> None:
    stretches = [heard(0, 1.85, 0, 5.5), heard(1, 4.4, 0, 7)]
    found = turn(evidence(voice((1.85, 3.225), (4.4, 6.1)), [sound()], stretches, clears=[3.22]))
    assert found.gone is True
    assert found.ignored is False
    assert found.resumed_after is None


def test_an_agent_that_falls_silent_has_stopped_for_good() -> None:
    assert turn(evidence(voice((1.85, 3.225)), [sound()], [heard(0, 1.85, 0, 5.5)], clears=[3.22])).gone is True


def test_a_filler_between_stop_and_resumption_does_not_resume() -> None:
    stretches = [heard(0, 1.85, 0, 5.5), heard(2, 3.5, 0, 3), heard(0, 4.9, 5, 7)]
    found = turn(evidence(voice((1.85, 3.225), (3.5, 4.25), (4.9, 6.65)), [sound()], stretches, clears=[3.22]))
    assert found.resumed_after == pytest.approx(1.5)


def test_a_pause_between_sentences_is_no_stop_and_a_longer_silence_is_one() -> None:
    for silence, stops in ((0.5, 0), (1.0, 1)):
        again = 3.1 + silence
        stretches = [heard(0, 1.85, 0, 5), heard(0, again, 5, 7)]
        found = turn(evidence(voice((1.85, 3.1), (again, again + 1.75)), [sound()], stretches))
        assert found.stops == stops


def test_a_clear_after_the_last_word_stops_nothing() -> None:
    assert turn(evidence(voice((0.2, 3.2)), [sound()], [heard(0, 0.2, 0, 12)], clears=[3.4])).stops == 0


def test_a_last_word_that_the_alignment_draws_out_into_the_silence_was_said() -> None:
    # Its end lies 0.12 s behind the last audible moment.
    found = turn(evidence(voice((0.5, 3.38)), [sound()], [heard(0, 0.5, 0, 12)]))
    assert found.stops == 0


def test_a_text_whose_last_word_is_not_found_was_stopped_only_if_somebody_ordered_it() -> None:
    # The alignment is exact to within one word.
    early = evidence(voice((0.5, 3.27)), [sound()], [heard(0, 0.5, 0, 11.1)])
    assert turn(early).stops == 0
    ordered = evidence(voice((0.5, 3.27)), [sound()], [heard(0, 0.5, 0, 11.1)], clears=[3.26])
    assert turn(ordered).stops == 1
    earlier = evidence(voice((0.5, 3.02)), [sound()], [heard(0, 0.5, 0, 10.1)])
    assert turn(earlier).stops == 1


def test_a_silence_before_a_last_word_that_comes_after_it_is_a_stop() -> None:
    # In a stretch of its own, and in the same one.
    two = [heard(0, 0.5, 0, 11), heard(0, 4.5, 11, 1)]
    assert turn(evidence(voice((0.5, 3.25), (4.5, 4.75)), [sound()], two)).stops == 1
    first, last = two
    one = replace(first, words=(*first.words, *last.words), end=last.end, exit=last.exit)
    assert turn(evidence(voice((0.5, 3.25), (4.5, 4.75)), [sound()], [one])).stops == 1


def test_a_silence_in_the_middle_is_a_stop_though_only_the_last_word_is_lacking_in_the_end() -> None:
    before, behind = heard(0, 0.5, 0, 10), heard(0, 4.5, 10, 1)
    one = replace(before, words=(*before.words, *behind.words), end=behind.end, exit=behind.exit)
    assert turn(evidence(voice((0.5, 3.0), (4.5, 4.75)), [sound()], [one])).stops == 1


def test_a_stop_long_after_a_sound_is_not_put_down_to_it() -> None:
    found = evidence(voice((2.5, 5.25)), [sound()], [heard(0, 2.5, 0, 11)], clears=[5.24])
    assert turn(found).stops == 0


# ── side talk and echo ────────────────────────────────────────────────────────────


def beside(expects: Any) -> CallerEvent:
    return event(3.0, 4.0, row="side_talk", expects=expects, text="did you feed the cat today")


def test_side_talk_while_listening_is_ignored_when_nothing_answers_it() -> None:
    assert turn(evidence(voice((0.5, 2.0)), [beside("stay_silent")])).ignored is True


def test_side_talk_that_is_answered_is_not_ignored() -> None:
    assert turn(evidence(voice((5.0, 6.0)), [beside("stay_silent")], [heard(1, 5.0, 0, 4)])).ignored is False


def test_side_talk_that_becomes_a_turn_is_not_ignored() -> None:
    history = [caller_said("Did you feed the cat today?", 4.9)]
    found = evidence(voice((0.5, 8.0)), [beside("go_on")], [heard(0, 0.5, 0, 12)], history=history)
    assert turn(found).taken_as_turn is True
    assert turn(found).ignored is False


def test_side_talk_that_gets_into_the_next_turn_is_not_ignored() -> None:
    history = [caller_said("Did you feed the cat today? Where is my parcel?", 8.4)]
    following = event(6.0, 7.5, text="Where is my parcel?")
    found = measure(evidence(voice((8.5, 9.5)), [beside("stay_silent"), following], history=history))
    assert found.turns[0].ignored is False


def test_the_next_turn_is_not_mistaken_for_side_talk() -> None:
    history = [caller_said("Where is my parcel?", 8.4)]
    following = event(6.0, 7.5, text="Where is my parcel?")
    found = measure(evidence(voice((8.5, 9.5)), [beside("stay_silent"), following], history=history))
    assert found.turns[0].ignored is True


def test_every_stop_during_an_echo_counts() -> None:
    echo = event(1.0, 6.0, row="echo", expects="go_on", text="", level_db=-25.0)
    stretches = [heard(0, 1.0, 0, 3), heard(0, 2.5, 3, 3), heard(0, 4.0, 6, 6)]
    found = turn(evidence(voice((1.0, 1.75), (2.5, 3.25), (4.0, 5.5)), [echo], stretches, clears=[1.75, 3.25]))
    assert found.stops == 2


# ── entities ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("order_id", "W8089188", "It's W eight zero eight nine one eight eight."),
        ("email", "jane.hill@office.com", "That's Jane dot Hill at office dot com."),
        ("phone", "3175099460", "317-509-9460"),
        ("zip", "36108", "It's 3-6-1-0-8"),
        ("amount", "26.99", "twenty six dollars and ninety nine cents"),
        ("amount", "26.99", "$26.99"),
    ],
)
def test_an_entity_is_right_however_it_is_written(kind: str, value: str, text: str) -> None:
    assert entity_in(text, Entity(kind, value))
    assert not entity_in(text.replace("8", "7").replace("office", "orifice").replace("9", "4").replace("nine", "six"),
                         Entity(kind, value))  # fmt: skip


def test_an_entity_in_two_stored_turns_is_put_together_up_to_the_next_event() -> None:
    given = event(1.0, 3.0, row="entity", entity=Entity("zip", "36108"))
    history = [caller_said("three six", 2.0), caller_said("one zero eight", 3.5), caller_said("one", 9.0)]
    found = measure(evidence(voice((4.0, 5.0)), [given, event(8.0, 8.5)], history=history)).turns[0]
    assert found.recognised == "three six one zero eight"
    assert found.entity_right is True


# ── heard truth ───────────────────────────────────────────────────────────────────


def errors(stretches: Sequence[Stretch], *history: StoredEntry) -> list[int]:
    return [one.errors for one in compare_history(evidence(voice(), [], stretches, history=history))]


def test_history_that_says_what_was_heard_has_no_errors() -> None:
    assert errors([heard(0, 1.0, 0, 5)], said("One two, three four five", interrupted=True)) == [0]


@pytest.mark.parametrize(("stored", "wrong"), [(4, 1), (6, 1), (7, 2), (12, 7), (2, 3)])
def test_every_word_too_many_or_too_few_is_an_error(stored: int, wrong: int) -> None:
    assert errors([heard(0, 1.0, 0, 5)], said(" ".join(REPLY.split()[:stored]), interrupted=True)) == [wrong]


def test_half_a_word_is_heard_and_less_is_not() -> None:
    assert errors([heard(0, 1.0, 0, 4.6)], said("one two three four five")) == [0]
    assert errors([heard(0, 1.0, 0, 4.4)], said("one two three four")) == [0]


def test_a_resumed_reply_is_heard_once() -> None:
    assert errors([heard(0, 1.0, 0, 5.5), heard(0, 4.0, 5, 7)], said(REPLY)) == [0]


def test_words_skipped_at_the_resumption_were_not_heard() -> None:
    assert errors([heard(0, 1.0, 0, 5), heard(0, 4.0, 8, 4)], said(REPLY)) == [3]


def test_sentences_stored_one_by_one_are_judged_one_by_one() -> None:
    stored = [said("one two three four"), said("five six seven eight nine ten", interrupted=True)]
    assert errors([heard(0, 1.0, 0, 6)], *stored) == [0, 4]


def test_a_sentence_that_nobody_heard_is_wrong_in_every_word() -> None:
    assert errors([heard(0, 1.0, 0, 12)], said(REPLY), said(OTHER)) == [0, 7]


def test_a_reply_that_was_heard_and_not_stored_is_wrong() -> None:
    assert errors([heard(0, 1.0, 0, 12), heard(1, 6.0, 0, 7)], said(REPLY)) == [0, 7]


def test_the_same_text_said_twice_is_heard_twice() -> None:
    assert errors([heard(1, 1.0, 0, 7), heard(1, 6.0, 0, 7)], said(OTHER), said(OTHER)) == [0, 0]
    assert errors([heard(1, 1.0, 0, 7), heard(1, 6.0, 0, 7)], said(OTHER)) == [0, 7]


# ── on disk ───────────────────────────────────────────────────────────────────────


def test_what_a_scenario_did_not_get_to_do_is_not_counted() -> None:
    found = measure(evidence(voice((2.6, 5.6)), [event(1.0, 2.0, measured=False)]))
    assert found.turns == ()
    assert found.not_measured == 1


def test_a_sound_over_what_is_no_reply_is_not_counted() -> None:
    still_there = evidence(voice((2.0, 5.0)), [sound()], [heard(2, 2.0, 0, 3)])
    assert measure(still_there).turns == ()
    assert measure(still_there).not_measured == 1
    echo = replace(still_there.artefact, events=(sound("echo"),))
    assert len(measure(replace(still_there, artefact=echo)).turns) == 1


@pytest.mark.parametrize(("end", "counted"), [(9.4, 1), (9.6, 0)])
def test_what_comes_just_before_the_agent_hangs_up_cannot_go_wrong_and_is_not_counted(end: float, counted: int) -> None:
    found = evidence(voice((2.0, 5.0)), [sound(begin=end - 0.4, end=end)], [heard(0, 2.0, 0, 12)])
    farewell = said(found.artefact.locale.phrases["goodbye_silence"])
    hung_up = replace(found.artefact, complete=False, ended_by="agent", history=(farewell,))
    assert measure(replace(found, artefact=hung_up)).hung_up
    assert len(measure(replace(found, artefact=hung_up)).turns) == counted
    assert len(measure(found).turns) == 1


def test_everything_ordered_and_every_phrase_may_have_been_said_and_repeated_orders_are_one_text() -> None:
    ordered = (OrderedReply(2.0, OTHER, given=False), OrderedReply(1.0, REPLY, given=True),
               OrderedReply(3.0, OTHER, given=True))  # fmt: skip
    artefact = replace(evidence(voice(), []).artefact, greeting="Hello.", ordered=ordered)
    texts = texts_of(artefact)
    assert texts[:3] == (Text("Hello.", (0.0,)), Text(REPLY, (1.0,)), Text(OTHER, (2.0, 3.0)))
    assert all(text.always for text in texts[3:])


def test_a_call_is_listened_to_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = evidence(voice((2.6, 5.6)), [event(1.0, 2.0)])
    save(found.artefact, tmp_path)
    with wave.open(str(tmp_path / "call.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8_000)
        file.writeframes(np.column_stack((voice(), found.agent)).astype("<i2").tobytes())
    listened: list[int] = []

    def listen(*_: object) -> list[Stretch]:
        listened.append(1)
        return []

    monkeypatch.setattr(measuring, "align", listen)
    first = measure_folder(tmp_path, Templates())
    assert measure_folder(tmp_path, Templates()) == first
    assert len(listened) == 1
    assert first.turns[0].audible_latency == pytest.approx(0.6)
    assert first.turns[0].latency == math.inf
    changed = json.loads((tmp_path / "call.json").read_text())
    (tmp_path / "call.json").write_text(json.dumps({**changed, "stamp": "another call"}))
    measure_folder(tmp_path, Templates())
    assert len(listened) == 2


def test_when_a_turn_was_taken_is_read_from_a_journal_as_the_server_writes_it(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "journal.jsonl")
    heard, over, ours = Hearing(1, 1.0, 1), Endpointing(1, 1.0, 1.8, 1.0), Thinking(2.3)
    for at, before, after in (
        (0.9, Listening(0.0), Thinking(0.9)), (0.9, Thinking(0.9), Listening(0.95)), (1.0, Listening(0.95), heard),
        (2.0, heard, over), (2.3, over, ours), (2.4, ours, replace(ours, filled=True)),
    ):  # fmt: skip
        journal.took(at, None, before, after, ())
    journal.close()
    assert read_taken(tmp_path) == (2.3,)


def test_what_was_measured_survives_json(tmp_path: Path) -> None:
    found: Measured = measure(stopped(5))
    restored = json.loads(json.dumps(asdict(found)))
    assert tuple(Turn(**one) for one in restored["turns"]) == found.turns
