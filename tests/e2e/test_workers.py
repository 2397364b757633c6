"""Whole calls over several workers, by the command line, and one that is killed in the middle of them."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import numpy as np
import pytest

from talkspurt.simulate.child_server import child_server
from talkspurt.simulate.twilio import TwilioDouble
from talkspurt.simulate.voices import speak

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

CONFIGURATION = """
[server]
workers = 2
stall_limit = 30                # a test may share its cores
lag_limit = 5
lateness_limit = 5
[speech]
recognizer = "scripted"
synthesizer = "scripted"
turn_detector = "none"
[model]
name = "scripted"
[agents]
shop = "e2e.shop:agent"
[[numbers]]
number = "*"
agent = "shop"
"""
LOUD = 500
"""Samples beyond this are the agent's voice."""


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    (tmp_path / "talkspurt.toml").write_text(CONFIGURATION)
    tests = os.pathsep.join(filter(None, [str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH")]))
    environment = {"TALKSPURT_CONFIG": str(tmp_path / "talkspurt.toml"), "PYTHONPATH": tests}
    async with child_server(tmp_path, tmp_path / "server.log", environment=environment, workers=2) as url:
        yield url


async def pid_of(client: httpx.AsyncClient, worker: int) -> int:
    while True:
        text = (await client.get("/metrics")).text
        match = re.search(rf'talkspurt_process_id{{process="worker-{worker}"}} (\S+)', text)
        if match is not None:
            return int(float(match[1]))


async def hears_agent(line: TwilioDouble, since: float, patience: float = 8.0) -> None:
    """Wait until the caller hears something after `since`."""
    while line.last_heard is None or line.last_heard <= since:
        await line.until(line.now + 0.02)
        assert line.now < since + patience, f"silence since {since:.1f}: {line.recording.events}"


async def until_quiet(line: TwilioDouble) -> None:
    await hears_agent(line, -1.0)
    while line.playing or line.now - (line.last_heard or 0.0) < 0.5:
        await line.until(line.now + 0.02)


async def test_calls_go_on_elsewhere_within_two_seconds_when_their_worker_is_killed(url: str) -> None:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=url))
        lines = [
            await stack.enter_async_context(TwilioDouble(url, from_number=f"+1415555010{number}"))
            for number in range(6)
        ]
        await asyncio.gather(*map(until_quiet, lines))
        workers = (await client.get("/readyz")).json()["workers"]
        assert [worker["calls"] for worker in workers] == [3, 3]

        os.kill(await pid_of(client, 0), signal.SIGKILL)
        killed = [line.now for line in lines]
        await asyncio.gather(*(line.until(line.now + 2.0) for line in lines))
        moved = [line for line in lines if len(line.recording.of("stream_started")) == 2]
        assert len(moved) == 3
        for line, at in zip(lines, killed, strict=True):
            if line in moved:
                assert line.recording.of("stream_started")[1].at - at < 2.0
                heard = np.flatnonzero(np.abs(line.recording.agent_from(at).astype(np.int32)) > LOUD)
                assert heard.size, "the caller hears the agent again"
        await asyncio.gather(*map(until_quiet, lines))

        question = await speak("Can you tell me where my order is?", "slt")
        spoken = [line.speak(question)[1] for line in lines]
        for line, since in zip(lines, spoken, strict=True):
            await hears_agent(line, since)
        await asyncio.gather(*map(until_quiet, lines))
        for line in lines:
            line.hang_up()
            assert not (await line.ended()).failed
            # What a carrier sees of a process that dies is one lost socket.
            assert len(line.recording.errors) == (1 if line in moved else 0), line.recording.errors
