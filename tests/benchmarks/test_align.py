"""The alignment that the benchmark believes, on speech whose words lie at places that the voice itself tells."""

from pathlib import Path

import numpy as np
import pytest

# Benchmarks are run from the repository and are not installed.
from benchmarks.turns.align import HOP, RATE_HZ, Templates, Text, align, silent_frames, words_of
from benchmarks.turns.align_validation import SENTENCES, Known, known_speech, validate

from talkspurt.speech.weights import WeightStore

PARCEL, REFUND, MINUTES = (
    "The package left our warehouse on Monday morning. It should be with you tomorrow.",
    "The refund of twenty four dollars will go back to your original payment method within seven days.",
    "I have put it on list 731. What else can I do for you?",
)


def pause(seconds: float) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.zeros(round(seconds * RATE_HZ), dtype=np.int16)


@pytest.fixture(scope="module")
def templates(weight_store: WeightStore) -> Templates:
    assert weight_store
    return Templates()


@pytest.fixture(scope="module")
def parcel(weight_store: WeightStore) -> Known:
    assert weight_store
    return known_speech(PARCEL)


@pytest.fixture(scope="module")
def refund(weight_store: WeightStore) -> Known:
    assert weight_store
    return known_speech(REFUND)


def test_words_are_what_stands_between_spaces_and_can_be_spoken() -> None:
    assert words_of("Well — that's 24 dollars, isn't it?") == ["Well", "that's", "24", "dollars,", "isn't", "it?"]


def test_all_of_a_text_that_was_played_was_heard_at_its_time(templates: Templates, parcel: Known) -> None:
    (stretch,) = align(np.concatenate((pause(1.5), parcel.samples)), [Text(PARCEL)], templates)
    assert stretch.heard == range(len(words_of(PARCEL)))
    assert stretch.begin == pytest.approx(1.5, abs=0.05)
    assert stretch.distance < 1.0
    for word, (begin, _) in zip(stretch.words, parcel.words, strict=True):
        assert word.begin == pytest.approx(1.5 + begin / RATE_HZ, abs=0.3)


def test_what_comes_after_a_cut_was_not_heard(templates: Templates, parcel: Known) -> None:
    errors = []
    for share in np.linspace(0.15, 0.95, 9):
        cut = round(share * len(parcel.samples))
        (stretch,) = align(parcel.samples[:cut], [Text(REFUND), Text(PARCEL)], templates)
        assert stretch.text == 1
        errors.append(stretch.heard.stop - parcel.heard(0, cut))
    assert max(map(abs, errors)) <= 1


@pytest.mark.parametrize("back", [0, 4])
def test_a_reply_that_is_taken_up_again_tells_at_which_word(templates: Templates, refund: Known, back: int) -> None:
    begin, end = refund.words[9]
    again = refund.words[9 - back][0]
    cut = (2 * begin + end) // 3
    played = np.concatenate((refund.samples[:cut], pause(0.6), refund.samples[again:]))
    first, *rest = align(played, [Text(REFUND)], templates)
    # With nothing skipped or repeated there need be no leap.
    taken_up = rest[0].enters if rest else min(first.words, key=lambda w: abs(w.begin - cut / RATE_HZ - 0.6)).index
    assert abs(taken_up - (9 - back)) <= 1
    assert bool(rest) is (back > 0)


def test_a_text_is_not_heard_before_it_was_ordered(templates: Templates, parcel: Known, refund: Known) -> None:
    played = np.concatenate((parcel.samples, pause(1.5), refund.samples))
    texts = [Text(REFUND, (len(parcel.samples) / RATE_HZ + 0.5,)), Text(PARCEL), Text("Are you there?", always=True)]
    assert [stretch.text for stretch in align(played, texts, templates)] == [1, 0]


def test_an_order_that_seems_to_come_just_behind_the_first_sound_is_its_own(
    templates: Templates, parcel: Known, refund: Known
) -> None:
    """Else a sentence that two replies share was given to the one of before."""
    # As in its template: of the agent's renderings of a single word one in five is too unlike it to be found.
    sure = templates.of("Sure.")
    played = np.concatenate((refund.samples, pause(0.6), sure.samples, parcel.samples))
    first_sound = (len(refund.samples) + len(pause(0.6)) + sure.words[0][0]) / RATE_HZ
    before, after = Text(f"{REFUND} {PARCEL}"), Text(f"Sure. {PARCEL}", (first_sound + 0.04,))
    first, second = align(played, [before, after], templates)
    assert (first.text, second.text) == (0, 1)
    assert second.begin == pytest.approx(first_sound, abs=0.021)


def test_a_reply_that_was_cut_off_gives_way_to_the_next(templates: Templates, parcel: Known, refund: Known) -> None:
    cut = refund.words[8][0]
    played = np.concatenate((refund.samples[:cut], pause(0.7), parcel.samples))
    first, *rest = align(played, [Text(REFUND), Text(PARCEL, (cut / RATE_HZ,))], templates)
    assert first.text == 0
    assert abs(first.heard.stop - 8) <= 1
    assert [stretch.text for stretch in rest] == [1]


def test_speech_that_is_none_of_the_texts_lies_far_from_them(templates: Templates, refund: Known) -> None:
    assert min(stretch.distance for stretch in align(refund.samples, [Text(PARCEL)], templates)) > 1.0


def test_nothing_is_heard_in_silence(templates: Templates) -> None:
    assert align(pause(3.0), [Text(PARCEL)], templates) == []


def test_sentences_that_differ_in_a_number_share_their_template(
    templates: Templates, weight_store: WeightStore
) -> None:
    assert weight_store
    spoken = known_speech(MINUTES)
    (stretch,) = align(spoken.samples, [Text(MINUTES)], templates)
    assert stretch.heard == range(len(words_of(MINUTES)))
    other = templates.of(MINUTES.replace("731", "15"))
    assert len(other.words) == len(words_of(MINUTES))
    assert other.words[6][1] - other.words[6][0] < spoken.words[6][1] - spoken.words[6][0]
    silent = silent_frames(other.samples)
    first, last = (at // HOP for at in other.words[6])
    assert not silent[first]
    assert not silent[last - 1], "the silence around a number is no part of it"


def test_templates_are_kept(tmp_path: Path, weight_store: WeightStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert weight_store
    made = Templates(tmp_path).of("Thank you, it was item 15, goodbye!")
    monkeypatch.setattr("benchmarks.turns.align.synthesize", None)
    kept = Templates(tmp_path).of("Thank you, it was item 15, goodbye!")
    assert kept.words == made.words
    assert (kept.samples == made.samples).all()


def test_random_cuts_are_right_to_within_one_word(templates: Templates, weight_store: WeightStore) -> None:
    assert weight_store
    outcome = validate([known_speech(text) for text in SENTENCES[1:4]], templates, cuts=2)
    assert max(map(abs, outcome.cut)) <= 1
    assert max(map(abs, outcome.resumed)) <= 1
