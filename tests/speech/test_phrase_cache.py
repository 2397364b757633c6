"""The cache of phrases, on a synthesizer whose every chunk the test releases."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from contextvars import Context, copy_context

import pytest

from talkspurt.errors import ProviderError
from talkspurt.ports import SpeechChunk
from talkspurt.speech.inference import Purpose, context_for, current_purpose, made_ahead
from talkspurt.synthesizers.cache import ALONE, PHRASE_BYTES, PhraseCache


class Slow:
    """Speaks `chunks` chunks of a text, each when the test says so."""

    def __init__(self, chunks: int = 2, size: int = 100) -> None:
        self.chunks = chunks
        self.size = size
        self.go = asyncio.Semaphore(0)
        self.asked: list[tuple[str, str, str, float]] = []
        self.closed = 0
        self.failing = False
        self.shut = 0

    async def warm_up(self) -> None:
        self.go.release()

    async def synthesize(
        self, text: str, /, *, voice: str, locale: str, pace: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        self.asked.append((text, voice, locale, pace))
        try:
            for number in range(self.chunks):
                await self.go.acquire()
                if self.failing:
                    raise ProviderError("synthesizer", "slow", "told to fail")
                yield SpeechChunk(bytes([number]) * self.size, ((f"word{number}", number / 10),))
        finally:
            self.closed += 1

    async def aclose(self) -> None:
        self.shut += 1

    def release(self, count: int) -> None:
        for _ in range(count):
            self.go.release()


async def speak(
    cache: PhraseCache, text: str = "Hello.", voice: str = "", locale: str = "en-US", pace: float = 1.0
) -> bytes:
    async with asyncio.timeout(5):
        return b"".join([chunk.pcm async for chunk in cache.synthesize(text, voice=voice, locale=locale, pace=pace)])


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def cache(slow: Slow) -> PhraseCache:
    return PhraseCache(slow)


async def test_the_second_time_nothing_is_synthesised(slow: Slow, cache: PhraseCache) -> None:
    slow.release(2)
    first = await speak(cache)
    assert first == bytes(100) + b"\x01" * 100
    assert await speak(cache) == first
    assert len(slow.asked) == 1


async def test_the_words_times_are_remembered_too(slow: Slow, cache: PhraseCache) -> None:
    slow.release(2)
    for _ in range(2):
        chunks = [chunk async for chunk in cache.synthesize("Hello.", voice="", locale="en-US")]
        assert [word for chunk in chunks for word in chunk.words] == [("word0", 0.0), ("word1", 0.1)]
    assert len(slow.asked) == 1


async def test_text_voice_locale_and_pace_are_told_apart(slow: Slow, cache: PhraseCache) -> None:
    slow.release(10)
    await speak(cache, "Hello.")
    await speak(cache, "Hello!")
    await speak(cache, "Hello.", voice="joe")
    await speak(cache, "Hello.", locale="en-GB")
    await speak(cache, "Hello.", pace=0.8)
    assert len(set(slow.asked)) == 5


async def test_identical_requests_at_once_share_one_synthesis(slow: Slow, cache: PhraseCache) -> None:
    listeners = [asyncio.create_task(speak(cache)) for _ in range(5)]
    await asyncio.sleep(0)
    slow.release(2)
    assert len(set(await asyncio.gather(*listeners))) == 1
    assert len(slow.asked) == 1


async def test_a_chunk_is_passed_on_before_the_next_exists(slow: Slow, cache: PhraseCache) -> None:
    async with aclosing(cache.synthesize("Hello.", voice="", locale="en-US")) as speech:
        slow.release(1)
        assert (await asyncio.wait_for(anext(speech), 5)).pcm == bytes(100)


async def test_a_late_listener_hears_it_from_the_beginning(slow: Slow, cache: PhraseCache) -> None:
    early = asyncio.create_task(speak(cache))
    slow.release(1)
    for _ in range(5):
        await asyncio.sleep(0)
    late = asyncio.create_task(speak(cache))
    await asyncio.sleep(0)
    slow.release(1)
    assert await early == await late


async def test_when_the_last_listener_leaves_the_synthesis_is_cancelled(slow: Slow, cache: PhraseCache) -> None:
    first, second = (asyncio.create_task(speak(cache)) for _ in range(2))
    for _ in range(3):
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert slow.closed == 0
    second.cancel()
    again = asyncio.create_task(speak(cache))
    await asyncio.gather(second, return_exceptions=True)
    slow.release(2)
    assert await again
    assert slow.closed == len(slow.asked) == 2


async def test_a_failure_reaches_every_listener_and_is_not_kept(slow: Slow, cache: PhraseCache) -> None:
    slow.failing = True
    listeners = [asyncio.create_task(speak(cache)) for _ in range(3)]
    await asyncio.sleep(0)
    slow.release(1)
    failures = await asyncio.gather(*listeners, return_exceptions=True)
    assert all(isinstance(failure, ProviderError) for failure in failures)
    slow.failing = False
    slow.release(2)
    assert await speak(cache)


async def test_the_least_recently_used_is_forgotten_first() -> None:
    slow = Slow(chunks=1)
    cache = PhraseCache(slow, capacity_bytes=250)
    slow.release(10)
    await speak(cache, "a")
    await speak(cache, "b")
    await speak(cache, "a")
    await speak(cache, "c")
    await speak(cache, "a")
    assert [text for text, *_ in slow.asked] == ["a", "b", "c"]
    await speak(cache, "b")
    assert [text for text, *_ in slow.asked] == ["a", "b", "c", "b"]


async def test_long_speech_is_not_kept() -> None:
    slow = Slow(chunks=2, size=PHRASE_BYTES // 2 + 2)
    cache = PhraseCache(slow)
    slow.release(4)
    await speak(cache)
    await speak(cache)
    assert len(slow.asked) == 2


async def test_closing_ends_what_is_being_made(slow: Slow, cache: PhraseCache) -> None:
    listener = asyncio.create_task(speak(cache))
    for _ in range(3):
        await asyncio.sleep(0)
    await cache.aclose()
    await cache.aclose()
    with pytest.raises(ProviderError, match="was closed"):
        await listener
    assert slow.closed == 1
    assert slow.shut == 2


def alone() -> Context:
    context = copy_context()
    context.run(ALONE.set, True)
    return context


async def test_who_asks_alone_has_a_synthesis_of_its_own_which_later_ones_join(slow: Slow, cache: PhraseCache) -> None:
    hanging = asyncio.create_task(speak(cache))
    await asyncio.sleep(0.01)
    hedge = asyncio.create_task(speak(cache), context=alone())
    await asyncio.sleep(0.01)
    assert len(slow.asked) == 2
    later = asyncio.create_task(speak(cache))
    await asyncio.sleep(0.01)
    assert len(slow.asked) == 2
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
    slow.release(2)
    assert await hedge == await later
    assert slow.closed == 2


async def test_what_was_made_twice_is_kept_once() -> None:
    slow = Slow(chunks=1)
    cache = PhraseCache(slow, capacity_bytes=250)
    twice = [asyncio.create_task(speak(cache), context=alone()) for _ in range(2)]
    await asyncio.sleep(0.01)
    slow.release(2)
    await asyncio.gather(*twice)
    slow.release(9)
    for text in ("b", "Hello.", "b"):
        await speak(cache, text)
    assert [text for text, *_ in slow.asked] == ["Hello.", "Hello.", "b"]


async def test_closing_ends_each_of_two_that_are_made_beside_each_other(slow: Slow, cache: PhraseCache) -> None:
    listeners = [asyncio.create_task(speak(cache), context=alone()) for _ in range(2)]
    await asyncio.sleep(0.01)
    await cache.aclose()
    outcomes = await asyncio.gather(*listeners, return_exceptions=True)
    assert all(isinstance(outcome, ProviderError) for outcome in outcomes)
    assert slow.closed == 2


async def test_what_is_made_ahead_is_wanted_as_soon_as_somebody_asks_for_it() -> None:
    purposes: list[Purpose] = []

    class Asked(Slow):
        async def synthesize(
            self, text: str, /, *, voice: str, locale: str, pace: float = 1.0
        ) -> AsyncGenerator[SpeechChunk, None]:
            purposes.append(current_purpose())
            async for chunk in super().synthesize(text, voice=voice, locale=locale, pace=pace):
                yield chunk

    slow = Asked()
    cache = PhraseCache(slow)

    async def prepare() -> None:
        with made_ahead():
            await speak(cache)

    preparing = asyncio.create_task(prepare(), context=context_for(Purpose("call-1")))
    await asyncio.sleep(0.01)
    (purpose,) = purposes
    assert (purpose.call, purpose.ahead) == ("call-1", True)
    wanted: list[bool] = []
    purpose.when_wanted(lambda: wanted.append(True))
    speaking = asyncio.create_task(speak(cache), context=context_for(Purpose("call-2")))
    await asyncio.sleep(0.01)
    assert not purpose.ahead
    assert wanted == [True]
    slow.release(2)
    await asyncio.gather(preparing, speaking)
    assert len(purposes) == 1
