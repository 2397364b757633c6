"""Sentences are cut out of a model's sound where its voice pauses, and nothing of it is lost."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkspurt.media.g711 import decode_mulaw
from talkspurt.speech_to_speech.letters import letters
from talkspurt.speech_to_speech.speech import BYTES_PER_S, Speech
from talkspurt.testing.fakes.openai_realtime import PAUSE_S, SECONDS_PER_LETTER, voice

SENTENCES = ("Your order left our warehouse this morning.", "It arrives on Friday.", "Is there anything else?")


def sound(text: str) -> bytes:
    return decode_mulaw(voice(text))


def length(text: str) -> float:
    return SECONDS_PER_LETTER * sum(character.isalnum() for character in text) + PAUSE_S


def hear(speech: Speech, piece: int = 1_600) -> None:
    whole = b"".join(sound(sentence) for sentence in SENTENCES)
    for start in range(0, len(whole), piece):
        speech.add_sound(whole[start : start + piece])


@pytest.fixture
def speech() -> Speech:
    made = Speech()
    made.add_text(" ".join(SENTENCES))
    return made


def cut(speech: Speech) -> list[float]:
    """Seconds that each sentence gets."""
    lengths = []
    for sentence in SENTENCES:
        found = speech.find(sentence)
        assert found is not None
        end = speech.end(*found)
        assert end is not None
        lengths.append((end - speech.begin(found[0])) / BYTES_PER_S)
    return lengths


def test_words_that_come_in_many_pieces_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def read_letters(text: str) -> str:
        read.append(text)
        return letters(text)

    monkeypatch.setattr("talkspurt.speech_to_speech.speech.letters", read_letters)
    speech = Speech()
    for _ in range(100):
        speech.add_text("Well. ")
    assert sum(map(len, read)) == len(speech.text) == 600


@given(st.lists(st.text()))
def test_pieces_have_the_letters_of_the_whole(pieces: list[str]) -> None:
    speech = Speech()
    for piece in pieces:
        speech.add_text(piece)
    assert speech.letters == letters("".join(pieces))


def test_each_sentence_gets_its_own_sound(speech: Speech) -> None:
    hear(speech)
    speech.complete()
    assert cut(speech) == pytest.approx([length(sentence) for sentence in SENTENCES], abs=PAUSE_S)


def test_a_sentence_ends_before_all_of_the_sound_is_there(speech: Speech) -> None:
    found = speech.find(SENTENCES[0])
    assert found is not None
    for start in range(0, len(sound(SENTENCES[0])), 1_600):
        assert speech.end(*found) is None
        assert speech.sure(*found) <= start
        speech.add_sound(sound(SENTENCES[0])[start : start + 1_600])
    speech.add_sound(sound(SENTENCES[1]) + sound(SENTENCES[2]))
    end = speech.end(*found)
    assert end is not None
    assert end / BYTES_PER_S == pytest.approx(length(SENTENCES[0]), abs=PAUSE_S)


@given(st.integers(1, 4_000), st.booleans())
def test_the_sentences_together_get_all_of_the_sound_once(piece: int, late: bool) -> None:
    speech = Speech()
    speech.add_text(" ".join(SENTENCES))
    hear(speech, piece * 2)
    places = []
    for sentence in SENTENCES:
        found = speech.find(sentence)
        assert found is not None
        if sentence is SENTENCES[-1] or late:
            speech.complete()
        assert speech.sure(*found) >= speech.begin(found[0])
        end = speech.end(*found, now=True)
        assert end is not None
        assert end % 2 == 0
        places.append((speech.begin(found[0]), end))
    assert places[0][0] == 0
    assert places[-1][1] == len(speech.sound)
    assert all(end == begin for (_, end), (begin, _) in pairwise(places))


def test_the_rest_of_a_sentence_begins_inside_of_it(speech: Speech) -> None:
    hear(speech)
    speech.complete()
    cut(speech)
    found = speech.find("this morning.")
    assert found is not None
    begin, end = speech.begin(found[0]), speech.end(*found)
    assert end is not None
    assert 0 < begin < end
    assert begin / BYTES_PER_S == pytest.approx(SECONDS_PER_LETTER * len("Yourorderleftourwarehouse"), abs=0.2)


def test_the_same_words_twice_are_found_one_after_the_other() -> None:
    speech = Speech()
    speech.add_text("Yes. Yes. No.")
    speech.add_sound(sound("Yes. Yes. No."))
    assert [speech.find(words) for words in ("Yes.", "Yes.", "No.", "Yes.")] == [(0, 3), (3, 6), (6, 8), (3, 6)]


def test_nobody_elses_words_are_found(speech: Speech) -> None:
    hear(speech)
    assert speech.find("One moment, please.") is None
    assert speech.find("—") is None


def test_words_reach_no_further_than_there_is_sound(speech: Speech) -> None:
    speech.add_sound(sound("Your order")[:8_000])
    assert speech.seconds_until(20) == 0.5
    assert speech.seconds_until(2_000) == 0.5


def test_what_is_forgotten_is_not_spoken_again_but_still_known_by_its_places(speech: Speech) -> None:
    hear(speech)
    speech.complete()
    cut(speech)
    before = speech.seconds_until(30)
    speech.forget()
    assert speech.find(SENTENCES[0]) is None
    assert speech.seconds_until(30) == before
    assert speech.length > 0
