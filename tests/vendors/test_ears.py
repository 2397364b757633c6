"""What all cloud recognizers owe their callers, and when something goes wrong, each through its real SDK."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

import pytest

from talkspurt.config import Config, SpeechConfig
from talkspurt.errors import ConfigurationError, ProviderError
from talkspurt.ports import CountsSent, RecognizerStream, Transcript
from talkspurt.recognizers import create_recognizer
from talkspurt.recognizers.answers import Patience
from talkspurt.testing.fakes import Outage
from vendors.ears import EARS, Ears, Listener, feed, silence, voice

HASTY: Final = Patience(connect=0.6, answer=0.6, close=0.3)
CALM: Final = Patience(connect=10.0, answer=10.0, close=1.0)
MIDWAY: Final = frozenset({Outage.HUNG_MID_STREAM, Outage.DRIP, Outage.GARBAGE, Outage.TRUNCATED})
"""Outages that come after the guesses: none may be told as all that was heard, unless it is known to be."""
HANGS: Final = MIDWAY | {Outage.HUNG_CONNECT, Outage.HALF_OPEN, Outage.HUNG}
"""Outages that only a deadline may end."""


@pytest.fixture(params=sorted(EARS))
def ears(request: pytest.FixtureRequest) -> Ears:
    return EARS[request.param]


@pytest.fixture
async def fake(ears: Ears) -> AsyncIterator[Any]:
    async with ears.open() as fake:
        yield fake


@pytest.fixture
async def recognizer(ears: Ears, fake: Any) -> AsyncIterator[Any]:
    recognizer = ears.connect(fake)
    yield recognizer
    await recognizer.aclose()


@pytest.fixture
async def stream(recognizer: Any) -> AsyncIterator[RecognizerStream]:
    stream = await recognizer.open(locale="en-US", call_id="c1")
    yield stream
    await stream.aclose()


@pytest.fixture
async def listener(stream: RecognizerStream) -> AsyncIterator[Listener]:
    listener = Listener(stream)
    yield listener
    await stream.aclose()
    await asyncio.wait_for(listener.task, 5)


async def test_a_stream_tells_how_much_audio_its_vendor_was_sent(
    stream: RecognizerStream, listener: Listener, ears: Ears
) -> None:
    assert isinstance(stream, CountsSent)
    feed(stream, silence(2.0))
    stream.begin(1, 0.2)
    feed(stream, voice(1.0))
    stream.finalize(1, 1)
    await listener.answer(1, 1)
    stream.end(1)
    feed(stream, silence(3.0))
    await stream.aclose()
    # Whoever hears the line is sent all of it, however fast it came; the others the utterance with its lead-in.
    assert stream.sent_seconds == pytest.approx(6.0 if ears.vendor == "deepgram" else 1.2, abs=0.25)


# ── utterances ────────────────────────────────────────────────────────────────────


async def test_partials_come_while_the_caller_speaks(stream: RecognizerStream, listener: Listener) -> None:
    stream.begin(1, 0.0)
    feed(stream, voice(1.0))
    partial = await listener.partial()
    assert (partial.utterance, partial.revision) == (1, 0)
    assert "where is my order".startswith(partial.text)


async def test_what_is_asked_again_without_new_audio_is_not_asked_of_the_vendor(
    stream: RecognizerStream, listener: Listener
) -> None:
    stream.begin(1, 0.0)
    feed(stream, voice(1.0) + silence(0.4))
    stream.finalize(1, 1)
    await listener.answer(1, 1)
    feed(stream, silence(0.04))
    stream.finalize(1, 2)
    assert (await listener.answer(1, 2)).text == "where is my order"


async def test_a_pause_in_the_middle_of_an_utterance_loses_no_word(
    stream: RecognizerStream, listener: Listener
) -> None:
    stream.begin(1, 0.0)
    feed(stream, voice(1.0) + silence(0.4))
    stream.finalize(1, 1)
    feed(stream, silence(0.3) + voice(0.6) + silence(0.4))
    stream.finalize(1, 2)
    assert (await listener.answer(1, 1)).text == "where is my order"
    assert (await listener.answer(1, 2)).text == "where is my order thank you"


async def test_an_utterance_that_is_not_asked_about_costs_the_next_nothing(
    stream: RecognizerStream, listener: Listener
) -> None:
    stream.begin(1, 0.0)
    feed(stream, silence(0.5))
    stream.end(1)
    feed(stream, silence(0.3) + voice(1.0))
    stream.begin(2, 1.1)
    feed(stream, silence(0.4))
    stream.finalize(2, 1)
    assert await listener.answer(2, 1) == Transcript(2, 1, "where is my order")


async def test_the_next_utterance_may_begin_before_the_last_is_asked_about(
    stream: RecognizerStream, listener: Listener
) -> None:
    stream.begin(1, 0.0)
    feed(stream, voice(1.0) + silence(0.4))
    stream.begin(2, 0.0)
    feed(stream, voice(0.6) + silence(0.4))
    stream.finalize(1, 1)
    stream.finalize(2, 1)
    answers = [(await listener.answer(number, 1)).text for number in (1, 2)]
    assert answers == ["where is my order", "thank you"]


async def test_a_very_short_utterance_is_heard(stream: RecognizerStream, listener: Listener) -> None:
    stream.begin(1, 0.0)
    feed(stream, silence(0.04))
    stream.finalize(1, 1)
    assert await listener.answer(1, 1) == Transcript(1, 1, "")


async def test_an_utterance_longer_than_a_stretch_goes_on_in_the_next(
    stream: RecognizerStream, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("talkspurt.recognizers.stretches.LONGEST_S", 1.5)
    stream.begin(1, 0.0)
    feed(stream, voice(1.0) + silence(0.5) + voice(0.6) + silence(0.4))
    stream.finalize(1, 1)
    assert (await listener.answer(1, 1)).text == "where is my order thank you"


async def test_questions_are_bounded(ears: Ears, fake: Any) -> None:
    recognizer = ears.connect(fake, patience=CALM)
    stream = await recognizer.open(locale="en-US", call_id="c1")
    listener = Listener(stream)
    await fake.suffer(Outage.HUNG)
    stream.begin(1, 0.0)
    feed(stream, voice(0.5))
    for revision in range(1, 100):
        stream.finalize(1, revision)
    assert (await listener.answer(1, 1)).error == "too many questions at once"
    await stream.aclose()
    await listener.task
    await recognizer.aclose()


async def test_closing_leaves_no_task(ears: Ears, fake: Any, recognizer: Any) -> None:
    before = asyncio.all_tasks()
    stream = await recognizer.open(locale="en-US", call_id="c1")
    stream.begin(1, 0.0)
    feed(stream, voice(0.5))
    stream.finalize(1, 1)
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await stream.aclose()
        await stream.aclose()
    left = {task for task in asyncio.all_tasks() - before if ears.vendor in task.get_name() and not task.done()}
    assert not {task.get_name() for task in left} - {"google token"}


# ── outages ───────────────────────────────────────────────────────────────────────


async def ask(recognizer: Any) -> tuple[Transcript, ProviderError | None]:
    """What came of an utterance on a new stream, and why."""
    try:
        async with asyncio.timeout(CALM.answer):
            stream = await recognizer.open(locale="en-US", call_id="c1")
    except ProviderError as failure:
        return Transcript(1, 1, "", error=str(failure)), failure
    listener = Listener(stream)
    stream.begin(1, 0.0)
    feed(stream, voice(1.0) + silence(0.4))
    stream.finalize(1, 1)
    answer = await listener.answer(1, 1)
    await stream.aclose()
    await listener.task
    # A plugin's stream keeps it to itself.
    return answer, answer.failure or getattr(stream, "failure", None)


@pytest.mark.parametrize(
    ("name", "outage"),
    [(name, outage) for name, ears in EARS.items() for outage in Outage if outage in ears.fake.outages],
    ids=str,
)
async def test_an_outage_ends_soon_in_an_error_and_the_next_call_is_heard(name: str, outage: Outage) -> None:
    ears = EARS[name]
    async with ears.open() as fake:
        recognizer = ears.connect(fake, patience=HASTY if outage in HANGS else CALM)
        if outage is Outage.HALF_OPEN:
            # It is what a connection of before becomes; the others are met by a new one.
            with suppress(ProviderError):
                await recognizer.warm_up()
        await fake.suffer(outage)
        answer, failure = await ask(recognizer)
        if name == "deepgram" and outage in MIDWAY and answer.error is None:
            # Its guesses say up to where they go, and this one may go to the end.
            assert answer.text == "where is my order"
        else:
            assert answer.error
            assert not answer.text
            assert (failure is not None and failure.rejected) is (outage is Outage.EXPIRED_KEY)
            assert (failure and failure.retry_after) == (2.0 if outage is Outage.RATE_LIMITED else None)
        await fake.recover()
        fake.phrases = type(fake.phrases)(["thank you"])
        if outage not in HANGS:
            assert await ask(recognizer) == (Transcript(1, 1, "thank you"), None)
        await recognizer.aclose()


async def test_a_rejected_key_is_said_when_the_server_starts_and_is_in_no_error(ears: Ears, fake: Any) -> None:
    recognizer = ears.connect(fake, key="wrong-canary-9876543210")
    with pytest.raises(ProviderError, match=ears.variable) as caught:
        await recognizer.warm_up()
    assert caught.value.rejected
    assert not caught.value.retryable
    assert "canary" not in repr(caught.value) + str(caught.value)
    await recognizer.aclose()


# ── configuration ─────────────────────────────────────────────────────────────────


async def test_it_is_made_from_the_configuration(ears: Ears, fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ears.variable, ears.environment(fake)[ears.variable])
    address = ears.address or ears.vendor
    config = Config(speech=SpeechConfig(recognizer=ears.vendor, base_url={address: fake.base_url}))
    recognizer = create_recognizer(config)
    await recognizer.warm_up()
    await recognizer.aclose()
    await recognizer.aclose()


def test_a_missing_key_names_its_variable(ears: Ears) -> None:
    with pytest.raises(ConfigurationError, match=ears.variable):
        ears.recognizer(environment={ears.variable: " "})
