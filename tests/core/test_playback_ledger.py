"""The playback ledger: what was sent, what was heard, what is proven."""

import json
import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from talkspurt.core.commands import Phrase, Source
from talkspurt.core.playback import LEAD, MARKS_APART, SILENCE_BEHIND, SPEAKING_RATE, Playback, Segment
from talkspurt.core.snapshot import Decoder, encode
from talkspurt.core.spoken_form import SpokenForm, as_written
from talkspurt.core.turn import Line

TEN = "aaa bbb ccc ddd eee fff ggg hhh iii jjj"
"""Ten words of equal length, so that a tenth of the time is a word."""


def ledger(*texts: str, length: float = 10.0, tag: str = "") -> Playback:
    """A ledger with segments laid one behind the other, each `length` seconds long."""
    playback = Playback()
    for number, text in enumerate(texts, start=1):
        playback.order(number, text, 0.0, tag=tag)
        playback.started(number, 0, (number - 1) * length, text, 0.0)
        playback.finished(number, 0, number * length, 0.0)
    return playback


def heard(playback: Playback) -> list[str]:
    return [segment.text for segment in playback.segments.values() if segment.settled]


def test_a_segment_is_heard_when_the_mark_of_its_end_comes() -> None:
    playback = ledger("one two", "three four")
    assert playback.reached(0, 9.99, 1.0)
    assert heard(playback) == []
    assert playback.reached(0, 10.0, 1.0)
    assert heard(playback) == ["one two"]
    assert playback.segments[1].proven
    assert playback.reached(0, 20.0, 1.0)
    assert playback.silent
    assert heard(playback) == ["one two", "three four"]


def test_a_mark_that_came_before_the_end_was_known_counts() -> None:
    playback = Playback()
    playback.order(1, "one", 0.0)
    playback.started(1, 0, 0.0, "one", 0.0)
    playback.reached(0, 1.0, 1.0)
    assert not playback.silent
    assert playback.finished(1, 0, 1.0, 1.0)
    assert playback.silent
    assert playback.segments[1].proven


@pytest.mark.parametrize(
    ("position", "words"),
    [(0.0, 0), (0.49, 0), (0.51, 1), (1.49, 1), (1.51, 2), (5.0, 5), (9.4, 9), (9.6, 10)],
)
def test_a_word_is_heard_once_its_middle_was_played(position: float, words: int) -> None:
    playback = ledger(TEN)
    playback.reached(0, position, 1.0)
    rest = playback.stop()
    assert heard(playback) == [" ".join(TEN.split()[:words])]
    source = None if words else Source(1, 0, 0.0)
    assert rest == ((Line(" ".join(TEN.split()[words:]), "", source),) if words < 10 else ())
    assert not playback.segments[1].proven


@pytest.mark.parametrize(
    ("later", "words"),
    [(None, 3), (-1.0, 3), (0.0, 3), (0.02, 3), (0.04, 4), (0.12, 4), (0.14, 5), (MARKS_APART, 5), (5.0, 5)],
)
def test_what_was_played_since_the_last_mark_is_reckoned_at_most_to_the_next_one(
    later: float | None, words: int
) -> None:
    playback = ledger(TEN, length=1.0)
    playback.reached(0, 0.32, 7.0, ahead=0.24)
    rest = playback.stop(None if later is None else 7.0 + later)
    assert heard(playback) == [" ".join(TEN.split()[:words])]
    assert rest == (Line(" ".join(TEN.split()[words:])),)


def test_before_the_first_mark_of_an_epoch_nothing_is_reckoned() -> None:
    playback = ledger(TEN, length=1.0)
    assert playback.stop(7.0) == (Line(TEN, "", Source(1, 0, 0.0)),)
    playback.order(2, TEN, 7.0)
    playback.started(2, 1, 0.0, TEN, 7.0)
    playback.finished(2, 1, 1.0, 7.0)
    playback.reached(1, 0.32, 8.0, ahead=0.68)
    assert len(playback.stop(8.1)) == 1
    playback.order(3, TEN, 9.0)
    playback.started(3, 2, 0.0, TEN, 9.0)
    assert playback.stop(9.1) == (Line(TEN, "", Source(3, 0, 0.0)),)


@pytest.mark.parametrize(("ahead", "words"), [(0.0, 3), (0.02, 3), (0.04, 4), (0.14, 5), (9.0, 5)])
def test_no_further_is_reckoned_than_audio_was_sent(ahead: float, words: int) -> None:
    playback = Playback()
    playback.order(1, TEN, 0.0)
    playback.started(1, 0, 0.0, TEN, 0.0)
    playback.placed(1, 0, tuple(n / 10 for n in range(10)))
    playback.reached(0, 0.32, 7.0, ahead=ahead)
    assert len(playback.stop(9.0)) == 1
    assert heard(playback) == [" ".join(TEN.split()[:words])]


def test_behind_a_silence_nothing_is_reckoned_before_the_next_mark() -> None:
    playback = ledger(TEN, length=1.0)
    playback.reached(0, 1.0, 1.0, ahead=0.0)
    playback.order(2, TEN, 5.0)
    playback.started(2, 0, 1.0, TEN, 9.0)
    playback.finished(2, 0, 2.0, 9.0)
    assert len(playback.stop(9.1)) == 1
    assert heard(playback) == [TEN, ""]


def test_on_a_line_that_was_given_up_nothing_is_reckoned() -> None:
    playback = ledger(TEN, length=1.0)
    playback.reached(0, 0.32, 1.0, ahead=0.68)
    assert playback.give_up()
    playback.order(2, TEN, 5.0)
    playback.started(2, 0, 1.0, TEN, 9.0)
    assert len(playback.stop(9.1)) == 1
    assert heard(playback) == [TEN, ""]


def test_what_is_reckoned_proves_nothing() -> None:
    playback = ledger(TEN, length=1.0, tag="p1")
    playback.reached(0, 0.92, 1.0, ahead=0.08)
    assert playback.stop(1.1) == (Line(TEN, "p1", Source(1, 0, 0.0)),)
    assert not playback.was_proven("p1")
    untagged = ledger(TEN, length=1.0)
    untagged.reached(0, 0.92, 1.0, ahead=0.08)
    assert untagged.stop(1.1) == ()
    assert heard(untagged) == [TEN]
    assert not untagged.segments[1].proven


def test_words_are_laid_over_the_guessed_duration_while_the_end_is_unknown() -> None:
    playback = Playback()
    playback.order(1, TEN, 0.0)
    playback.started(1, 0, 5.0, TEN, 0.0)
    playback.reached(0, 5.0 + len(TEN) / SPEAKING_RATE / 2, 1.0)
    playback.stop()
    assert heard(playback) == ["aaa bbb ccc ddd eee"]


@pytest.mark.parametrize("position", [9.0, 10.0])
def test_cut_before_its_start_nothing_was_heard(position: float) -> None:
    playback = ledger(TEN, "next one")
    playback.reached(0, position, 1.0)
    rest = playback.stop()
    assert rest[-1] == Line("next one", "", Source(2, 0, 0.0))
    assert playback.segments[2].text == ""


def test_stop_hands_everything_unheard_back_in_order() -> None:
    playback = ledger(TEN, "next one")
    playback.order(3, "not begun", 0.0)
    playback.order(4, Phrase("apology"), 0.0)
    playback.reached(0, 9.0, 1.0)
    assert playback.stop() == (
        Line("jjj", ""),
        Line("next one", "", Source(2, 0, 0.0)),
        Line("not begun", ""),
        Line(Phrase("apology"), "", stock=True),
    )
    assert playback.silent
    assert (playback.epoch, playback.heard) == (1, 0.0)
    assert heard(playback) == ["aaa bbb ccc ddd eee fff ggg hhh iii", "", "", ""]


def test_a_phrase_has_the_words_it_began_with() -> None:
    playback = Playback()
    playback.order(1, Phrase("filler"), 0.0)
    playback.started(1, 0, 0.0, TEN, 0.0)
    playback.finished(1, 0, 10.0, 0.0)
    playback.reached(0, 5.0, 1.0)
    assert playback.stop() == (Line("fff ggg hhh iii jjj", "", stock=True),)


def test_the_rest_is_a_segment_of_the_next_epoch() -> None:
    playback = ledger(TEN)
    playback.reached(0, 5.0, 1.0)
    (rest,) = playback.stop()
    playback.order(2, rest.text, 2.0)
    assert playback.started(2, 1, 0.0, str(rest.text), 2.0)
    assert playback.finished(2, 1, 5.0, 2.0)
    assert playback.reached(1, 5.0, 7.0)
    assert " ".join(heard(playback)) == TEN


@pytest.mark.parametrize("position", [5.0, 15.0])
def test_marks_of_a_dead_epoch_prove_nothing(position: float) -> None:
    playback = ledger(TEN)
    playback.stop()
    playback.order(2, "again", 1.0)
    playback.started(2, 1, 0.0, "again", 1.0)
    playback.finished(2, 1, 1.0, 1.0)
    assert not playback.reached(0, position, 2.0)
    assert not playback.reached(2, position, 2.0)
    assert not playback.silent


def test_a_mark_that_goes_back_proves_nothing_and_one_that_repeats_is_no_progress() -> None:
    playback = ledger(TEN)
    playback.reached(0, 5.0, 1.0)
    assert not playback.reached(0, 4.0, 2.0)
    assert playback.reached(0, 5.0, 3.0)
    assert (playback.heard, playback.progress_at) == (5.0, 1.0)


def test_news_of_dead_or_unknown_segments_is_refused() -> None:
    playback = ledger("one")
    playback.order(2, "two", 0.0)
    assert not playback.started(1, 0, 3.0, "other", 1.0), "it began already"
    assert not playback.finished(1, 0, 3.0, 1.0), "it ended already"
    assert not playback.finished(2, 0, 3.0, 1.0), "it did not begin"
    assert not playback.started(2, 1, 3.0, "two", 1.0), "another epoch"
    assert not playback.started(9, 0, 3.0, "two", 1.0)
    assert not playback.failed(9)
    playback.stop()
    assert not playback.started(2, 0, 3.0, "two", 1.0)
    assert not playback.started(2, 1, 3.0, "two", 1.0)
    assert not playback.failed(2)


def test_an_end_before_the_start_is_a_segment_without_length() -> None:
    playback = Playback()
    playback.order(1, "one", 0.0)
    playback.started(1, 0, 3.0, "one", 0.0)
    playback.finished(1, 0, 1.0, 0.0)
    assert playback.segments[1].end == 3.0


def test_of_a_segment_that_failed_what_was_heard_stays_and_nothing_is_proven() -> None:
    playback = Playback()
    playback.order(1, TEN, 0.0, tag="p")
    playback.started(1, 0, 0.0, TEN, 0.0)
    playback.reached(0, 99.0, 1.0)
    assert playback.failed(1)
    assert heard(playback) == [TEN]
    assert not playback.was_proven("p")


def test_giving_up_keeps_the_words_that_were_sent_and_proves_nothing() -> None:
    playback = ledger(TEN, tag="p")
    assert playback.give_up()
    assert heard(playback) == [TEN]
    assert not playback.was_proven("p")


def test_giving_up_keeps_only_heard_words_of_what_never_ended_and_leaves_what_never_began() -> None:
    playback = Playback()
    for number in (1, 2):
        playback.order(number, TEN, 0.0)
    playback.started(1, 0, 0.0, TEN, 0.0)
    playback.reached(0, len(TEN) / SPEAKING_RATE / 2, 1.0)
    assert not playback.give_up()
    assert heard(playback) == ["aaa bbb ccc ddd eee"]
    assert playback.unstarted == playback.segments[2]


def test_a_tagged_segment_is_unheard_unless_all_of_it_was_played() -> None:
    playback = ledger(TEN, tag="p")
    playback.reached(0, 9.9, 1.0)
    assert playback.stop() == (Line(TEN, "p", Source(1, 0, 0.0)),)
    assert not playback.was_proven("p")
    playback.order(2, TEN, 0.0, tag="p")
    assert not playback.was_proven("p")
    playback.started(2, 1, 0.0, TEN, 0.0)
    playback.finished(2, 1, 1.0, 0.0)
    playback.reached(1, 1.0, 1.0)
    assert playback.was_proven("p")


def test_proof_needs_every_segment_of_the_tag() -> None:
    playback = ledger("one", "two", tag="p")
    assert not playback.was_proven("q")
    assert playback.knows("p")
    assert not playback.knows("q")
    playback.reached(0, 10.0, 1.0)
    assert not playback.was_proven("p")
    playback.reached(0, 20.0, 1.0)
    assert playback.was_proven("p")
    assert playback.last_tag(2.0) == "p"
    playback.order(3, Phrase("filler"), 3.0, ahead=True)
    assert playback.last_tag(2.0) == "p"
    assert playback.last_tag(3.0) == "p"
    assert playback.last_tag(3.1) == ""
    playback.order(4, "four", 3.0)
    assert playback.last_tag(2.0) == ""


def test_the_last_words_heard_of_a_turn_are_interrupted_and_no_others() -> None:
    playback = ledger("before", TEN, "after")
    playback.reached(0, 15.0, 1.0)
    playback.stop()
    playback.interrupt_last(1)
    assert [segment.interrupted for segment in playback.segments.values()] == [False, True, False]
    playback.interrupt_last(3)
    assert playback.last_heard(1) == 2
    assert playback.last_heard(2) is None
    assert [segment.interrupted for segment in playback.segments.values()] == [False, True, False]


def test_what_bridged_a_wait_is_no_last_word_and_nobody_misses_its_rest() -> None:
    playback = ledger("before")
    playback.reached(0, 10.0, 1.0)
    for segment, heard in ((2, 1.0), (3, 0.0)):
        playback.order(segment, Phrase("filler"), 1.0, ahead=True)
        playback.started(segment, playback.epoch, 0.0, "one moment", 1.0)
        playback.finished(segment, playback.epoch, 1.0, 1.0)
        playback.reached(playback.epoch, heard, 2.0)
        assert playback.stop() == ()
    assert playback.segments[2].text == "one moment"
    assert playback.last_heard(0) == 1


def test_what_is_unheard_is_the_rest_of_what_lies_on_the_line() -> None:
    playback = Playback()
    assert playback.unheard == 0.0
    assert playback.last_tag(0.0) == ""
    playback.order(1, "one", 2.0)
    assert (playback.unheard, playback.progress_at) == (0.0, 2.0)
    playback.started(1, 0, 0.0, "one", 3.0)
    assert playback.unheard == pytest.approx(3 / SPEAKING_RATE)
    playback.finished(1, 0, 10.0, 4.0)
    assert (playback.unheard, playback.progress_at) == (10.0, 4.0)
    playback.order(2, "two", 5.0)
    assert playback.progress_at == 4.0, "it only waits its turn"
    playback.reached(0, 4.0, 6.0)
    assert (playback.unheard, playback.progress_at) == (6.0, 6.0)
    playback.started(2, 0, 10.0, "two", 7.0)
    playback.finished(2, 0, 12.5, 7.0)
    assert playback.unheard == 8.5


def test_not_all_was_sent_when_the_last_one_begun_never_came_to_its_end() -> None:
    playback = ledger("one two")
    playback.order(2, "three four", 0.0)
    playback.started(2, 0, 10.0, "three four", 0.0)
    assert not playback.give_up()


# ── word times ────────────────────────────────────────────────────────────────────

UNEVEN = (0.0, 0.5, 2.5, 3.0, 4.0, 4.1, 6.0, 7.0, 8.0, 8.2)
"""Where the words of `TEN` really begin in ten seconds of speech."""


def placed(text: str = TEN, starts: tuple[float, ...] = UNEVEN, *, tag: str = "") -> Playback:
    playback = ledger("before", text, length=10.0, tag=tag)
    assert playback.placed(2, 0, starts)
    return playback


@pytest.mark.parametrize(
    ("position", "words"),
    [(0.24, 0), (0.26, 1), (1.49, 1), (1.51, 2), (4.04, 4), (4.06, 5), (9.0, 9), (9.02, 9), (9.04, 10)],
)
def test_a_placed_word_is_heard_once_its_middle_was_played(position: float, words: int) -> None:
    playback = placed()
    playback.reached(0, 10.0 + position, 1.0)
    playback.stop()
    assert heard(playback) == ["before", " ".join(TEN.split()[:words])]


def test_the_pause_behind_a_mark_is_no_part_of_the_word() -> None:
    playback = placed("one, two (three.) four", (0.0, 1.0, 2.0, 3.0))
    playback.reached(0, 10.24, 1.0)
    assert playback.stop()[0].text == "one, two (three.) four"
    for position, rest in ((10.26, "two (three.) four"), (11.4, "two (three.) four"), (12.26, "four")):
        playback = placed("one, two (three.) four", (0.0, 1.0, 2.0, 3.0))
        playback.reached(0, position, 1.0)
        assert playback.stop()[0].text == rest


def cut_at(position: float, text: str, starts: tuple[float, ...], end: float | None) -> tuple[str, ...]:
    """What is left of a text that ends then and is cut there."""
    playback = Playback()
    playback.order(1, text, 0.0)
    playback.started(1, 0, 0.0, text, 0.0)
    playback.placed(1, 0, starts)
    if end is not None:
        playback.finished(1, 0, end, 0.0)
    playback.reached(0, position, 1.0)
    return tuple(str(line.text) for line in playback.stop())


@pytest.mark.parametrize(
    ("text", "starts", "end", "middle"),
    [
        ("one two", (0.0, 1.0), 2.0, 1.0 + (1.0 - SILENCE_BEHIND) / 2),
        ("one two.", (0.0, 1.0), 2.0, 1.0 + (1.0 - SILENCE_BEHIND) / 2),
        ("one two", (), 2.0, 1.0 + (1.0 - SILENCE_BEHIND) / 2),
        ("two.", (0.0,), 1.0, (1.0 - SILENCE_BEHIND) / 2),
        ("two.", (), 1.0, (1.0 - SILENCE_BEHIND) / 2),
        ("one two.", (0.0, 1.0), 1.2, 1.0 + 0.2 / 4),
    ],
)
def test_the_silence_behind_the_last_word_is_no_part_of_it(
    text: str, starts: tuple[float, ...], end: float, middle: float
) -> None:
    assert cut_at(middle - 0.01, text, starts, end) == (text.split()[-1],)
    assert cut_at(middle + 0.01, text, starts, end) == ()


@pytest.mark.parametrize("text", ["one two", "one two."])
def test_an_end_that_is_not_known_yet_has_no_silence_before_it(text: str) -> None:
    last = text.split()[1]
    middle = 1.0 + len(last) / SPEAKING_RATE / 2
    assert cut_at(middle - 0.01, text, (0.0, 1.0), None) == (last,)
    assert cut_at(middle + 0.01, text, (0.0, 1.0), None) == ()


def test_the_last_word_of_what_is_sent_again_lasts_as_long_as_it_did() -> None:
    middle = LEAD + (1.0 - SILENCE_BEHIND) / 2
    for position, rest in ((middle - 0.01, ("three",)), (middle + 0.01, ())):
        playback = ledger("one two three", length=3.0)
        playback.placed(1, 0, (0.0, 1.0, 2.0))
        playback.reached(0, 1.9, 1.0)
        (again,) = playback.stop()
        playback.order(2, again.text, 2.0, source=again.source)
        playback.started(2, 1, 0.0, str(again.text), 2.0, resumed=True)
        playback.finished(2, 1, 1.0 + LEAD, 2.0)
        playback.reached(1, position, 3.0)
        assert tuple(line.text for line in playback.stop()) == rest


def test_words_that_were_not_placed_are_laid_over_the_rest() -> None:
    playback = ledger(TEN)
    assert playback.placed(1, 0, (0.0, 0.1, 0.2, 0.4))
    # Seven words, the last placed one among them, share the 9.6 s from 0.4 s on.
    playback.reached(0, 0.4 + 9.6 * 2.4 / 7, 1.0)
    playback.stop()
    assert heard(playback) == ["aaa bbb ccc ddd eee"]


def test_an_unknown_end_is_guessed_from_the_last_placed_word() -> None:
    playback = Playback()
    playback.order(1, TEN, 0.0)
    playback.started(1, 0, 5.0, TEN, 0.0)
    playback.placed(1, 0, UNEVEN[:9])
    assert playback.unheard == pytest.approx(5.0 + 8.0 + len("iii jjj") / SPEAKING_RATE)


def test_places_may_grow_but_neither_shrink_nor_be_nonsense() -> None:
    playback = ledger("one two three", "next")
    playback.order(3, "not begun", 0.0)
    assert playback.placed(1, 0, (0.5, 0.2))
    assert playback.segments[1].starts == (0.5, 0.5), "time does not run backwards"
    assert not playback.placed(1, 0, (0.0, 0.1)), "nothing new"
    assert not playback.placed(1, 0, (0.0, 0.1, 0.2, 0.3)), "more than there are words"
    for nonsense in (-0.1, math.nan, math.inf):
        assert not playback.placed(1, 0, (0.0, 0.1, nonsense))
    assert not playback.placed(1, 1, (0.0, 0.1, 0.2)), "another epoch"
    assert not playback.placed(3, 0, (0.0,)), "it did not begin"
    assert not playback.placed(9, 0, (0.0,))
    assert playback.placed(1, 0, (0.0, 0.1, 0.2))
    playback.reached(0, playback.segments[1].end or 0.0, 0.0)
    playback.stop()
    assert not playback.placed(3, 0, (0.0,)), "cut before it began"
    assert not playback.placed(2, 1, (0.0,)), "another epoch"


def test_the_places_of_what_was_cut_are_told_as_it_is_made_to_its_end_and_hold_for_its_rest() -> None:
    playback = Playback()
    playback.order(1, TEN, 0.0)
    playback.started(1, 0, 0.0, TEN, 0.0)
    playback.placed(1, 0, UNEVEN[:4])
    playback.reached(0, 2.6, 0.0)
    [rest] = playback.stop()
    assert rest.source is not None
    playback.placed(1, 0, UNEVEN[:6])
    playback.order(2, rest.text, 1.0, source=rest.source)
    assert playback.started(2, 1, 0.0, str(rest.text), 1.0, resumed=True)
    before = playback.segments[2].starts
    assert playback.placed(1, 0, UNEVEN), "also while its rest is sent already"
    places = playback.segments[2].starts
    assert len(places) == len(str(rest.text).split()) > len(before) == len(places) - 4
    assert places[-1] == pytest.approx(UNEVEN[-1] - rest.source.offset)
    assert places[: len(before)] == before


# ── sending audio again ───────────────────────────────────────────────────────────


def test_what_was_cut_says_where_its_audio_goes_on() -> None:
    playback = placed()
    playback.reached(0, 10.0 + 3.2, 1.0)
    assert playback.stop() == (Line("ddd eee fff ggg hhh iii jjj", "", Source(2, 3, 3.0 - LEAD)),)


def test_the_lead_never_reaches_a_word_that_was_heard() -> None:
    playback = placed("one two three", (0.0, 1.0, 1.01))
    playback.reached(0, 11.006, 1.0)
    (rest,) = playback.stop()
    assert rest.text == "three"
    assert rest.source is not None
    assert rest.source.offset == pytest.approx(1.005)


def test_a_word_that_was_not_placed_has_no_source() -> None:
    playback = placed(starts=UNEVEN[:5])
    playback.reached(0, 10.0 + 8.0, 1.0)
    (rest,) = playback.stop()
    assert rest.source is None
    assert rest.text == "iii jjj"


def test_a_resumed_segment_knows_its_words_and_resumes_from_the_first_audio() -> None:
    playback = placed()
    playback.reached(0, 10.0 + 3.2, 1.0)
    (rest,) = playback.stop()
    playback.order(3, rest.text, 2.0, source=rest.source)
    assert playback.started(3, 1, 0.0, str(rest.text), 2.0, resumed=True)
    assert playback.segments[3].starts == pytest.approx([at - (3.0 - LEAD) for at in UNEVEN[3:]])
    playback.finished(3, 1, 10.0 - (3.0 - LEAD), 2.0)
    playback.reached(1, 4.5, 3.0)
    (again,) = playback.stop()
    assert again.text == "hhh iii jjj"
    assert again.source is not None
    assert (again.source.segment, again.source.word) == (2, 7)
    assert again.source.offset == pytest.approx(7.0 - LEAD)
    assert " ".join(heard(playback)) == "before aaa bbb ccc ddd eee fff ggg"


def test_cut_again_before_it_began_or_before_a_word_the_source_stays() -> None:
    playback = placed()
    playback.reached(0, 10.0 + 3.2, 1.0)
    (rest,) = playback.stop()
    for number, begins in ((3, False), (4, True)):
        playback.order(number, rest.text, 2.0, source=rest.source)
        if begins:
            playback.started(number, playback.epoch, 0.0, str(rest.text), 2.0, resumed=True)
        assert playback.stop() == (rest,)


def test_a_rest_that_was_synthesised_anew_has_audio_and_times_of_its_own() -> None:
    playback = placed()
    playback.reached(0, 10.0 + 3.2, 1.0)
    (rest,) = playback.stop()
    playback.order(3, rest.text, 2.0, source=rest.source)
    playback.started(3, 1, 0.0, str(rest.text), 2.0)
    assert playback.segments[3].starts == ()
    playback.placed(3, 1, (0.0, 1.0, 2.0))
    playback.reached(1, 0.6, 3.0)
    (again,) = playback.stop()
    assert again == Line("eee fff ggg hhh iii jjj", "", Source(3, 1, 1.0 - LEAD))


def test_a_tagged_segment_is_sent_again_from_its_beginning() -> None:
    playback = placed(tag="p")
    playback.reached(0, 10.0 + 3.2, 1.0)
    (rest,) = playback.stop()
    assert rest == Line(TEN, "p", Source(2, 0, 0.0))
    playback.order(3, rest.text, 2.0, tag="p", source=rest.source)
    playback.started(3, 1, 0.0, TEN, 2.0, resumed=True)
    assert playback.segments[3].starts == UNEVEN
    playback.finished(3, 1, 10.0, 2.0)
    playback.reached(1, 9.9, 3.0)
    assert playback.stop() == (rest,)


def test_a_source_that_nobody_knows_is_only_audio() -> None:
    playback = Playback()
    playback.order(1, TEN, 0.0, source=Source(7, 2, 1.0))
    assert playback.started(1, 0, 0.0, TEN, 0.0, resumed=True)
    assert playback.stop() == (Line(TEN, "", Source(7, 2, 1.0)),)


def test_times_are_forgotten_when_nothing_can_be_sent_again() -> None:
    playback = placed()
    playback.reached(0, 20.0, 1.0)
    assert playback.segments[2].starts == ()


def test_a_snapshot_keeps_places_and_sources() -> None:
    playback = placed()
    playback.reached(0, 10.0 + 3.2, 1.0)
    (rest,) = playback.stop()
    playback.order(3, rest.text, 2.0, source=rest.source)
    playback.started(3, 1, 0.0, str(rest.text), 2.0, resumed=True)
    stored = json.loads(json.dumps(encode(list(playback.segments.values()))))
    assert Decoder([Segment, Source]).decode(stored) == tuple(playback.segments.values())


# ── whatever happens ──────────────────────────────────────────────────────────────


class LedgerMachine(RuleBasedStateMachine):
    """Lines are spoken, cut, resumed or spoken anew; each word carries its number, so that none can be mistaken."""

    def __init__(self) -> None:
        super().__init__()
        self.playback = Playback()
        self.said: list[str] = []
        """All words of the caller's line that were not dropped, in order."""
        self.ordered = 0
        self.line_end = 0.0
        self.sources: dict[int, list[Source]] = {}
        self.starts: dict[int, tuple[float, ...]] = {}
        """Where the words of each segment whose audio was made lie in it."""
        self.now = 0.0

    def _open(self) -> list[Segment]:
        return [self.playback.segments[number] for number in self.playback.open]

    def _next_up(self) -> Segment | None:
        return next((segment for segment in self._open() if segment.end is None), None)

    @rule(words=st.integers(1, 6), mark=st.sampled_from(["", ",", "."]))
    @precondition(lambda self: len(self.playback.open) < 4)
    def say(self, words: int, mark: str) -> None:
        text = [f"w{len(self.said) + index}{mark}" for index in range(words)]
        self.said += text
        self.ordered += 1
        self.playback.order(self.ordered, " ".join(text), self.now)

    @rule(resumed=st.booleans())
    @precondition(lambda self: (up := self._next_up()) is not None and up.start is None)
    def start(self, resumed: bool) -> None:
        up = self._next_up()
        assert up is not None
        epoch = self.playback.epoch
        assert self.playback.started(up.id, epoch, self.line_end, up.text, self.now, resumed=resumed)
        if not (resumed and up.source):
            self.starts[up.id] = ()

    @rule(gaps=st.lists(st.floats(0, 1), min_size=1, max_size=6))
    @precondition(lambda self: bool(self.playback.open))
    def place(self, gaps: list[float]) -> None:
        segment = self._open()[0]
        count = len(segment.text.split())
        starts = tuple(sum(gaps[:index]) for index in range(min(len(gaps), count)))
        if self.playback.placed(segment.id, segment.epoch, starts) and segment.source is None:
            self.starts[segment.id] = starts

    @rule(length=st.floats(0, 4))
    @precondition(lambda self: (up := self._next_up()) is not None and up.start is not None)
    def finish(self, length: float) -> None:
        up = self._next_up()
        assert up is not None
        self.line_end += length
        assert self.playback.finished(up.id, self.playback.epoch, self.line_end, self.now)

    @rule(ahead=st.floats(0, 3), old=st.booleans(), more=st.floats(0, 1))
    def hear(self, ahead: float, old: bool, more: float) -> None:
        self.now += ahead
        position = min(self.playback.heard + ahead, self.line_end + 1.0)
        assert self.playback.reached(self.playback.epoch - old, position, self.now, ahead=more) is not old

    @rule(again=st.booleans(), later=st.none() | st.floats(0, 1))
    def cut(self, again: bool, later: float | None) -> None:
        rest = self.playback.stop(None if later is None else self.now + later)
        self.line_end = 0.0
        unheard = [word for line in rest for word in str(line.text).split()]
        assert self.heard_words() + unheard == self.said
        for line in rest:
            if line.source is not None:
                self._check(line)
        if not again:
            self.said = self.said[: len(self.said) - len(unheard)]
            return
        for line in rest:
            self.ordered += 1
            self.playback.order(self.ordered, line.text, self.now, source=line.source)

    def _check(self, line: Line) -> None:
        source = line.source
        assert source is not None
        earlier = self.sources.setdefault(source.segment, [])
        earlier.append(source)
        assert all(a.word <= b.word and a.offset <= b.offset + 1e-9 for a, b in pairwise(earlier))
        starts = self.starts[source.segment]
        if source.word and len(starts) > source.word:
            assert starts[source.word - 1] - 1e-9 <= source.offset <= starts[source.word] + 1e-9

    def heard_words(self) -> list[str]:
        return [word for text in heard(self.playback) for word in text.split()]

    @invariant()
    def what_was_heard_is_the_beginning_of_what_was_said(self) -> None:
        words = self.heard_words()
        assert words == self.said[: len(words)]


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=200, stateful_step_count=40, deadline=None, derandomize=True)


milliseconds = st.integers(0, 2000).map(lambda count: count / 1000)


@given(st.lists(milliseconds, min_size=1, max_size=12), st.integers(0, 30_000).map(lambda count: count / 1000 + 2e-4))
@settings(derandomize=True)
def test_with_all_words_placed_the_cut_is_exact(gaps: list[float], position: float) -> None:
    words = [f"w{index}" for index in range(len(gaps))]
    begins = [sum(gaps[:index]) for index in range(len(gaps) + 1)]
    playback = Playback()
    playback.order(1, " ".join(words), 0.0)
    playback.started(1, 0, 0.0, " ".join(words), 0.0)
    playback.placed(1, 0, tuple(begins[:-1]))
    playback.finished(1, 0, begins[-1] + 1.0, 0.0)
    playback.reached(0, position, 1.0)
    playback.stop()
    ends = [*begins[1:-1], begins[-1] + 1.0 - SILENCE_BEHIND]
    expected = [word for word, a, b in zip(words, begins, ends, strict=False) if (a + b) / 2 <= position > 0]
    assert " ".join(heard(playback)).split() == expected


# ── what is said is not what is written ───────────────────────────────────────────

WRITTEN = "It is W23 today."
SPOKEN = SpokenForm(WRITTEN, ("It", "is", "W,", "two", "three", "today."), (1, 2, 5, 6))
SECONDS = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)


def spoken(starts: tuple[float, ...] = SECONDS, *, tag: str = "", form: SpokenForm | None = SPOKEN) -> Playback:
    """A segment of six seconds in which a word is said in each second."""
    playback = Playback()
    playback.order(1, WRITTEN, 0.0, tag=tag)
    playback.started(1, 0, 0.0, WRITTEN, 0.0, spoken=form)
    if starts:
        assert playback.placed(1, 0, starts)
    playback.finished(1, 0, 6.0, 0.0)
    return playback


@pytest.mark.parametrize(
    ("position", "words"), [(0.4, 0), (1.6, 2), (2.6, 2), (3.6, 2), (4.4, 2), (4.6, 3), (5.42, 3), (5.44, 4)]
)
def test_a_word_is_heard_when_the_last_word_said_for_it_was(position: float, words: int) -> None:
    playback = spoken()
    playback.reached(0, position, 1.0)
    rest = playback.stop()
    assert heard(playback) == [" ".join(WRITTEN.split()[:words])]
    assert [unheard.text for unheard in rest] == ([" ".join(WRITTEN.split()[words:])] if words < 4 else [])


def test_without_word_times_said_words_are_laid_over_the_duration() -> None:
    playback = spoken(())
    # Of 26 letters and spaces, "three" has the 14th to the 19th.
    playback.reached(0, 6.0 * 15 / 26, 1.0)
    playback.stop()
    assert heard(playback) == ["It is"]


def test_what_was_cut_within_a_number_is_sent_again_from_its_beginning() -> None:
    playback = spoken()
    playback.reached(0, 4.2, 1.0)
    (rest,) = playback.stop()
    assert rest == Line("W23 today.", "", Source(1, 2, 2.0 - LEAD))
    playback.order(2, rest.text, 2.0, source=rest.source)
    assert playback.started(2, 1, 0.0, str(rest.text), 2.0, resumed=True)
    playback.finished(2, 1, 4.02, 2.0)
    again = playback.segments[2]
    assert again.said.words == ("W,", "two", "three", "today.")
    assert again.starts == pytest.approx((LEAD, 1 + LEAD, 2 + LEAD, 3 + LEAD))
    playback.reached(1, 3.2, 3.0)
    assert playback.stop() == (Line("today.", "", Source(1, 3, 5.0 - LEAD)),)
    assert " ".join(heard(playback)) == "It is W23"


def test_what_is_cut_behind_a_word_that_is_not_said_goes_on_with_the_one_behind_that() -> None:
    playback = Playback()
    text = "– Good morning."
    playback.order(1, text, 0.0)
    playback.started(1, 0, 0.0, text, 0.0, spoken=SpokenForm(text, ("Good", "morning."), (0, 1, 2)))
    playback.placed(1, 0, (0.1, 1.0))
    playback.finished(1, 0, 2.0, 0.0)
    playback.reached(0, 0.2, 1.0)
    (rest,) = playback.stop()
    assert rest == Line("Good morning.", "", Source(1, 1, 0.0))
    playback.order(2, rest.text, 2.0, source=rest.source)
    playback.started(2, 1, 0.0, str(rest.text), 2.0, resumed=True)
    assert playback.segments[2].starts == pytest.approx((0.1, 1.0))


def test_an_unknown_end_is_guessed_from_what_is_said() -> None:
    playback = Playback()
    playback.order(1, WRITTEN, 0.0)
    playback.started(1, 0, 0.0, WRITTEN, 0.0, spoken=SPOKEN)
    assert playback.unheard == pytest.approx(len(SPOKEN.text) / SPEAKING_RATE)
    playback.placed(1, 0, SECONDS[:5])
    assert playback.unheard == pytest.approx(4.0 + len("three today.") / SPEAKING_RATE)


def test_no_more_words_are_placed_than_are_said() -> None:
    playback = Playback()
    playback.order(1, WRITTEN, 0.0)
    playback.started(1, 0, 0.0, WRITTEN, 0.0, spoken=SPOKEN)
    assert not playback.placed(1, 0, (*SECONDS, 6.0))
    assert playback.placed(1, 0, SECONDS)


@pytest.mark.parametrize(
    "form",
    [
        as_written(WRITTEN),
        SpokenForm("It was W23 today.", SPOKEN.words, SPOKEN.ends),
        SpokenForm(WRITTEN, SPOKEN.words, (1, 2, 5)),
        SpokenForm(WRITTEN, SPOKEN.words, (1, 5, 2, 6)),
        SpokenForm(WRITTEN, SPOKEN.words, (1, 2, 5, 7)),
        SpokenForm(WRITTEN, SPOKEN.words, (-1, 2, 5, 6)),
    ],
)
def test_a_form_that_is_not_of_the_text_is_none(form: SpokenForm) -> None:
    assert spoken((), form=form).segments[1].spoken is None


def test_the_form_is_kept_as_long_as_audio_may_be_sent_again() -> None:
    playback = spoken()
    playback.reached(0, 6.0, 1.0)
    assert playback.segments[1].spoken is None
    cut = spoken()
    cut.reached(0, 3.0, 1.0)
    cut.stop()
    assert cut.segments[1].spoken == SPOKEN
    (again,) = Decoder([Segment, SpokenForm]).decode(json.loads(json.dumps(encode((cut.segments[1],)))))
    assert again == cut.segments[1]


def test_a_word_that_is_not_said_is_heard_with_what_was_before_it() -> None:
    playback = Playback()
    playback.order(1, "Great! 🙂 Bye", 0.0)
    form = SpokenForm("Great! 🙂 Bye", ("Great!", "Bye"), (1, 1, 2))
    playback.started(1, 0, 0.0, "Great! 🙂 Bye", 0.0, spoken=form)
    playback.placed(1, 0, (0.0, 1.0))
    playback.finished(1, 0, 2.0, 0.0)
    playback.reached(0, 0.9, 1.0)
    assert playback.stop() == (Line("Bye", "", Source(1, 2, 1.0 - LEAD)),)
    assert heard(playback) == ["Great! 🙂"]
