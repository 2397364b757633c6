"""Text to the phonemes that a Piper voice was trained on, by Debian's `espeak-ng`.

Text reaches espeak-ng on its standard input only, never on its command line: a reply that began
with `-f/etc/passwd` made it read that file aloud. What it would take for markup or phoneme notation
is removed first, and so are control characters.

espeak-ng drops punctuation, which carries the melody. So the text is cut into clauses, each is sent
as a line of its own with an empty line after it (espeak-ng answers those with empty lines), and the
marks are put back between the answers.

To know which phonemes belong to which word, words are sent alone too (and remembered), see
`word_alignment.py`.

Source: Piper's input layout: beginning, then every phoneme followed by a pad, then end.
"""

import re
import shutil
import subprocess
import unicodedata
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from talkspurt.errors import ConfigurationError
from talkspurt.speech.word_alignment import align

ESPEAK_TIMEOUT: Final = 5.0
"""Seconds; it takes 0.01."""

_DROPPED: Final = re.compile(r"[\[\]{}<>*_~`|\\^#\"“”]")
"""Phoneme notation `[[…]]`, markup and Markdown: nothing of it is meant to be said."""

_CLAUSE: Final = re.compile(r"(.+?)(?:([.!?;:,…—])[)'’\s]*(?:\s|$)|$)", re.DOTALL)
_ABBREVIATION: Final = re.compile(r"(?:^|\s)(?:Mr|Mrs|Ms|Dr|vs|[A-HJ-Z])$")
_LANGUAGE_SWITCH: Final = re.compile(r"\([a-z-]+\)")
_MARKS: Final = {"…": ".", "—": ","}
_BEGIN, _END, _PAD = "^", "$", "_"

_EDGES: Final = ".,;:!?…—-'’()/"
"""Marks that a word is pronounced alone without."""
_REMEMBERED: Final = 5_000
"""Words whose own pronunciation is kept; then all are forgotten, which costs one process more."""


@dataclass(frozen=True, slots=True)
class Pronunciation:
    """A text as a voice takes it."""

    text: str
    clauses: list[tuple[str, str]]
    answers: list[str]
    """The phonemes of each clause with its mark; of another number when espeak-ng counts clauses differently."""
    ids: list[int]
    """The input of the voice; empty when nothing in the text can be spoken."""
    known: list[int]
    """Where in the phonemes those are that the voice knows."""


class Phonemizer:
    """Phonemes as numbers of one voice. Thread-safe; a text costs a short-lived process, new words in it another."""

    def __init__(self, phoneme_ids: Mapping[str, int], espeak_voice: str) -> None:
        """`phoneme_ids` is the voice's table. Raises `ConfigurationError` when espeak-ng is not installed."""
        program = shutil.which("espeak-ng")
        if program is None:
            raise ConfigurationError(
                "the local voice needs espeak-ng, which is not installed; run: sudo apt-get install espeak-ng"
            )
        self._command = [program, "-q", "--ipa", "-v", espeak_voice]
        self._phoneme_ids = phoneme_ids
        self._alone: dict[str, str] = {}
        """Words and how they are pronounced alone."""

    def pronounce(self, text: str) -> Pronunciation:
        """Turn `text` into phonemes.

        Raises `OSError` or `subprocess.SubprocessError` when espeak-ng fails.
        """
        clauses = split_clauses(text)
        answers = self._answers(clauses)
        ids, known = self._spell(_joined(answers))
        return Pronunciation(text, clauses, answers, ids, known)

    def ids(self, text: str) -> list[int]:
        """The input of the voice for `text`; empty when nothing in it can be spoken. Raises what `pronounce` raises."""
        return self.pronounce(text).ids

    def word_starts(self, spoken: Pronunciation) -> list[int]:
        """For each whitespace-separated word of the text: the index in `ids` of its first phoneme.

        A word without sound begins where the next one does. Raises what `pronounce` raises.
        """
        words = spoken.text.split()
        if not spoken.ids:
            return [0] * len(words)
        tokens = [(token, index) for index, word in enumerate(words) for token in _clean(word).split()]
        groups, answers = _tokens_of(spoken.clauses, [token for token, _ in tokens]), spoken.answers
        if len(groups) != len(answers):
            groups, answers = [[number for group in groups for number in group]], [_joined(answers)]
        alone = self._pronounce_alone([token for token, _ in tokens])
        begins: dict[int, int] = {}
        before = 0
        for group, answer in zip(groups, answers, strict=True):
            for number, at in zip(group, align([alone[number] for number in group], answer), strict=True):
                # Every phoneme has a pad behind it, and before the first one are the beginning and its pad.
                begins.setdefault(tokens[number][1], 2 + 2 * bisect_left(spoken.known, before + at))
            before += len(answer) + 1
        starts = [len(spoken.ids) - 1] * (len(words) + 1)
        for index in reversed(range(len(words))):
            starts[index] = min(begins.get(index, starts[index + 1]), starts[index + 1])
        return starts[:-1]

    def _spell(self, phonemes: str) -> tuple[list[int], list[int]]:
        """The numbers of `phonemes`, and where in it those that the voice knows are."""
        known = [at for at, phoneme in enumerate(phonemes) if phoneme in self._phoneme_ids]
        if not any(phoneme.isalpha() for phoneme in phonemes):
            return [], []
        pad = self._phoneme_ids[_PAD]
        ids = [self._phoneme_ids[_BEGIN], pad]
        for at in known:
            ids += (self._phoneme_ids[phonemes[at]], pad)
        return [*ids, self._phoneme_ids[_END]], known

    def _answers(self, clauses: list[tuple[str, str]]) -> list[str]:
        if not clauses:
            return []
        answers = self._ask([body for body, _ in clauses])
        if len(answers) == len(clauses):
            marked = [answer + mark for answer, (_, mark) in zip(answers, clauses, strict=True)]
        else:  # a clause was silent or counted twice: the words matter more than their melody
            marked = [f"{answer}," for answer in answers[:-1]] + [f"{answer}." for answer in answers[-1:]]
        # The voice knows base letters and combining marks, not their compositions.
        return [unicodedata.normalize("NFD", _LANGUAGE_SWITCH.sub("", answer)) for answer in marked]

    def _pronounce_alone(self, tokens: list[str]) -> list[str]:
        words = [token.strip(_EDGES) for token in tokens]
        unknown = list({word: None for word in words if word and word not in self._alone})
        known = dict(self._alone)
        if unknown:
            answers = self._ask(unknown)
            if len(answers) != len(unknown):
                # One was silent or counted twice. Letters resemble sounds enough for this once.
                return [known.get(word, word) for word in words]
            known |= zip(unknown, answers, strict=True)
            # Replaced, never changed: other threads read it.
            self._alone = known if len(known) <= _REMEMBERED else {}
        return [known.get(word, "") for word in words]

    def _ask(self, lines: Sequence[str]) -> list[str]:
        spoken = subprocess.run(  # noqa: S603 - a fixed command; the text goes to standard input
            self._command,
            input="".join(f"{line}\n\n" for line in lines),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            timeout=ESPEAK_TIMEOUT,
            check=True,
        ).stdout
        return [" ".join(answer.split()) for answer in re.split(r"\n[ \t]*\n", spoken) if answer.strip()]


def _joined(answers: list[str]) -> str:
    return " ".join(answers)


def _tokens_of(clauses: list[tuple[str, str]], tokens: list[str]) -> list[list[int]]:
    """The numbers of those `tokens` (of the cleaned text) that each clause consists of; some are in none."""
    groups = []
    following = 0
    for body, _ in clauses:
        group = []
        for part in body.split():
            # A clause's words have lost their marks, and marks of their own are no words any more.
            number = next((n for n in range(following, len(tokens)) if part in tokens[n]), following)
            if number < len(tokens):
                group.append(number)
                following = number + 1
        groups.append(group)
    return groups


def _clean(text: str) -> str:
    printable = "".join(" " if unicodedata.category(character)[0] in "CZ" else character for character in text)
    return " ".join(_DROPPED.sub(" ", printable).split())


def _has_sound(text: str) -> bool:
    return any(character.isalnum() for character in text)


def split_clauses(text: str) -> list[tuple[str, str]]:
    """Cut `text` into `(words, mark)`: only clauses with a letter or digit, every mark one that voices know."""
    cleaned = _clean(text)
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
    if _has_sound(body):
        clauses.append((body.strip(), _MARKS.get(mark, mark)))
