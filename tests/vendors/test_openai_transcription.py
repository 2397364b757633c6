"""OpenAI's live transcription through its real SDK, against a fake that speaks its wire format."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from talkspurt.errors import ProviderError
from talkspurt.ports import Transcript
from talkspurt.recognizers.openai import MODEL, OpenAIEar, OpenAIRecognizer
from talkspurt.recognizers.stretches import StretchedStream
from talkspurt.testing.fakes import FakeOpenAITranscription
from vendors.ears import EARS, Listener, feed, silence, voice


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAITranscription]:
    async with EARS["openai"].open() as fake:
        yield fake


@pytest.fixture
async def stream(fake: FakeOpenAITranscription) -> AsyncIterator[StretchedStream]:
    recognizer: OpenAIRecognizer = EARS["openai"].connect(fake)
    stream = await recognizer.open(locale="en-US", call_id="c1")
    yield stream
    await stream.aclose()
    await recognizer.aclose()


@pytest.fixture
async def listener(stream: StretchedStream) -> AsyncIterator[Listener]:
    listener = Listener(stream)
    yield listener
    await stream.aclose()
    await asyncio.wait_for(listener.task, 5)


async def test_credit_that_is_used_up_is_told_from_a_wrong_request(fake: FakeOpenAITranscription) -> None:
    fake.refusals["session.update"] = ("insufficient_quota", "insufficient_quota")
    recognizer: OpenAIRecognizer = EARS["openai"].connect(fake)
    with pytest.raises(ProviderError, match="quota or credit is used up") as caught:
        await recognizer.warm_up()
    await recognizer.aclose()
    assert caught.value.fault == "quota_exceeded"
    assert not caught.value.retryable


OUTAGES = pytest.mark.parametrize(
    ("type_", "code", "fault"),
    [
        ("server_error", None, "unavailable"),
        ("server_error", "server_error", "unavailable"),
        ("requests", "rate_limit_exceeded", "rate_limited"),
    ],
)


@OUTAGES
async def test_a_session_that_an_outage_refuses_may_be_had_later(
    fake: FakeOpenAITranscription, type_: str, code: str | None, fault: str
) -> None:
    fake.refusals["session.update"] = (type_, code)
    recognizer: OpenAIRecognizer = EARS["openai"].connect(fake)
    with pytest.raises(ProviderError, match="the session was refused") as caught:
        await recognizer.warm_up()
    await recognizer.aclose()
    assert (caught.value.fault, caught.value.retryable) == (fault, True)


@OUTAGES
async def test_audio_that_an_outage_refuses_is_no_wrong_request(
    fake: FakeOpenAITranscription, stream: StretchedStream, listener: Listener, type_: str, code: str | None, fault: str
) -> None:
    fake.refusals["input_audio_buffer.commit"] = (type_, code)
    stream.begin(1, 0.0)
    feed(stream, voice(1.0) + silence(0.4))
    stream.finalize(1, 1)
    failure = (await listener.answer(1, 1)).failure
    assert isinstance(failure, ProviderError)
    assert (failure.fault, failure.retryable) == (fault, True)


async def test_what_only_this_audio_is_refused_for_is_a_wrong_request(
    fake: FakeOpenAITranscription, stream: StretchedStream, listener: Listener
) -> None:
    fake.refusals["input_audio_buffer.commit"] = ("invalid_request_error", "invalid_value")
    stream.begin(1, 0.0)
    feed(stream, voice(1.0) + silence(0.4))
    stream.finalize(1, 1)
    failure = (await listener.answer(1, 1)).failure
    assert isinstance(failure, ProviderError)
    assert (failure.fault, failure.retryable) == ("rejected", False)


def ear(stream: StretchedStream) -> OpenAIEar:
    assert isinstance(stream.ear, OpenAIEar)
    return stream.ear


async def test_the_vendor_is_told_to_leave_turns_to_us(fake: FakeOpenAITranscription, stream: StretchedStream) -> None:
    session = fake.sockets[0].session
    assert session == {
        "type": "transcription",
        "audio": {
            "input": {
                "format": {"type": "audio/pcmu"},
                "transcription": {"model": MODEL, "languages": ["en"]},
                "turn_detection": None,
            }
        },
    }


async def test_only_utterances_are_sent(
    fake: FakeOpenAITranscription, stream: StretchedStream, listener: Listener
) -> None:
    feed(stream, silence(3.0))
    stream.begin(1, 0.2)
    feed(stream, voice(1.0) + silence(0.4))
    stream.finalize(1, 1)
    await listener.answer(1, 1)
    stream.end(1)
    feed(stream, silence(3.0))
    await asyncio.sleep(0.05)
    assert len(fake.sockets[0].audio) == round(1.6 * 16_000)
    assert fake.sockets[0].events[:3] == ["session.update", "input_audio_buffer.clear", "input_audio_buffer.commit"]


async def test_a_lost_socket_fails_what_is_open_and_the_next_utterance_is_heard(
    fake: FakeOpenAITranscription, stream: StretchedStream, listener: Listener
) -> None:
    fake.completes = False
    stream.begin(1, 0.0)
    feed(stream, voice(0.5))
    stream.finalize(1, 1)
    await asyncio.wait_for(fake.sockets[0].heard.wait(), 5)
    fake.drop()
    assert (await listener.answer(1, 1)).error == "the connection was lost"
    stream.finalize(1, 2)
    assert "lost" in ((await listener.answer(1, 2)).error or "")
    stream.end(1)
    fake.completes = True
    feed(stream, silence(0.3) + voice(1.0))
    async with asyncio.timeout(5):
        while len(fake.sockets) < 2:
            fake.connected.clear()
            await fake.connected.wait()
    stream.begin(2, 1.1)
    feed(stream, silence(0.4))
    stream.finalize(2, 1)
    assert await listener.answer(2, 1) == Transcript(2, 1, "where is my order")
    assert ear(stream).reconnections == 1


@pytest.mark.parametrize(
    "garbage",
    ["{", "[]", "null", '{"type":"conversation.item.input_audio_transcription.completed"}', '{"type":"error"}', "{}"],
)
async def test_garbage_is_passed_over(
    fake: FakeOpenAITranscription, stream: StretchedStream, listener: Listener, garbage: str
) -> None:
    fake.sockets[0].send_text(garbage)
    stream.begin(1, 0.0)
    feed(stream, voice(1.0) + silence(0.4))
    stream.finalize(1, 1)
    assert (await listener.answer(1, 1)).text == "where is my order"
    assert ear(stream).reconnections == 0


async def test_words_that_come_in_another_order_go_to_their_own_utterance(
    fake: FakeOpenAITranscription, stream: StretchedStream, listener: Listener
) -> None:
    fake.completes = False
    stream.begin(1, 0.0)
    feed(stream, voice(1.0) + silence(0.4))
    stream.begin(2, 0.0)
    feed(stream, voice(0.6) + silence(0.4))
    stream.finalize(1, 1)
    stream.finalize(2, 1)
    socket: Any = fake.sockets[0]
    async with asyncio.timeout(5):
        while socket.events.count("input_audio_buffer.commit") < 2:
            socket.heard.clear()
            await socket.heard.wait()
    socket._complete("item_1", "the second")
    socket._complete("item_0", "the first")
    assert (await listener.answer(1, 1)).text == "the first"
    assert (await listener.answer(2, 1)).text == "the second"


async def test_nobody_at_the_address_is_a_provider_error() -> None:
    recognizer = OpenAIRecognizer(base_url="http://127.0.0.1:9/v1", environment={"OPENAI_API_KEY": "k"})
    with pytest.raises(ProviderError, match="connection failed") as caught:
        await recognizer.open(locale="en-US", call_id="c1")
    assert caught.value.retryable
    await recognizer.aclose()
