"""What the fakes of language models share beyond any HTTP vendor: conversations, tools, and their outages.

The vendors' formats are not here but in a file each.
"""

import json
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from talkspurt.testing.fakes.http import FakeHttp, InvalidRequestError, require
from talkspurt.testing.fakes.loopback import RecordedRequest
from talkspurt.testing.fakes.script import ModelReply, Outage, ToolUse

MALFORMED: Final = '{"id": '
"""The arguments that a model writes while `Outage.MALFORMED_TOOL`."""
UNKNOWN_TOOL: Final = "no_such_tool"


class FakeChat(FakeHttp[ModelReply]):
    """A chat vendor; with nothing scripted it says hello."""

    outages: ClassVar[frozenset[Outage]] = frozenset(Outage)
    media_type: ClassVar[str] = "text/event-stream; charset=utf-8"
    garbage: ClassVar[bytes] = b"event: message_delta\ndata: {]\n\n"

    def __init__(self, *, key: str = "test-key", otherwise: ModelReply | None = None) -> None:
        super().__init__(key=key, otherwise=otherwise or ModelReply(text=("Hello", " there.")))

    def suffering(self, answer: ModelReply, body: Any) -> ModelReply:
        match self.outage:
            case Outage.EMPTY:
                return replace(answer, text=(), tool_uses=())
            case Outage.UNKNOWN_TOOL:
                return replace(answer, text=(), tool_uses=(ToolUse(UNKNOWN_TOOL),))
            case Outage.MALFORMED_TOOL:
                offered = next(iter(self.offered(body)), UNKNOWN_TOOL)
                return replace(answer, text=(), tool_uses=(ToolUse(offered, MALFORMED),))
        return super().suffering(answer, body)

    def check(self, request: RecordedRequest) -> None:
        self.validate(request.body, request.headers)

    @abstractmethod
    def validate(self, body: Any, headers: Mapping[str, str]) -> None:
        """Raise `InvalidRequestError` for what the vendor would refuse."""

    @abstractmethod
    def offered(self, body: Any) -> list[str]:
        """The names of the tools that a request offers."""

    @abstractmethod
    def in_stream_error(self) -> bytes:
        """An error report inside an open stream."""


def event(data: Any, name: str = "") -> bytes:
    """A server-sent event of JSON."""
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + json.dumps(data).encode() + b"\n\n"


__all__ = ["MALFORMED", "UNKNOWN_TOOL", "FakeChat", "InvalidRequestError", "event", "require"]
