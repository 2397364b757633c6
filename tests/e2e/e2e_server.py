"""A real server in a process of its own, with the real models, and a look into the databases it writes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine, text

from talkspurt.simulate.child_server import child_server


@dataclass(frozen=True)
class Server:
    """A running server."""

    url: str
    folder: Path

    def shop(self, query: str, **values: object) -> list[tuple[object, ...]]:
        """Ask the shop's database."""
        return self._ask("retail.db", query, values)

    def store(self, query: str, **values: object) -> list[tuple[object, ...]]:
        """Ask the calls' database."""
        return self._ask("calls.db", query, values)

    def _ask(self, file: str, query: str, values: dict[str, object]) -> list[tuple[object, ...]]:
        engine = create_engine(f"sqlite:///{self.folder / file}")
        try:
            with engine.connect() as connection:
                return [tuple(row) for row in connection.execute(text(query), values)]
        finally:
            engine.dispose()


@asynccontextmanager
async def running_server(folder: Path, *, configuration: str = "", **environment: str) -> AsyncIterator[Server]:
    """Start the server with this TOML configuration and wait until it is ready; stop it by SIGTERM at the end."""
    file = folder / "talkspurt.toml"
    file.write_text(configuration, encoding="utf-8")
    variables = {"TALKSPURT_CONFIG": str(file), **environment}
    async with child_server(folder, folder / "server.log", environment=variables) as url:
        yield Server(url, folder)
