"""Every seam of the system in one file: what a call needs from the world.

Audio crosses every port as **PCM16**: signed 16-bit little-endian, mono, at `LINE_RATE_HZ`.
Transports and vendors convert at their own edge. A port never calls the conversation and
never another port; the session carries facts from one to the other.

Each port is fitted by at least two very different implementations (a local model and a
streaming cloud vendor), and each has one contract suite under `tests/contracts/`.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, runtime_checkable

from talkspurt.core.history import Entry
from talkspurt.errors import ProviderError, ProviderFault, TransportError

LINE_RATE_HZ: Final = 8_000
"""Samples per second on a telephone line (G.711)."""


# ── the line ──────────────────────────────────────────────────────────────────────


class LineListener(Protocol):
    """What a transport tells its session. Called on the event loop; must not block or raise."""

    def audio_received(self, pcm: bytes, /) -> None:
        """20 ms of the caller (320 bytes), in order; gaps already filled with silence."""

    def digit_received(self, digit: str, /) -> None:
        """One keypad digit."""

    def mark_received(self, name: str, /) -> None:
        """The carrier returned a mark (also for audio that a `clear` dropped)."""

    def line_closed(self, *, hung_up: bool) -> None:
        """The attachment is over; `hung_up` when the carrier said so with a `stop`."""


class Transport(Protocol):
    """One media attachment of a call. All methods return at once and never raise on a dead line."""

    def listen(self, listener: LineListener, /) -> None:
        """Deliver what the line says to `listener` from now on."""

    def send_audio(self, pcm: bytes, /) -> None:
        """Queue audio of any length at the carrier, after what it already holds."""

    def send_mark(self, name: str, /) -> None:
        """Ask the carrier to say when everything sent so far has been played."""

    def clear(self) -> None:
        """Make the carrier forget what it has not played yet."""

    def close(self) -> None:
        """End the attachment in an orderly way. Idempotent."""


# ── hearing ───────────────────────────────────────────────────────────────────────


class VoiceActivityStream(Protocol):
    """One call's place in the shared detector."""

    def feed(self, pcm: bytes, /) -> None:
        """Add the caller's next audio, any length."""

    def close(self) -> None:
        """Give the place back. Idempotent."""


class VoiceActivityDetector(Protocol):
    """Tells voice from silence for all calls of a process at once.

    `steps()` runs batched inferences over all streams that have a whole window; each
    stream's callback then gets `(speech probability 0..1, samples covered so far)`.
    """

    window: int
    """Samples per decision."""

    def open(self, on_window: Callable[[float, int], None], /) -> VoiceActivityStream:
        """Start a stream for one call."""

    def steps(self) -> Iterator[None]:
        """Decide all complete windows; between two steps whoever takes them may do something else.

        The process's media clock begins to take them every 20 ms.
        """


@dataclass(frozen=True, slots=True)
class Transcript:
    """What a recognizer heard.

    `final` answers one `finalize` (same utterance and revision) and covers the utterance from
    its beginning; empty text means that there were no words. Without `final` it is a partial,
    `revision` 0. `error` is set instead of text when the recognizer failed, and `fault` says what went wrong; `failure`
    is the whole of it where more is known, such as how long the vendor asks to wait.
    """

    utterance: int
    revision: int
    text: str
    final: bool = True
    error: str | None = None
    fault: ProviderFault = "failed"
    failure: ProviderError | None = field(default=None, compare=False)


class RecognizerStream(Protocol):
    """One call's recognition. The synchronous methods never block and never raise."""

    def feed(self, pcm: bytes, /) -> None:
        """Add the caller's next audio; called for every frame, speech or not."""

    def begin(self, utterance: int, lead_in: float, /) -> None:
        """Words from `lead_in` seconds ago on belong to `utterance`."""

    def finalize(self, utterance: int, revision: int, /) -> None:
        """Ask for one final `Transcript` of the utterance up to now; perhaps again later, with a higher revision."""

    def end(self, utterance: int, /) -> None:
        """The utterance is over; forget its audio. Answers still to come may be dropped."""

    def transcripts(self) -> AsyncIterator[Transcript]:
        """Everything heard, until `aclose`. Every `finalize` is answered, with `error` if need be."""

    async def aclose(self) -> None:
        """Close the stream. Idempotent."""


@runtime_checkable
class CountsSent(Protocol):
    """A `RecognizerStream` that knows what its vendor will bill."""

    @property
    def sent_seconds(self) -> float:
        """Seconds of audio that the vendor was sent so far, what was sent again included."""


class Recognizer(Protocol):
    """Turns speech into text."""

    async def warm_up(self) -> None:
        """Load models or open connections, and answer once, so that the first call is not slower."""

    async def open(self, *, locale: str, call_id: str) -> RecognizerStream:
        """Start a stream for one call. Raises `ProviderError`."""

    async def aclose(self) -> None:
        """Release everything. Idempotent."""


class TurnDetector(Protocol):
    """Tells from the sound of a voice whether its turn is over. It may shorten a wait, never end a turn alone."""

    async def warm_up(self) -> None:
        """Load the model and judge once, so that the first call is not slower."""

    async def finished(self, pcm: bytes, /) -> float:
        """The probability (0..1) that the caller has finished, from their last seconds up to the pause.

        `pcm` ends with the silence heard so far; anything before the last eight seconds is not looked at.
        Raises `ProviderError`.
        """

    async def aclose(self) -> None:
        """Release everything. Idempotent."""


# ── thinking ──────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as a model is told of it. `parameters` is a JSON Schema object."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    lasting: bool = False
    """What it answers holds for the rest of the call (an effect, a verification): a model whose window is full forgets
    other turns first."""


@dataclass(frozen=True, slots=True)
class ReplyRequest:
    """All that a model may know: it keeps nothing between requests.

    In this order of change: `instructions` are the same for all calls of an agent, `caller_facts` for all turns of a
    call, and `history` only grows at its end. Vendors' prompt caches live on that.
    """

    instructions: str
    history: tuple[Entry, ...]
    tools: tuple[ToolSpec, ...]
    locale: str = "en-US"
    caller_facts: str = ""
    """What is known of this call when it begins, as text; "" for nothing."""
    reply: int = 0
    """The reply's number in its call, by which a model that speaks itself is asked for its speech (`OwnVoice`)."""
    pace: float = 1.0
    """How fast a model that speaks itself is to speak, as in the `Synthesizer` port."""
    continues: bool = False
    """`history` ends with the first words of a reply that broke off: the reply is what comes behind them."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the reply's text."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """So many letters more of a tool call that is being written: a sign that the model is at it, and no more than that.

    What may be used of the call comes once it is whole, as a `ToolCallPart`.
    """

    letters: int


@dataclass(frozen=True, slots=True)
class ToolCallPart:
    """A complete tool call. `arguments` is a JSON object as text; `tool_call` is unique within the call."""

    tool_call: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens used by one reply, at its end."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    """Those of the input that were cached."""
    audio_input_tokens: int = 0
    """Those of each that are sound and not text, of a model that hears and speaks itself."""
    audio_output_tokens: int = 0
    audio_cached_tokens: int = 0
    model: str = ""
    """Whose they are, by its name in the configuration; filled in where they are counted."""
    cut_off: bool = False
    """Whether a limit or a filter ended the reply, and not the model."""


ReplyPart = TextDelta | ToolCallDelta | ToolCallPart | Usage


class LanguageModel(Protocol):
    """Decides what the agent says and which tools it asks for."""

    async def warm_up(self) -> None:
        """Load models or open connections, so that the first call is not slower."""

    def reply(self, request: ReplyRequest, /) -> AsyncGenerator[ReplyPart, None]:
        """Stream one reply. Closing the generator cancels the request. Raises `ProviderError`."""

    async def aclose(self) -> None:
        """Release everything. Idempotent."""


# ── speaking ──────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class SpeechChunk:
    """The next audio of a segment.

    `words` are `(word, start second within the segment)` where the vendor has them: the whitespace-separated words of
    the text, each once and in order, ahead of their audio or little behind it, if need be in a chunk without any.
    """

    pcm: bytes
    words: tuple[tuple[str, float], ...] = field(default=())


class Synthesizer(Protocol):
    """Turns text into speech."""

    async def warm_up(self) -> None:
        """Load models or open connections, and speak once, so that the first call is not slower."""

    def synthesize(
        self, text: str, /, *, voice: str, locale: str, pace: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Stream the speech of one segment. `voice` is the vendor's own name or "" for its default.

        `pace` is relative to the voice's own: 0.8 speaks 0.8 times as fast, so it takes a quarter longer. Beyond what
        the vendor can do, it does what it can.

        Closing the generator cancels the request. Raises `ProviderError`.
        """

    async def aclose(self) -> None:
        """Release everything. Idempotent."""


# ── before it is needed ───────────────────────────────────────────────────────────


@runtime_checkable
class StaysConnected(Protocol):
    """A model or synthesizer, or what is made of several, whose connections can be opened before a call needs them."""

    async def keep_connected(self) -> None:
        """Have a connection open for the request that is about to come; asks nothing that costs. Raises nothing."""


async def keep_connected(provider: object) -> None:
    """Have a connection of the provider open, if it is one that has any; whoever wraps a provider hands this on."""
    if isinstance(provider, StaysConnected):
        await provider.keep_connected()


# ── all three at once ─────────────────────────────────────────────────────────────


class OwnVoice(Protocol):
    """The voice of a model that speaks its replies itself."""

    def speaks(self, reply: int, /) -> bool:
        """Whether this reply is one of the model's, so that its words need no synthesizer."""

    def speech(self, reply: int, written: str, /) -> AsyncGenerator[SpeechChunk, None] | None:
        """The model's own speech of these words of its reply, as it comes; None for words that it does not speak.

        It ends early with a `ProviderError` when the rest does not come. Asked again for the same words, it gives the
        same speech.
        """


@dataclass(frozen=True, slots=True)
class Stages:
    """Who hears, thinks and, if the model speaks itself, speaks in one call."""

    recognizer: Recognizer
    model: LanguageModel
    own_voice: OwnVoice | None = None
    """None: all is spoken by the synthesizer, as are words that are not the model's in any case."""


class SpeechToSpeech(Protocol):
    """A model that hears, thinks and speaks in one session a call, behind the ports of the stages that it replaces."""

    @property
    def transcribes(self) -> bool:
        """Whether the vendor itself writes down what the caller says."""

    async def warm_up(self) -> None:
        """Prove that a session can be had. Raises `ProviderError`."""

    def for_call(self, recognizer: Recognizer | None = None, /) -> Stages:
        """The stages of one call, which begins when its recognizer is opened and ends with that stream.

        `recognizer` writes down what the caller says where the model does not; None for nobody.
        """

    async def aclose(self) -> None:
        """Release everything. Idempotent."""


# ── remembering ───────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Call:
    """One telephone call, as the carrier's signed webhook announced it."""

    id: str
    carrier_id: str
    """The carrier's own id (Twilio: CallSid)."""
    caller: str
    """The caller's number in E.164, or "" when withheld. Never proof of identity."""
    dialled: str
    agent: str
    locale: str


class CallRecorder(Protocol):
    """Keeps what happens in calls. It never raises: what cannot be written is spooled or counted.

    Nor does it block, but for `write`, which is for what must not go on before it is stored.
    """

    def entry(self, call_id: str, entry: Entry, /) -> None:
        """Append one final entry to the call's transcript."""

    def snapshot(
        self,
        call_id: str,
        attachment: int,
        write: Callable[[], str],
        /,
        *,
        urgent: bool = False,
        at_once: bool = False,
    ) -> None:
        """Replace the call's stored state, which is this attachment's, by the JSON that `write` returns.

        That is the same whenever it is asked for, and costs something: it is asked for when it is stored, and not for a
        state that a newer one has replaced before. It is written within a moment, in one transaction with those of
        other calls; one that is `at_once` does not wait for them, and one that is `urgent` not even for the transcript.
        """

    async def write(self, call_id: str, patience: float, /) -> bool:
        """Store the state of this call, before those that wait; False when that could not be done in time.

        In `patience` seconds it is tried again and again; a try that is under way then is awaited.
        """


# ── handing over ──────────────────────────────────────────────────────────────────

HandoverKind = Literal["cold", "warm"]
"""cold: the caller is put through at once. warm: the caller waits until somebody was briefed and takes the call."""


@dataclass(frozen=True, slots=True)
class Leg:
    """An outgoing call to a person, for a warm hand-over."""

    handover: str
    """Our id of the hand-over, which all news of the leg must carry."""
    attempt: int
    """Which of its outgoing calls it is, from 1; news of another one is stale."""
    number: str
    """Whom to call, E.164."""
    shown: str
    """The number that they see: the one that the caller dialled."""
    ring: int
    """Seconds that their telephone rings."""
    detect_machine: bool = False


class Exchange(Protocol):
    """How a carrier puts callers through to people: what it can do, and the orders that it takes.

    What happens then (answered, busy, a key pressed, hung up) comes back as the carrier's own requests or
    events; whoever receives them tells `talkspurt.server.handover.flow`. A transport that cannot put anybody
    through has a `NoExchange`: its callers are offered a call-back.
    """

    kinds: frozenset[HandoverKind]
    """The hand-overs that it can do; empty for none."""

    async def ring(self, leg: Leg, /) -> str:
        """Call a person; returns the carrier's id of the outgoing call. Raises `TransportError`."""

    async def hang_up(self, carrier_id: str, /) -> None:
        """End a call, whatever it is doing; one that is over already is well. Raises `TransportError`."""

    async def recall(self, carrier_id: str, /) -> None:
        """Have the carrier ask at once how a caller's call goes on, whatever it plays. Raises `TransportError`."""

    async def aclose(self) -> None:
        """Release everything. Idempotent."""


class NoExchange:
    """For lines that end at us, such as a browser's: nobody can be put through, so callers are offered a call-back."""

    kinds: frozenset[HandoverKind] = frozenset()

    async def ring(self, leg: Leg, /) -> str:
        """Refuse."""
        raise TransportError("this line cannot make outgoing calls")

    async def hang_up(self, carrier_id: str, /) -> None:
        """There is no call of ours to end."""

    async def recall(self, carrier_id: str, /) -> None:
        """There is nobody to ask us."""

    async def aclose(self) -> None:
        """There is nothing to release."""


# ── doing ─────────────────────────────────────────────────────────────────────────


EffectState = Literal[
    "proposed",
    "read_back",
    "confirmed",
    "executing",
    "done",
    "failed",
    "in_doubt",
    "withdrawn",
    "refused",
    "expired",
    "resolved_done",
    "resolved_not_done",
]
"""Where an effect stands; docs/effects.md draws them."""


@dataclass(frozen=True, slots=True)
class EffectRecord:
    """One effect in the ledger. `arguments`, `facts` and `result` are canonical JSON text (sorted keys, no spaces)."""

    proposal: str
    call_id: str
    tool: str
    arguments: str
    state: EffectState
    result: str | None = None
    account: str | None = None
    """The verified account it was proposed for."""
    subject: str = ""
    """Whom its rate counts against: the account, or else the caller's number."""
    words: str = ""
    """What the caller is read back."""
    facts: str = "{}"
    """What the policy judged."""
    turn: int | None = None
    """Which of the caller's turns confirmed it, counted from 1."""
    key: str | None = None
    """Its idempotency key, once it is confirmed."""

    def sets_anew(self, other: "EffectRecord", sets: Collection[str] | None) -> bool:
        """Whether it sets what `other` sets to something else; `sets` are the arguments that name it (`Tool.sets`)."""
        unlike = self.arguments != other.arguments and (self.tool, self.account) == (other.tool, other.account)
        if sets is None or not unlike:
            return False
        mine, others = json.loads(self.arguments), json.loads(other.arguments)
        return all(mine.get(name) == others.get(name) for name in sets)


@dataclass(frozen=True, slots=True)
class EffectLimit:
    """At most `count` effects of a tool and subject within `seconds`; None is within this call."""

    count: int
    seconds: float | None


Happening = Literal["known", "recorded", "overruled", "twice"]
"""What is new in "this was done": nothing; that; somebody believed it was not; and it has been begun again since."""


class EffectLedger(Protocol):
    """Remembers the effects of one call, one committed transition at a time, so that none happens twice.

    It belongs to the process that owns the call. Raises `StoreError` when a transition could not be committed, and
    `StaleOwnerError` when another process has taken the call over; then nothing may be executed.
    """

    async def propose(
        self, record: EffectRecord, /, *, limits: Sequence[EffectLimit] = (), sets: Collection[str] | None = None
    ) -> EffectRecord:
        """Store a new proposal (or refusal); returns the earlier record if the call already did this, or may have.

        Such a record is executing, done, in doubt or resolved as done; of the others each may be proposed again, and so
        may one that a later effect of the call has set to something else (`EffectRecord.sets_anew`). While it is open
        whether that has happened, that effect is returned. Over one of the `limits` the proposal is stored, and
        returned, as refused.
        """

    async def read_back(self, proposal: str, /, *, heard_at: float) -> bool:
        """Proposed → read_back: it was heard, `heard_at` seconds into the call. False for any other state."""

    async def confirm(self, proposal: str, /, *, turn: int, key: str) -> bool:
        """Read_back → confirmed by that turn of the caller. False for any other state."""

    async def begin(
        self, proposal: str, /, *, patience: float, limits: Sequence[EffectLimit] = ()
    ) -> EffectRecord | None:
        """Confirmed → executing, once; None when it is not confirmed, or the same effect was begun by another proposal.

        Over one of the `limits` it becomes refused instead, and is returned so. After `patience` seconds without an
        outcome, whoever is doing it counts as gone.
        """

    async def finish(self, proposal: str, /, *, state: Literal["done", "failed", "in_doubt"], result: str) -> None:
        """Move executing to its outcome. Raises `SettledError` when somebody else has settled it."""

    async def hold(self, proposal: str, /, *, patience: float) -> None:
        """Executing or in doubt: it is still at it, nobody counts as gone for another `patience` seconds.

        Not fenced: what runs here runs, whosever the call is by now.
        """

    async def happened(self, proposal: str, /, *, result: str) -> Happening:
        """Executing, in doubt or resolved as not done → resolved_done, on the word of whoever carried it out.

        Not fenced, and above what anybody has looked up: it is the only one who knows.
        """

    async def refuse(self, proposal: str, /, *, result: str) -> None:
        """Anything that has not begun → refused, with what the model is told; any other state is left alone."""

    async def withdraw(self, proposal: str, /) -> None:
        """Anything that has not begun → withdrawn; any other state is left alone."""

    async def resolve(self, proposal: str, /, *, result: str | None) -> EffectRecord:
        """Executing or in doubt → resolved_done with its result, or resolved_not_done. Returns how it stands now.

        Not fenced: what a lookup found out is true whoever asks.
        """

    async def find(self, proposal: str, /) -> EffectRecord | None:
        """An effect of this call."""


class UnfinishedEffects(Protocol):
    """What effects of all calls have been left behind, for the sweeper. Raises `StoreError`."""

    async def any_waits(self, tools: Collection[str], /) -> bool:
        """Whether `expire`, or `claim` of `tools`, would find anything; a look that keeps nobody from writing."""

    async def claim(self, tools: Collection[str], /, *, most: int) -> tuple[EffectRecord, ...]:
        """Take effects that nobody executes any more, or that are in doubt, to oneself for a while: at most `most`,
        first those whose turn was the longest ago.

        `tools` can be looked up; what is in doubt of others is claimed until a person was told. Of several sweepers
        one gets each.
        """

    async def resolve(self, proposal: str, /, *, result: str | None) -> bool:
        """Executing or in doubt → resolved_done with its result, or resolved_not_done; False when it is neither."""

    async def doubt(self, proposal: str, /, *, result: str) -> bool:
        """Executing → in_doubt; True when a person has not been told of it yet, which is noted as done now."""

    async def expire(self) -> int:
        """What nobody can confirm any more → expired; returns how many."""

    async def untold(self) -> tuple[EffectRecord, ...]:
        """What was confirmed and not done, and whose caller has gone without having been told: each only once."""


AttemptOutcome = Literal["passed", "failed", "void"]


class VerificationAttempts(Protocol):
    """Counts who tried to be verified, so that nobody can guess. Raises `StoreError`; then nobody is verified."""

    async def take(self, *, call_id: str, number: str, per_call: int, per_number: int) -> str | None:
        """Begin an attempt, which counts as failed until it is closed.

        None when the call has none left, or the number has none today. A withheld number ("") is not counted by itself.
        """

    async def reserve(self, attempt: str, account: str, /, *, per_account: int) -> bool:
        """Count an attempt that has begun at an account, too; False when the account had none left today.

        Counting and deciding are one step: of many attempts at once, no more than `per_account` get True.
        """

    async def close(self, attempt: str, /, *, outcome: AttemptOutcome, accounts: Collection[str] = ()) -> None:
        """Say how an attempt ended and which accounts it may have been about; "void" is as if it had never been."""

    async def failed_for(self, account: str, /) -> int:
        """Failed attempts at an account within the last 24 hours."""

    async def left(self, *, call_id: str, number: str, per_call: int, per_number: int) -> int:
        """How many more attempts `take` would allow."""
