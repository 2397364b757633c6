"""A PostgreSQL of one's own for the time of a run: Debian's programs, a fresh cluster, a free port of this machine."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from talkspurt.errors import ConfigurationError
from talkspurt.simulate.child_server import free_port

PROGRAMS: Final = Path("/usr/lib/postgresql")
"""Where Debian puts each version's programs."""
SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "300",
    # The benchmark kills workers, never the database: it need not survive a loss of power.
    "fsync": "off",
    "full_page_writes": "off",
}


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running server."""

    port: int
    programs: Path

    def url(self, database: str) -> str:
        """The URL of one of its databases."""
        return f"postgresql+asyncpg://bench@127.0.0.1:{self.port}/{database}"

    def create(self, database: str, template: str = "template1") -> None:
        """Make a database as a copy of `template`, which nobody may be connected to."""
        self._run("createdb", "--template", template, database)

    def drop(self, database: str) -> None:
        """Remove a database, whoever is connected to it."""
        self._run("dropdb", "--force", database)

    def _run(self, program: str, *arguments: str) -> None:
        place = ("--host", "127.0.0.1", "--port", str(self.port), "--username", "bench")
        _run([str(self.programs / program), *place, *arguments])


@contextmanager
def postgresql() -> Iterator[Cluster]:
    """Start a server with the superuser `bench`, and remove all of it at the end.

    Raises `ConfigurationError` when PostgreSQL is not installed.
    """
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="bench-postgresql-"))
    # PostgreSQL refuses to run as root; its package brings a user for it.
    user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    data, port = folder / "data", free_port()
    options = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
    control = [str(programs / "pg_ctl"), "--pgdata", str(data), "--wait"]
    try:
        initdb = [
            str(programs / "initdb"),
            "--pgdata",
            str(data),
            "--username",
            "bench",
            "--auth",
            "trust",
            "--no-sync",
        ]
        _run(initdb, user)
        listen = f"{options} -c port={port} -c unix_socket_directories={folder}"
        _run([*control, "--log", str(folder / "log"), "--options", listen, "start"], user)
        try:
            yield Cluster(port, programs)
        finally:
            _run([*control, "--mode", "immediate", "stop"], user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    found = sorted(PROGRAMS.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise ConfigurationError("the benchmark needs PostgreSQL's programs: apt-get install postgresql")
    return found[-1].parent


def _run(command: Sequence[str], user: pwd.struct_passwd | None = None) -> None:
    done = subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd="/",
        user=user.pw_uid if user is not None else None,
        group=user.pw_gid if user is not None else None,
        extra_groups=[] if user is not None else None,
    )
    if done.returncode != 0:
        raise ConfigurationError(f"{Path(command[0]).name} failed: {done.stderr.strip() or done.stdout.strip()}")
