"""Measuring turns: what the two tracks of a recording say about one exchange.

Pure arithmetic on samples, because a figure that callers feel is one that can be measured in
what they heard: latency runs from the caller's last audible sample to the first audible sample
of the answer **as played**, never from or to anything that was merely sent.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from talkspurt.simulate.loudness import WINDOW, audible_windows

RATE_HZ: Final = 8_000
WINDOWS_PER_SECOND: Final = RATE_HZ // WINDOW
CARRIED_ON: Final = 0.5
"""Seconds that a voice goes on beyond the caller's last sample to be an answer, and not one that was cut off."""
SETTLED: Final = 0.3
"""Seconds of quiet after which a voice has stopped, and is not between two syllables."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One turn of the caller and the answer to it; times in seconds of the call."""

    answered: float | None
    """First audible sample of the answer, or None when there was none."""
    latency: float | None
    """From the caller's last audible sample to `answered`; 0 when the agent was ahead of it."""
    talked_over: bool
    """The agent was still, or already, audible at the caller's last sample."""
    stopped_after: float | None
    """How long the agent, audible when the caller began, went on; None when it was silent then."""


def measure(agent: NDArray[np.int16], *, began: float, ended: float, until: float) -> Exchange:
    """Measure the turn in which the caller was audible from `began` to `ended`, up to `until`."""
    heard = audible_windows(agent[: round(until * RATE_HZ)])
    stopped = _stop(heard, began)
    quiet_from = _stop(heard, ended)
    if stopped is None and quiet_from is not None and quiet_from - ended >= CARRIED_ON:
        # Silent when the caller began, and not to be stopped when they ended: it answered before the question was over.
        answered: float | None = ended
    else:
        answered = _start(heard, ended if quiet_from is None else quiet_from)
    return Exchange(
        answered=answered,
        latency=None if answered is None else max(0.0, answered - ended),
        talked_over=quiet_from is not None,
        stopped_after=None if stopped is None else stopped - began,
    )


def _start(heard: NDArray[np.bool_], moment: float) -> float | None:
    first = round(moment * WINDOWS_PER_SECOND)
    found = np.flatnonzero(heard[first:])
    return (first + int(found[0])) / WINDOWS_PER_SECOND if len(found) else None


def _stop(heard: NDArray[np.bool_], moment: float) -> float | None:
    """Where the voice that sounds across `moment` stops; None when none does."""
    at, settled = round(moment * WINDOWS_PER_SECOND), round(SETTLED * WINDOWS_PER_SECOND)
    if not (heard[max(0, at - settled) : at].any() and heard[at : at + settled].any()):
        return None
    last = at
    for window in range(at, len(heard)):
        if heard[window]:
            last = window
        elif window - last >= settled:
            break
    return (last + 1) / WINDOWS_PER_SECOND
