"""Finding the words of a text in its pronunciation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkspurt.speech import piper_voice as piper
from talkspurt.speech.word_alignment import align


def cut(words: list[str], spoken: str) -> list[str]:
    starts = align(words, spoken)
    return [spoken[start:end].strip() for start, end in zip(starts, [*starts[1:], len(spoken)], strict=True)]


def test_words_that_agree_are_cut_at_the_spaces() -> None:
    assert cut(["wˈʌn", "tˈuː"], "wˈʌn tˈuː.") == ["wˈʌn", "tˈuː."]


def test_a_merged_word_is_cut_in_two() -> None:
    assert cut(["ˈʌv", "ðˈə", "dˈeɪ"], "ʌvðə dˈeɪ") == ["ʌv", "ðə", "dˈeɪ"]


def test_an_expanded_word_stays_whole_and_its_stress_with_it() -> None:
    assert cut(["dˈɑːlɚ fˈaɪv", "ˈiːtʃ"], "dˈɑːlɚ fˈaɪv ˈiːtʃ") == ["dˈɑːlɚ fˈaɪv", "ˈiːtʃ"]


def test_what_only_the_sentence_has_belongs_to_the_word_before() -> None:
    assert cut(["sˈɪks", "", "kˈoʊ"], "sˈɪks ænd kˈoʊ") in (["sˈɪks ænd", "", "kˈoʊ"], ["sˈɪks", "ænd", "kˈoʊ"])
    assert cut(["kˈoʊ"], "ðə kˈoʊ") == ["ðə kˈoʊ"]


def test_nothing_known_is_no_error() -> None:
    assert align([], "wˈʌn") == []
    assert align(["", ""], "") == [0, 0]
    assert align(["wˈʌn"], "") == [0]


def test_a_text_without_end_is_only_laid_out_in_proportion() -> None:
    starts = align(["a" * 500, "b" * 500], "c" * 900)
    assert starts[0] == 0
    assert 440 < starts[1] < 460


ipa = st.text("aeiətdnsˈː ", max_size=30)


@given(st.lists(ipa, max_size=8), ipa)
def test_any_words_have_a_place_in_order(words: list[str], spoken: str) -> None:
    starts = align(words, spoken)
    assert len(starts) == len(words)
    assert starts == sorted(starts)
    assert all(0 <= start <= len(spoken) for start in starts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The order of the day", ["ðɪ ", "ˈɔːɹdɚɹ ", "ʌv", "ðə ", "dˈeɪ."]),
        ("That is $5, & co.", ["ðæt ", "ɪz ", "dˈɑːlɚ fˈaɪv, ", "ænd ", "kˈoʊ."]),
        ("Wait… it — is here!", ["wˈeɪt. ", "ˈɪt, ", "", "ɪz ", "hˈɪɹ!"]),
        ("W237 ... (yes.) done 🙂", None),
        ("a\x00b \u200bc *d* [[e]] 12/13", None),
    ],
)
def test_the_words_of_a_text_are_found(joe: piper.Voice, text: str, expected: list[str] | None) -> None:
    spoken = joe.phonemizer.pronounce(text)
    starts = joe.phonemizer.word_starts(spoken)
    assert len(starts) == len(text.split())
    assert starts == sorted(starts)
    if expected is not None:
        table = {ids[0]: phoneme for phoneme, ids in joe.engine.config["phoneme_id_map"].items()}
        ends = [*starts[1:], len(spoken.ids) - 1]
        found = ["".join(table[i] for i in spoken.ids[a:b:2]) for a, b in zip(starts, ends, strict=True)]
        assert found == expected
