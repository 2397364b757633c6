"""Inference by processes that all workers of the machine share: the worker's side.

What was lost with a process is asked for once more, of another one or of its successor, where nobody has heard any of
it; the worker still has the audio or text. Whatever happens, a request is answered, or refused, when it expires.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final

from talkspurt.errors import ConfigurationError, ProviderError, WeightsError
from talkspurt.ports import SpeechChunk
from talkspurt.speech.inference.asking import Ask, Kind, Purpose, Reason, RefusedError, failure, measure, refusal
from talkspurt.speech.inference.link import SILENCE, Exchange, Link
from talkspurt.speech.inference.messages import (
    Failed,
    Judge,
    Judged,
    More,
    PieceAnswer,
    Request,
    Spoken,
    Synthesize,
    Transcribe,
    Transcribed,
    Want,
    WarmUp,
)

WARM_UP: Final = 120.0
"""Seconds for a process to start and load everything."""
GRACE: Final = 0.1
"""Seconds beyond a request's time for the process to say itself why it did not do it."""
TRIES: Final = 2


class RemoteInference:
    """The client of inference processes. Belongs to one event loop."""

    def __init__(self, sockets: Sequence[Path], *, silence: float = SILENCE) -> None:
        self._links = [Link(path, silence=silence) for path in sockets]
        self._closed = False

    async def warm_up(self, kind: Kind, /) -> None:
        """Have every process load the models of a kind and run them once."""
        await asyncio.gather(*(self._warm_up(kind, link) for link in self._links))

    async def transcribe(self, pcm: bytes, ask: Ask, /) -> str:
        """The words in PCM16 at the line's rate, "" for none."""
        answer = await self._answer(
            "transcript", ask, lambda piece: Transcribe(piece, ask.purpose.call, ask.due, ask.expires, pcm)
        )
        assert isinstance(answer, Transcribed)
        return answer.text

    async def judge(self, pcm: bytes, ask: Ask, /) -> float:
        """The probability that the voice in PCM16 at the line's rate has finished."""
        answer = await self._answer(
            "judgement", ask, lambda piece: Judge(piece, ask.purpose.call, ask.due, ask.expires, pcm)
        )
        assert isinstance(answer, Judged)
        return answer.score

    async def synthesize(self, text: str, ask: Ask, /, *, voice: str, pace: float) -> AsyncGenerator[SpeechChunk, None]:
        """Speak. Every chunk taken allows the process to make another one."""

        def request(piece: int) -> Request:
            purpose = ask.purpose
            return Synthesize(piece, purpose.call, ask.due, ask.expires, purpose.ahead, text, voice, pace)

        async with aclosing(self._answers("speech", ask, request)) as answers:
            async for exchange, answer in answers:
                if isinstance(answer, Spoken):
                    yield SpeechChunk(answer.pcm, answer.words)
                    exchange.send(More(exchange.piece))

    async def aclose(self) -> None:
        """Hang up; what is in hand is refused. Idempotent."""
        self._closed = True
        for link in self._links:
            await link.aclose()

    async def _warm_up(self, kind: Kind, link: Link) -> None:
        now = time.monotonic()
        ask = Ask(Purpose(), now, now + WARM_UP)
        while True:
            try:
                await self._answer(kind, ask, lambda piece: WarmUp(piece, kind), [link])
            except RefusedError as error:
                # One that is slow to begin, or has to begin again, is waited for.
                if error.reason != "lost":
                    raise
            else:
                return

    async def _answer(
        self, kind: Kind, ask: Ask, request: Callable[[int], Request], links: Sequence[Link] | None = None
    ) -> PieceAnswer:
        async with aclosing(self._answers(kind, ask, request, links)) as answers:
            async for _, answer in answers:
                return answer
        raise AssertionError("every piece is answered")

    async def _answers(
        self, kind: Kind, ask: Ask, request: Callable[[int], Request], links: Sequence[Link] | None = None
    ) -> AsyncGenerator[tuple[Exchange, PieceAnswer], None]:
        """What a process answers to a request, to the last word; once more from the beginning if that is lost early."""
        for _ in range(TRIES):
            link = await self._live(kind, ask, links or self._links)
            heard = False
            with link.exchange() as exchange:
                ask.purpose.when_wanted(lambda exchange=exchange: exchange.send(Want(exchange.piece)))  # type: ignore[misc]
                exchange.send(request(exchange.piece))
                while (answer := await self._next(kind, exchange, None if heard else ask.expires)) is not None:
                    if isinstance(answer, Failed):
                        link.ended(exchange)
                        raise _error(kind, answer)
                    if isinstance(answer, Transcribed | Judged | Spoken):
                        measure(kind, ask, answer.queued, answer.ran)
                    last = not isinstance(answer, Spoken)
                    if last:
                        link.ended(exchange)
                    heard = True
                    yield exchange, answer
                    if last:
                        return
            if heard or self._closed:
                break
        raise refusal(kind, "closed" if self._closed else "lost")

    async def _next(self, kind: Kind, exchange: Exchange, expires: float | None) -> PieceAnswer | None:
        """The next answer; None when the process is lost, which a hung one is soon."""
        if expires is None:
            return await exchange.answers.get()
        patience = asyncio.timeout(max(0.0, expires + GRACE - time.monotonic()))
        try:
            async with patience:
                return await exchange.answers.get()
        except TimeoutError:
            raise refusal(kind, "expired") from None

    async def _live(self, kind: Kind, ask: Ask, links: Sequence[Link]) -> Link:
        """The process that has least of ours in hand, as soon as there is one."""
        if self._closed:
            raise refusal(kind, "closed")
        for link in links:
            link.start()
        while not (live := [link for link in links if link.up and not link.full]):
            if any(link.full for link in links):
                raise refusal(kind, "backlog")
            await self._change(kind, ask, links)
        return min(live, key=lambda link: link.in_hand)

    async def _change(self, kind: Kind, ask: Ask, links: Sequence[Link]) -> None:
        waits = []
        for link in links:
            link.changed.clear()
            waits.append(asyncio.create_task(link.changed.wait()))
        try:
            left = max(0.0, ask.expires - time.monotonic())
            done, _ = await asyncio.wait(waits, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not done:
            raise refusal(kind, "unavailable")
        if self._closed:
            raise refusal(kind, "closed")


def _error(kind: Kind, failed: Failed) -> Exception:
    if failed.reason:
        reason: Reason = failed.reason  # type: ignore[assignment]
        return refusal(kind, reason)
    match failed.code:
        case WeightsError.code:
            return WeightsError(failed.message)
        case ConfigurationError.code:
            return ConfigurationError(failed.message)
        case ProviderError.code:
            return failure(kind, failed.message, retryable=failed.retryable)
    return failure(kind, f"{failed.code}: {failed.message}", retryable=failed.retryable)
