"""The agent of these calls: it sends catalogues, which is an effect, and knows the opening hours.

Every catalogue that goes out is a line in the file that FAULTS_POST names: nothing else has to be believed.
"""

import asyncio
import os
from pathlib import Path
from typing import Final

from talkspurt.agent import Agent, Caller, MenuKey, tool

POST: Final = "FAULTS_POST"


async def _read_back(caller: Caller) -> str:
    return "I'll send you our catalogue by post. Shall I go ahead?"


def _post(call_id: str) -> None:
    with Path(os.environ[POST]).open("a", encoding="utf-8") as post:
        post.write(f"{call_id}\n")


@tool(effect=True, read_back=_read_back, timeout=2.0)
async def send_catalogue(caller: Caller) -> dict[str, str]:
    """Send the caller the catalogue."""
    await asyncio.to_thread(_post, caller.call_id)
    return {"status": "sent"}


def create() -> Agent:
    """What the configuration's `agents` names."""
    return Agent(
        name="Ann",
        prompt="You are Ann. You send catalogues and know the opening hours.",
        greeting="Hello, this is Ann, an AI assistant. How can I help?",
        tools=[send_catalogue],
        menu=[MenuKey("1", "our opening hours", "What are your opening hours?")],
    )
