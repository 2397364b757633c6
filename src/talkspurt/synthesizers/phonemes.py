"""Text to the phonemes that a Piper voice was trained on, by Debian's `espeak-ng`.

Text reaches espeak-ng on its standard input only, never on its command line: a reply that began
with `-f/etc/passwd` made it read that file aloud. What it would take for markup or phoneme notation
is removed first, and so are control characters.

espeak-ng drops punctuation, which carries the melody. So the text is cut into clauses, each is sent
as a line of its own with an empty line after it (espeak-ng answers those with empty lines), and the
marks are put back between the answers.

Source: Piper's input layout: beginning, then every phoneme followed by a pad, then end.
"""

import re
import shutil
import subprocess
import unicodedata
from collections.abc import Mapping
from typing import Final

from talkspurt.errors import ConfigurationError

ESPEAK_TIMEOUT: Final = 5.0
"""Seconds; it takes 0.01."""

_DROPPED: Final = re.compile(r"[\[\]{}<>*_~`|\\^#\"“”]")
"""Phoneme notation `[[…]]`, markup and Markdown: nothing of it is meant to be said."""

_CLAUSE: Final = re.compile(r"(.+?)(?:([.!?;:,…—])[)'’\s]*(?:\s|$)|$)", re.DOTALL)
_ABBREVIATION: Final = re.compile(r"(?:^|\s)(?:Mr|Mrs|Ms|Dr|vs|[A-HJ-Z])$")
_LANGUAGE_SWITCH: Final = re.compile(r"\([a-z-]+\)")
_MARKS: Final = {"…": ".", "—": ","}
_BEGIN, _END, _PAD = "^", "$", "_"


class Phonemizer:
    """Phonemes as numbers of one voice. Thread-safe; each text costs one short-lived process."""

    def __init__(self, phoneme_ids: Mapping[str, int], espeak_voice: str) -> None:
        """`phoneme_ids` is the voice's table. Raises `ConfigurationError` when espeak-ng is not installed."""
        program = shutil.which("espeak-ng")
        if program is None:
            raise ConfigurationError(
                "the local voice needs espeak-ng, which is not installed; run: sudo apt-get install espeak-ng"
            )
        self._command = [program, "-q", "--ipa", "-v", espeak_voice]
        self._phoneme_ids = phoneme_ids

    def ids(self, text: str) -> list[int]:
        """The input of the voice for `text`; empty when nothing in it can be spoken.

        Raises `OSError` or `subprocess.SubprocessError` when espeak-ng fails.
        """
        clauses = split_clauses(text)
        if not clauses:
            return []
        phonemes = self._phonemes(clauses)
        known = [self._phoneme_ids[phoneme] for phoneme in phonemes if phoneme in self._phoneme_ids]
        if not any(phoneme.isalpha() for phoneme in phonemes):
            return []
        pad = self._phoneme_ids[_PAD]
        ids = [self._phoneme_ids[_BEGIN], pad]
        for number in known:
            ids += (number, pad)
        return [*ids, self._phoneme_ids[_END]]

    def _phonemes(self, clauses: list[tuple[str, str]]) -> str:
        spoken = subprocess.run(  # noqa: S603 - a fixed command; the text goes to standard input
            self._command,
            input="".join(f"{body}\n\n" for body, _ in clauses),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            timeout=ESPEAK_TIMEOUT,
            check=True,
        ).stdout
        answers = [" ".join(answer.split()) for answer in re.split(r"\n[ \t]*\n", spoken) if answer.strip()]
        if len(answers) == len(clauses):
            marked = [answer + mark for answer, (_, mark) in zip(answers, clauses, strict=True)]
        else:  # a clause was silent or counted twice: the words matter more than their melody
            marked = [f"{answer}," for answer in answers[:-1]] + [f"{answer}." for answer in answers[-1:]]
        # The voice knows base letters and combining marks, not their compositions.
        return unicodedata.normalize("NFD", _LANGUAGE_SWITCH.sub("", " ".join(marked)))


def split_clauses(text: str) -> list[tuple[str, str]]:
    """Cut `text` into `(words, mark)`: only clauses with a letter or digit, every mark one that voices know."""
    printable = "".join(" " if unicodedata.category(character)[0] in "CZ" else character for character in text)
    cleaned = " ".join(_DROPPED.sub(" ", printable).split())
    clauses: list[tuple[str, str]] = []
    pending = ""
    for match in _CLAUSE.finditer(cleaned):
        body, mark = pending + match[1], match[2] or ""
        pending = ""
        if mark == "." and _ABBREVIATION.search(body):
            pending = f"{body}. "
            continue
        _add(clauses, body, mark)
    _add(clauses, pending, "")
    if clauses and not clauses[-1][1]:
        # Without a final mark the voice stays up in the air.
        clauses[-1] = (clauses[-1][0], ".")
    return clauses


def _add(clauses: list[tuple[str, str]], body: str, mark: str) -> None:
    if any(character.isalnum() for character in body):
        clauses.append((body.strip(), _MARKS.get(mark, mark)))
