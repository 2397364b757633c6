"""What the supervisor tells a process that it starts, and how such a process begins and ends.

A process of the server is `python -m talkspurt.server.orders`. It reads one line of JSON from its standard input: the
orders, with the configuration that was read once for all. What it then runs is named there, so that a test can run
something else. The input stays open for as long as the supervisor lives: when it ends, so does the process, politely.

The orders hold secrets. They go through a pipe, and nobody else sees them: not the command line, not the environment.
"""

import asyncio
import faulthandler
import importlib
import json
import os
import re
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

import structlog
from pydantic import BaseModel, SecretStr

from talkspurt.config import Config
from talkspurt.config_secrets import passwords_in
from talkspurt.errors import TalkspurtError, complaints
from talkspurt.store.database import database_url
from talkspurt.telemetry.logs import configure_logging

TO_BE_MENDED: Final = 2
"""Exit status of a process that cannot run until somebody has mended something; its complaint is in a file."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Orders:
    """For one process."""

    name: str
    """Its own, in logs and metrics: `worker-0`, `jobs`."""
    program: str
    """`module:function` that it runs: an async one, with these orders and the event that is set when it is to stop."""
    config: Config
    folder: Path
    """The run folder, where the processes of one server meet."""
    log_style: Literal["console", "json"]
    index: int = 0
    """A worker's number."""
    listener: int = -1
    """A worker's descriptor of the public port."""

    @property
    def turns(self) -> Path:
        """The file by which the processes of one server take turns in beginning."""
        return self.folder / "turns"

    def to_json(self) -> bytes:
        """One line."""
        values = {**asdict(self), "config": self.config.model_dump(), "path": sys.path}
        return json.dumps(values, default=_plain).encode() + b"\n"

    @classmethod
    def from_json(cls, line: bytes) -> Self:
        """The orders in one line; modules are found from now on where the supervisor finds them."""
        values = json.loads(line)
        sys.path[:] = values.pop("path")
        values["config"] = Config.model_validate(values["config"])
        values["folder"] = Path(values["folder"])
        return cls(**values)


Program = Callable[[Orders, asyncio.Event], Awaitable[None]]


def _plain(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def complaint_file(folder: Path, name: str) -> Path:
    """Where a process says what has to be mended."""
    return folder / f"{name}.complaint"


_OF_A_SECRET: Final = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSPHRASE)(_[A-Z0-9]+)?$")
"""Names of variables that hold a secret: `OPENAI_API_KEY`, `AWS_SESSION_TOKEN`, `AWS_BEARER_TOKEN_BEDROCK`."""


def secrets_of(config: Config) -> list[str]:
    """Every secret value of this process, for the logs to mask."""
    sections = [section for section in vars(config).values() if isinstance(section, BaseModel)]
    values = [value for section in sections for value in vars(section).values()]
    secrets = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
    keys = [value for name, value in os.environ.items() if _OF_A_SECRET.search(name) and value]
    # Whatever an agent's own database or proxy is called, its password stands in a URL, and so may a vendor's.
    passwords = passwords_in([dict(os.environ), config.model_dump(mode="json")])
    password = database_url(config.store.url).password
    return [*secrets, *keys, *passwords, *([password] if password else [])]


def main() -> None:
    """Do what the line on standard input says."""
    line = sys.stdin.buffer.readline()
    if not line:
        return  # the supervisor has died in between
    orders = Orders.from_json(line)
    faulthandler.enable()
    configure_logging(level=orders.config.log_level, style=orders.log_style, secrets=secrets_of(orders.config))
    structlog.contextvars.bind_contextvars(process=orders.name)
    try:
        _run(orders)
    except (TalkspurtError, ExceptionGroup) as error:
        complaint_file(orders.folder, orders.name).write_text("\n".join(complaints(error)), encoding="utf-8")
        sys.exit(TO_BE_MENDED)


def _run(orders: Orders) -> None:
    module, _, function = orders.program.partition(":")
    program: Program = getattr(importlib.import_module(module), function)

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(sys.stdin.fileno(), _supervisor_gone, stop)
        try:
            await program(orders, stop)
        finally:
            loop.remove_reader(sys.stdin.fileno())

    if sys.platform == "win32":
        asyncio.run(run())
        return
    import uvloop

    uvloop.run(run())


def _supervisor_gone(stop: asyncio.Event) -> None:
    if stop.is_set():
        # It had asked for the end, and was then told to make one on the spot.
        os._exit(1)
    asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
    log.error("supervisor_gone", meaning="no new calls; running ones finish")
    stop.set()


if __name__ == "__main__":
    main()
