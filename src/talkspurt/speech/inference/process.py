"""An inference process: local models behind a Unix socket, for all workers of a machine.

It is started by `supervision.py` and ends when its standard input has ended and no worker is connected any more: calls
that are being finished need it until the last, also when whoever started it was killed. So no signal of an orderly end,
which may be meant for the whole group, ends it.
It runs at low priority: whatever time a worker needs for the frames of its calls comes first.

Garbage ends the connection that it came over and nothing else. What a worker asked for is forgotten with its
connection.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, Final, get_args

import msgspec
import structlog

from talkspurt.errors import ProtocolError, ProviderError, TalkspurtError
from talkspurt.speech.inference.asking import Ask, Inference, Kind, Purpose, RefusedError
from talkspurt.speech.inference.local import LocalInference
from talkspurt.speech.inference.messages import (
    CREDIT,
    REQUESTS,
    Answer,
    Cancel,
    Ended,
    Failed,
    Judge,
    Judged,
    More,
    Ping,
    Pong,
    Request,
    Spoken,
    Synthesize,
    Transcribe,
    Transcribed,
    Want,
    WarmUp,
    framed,
    read_message,
)
from talkspurt.speech.inference.models import Models
from talkspurt.speech.weights import WeightStore
from talkspurt.telemetry.logs import configure_logging

NICENESS: Final = 10
"""A tenth of the share of a process at 0 when both want the same core; all of it when nobody else does."""
SWITCH: Final = 0.001
"""Seconds until a thread that computes in Python makes room: requests and answers should not wait 5 ms for it."""
IN_HAND: Final = 512
"""Pieces of one worker in hand, waiting or not."""

_log = structlog.get_logger(__name__)


class Settings(msgspec.Struct, frozen=True):
    """What a process is told on its command line."""

    socket: str
    weights: str
    threads: int
    """Of one piece."""
    at_once: int
    kinds: tuple[Kind, ...] = get_args(Kind)
    """What to load before anybody asks."""
    log_level: str = "info"


async def serve(settings: Settings, *, until: Coroutine[Any, Any, object]) -> None:
    """Answer requests until `until` has returned and the last worker has gone."""
    store = WeightStore(Path(settings.weights))
    inference = LocalInference(Models(store, threads=settings.threads, at_once=settings.at_once))
    warming = [asyncio.create_task(inference.warm_up(kind), name=f"warming-{kind}") for kind in settings.kinds]
    workers = _Workers(inference)
    # Not where the process before this one may still be listening.
    fresh = f"{settings.socket}.{os.getpid()}"
    server = await asyncio.start_unix_server(workers.connected, fresh)
    os.replace(fresh, settings.socket)
    try:
        await until
        await workers.gone.wait()
    finally:
        server.close()
        for task in warming:
            task.cancel()
        # What failed while warming up is told to whoever asks for it.
        await asyncio.gather(*warming, return_exceptions=True)
        await workers.aclose()
        await inference.aclose()


class _Workers:
    """Who is connected."""

    def __init__(self, inference: Inference) -> None:
        self._inference = inference
        self._connections: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}
        self.gone = asyncio.Event()
        """Set while nobody is."""
        self.gone.set()

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.gone.clear()
        task = self._connections[writer] = asyncio.create_task(answer(self._inference, reader, writer), name="worker")
        task.add_done_callback(lambda _: self._disconnected(writer))

    async def aclose(self) -> None:
        for writer in self._connections:
            writer.transport.abort()
        await asyncio.gather(*self._connections.values(), return_exceptions=True)

    def _disconnected(self, writer: asyncio.StreamWriter) -> None:
        del self._connections[writer]
        if not self._connections:
            self.gone.set()


async def answer(inference: Inference, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one worker until it hangs up, or talks nonsense."""
    worker = _Worker(inference, writer)
    try:
        while True:
            worker.take(await read_message(reader, REQUESTS))
    except ProtocolError as error:
        _log.warning("inference_garbage", error=str(error))
    except (asyncio.IncompleteReadError, OSError):
        pass  # it has gone
    finally:
        await worker.aclose()
        writer.close()


class _Worker:
    """One connection: its pieces in hand."""

    def __init__(self, inference: Inference, writer: asyncio.StreamWriter) -> None:
        self._inference = inference
        self._writer = writer
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._credit: dict[int, asyncio.Semaphore] = {}
        self._ahead: dict[int, Purpose] = {}

    def take(self, request: Request) -> None:
        match request:
            case Ping():
                self._send(Pong())
            case More(piece):
                if piece in self._credit:
                    self._credit[piece].release()
            case Want(piece):
                if piece in self._ahead:
                    self._ahead[piece].is_wanted()
            case Cancel(piece):
                if piece in self._tasks:
                    self._tasks[piece].cancel()
            case _ if len(self._tasks) >= IN_HAND or request.piece in self._tasks:
                self._send(Failed(request.piece, ProviderError.code, "", "backlog", retryable=True))
            case _:
                task = asyncio.create_task(self._do(request), name="piece")
                self._tasks[request.piece] = task
                task.add_done_callback(lambda _: self._tasks.pop(request.piece, None))

    async def aclose(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _do(self, request: WarmUp | Transcribe | Judge | Synthesize) -> None:
        piece = request.piece
        try:
            match request:
                case WarmUp(kind=kind):
                    await self._inference.warm_up(_kind(kind))
                    self._send(Ended(piece))
                case Transcribe(pcm=pcm):
                    times = _Times()
                    text = await self._inference.transcribe(pcm, _ask(request, Purpose(request.call), times))
                    self._send(Transcribed(piece, times.queued, times.ran, text))
                case Judge(pcm=pcm):
                    times = _Times()
                    score = await self._inference.judge(pcm, _ask(request, Purpose(request.call), times))
                    self._send(Judged(piece, times.queued, times.ran, score))
                case Synthesize():
                    await self._speak(request)
        except RefusedError as error:
            self._send(Failed(piece, error.code, "", error.reason, retryable=True))
        except TalkspurtError as error:
            self._send(Failed(piece, error.code, _said(error), "", retryable=getattr(error, "retryable", False)))
        except Exception as error:
            _log.exception("inference_failed")
            self._send(Failed(piece, ProviderError.code, str(error) or type(error).__name__, "", retryable=True))

    async def _speak(self, request: Synthesize) -> None:
        piece = request.piece
        credit = self._credit[piece] = asyncio.Semaphore(CREDIT)
        purpose = self._ahead[piece] = Purpose(request.call, ahead=request.ahead)
        times = _Times()
        speech = self._inference.synthesize(
            request.text, _ask(request, purpose, times), voice=request.voice, pace=request.pace
        )
        try:
            async with aclosing(speech):
                async for chunk in speech:
                    await credit.acquire()
                    self._send(Spoken(piece, times.queued, times.ran, chunk.pcm, chunk.words))
                    times.clear()
            self._send(Ended(piece))
        finally:
            del self._credit[piece], self._ahead[piece]

    def _send(self, message: Answer) -> None:
        # What is in the writer's buffer is bounded by the pieces in hand and the credit of speech.
        self._writer.write(framed(message))


class _Times:
    """Seconds of the pieces that one answer is made of."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.queued = 0.0
        self.ran = 0.0

    def __call__(self, queued: float, ran: float) -> None:
        self.queued += queued
        self.ran += ran


def _ask(request: Transcribe | Judge | Synthesize, purpose: Purpose, times: _Times) -> Ask:
    return Ask(purpose, request.due, request.expires, times)


def _kind(name: str) -> Kind:
    kinds: tuple[Kind, ...] = get_args(Kind)
    return next(kind for kind in kinds if kind == name)


def _said(error: TalkspurtError) -> str:
    """An error's message without what the worker's own error will say again."""
    message = str(error)
    return message.removeprefix(f"{error.vendor} {error.port}: ") if isinstance(error, ProviderError) else message


async def _end_of_input() -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    with suppress(OSError):
        while await reader.read(1024):
            pass


def main() -> None:
    """Run one, as its command line says."""
    settings = msgspec.json.decode(sys.argv[1], type=Settings)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICENESS)
    sys.setswitchinterval(SWITCH)
    configure_logging(level=settings.log_level, style="json")
    asyncio.run(serve(settings, until=_end_of_input()))


if __name__ == "__main__":
    main()
