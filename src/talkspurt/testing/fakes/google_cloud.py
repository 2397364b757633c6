"""Google Cloud's Speech-to-Text v2 and Text-to-Speech on loopback: gRPC servers built from the SDKs' own messages.

Unlike the other fakes these need `talkspurt[google-speech]`, so they are imported from here.

What they assume about the vendor (cloud.google.com/speech-to-text/v2/docs, cloud.google.com/text-to-speech/docs):
* `google.cloud.speech.v2.Speech/StreamingRecognize`: the first request has the recognizer and the configuration, all
  others audio, 15 kB at most. Results come while audio is sent: interim ones are replaced by the next, final ones
  stay. When the client ends its requests, what is left becomes final and the stream ends; without speech nothing is
  sent at all;
* `google.cloud.texttospeech.v1.TextToSpeech/StreamingSynthesize`: the first request has the voice and the format, the
  others text; the sound comes as headerless PCM, and the stream ends when all of it was said;
* requests carry a bearer token, which the token server of the credentials' file hands out for a signed assertion;
  errors are gRPC statuses, and how long to wait is in a `google.rpc.RetryInfo`.

They recognise no speech: what is heard is scripted (`ear`), for all streams of the fake together, because a call
makes many. Signatures of assertions are not checked.
"""

import asyncio
import base64
import json
import tempfile
from abc import abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Final, NoReturn

import grpc.aio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.cloud.speech_v2.types import (
    ExplicitDecodingConfig,
    SpeechRecognitionAlternative,
    StreamingRecognitionResult,
    StreamingRecognizeRequest,
    StreamingRecognizeResponse,
)
from google.cloud.texttospeech_v1.types import AudioEncoding, StreamingSynthesizeRequest, StreamingSynthesizeResponse
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from talkspurt.media.g711 import decode_mulaw
from talkspurt.testing.fakes.ear import ScriptedEar
from talkspurt.testing.fakes.line import LineState
from talkspurt.testing.fakes.loopback import Loopback, RecordedRequest
from talkspurt.testing.fakes.script import Fault, Outage, Speech
from talkspurt.testing.fakes.speech import spoken
from talkspurt.testing.fakes.vendor import DRIP_EVERY, IN_THE_ANSWER, REFUSALS, RETRY_AFTER, TOOLS, FakeVendor

_STATUSES: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    422: grpc.StatusCode.FAILED_PRECONDITION,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
}
_GARBAGE: Final = b"\x0a\xff\xff\xff\xff\x7fno message"


class FakeGoogleCloud(FakeVendor):
    """One service: a gRPC server, and the token server of its credentials."""

    # gRPC has no content type that could be wrong and a stream still be one.
    outages: ClassVar[frozenset[Outage]] = frozenset(Outage) - TOOLS - {Outage.WRONG_TYPE}
    service: ClassVar[str]
    method: ClassVar[str]
    request: ClassVar[Any]
    response: ClassVar[Any]

    def __init__(self, *, key: str) -> None:
        super().__init__()
        self.key = key
        self.requests: list[RecordedRequest] = []
        """Every call; its `body` is the first request."""
        self.received = asyncio.Event()
        """Set once a request has arrived."""
        self.tokens = 0
        """Tokens handed out."""
        self.revoked = False
        """True: the token server does not know the account any more."""
        self._tokens = Loopback(Starlette(routes=[Route("/token", self._hand_out, methods=["POST"])]))
        self._folder = tempfile.TemporaryDirectory(prefix="fake-google-")
        self._server: grpc.aio.Server | None = None
        self._port = 0
        self._breaking: asyncio.Task[None] | None = None

    @property
    def base_url(self) -> str:
        """Where the service is, without TLS."""
        return f"http://{self.address}"

    @property
    def server_address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def credentials(self, key: str | None = None) -> str:
        """The path of a service account's file; with a `key` that is not the fake's own, of one without rights."""
        path = Path(self._folder.name) / f"{key or self.key}.json"
        account = {
            "type": "service_account",
            "project_id": "fake-project",
            "private_key_id": "1",
            "private_key": _private_key(),
            "client_email": f"{key or self.key}@fake-project.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": f"http://{self._tokens.address}/token",
        }
        path.write_text(json.dumps(account))
        return str(path)

    async def start(self) -> None:
        await self._tokens.__aenter__()
        self._server = grpc.aio.server()
        handler = grpc.stream_stream_rpc_method_handler(
            self._serve, request_deserializer=self.request.deserialize, response_serializer=self._serialize
        )
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(self.service, {self.method: handler}),)
        )
        self._port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(0)
        await self._tokens.__aexit__()
        self._folder.cleanup()

    def _serialize(self, message: Any) -> bytes:
        return message if isinstance(message, bytes) else bytes(self.response.serialize(message))

    async def _hand_out(self, request: Request) -> JSONResponse:
        form = dict(pair.split("=", 1) for pair in (await request.body()).decode().split("&"))
        if self.revoked:
            return JSONResponse({"error": "invalid_grant", "error_description": "account not found"}, status_code=400)
        claims = form["assertion"].split(".")[1]
        account = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["iss"]
        self.tokens += 1
        token = account.partition("@")[0]
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": 3_600}  # nosec B105  # a kind, no token
        return JSONResponse(answer)

    async def _serve(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        headers = {str(key): str(value) for key, value in context.invocation_metadata()}
        first = await anext(aiter(requests))
        record = RecordedRequest(f"/{self.service}/{self.method}", {}, headers, first, client=context.peer())
        self.requests.append(record)
        self.received.set()
        status = REFUSALS.get(self.outage) if self.outage is not None else None
        if headers.get("authorization") != f"Bearer {self.key}":
            status = 401
        if status is not None:
            await self._refuse(context, status)
        complete = False
        try:
            async for response in self.answer(first, requests, context):
                yield response
            complete = True
        finally:
            # The client's goodbye comes as a cancellation, wherever the answer waits.
            if not complete:
                record.disconnected.set()

    async def _refuse(self, context: Any, status: int, retry_after: float | None = None) -> NoReturn:
        code = _STATUSES[status]
        if status == 429:
            wait = Packed()
            wait.Pack(RetryInfo(retry_delay=Duration(seconds=round(retry_after or RETRY_AFTER))))
            details = Status(code=code.value[0], message="as scripted", details=[wait])
            context.set_trailing_metadata((("grpc-status-details-bin", details.SerializeToString()),))
        await context.abort(code, "as scripted")
        raise AssertionError("abort raises")

    async def _break(self) -> NoReturn:
        """Lose all connections in the middle of an answer, once what was said has arrived."""
        await asyncio.sleep(DRIP_EVERY)
        self._breaking = asyncio.create_task(self._line.become(LineState.OPEN))
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    @abstractmethod
    def answer(self, first: Any, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        """What is said to a call that was let in."""

    async def interrupted(self, fault: Fault | None, context: Any) -> AsyncIterator[Any]:
        """What follows the first piece of an answer with `fault`."""
        match fault:
            case Fault.STALL:
                await asyncio.Event().wait()
            case Fault.BREAK:
                await self._break()
            case Fault.GARBAGE:
                yield _GARBAGE
            case Fault.REPORT:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "as scripted")


class FakeGoogleSynthesis(FakeGoogleCloud):
    """Streaming synthesis: `async with FakeGoogleSynthesis() as fake`, with `fake.base_url` and `fake.credentials()`.

    `script` says how the next syntheses go, first in, first out; without it they go like `otherwise`.
    """

    service: ClassVar[str] = "google.cloud.texttospeech.v1.TextToSpeech"
    method: ClassVar[str] = "StreamingSynthesize"
    request: ClassVar[Any] = StreamingSynthesizeRequest
    response: ClassVar[Any] = StreamingSynthesizeResponse

    def __init__(self, *, key: str = "test-key", otherwise: Speech | None = None) -> None:
        super().__init__(key=key)
        self.otherwise = otherwise or Speech()
        self._script: deque[Speech] = deque()

    def script(self, *speeches: Speech) -> None:
        """Queue `speeches` for the next requests."""
        self._script.extend(speeches)

    async def answer(self, first: Any, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        speech = self._script.popleft() if self._script else self.otherwise
        fault = IN_THE_ANSWER.get(self.outage, speech.fault) if self.outage is not None else speech.fault
        audio = first.streaming_config.streaming_audio_config
        pace = audio.speaking_rate or 1.0
        if audio.audio_encoding != AudioEncoding.PCM or not 0.25 <= pace <= 2.0:
            await self._refuse(context, 400)
        if speech.status != 200:
            await self._refuse(context, speech.status, speech.retry_after)
        text = "".join([request.input.text async for request in requests])
        if fault is Fault.HANG:
            await asyncio.Event().wait()
        if speech.mute or self.outage is Outage.EMPTY:
            return
        await asyncio.sleep(speech.delay)
        sound = spoken(text, pace, audio.sample_rate_hertz)
        if fault is Fault.DRIP:
            for start in range(len(sound)):
                yield StreamingSynthesizeResponse(audio_content=sound[start : start + 1])
                await asyncio.sleep(DRIP_EVERY)
        # An odd number of bytes: a piece may end in the middle of a sample.
        for start in range(0, len(sound), 7_199):
            yield StreamingSynthesizeResponse(audio_content=sound[start : start + 7_199])
            if fault is not None:
                async for rest in self.interrupted(fault, context):
                    yield rest
                return
            await asyncio.sleep(speech.gap)


class FakeGoogleRecognition(FakeGoogleCloud):
    """Streaming recognition of a script: `async with FakeGoogleRecognition(("hello there",)) as fake`."""

    # No words are silence, and any orderly end is one.
    outages: ClassVar[frozenset[Outage]] = FakeGoogleCloud.outages - {Outage.EMPTY}
    service: ClassVar[str] = "google.cloud.speech.v2.Speech"
    method: ClassVar[str] = "StreamingRecognize"
    request: ClassVar[Any] = StreamingRecognizeRequest
    response: ClassVar[Any] = StreamingRecognizeResponse

    def __init__(self, phrases: Sequence[str] = ("hello there",), *, key: str = "test-key") -> None:
        super().__init__(key=key)
        self.phrases = deque(phrases)
        """What the stretches of sound are, in order, on whichever stream."""
        self.audio: list[bytearray] = []
        """The audio of each call, as PCM16."""

    async def answer(self, first: Any, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        decoding = first.streaming_config.config.explicit_decoding_config
        mulaw = decoding.encoding == ExplicitDecodingConfig.AudioEncoding.MULAW
        if not mulaw or decoding.sample_rate_hertz != 8_000 or not first.recognizer.endswith("/recognizers/_"):
            await self._refuse(context, 400)
        fault = IN_THE_ANSWER.get(self.outage) if self.outage is not None else None
        if fault is Fault.HANG:
            await asyncio.Event().wait()
        ear, told = ScriptedEar(self.phrases), ""
        audio = bytearray()
        self.audio.append(audio)
        async for request in requests:
            if len(request.audio) > 15_000:
                await self._refuse(context, 400)
            pcm = decode_mulaw(request.audio)
            audio += pcm
            ear.feed(pcm)
            if ear.text != told:
                told = ear.text
                yield _result(told, final=False)
                if fault in (Fault.STALL, Fault.BREAK, Fault.GARBAGE, Fault.REPORT):
                    async for rest in self.interrupted(fault, context):
                        yield rest
                    return
                if fault is Fault.CUT_SHORT:
                    return
        ear.settle()
        while fault is Fault.DRIP:
            # Signs of life in place of the words.
            yield StreamingRecognizeResponse()
            await asyncio.sleep(DRIP_EVERY)
        if ear.text:
            yield _result(ear.text, final=True)


def _result(text: str, *, final: bool) -> StreamingRecognizeResponse:
    alternative = SpeechRecognitionAlternative(transcript=text, confidence=0.9 if final else 0.0)
    result = StreamingRecognitionResult(alternatives=[alternative], is_final=final, stability=0.0 if final else 0.9)
    return StreamingRecognizeResponse(results=[result])


@cache
def _private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
