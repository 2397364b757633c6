"""What a tool with an effect is given, and what it says of itself.

`Effect` is injected like `Caller`; its key is what makes an effect happen once, wherever it happens. `ReadBack` is
what the caller hears before they agree, with the facts that the policy judges.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What will be done, in words for the caller and in facts for the policy.

    It is made again right before the effect: if anything in it has changed since the caller heard it, nothing is done.
    """

    words: str
    """Heard by the caller to the end before they can agree; only a closing question that says nothing else ("Shall I go
    ahead?") may be cut short."""
    amount_cents: int = 0
    """Money that moves, whichever way; what `max_amount_cents` of a policy limits."""
    status: str = ""
    """State of the thing acted on ("pending"); what `statuses` of a policy allow."""
    facts: Mapping[str, str | int] = field(default_factory=dict)
    """Anything else that a policy judges, by name."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One confirmed effect, as the tool that carries it out sees it.

    Hand `key` to whatever does it: an outside system that knows idempotency keys, or `talkspurt.agent.once` for a
    database of your own. The same key never stands for another call, tool, argument or confirmation.
    """

    key: str
    """64 hexadecimal digits: SHA-256 of call, tool, canonical arguments and the caller's turn that said yes."""
    tool: str
    call_id: str
    turn: int
    """Which of the caller's turns confirmed it, counted from 1."""
    read_back: ReadBack = ReadBack("")
    """What the caller heard and agreed to, as it was worded then: what is done must be that and nothing else."""


@dataclass(frozen=True, slots=True)
class AccountOf:
    """Marks a parameter that names an account: `account: Annotated[str, AccountOf()]`.

    The dispatcher compares it with the verified account, refuses any other, and passes the verified one on.
    """
