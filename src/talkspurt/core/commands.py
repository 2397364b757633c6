"""Orders of a conversation to its session: a closed union, named in the imperative.

Commands are idempotent; failure comes back as an event with the same id.
"""

from dataclasses import dataclass, field

from talkspurt.core.digits import EntryRules
from talkspurt.core.history import Entry


@dataclass(frozen=True, slots=True)
class Phrase:
    """A stock sentence by name, worded per locale outside the core; `arguments` fill its blanks."""

    name: str
    arguments: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """Audio that was made already: that of `segment`, from its word number `word` on, `offset` seconds into it."""

    segment: int
    word: int
    offset: float


@dataclass(frozen=True, slots=True)
class BeginUtterance:
    """Words from `at` on belong to `utterance`."""

    utterance: int
    at: float


@dataclass(frozen=True, slots=True)
class Transcribe:
    """Say what the utterance holds up to now; answered by `Transcribed` or `TranscriptionFailed`."""

    utterance: int
    revision: int


@dataclass(frozen=True, slots=True)
class JudgeTurn:
    """Say whether the caller sounds as if they had finished; answered by `TurnJudged`, or not at all."""

    utterance: int
    revision: int


@dataclass(frozen=True, slots=True)
class EndUtterance:
    """The utterance is over; its audio may be forgotten."""

    utterance: int


@dataclass(frozen=True, slots=True)
class KnowVoice:
    """The utterance was the caller's own: what it sounds like tells their voice from others from now on."""

    utterance: int
    insisted: bool = False
    """It was taken for somebody else's, and answered because they insisted: they are the caller now."""


@dataclass(frozen=True, slots=True)
class RequestReply:
    """Ask the language model to go on from `history`."""

    reply: int
    history: tuple[Entry, ...]
    continues: bool = False
    """Its last words are the first of a reply that broke off: only the rest is asked for."""


@dataclass(frozen=True, slots=True)
class CancelReply:
    """Nobody waits for this reply any more."""

    reply: int


@dataclass(frozen=True, slots=True)
class Prepare:
    """Synthesize this text ahead: it will be spoken if the guess at the caller's turn holds."""

    reply: int
    text: str


@dataclass(frozen=True, slots=True)
class Speak:
    """Put a segment on the line, after those before it, in playback `epoch`."""

    segment: int
    epoch: int
    text: str | Phrase
    source: Source | None = None
    """Where the same words were spoken before; without that audio, or all of it, speak `text` anew."""
    pace: float = 1.0
    """How fast, as in the `Synthesizer` port."""
    ahead: bool = False
    """Put it before the segment whose first audio is late; once that has come, not at all."""
    reply: int | None = None
    """The reply whose words these are, for a model that speaks them itself; None for the runtime's own."""


@dataclass(frozen=True, slots=True)
class StopPlayback:
    """Clear the line and forget every segment that is not of playback `epoch` or later."""

    epoch: int


@dataclass(frozen=True, slots=True)
class DropStopped:
    """Nothing that was stopped up to now is gone on with: it need not be made to its end."""


@dataclass(frozen=True, slots=True)
class RunTool:
    """Run a tool the model asked for; answered by `ToolReturned`, `EffectProposed` or `SecretRequested`.

    By `ToolStarted`, too, with the `ToolReturned` in a later turn.
    """

    tool_call: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ForgetCaller:
    """Somebody else is the caller now: nobody is verified; answered by `CallerChanged`.

    If nobody was anyway, by `ToolReturned`: then a model is shown all that was said.
    """

    tool_call: str


@dataclass(frozen=True, slots=True)
class NoteReadBack:
    """The carrier has proven that the caller heard all of a read-back but its closing question: write it down."""

    proposal: str
    at: float


@dataclass(frozen=True, slots=True)
class ExecuteEffect:
    """The caller heard the read-back and said yes: execute the proposal; answered by `ToolReturned`."""

    tool_call: str
    proposal: str
    turn: int
    """Which of the caller's turns said yes, counted from 1."""


@dataclass(frozen=True, slots=True)
class WithdrawEffect:
    """The caller did not confirm: the proposal can never be executed."""

    proposal: str


@dataclass(frozen=True, slots=True)
class CancelTool:
    """Nobody waits for this tool any more; its result will be ignored."""

    tool_call: str


@dataclass(frozen=True, slots=True)
class CollectSecret:
    """Keep the digits that come now to yourself, from nothing; answered by `SecretProgress` and `SecretEntered`."""

    tool_call: str
    rules: EntryRules


@dataclass(frozen=True, slots=True)
class RunWithSecret:
    """Run the tool with the digits it waited for, which are handed over once; answered by `ToolReturned`."""

    tool_call: str


@dataclass(frozen=True, slots=True)
class DiscardSecret:
    """The secret is not wanted any more: wipe its digits, and forget the tool call that asked for it."""

    tool_call: str


@dataclass(frozen=True, slots=True)
class Record:
    """Append one entry to the call's stored transcript."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Count:
    """An anomaly for the metrics, from a closed set of names; never the caller's words."""

    name: str
    detail: str = field(default="")


@dataclass(frozen=True, slots=True)
class EndCall:
    """Hang up. `reason` is the call's end reason in store, metrics and dashboard."""

    reason: str


Command = (
    BeginUtterance
    | Transcribe
    | JudgeTurn
    | EndUtterance
    | KnowVoice
    | ForgetCaller
    | RequestReply
    | CancelReply
    | Prepare
    | Speak
    | StopPlayback
    | DropStopped
    | RunTool
    | NoteReadBack
    | ExecuteEffect
    | WithdrawEffect
    | CancelTool
    | CollectSecret
    | RunWithSecret
    | DiscardSecret
    | Record
    | Count
    | EndCall
)
