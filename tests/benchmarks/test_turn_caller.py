"""The caller of the turn-taking benchmark answers what was asked."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from benchmarks.turns.artefacts import Span
from benchmarks.turns.brain import ENTITY_QUESTIONS
from benchmarks.turns.caller import BEFORE_HANGING_UP, BenchCaller, Sounds
from benchmarks.turns.channel import RoomAndLine
from benchmarks.turns.voices import RATE_HZ

from talkspurt.media.g711 import MULAW_SILENCE
from talkspurt.simulate.twilio import TwilioDouble

LOUD, SILENT = bytes(160), MULAW_SILENCE * 160
SECONDS = 1.0
"""Of everything that the caller says."""


class Line:
    """A carrier double whose agent says "one moment" and then its reply."""

    def __init__(self, audible: Sequence[tuple[float, float]] = ((0.0, 2.5),)) -> None:
        self.listener: Any = None
        self.playing = False
        self.ticks = 0
        self.ordered: list[tuple[float, str]] = []
        self.hung_up_at = -1.0
        self._audible = [*audible]

    @property
    def now(self) -> float:
        return self.ticks * 0.02

    async def answered(self) -> bool:
        return True

    async def next_tick(self) -> None:
        self.listener(LOUD if any(begin <= self.now < end for begin, end in self._audible) else SILENT)
        self.ticks += 1
        await asyncio.sleep(0)

    async def until(self, at: float) -> None:
        while self.now < at:
            await self.next_tick()

    def speak(self, _clip: object) -> tuple[float, float]:
        end = self.now + SECONDS
        kinds = list(ENTITY_QUESTIONS)
        question = ENTITY_QUESTIONS[kinds[len(self.ordered) + 1]]
        # It is ordered when "one moment" is on the line already.
        self.ordered.append((end + 1.35, f"Got it. {question}"))
        self._audible += [(end + 1.3, end + 2.3), (end + 2.4, end + 5.0)]
        return self.now, end

    def hang_up(self) -> None:
        self.hung_up_at = self.now


async def test_what_was_asked_behind_one_moment_please_is_answered() -> None:
    steps = [
        {"do": "answer", "row": "entity", "wait": 0.4, "parts": [], "entity": {"kind": kind, "value": ""}}
        for kind in ("order_id", "phone", "email", "zip")
    ]
    utterance = SimpleNamespace(clip=None, voiced=(Span(0.0, SECONDS),), pauses=())
    line = Line()
    caller = BenchCaller(
        cast(TwilioDouble, line),
        cast(RoomAndLine, None),
        {"id": "entity-000", "agent": "entity", "channel": {}, "steps": steps},
        [Sounds(utterance=cast(Any, utterance))] * len(steps),
        lambda: [order for order in line.ordered if order[0] <= line.now],
    )
    await caller.hold()
    assert caller.failures == []
    assert [event.entity.kind for event in caller.events if event.entity] == ["order_id", "email", "phone", "zip"]


class Room:
    """Takes what is played into it."""

    def overlay(self, _clip: object, _level_db: float) -> None:
        pass


@pytest.mark.parametrize("seconds", [0.3, 2.5])
async def test_the_agent_is_given_time_to_go_on_behind_a_last_sound(seconds: float) -> None:
    """However long the sound was in which it was silent."""
    line = Line([(0.0, 2.8)])
    noise = np.full(round(seconds * RATE_HZ), 8_000, dtype=np.int16)
    steps = [{"do": "distract", "row": "noise", "after": 2.7, "sound": "cough", "seed": 1}]
    caller = BenchCaller(
        cast(TwilioDouble, line),
        cast(RoomAndLine, Room()),
        {"id": "distraction-000", "agent": "long", "channel": {}, "steps": steps},
        [Sounds(noise=noise)],
        list,
    )
    await caller.hold()
    assert caller.failures == []
    assert line.hung_up_at - caller.events[-1].end == pytest.approx(BEFORE_HANGING_UP, abs=0.03)
