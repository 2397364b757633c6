"""Digits that nobody but one tool may know: where they are kept between the keypad and the tool.

A `SecretPad` sits beside the conversation. While it claims the keypad the session gives it every key; what it
tells the conversation is a count. The digits leave it once, by `take`, and are overwritten then, or by `discard`.

Keys go on being claimed for a while after an entry has ended. People press `#` behind an entry that was already
whole, or one digit too many, or only after the agent has given up: none of that may turn up as ordinary digits.
And whoever is told "that isn't right" keys it in once more before any tool asks: keys that come then, and that no
question asked for, are `masked`. So are those of a caller whom the model has asked for the secret itself, in place of
the tool that collects it.

What Python cannot promise: a `str` handed to a tool lives until the tool lets go of it.
"""

import json
import re
from typing import Any, Final

from talkspurt.core.digits import DIGITS, MASKED, EntryRules
from talkspurt.core.events import SecretEntered, SecretProgress

TRAILING: Final = 2.5
"""Seconds without a key behind an entry that was taken until the keypad is an ordinary one again. Not longer: the
agent may ask for an order number next."""
LATE: Final = 5.0
"""The same behind one that was given up: the caller may be about to press its first key, or the next."""
SECOND_TRY: Final = 30.0
"""Seconds behind an entry in which keys that nobody has asked for may be the same secret once more."""
BETWEEN_KEYS: Final = 3.0
"""Seconds between two keys of one such try, at most; an entry that nobody asked for is over after 2.3 without one."""
SHORTEST_MASKED: Final = 3
"""Shorter secrets would blank out ordinary numbers, and are none."""
MASK: Final = "***"


class SecretPad:
    """Collects one secret at a time. Times are seconds on any clock that never goes back."""

    def __init__(self) -> None:
        self._tool_call: str | None = None
        self._rules = EntryRules()
        self._digits = bytearray()
        self._ended = False
        self._claimed_until = 0.0
        self._masked_until = 0.0
        self._told = False
        """Whether the agent knows that keys were masked, and has yet to answer."""

    def collect(self, tool_call: str, rules: EntryRules) -> None:
        """Begin to collect for a tool call, from nothing; what was there before is wiped."""
        self._wipe()
        self._tool_call = tool_call
        self._rules = rules
        self._ended = False

    def claims(self, now: float) -> bool:
        """Whether keys are this pad's at `now`."""
        return self._tool_call is not None or now < self._claimed_until

    def mutes(self, now: float) -> bool:
        """Whether the tones of the keys are to be silenced at `now`."""
        return self.claims(now) or now < self._masked_until

    def masked(self, key: str, now: float, *, secret: bool = False) -> str:
        """What the conversation is told of a key that is not this pad's and that no question asked for.

        `secret`: the agent has asked for one, although no tool collects it.
        """
        if key not in DIGITS or not (secret or now < self._masked_until):
            return key
        # None of the entry that this key belongs to is told: `core.digits` waits no longer for its next.
        self._masked_until = max(self._masked_until, now + BETWEEN_KEYS)
        return MASKED

    def told(self) -> None:
        """The agent is told that keys were masked; what comes once it has answered and listens is meant for it."""
        self._told = True

    def listens(self) -> None:
        """The agent listens again."""
        if self._told:
            self._told = False
            self._masked_until = 0.0

    def press(self, key: str, now: float) -> SecretProgress | SecretEntered | None:
        """Take a key; returns what the conversation may know of it."""
        tool_call = self._tool_call
        if tool_call is None or self._ended:
            self._claimed_until = max(self._claimed_until, now + TRAILING)
            return None
        match self._rules.meaning(key):
            case "digit":
                self._digits += key.encode("ascii")
                self._ended = len(self._digits) >= self._rules.longest
            case "clear":
                self._wipe()
            case "end":
                self._ended = True
            case None:
                return None
        count = len(self._digits)
        return SecretEntered(tool_call, count) if self._ended else SecretProgress(tool_call, count)

    def take(self, tool_call: str, now: float) -> str | None:
        """Hand the digits over and forget them; None when there are none for this tool call."""
        if tool_call != self._tool_call:
            return None
        secret = self._digits.decode("ascii")
        self._close(now + TRAILING)
        return secret or None

    def discard(self, tool_call: str, now: float) -> None:
        """Wipe the digits of a tool call; another one's are left alone."""
        if tool_call == self._tool_call:
            self._close(now + LATE)

    def _close(self, claimed_until: float) -> None:
        self._wipe()
        self._tool_call = None
        self._claimed_until = claimed_until
        self._masked_until = claimed_until + SECOND_TRY
        self._told = False

    def _wipe(self) -> None:
        # Clearing alone would leave the digits in freed memory.
        self._digits[:] = bytes(len(self._digits))
        self._digits.clear()


def masked(content: str, secret: str) -> str:
    """`content`, the text of a JSON object, without the secret: a tool may have repeated it in what it says."""
    if len(secret) < SHORTEST_MASKED:
        return content
    parted = r"[\s.,\-–]*".join(map(re.escape, secret))
    pattern = re.compile(rf"(?<!\d){parted}(?!\d)")
    plain = json.loads(content)
    safe = _masked(plain, pattern)
    return content if safe == plain else json.dumps(safe, ensure_ascii=False)


def _masked(value: Any, pattern: re.Pattern[str]) -> Any:
    match value:
        case str():
            return pattern.sub(MASK, value)
        case dict():
            return {pattern.sub(MASK, key): _masked(entry, pattern) for key, entry in value.items()}
        case list():
            return [_masked(entry, pattern) for entry in value]
        case int() | float() if not isinstance(value, bool):
            return MASK if pattern.fullmatch(str(value)) else value
        case _:
            return value
