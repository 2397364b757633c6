"""The scripted providers keep their times exactly, and a server can be configured to run on them."""

import asyncio
from contextlib import aclosing

import pytest

from talkspurt.agent import Agent
from talkspurt.config import Config, ScriptedConfig
from talkspurt.models import SCRIPTED, create_model
from talkspurt.ports import LINE_RATE_HZ, ReplyRequest, TextDelta, Usage
from talkspurt.recognizers import RECOGNIZERS, create_recognizer
from talkspurt.synthesizers import SYNTHESIZERS, create_synthesizer
from talkspurt.testing.scripted import TimedModel, TimedRecognizer, TimedSynthesizer
from talkspurt.testing.virtual_time import run_virtual
from talkspurt.vendors import create_vendor

LOUD = b"\x00\x20" * 160
SILENT = bytes(320)
CONFIG = Config.model_validate(
    {"speech": {"recognizer": "scripted", "synthesizer": "scripted"}, "model": {"name": "scripted"}}
)
AGENT = Agent("a", "You are a shop.", "Hello, how can I help?")


def test_the_configuration_selects_them() -> None:
    assert isinstance(create_vendor("speech.recognizer", "scripted", RECOGNIZERS, CONFIG), TimedRecognizer)
    assert isinstance(create_vendor("speech.synthesizer", "scripted", SYNTHESIZERS, CONFIG), TimedSynthesizer)
    assert isinstance(create_vendor("model.name", "scripted", SCRIPTED, CONFIG), TimedModel)
    for made in (create_recognizer(CONFIG), create_synthesizer(CONFIG), create_model(CONFIG, AGENT)):
        assert callable(made.warm_up)


def test_every_sentence_needs_its_tokens() -> None:
    with pytest.raises(ValueError, match=r"scripted\.tokens needs a number"):
        ScriptedConfig(reply=("One.", "Two."), tokens=(8,))


@pytest.mark.parametrize("asked_after", [0.1, 0.5])
def test_a_final_comes_a_fixed_time_after_the_last_sound_however_late_it_is_asked_for(asked_after: float) -> None:
    async def call() -> None:
        loop = asyncio.get_running_loop()
        stream = await TimedRecognizer(ScriptedConfig()).open(locale="en-US", call_id="c")
        stream.begin(7, 0.2)
        spoken_until = 0.0
        for frame in [LOUD] * 10 + [SILENT] * 10:
            stream.feed(frame)
            spoken_until = loop.time() if frame is LOUD else spoken_until
            await asyncio.sleep(0.02)
        await asyncio.sleep(spoken_until + max(asked_after, 0.22) - loop.time())
        stream.finalize(7, 1)
        transcript = await anext(aiter(stream.transcripts()))
        assert (transcript.utterance, transcript.revision) == (7, 1)
        assert transcript.text == "please tell me about my order number 50001"
        assert loop.time() - spoken_until == pytest.approx(max(asked_after, 0.3), abs=1e-3)
        await stream.aclose()

    run_virtual(call())


def test_tokens_come_at_their_times_and_no_two_replies_are_the_same() -> None:
    async def call() -> None:
        loop = asyncio.get_running_loop()
        model = TimedModel(ScriptedConfig())
        replies = []
        for _ in range(2):
            began, times, text = loop.time(), [], ""
            async with aclosing(model.reply(ReplyRequest("", (), ()))) as parts:
                async for part in parts:
                    if isinstance(part, TextDelta):
                        times.append(loop.time() - began)
                        text += part.text
                    else:
                        assert part == Usage(output_tokens=20)
                    await asyncio.sleep(0.003)  # whoever takes them may be slow
            assert times == pytest.approx([0.15 + 0.01 * token for token in range(20)], abs=1e-3)
            replies.append(text)
        assert replies[0] == "Order 20000 is with you. The parcel for 20000 left today."
        assert replies[1] != replies[0]

    run_virtual(call())


def test_speech_is_as_long_as_its_text_and_comes_at_its_speed() -> None:
    async def call() -> None:
        loop = asyncio.get_running_loop()
        began, times, samples = loop.time(), [], 0
        async for chunk in TimedSynthesizer(ScriptedConfig()).synthesize("x" * 24, voice="", locale="en-US"):
            times.append(loop.time() - began)
            samples += len(chunk.pcm) // 2
        assert samples / LINE_RATE_HZ == pytest.approx(1.2)
        assert times == pytest.approx([0.08 + 0.05 * chunk for chunk in range(6)], abs=1e-3)

    run_virtual(call())
