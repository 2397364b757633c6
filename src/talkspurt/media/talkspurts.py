"""Turns voice probabilities into talkspurts: where the caller's voice begins and ends.

It is not endpointing: a talkspurt ends after a short pause, a turn only when the conversation says
so. It is not a recognizer: a cough may be a talkspurt.

Invariants:
* starts and stops alternate, started first, and their times never go back;
* a talkspurt begins with its first and ends with its last voiced sample, whatever it took to be sure;
* `voiced` is at least the minimum, or a window less of those that are `SURE`, and at most the time from begin to end;
* times are seconds since the stream began, from sample counts alone: no clock.
"""

from dataclasses import dataclass
from typing import Final

START_THRESHOLD: Final = 0.4
"""Probability at which a window may begin a talkspurt. Silero's own default is 0.5; at 0.4 fewer voices are missed, 5.6
for 6.8 % in noise below 20 dB, and more noise is taken for one (`python -m benchmarks.turns.detector`)."""

STOP_THRESHOLD: Final = 0.35
"""Probability that still continues one: lower, as Silero does, so that weak consonants do not chop a word."""

MINIMUM_VOICED: Final = 0.096
"""Seconds of voice before it counts: three windows of 32 ms; clicks and breaths last one or two, "no" at least four."""

SURE: Final = 0.6
"""Probability of windows of which one less is enough: two are as good as three. So 6.6 % of the voices in noise below
20 dB are noticed later than 0.3 s for 7.4, 2.6 for 3.8 at 20 dB and more, and no more noises, coughs and doors are
taken for one; two windows at `START_THRESHOLD` take twice as much noise (`python -m benchmarks.turns.hearing`)."""

HANGOVER: Final = 0.064
"""Seconds without voice that end a talkspurt: two windows. The detector itself holds on for 30 to 60 ms, so that a stop
consonant's closure (50–80 ms) seldom ends one; every window more is one more that an answer waits for its words."""


@dataclass(frozen=True, slots=True)
class TalkspurtStirred:
    """A window sounds like voice: a talkspurt may be beginning, which the next windows tell."""

    at: float


@dataclass(frozen=True, slots=True)
class TalkspurtStarted:
    """Voice began; `at` is the time of its first voiced sample."""

    at: float


@dataclass(frozen=True, slots=True)
class TalkspurtStopped:
    """Voice ceased; `at` is the time of its last voiced sample, `voiced` the seconds of voice in it."""

    at: float
    voiced: float


class TalkspurtTracker:
    """One caller's talkspurts. Give it every window in order; it answers with at most one fact for each."""

    def __init__(
        self,
        *,
        window: int,
        rate_hz: int,
        minimum_voiced: float = MINIMUM_VOICED,
        hangover: float = HANGOVER,
        start_threshold: float = START_THRESHOLD,
        stop_threshold: float = STOP_THRESHOLD,
    ) -> None:
        """`window` is the samples that each probability speaks for."""
        if not 0 <= stop_threshold <= start_threshold <= 1:
            raise ValueError("thresholds must be 0 <= stop_threshold <= start_threshold <= 1")
        self._window = window
        self._rate_hz = rate_hz
        self._minimum_voiced = round(minimum_voiced * rate_hz)
        self._hangover = round(hangover * rate_hz)
        self._start_threshold = start_threshold
        self._stop_threshold = stop_threshold
        self._active = False
        self._first = 0
        """First voiced sample of the talkspurt, or of what may become one."""
        self._last = 0
        """One past its last voiced sample."""
        self._voiced = 0
        """Voiced samples in it; 0 when there is not even a candidate."""
        self._sure = 0
        """Windows in a row that the detector is sure of."""

    @property
    def active(self) -> bool:
        """Whether a talkspurt has been announced and not yet ended."""
        return self._active

    @property
    def first(self) -> int:
        """First voiced sample of the talkspurt that is going on."""
        return self._first

    @property
    def voiced(self) -> float:
        """Seconds of voice in it up to now."""
        return self._voiced / self._rate_hz

    def receive(
        self, probability: float, samples: int
    ) -> TalkspurtStirred | TalkspurtStarted | TalkspurtStopped | None:
        """Take the next window: its voice probability, and how many samples of the stream it ends after."""
        if self._active:
            return self._go_on(probability, samples)
        before = self._voiced
        self._consider(probability, samples)
        spared = self._window if self._sure >= 2 and self._sure * self._window == self._voiced else 0
        if self._voiced == 0 or self._voiced + spared < self._minimum_voiced:
            # Once each: the weak windows behind it tell nothing new, and must not hold up a turn's end.
            return TalkspurtStirred(self._first / self._rate_hz) if self._voiced and not before else None
        self._active = True
        return TalkspurtStarted(self._first / self._rate_hz)

    def _consider(self, probability: float, samples: int) -> None:
        self._sure = self._sure + 1 if probability >= SURE else 0
        # Between the thresholds a window neither counts nor breaks: a word may begin softly.
        if probability < self._stop_threshold:
            self._voiced = 0
        elif probability >= self._start_threshold:
            if self._voiced == 0:
                self._first = samples - self._window
            self._voiced += self._window
            self._last = samples

    def _go_on(self, probability: float, samples: int) -> TalkspurtStopped | None:
        if probability >= self._stop_threshold:
            self._voiced += self._window
            self._last = samples
            return None
        if samples - self._last < self._hangover:
            return None
        stopped = TalkspurtStopped(self._last / self._rate_hz, self._voiced / self._rate_hz)
        self._active = False
        self._voiced = self._sure = 0
        return stopped
