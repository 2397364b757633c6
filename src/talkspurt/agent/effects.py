"""What a tool with an effect is given, and what it says of itself.

`Effect` is injected like `Caller`; its key is what makes an effect happen once, wherever it happens. `ReadBack` is
what the caller hears before they agree, with the facts that the policy judges.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from talkspurt.agent.plain_text import message
from talkspurt.agent.refusal import ToolError

_QUESTION: Final = re.compile(r"(?<=[.!?])\s+[^.!?]*\?$")
"""The question that closes a read-back."""


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What will be done, in words for the caller and in facts for the policy.

    It is made again right before the effect: if anything in it has changed since the caller heard it, nothing is done.
    """

    words: str
    """Heard by the caller to the end before they can agree; only a closing question that says nothing else ("Shall I go
    ahead?") may be cut short."""
    amount_cents: int | None = None
    """Money that moves, whichever way; what `max_amount_cents` of a tool or policy limits. None: it is not stated,
    which a limit refuses."""
    status: str = ""
    """State of the thing acted on ("pending"); what `statuses` of a policy allow."""
    facts: Mapping[str, str | int] = field(default_factory=dict)
    """Anything else that a policy judges, by name."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """What arguments were found to mean, by name, where a model passes on the caller's own words: `order_id="W2378156"`
    for "my latest order". From here on they take the place of what was said, in the ledger and for the tool, so that
    the same words may mean something else later. With them the tool has to say and do the same as with the words."""

    def changed(self, now: "ReadBack") -> str | None:
        """What is different in `now`, in sentences for the caller; None when nothing is."""
        if self.amount_cents != now.amount_cents:
            what = "The amount"
        elif self.status != now.status:
            what = "The state of it"
        elif message(self.words) != message(now.words) or (self.facts, self.arguments) != (now.facts, now.arguments):
            what = "What was read back"
        else:
            return None
        return (
            f"{what} has changed since, so nothing was done. Now it would be: {_QUESTION.sub('', message(now.words))}"
        )


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

    def require_unchanged(self, now: ReadBack | str) -> None:
        """Raises `ToolError`, which says what has changed, unless the caller agreed to `now`.

        For a tool that holds what it is about to change, so that nothing can change any more; `talkspurt.agent.once`
        does it by itself. An effect whose read-back is not known was never agreed to.
        """
        changed = self.read_back.changed(ReadBack(now) if isinstance(now, str) else now)
        if changed is not None:
            raise ToolError(changed)


@dataclass(frozen=True, slots=True)
class AccountOf:
    """Marks a parameter that names an account: `account: Annotated[str, AccountOf()]`.

    The dispatcher compares it with the verified account, refuses any other, and passes the verified one on.
    """
