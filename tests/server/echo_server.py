"""A server in a process of its own whose agent is an echo: run as a script with a configuration as JSON."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from server.conftest import EchoSwitchboard
from talkspurt.config import Config
from talkspurt.server.serve import serve
from talkspurt.store import Store


@asynccontextmanager
async def opened(_store: Store) -> AsyncIterator[EchoSwitchboard]:
    yield EchoSwitchboard()


if __name__ == "__main__":
    config = Config.model_validate(json.loads(sys.argv[1]))
    asyncio.run(serve(config, opened, ready=lambda _origin, port: print(f"port {port}", flush=True)))  # noqa: T201
