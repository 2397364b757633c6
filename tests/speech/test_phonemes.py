"""From text to phonemes: nothing in a text is an option, markup or phoneme notation."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from talkspurt.errors import ConfigurationError
from talkspurt.speech import piper_voice as piper
from talkspurt.speech.phonemes import Phonemizer, split_clauses


@pytest.fixture
def phonemizer(joe: piper.Voice) -> Phonemizer:
    return joe.phonemizer


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("Hello, world. How are you?", [("Hello", ","), ("world", "."), ("How are you", "?")]),
        ("No mark at all", [("No mark at all", ".")]),
        ("Mr. Smith and J. R. Ewing.", [("Mr. Smith and J. R. Ewing", ".")]),
        ("So do I. Thanks", [("So do I", "."), ("Thanks", ".")]),
        ("It costs 12.50, not 3,000.", [("It costs 12.50", ","), ("not 3,000", ".")]),
        ("Wait… it — is here!", [("Wait", "."), ("it", ","), ("is here", "!")]),
        ("*Bold* and [[h@l]] <b>x</b>", [("Bold and h@l b x /b", ".")]),
        ("one\ntwo\x00\x1bthree", [("one two three", ".")]),
        ("...", []),
        ("🙂 — !", []),
        ("", []),
    ],
)
def test_a_text_is_cut_into_clauses(text: str, clauses: list[tuple[str, str]]) -> None:
    assert split_clauses(text) == clauses


def test_punctuation_comes_back_between_the_clauses(phonemizer: Phonemizer, joe: piper.Voice) -> None:
    table = joe.engine.config["phoneme_id_map"]
    ids = phonemizer.ids("Hello, world. How are you?")
    marks = [mark for number in ids for mark in ",.?" if number == table[mark][0]]
    assert marks == [",", ".", "?"]
    assert ids[:2] == [table["^"][0], table["_"][0]]
    assert ids[-1] == table["$"][0]


@pytest.mark.parametrize("text", ["", " ", "...", "🙂", "—", "[[]]"])
def test_what_cannot_be_spoken_has_no_phonemes(phonemizer: Phonemizer, text: str) -> None:
    assert phonemizer.ids(text) == []


def test_a_text_that_looks_like_read_this_file_is_only_spoken(phonemizer: Phonemizer, tmp_path: Path) -> None:
    secret = tmp_path / "s"
    secret.write_text("the quick brown fox jumps over the lazy dog and runs far far away " * 20)
    assert 0 < len(phonemizer.ids(f"-f{secret}")) < len(phonemizer.ids(secret.read_text())) / 4
    passwords = Path("/etc/passwd").read_text()
    assert 0 < len(phonemizer.ids("-f/etc/passwd")) < 200 < len(passwords)


@pytest.mark.parametrize("option", ["-w", "--phonout=", "--path=", "--compile="])
def test_a_text_that_looks_like_write_this_file_writes_nothing(
    phonemizer: Phonemizer, tmp_path: Path, option: str
) -> None:
    target = tmp_path / "x"
    assert phonemizer.ids(f"{option}{target}")
    assert list(tmp_path.iterdir()) == []


def test_no_text_reaches_the_command_line(phonemizer: Phonemizer, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    real = subprocess.run

    def run(command: list[str], **settings: Any) -> Any:
        commands.append(command)
        return real(command, **settings)

    monkeypatch.setattr(subprocess, "run", run)
    for text in ("-w/tmp/x", "Tell me. --version", "`id`; $(id)", "\n-f/etc/passwd\n"):
        assert phonemizer.ids(text)
    assert len(commands) == 4
    assert {tuple(command[1:]) for command in commands} == {("-q", "--ipa", "-v", "en-us")}


def test_without_espeak_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _program: None)
    with pytest.raises(ConfigurationError, match="run: sudo apt-get install espeak-ng"):
        Phonemizer({}, "en-us")
