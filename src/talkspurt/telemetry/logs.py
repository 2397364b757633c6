"""Structured logs: events with fields, to one stream, with nothing in them that must not leave the call.

    log.info("turn_ended", latency_ms=640, **{"pii.text": "my order is …"})

* anything a caller said or is goes under a key that begins with `pii.`; such keys are dropped here,
  whatever the level, so that no deployment keeps transcripts in its logs by accident;
* the values of secrets are masked wherever they turn up, also inside an exception's message;
* `call_id` is bound once per task (`bind_call`) and appears in every event of the call.

Logs of libraries (uvicorn, SQLAlchemy, the vendors' SDKs) pass through the same processors, and never below "info":
some of them write whole requests at "debug", with what was said and with the key.
"""

import logging
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, Final, Literal, TextIO

import structlog

from talkspurt.errors import TalkspurtError

MASK: Final = "***"
_SHORTEST_SECRET: Final = 6
"""Shorter values would blank out ordinary text."""

Event = MutableMapping[str, Any]


def configure_logging(
    *,
    level: str = "info",
    style: Literal["json", "console"] = "console",
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Send all logs of the process to `stream` (default: standard error). The last call wins.

    `level` is that of `talkspurt`; others write from "info" on. Whoever wants more of a logger of their own sets it.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        drop_personal,
        SecretMask(secrets),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if style == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    own = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(own, logging.INFO))
    logging.getLogger("talkspurt").setLevel(own)
    # Alembic narrates every start, picows and uvicorn every connection: at "info" that is noise.
    for name in ("alembic", "picows", "uvicorn", "uvicorn.access", "sqlalchemy"):
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))


def bind_call(call_id: str) -> None:
    """Put `call_id` on every event of the current task and of those it starts."""
    structlog.contextvars.bind_contextvars(call_id=call_id)


def note_failure(log: structlog.stdlib.BoundLogger, error: Exception) -> str:
    """Log that a provider failed a call, which goes on; returns what the conversation is told of it, a stable code."""
    if isinstance(error, TalkspurtError):
        log.warning("provider_failed", error=str(error), code=error.code)
        return error.code
    log.error("provider_failed", exc_info=error)
    return "unexpected"


def drop_personal(_logger: object, _method: str, event: Event) -> Event:
    """Take out every field whose key begins with `pii.`, at any depth."""
    return _without_personal(event)


class SecretMask:
    """A processor that replaces known secret values with `***` in every string of an event."""

    def __init__(self, secrets: Iterable[str]) -> None:
        # Longest first: a secret that contains another must not leave its rest behind.
        self._secrets = sorted({value for value in secrets if len(value) >= _SHORTEST_SECRET}, key=len, reverse=True)

    def __call__(self, _logger: object, _method: str, event: Event) -> Event:
        """Mask one event."""
        if not self._secrets:
            return event
        return {key: self._masked(value) for key, value in event.items()}

    def _masked(self, value: Any) -> Any:
        if isinstance(value, str):
            for secret in self._secrets:
                value = value.replace(secret, MASK)
            return value
        if isinstance(value, bytes):
            return self._masked(value.decode("utf-8", "backslashreplace"))
        if isinstance(value, Mapping):
            return {self._masked(key): self._masked(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._masked(inner) for inner in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        # Anything else is shown by its repr sooner or later; mask what that would say.
        text = repr(value)
        masked = self._masked(text)
        return value if masked == text else masked


def _without_personal(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_personal(value) if isinstance(value, Mapping) else value
        for key, value in fields.items()
        if not (isinstance(key, str) and key.startswith("pii."))
    }
