"""A model that hears and speaks itself, asked in text: to check that it answers, and how fast."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from talkspurt.ports import ReplyPart, ReplyRequest, SpeechToSpeech


class InText:
    """A `LanguageModel`: every request has a session of its own, which is told all of the history."""

    def __init__(self, model: SpeechToSpeech) -> None:
        self._model = model

    async def warm_up(self) -> None:
        """Prove that a session can be had. Raises `ProviderError`."""
        await self._model.warm_up()

    async def reply(self, request: ReplyRequest, /) -> AsyncGenerator[ReplyPart, None]:
        """Stream one reply; nobody hears it. Raises `ProviderError`."""
        stages = self._model.for_call()
        stream = await stages.recognizer.open(locale=request.locale, call_id="in-text")
        try:
            async with aclosing(stages.model.reply(request)) as parts:
                async for part in parts:
                    yield part
        finally:
            await stream.aclose()

    async def aclose(self) -> None:
        """Release everything. Idempotent."""
        await self._model.aclose()
