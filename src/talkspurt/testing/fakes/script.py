"""What a fake vendor is told to do: the words it answers with, how fast, and how it fails.

One script serves all chat vendors, so that a test can be run against each.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class Fault(StrEnum):
    """How an answer goes wrong after it was accepted. A refusal is a `status` of its own."""

    HANG = "hang"
    """Accepts the request and never answers."""
    STALL = "stall"
    """Sends the first piece and then nothing more, with the connection open."""
    BREAK = "break"
    """Drops the connection after the first piece, in the middle of the response."""
    CUT_SHORT = "cut short"
    """Ends the response in an orderly way after the first piece, without the protocol's own end."""
    GARBAGE = "garbage"
    """Sends something after the first piece that is not of the protocol."""
    REPORT = "report"
    """Reports an error inside the stream after the first piece."""
    DRIP = "drip"
    """Sends the first piece byte by byte, so slowly that nothing useful is whole in time."""
    WRONG_TYPE = "wrong type"
    """Answers with status 200 and a web page, as a proxy on the way does."""


class Outage(StrEnum):
    """What is wrong with a whole vendor until it is mended: the fault switchboard of the fakes.

    Each fake knows those that its transport and format have (`FakeVendor.outages`); two are of tools, so of language
    models only.
    """

    RATE_LIMITED = "429"
    """Every request is refused with status 429 and `Retry-After: 2`."""
    SERVER_ERROR = "500"
    EXPIRED_KEY = "expired key"
    REFUSED = "refused connection"
    HUNG_CONNECT = "hung connect"
    """Nobody answers to a connection, as behind a firewall that drops packets."""
    HALF_OPEN = "half-open socket"
    """Connections stay open, those of before too, and nothing goes through in either direction."""
    HUNG = "hung"
    """Requests are accepted and never answered."""
    HUNG_MID_STREAM = "hung mid-stream"
    DRIP = "slow drip"
    TRUNCATED = "truncated stream"
    DROPPED = "dropped connection"
    GARBAGE = "garbage"
    REPORT = "error in the stream"
    WRONG_TYPE = "wrong content type"
    MALFORMED_TOOL = "malformed tool JSON"
    UNKNOWN_TOOL = "unknown tool"
    EMPTY = "empty reply"


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool call in a scripted reply. `id` "" stands for a fresh one; `arguments` is sent in fragments."""

    name: str
    arguments: str = "{}"
    id: str = ""


@dataclass(frozen=True, slots=True)
class ModelReply:
    """One scripted reply of a chat model: `text` piece by piece, then `tool_uses`."""

    text: tuple[str, ...] = ()
    tool_uses: tuple[ToolUse, ...] = ()
    status: int = 200
    reason: str = ""
    """The vendor's word for why it refuses with `status`; "" for the usual one."""
    retry_after: float | None = None
    """Seconds that the caller is asked to wait, beside a `status` that refuses."""
    fault: Fault | None = None
    delay: float = 0.0
    """Seconds before the first piece."""
    gap: float = 0.0
    """Seconds between two pieces, those of a tool call's arguments among them."""
    cut_off: bool = False
    """Whether the model used up its tokens with it: then the arguments of its last tool call are the half of them."""
    usage: tuple[int, int, int] = field(default=(11, 7, 3))
    """Tokens: input (cached ones included), output, cached."""


def fragments(arguments: str, length: int = 7) -> list[str]:
    """`arguments` in pieces as vendors stream them: cut anywhere, at least one."""
    return [arguments[start : start + length] for start in range(0, len(arguments), length)] or [""]


@dataclass(frozen=True, slots=True)
class Speech:
    """How one synthesis goes; the sound itself follows from the text."""

    status: int = 200
    reason: str = ""
    """The vendor's word for why it refuses with `status`; "" for the usual one."""
    retry_after: float | None = None
    """Seconds that the caller is asked to wait, beside a `status` that refuses."""
    fault: Fault | None = None
    delay: float = 0.0
    """Seconds before the first piece."""
    gap: float = 0.0
    """Seconds between two pieces."""
    alignment: bool = True
    """Whether the times of the characters are sent, by vendors that have them."""
    mute: bool = False
    """Whether the answer holds no sound at all."""
