"""Speech that is stopped while it is being made: gone on with in the same audio, or let go."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from session.stage import on_virtual_time, stage
from talkspurt.core.history import AgentSaid, CallerSaid
from talkspurt.errors import ProviderError
from talkspurt.ports import ReplyPart, ReplyRequest, SpeechChunk, TextDelta
from talkspurt.testing.providers import ScriptedModel, ScriptedRecognizer, ToneSynthesizer

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


class Noting(ToneSynthesizer):
    """Notes what was not made to its end."""

    def __init__(self, speed: float) -> None:
        super().__init__(speed=speed)
        self.broken_off: list[str] = []

    async def synthesize(
        self, text: str, /, *, voice: str, locale: str, pace: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        try:
            async with aclosing(super().synthesize(text, voice=voice, locale=locale, pace=pace)) as speech:
                async for chunk in speech:
                    yield chunk
        except (asyncio.CancelledError, GeneratorExit):
            self.broken_off.append(text)
            raise


@on_virtual_time
async def test_a_stopped_sentence_is_let_go_when_the_caller_is_answered_and_not_when_the_answer_is_spoken() -> None:
    """It had been made on while the model thought, and stood before the answer's first sentence at the synthesizer."""
    synthesizer = Noting(speed=1.0)
    model = ScriptedModel.saying(LONG_ANSWER, "All right.", first=0.4)
    async with stage(model, ["where is it", "leave it then"], synthesizer=synthesizer) as call:
        await call.says()
        await call.until(lambda: type(call.session.floor).__name__ == "Speaking")
        await asyncio.sleep(0.5)
        call.line.speak(1.0)
        await call.until(lambda: bool(call.line.clears))
        await asyncio.sleep(0.9)
        assert synthesizer.broken_off == [], "it may be gone on with"
        await call.until(lambda: len(model.requests) == 2)
        assert synthesizer.broken_off == [LONG_ANSWER]
        assert "All right." not in synthesizer.spoken
        await call.until(lambda: AgentSaid("All right.") in call.recorder.entries)


class BreakingOff(ScriptedModel):
    """Says a sentence, and fails when it is told to; asked again, it says another."""

    def __init__(self) -> None:
        super().__init__(lambda _request: [])
        self.fail = asyncio.Event()

    async def reply(self, request: ReplyRequest, /) -> AsyncGenerator[ReplyPart, None]:
        self.requests.append(request)
        if len(self.requests) > 1:
            yield TextDelta("Anything else?")
            return
        yield TextDelta(f"{LONG_ANSWER} ")
        await self.fail.wait()
        raise ProviderError("model", "scripted", "broke off")


@on_virtual_time
async def test_a_stopped_sentence_is_not_let_go_when_the_model_is_asked_again_behind_it() -> None:
    synthesizer, model = Noting(speed=1.5), BreakingOff()
    async with stage(model, ["where is it", ""], synthesizer=synthesizer) as call:
        await call.says()
        await call.until(lambda: type(call.session.floor).__name__ == "Speaking")
        await asyncio.sleep(0.5)
        call.line.speak(0.3)
        await call.until(lambda: bool(call.line.clears))
        model.fail.set()
        await call.until(lambda: len(model.requests) == 2)
        assert type(call.session.floor).__name__ == "Yielding"
        await call.listening()
        said = " ".join(entry.text for entry in call.recorder.entries[2:] if isinstance(entry, AgentSaid))
        assert said == f"{LONG_ANSWER} Anything else?"
        assert set(synthesizer.spoken) == {"Hello there.", LONG_ANSWER, "Anything else?"}, "its rest was not asked for"
        assert synthesizer.broken_off == []


@on_virtual_time
async def test_what_was_not_stopped_is_said_to_its_end_when_the_caller_is_answered() -> None:
    """Their words are late, so they are told that it takes a moment; in the middle of that the words come."""
    synthesizer = Noting(speed=1.0)
    recognizer = ScriptedRecognizer(["where is it", "leave it then"], delay=1.6)
    model = ScriptedModel.saying(LONG_ANSWER, "All right.", first=0.4)
    async with stage(model, recognizer=recognizer, synthesizer=synthesizer) as call:
        await call.says()
        await call.until(lambda: LONG_ANSWER in synthesizer.spoken)
        await call.until(lambda: type(call.session.floor).__name__ == "Speaking")
        await asyncio.sleep(0.5)
        call.line.speak(1.0)
        await call.until(lambda: bool(call.line.clears))
        await call.until(lambda: len(model.requests) == 2)
        bridge = synthesizer.spoken[-1]
        assert bridge not in ("Hello there.", LONG_ANSWER)
        clears = len(call.line.clears)
        await call.until(lambda: AgentSaid("All right.") in call.recorder.entries)
        assert synthesizer.broken_off == [LONG_ANSWER]
        assert len(call.line.clears) == clears
