"""A sentence that the model's own voice does not finish."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from talkspurt.core.spoken_form import as_written
from talkspurt.errors import ProviderError
from talkspurt.ports import LINE_RATE_HZ, SpeechChunk
from talkspurt.speech_to_speech.call import Spoken
from talkspurt.speech_to_speech.speaking import speech_of
from talkspurt.testing.providers import ToneSynthesizer
from talkspurt.testing.virtual_time import run_virtual

TEXT = " ".join(["word,"] * 20)


class BreaksOff:
    """Speaks for so many seconds, and no more."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def speaks(self, reply: int, /) -> bool:
        return True

    async def speech(self, reply: int, written: str, /) -> AsyncGenerator[SpeechChunk, None]:
        yield SpeechChunk(bytes(2 * round(self.seconds * LINE_RATE_HZ)))
        raise ProviderError("synthesizer", "test", "broke off")


@pytest.mark.parametrize(("pace", "spoken"), [(1.0, 2), (0.72, 1)])
async def test_the_slower_the_agent_speaks_the_more_is_left_to_say(pace: float, spoken: int) -> None:
    synthesizer = ToneSynthesizer()
    speech = speech_of(
        as_written(TEXT),
        own=BreaksOff(4.0),
        reply=1,
        synthesizer=synthesizer,
        voice="",
        locale="en-US",
        pace=pace,
    )
    assert [chunk async for chunk in speech]
    # 32 letters at 8 a second, or 23 at that pace, of words that count for nine with their mark; and one word less.
    assert synthesizer.spoken == [" ".join(["word,"] * (20 - spoken))]


async def test_what_breaks_off_at_its_very_end_is_not_said_to_be_whole() -> None:
    synthesizer = ToneSynthesizer()
    speech = speech_of(
        as_written("It costs five."),
        own=BreaksOff(30.0),
        reply=1,
        synthesizer=synthesizer,
        voice="",
        locale="en-US",
        pace=1.0,
    )
    assert [chunk async for chunk in speech]
    assert synthesizer.spoken == ["It costs five."]


async def heard(parts: list[float]) -> float:
    """When the speech of a message ends or breaks that comes in parts of so many seconds, one after each second."""
    spoken, loop = Spoken("test"), asyncio.get_running_loop()
    message = spoken.begin(1)
    message.add_text("Your order left on Monday and it is going to arrive on Friday afternoon.")

    async def arrive() -> None:
        for part in parts:
            message.add_sound(b"\x00\x20" * round(part * LINE_RATE_HZ))
            await asyncio.sleep(1.0)
        message.end()

    arriving = asyncio.create_task(arrive())
    speech = spoken.speech(1, message.speech.text)
    assert speech is not None
    try:
        async with aclosing(speech):
            async for _ in speech:
                pass
    finally:
        arriving.cancel()
    return loop.time()


def test_a_drip_of_the_models_voice_is_given_up() -> None:
    with pytest.raises(ProviderError, match="stalled"):
        run_virtual(heard([0.02] * 60))


def test_a_voice_that_comes_as_fast_as_it_is_heard_is_not() -> None:
    assert run_virtual(heard([1.0] * 6)) == pytest.approx(6.0, abs=0.5)
