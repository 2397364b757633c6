"""What the fakes of HTTP vendors share: a script of answers, a record of requests, a fault switchboard.

The vendors' formats are not here but in a file each.
"""

import asyncio
import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Generic, TypeVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from talkspurt.testing.fakes.loopback import Loopback, RecordedRequest, ScriptedStream, paced
from talkspurt.testing.fakes.script import ModelReply, Outage, Speech
from talkspurt.testing.fakes.vendor import IN_THE_ANSWER, RETRY_AFTER, FakeVendor

Answer = TypeVar("Answer", ModelReply, Speech)


class InvalidRequestError(ValueError):
    """A request that the vendor answers with status 400; the text says which rule it breaks."""


class FakeHttp(FakeVendor, ABC, Generic[Answer]):
    """An HTTP vendor on loopback: `async with FakeX() as fake`, then point the SDK at `fake.base_url`.

    Answers come from `script`, first in, first out; with nothing scripted they are like `otherwise`.
    `requests` holds everything received, refused requests too. `suffer` makes the whole vendor fail until `recover`.
    """

    path: ClassVar[str]
    statuses: ClassVar[Mapping[int, str]]
    """The vendor's error type by HTTP status."""
    media_type: ClassVar[str]
    garbage: ClassVar[bytes] = b""
    """What a broken server might send inside an open stream."""
    expired: ClassVar[int] = 401
    """The status by which the vendor refuses a key."""

    def __init__(self, *, key: str, otherwise: Answer) -> None:
        super().__init__()
        self.key = key
        self.otherwise: Answer = otherwise
        self.requests: list[RecordedRequest] = []
        self.received = asyncio.Event()
        """Set once a request has arrived."""
        self._script: deque[Answer] = deque()
        self._server = Loopback(Starlette(routes=[Route(self.path, self._answer, methods=["POST"])]))

    def script(self, *answers: Answer) -> None:
        """Queue `answers` for the next requests."""
        self._script.extend(answers)

    @property
    def origin(self) -> str:
        """`http://127.0.0.1:<port>`."""
        return f"http://{self.address}"

    @property
    def server_address(self) -> str:
        return self._server.address

    @property
    @abstractmethod
    def base_url(self) -> str:
        """What the vendor's SDK takes as its base URL."""

    async def start(self) -> None:
        await self._server.__aenter__()

    async def stop(self) -> None:
        await self._server.__aexit__()

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
            self.check(record)
        except InvalidRequestError as error:
            return self._refuse(400, str(error))
        answer = self.suffering(self._script.popleft() if self._script else self.otherwise, body)
        if answer.status != 200:
            return self._refuse(answer.status, "as scripted", answer.retry_after, answer.reason)
        return ScriptedStream(
            record,
            self._server,
            _paced(self.pieces(body, answer), answer),
            self.media_type,
            answer.fault,
            garbage=self.garbage,
            report=self.in_stream_error(),
        )

    def suffering(self, answer: Answer, body: Any) -> Answer:
        """What becomes of an answer while the vendor has an outage."""
        if self.outage is Outage.RATE_LIMITED:
            return replace(answer, status=429, retry_after=RETRY_AFTER)
        if self.outage is Outage.SERVER_ERROR:
            return replace(answer, status=500)
        if self.outage in IN_THE_ANSWER:
            return replace(answer, fault=IN_THE_ANSWER[self.outage])
        return answer

    def _refuse(self, status: int, message: str, retry_after: float | None = None, reason: str = "") -> Response:
        type_ = reason or self.statuses.get(status, "api_error")
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
    def check(self, request: RecordedRequest) -> None:
        """Raise `InvalidRequestError` for what the vendor would refuse."""

    @abstractmethod
    def pieces(self, body: Any, answer: Answer) -> Iterator[bytes]:
        """The answer on the wire; the first piece already holds useful output."""

    @abstractmethod
    def error_body(self, type_: str, message: str, status: int) -> Any:
        """The body of an error response."""

    def in_stream_error(self) -> bytes:
        """An error report inside an open stream; nothing where the format has none."""
        return b""


async def _paced(pieces: Iterator[bytes], answer: ModelReply | Speech) -> AsyncGenerator[bytes]:
    async for piece in paced(pieces, answer.delay, answer.gap):
        yield piece


def require(holds: bool, rule: str) -> None:
    """Raise `InvalidRequestError(rule)` unless it holds."""
    if not holds:
        raise InvalidRequestError(rule)
