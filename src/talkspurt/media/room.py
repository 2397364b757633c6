"""Who of the voices on a line is the caller's, and how much another stretch resembles it.

Nobody says who the caller is. The first to speak may be somebody else in the room, or a television, and
be answered. So every turn that was taken is put to the voice that it resembles, or begins a new one, and
the caller's is the one that is nearest to the telephone and comes back most often: loudness counts first,
the number of turns next, seconds not at all.

A real caller who is ignored is the worst that can happen here. So a voice that is louder than the caller's
is never somebody else's, and from a single turn only a clearly quieter voice is. Whoever insists is the
caller from then on: `Room.hand_over`.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from talkspurt.media.level import active
from talkspurt.media.voice_profile import Stretch, VoiceProfile

MOST_VOICES: Final = 4
SAME: Final = 0.0
"""Log odds from which a turn is a known voice's."""
LENIENCE: Final = 4.5
"""How much sooner it is the caller's: to take the caller for two people is worse than two people for one."""
LEAST_LENIENCE: Final = 2.5
"""The same of what has been told to be somebody else's."""
TURNS_DB: Final = 3.0
"""Decibels that twice as many turns are worth when it is asked who the caller is."""
SURE_TURNS: Final = 2
"""Turns from which on a voice as loud as the caller's may be another's."""
QUIETER_DB: Final = 1.5
"""How much quieter it must be before."""
LOUDER_DB: Final = 4.0
"""From here on a voice is too near to be in the background."""
ANOTHERS: Final = 0.5
"""Weight of how much better the stretch fits another voice that is known."""
BEHIND_DB: Final = 3.0
"""How much quieter than the caller's that voice must be: one as loud may be the caller's own, taken for two."""
DOUBT: Final = 0.3
"""The least likeness of a voice that must not be taken for a stranger's."""
SUREST: Final = 30.0


class _Voice:
    def __init__(self) -> None:
        self.profile = VoiceProfile()
        self.turns = 0

    @property
    def nearness(self) -> float:
        level = self.profile.level_dbfs
        return -math.inf if level is None else level + TURNS_DB * math.log2(1 + self.turns)

    def learn(self, said: Sequence[Stretch]) -> None:
        for stretch in said:
            self.profile.learn(stretch)

    def is_behind(self, other: "_Voice") -> bool:
        """Whether this voice is farther from the telephone than the other, so that it is certainly not the same."""
        mine, theirs = self.profile.level_dbfs, other.profile.level_dbfs
        return mine is not None and theirs is not None and mine < theirs - BEHIND_DB


class Room:
    """The voices of one line. Not thread-safe."""

    def __init__(self) -> None:
        self._voices: list[_Voice] = []

    def __len__(self) -> int:
        """How many voices are told apart."""
        return len(self._voices)

    @property
    def caller_dbfs(self) -> float | None:
        """The caller's usual level; None until it is known."""
        caller = self._caller
        return None if caller is None else caller.profile.level_dbfs

    def likeness(self, stretch: Stretch) -> float | None:
        """0 certainly another's, 1 certainly the caller's voice; None until enough was learned."""
        caller = self._caller
        score = None if caller is None else caller.profile.score(stretch)
        if caller is None or caller.profile.level_dbfs is None or score is None:
            return None
        others = [voice.profile.score(stretch) for voice in self._voices if voice.is_behind(caller)]
        score += ANOTHERS * min([0.0, *(score - other for other in others if other is not None)])
        likeness = 1 / (1 + math.exp(-max(-SUREST, min(SUREST, score))))
        louder_db = stretch.level_dbfs - caller.profile.level_dbfs
        doubtful = louder_db > LOUDER_DB or (caller.turns < SURE_TURNS and louder_db > -QUIETER_DB)
        return max(likeness, DOUBT) if doubtful else likeness

    def learn(self, turn: Sequence[Stretch]) -> None:
        """Take the stretches for one turn of somebody, most likely the caller's."""
        if turn:
            said = _within(turn)
            voice = self._whose(said) or self._begin()
            voice.turns += 1
            voice.learn(said)

    def overhear(self, remark: Sequence[Stretch]) -> None:
        """Take the stretches for somebody else's: of use to know that voice again, but not to be the caller."""
        said = _within(remark)
        voice = self._whose(said, LEAST_LENIENCE)
        if said and (voice is None or voice is not self._caller):
            (voice or self._begin()).learn(said)

    def hand_over(self) -> None:
        """Forget everybody: whoever is learned next is the caller."""
        self._voices.clear()

    @property
    def _caller(self) -> _Voice | None:
        answered = (voice for voice in self._voices if voice.turns)
        return max(answered, key=lambda voice: voice.nearness, default=None)

    def _whose(self, said: Sequence[Stretch], lenience: float = LENIENCE) -> _Voice | None:
        caller = self._caller
        scores = [(self._score(voice, said), voice) for voice in self._voices]
        # Somebody clearly louder is rather the caller, after somebody else has been taken for them.
        if caller is not None and said and self._louder_db(caller, said[0]) <= LOUDER_DB:
            scores = [(score + lenience * (voice is caller), voice) for score, voice in scores]
        score, voice = max(scores, key=lambda scored: scored[0], default=(-math.inf, None))
        return voice if score > SAME else None

    @staticmethod
    def _louder_db(voice: _Voice, stretch: Stretch) -> float:
        return stretch.level_dbfs - (voice.profile.level_dbfs or 0.0)

    @staticmethod
    def _score(voice: _Voice, turn: Sequence[Stretch]) -> float:
        """The mean over the turn's frames."""
        total = frames = 0.0
        for stretch in turn:
            score = voice.profile.score(stretch)
            if score is not None:
                total += score * len(stretch.cepstra)
                frames += len(stretch.cepstra)
        return total / frames if frames else -math.inf

    def _begin(self) -> _Voice:
        if len(self._voices) == MOST_VOICES:
            caller = self._caller
            self._voices.remove(min((v for v in self._voices if v is not caller), key=lambda voice: voice.turns))
        voice = _Voice()
        self._voices.append(voice)
        return voice


def _within(turn: Sequence[Stretch]) -> list[Stretch]:
    """The stretches of a turn, at its level, without those that are faint beside the rest: breaths, tails, a room's."""
    if not turn:
        return []
    marked = active(np.concatenate([stretch.frames.levels for stretch in turn]))
    ours = np.split(marked, np.cumsum([len(stretch.frames) for stretch in turn])[:-1])
    said = [(stretch, int(mark.sum())) for stretch, mark in zip(turn, ours, strict=True) if mark.any()]
    power = sum(count * 10 ** (stretch.level_dbfs / 10) for stretch, count in said) / sum(count for _, count in said)
    return [replace(stretch, level_dbfs=10 * math.log10(power)) for stretch, _ in said]
