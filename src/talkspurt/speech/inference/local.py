"""Inference by threads of this process: in tests, on request, and inside an inference process.

Users share one set of threads and models, so that all that is asked for stands in one queue; the last to close
ends them.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar
from weakref import WeakValueDictionary

from talkspurt.config import Config
from talkspurt.errors import TalkspurtError
from talkspurt.ports import SpeechChunk
from talkspurt.speech.inference.asking import Ask, Kind, Purpose, failure, refusal
from talkspurt.speech.inference.models import Loaded, Model, Models
from talkspurt.speech.inference.threads import InferenceThreads
from talkspurt.speech.piper_voice import Speech
from talkspurt.speech.weights import WeightStore

Result = TypeVar("Result")

WARM_UP: Final = 60.0
"""Seconds that a first run may wait for others."""


class _Engine:
    """Threads and models, for `users`."""

    def __init__(self, models: Models) -> None:
        self.models = models
        self.threads = InferenceThreads(models.at_once)
        self.users = 0
        self.warm: set[Kind] = set()


class LocalInference:
    """A user's share in threads of this process."""

    def __init__(self, models: Models, *, engine: _Engine | None = None) -> None:
        """Threads of its own for these models, unless it is to share an `engine`."""
        self._engine = engine or _Engine(models)
        self._engine.users += 1
        self._closed = False

    @classmethod
    def shared(cls, config: Config) -> "LocalInference":
        """A share in this process's one engine for such a configuration."""
        store = WeightStore.from_config(config)
        key = (store.root, config.inference.pieces_at_once, config.speech.threads)
        engine = _SHARED.get(key)
        if engine is None or not engine.users:
            engine = _SHARED[key] = _Engine(Models(store, threads=key[2], at_once=key[1]))
        return cls(engine.models, engine=engine)

    async def warm_up(self, kind: Kind, /) -> None:
        """Load the models of a kind and run them once."""
        first_run = await self._engine.models.first_run(kind)
        if kind not in self._engine.warm:
            now = time.monotonic()
            await self._run(kind, Ask(Purpose(), now, now + WARM_UP), first_run)
            self._engine.warm.add(kind)

    async def transcribe(self, pcm: bytes, ask: Ask, /) -> str:
        """The words in PCM16 at the line's rate, "" for none."""
        transcriber = await self._loaded("transcript", ask, self._engine.models.transcriber)
        return await self._run("transcript", ask, lambda: transcriber.transcribe(pcm))

    async def judge(self, pcm: bytes, ask: Ask, /) -> float:
        """The probability that the voice in PCM16 at the line's rate has finished."""
        judge = await self._loaded("judgement", ask, self._engine.models.judge)
        return await self._run("judgement", ask, lambda: judge.finished(pcm))

    async def synthesize(self, text: str, ask: Ask, /, *, voice: str, pace: float) -> AsyncGenerator[SpeechChunk, None]:
        """Speak, chunk by chunk; each is due when the line has played all before it."""
        speech = Speech(await self._loaded("speech", ask, self._engine.models.voices[voice]), text, pace=pace)
        begun = False
        while not speech.complete:
            due = ask.due + speech.seconds
            step = replace(ask, due=due, expires=due + ask.expires - ask.due) if begun else replace(ask, due=due)
            chunk = await self._run("speech", step, speech.step, begun=begun)
            if chunk.pcm or chunk.words:
                begun = True
                yield chunk

    async def aclose(self) -> None:
        """Refuse what waits, let what runs end; the last user ends the threads. Idempotent."""
        if self._closed:
            return
        self._closed = True
        threads = self._engine.threads
        threads.withdraw(self)
        self._engine.users -= 1
        if not self._engine.users:
            threads.close()
            await asyncio.to_thread(threads.join)

    async def _loaded(self, kind: Kind, ask: Ask, model: Loaded[Model]) -> Model:
        patience = asyncio.timeout(max(0.0, ask.expires - time.monotonic()))
        try:
            async with patience:
                return await model.get()
        except TimeoutError:
            if patience.expired():
                raise refusal(kind, "expired") from None
            raise

    async def _run(self, kind: Kind, ask: Ask, work: Callable[[], Result], *, begun: bool = False) -> Result:
        if self._closed:
            raise refusal(kind, "closed")
        try:
            return await self._engine.threads.run(kind, ask, work, owner=self, begun=begun)
        except (TalkspurtError, asyncio.CancelledError):
            raise
        except Exception as error:
            raise failure(kind, str(error) or type(error).__name__) from error


_SHARED: Final[WeakValueDictionary[tuple[Path, int, int], _Engine]] = WeakValueDictionary()
