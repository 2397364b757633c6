"""Level 2: a one-time code that is sent to what an account has on file, or a PIN, both keyed in.

    codes = OneTimeCodes(sender)
    Agent(..., tools=(*desk.tools(), *codes.tools()))

A code has six digits, lives five minutes, is used once, and may be mistaken three times. It is kept only as an Argon2
hash, and in this process: a call that moves to another one is sent a new code. It goes from the keypad to `check_code`
and nowhere else. Sources: RFC 9106 (Argon2id); NIST SP 800-63B, 5.1.3 (out-of-band codes: at least six digits,
short-lived, limited tries).
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, Protocol

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from talkspurt.agent.caller import Caller
from talkspurt.agent.keypad_secret import KeypadSecret
from talkspurt.agent.refusal import ToolError
from talkspurt.agent.tools import Tool, tool

DIGITS: Final = 6
LIFETIME: Final = 300.0
"""Seconds that a code may be used."""
TRIES: Final = 3

NO_CODE: Final = "There is no code to check any more. I can send a new one."
WRONG: Final = "That is not the code I sent."
WRONG_AND_GONE: Final = "That is not the code I sent, and it can't be used any more."

# RFC 9106, second recommendation, with less memory: many calls may check at once. Some 30 ms in a thread of its own.
_hasher: Final = PasswordHasher(time_cost=3, memory_cost=16 * 1024, parallelism=1)


class CodeSender(Protocol):
    """Brings a code to the owner of an account."""

    async def send(self, account: str, code: str, *, locale: str) -> str:
        """Send `code` to the number or address that `account` has on file, never to one that the caller names.

        Returns where it went in words that may be spoken to a stranger: "the number that ends in 12". Raises
        `ToolError` when the account has none, or it could not be sent.
        """


async def hash_pin(pin: str) -> str:
    """What to keep of a PIN: an Argon2id hash with its parameters and salt, as text."""
    return await asyncio.to_thread(_hasher.hash, pin)


async def pin_matches(kept: str, pin: str) -> bool:
    """Whether `pin` is the one whose hash was kept; False as well for a text that is no hash."""

    def matches() -> bool:
        try:
            return _hasher.verify(kept, pin)
        except (VerificationError, InvalidHashError):
            return False

    return await asyncio.to_thread(matches)


@dataclass(slots=True)
class _Issued:
    account: str
    kept: str
    until: float
    tries: int = TRIES


class OneTimeCodes:
    """The two tools that raise a caller of level 1 to level 2 by a one-time code."""

    def __init__(self, sender: CodeSender, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` counts seconds and never goes back."""
        self._sender = sender
        self._clock = clock
        self._issued: dict[str, _Issued] = {}
        """By call: only the newest code of a call counts."""

    def tools(self) -> tuple[Tool, ...]:
        """`send_code` and `check_code`, for `Agent(tools=…)`."""
        return self.send_code, self.check_code

    @tool(level=1, rate="3/call, 5/hour", filler="I'm sending you a code.")
    async def send_code(self, caller: Caller) -> dict[str, str]:
        """Send the verified caller a one-time code, to the number or address on file.

        Use it when something needs more than the caller has proven so far; then call check_code.
        """
        account = _account(caller)
        code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}d}"
        kept = await hash_pin(code)
        where = await self._sender.send(account, code, locale=caller.locale)
        now = self._clock()
        self._issued = {call: issued for call, issued in self._issued.items() if issued.until > now}
        self._issued[caller.call_id] = _Issued(account, kept, now + LIFETIME)
        return {"sent_to": where}

    @tool(level=1, verifies=2)
    async def check_code(
        self, caller: Caller, code: Annotated[str, KeypadSecret("Please key in the six digits.", length=DIGITS)]
    ) -> dict[str, bool]:
        """Check the one-time code that was sent to the caller."""
        account, issued = _account(caller), self._issued.get(caller.call_id)
        if issued is None or issued.account != account or issued.until <= self._clock() or issued.tries <= 0:
            raise ToolError(NO_CODE, attempted=False)
        # Taken before anything is awaited: two that check at once do not share a try.
        issued.tries -= 1
        if not await pin_matches(issued.kept, code):
            raise ToolError(WRONG if issued.tries else WRONG_AND_GONE, accounts=(account,))
        if self._issued.pop(caller.call_id, None) is not issued:
            raise ToolError(NO_CODE, attempted=False)
        caller.verify(account, level=2)
        return {"verified": True}


def _account(caller: Caller) -> str:
    assert caller.account is not None, "the dispatcher lets only verified callers in"
    return caller.account
