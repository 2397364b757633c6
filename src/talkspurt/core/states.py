"""Who has the floor: the states of a conversation, and which may follow which.

`TRANSITIONS` is asserted at every change and drawn into `docs/states.md`; that a state is followed
by itself goes without saying. Every state but `Ended` has a deadline, so that no fault outside can
make the agent mute for good.
"""

from dataclasses import dataclass, field
from typing import Final

from talkspurt.core.digits import Digits, EntryRules
from talkspurt.core.endpointing import Pause
from talkspurt.core.events import UNKNOWN_VOICE, Voice


@dataclass(frozen=True, slots=True)
class Opening:
    """The call exists, its line does not yet."""

    since: float


@dataclass(frozen=True, slots=True)
class Listening:
    """Nobody speaks and nothing is being prepared."""

    since: float


@dataclass(frozen=True, slots=True)
class Yielding:
    """A voice came up in the agent's turn, which fell silent at once: does it take the turn away?"""

    utterance: int
    since: float
    talkspurt: int
    voiced: float = 0.0
    voice: Voice = UNKNOWN_VOICE


@dataclass(frozen=True, slots=True)
class Hearing:
    """The caller speaks. A turn of the agent that they spoke into is suspended."""

    utterance: int
    since: float
    talkspurt: int
    voiced: float = 0.0
    voice: Voice = UNKNOWN_VOICE
    before: Voice | None = None
    """The voice of the utterance's talkspurts before this one."""
    partial: str = ""
    """The recognizer's words so far, of one that tells before it is asked."""


@dataclass(frozen=True, slots=True)
class Endpointing:
    """The caller has paused: is the turn over? `text` is None until the recognizer answers."""

    utterance: int
    since: float
    stopped_at: float
    voiced: float
    voice: Voice = UNKNOWN_VOICE
    pause: Pause = field(default_factory=Pause)
    text: str | None = None
    """None until the transcript is there; "" when there are no words, or none that take the turn."""
    partial: str = ""
    """The words so far, for want of a transcript."""
    backchannel: bool = False
    """The words only said "I am listening": the agent goes on, if nothing follows."""
    bridged: bool = False
    """The words do not come, and the caller has been told that it takes a moment."""
    unheard: bool = False
    """The recognizer has failed, so that nobody knows whether there were words."""
    not_before: float = 0.0
    """Something stirs on the line: until then it is not known whether the caller goes on."""


@dataclass(frozen=True, slots=True)
class Typing:
    """The caller presses keys. `rules` are those of what the caller was asked for when they began."""

    digits: Digits
    rules: EntryRules


@dataclass(frozen=True, slots=True)
class Collecting:
    """The caller keys in a secret that a tool waits for. The agent's turn is suspended until it is there."""

    since: float


@dataclass(frozen=True, slots=True)
class Thinking:
    """It is the agent's turn and nothing of it can be heard yet. `filled`: the agent has said that it is busy."""

    since: float
    filled: bool = False
    waited: float = 0.0
    """How long the line had been silent by then: the silence that ended the caller's turn is dead air to them too."""
    late: float = 0.0
    """How much of it was no pause that the turn was given, but words that did not come."""


@dataclass(frozen=True, slots=True)
class Speaking:
    """The agent can be heard."""

    since: float


@dataclass(frozen=True, slots=True)
class Closing:
    """A last sentence is on the line; nothing can stop it; then we hang up."""

    since: float
    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The media line broke and the carrier has not said that the caller is gone."""

    since: float


@dataclass(frozen=True, slots=True)
class Ended:
    """The call is over."""

    at: float
    reason: str


Floor = (
    Opening
    | Listening
    | Yielding
    | Hearing
    | Endpointing
    | Typing
    | Collecting
    | Thinking
    | Speaking
    | Closing
    | Lost
    | Ended
)

_ALIVE: Final = frozenset({Closing, Lost, Ended})
"""What any live state may turn into: out of time, line lost, caller gone."""

TRANSITIONS: Final[dict[type[Floor], frozenset[type[Floor]]]] = {
    Opening: frozenset({Thinking, Ended}),
    Listening: _ALIVE | {Hearing, Typing, Thinking},
    Yielding: _ALIVE | {Hearing, Endpointing, Typing, Collecting, Thinking},
    Hearing: _ALIVE | {Endpointing, Thinking, Typing, Collecting},
    Endpointing: _ALIVE | {Hearing, Typing, Collecting, Thinking, Listening},
    Typing: _ALIVE | {Thinking},
    Collecting: _ALIVE | {Hearing, Thinking},
    Thinking: _ALIVE | {Speaking, Yielding, Typing, Collecting, Listening},
    Speaking: _ALIVE | {Thinking, Yielding, Typing, Collecting, Listening},
    Closing: frozenset({Ended}),
    Lost: frozenset({Thinking, Ended}),
    Ended: frozenset(),
}
