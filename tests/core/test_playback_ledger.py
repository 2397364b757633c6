"""The playback ledger: what was sent, what was heard, what is proven."""

import pytest

from talkspurt.core.commands import Phrase
from talkspurt.core.playback import SPEAKING_RATE, Playback, Unheard

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
    assert rest == ((Unheard(" ".join(TEN.split()[words:]), ""),) if words < 10 else ())
    assert not playback.segments[1].proven


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
    assert rest[-1] == Unheard("next one", "")
    assert playback.segments[2].text == ""


def test_stop_hands_everything_unheard_back_in_order() -> None:
    playback = ledger(TEN, "next one")
    playback.order(3, "not begun", 0.0)
    playback.order(4, Phrase("apology"), 0.0)
    playback.reached(0, 9.0, 1.0)
    assert playback.stop() == (
        Unheard("jjj", ""),
        Unheard("next one", ""),
        Unheard("not begun", ""),
        Unheard(Phrase("apology"), ""),
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
    assert playback.stop() == (Unheard("fff ggg hhh iii jjj", ""),)


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
    assert playback.stop() == (Unheard(TEN, "p"),)
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
    assert playback.last_tag == "p"
    playback.order(3, "three", 0.0)
    assert playback.last_tag == ""


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


def test_what_is_unheard_is_the_rest_of_what_lies_on_the_line() -> None:
    playback = Playback()
    assert playback.unheard == 0.0
    assert playback.last_tag == ""
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
