"""Speech that is stopped while it is being made is gone on with in the same audio."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from session.stage import on_virtual_time, stage
from talkspurt.core.history import AgentSaid, CallerSaid
from talkspurt.errors import ProviderError
from talkspurt.ports import SpeechChunk
from talkspurt.testing.providers import ScriptedModel, ToneSynthesizer

LONG_ANSWER = "Your order left our warehouse this morning and comes tomorrow before noon."


@pytest.mark.parametrize("speed", [1.5, 4.0, 20.0])
def test_speech_that_was_stopped_while_it_was_made_goes_on_with_the_same_audio(speed: float) -> None:
    """It had been made anew, and the caller waited for that: for most of those that waited longest."""

    @on_virtual_time
    async def run() -> None:
        synthesizer = ToneSynthesizer(speed=speed)
        async with stage(ScriptedModel.saying(LONG_ANSWER), ["where is it", ""], synthesizer=synthesizer) as call:
            await call.says()
            await call.until(lambda: type(call.session.floor).__name__ == "Speaking")
            await asyncio.sleep(0.5)
            call.line.speak(0.3)
            await call.until(lambda: bool(call.line.clears))
            await call.listening()
            said = " ".join(entry.text for entry in call.recorder.entries[2:] if isinstance(entry, AgentSaid))
            assert said == LONG_ANSWER
            assert set(synthesizer.spoken) == {"Hello there.", LONG_ANSWER}, "its rest was not asked for"

    run()


@pytest.mark.parametrize("fails", [True, False])
def test_speech_that_breaks_behind_a_stop_is_made_anew_or_given_up_and_the_call_goes_on(fails: bool) -> None:
    class Breaking(ToneSynthesizer):
        async def synthesize(
            self, text: str, /, *, voice: str, locale: str, pace: float = 1.0
        ) -> AsyncGenerator[SpeechChunk, None]:
            count, asked = 0, len(self.spoken)
            async for chunk in super().synthesize(text, voice=voice, locale=locale, pace=pace):
                count += 1
                # The greeting, what was prepared, and then what is said.
                if count > 3 and asked == 2:
                    if not fails:
                        await asyncio.sleep(3.0)
                    raise ProviderError("synthesizer", "tone", "broke off", retryable=True)
                yield chunk

    @on_virtual_time
    async def run() -> None:
        synthesizer = Breaking(speed=2.0)
        model = ScriptedModel.saying(LONG_ANSWER)
        async with stage(model, ["where is it", "", "thanks"], synthesizer=synthesizer) as call:
            await call.says()
            await call.until(lambda: type(call.session.floor).__name__ == "Speaking")
            await asyncio.sleep(0.4)
            call.line.speak(0.3)
            await call.until(lambda: bool(call.line.clears))
            await call.listening()
            said = " ".join(entry.text for entry in call.recorder.entries[2:] if isinstance(entry, AgentSaid))
            assert fails or said == LONG_ANSWER, "what has stalled is asked for anew"
            await call.says()
            await call.until(lambda: CallerSaid("thanks") in call.recorder.entries)

    run()
