"""A language model made of several: the next one is asked when one fails, before the caller has heard anything."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from talkspurt.ladder.rung import Rung
from talkspurt.ladder.streams import Worth, stream_from
from talkspurt.ladder.warming import close_all, keep_connected, warm_up
from talkspurt.ports import LanguageModel, ReplyPart, ReplyRequest, TextDelta, ToolCallDelta, ToolCallPart


class LadderModel:
    """A `LanguageModel`. A reply that breaks off after words were given ends with the `ProviderError` of its rung."""

    def __init__(self, rungs: Sequence[Rung[LanguageModel]], *, hedged: bool = True) -> None:
        self._rungs = tuple(rungs)
        self._hedged = hedged

    async def warm_up(self) -> None:
        """Warm all rungs at once; fails only when not one of them can be used."""
        await warm_up(self._rungs)

    async def keep_connected(self) -> None:
        """Have a connection of the rung open that is asked first. Raises nothing."""
        await keep_connected(self._rungs)

    async def reply(self, request: ReplyRequest, /) -> AsyncGenerator[ReplyPart, None]:
        """Stream one reply from the first rung that begins one in time.

        One that broke off is gone on with by whoever has not just failed: they are asked first.
        """
        rungs = sorted(self._rungs, key=lambda rung: rung.breaker.doubted) if request.continues else self._rungs
        stream = stream_from(rungs, lambda rung: rung.provider.reply(request), _worth, hedged=self._hedged)
        async with aclosing(stream):
            async for _, part in stream:
                yield part

    async def aclose(self) -> None:
        """Close all rungs. Idempotent."""
        await close_all(self._rungs)


def _worth(part: ReplyPart) -> Worth:
    match part:
        case ToolCallDelta():
            return Worth.COMING
        case ToolCallPart():
            return Worth.USEFUL
        case TextDelta(text) if text.strip():
            return Worth.USEFUL
    return Worth.NOTHING
