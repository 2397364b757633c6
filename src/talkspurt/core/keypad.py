"""Keys that are no secret's: whose they are, and by which rules an entry of them is whole.

Keys go into one entry at a time. Its rules are fixed by what the caller was asked for when they began, so that five
digits of a ZIP code are over at once, and a pause within them is waited for longer. Not every key begins one:

- While nothing may stop the agent they are kept, and typed once it has finished.
- Once a tool has asked for a secret no key is told: the session's pad has them all. One that comes here all the
  same may be a digit of it.
- `#` behind an entry is the habit of those who end every entry by it, also one that has ended by itself.
"""

from typing import Final

from talkspurt.core.agent_side import AgentSide
from talkspurt.core.commands import Command, Count
from talkspurt.core.digits import ANY_ENTRY, Digits, EntryRules, rules_for
from talkspurt.core.language import Kind
from talkspurt.core.settings import Settings
from talkspurt.core.states import Closing, Ended, Floor, Lost, Opening, Speaking, Thinking, Typing

TRAILING: Final = 3.0
"""Seconds behind a whole entry within which an end key belongs to it: a little longer than the pause that ends one."""
KEYED: Final[frozenset[Kind]] = frozenset({"zip", "menu"})
"""What a question asks for that is keyed in and is surely no secret: "your PIN" is an identifier, too, and "the code
that we sent to your phone" a telephone number."""
KEPT_FROM_YOU: Final = (
    "(Some keys were pressed. They may be a secret, so they are kept from you. If a tool asks the caller for one, call "
    "it now; if not, ask the caller for what you need.)"
)
"""What the caller is taken to have said by keys that are masked (`effects/secrets.py`)."""


class Keypad:
    """The caller's keys. Commands go to the list it was given."""

    def __init__(self, settings: Settings, agent: AgentSide, commands: list[Command]) -> None:
        self._settings = settings
        self._agent = agent
        self._commands = commands
        self.ahead = ""
        """Keys pressed while nothing could stop the agent."""
        self.entered_at = -TRAILING
        """When the last entry became whole."""

    def press(self, floor: Floor, key: str, now: float) -> Typing | None:
        """Take a key; returns the entry that it went into. A first one interrupts the agent."""
        match floor:
            case Typing(digits, rules):
                return Typing(digits.press(key, now, rules), rules)
            case Opening() | Closing() | Lost() | Ended():
                self._commands.append(Count("digit_out_of_turn"))
            case _ if self._agent.secret is not None:
                self._commands.append(Count("digit_out_of_turn"))
            case _ if key == ANY_ENTRY.terminator and now < self.entered_at + TRAILING:
                self._commands.append(Count("digit_behind_entry"))
            case Thinking() | Speaking() if self._agent.interruptible == "never":
                self.ahead = (self.ahead + key)[: self._settings.max_digits]
            case _:
                self._agent.suspend(now)
                rules = self._rules
                return Typing(Digits(at=now).press(key, now, rules), rules)
        return None

    def take_ahead(self) -> str:
        """Hand over the keys that were kept."""
        ahead, self.ahead = self.ahead, ""
        return ahead

    @property
    def _rules(self) -> EntryRules:
        patience = self._settings.digit_patience
        # Nobody asked for an entry that has no first key: it was cleared, and its caller has a finger on the keys.
        open_end = EntryRules(longest=self._settings.max_digits, first=patience, finished=patience)
        return rules_for(self._agent.expectation, open_end)
