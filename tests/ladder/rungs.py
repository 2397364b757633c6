"""Rungs with scripted providers, for tests of the ladder on virtual time."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from talkspurt.core.history import CallerSaid
from talkspurt.errors import ProviderError
from talkspurt.ladder import LadderModel, Patience, Rung
from talkspurt.ports import ReplyPart, ReplyRequest, TextDelta

FIRST, BETWEEN = 1.5, 1.5

Step = float | ReplyPart | Exception
"""Seconds to wait, a part to give, or an error to raise."""

REQUEST = ReplyRequest(instructions="", history=(CallerSaid("Hello"),), tools=())


class StepModel:
    """A language model whose n-th reply follows the n-th script, and the last one ever after."""

    def __init__(self, *scripts: Sequence[Step]) -> None:
        self._scripts = scripts
        self.asked: list[float] = []
        """When it was asked."""
        self.running = 0
        self.cancelled = 0

    async def warm_up(self) -> None:
        async for _ in self.reply(REQUEST):
            pass

    async def reply(self, request: ReplyRequest, /) -> AsyncGenerator[ReplyPart, None]:
        script = self._scripts[min(len(self.asked), len(self._scripts) - 1)]
        self.asked.append(asyncio.get_running_loop().time())
        self.running += 1
        try:
            for step in script:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, float):
                    await asyncio.sleep(step)
                else:
                    yield step
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    async def aclose(self) -> None:
        """Nothing to do."""


def error(*, retryable: bool = True, **more: Any) -> ProviderError:
    return ProviderError("model", "test", "failed", retryable=retryable, **more)


def rung(
    name: str, provider: Any, *, capacity: int | None = None, port: str = "model", local: bool = False
) -> Rung[Any]:
    return Rung(port, name, provider, Patience(FIRST, BETWEEN), capacity, local)


def ladder(*models: StepModel, hedged: bool = False) -> LadderModel:
    return LadderModel([rung(f"m{place}", model) for place, model in enumerate(models)], hedged=hedged)


async def say(model: LadderModel, heard: Callable[[str], None] = lambda _: None) -> str:
    """All text of one reply."""
    words = []
    async for part in model.reply(REQUEST):
        assert isinstance(part, TextDelta)
        heard(part.text)
        words.append(part.text)
    return "".join(words)
