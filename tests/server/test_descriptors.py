"""A process takes all the open files that it may have, and says so when they cannot be enough."""

import asyncio
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from talkspurt.config import ServerConfig
from talkspurt.errors import ConfigurationError
from talkspurt.server.descriptors import BESIDE_CALLS, PER_CALL, take_descriptors, warn_of_too_few
from talkspurt.server.jobs import work
from talkspurt.server.orders import Orders

from .conftest import running, settings


@pytest.fixture
def hard() -> Iterator[int]:
    """The hard limit, while the soft one is what a shell gives."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard - 1), hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def soft_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def complaints(limit: int | None, **server: Any) -> list[dict[str, Any]]:
    with capture_logs() as logs:
        warn_of_too_few(limit, ServerConfig(**server))
    return [dict(entry) for entry in logs]


def test_the_soft_limit_becomes_the_hard_one_and_is_logged(hard: int) -> None:
    before = soft_limit()
    with capture_logs() as logs:
        assert take_descriptors() == hard
    assert soft_limit() == hard
    assert logs == [{"event": "descriptors", "log_level": "info", "limit": hard, "before": before}]


async def test_a_server_takes_its_descriptors(hard: int, tmp_path: Path) -> None:
    async with running(settings(tmp_path)):
        assert soft_limit() == hard


async def test_the_jobs_process_takes_its_descriptors(hard: int, tmp_path: Path) -> None:
    config = settings(tmp_path, store={"url": "sqlite+aiosqlite:////nowhere/at/all.db"})
    orders = Orders("jobs", "", config, tmp_path, "json")
    with pytest.raises(ConfigurationError):
        await work(orders, asyncio.Event())
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
    assert soft_limit() == hard


def test_calls_that_cannot_fit_are_an_error_in_the_log_with_what_to_do() -> None:
    (entry,) = complaints(1024, workers=1, max_calls=200)
    assert (entry["event"], entry["log_level"], entry["needed"]) == ("too_few_descriptors", "error", 1356)
    assert "LimitNOFILE" in entry["mend"]
    assert "server.max_calls, which is 200" in entry["mend"]


@pytest.mark.parametrize(("workers", "calls", "in_one"), [(1, 100, 100), (2, 100, 100), (3, 101, 51), (9, 600, 75)])
def test_a_worker_needs_room_for_its_share_when_another_has_died(workers: int, calls: int, in_one: int) -> None:
    enough = BESIDE_CALLS + PER_CALL * in_one
    assert complaints(enough, workers=workers, max_calls=calls) == []
    assert complaints(enough - 1, workers=workers, max_calls=calls)
    assert complaints(None, workers=workers, max_calls=calls) == []
