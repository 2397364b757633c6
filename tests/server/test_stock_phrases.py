"""What the runtime itself says is learnt when a server starts, or as soon as a voice speaks again."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

from talkspurt.agent import Agent, tool
from talkspurt.errors import ProviderError
from talkspurt.server.switchboard import FIRST_PAUSE, _learn_stock_phrases
from talkspurt.testing.virtual_time import run_virtual


@tool(filler="Let me ask the depot.")
async def ask_depot() -> str:
    """Ask the depot."""
    return "There it is."


class Voice:
    """Down until a moment of its loop's clock."""

    def __init__(self, until: float, *, retryable: bool = True) -> None:
        self.until = until
        self.retryable = retryable
        self.learnt: dict[str, float] = {}
        self.asked = 0

    def remembers(self, text: str, *, voice: str, locale: str, pace: float) -> bool:
        return text in self.learnt

    async def learn(self, text: str, /, *, voice: str, locale: str) -> None:
        self.asked += 1
        now = asyncio.get_running_loop().time()
        if now < self.until:
            raise ProviderError("synthesizer", "voice", "is down", retryable=self.retryable)
        self.learnt[text] = now


def learn(voice: Voice) -> None:
    agent = Agent(name="a", prompt="p", greeting="g", announcement="This call may be recorded.")
    equipped = replace(agent, tools=(ask_depot,))
    desks = {("a", "en-US"): SimpleNamespace(agent=agent, synthesizer=voice)}
    run_virtual(_learn_stock_phrases(cast(Any, desks), {"a": equipped}.__getitem__))


def test_stock_phrases_are_learnt_once() -> None:
    voice = Voice(0.0)
    learn(voice)
    assert {"This call may be recorded.", "Let me ask the depot."} <= voice.learnt.keys()
    assert voice.asked == len(voice.learnt)


def test_what_no_voice_would_speak_at_the_start_is_learnt_later() -> None:
    voice = Voice(FIRST_PAUSE * 2)
    learn(voice)
    assert "This call may be recorded." in voice.learnt
    # At the start, after a minute, and two minutes after that.
    assert voice.asked == 3 * len(voice.learnt)


def test_what_another_try_cannot_mend_is_not_paid_for_again() -> None:
    voice = Voice(1e9, retryable=False)
    learn(voice)
    assert (voice.learnt, voice.asked > 0) == ({}, True)
