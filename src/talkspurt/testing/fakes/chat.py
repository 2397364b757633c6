"""What the two fake chat vendors share: a script of replies, a record of requests, one endpoint.

The vendors' formats are not here but in `openai.py` and `anthropic.py`.
"""

import asyncio
import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any, ClassVar, Self

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from talkspurt.testing.fakes.loopback import Loopback, RecordedRequest, ScriptedStream
from talkspurt.testing.fakes.script import ModelReply


class InvalidRequestError(ValueError):
    """A request that the vendor answers with status 400; the text says which rule it breaks."""


class FakeChat(ABC):
    """A chat vendor on loopback: `async with FakeX() as fake`, then point the SDK at `fake.base_url`.

    Replies come from `script`, first in, first out; with nothing scripted the fake says `otherwise`.
    `requests` holds everything received, refused requests too.
    """

    path: ClassVar[str]
    statuses: ClassVar[Mapping[int, str]]
    """The vendor's error type by HTTP status."""

    def __init__(self, *, key: str = "test-key", otherwise: ModelReply | None = None) -> None:
        self.key = key
        self.otherwise = otherwise or ModelReply(text=("Hello", " there."))
        self.requests: list[RecordedRequest] = []
        self.received = asyncio.Event()
        """Set once a request has arrived."""
        self._script: deque[ModelReply] = deque()
        self._server = Loopback(Starlette(routes=[Route(self.path, self._answer, methods=["POST"])]))

    def script(self, *replies: ModelReply) -> None:
        """Queue `replies` for the next requests."""
        self._script.extend(replies)

    @property
    def origin(self) -> str:
        """`http://127.0.0.1:<port>`."""
        return f"http://{self._server.address}"

    @property
    @abstractmethod
    def base_url(self) -> str:
        """What the vendor's SDK takes as its base URL."""

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._server.__aexit__(*exception)

    async def _answer(self, request: Request) -> ASGIApp:
        try:
            body = json.loads(await request.body())
        except ValueError:
            return self._refuse(400, "body is not JSON")
        record = RecordedRequest(
            request.url.path, dict(request.query_params), dict(request.headers), body, client=str(request.client)
        )
        self.requests.append(record)
        self.received.set()
        if self.given_key(request.headers) != self.key:
            # Real vendors quote the key they refuse, at least in part.
            return self._refuse(401, f"Incorrect API key provided: {self.given_key(request.headers)}")
        try:
            self.validate(body, request.headers)
        except InvalidRequestError as error:
            return self._refuse(400, str(error))
        reply = self._script.popleft() if self._script else self.otherwise
        if reply.status != 200:
            return self._refuse(reply.status, "as scripted")
        return ScriptedStream(
            record,
            self._server,
            _paced(self.pieces(body, reply), reply),
            "text/event-stream; charset=utf-8",
            reply.fault,
            garbage=b"event: message_delta\ndata: {]\n\n",
            report=self.in_stream_error(),
        )

    def _refuse(self, status: int, message: str) -> JSONResponse:
        return JSONResponse(self.error_body(self.statuses.get(status, "api_error"), message), status_code=status)

    @abstractmethod
    def given_key(self, headers: Mapping[str, str]) -> str:
        """The key that a request carries, "" for none."""

    @abstractmethod
    def validate(self, body: Any, headers: Mapping[str, str]) -> None:
        """Raise `InvalidRequestError` for what the vendor would refuse."""

    @abstractmethod
    def pieces(self, body: Any, reply: ModelReply) -> Iterator[bytes]:
        """The reply on the wire; the first piece already holds useful output."""

    @abstractmethod
    def error_body(self, type_: str, message: str) -> Any:
        """The body of an error response."""

    @abstractmethod
    def in_stream_error(self) -> bytes:
        """An error report inside an open stream."""


async def _paced(pieces: Iterator[bytes], reply: ModelReply) -> AsyncGenerator[bytes]:
    pause = reply.delay
    for piece in pieces:
        if pause:
            await asyncio.sleep(pause)
        pause = reply.gap
        yield piece


def require(holds: bool, rule: str) -> None:
    """Raise `InvalidRequestError(rule)` unless it holds."""
    if not holds:
        raise InvalidRequestError(rule)
