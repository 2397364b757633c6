"""What the shop's documents say, and the passage that answers a question.

The documents are the markdown files beside this one: each `##` heading begins a passage, its paragraph is the answer as
it is spoken, and a line `Also:` holds other words that people ask for it by.

Found by SQLite's full-text index (FTS5: stems, BM25), in memory: no model, the same answer every time, and well under a
millisecond. A question that shares no telling word with any passage has no answer.
"""

import re
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Self

_WEIGHTS: Final = (6.0, 3.0, 1.0)
"""What a word is worth in a passage's topic, in its `Also:` line, and in its answer."""
_LEAST: Final = 1.0
"""Score below which a passage only happens to share a word with the question."""
_SILENT: Final = frozenset(
    [
        "a",
        "about",
        "all",
        "am",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "been",
        "but",
        "by",
        "can",
        "could",
        "did",
        "do",
        "does",
        "for",
        "from",
        "get",
        "give",
        "had",
        "has",
        "have",
        "hello",
        "hi",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "just",
        "know",
        "let",
        "like",
        "make",
        "me",
        "mean",
        "my",
        "need",
        "no",
        "not",
        "of",
        "on",
        "one",
        "or",
        "order",
        "our",
        "out",
        "please",
        "put",
        "say",
        "so",
        "some",
        "tell",
        "than",
        "that",
        "the",
        "them",
        "then",
        "there",
        "these",
        "they",
        "thing",
        "this",
        "to",
        "up",
        "us",
        "want",
        "was",
        "we",
        "well",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "why",
        "will",
        "with",
        "would",
        "yes",
        "you",
        "your",
    ]
)
"""Words that say nothing about what is asked."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One answer."""

    topic: str
    also: str
    text: str


class Library:
    """Passages, indexed. Made once; asking changes nothing."""

    def __init__(self, passages: Iterable[Passage]) -> None:
        self._passages = tuple(passages)
        self._index = sqlite3.connect(":memory:", check_same_thread=False)
        self._index.execute("CREATE VIRTUAL TABLE passages USING fts5(topic, also, text, tokenize='porter unicode61')")
        rows = [(passage.topic, passage.also, passage.text) for passage in self._passages]
        self._index.executemany("INSERT INTO passages VALUES (?, ?, ?)", rows)

    @classmethod
    def bundled(cls) -> Self:
        """The passages of the shop's own documents."""
        documents = sorted(
            (entry for entry in files(__package__).iterdir() if entry.name.endswith(".md")),
            key=lambda entry: entry.name,
        )
        return cls(passage for entry in documents for passage in read_passages(entry.read_text(encoding="utf-8")))

    @property
    def topics(self) -> tuple[str, ...]:
        """What there are answers on."""
        return tuple(passage.topic for passage in self._passages)

    def search(self, question: str) -> Passage | None:
        """The passage that answers best; None when none does."""
        words = [word for word in re.findall(r"[^\W_]+", question.lower()) if word not in _SILENT]
        if not words:
            return None
        # Words in quotes are only words: nothing in a question is the index's own language.
        query = " OR ".join(f'"{word}"' for word in dict.fromkeys(words[:40]))
        found = self._index.execute(
            "SELECT rowid, -bm25(passages, ?, ?, ?) AS score FROM passages WHERE passages MATCH ? "
            "ORDER BY score DESC, rowid LIMIT 1",
            (*_WEIGHTS, query),
        ).fetchone()
        if found is None or found[1] < _LEAST:
            return None
        return self._passages[int(found[0]) - 1]


def read_passages(markdown: str) -> Iterator[Passage]:
    """The passages of one document."""
    for section in re.split(r"^## +", markdown, flags=re.MULTILINE)[1:]:
        topic, _, body = section.partition("\n")
        lines = [line.strip() for line in body.splitlines() if line.strip()]
        also = " ".join(line.removeprefix("Also:").strip() for line in lines if line.startswith("Also:"))
        yield Passage(topic.strip(), also, " ".join(line for line in lines if not line.startswith("Also:")))
