"""The frozen rules of one conversation: timings in seconds, and the one question the core asks of language.

Every constant has its reason beside it. Timings that users set come from `[conversation]`.
"""

from collections.abc import Callable
from dataclasses import dataclass


def _never(_text: str) -> None:
    """Understand nothing: without a locale nothing is ever confirmed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How long a conversation waits for what."""

    greeting: str = "Hello."
    endpoint_silence: float = 0.6
    """Silence that ends the caller's turn. Pauses inside a turn are mostly shorter (Heldner and Edlund 2010: median
    pause 0.47 s), and below half a second the cut-in rate grows quickly."""
    unfinished_silence: float = 1.4
    """The same after words that ask for more, such as "and" or a group of digits."""
    is_unfinished: Callable[[str], bool] = lambda _text: False
    """The locale's opinion on whether words ask for more."""
    yes_or_no: Callable[[str], bool | None] = _never
    """The locale's reading of an answer: True a clear yes, False a clear no, None anything else."""
    transcript_patience: float = 4.0
    """How long after the caller's last voice a transcript may still come before the agent says that it did not hear."""
    max_utterance: float = 30.0
    """Whisper's window; longer monologues (music, a television) are answered in the middle."""
    min_miss_voiced: float = 0.5
    """Voice without words that earns a "sorry?": shorter is a cough or a click."""
    silence_prompt: float = 10.0
    silence_hangup: float = 30.0
    max_call: float = 1800.0
    filler_after: float = 1.5
    """Dead air after the caller's turn until the agent says that it is busy: callers ask "hello?" after about 2 s."""
    tool_filler_after: float = 1.0
    reply_timeout: float = 9.0
    """A model that has sent nothing for this long is asked once more, then the agent apologises."""
    tool_timeout: float = 20.0
    """Watchdog only: the dispatcher's own limits are shorter."""
    segment_timeout: float = 8.0
    """A synthesizer that has not begun a segment for this long has failed."""
    playback_patience: float = 3.0
    """How late the carrier's mark may be, after the audio must have been played."""
    closing_timeout: float = 12.0
    opening_timeout: float = 15.0
    lost_line_patience: float = 20.0
    """The carrier redials the media socket at once; a caller does not wait longer in silence."""
    digit_patience: float = 2.5
    """Silence between digits that ends a keypad entry: ITU-T E.180 leaves it open; IVRs use 2 to 4 s."""
    max_digits: int = 32
    max_tool_rounds: int = 6
    max_failures: int = 3
    """Turns in a row without a reply before the agent gives up politely."""
    max_misses: int = 3
    """Turns in a row without words before the agent gives up politely."""
