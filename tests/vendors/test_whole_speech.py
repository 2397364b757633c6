"""Whether a speech that ended in order is all of its text."""

import pytest

from talkspurt.synthesizers.streamed import is_cut
from talkspurt.synthesizers.word_times import WordTimes

READ_BACK = "I will cancel order 4 7 1 1 and refund forty two dollars to the card that ends in 4 2."


def pcm_bytes(text: str, letters_per_s: float) -> int:
    return round(16_000 * sum(map(str.isalnum, text)) / letters_per_s)


@pytest.mark.parametrize("text", [READ_BACK, "Straight.", "Yes.", "-- ... --", "Hm?! (...) **Oh**."])
@pytest.mark.parametrize("pace", [0.5, 1.0, 1.2, 4.0])
def test_a_hasty_voice_is_no_cut_one(text: str, pace: float) -> None:
    assert not is_cut(text, pcm_bytes(text, 20 * max(1.0, pace)), pace=pace)


def test_a_usual_voice_that_stops_at_half_of_the_text_is_cut() -> None:
    whole = pcm_bytes(READ_BACK, 14)
    assert not is_cut(READ_BACK, whole, pace=1.0)
    assert is_cut(READ_BACK, whole // 2, pace=1.0)


def test_what_directs_the_voice_takes_no_time() -> None:
    assert not is_cut('<break time="30s" label="a very long name"/> [whispers very softly] Yes.', 8_000, pace=1.0)


def named(text: str, upto: int) -> WordTimes:
    words = WordTimes(text)
    words.feed((character, 0.05 * at) for at, character in enumerate(text[:upto]))
    return words


def test_a_vendor_that_names_every_character_has_named_the_last_words() -> None:
    assert not named(READ_BACK, len(READ_BACK)).broke_off(verbatim=True)
    assert not named(READ_BACK, READ_BACK.index("2.")).broke_off(verbatim=True), "one may not be found"
    assert named(READ_BACK, READ_BACK.index("4 2.")).broke_off(verbatim=True)


@pytest.mark.parametrize("rest", [" -- !", ' <break time="1.5s" /> <end/>', " [laughs out loud]"])
def test_what_is_not_spoken_need_not_be_named(rest: str) -> None:
    assert not named(READ_BACK + rest, len(READ_BACK)).broke_off(verbatim=True)


def test_numbers_may_be_named_as_they_are_spoken() -> None:
    text = "Call us at 555 010 4242 or 555 010 4243."
    assert not named(text, text.index("555 010 4243")).broke_off(verbatim=False)
    assert named(READ_BACK, READ_BACK.index("to the card")).broke_off(verbatim=False)


def test_speech_without_times_has_not_broken_off() -> None:
    assert not WordTimes(READ_BACK).broke_off(verbatim=True)
