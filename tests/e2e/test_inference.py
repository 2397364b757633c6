"""A whole call with local speech, whose inference process is killed in the middle of it."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from e2e.e2e_server import running_server
from talkspurt.simulate.twilio import TwilioDouble
from talkspurt.simulate.voices import speak

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


UNHURRIED = """
[server]
lag_limit = 5                   # a test may share its cores
lateness_limit = 5
"""


def started(log: Path) -> list[int]:
    """The inference processes that were started, the last one last."""
    lines = log.read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines if line.startswith("{")]
    return [event["pid"] for event in events if event["event"] == "inference_process_started"]


async def hears_agent(line: TwilioDouble, since: float) -> None:
    """Wait until the caller has heard something after `since`, and then nothing for a moment."""
    while line.last_heard is None or line.last_heard <= since or line.playing or line.now - line.last_heard < 0.7:
        await line.until(line.now + 0.02)
        assert line.now < since + 30, f"silence since {since:.1f}: {line.recording.events}"


async def test_a_call_goes_on_when_the_process_with_the_models_is_killed(tmp_path: Path) -> None:
    question = await speak("Hello, can you tell me where my order is?", "slt")
    async with running_server(tmp_path, configuration=UNHURRIED) as server, TwilioDouble(server.url) as line:
        await hears_agent(line, -1.0)
        (process,) = started(tmp_path / "server.log")
        # In the middle of what is being transcribed or said, or ahead of it.
        _, since = line.speak(question)
        await line.until(since + 0.1)
        os.kill(process, signal.SIGKILL)
        await hears_agent(line, since)
        _, since = line.speak(question)
        await hears_agent(line, since)
        line.hang_up()
        assert not (await line.ended()).failed
        assert not line.recording.errors
        assert len(await asyncio.to_thread(started, tmp_path / "server.log")) == 2
