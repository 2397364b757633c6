"""Which intent a sentence means: kernel ridge regression over sentence vectors.

One regressor per intent (+1 its examples, −1 all others), with a Gaussian kernel and rarer intents
weighted up, solved in closed form when made: no training loop, no randomness, the same
answer every time. Among nearest examples, centroids, their mix, logistic and linear ridge
regression it was the best on sentences of our own (97 % against 89–96 %).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from talkspurt.models.offline.embedding import Vectors

SHARPNESS: Final = 4.0
"""Of the kernel exp(sharpness · (cosine − 1))."""
RIDGE: Final = 0.3
"""Regularisation; from 0.03 to 0.3 makes no difference that could be measured."""


@dataclass(frozen=True, slots=True)
class Guess:
    """One intent a sentence may mean. `score` is about +1 for its own examples, −1 for something else."""

    name: str
    score: float
    likeness: float
    """Cosine to the nearest example."""
    example: int
    """Index of that example among the intent's."""


class IntentClassifier:
    """Made once from example sentences; ranks intents for a sentence vector. Holds no state of a call."""

    def __init__(self, examples: Mapping[str, Sequence[str]], embed: Callable[[Sequence[str]], Vectors]) -> None:
        """Embeds every example: seconds for hundreds of them, so make it once, off the event loop."""
        self.names = tuple(examples)
        self._vectors = embed([sentence for sentences in examples.values() for sentence in sentences])
        owners = np.repeat(np.arange(len(self.names)), [len(sentences) for sentences in examples.values()])
        self._spans = [np.flatnonzero(owners == index) for index in range(len(self.names))]
        targets = np.where(owners[:, None] == np.arange(len(self.names)), 1.0, -1.0)
        weight = 1.0 / np.bincount(owners)[owners]
        kernel = _kernel(self._vectors @ self._vectors.T)
        self._dual = np.linalg.solve(kernel + RIDGE * np.diag(weight.mean() / weight), targets)

    def rank(self, vector: Vectors, allowed: Collection[str]) -> tuple[Guess, ...]:
        """The allowed intents, most likely first, for one unit vector `(384,)`."""
        cosines = self._vectors @ vector
        scores = _kernel(cosines) @ self._dual
        guesses = []
        for index, name in enumerate(self.names):
            if name in allowed:
                nearest = int(np.argmax(cosines[self._spans[index]]))
                likeness = float(cosines[self._spans[index][nearest]])
                guesses.append(Guess(name, float(scores[index]), likeness, nearest))
        return tuple(sorted(guesses, key=lambda guess: (-guess.score, guess.name)))


def _kernel(cosines: Vectors) -> Vectors:
    return np.asarray(np.exp(SHARPNESS * (cosines - 1.0)), dtype=np.float64)
