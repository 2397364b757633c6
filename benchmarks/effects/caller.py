"""The virtual caller: wants what its plan says, and acts on nothing but what it hears."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final, Protocol

from benchmarks.effects.ears import Said
from benchmarks.effects.line import spoken
from benchmarks.effects.log import CallLog
from benchmarks.effects.model import DONE
from benchmarks.effects.plan import CLEAR_NO, CLEAR_YES, UNCLEAR, CallPlan, Wish

LETTERS_PER_SECOND: Final = 30.0
PAUSE: Final = 0.8
"""Seconds of silence after which the agent is taken to have finished."""
PATIENCE: Final = 14.0
"""Seconds that the caller waits for anything."""
TRIES: Final = 3
"""How often a wish is asked for before the caller gives it up."""


class HungUpError(Exception):
    """The caller's own decision to end the call."""


Meet = Callable[[], Awaitable[None]]
"""Waits until another caller is about to agree, too."""


async def alone() -> None:
    """Nobody else calls."""


class Handset(Protocol):
    """The caller's end of whichever line is up."""

    @property
    def is_up(self) -> bool:
        """Whether somebody is at the other end."""

    @property
    def audible_at(self) -> float:
        """When the agent was last heard."""

    def speak(self, seconds: float) -> None:
        """Have a voice on the line."""

    def press(self, digit: str) -> None:
        """Press a key."""


class VirtualCaller:
    """Holds one call; `hold` returns or raises `HungUpError` when the caller hangs up."""

    def __init__(
        self, plan: CallPlan, log: CallLog, handset: Handset, said: list[Said], chance: Random, *, meet: Meet
    ) -> None:
        self._plan = plan
        self._log = log
        self._handset = handset
        self._said = said
        self._chance = chance
        self._meet = meet
        self._silent_since = 0.0
        """When the caller last fell silent."""

    async def hold(self) -> None:
        """Say all that is left to be said: a caller whose call was taken over goes on with the wish they were at."""
        begun = [entry["number"] for entry in self._log.of("wish")]
        self._silent_since = self._now
        await self._quiet()
        if self._plan.verifies:
            await self._verify()
        for number in range(max(begun, default=0), len(self._plan.wishes)):
            wish = self._plan.wishes[number]
            self._log.add("wish", number=number)
            await self._pursue(wish, changed_mind=number not in begun)
        self._log.add("wish", number=len(self._plan.wishes))
        if self._chance.random() < 0.5:
            await self._say("do end_call {}")
            await asyncio.sleep(PATIENCE)
        raise HungUpError

    async def _verify(self) -> None:
        """Also before a wish is repeated: another worker may have taken over, who does not know the caller any more."""
        await self._say(f"do verify_caller {json.dumps({'email': self._plan.email})}")
        await self._quiet()

    # ── one wish ──────────────────────────────────────────────────────────────────

    async def _pursue(self, wish: Wish, *, changed_mind: bool) -> None:
        """Ask until it is done or refused. The first time it is answered as planned (`changed_mind`), then with yes."""
        answer = wish.answer if changed_mind else "yes"
        for attempt in range(TRIES):
            if attempt and self._plan.verifies:
                await self._verify()
            asked_at = self._now
            await self._say(f"do {wish.tool} {json.dumps(wish.arguments)}")
            early = answer in ("early", "cut_in", "vanish")
            if not await self._read_back(wish.subject, asked_at, whole=not early):
                await self._quiet()
                if self._settled(wish.subject, asked_at):
                    break
                continue
            await self._answer(answer)
            if answer == "no":
                await self._quiet()
                return
            await self._quiet()
            if self._settled(wish.subject, asked_at):
                break
            answer = "yes"
        if wish.again and wish.answer in ("yes", "together"):
            asked_at = self._now
            await self._say(f"do {wish.tool} {json.dumps(wish.arguments)}")
            if await self._read_back(wish.subject, asked_at, whole=True):
                await self._say(self._chance.choice(CLEAR_YES))
            await self._quiet()

    async def _answer(self, answer: str) -> None:
        chance = self._chance
        match answer:
            case "yes":
                await asyncio.sleep(chance.choice((0.05, 0.3, 0.9)))
                await self._say(chance.choice(CLEAR_YES))
            case "together":
                await self._meet()
                await asyncio.sleep(self._plan.reaction)
                await self._say(chance.choice(CLEAR_YES))
            case "no":
                await asyncio.sleep(0.4)
                await self._say(chance.choice(CLEAR_NO))
            case "unclear":
                await self._say(chance.choice(UNCLEAR))
            case "early":
                await self._say(chance.choice(CLEAR_YES))
            case "cut_in":
                await self._say(chance.choice(("wait a second", "hello can you hear me", "mm-hm")))
            case "late":
                heard = self._handset.audible_at
                await self._until(lambda: self._handset.audible_at > heard + 5.0, 25.0)
                await self._until(lambda: self._now > self._handset.audible_at + PAUSE, PATIENCE)
                await self._say(chance.choice(CLEAR_YES))
            case "keypad":
                self._handset.press("1")
                await asyncio.sleep(3.5)
            case "vanish":
                raise HungUpError
            case "yes_and_gone":
                await asyncio.sleep(0.4)
                await self._say(chance.choice(CLEAR_YES))
                await asyncio.sleep(chance.choice((0.0, 0.3, 0.8, 1.2, 2.0)))
                raise HungUpError

    async def _read_back(self, subject: str, since: float, *, whole: bool) -> bool:
        """Wait until the subject was named and the agent has asked, or (not `whole`) is in the middle of it."""
        # Of an order a long read-back names the last four digits only.
        named = _letters(spoken(" ".join(subject[-4:]) if subject.startswith("W") else subject))

        def heard() -> bool:
            return named in self._heard(since)

        def over() -> bool:
            return self._now > self._silent_since + 4.0 and self._now > self._handset.audible_at + 1.5

        await self._until(lambda: heard() or over(), PATIENCE)
        if not heard():
            return False
        if whole:
            await self._quiet(0.3)
        else:
            await asyncio.sleep(self._chance.uniform(0.0, 1.5))
        return not self._settled(subject, since)

    def _settled(self, subject: str, since: float) -> bool:
        """Whether the agent has said of the subject that it is done, or said sorry."""
        heard = self._heard(since)
        return _letters(spoken(f"{DONE}, {subject}")) in heard or "sorry" in heard

    def _heard(self, since: float) -> str:
        """Letters and digits of what was heard since then, without anything between them."""
        words = (entry["text"] for entry in self._log.of("heard") if entry["at"] >= since)
        return _letters("".join(words))

    # ── doing ─────────────────────────────────────────────────────────────────────

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _say(self, text: str) -> None:
        await self._until(lambda: self._handset.is_up, 30.0)
        now, seconds = self._now, max(0.5, len(text) / LETTERS_PER_SECOND)
        self._said.append(Said(now, now + seconds, text))
        self._log.add("said", text=text, until=round(now + seconds, 3))
        self._handset.speak(seconds)
        await asyncio.sleep(seconds)
        self._silent_since = self._now

    async def _quiet(self, pause: float = PAUSE) -> None:
        """Wait until the agent has answered what the caller said last, and is quiet again."""
        await self._until(lambda: self._handset.audible_at > self._silent_since, PATIENCE)
        await self._until(lambda: self._now > self._handset.audible_at + pause, PATIENCE)

    async def _until(self, happened: Callable[[], bool], patience: float) -> None:
        end = self._now + patience
        while not happened() and self._now < end:  # noqa: ASYNC110 - a caller who listens
            await asyncio.sleep(0.06)


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
