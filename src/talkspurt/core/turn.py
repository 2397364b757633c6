"""A turn of the agent: from the request for a reply until its last word was heard.

A turn has rounds. In each the model streams text and may ask for tools; when all tools
of the round have answered, the model is asked again. A turn that the caller speaks into is
suspended: what it would have said is held until it is clear whether there were words.
"""

from dataclasses import dataclass, field

from talkspurt.core.commands import Phrase, Source
from talkspurt.core.events import Interruptible


@dataclass(frozen=True, slots=True)
class Line:
    """Something to say; `tag` as in `Playback`."""

    text: str | Phrase
    tag: str = ""
    source: Source | None = None
    """Where the same words were spoken before, as in `Speak`."""
    reply: int | None = None
    """The reply whose words these are, as in `Speak`."""
    stock: bool = False
    """The rest of a stock sentence that was cut off; one that was not begun is a `Phrase`."""


@dataclass(frozen=True, slots=True)
class AgentTurn:
    """What is known of the agent's current turn."""

    before: int = 0
    """The last segment that was ordered before this turn."""
    reply: int | None = None
    """The reply that the model is still sending."""
    fed_at: float = 0.0
    """When the model last sent something, or was asked."""
    asked_at: float = 0.0
    """When the model was asked for that reply, be it while the caller's turn was not certain to be over."""
    text: str = ""
    """Text of the reply that makes no whole sentence yet."""
    tools: frozenset[str] = field(default_factory=frozenset)
    """Tool calls that this turn waits for."""
    asked: bool = False
    """Tools were asked for in this round, so another round follows."""
    went_wrong: bool = False
    """In this round the model asked for what there is not, or with arguments that cannot be used."""
    repairs: int = 0
    """How often it has been shown such a mistake."""
    rounds: int = 0
    attempts: int = 0
    """How often the model was asked again in this round."""
    broke_off: str = ""
    """What had been said when the reply before broke off: this one goes on behind it."""
    spoke: bool = False
    """Something was said in this round."""
    bridged: bool = False
    """The caller has been told that it takes a moment."""
    prompting: bool = False
    """The turn asks a silent caller whether they are there: it does not restart the silence."""
    interruptible: Interruptible = "voice"
    ending: str = ""
    """Why the call ends when this turn has been heard."""
    farewell: str = ""
    """The stock sentence that is still to be said before that."""
    followed_by: str = ""
    """What a turn of its own says once this one has been heard."""
    held: tuple[Line, ...] = ()
    """What is to be said once the turn goes on."""
    passed_over_at: float | None = None
    """When words of the caller were last passed over because they were brief."""


@dataclass(frozen=True, slots=True)
class RunningTool:
    """A tool that has not answered yet. It may outlive the turn that asked for it."""

    name: str
    arguments: str
    since: float
    executing: bool = False
    """A confirmed effect, which nothing cancels."""
    keyed: bool = False
    """It was handed the secret that it waited for: it is not asked for again."""
    news: str = ""
    """What it would have the caller know and they have not been told yet."""
    proposal: str = ""
    """The effect that is being executed."""
