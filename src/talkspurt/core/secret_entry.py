"""A secret that the caller keys in, as the core sees it: how many digits there are, and when.

The digits themselves are collected beside the core (`effects/secrets.py`) and never come here, so nothing that is
made of the core's state or events (history, journal, snapshot, log) can hold them.

    CollectSecret ─→ waiting ─ enough digits, and end key, full length or a pause ─→ whole       ─→ RunWithSecret
                       │ ├──── too few of them, for the first time ───────────────→ again       ─→ CollectSecret
                       │ └──── too few of them again, or too long ────────────────→ abandoned   ─→ DiscardSecret
                       └────── the caller says something instead (the conversation knows) ───────→ DiscardSecret

The wait for the first key begins when the prompt has been heard (`heard`), not when it was ordered.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

from talkspurt.core.digits import EntryRules

PROMPTS: Final = 2
"""How often the caller is asked before the tool is told that they did not enter it."""
LONGEST: Final = 60.0
"""Seconds after which collecting ends whatever is pressed: no entry of this kind takes half of it."""

NOT_ENTERED: Final = '{"error":{"kind":"refused","message":"The caller did not key it in."}}'
"""The tool's answer when the secret was discarded."""

Standing = Literal["waiting", "whole", "again", "abandoned"]
"""`again`: ask once more and collect from nothing; the next key or `heard` makes it `waiting`."""


@dataclass(frozen=True, slots=True)
class SecretEntry:
    """A secret that is being keyed in for a tool call. Every method returns the entry after the fact."""

    tool_call: str
    prompt: str
    rules: EntryRules
    began: float
    """When it was asked for; bounds the whole."""
    since: float
    """When the last key was pressed or the prompt was heard: the patience counts from here."""
    pressed: int = 0
    prompts: int = 1
    standing: Standing = "waiting"

    @classmethod
    def begin(cls, tool_call: str, prompt: str, rules: EntryRules, now: float) -> "SecretEntry":
        """Return an entry that has just been asked for."""
        return cls(tool_call, prompt, rules, began=now, since=now)

    @property
    def deadline(self) -> float:
        """When `expire` is due, once the prompt has been heard."""
        return min(self.since + self.rules.patience(self.pressed), self.began + LONGEST)

    def heard(self, now: float) -> "SecretEntry":
        """Begin to wait: the caller has heard the prompt."""
        if self._over:
            return self
        return replace(self, since=max(self.since, now), standing="waiting")

    def progress(self, count: int, now: float) -> "SecretEntry":
        """`count` digits are there now; 0 when the caller cleared them."""
        if self._over:
            return self
        return replace(self, pressed=count, since=now, standing="waiting")

    def entered(self, count: int, now: float) -> "SecretEntry":
        """The caller has ended the entry, by the end key or by its length."""
        if self._over:
            return self
        return replace(self, pressed=count, since=now)._judged(now)

    def expire(self, now: float) -> "SecretEntry":
        """No key came in time."""
        if self._over:
            return self
        if now >= self.began + LONGEST:
            return replace(self, since=now, standing="abandoned")
        return self._judged(now)

    @property
    def _over(self) -> bool:
        return self.standing in ("whole", "abandoned")

    def _judged(self, now: float) -> "SecretEntry":
        if self.rules.shortest <= self.pressed <= self.rules.longest:
            return replace(self, standing="whole")
        if self.prompts >= PROMPTS:
            return replace(self, standing="abandoned")
        return replace(self, pressed=0, since=now, prompts=self.prompts + 1, standing="again")
