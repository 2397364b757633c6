"""A call whose model hears and speaks itself goes on without it, and comes back to it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from ladder.rungs import rung
from talkspurt.config import Config, load_config
from talkspurt.core.history import AgentSaid, CallerSaid
from talkspurt.errors import ConfigurationError, ProviderError
from talkspurt.ladder import (
    LadderRecognizer,
    LadderSpeechToSpeech,
    Patience,
    Rungs,
    create_model,
    create_recognizer,
    create_speech_to_speech,
)
from talkspurt.ladder.breaker import FAILURES
from talkspurt.ladder.recognizer import PAUSE
from talkspurt.ports import Recognizer, RecognizerStream, ReplyRequest, Stages, TextDelta, ToolSpec, Transcript
from talkspurt.testing.fakes import FakeOpenAIRealtime, Fault, ModelReply, Outage
from talkspurt.testing.providers import ScriptedModel, ScriptedRecognizer
from talkspurt.testing.virtual_time import run_virtual

NAME = "openai-realtime:gpt-realtime-2.1"
TONE = b"\x00\x20\x00\xe0" * 4_000
SPEECH = bytes(len(TONE) // 2) + TONE
"""What stands out from the line as a voice does."""
ASKED = CallerSaid("where is my order")


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAIRealtime]:
    async with FakeOpenAIRealtime(["where is my order", "thank you", "goodbye"]) as fake:
        yield fake


def ladder(
    fake: FakeOpenAIRealtime,
    monkeypatch: pytest.MonkeyPatch,
    known: Rungs | None = None,
    recognizer: Recognizer | None = None,
    **fallbacks: object,
) -> LadderSpeechToSpeech:
    monkeypatch.setenv("OPENAI_API_KEY", fake.key)
    monkeypatch.setattr("talkspurt.ladder.recognizer.SHUNNED", 0.3)
    config = load_config(environment={"TALKSPURT_MODEL__NAME": NAME})
    model = config.model.model_copy(update={"base_url": {"openai-realtime": fake.base_url}})
    rules = config.fallbacks.model_copy(update={"models": ("scripted",), **fallbacks})
    config = config.model_copy(update={"model": model, "fallbacks": rules})
    hears = alone(recognizer or ScriptedRecognizer(["heard by another"] * 9), config, monkeypatch, known)
    made = create_speech_to_speech(config, hears, known)
    assert made is not None
    return made


def alone(
    recognizer: Recognizer, config: Config, monkeypatch: pytest.MonkeyPatch, known: Rungs | None = None
) -> LadderRecognizer:
    """A ladder of one rung, as it is made of a configuration without fallbacks."""
    monkeypatch.setattr("talkspurt.ladder.create_single_recognizer", lambda _: recognizer)
    return create_recognizer(config, known)


def below() -> ScriptedModel:
    return ScriptedModel(lambda _request: [TextDelta("Said by another.")])


class Hears:
    """A recognizer that hears the same words in everything, a second after it is asked; None: it never answers."""

    def __init__(self, words: str | None) -> None:
        self.words = words
        self.opened = 0

    async def warm_up(self) -> None:
        """Nothing to do."""

    async def open(self, *, locale: str, call_id: str) -> RecognizerStream:
        self.opened += 1
        delay = 60.0 if self.words is None else 1.0
        return await ScriptedRecognizer([self.words or ""] * 9, delay=delay).open(locale=locale, call_id=call_id)

    async def aclose(self) -> None:
        """Nothing to do."""


async def words(stages: Stages, *history: AgentSaid | CallerSaid, reply: int, tools: tuple[ToolSpec, ...] = ()) -> str:
    request = ReplyRequest("You are Sarah.", history or (ASKED,), tools, reply=reply)
    async with asyncio.timeout(10):
        parts = [part async for part in stages.model.reply(request)]
    return "".join(part.text for part in parts if isinstance(part, TextDelta))


async def utter(stream: RecognizerStream, utterance: int, sound: bytes = TONE) -> Transcript:
    stream.begin(utterance, 0.0)
    for start in range(0, len(sound), 320):
        stream.feed(sound[start : start + 320])
    stream.finalize(utterance, 1)
    async with asyncio.timeout(10):
        async for transcript in stream.transcripts():
            if transcript.final:
                stream.end(utterance)
                return transcript
    raise AssertionError("the stream ended")


async def test_a_call_goes_on_below_the_vendor_and_comes_back_with_what_was_heard(
    fake: FakeOpenAIRealtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = ladder(fake, monkeypatch)
    await both.warm_up()
    stages = both.for_call(below())
    stream = await stages.recognizer.open(locale="en-US", call_id="c1")
    await asyncio.wait_for(fake.connected.wait(), 5)
    assert (await utter(stream, 1)).text == "where is my order"
    assert await words(stages, reply=1) == "Certainly. Anything else?"
    await fake.suffer(Outage.REFUSED)
    fake.drop()
    assert (await utter(stream, 2)).text == "heard by another"
    assert await words(stages, reply=2) == "Said by another."
    await fake.suffer(None)
    await asyncio.sleep(0.4)
    for utterance in range(3, 8):
        if (await utter(stream, utterance)).text != "heard by another":
            break
        await asyncio.sleep(0.1)
    heard = (ASKED, AgentSaid("Certainly."), CallerSaid("heard by another"), AgentSaid("Said by another."))
    assert await words(stages, *heard, reply=3) == "Certainly. Anything else?"
    assert [text for _, text in fake.sockets[-1].asked[0].words] == [entry.text for entry in heard]
    await stream.aclose()
    await both.aclose()


async def test_a_reply_that_fails_before_its_first_word_is_given_by_the_model_below(
    fake: FakeOpenAIRealtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = ladder(fake, monkeypatch)
    stages = both.for_call(below())
    stream = await stages.recognizer.open(locale="en-US", call_id="c1")
    await utter(stream, 1)
    fake.replies.extend([ModelReply(status=500)] * 2)
    assert await words(stages, reply=1) == "Said by another."
    assert stages.own_voice is not None
    assert not stages.own_voice.speaks(1)
    assert await words(stages, reply=2) == "Certainly. Anything else?"
    fake.replies.append(ModelReply(("Late.",), fault=Fault.HANG))
    assert await words(stages, reply=3) == "Said by another."
    assert await words(stages, reply=4) == "Certainly. Anything else?"
    assert fake.sockets[-1].errors == []
    await stream.aclose()
    await both.aclose()


async def test_an_agent_whose_tools_the_vendor_does_not_take_is_another_models_and_no_trouble_of_the_others(
    fake: FakeOpenAIRealtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = ladder(fake, monkeypatch)
    wordy = (ToolSpec("look", "Looks. " * 200, {"type": "object", "properties": {}}),)
    for _ in range(FAILURES):
        stages = both.for_call(below())
        stream = await stages.recognizer.open(locale="en-US", call_id="c1")
        await utter(stream, 1)
        assert await words(stages, reply=1, tools=wordy) == "Said by another."
        assert (await utter(stream, 2)).text == "heard by another"
        await stream.aclose()
    stages = both.for_call(below())
    stream = await stages.recognizer.open(locale="en-US", call_id="c2")
    await utter(stream, 1)
    assert await words(stages, reply=1) == "Certainly. Anything else?"
    await stream.aclose()
    await both.aclose()


@pytest.mark.parametrize("delay", [0.0, 5.0], ids=["empty", "late"])
async def test_words_of_a_second_opinion_leave_the_model_where_it_is(
    fake: FakeOpenAIRealtime, monkeypatch: pytest.MonkeyPatch, delay: float
) -> None:
    both = ladder(fake, monkeypatch, transcript=2.4)
    stages = both.for_call(below())
    stream = await stages.recognizer.open(locale="en-US", call_id="c1")
    await asyncio.wait_for(fake.connected.wait(), 5)
    if not delay:
        fake.heard.clear()
    fake.transcript_delay = delay
    for utterance in (1, 2):
        assert (await utter(stream, utterance, SPEECH)).text == "heard by another"
        assert await words(stages, CallerSaid("heard by another"), reply=utterance) == "Certainly. Anything else?"
    assert len(fake.sockets) == 1
    await stream.aclose()
    await both.aclose()


async def test_a_call_without_a_session_is_no_trouble_of_the_others(
    fake: FakeOpenAIRealtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = ladder(fake, monkeypatch)
    lost, well = both.for_call(below()), both.for_call(below())
    for reply in range(1, 6):
        assert await words(lost, reply=reply) == "Said by another."
    stream = await well.recognizer.open(locale="en-US", call_id="b")
    await utter(stream, 1)
    assert await words(well, reply=1) == "Certainly. Anything else?"
    await stream.aclose()
    await both.aclose()


async def test_calls_begin_below_a_vendor_that_is_down_at_the_start(
    fake: FakeOpenAIRealtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fake.suffer(Outage.EXPIRED_KEY)
    both = ladder(fake, monkeypatch)
    await both.warm_up()
    stages = both.for_call(below())
    stream = await stages.recognizer.open(locale="en-US", call_id="c1")
    assert (await utter(stream, 1)).text == "heard by another"
    assert await words(stages, reply=1) == "Said by another."
    # Said once, and not asked again by every call.
    assert fake.refused == 1
    await stream.aclose()
    await both.aclose()


async def test_with_nobody_below_it_a_vendor_that_is_down_is_told_at_the_start(
    fake: FakeOpenAIRealtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fake.suffer(Outage.EXPIRED_KEY)
    alone = ladder(fake, monkeypatch, models=())
    with pytest.raises(ProviderError, match="401"):
        await alone.warm_up()
    await alone.aclose()


async def test_a_call_more_than_the_vendor_bears_begins_below_it(
    fake: FakeOpenAIRealtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = ladder(fake, monkeypatch, capacity={NAME: 1})
    first, second = both.for_call(below()), both.for_call(below())
    heard = await first.recognizer.open(locale="en-US", call_id="a")
    await asyncio.wait_for(fake.connected.wait(), 5)
    other = await second.recognizer.open(locale="en-US", call_id="b")
    assert (await utter(heard, 1)).text == "where is my order"
    assert (await utter(other, 1)).text == "heard by another"
    await heard.aclose()
    await other.aclose()
    await both.aclose()


@pytest.mark.parametrize("deaf", [None, ""], ids=["hangs", "hears nothing"])
def test_a_vendor_that_does_not_transcribe_is_heard_no_later_than_the_recognizers_below(
    monkeypatch: pytest.MonkeyPatch, deaf: str | None
) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "none")
    config = load_config(environment={"TALKSPURT_MODEL__NAME": "gemini-live:some-model"})

    async def seconds(wrapped: bool) -> float:
        first, last = Hears(deaf), Hears("heard below")
        two = LadderRecognizer([rung("first", first, port="recognizer"), rung("last", last, port="recognizer")])
        recognizer: Recognizer = two
        if wrapped:
            both = create_speech_to_speech(config, two)
            assert both is not None
            recognizer = both.for_call(below()).recognizer
        stream = await recognizer.open(locale="en-US", call_id="c1")
        await asyncio.sleep(0.1)
        began = asyncio.get_running_loop().time()
        assert (await utter(stream, 1, SPEECH)).text == "heard below"
        took = asyncio.get_running_loop().time() - began
        await asyncio.sleep(5)
        await stream.aclose()
        assert first.opened == 1
        return took

    async def scenario() -> None:
        assert await seconds(wrapped=True) == pytest.approx(await seconds(wrapped=False), abs=0.05)

    run_virtual(scenario())


async def test_what_the_vendor_bears_is_counted_over_all_agents_and_languages(
    fake: FakeOpenAIRealtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: Rungs = {}
    english, spanish = (ladder(fake, monkeypatch, known, capacity={NAME: 1}) for _ in range(2))
    heard = await english.for_call(below()).recognizer.open(locale="en-US", call_id="a")
    await asyncio.wait_for(fake.connected.wait(), 5)
    other = await spanish.for_call(below()).recognizer.open(locale="es-ES", call_id="b")
    assert (await utter(heard, 1)).text == "where is my order"
    assert (await utter(other, 1)).text == "heard by another"
    await heard.aclose()
    await other.aclose()
    await english.aclose()
    await spanish.aclose()


async def test_what_a_single_recognizer_below_bears_is_counted_over_all_calls_that_fall_on_it(
    fake: FakeOpenAIRealtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: Rungs = {}
    english, spanish = (ladder(fake, monkeypatch, known, capacity={"whisper": 1}) for _ in range(2))
    await fake.suffer(Outage.REFUSED)
    first = await english.for_call(below()).recognizer.open(locale="en-US", call_id="a")
    assert (await utter(first, 1)).text == "heard by another"
    second = await spanish.for_call(below()).recognizer.open(locale="es-ES", call_id="b")
    assert (await utter(second, 1)).error
    await first.aclose()
    await asyncio.sleep(PAUSE + 0.2)
    assert (await utter(second, 2)).text == "heard by another"
    await second.aclose()
    await english.aclose()
    await spanish.aclose()


async def test_a_single_recognizer_below_has_its_own_patience(
    fake: FakeOpenAIRealtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("talkspurt.ladder.LOCAL_PATIENCE", Patience(0.2, 0.2))
    both = ladder(fake, monkeypatch, recognizer=Hears(None))
    await fake.suffer(Outage.REFUSED)
    stream = await both.for_call(below()).recognizer.open(locale="en-US", call_id="a")
    async with asyncio.timeout(3):
        assert (await utter(stream, 1)).error
    await stream.aclose()
    await both.aclose()


def test_what_a_recognizer_bears_holds_for_a_model_that_does_not_transcribe_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "none")
    config = load_config(environment={"TALKSPURT_MODEL__NAME": "gemini-live:some-model"})
    rules = config.fallbacks.model_copy(update={"capacity": {"whisper": 1}})
    config = config.model_copy(update={"fallbacks": rules})

    async def scenario() -> None:
        both = create_speech_to_speech(config, alone(Hears("heard below"), config, monkeypatch))
        assert both is not None
        first, second = [
            await both.for_call(below()).recognizer.open(locale="en-US", call_id=call) for call in ("a", "b")
        ]
        await asyncio.sleep(0.1)
        assert (await utter(first, 1)).text == "heard below"
        assert (await utter(second, 1)).error
        await first.aclose()
        await second.aclose()

    run_virtual(scenario())


def test_only_the_first_model_can_speak_itself() -> None:
    from e2e.shop import agent

    config = load_config(environment={})
    rules = config.fallbacks.model_copy(update={"models": (NAME,)})
    with pytest.raises(ConfigurationError, match="hears and speaks itself"):
        create_model(config.model_copy(update={"fallbacks": rules}), agent)
