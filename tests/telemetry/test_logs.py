"""Logs carry events and fields, and neither what callers said nor secrets."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from talkspurt.telemetry.logs import MASK, bind_call, configure_logging

CANARY = "canary-4f1c9d"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("talkspurt").setLevel(logging.NOTSET)


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    configure_logging(level="debug", style="json", secrets=[CANARY, ""], stream=stream)
    return stream


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_has_its_fields_level_and_time_in_utc(stream: io.StringIO) -> None:
    structlog.get_logger("x").info("call_ended", reason="goodbye")
    (event,) = events(stream)
    assert (event["event"], event["level"], event["reason"]) == ("call_ended", "info", "goodbye")
    assert event["timestamp"].endswith("Z")


def test_the_call_id_is_bound_once(stream: io.StringIO) -> None:
    bind_call("c1")
    structlog.get_logger("x").info("one")
    logging.getLogger("library").warning("two")
    assert [event["call_id"] for event in events(stream)] == ["c1", "c1"]


def test_what_a_caller_said_is_dropped_at_any_depth(stream: io.StringIO) -> None:
    said = {"pii.text": "my card is 4111", "turn": {"pii.text": "again", "n": 1}}
    structlog.get_logger("x").info("turn", **said)
    logging.getLogger("library").warning("turn", extra={"pii.text": "by a library"})
    first, second = events(stream)
    assert first["turn"] == {"n": 1}
    assert not any(word in stream.getvalue() for word in ("4111", "again", "by a library"))
    assert second["event"] == "turn"


def test_a_secret_is_masked_wherever_it_turns_up(stream: io.StringIO) -> None:
    class Client:
        def __repr__(self) -> str:
            return f"Client(token={CANARY})"

    log = structlog.get_logger("x")
    log.info(f"started with {CANARY}", key=CANARY, nested={"a": [CANARY]}, raw=CANARY.encode(), client=Client())
    logging.getLogger("library").error("token %s", CANARY)
    try:
        raise ValueError(f"bad token {CANARY}")
    except ValueError:
        log.exception("failed")
    assert CANARY not in stream.getvalue()
    assert stream.getvalue().count(MASK) >= 7
    assert "ValueError" in events(stream)[-1]["exception"]


def test_libraries_do_not_write_their_requests_at_debug_and_we_do(stream: io.StringIO) -> None:
    logging.getLogger("anthropic._base_client").debug("Request options: what the caller said")
    logging.getLogger("botocore.endpoint").debug("Authorization: Bearer something")
    logging.getLogger("some_vendor").info("connected")
    structlog.get_logger("talkspurt.ladder").debug("asked")
    assert [event["event"] for event in events(stream)] == ["connected", "asked"]


def test_an_empty_or_tiny_secret_does_not_blank_ordinary_text() -> None:
    stream = io.StringIO()
    configure_logging(level="info", style="json", secrets=["", "a"], stream=stream)
    structlog.get_logger("x").info("a banana")
    assert events(stream)[0]["event"] == "a banana"


def test_a_level_below_the_configured_one_is_not_written() -> None:
    stream = io.StringIO()
    configure_logging(level="warning", style="console", stream=stream)
    structlog.get_logger("x").info("quiet")
    structlog.get_logger("x").warning("loud")
    assert "quiet" not in stream.getvalue()
    assert "loud" in stream.getvalue()
