"""The frozen rules of one conversation: timings in seconds, policies, and the language it is held in.

Every constant has its reason beside it. Timings that users set come from `[conversation]`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from talkspurt.core.barge_in import BargeIn
from talkspurt.core.endpointing import Endpointing
from talkspurt.core.events import Interruptible
from talkspurt.core.language import Language, NoLanguage


@dataclass(frozen=True, slots=True)
class Menu:
    """Keys that stand for what a caller might say."""

    offer: str
    """All of them in words: "For your order, press 1. ..."."""
    words: tuple[tuple[str, str], ...]
    """By key: what the caller is taken to have said."""

    def said(self, key: str) -> str | None:
        """The words of `key`; None when it was not offered."""
        return dict(self.words).get(key)


@dataclass(frozen=True, slots=True)
class Settings:
    """How a conversation is held, and how long it waits for what."""

    greeting: str = "Hello."
    announcement: str = ""
    """Said before the greeting and never interrupted: what the law wants callers to hear."""
    language: Language = field(default_factory=NoLanguage)
    endpointing: Endpointing = field(default_factory=Endpointing)
    barge_in: BargeIn = field(default_factory=BargeIn)
    interruptible: Interruptible = "voice"
    """What may stop the agent's replies."""
    cancellable: frozenset[str] = frozenset()
    """Tools that a barge-in cancels; all others go on, and their answers land in history."""
    speculative: bool = True
    """Whether the model may be asked before the caller's turn is certain to be over."""
    transcript_patience: float = 2.8
    """How long after the caller's last voice a transcript may still come before the agent says that it did not hear: no
    silence is longer than 3 s. From `filler_after` on, once the turn may be over, the wait for it is bridged."""
    max_utterance: float = 30.0
    """Whisper's window; longer monologues (music, a television) are answered in the middle."""
    min_miss_voiced: float = 0.5
    """Voice without words that earns a "sorry?": shorter is a cough or a click, unless the recognizer has failed."""
    silence_prompt: float = 10.0
    """Silence of both sides until the agent asks whether the caller is there."""
    silence_offer: float = 20.0
    """Silence until it offers help."""
    silence_hangup: float = 30.0
    """Silence until it says goodbye: by then it has asked twice, and the line costs money."""
    max_call: float = 1800.0
    """The longest call: a bound for what a caller who never hangs up may cost."""
    filler_after: float = 1.25
    """Dead air after the caller's last voice until the agent says that it is busy: it is heard 0.12 s later
    (0.22 s on a slow day; measured by bench-faults), by 1.5 s; callers ask "hello?" after 2 s."""
    filler_by: float = 1.3
    """The same when the caller's words were late and what is waited for has only just begun, later than the turn: it
    gets no longer than this. What began with the turn gets `least_preparing`."""
    late_words: float = 0.3
    """Seconds beyond its pause from which a turn's words were late: a local recognizer takes that."""
    least_preparing: float = 0.3
    """Seconds that a model, a tool, a synthesizer, and all that follows when the caller's turn is over, get before
    the waiting is bridged: a filler right before the answer only delays it."""
    longest_silence: float = 1.9
    """Dead air that is bridged whatever is usual."""
    tool_filler_after: float = 1.0
    """Seconds of a tool that are bridged in any case."""
    progress_after: float = 2.3
    """Silence until a caller who has been told to wait hears more: nobody waits in silence for three seconds, nor where
    a busy machine is late by half a second (measured by bench-faults with all vendors down)."""
    waiting_prompt: float = 10.0
    """The same while a tool that answers later is all that is under way and has no news: they can talk meanwhile."""
    reply_timeout: float = 9.0
    """A model that has sent nothing for this long is asked once more, then the agent apologises."""
    tool_times: Mapping[str, float] = field(default_factory=dict)
    """Seconds that each tool's own functions may take, as it declares."""
    tool_timeout: float = 20.0
    """Watchdog only, beyond the tool's own time: the dispatcher's limits are shorter."""
    segment_timeout: float = 8.0
    """A synthesizer that has not begun a segment for this long has failed."""
    playback_patience: float = 3.0
    """How late the carrier's mark may be, after the audio must have been played."""
    closing_timeout: float = 12.0
    """Watchdog: the longest goodbye of the bundled locale has 85 characters, of which a voice says 17 in a second."""
    opening_timeout: float = 15.0
    """Watchdog: a call whose line does not open has no caller."""
    lost_line_patience: float = 20.0
    """The carrier redials the media socket at once; a caller does not wait longer in silence."""
    digit_patience: float = 2.3
    """Silence between digits that ends a keypad entry: ITU-T E.180 leaves it open; IVRs use 2 to 4 s. As above, whoever
    has pressed a single key hears something within three seconds."""
    max_digits: int = 32
    """Of one keypad entry that nobody asked for, twice a card number: with it the entry is taken for finished."""
    max_tool_rounds: int = 6
    """Times in one turn that a model may ask for tools and get their answers: it is not left to go in circles."""
    max_failures: int = 3
    """Turns in a row without a reply before the agent gives up politely."""
    max_misses: int = 3
    """Turns in a row without words before the agent offers the `menu`, or gives up politely if it has none."""
    menu: Menu | None = None
    """What keys can ask for when a caller cannot be heard."""
