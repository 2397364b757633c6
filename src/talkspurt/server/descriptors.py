"""Open files and connections: as many as the machine allows a process, and a warning when they are too few.

Linux gives a process 1024 at first, for the sake of programs that use select(), and lets it take more: as a rule half a
million. Without them a full server could not accept the next call, and its calls could not reach their vendors.
Source: getrlimit(2), RLIMIT_NOFILE.
"""

import sys
from contextlib import suppress
from typing import Final

import structlog

from talkspurt.config import ServerConfig
from talkspurt.server.door import MOST_WAITING

BESIDE_CALLS: Final = MOST_WAITING + 100
"""Connections that wait for a request; the database, other processes, logs, models and libraries."""
PER_CALL: Final = 5
"""The media socket, a socket or request to each of recognizer, model and synthesizer, and a second try of one."""

log = structlog.get_logger(__name__)


def take_descriptors() -> int | None:
    """Raise this process's soft limit to its hard one, and say what it may open; None where there is no such limit."""
    if sys.platform == "win32":
        return None
    import resource

    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        # macOS has a hard limit that cannot be had.
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    log.info("descriptors", limit=_shown(limit), before=_shown(before))
    return None if limit == resource.RLIM_INFINITY else limit


def warn_of_too_few(limit: int | None, server: ServerConfig) -> None:
    """Log an error when a worker could not open what its calls need, while another one has died."""
    calls = -(-server.max_calls // max(1, server.workers - 1))
    needed = BESIDE_CALLS + PER_CALL * calls
    if limit is not None and limit < needed:
        log.error(
            "too_few_descriptors",
            limit=limit,
            needed=needed,
            mend=f"raise the hard limit of open files to {needed} (ulimit -Hn, LimitNOFILE= of systemd, "
            f"--ulimit nofile= of a container), or lower server.max_calls, which is {server.max_calls}",
        )


def _shown(limit: int) -> int | str:
    return "unlimited" if limit < 0 else limit
