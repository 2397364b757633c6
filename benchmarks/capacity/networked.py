"""The three vendors on loopback, with the benchmark's timing and their own wire formats, in a process of their own.

    python -m benchmarks.capacity.networked

Chat completions as server-sent events, live transcription on a WebSocket, speech with timestamps as a stream of JSON
lines over HTTP: those that the shipped adapters speak (`openai`, `deepgram`, `elevenlabs`), so the server pays for
SDKs, sockets, JSON and base64 as with the vendors. Prints a line of JSON with the addresses once all three listen.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, Final

import uvloop
from benchmarks.capacity.probe import probe
from benchmarks.capacity.systems import Vendors, probe_environment, started

from talkspurt.config import ScriptedConfig
from talkspurt.errors import TransportError
from talkspurt.testing.fakes import FakeDeepgram, FakeElevenLabs, FakeOpenAI, ModelReply, Speech
from talkspurt.testing.scripted import cut

KEY: Final = "test-key"
TURNS: Final = 1_000
"""Phrases that each line of the fake recognizer knows."""
LINE_SECONDS: Final = 0.45
"""Audio in one line of the fake synthesizer's answer."""
READY_SECONDS: Final = 60.0


class Clerk(FakeOpenAI):
    """Says the scripted reply, with another number every time, so that no phrase cache knows it."""

    def __init__(self, timing: ScriptedConfig) -> None:
        super().__init__(key=KEY, otherwise=ModelReply(text=("",), delay=timing.first_token, gap=timing.between_tokens))
        self._timing = timing
        self._numbers = count(10_000)

    def pieces(self, body: Any, reply: ModelReply) -> Iterator[bytes]:
        """The reply on the wire."""
        number = next(self._numbers)
        sentences = zip(self._timing.reply, self._timing.tokens, strict=True)
        text = tuple(token for said, tokens in sentences for token in cut(said.format(number=number), tokens))
        self.requests.clear()
        return super().pieces(body, replace(reply, text=text))


async def serve() -> None:
    """Run the three until told to end."""
    timing = ScriptedConfig()
    heard = [timing.heard.format(number=turn) for turn in range(1, TURNS)]
    speech = Speech(delay=timing.first_byte, gap=LINE_SECONDS / timing.speed)
    async with (
        probe(),
        Clerk(timing) as model,
        FakeDeepgram(heard, key=KEY, final_after=timing.final_after) as recognizer,
        FakeElevenLabs(key=KEY, otherwise=speech) as synthesizer,
    ):
        vendors: tuple[FakeOpenAI | FakeDeepgram | FakeElevenLabs, ...] = (model, recognizer, synthesizer)
        print(json.dumps([vendor.past_the_line(vendor.base_url) for vendor in vendors]), flush=True)
        await asyncio.Event().wait()


@asynccontextmanager
async def cloud(core: int, folder: Path) -> AsyncIterator[tuple[Vendors, dict[str, str]]]:
    """Run the process on a core; yields it and the environment that points a server to it. Raises `TransportError`."""
    command, watched = [sys.executable, "-m", "benchmarks.capacity.networked"], folder / "vendors.probe"
    variables = {**os.environ, **probe_environment(watched)}
    async with started(command, core, folder / "vendors.log", variables, piped=True) as process:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), READY_SECONDS)
        if not line:
            raise TransportError(f"the fake vendors did not start: {(folder / 'vendors.log').read_text()[-2000:]}")
        model, recognizer, synthesizer = json.loads(line)
        yield (
            Vendors(process.pid, watched),
            {
                "TALKSPURT_MODEL__NAME": "openai:any",
                "TALKSPURT_MODEL__BASE_URL": model,
                "TALKSPURT_SPEECH__RECOGNIZER": "deepgram",
                "TALKSPURT_SPEECH__SYNTHESIZER": "elevenlabs",
                "TALKSPURT_SPEECH__BASE_URL__DEEPGRAM": recognizer,
                "TALKSPURT_SPEECH__BASE_URL__ELEVENLABS": synthesizer,
                "OPENAI_API_KEY": KEY,
                "DEEPGRAM_API_KEY": KEY,
                "ELEVENLABS_API_KEY": KEY,
            },
        )


if __name__ == "__main__":
    uvloop.run(serve())
