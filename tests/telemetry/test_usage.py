"""What a call uses is counted at the providers' edge, for the call that it was used for and no other."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from talkspurt.core.history import AgentSaid, CallerSaid
from talkspurt.errors import ProviderError
from talkspurt.ports import ReplyPart, ReplyRequest, SpeechChunk, TextDelta, Usage
from talkspurt.recognizers.utterances import UtteranceStream
from talkspurt.synthesizers.cache import PhraseCache
from talkspurt.telemetry.usage import ASKING, METER, Meter, MeteredModel, MeteredRecognizer, MeteredSynthesizer
from talkspurt.testing.providers import ScriptedModel, ScriptedRecognizer, ToneSynthesizer
from talkspurt.testing.virtual_time import run_virtual

REQUEST = ReplyRequest(instructions="i" * 400, history=(CallerSaid("c" * 39), AgentSaid("a" * 41)), tools=())


@pytest.fixture
def meter() -> Iterator[Meter]:
    meter = Meter()
    token = METER.set(meter)
    yield meter
    METER.reset(token)


def telling(*parts: ReplyPart) -> MeteredModel:
    return MeteredModel(ScriptedModel(lambda _request: parts), "openai:m")


async def hear(model: MeteredModel) -> list[ReplyPart]:
    async with aclosing(model.reply(REQUEST)) as reply:
        return [part async for part in reply]


def test_a_models_own_tokens_are_counted_and_named(meter: Meter) -> None:
    parts = run_virtual(hear(telling(TextDelta("Hi."), Usage(100, 7, 60))))
    assert parts == [TextDelta("Hi."), Usage(100, 7, 60, model="openai:m")]
    assert meter.used == {
        ("model", "openai:m", "input"): 40,
        ("model", "openai:m", "cached"): 60,
        ("model", "openai:m", "output"): 7,
    }


def test_tokens_of_sound_are_counted_apart_from_those_of_text(meter: Meter) -> None:
    meter.thought(Usage(100, 90, 60, 70, 80, 50, "m"))
    assert {unit: amount for (_, _, unit), amount in meter.used.items()} == {
        "input": 20,
        "cached": 10,
        "output": 10,
        "audio_input": 20,
        "audio_cached": 50,
        "audio_output": 80,
    }


def test_a_model_that_does_not_tell_is_estimated_and_its_lasting_part_cached_from_the_second_reply_on(
    meter: Meter,
) -> None:
    model = telling(TextDelta("t" * 40))
    run_virtual(hear(model))
    # 400 letters of instructions, 80 of history (and the word for how the caller spoke), 40 said.
    assert meter.used["model", "openai:m", "input"] == pytest.approx(120, abs=2)
    assert meter.used["model", "openai:m", "output"] == 10
    assert ("model", "openai:m", "cached") not in meter.used
    run_virtual(hear(model))
    assert meter.used["model", "openai:m", "cached"] == 100


def test_a_reply_that_is_broken_off_is_paid_for_and_discarded(meter: Meter) -> None:
    async def scenario() -> None:
        task = asyncio.create_task(hear(telling(TextDelta("t" * 40), TextDelta("u" * 40))))
        await asyncio.sleep(0.155)
        task.cancel()
        await asyncio.wait({task})

    run_virtual(scenario())
    assert meter.used["model", "openai:m", "output"] == 10
    assert meter.used["model", "openai:m", "discarded"] == pytest.approx(130, abs=2)


class Utterances(ScriptedRecognizer):
    """A recognizer that is sent each utterance as a whole."""

    async def open(self, *, locale: str, call_id: str) -> Any:
        async def hear(pcm: bytes) -> str:
            await asyncio.sleep(0.1)
            return "x"

        return UtteranceStream(hear, longest=30.0)


def test_recognition_is_counted_from_opening_to_closing_once_by_a_stream_that_does_not_count(meter: Meter) -> None:
    async def scenario() -> None:
        stream = await MeteredRecognizer(ScriptedRecognizer(["x"]), "other").open(locale="en-US", call_id="c")
        await asyncio.sleep(12.5)
        await stream.aclose()
        await stream.aclose()

    run_virtual(scenario())
    assert meter.used == {
        ("recognition", "other", "seconds"): pytest.approx(12.5),
        ("recognition", "other", "line_seconds"): pytest.approx(12.5),
    }


def test_recognition_is_what_was_sent_whether_the_line_was_silent_or_it_came_all_at_once(meter: Meter) -> None:
    async def scenario() -> None:
        stream = await MeteredRecognizer(Utterances([]), "whole").open(locale="en-US", call_id="c")
        stream.begin(1, 0.0)
        stream.feed(bytes(16_000 * 10))
        stream.finalize(1, 1)
        await asyncio.sleep(0.5)
        stream.feed(bytes(16_000))
        stream.finalize(1, 2)
        await asyncio.sleep(0.5)
        stream.end(1)
        await asyncio.sleep(1.0)
        await stream.aclose()
        await stream.aclose()

    run_virtual(scenario())
    assert meter.used == {
        ("recognition", "whole", "seconds"): pytest.approx(10 + 11),
        ("recognition", "whole", "line_seconds"): pytest.approx(2.0),
    }


def test_speech_from_the_cache_is_counted_apart(meter: Meter) -> None:
    async def scenario() -> None:
        cache = PhraseCache(MeteredSynthesizer(ToneSynthesizer(), "elevenlabs"), "elevenlabs")
        for _ in range(3):
            async with aclosing(cache.synthesize("Hello.", voice="", locale="en-US")) as speech:
                async for _ in speech:
                    pass
        await cache.aclose()

    run_virtual(scenario())
    assert meter.used == {
        ("synthesis", "elevenlabs", "characters"): 6,
        ("synthesis", "elevenlabs", "cached_characters"): 12,
    }


class Vendor(ToneSynthesizer):
    """Its request leaves after a while, which it tells; it may refuse."""

    async def synthesize(self, text: str, /, **how: Any) -> AsyncGenerator[SpeechChunk, None]:
        asking = ASKING.get()
        assert asking is not None
        asking.sent = False
        await asyncio.sleep(1.0)
        asking.sent = True
        async with aclosing(super().synthesize(text, **how)) as speech:
            async for chunk in speech:
                yield chunk


async def speak(synthesizer: MeteredSynthesizer) -> None:
    async with aclosing(synthesizer.synthesize("Hello.", voice="", locale="en-US")) as speech:
        async for _ in speech:
            pass


def test_characters_that_are_refused_are_not_counted(meter: Meter) -> None:
    vendor = Vendor()
    synthesizer = MeteredSynthesizer(vendor, "elevenlabs")

    async def scenario() -> None:
        vendor.failing = True
        for _ in range(3):
            with pytest.raises(ProviderError):
                await speak(synthesizer)
        vendor.failing = False
        await speak(synthesizer)

    run_virtual(scenario())
    assert meter.used == {("synthesis", "elevenlabs", "characters"): 6}


@pytest.mark.parametrize(("after", "billed"), [(0.5, 0), (1.03, 6), (1.12, 6)])
def test_speech_that_nobody_waits_for_is_counted_once_its_request_has_left(
    meter: Meter, after: float, billed: int
) -> None:
    async def scenario() -> None:
        task = asyncio.create_task(speak(MeteredSynthesizer(Vendor(first=0.08, speed=1.0), "elevenlabs")))
        await asyncio.sleep(after)
        task.cancel()
        await asyncio.wait({task})

    run_virtual(scenario())
    assert sum(meter.used.values()) == billed


def test_calls_side_by_side_are_counted_apart() -> None:
    async def call(replies: int) -> float:
        meter = Meter()
        METER.set(meter)
        for _ in range(replies):
            await hear(telling(TextDelta("Hi."), Usage(10, 1)))
        return meter.used["model", "openai:m", "input"]

    async def scenario() -> list[float]:
        return list(await asyncio.gather(*(call(replies) for replies in (1, 2, 3))))

    assert run_virtual(scenario()) == [10, 20, 30]


def test_without_a_call_nothing_is_counted_and_nothing_fails() -> None:
    class Silent(ScriptedModel):
        async def reply(self, request: ReplyRequest, /) -> AsyncGenerator[ReplyPart, None]:
            yield TextDelta("Hi.")

    assert METER.get() is None
    assert run_virtual(hear(MeteredModel(Silent(lambda _request: ()), "x")))[0] == TextDelta("Hi.")
