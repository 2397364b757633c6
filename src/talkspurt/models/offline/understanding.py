"""What a caller's turn means, before anyone decides what to do about it.

A turn may hold several sentences ("Hi, I'm Ann. I bought a lamp. Where is it?"): the whole is ranked, and
when that is unclear, or only small talk, the sentence that says clearly what is wanted counts.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from talkspurt.agent.dialogue import Dialogue
from talkspurt.agent.yes_no import yes_or_no
from talkspurt.models.offline.classify import Guess, IntentClassifier
from talkspurt.models.offline.embedding import SentenceEmbedder
from talkspurt.models.offline.english import ABOUT, ANYTIME, EXAMPLES, WHEN_ASKED, gist

CLEAR: Final = -0.3
"""A score above this is acted upon even when the caller was asked something else …"""
CLEAR_MARGIN: Final = 0.2
"""… if it is this much above the next: together right for 98 % of our own trial sentences, and met by 79 %."""
SENTENCE: Final = 3
"""Beside an id, fewer words than this only announce it ("it's number W…")."""
PLAIN: Final = 0.0
"""A turn that scores below this may have one sentence that says it plainly."""
SURE: Final = -0.55
"""A score below this is not acted upon at all."""
ALIKE: Final = 0.33
"""A sentence less like every example than this (cosine) is about something else."""
MARGIN: Final = 0.12
"""Two scores closer than this are worth a question."""


@dataclass(frozen=True, slots=True)
class Understood:
    """One turn of the caller. `guesses` are ranked; empty when there were no words."""

    text: str
    typed: bool = False
    words: int = 0
    """Words beside numbers and hesitation."""
    agrees: bool | None = None
    guesses: tuple[Guess, ...] = ()
    topics: Mapping[str, int | None] = field(default_factory=dict)
    """Of each intent whose outcomes differ by question: the outcome asked for, or None for the answer in general."""

    @property
    def best(self) -> Guess | None:
        """The likeliest intent, if it is likely at all."""
        guess = self.guesses[0] if self.guesses else None
        return guess if guess and guess.score > SURE and guess.likeness > ALIKE else None

    @property
    def clear(self) -> Guess | None:
        """The likeliest intent, if there is no doubt about it."""
        guess = self.best
        if guess is None or guess.score < CLEAR or self.guesses[0].score - self._second < CLEAR_MARGIN:
            return None
        return guess

    def leader(self, names: Collection[str]) -> str:
        """The likeliest intent when it is one of `names` and no other comes near; "" without one."""
        best = self.best
        if best is None or best.name not in names or best.score < CLEAR or self.words < SENTENCE:
            return ""
        return best.name if best.score - self._second > MARGIN else ""

    @property
    def _second(self) -> float:
        return self.guesses[1].score if len(self.guesses) > 1 else -1.0

    def score(self, name: str) -> float:
        """How likely one intent is; −1 for one that was not considered."""
        return next((guess.score for guess in self.guesses if guess.name == name), -1.0)


class Comprehension:
    """Understands turns for one dialogue. Slow to make (it embeds all examples); keeps no state of a call."""

    def __init__(self, dialogue: Dialogue, embedder: SentenceEmbedder) -> None:
        self._embedder = embedder
        self._plain = {intent.name: len(intent.examples) for intent in dialogue.intents}
        self._topics = {
            intent.name: [(index, phrase) for index, outcome in enumerate(intent.outcomes) for phrase in outcome.about]
            for intent in dialogue.intents
        }
        examples = {
            intent.name: (*intent.examples, *(phrase for _, phrase in self._topics[intent.name]))
            for intent in dialogue.intents
        }
        self._tasks = frozenset(intent.name for intent in dialogue.intents if intent.tool or intent.title)
        nouns = [slot.spoken() for slot in dialogue.slots]
        general = {
            name: (*sentences, *(template.format(noun=noun) for template in ABOUT.get(name, ()) for noun in nouns))
            for name, sentences in EXAMPLES.items()
        }
        self._examples = frozenset(
            gist(each).lower().strip(".?!") for sentences in examples.values() for each in sentences
        )
        self._classifier = IntentClassifier(
            {name: [gist(sentence) for sentence in sentences] for name, sentences in {**examples, **general}.items()},
            embedder.embed,
        )
        self._always = frozenset(examples) | ANYTIME

    def knows(self, text: str) -> bool:
        """Whether a sentence is one of the agent's examples, but for numbers and hesitation."""
        return gist(text).lower().strip(".?!") in self._examples

    def understand(self, text: str, *, typed: bool = False, asked: bool = False, locale: str = "en-US") -> Understood:
        """One turn; `asked` when the caller was asked for a fact, which they may not have."""
        words = text.strip()
        core = gist(words)
        if typed or not core:
            return Understood(words, typed=typed, agrees=None if typed else yes_or_no(words, locale))
        allowed = self._always | (WHEN_ASKED if asked else frozenset())
        guesses = self._rank(core, allowed)
        best = guesses[0]
        if best.name not in self._tasks or best.score < PLAIN:
            parts = [part for part in re.split(r"(?<=[.?!;])\s+|,?\s+\b(?:and|but|so|because)\b\s+", words) if part]
            readings = [self._rank(gist(part), allowed) for part in parts if len(gist(part).split()) > 1]
            readings = [reading for reading in readings if reading[0].name in self._tasks and reading[0].score > PLAIN]
            guesses = max([guesses, *readings[:4]], key=self._weight) if readings else guesses
        topics = {name: self._topic(guess) for guess in guesses if self._topics.get(name := guess.name)}
        return Understood(
            words, words=len(core.split()), agrees=yes_or_no(words, locale), guesses=guesses, topics=topics
        )

    def _weight(self, guesses: tuple[Guess, ...]) -> tuple[bool, float]:
        return guesses[0].name in self._tasks, guesses[0].score

    def _rank(self, text: str, allowed: Collection[str]) -> tuple[Guess, ...]:
        return self._classifier.rank(self._embedder.embed([text])[0], allowed)

    def _topic(self, guess: Guess) -> int | None:
        at = guess.example - self._plain[guess.name]
        return self._topics[guess.name][at][0] if at >= 0 else None
