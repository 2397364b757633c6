"""What the fakes of language models share: a script of replies, a record of requests, a fault switchboard.

The vendors' formats are not here but in a file each.
"""

import asyncio
import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final, Self

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from talkspurt.testing.fakes.line import Line, LineState
from talkspurt.testing.fakes.loopback import Loopback, RecordedRequest, ScriptedStream, paced
from talkspurt.testing.fakes.script import Fault, ModelReply, Outage, ToolUse

MALFORMED: Final = '{"id": '
"""The arguments that a model writes while `Outage.MALFORMED_TOOL`."""
UNKNOWN_TOOL: Final = "no_such_tool"
RETRY_AFTER: Final = 2.0

_ON_THE_LINE: Final = {
    Outage.REFUSED: LineState.REFUSED,
    Outage.HUNG_CONNECT: LineState.HUNG_CONNECT,
    Outage.HALF_OPEN: LineState.HALF_OPEN,
}
_IN_THE_ANSWER: Final = {
    Outage.HUNG: Fault.HANG,
    Outage.HUNG_MID_STREAM: Fault.STALL,
    Outage.DRIP: Fault.DRIP,
    Outage.TRUNCATED: Fault.CUT_SHORT,
    Outage.DROPPED: Fault.BREAK,
    Outage.GARBAGE: Fault.GARBAGE,
    Outage.REPORT: Fault.REPORT,
    Outage.WRONG_TYPE: Fault.WRONG_TYPE,
}


class InvalidRequestError(ValueError):
    """A request that the vendor answers with status 400; the text says which rule it breaks."""


class FakeChat(ABC):
    """A chat vendor on loopback: `async with FakeX() as fake`, then point the SDK at `fake.base_url`.

    Replies come from `script`, first in, first out; with nothing scripted the fake says `otherwise`.
    `requests` holds everything received, refused requests too. `suffer` makes the whole vendor fail until `recover`.
    """

    path: ClassVar[str]
    statuses: ClassVar[Mapping[int, str]]
    """The vendor's error type by HTTP status."""
    media_type: ClassVar[str] = "text/event-stream; charset=utf-8"
    garbage: ClassVar[bytes] = b"event: message_delta\ndata: {]\n\n"
    """What a broken server might send inside an open stream."""
    expired: ClassVar[int] = 401
    """The status by which the vendor refuses a key."""

    def __init__(self, *, key: str = "test-key", otherwise: ModelReply | None = None) -> None:
        self.key = key
        self.otherwise = otherwise or ModelReply(text=("Hello", " there."))
        self.requests: list[RecordedRequest] = []
        self.received = asyncio.Event()
        """Set once a request has arrived."""
        self.outage: Outage | None = None
        self._script: deque[ModelReply] = deque()
        self._server = Loopback(Starlette(routes=[Route(self.path, self._answer, methods=["POST"])]))
        self._line = Line(lambda: self._server.address)

    def script(self, *replies: ModelReply) -> None:
        """Queue `replies` for the next requests."""
        self._script.extend(replies)

    async def suffer(self, outage: Outage) -> None:
        """Let every request fail like this from now on."""
        await self.recover()
        self.outage = outage
        if outage in _ON_THE_LINE:
            await self._line.become(_ON_THE_LINE[outage])

    async def recover(self) -> None:
        """Answer as scripted again."""
        if self.outage in _ON_THE_LINE:
            await self._line.become(LineState.OPEN)
        self.outage = None

    @property
    def origin(self) -> str:
        """`http://127.0.0.1:<port>`."""
        return f"http://{self._line.address}"

    @property
    def direct_origin(self) -> str:
        """The same past the line that can be broken, for measurements."""
        return f"http://{self._server.address}"

    @property
    @abstractmethod
    def base_url(self) -> str:
        """What the vendor's SDK takes as its base URL."""

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        await self._line.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._line.__aexit__(*exception)
        await self._server.__aexit__(*exception)

    async def _answer(self, request: Request) -> ASGIApp:
        raw = await request.body()
        try:
            body = json.loads(raw)
        except ValueError:
            return self._refuse(400, "body is not JSON")
        record = RecordedRequest(
            request.url.path,
            dict(request.query_params),
            dict(request.headers),
            body,
            raw,
            client=str(request.client),
        )
        self.requests.append(record)
        self.received.set()
        given = self.given_key(request.headers)
        if given != self.key or self.outage is Outage.EXPIRED_KEY:
            # Real vendors quote the key they refuse, at least in part.
            return self._refuse(self.expired, f"Incorrect API key provided: {given}")
        try:
            self.validate(body, request.headers)
        except InvalidRequestError as error:
            return self._refuse(400, str(error))
        reply = self._suffering(self._script.popleft() if self._script else self.otherwise, body)
        if reply.status != 200:
            return self._refuse(reply.status, "as scripted", reply.retry_after)
        return ScriptedStream(
            record,
            self._server,
            _paced(self.pieces(body, reply), reply),
            self.media_type,
            reply.fault,
            garbage=self.garbage,
            report=self.in_stream_error(),
        )

    def _suffering(self, reply: ModelReply, body: Any) -> ModelReply:
        """What becomes of a reply while the vendor has an outage."""
        match self.outage:
            case Outage.RATE_LIMITED:
                return replace(reply, status=429, retry_after=RETRY_AFTER)
            case Outage.SERVER_ERROR:
                return replace(reply, status=500)
            case Outage.EMPTY:
                return replace(reply, text=(), tool_uses=())
            case Outage.UNKNOWN_TOOL:
                return replace(reply, text=(), tool_uses=(ToolUse(UNKNOWN_TOOL),))
            case Outage.MALFORMED_TOOL:
                offered = next(iter(self.offered(body)), UNKNOWN_TOOL)
                return replace(reply, text=(), tool_uses=(ToolUse(offered, MALFORMED),))
            case None:
                return reply
        return replace(reply, fault=_IN_THE_ANSWER.get(self.outage, reply.fault))

    def _refuse(self, status: int, message: str, retry_after: float | None = None) -> Response:
        type_ = self.statuses.get(status, "api_error")
        headers = dict(self.error_headers(type_))
        if retry_after is not None:
            headers["retry-after"] = f"{retry_after:g}"
        return JSONResponse(self.error_body(type_, message, status), status_code=status, headers=headers)

    def error_headers(self, type_: str) -> Mapping[str, str]:
        """Headers of an error response."""
        return {}

    @abstractmethod
    def given_key(self, headers: Mapping[str, str]) -> str:
        """The key that a request carries, "" for none."""

    @abstractmethod
    def validate(self, body: Any, headers: Mapping[str, str]) -> None:
        """Raise `InvalidRequestError` for what the vendor would refuse."""

    @abstractmethod
    def offered(self, body: Any) -> list[str]:
        """The names of the tools that a request offers."""

    @abstractmethod
    def pieces(self, body: Any, reply: ModelReply) -> Iterator[bytes]:
        """The reply on the wire; the first piece already holds useful output."""

    @abstractmethod
    def error_body(self, type_: str, message: str, status: int) -> Any:
        """The body of an error response."""

    @abstractmethod
    def in_stream_error(self) -> bytes:
        """An error report inside an open stream."""


async def _paced(pieces: Iterator[bytes], reply: ModelReply) -> AsyncGenerator[bytes]:
    async for piece in paced(pieces, reply.delay, reply.gap):
        yield piece


def require(holds: bool, rule: str) -> None:
    """Raise `InvalidRequestError(rule)` unless it holds."""
    if not holds:
        raise InvalidRequestError(rule)


def event(data: Any, name: str = "") -> bytes:
    """A server-sent event of JSON."""
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + json.dumps(data).encode() + b"\n\n"
