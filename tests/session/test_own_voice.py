"""A model that speaks itself speaks its own words, and the synthesizer everything else."""

import asyncio
from collections.abc import AsyncGenerator

from session.stage import cancelled_orders, on_virtual_time, stage
from talkspurt.core.history import AgentSaid, CallerSaid, ToolAnswered
from talkspurt.errors import ProviderError
from talkspurt.ports import LINE_RATE_HZ, ReplyPart, ReplyRequest, SpeechChunk, TextDelta, ToolCallPart
from talkspurt.testing.providers import ScriptedModel

LETTER = 960
"""Bytes of a letter's sound: 0.06 s."""


class Voice:
    """Speaks the words that it knows, a letter at a time; the last `missing` letters of each do not come."""

    def __init__(self, *known: str, missing: int = 0) -> None:
        self.known = known
        self.missing = missing
        self.spoken: list[tuple[int, str]] = []

    def speaks(self, reply: int, /) -> bool:
        return True

    def speech(self, reply: int, written: str, /) -> AsyncGenerator[SpeechChunk, None] | None:
        if not any(written in known for known in self.known):
            return None
        self.spoken.append((reply, written))
        return self._stream(written)

    async def _stream(self, written: str) -> AsyncGenerator[SpeechChunk, None]:
        for _ in range(len(written) - self.missing):
            await asyncio.sleep(0.01)
            yield SpeechChunk(b"\x00\x10" * (LETTER // 2))
        if self.missing:
            raise ProviderError("synthesizer", "test", "broke off")


def saying(*sentences: str) -> ScriptedModel:
    return ScriptedModel(lambda _request: [TextDelta(sentence) for sentence in sentences])


@on_virtual_time
async def test_its_words_are_spoken_by_itself_and_the_runtimes_by_the_synthesizer() -> None:
    voice = Voice("It is on its way. Anything else?")
    async with stage(saying("It is on its way. ", "Anything else?"), ["where is it"], own_voice=voice) as call:
        await call.says(0.6)
        await call.until(lambda: len(voice.spoken) == 2)
        await call.listening()
        assert [words for _, words in voice.spoken] == ["It is on its way.", "Anything else?"]
        assert call.synthesizer.spoken == ["Hello there."]
        assert AgentSaid("It is on its way. Anything else?") in call.session._conversation.history


@on_virtual_time
async def test_a_read_back_is_never_the_models_own() -> None:
    done, cancel_order = cancelled_orders()

    def script(request: ReplyRequest) -> list[ReplyPart]:
        last = request.history[-1]
        if isinstance(last, CallerSaid):
            return [ToolCallPart(f"t{len(request.history)}", "cancel_order", '{"order_id":"W1"}')]
        return [TextDelta("It is cancelled." if isinstance(last, ToolAnswered) else "Hm.")]

    # Even a voice that would know the words is not asked for them.
    voice = Voice("It is cancelled.", "I will cancel order W1.", "Shall I go ahead?")
    async with stage(ScriptedModel(script), ["cancel it", "yes"], tools=(cancel_order,), own_voice=voice) as call:
        await call.says(0.6)
        await call.until(lambda: "Shall I go ahead?" in call.synthesizer.spoken)
        await call.says(0.6)
        await call.until(lambda: bool(voice.spoken))
        assert done == ["W1"]
        assert [words for _, words in voice.spoken] == ["It is cancelled."]
        assert any("I will cancel order" in words for words in call.synthesizer.spoken)


@on_virtual_time
async def test_a_sentence_that_its_voice_does_not_finish_is_finished_by_the_synthesizer() -> None:
    sentence = "It has left, and the parcel of your order is on its way to you since this morning."
    voice = Voice(sentence, missing=30)
    async with stage(saying(sentence), ["where is it"], own_voice=voice) as call:
        await call.says(0.6)
        await call.until(lambda: len(call.synthesizer.spoken) == 2)
        await call.listening()
        # From the clause that may not have been finished.
        assert call.synthesizer.spoken[1] == sentence.removeprefix("It has left, ")
        assert AgentSaid(sentence) in call.session._conversation.history


@on_virtual_time
async def test_what_was_cut_off_of_its_speech_is_not_in_history() -> None:
    sentence = "Your order has left our warehouse this morning and it is on its way to you."
    voice = Voice(sentence)
    async with stage(saying(sentence), ["where is it", "wait a moment"], own_voice=voice) as call:
        await call.says(0.6)
        await call.until(lambda: bool(voice.spoken))
        heard_from = len(call.line.played)
        await asyncio.sleep(2.5)
        call.line.speak(1.0)
        await call.until(
            lambda: any(isinstance(e, AgentSaid) and e.interrupted for e in call.session._conversation.history)
        )
        said = next(e for e in call.session._conversation.history if isinstance(e, AgentSaid) and e.interrupted)
        assert sentence.startswith(said.text)
        seconds = call.line.played[heard_from:].count(b"\x00\x10") * 2 / 2 / LINE_RATE_HZ
        assert abs(len(said.text) * 0.06 - seconds) < 0.6


@on_virtual_time
async def test_words_of_its_reply_that_it_did_not_speak_are_spoken_all_the_same() -> None:
    voice = Voice("nothing of this")
    async with stage(saying("It is on its way."), ["where is it"], own_voice=voice) as call:
        await call.says(0.6)
        await call.until(lambda: "It is on its way." in call.synthesizer.spoken)
