"""Facts that reach a conversation: a closed union, named in the past tense.

Every event carries the id of what it speaks of. News of an id that is no longer
alive is ignored and counted; hostile or late news never raises.
"""

from dataclasses import dataclass
from typing import Final, Literal

from talkspurt.core.digits import EntryRules
from talkspurt.core.language import Expectation
from talkspurt.core.spoken_form import SpokenForm


@dataclass(frozen=True, slots=True)
class LineOpened:
    """A media attachment is up: the caller can hear us. A call may have several, one after the other."""

    attachment: int


@dataclass(frozen=True, slots=True)
class LineClosed:
    """A media attachment ended. `hung_up` when the carrier says that the caller is gone."""

    attachment: int
    hung_up: bool


@dataclass(frozen=True, slots=True)
class CallerHungUp:
    """The carrier reports the call as over, whatever the socket says."""


@dataclass(frozen=True, slots=True)
class Voice:
    """What a talkspurt sounds like up to now: whose voice it is. Each verdict is None while it is not sure."""

    is_echo: bool | None = False
    """The agent's own voice coming back."""
    is_caller: bool | None = None
    """The voice of the caller's earlier turns (True), or somebody else's (False)."""
    is_voice: bool | None = True
    """Speech, rather than a cough, a click or a breath."""
    is_in_noise: bool = False
    """So little above the line's noise that what follows may be noticed late."""


Interruptible = Literal["voice", "keypad", "never"]
"""What may stop the agent: the caller's voice or keys, keys only, nothing (a legal announcement)."""

UNKNOWN_VOICE: Final = Voice()
"""Nothing was measured: taken for the caller's."""


@dataclass(frozen=True, slots=True)
class SpeechStirred:
    """A moment that sounds like voice: speech may have begun, and `SpeechStarted` follows within 0.1 s."""

    at: float


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Voice activity began; `at` is the time of its first voiced sample.

    Whose it is need not have been measured where it can stop nothing (`Conversation.heeds_beginning`).
    """

    talkspurt: int
    at: float
    voice: Voice = UNKNOWN_VOICE


@dataclass(frozen=True, slots=True)
class SpeechContinued:
    """The talkspurt goes on; sent about ten times a second with what it sounds like up to now.

    `at` is the time of its last sample so far, `voiced` the seconds of voice in it. As long as it belongs to no
    utterance, that is without an echo or faint sounds over which the voice came up, and no more than a second.
    """

    talkspurt: int
    at: float
    voiced: float
    voice: Voice = UNKNOWN_VOICE


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """Voice activity ceased; `at` is the time of its last voiced sample, `voiced` counts as in `SpeechContinued`."""

    talkspurt: int
    at: float
    voiced: float
    voice: Voice = UNKNOWN_VOICE


@dataclass(frozen=True, slots=True)
class PartlyTranscribed:
    """A streaming recognizer's guess of the utterance so far; each one replaces the one before."""

    utterance: int
    text: str


@dataclass(frozen=True, slots=True)
class Transcribed:
    """The words of an utterance up to the `Transcribe` command with this revision; empty text means no words."""

    utterance: int
    revision: int
    text: str


@dataclass(frozen=True, slots=True)
class TurnJudged:
    """How much (0..1) the voice up to the `JudgeTurn` command with this revision sounds like the end of a turn."""

    utterance: int
    revision: int
    score: float


@dataclass(frozen=True, slots=True)
class TranscriptionFailed:
    """The recognizer could not answer a `Transcribe` command."""

    utterance: int
    revision: int
    reason: str


@dataclass(frozen=True, slots=True)
class ReplyTextReceived:
    """The next piece of a reply's text, in order."""

    reply: int
    text: str


@dataclass(frozen=True, slots=True)
class ReplyToolComing:
    """The model has written more of a tool call, which is not whole yet."""

    reply: int


@dataclass(frozen=True, slots=True)
class ReplyToolRequested:
    """The model asks for a tool within a reply. `arguments` is a JSON object as text."""

    reply: int
    tool_call: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ReplyCompleted:
    """The model has sent all of a reply."""

    reply: int


@dataclass(frozen=True, slots=True)
class ReplyFailed:
    """The model failed; text that came before is kept."""

    reply: int
    reason: str


@dataclass(frozen=True, slots=True)
class SegmentStarted:
    """The first sample of a segment has its place on the line: `position` seconds into playback `epoch`."""

    segment: int
    epoch: int
    position: float
    text: str
    spoken: SpokenForm | None = None
    """How `text` is said; None for word by word as it is written."""
    resumed: bool = False
    """Its audio is what the command's `source` names, not made anew."""


@dataclass(frozen=True, slots=True)
class WordsPlaced:
    """Where the first words said in a segment begin: seconds within its audio. May come again with more words."""

    segment: int
    epoch: int
    starts: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class SegmentFinished:
    """All audio of a segment has its place on the line; it ends at `position` in `epoch`."""

    segment: int
    epoch: int
    position: float


@dataclass(frozen=True, slots=True)
class SegmentFailed:
    """The synthesizer could not speak a segment; what was already queued stays."""

    segment: int
    reason: str


@dataclass(frozen=True, slots=True)
class PlaybackReached:
    """The carrier says that the caller has heard `epoch` up to `position` seconds."""

    epoch: int
    position: float
    ahead: float = 0.0
    """Seconds of audio that the carrier has been sent behind it, and plays on with."""


@dataclass(frozen=True, slots=True)
class ToolReturned:
    """A tool finished, or was refused; `content` is a JSON object as text, meant for the model."""

    tool_call: str
    content: str
    expects: Expectation | None = None
    """What the caller will be asked for next, if the tool declares it."""
    interruptible: Interruptible | None = None
    """What may stop the agent when it speaks of it, if the tool declares it."""
    wrong: bool = False
    """The model asked for what there is not, or with arguments that cannot be used: it may try once more."""


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A tool answers in a later turn, by `ToolReturned`; `content`, a JSON object as text, tells the model so."""

    tool_call: str
    content: str


@dataclass(frozen=True, slots=True)
class CallerChanged:
    """Somebody else has the phone, says the tool call that this answers; `content`, a JSON object, is for the model.

    What was said and done before is not for them: no model is shown it any more.
    """

    tool_call: str
    content: str


@dataclass(frozen=True, slots=True)
class ToolProgressed:
    """What a tool that is under way would have the caller know; the newest words replace those not said yet."""

    tool_call: str
    words: str


@dataclass(frozen=True, slots=True)
class EffectProposed:
    """A tool with an effect is ready but for the caller's yes: `read_back` must be heard first."""

    tool_call: str
    proposal: str
    read_back: str
    content: str


@dataclass(frozen=True, slots=True)
class SecretRequested:
    """A tool needs a secret that only the caller may key in: `prompt` asks for it, `rules` say when it is whole."""

    tool_call: str
    prompt: str
    rules: EntryRules


@dataclass(frozen=True, slots=True)
class SecretProgress:
    """So many digits of a secret are there; which ones, the core never learns."""

    tool_call: str
    count: int


@dataclass(frozen=True, slots=True)
class SecretEntered:
    """The caller ended a secret, by the end key or by its length; `count` may still be too few."""

    tool_call: str
    count: int


@dataclass(frozen=True, slots=True)
class DigitPressed:
    """One keypad digit: 0-9, *, # or A-D; or `digits.MASKED` for one that may be a secret's."""

    digit: str


@dataclass(frozen=True, slots=True)
class EndRequested:
    """Something outside the conversation wants it to end politely (drain, operator, a tool)."""

    reason: Literal["shutdown", "operator", "handover", "agent"]
    tool_call: str = ""
    """The tool call that asked for it, if one did."""


@dataclass(frozen=True, slots=True)
class HandoverReturned:
    """How a hand-over went whose caller comes back to the agent: no event, but what `take_back` is given.

    `phrase` names the stock sentence that they hear at once; `content`, a JSON object as text, is for the model.
    """

    phrase: str
    content: str


Event = (
    LineOpened
    | LineClosed
    | CallerHungUp
    | SpeechStirred
    | SpeechStarted
    | SpeechContinued
    | SpeechStopped
    | PartlyTranscribed
    | Transcribed
    | TurnJudged
    | TranscriptionFailed
    | ReplyTextReceived
    | ReplyToolComing
    | ReplyToolRequested
    | ReplyCompleted
    | ReplyFailed
    | SegmentStarted
    | WordsPlaced
    | SegmentFinished
    | SegmentFailed
    | PlaybackReached
    | ToolReturned
    | ToolStarted
    | CallerChanged
    | ToolProgressed
    | EffectProposed
    | SecretRequested
    | SecretProgress
    | SecretEntered
    | DigitPressed
    | EndRequested
)
