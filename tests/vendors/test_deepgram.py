"""Deepgram through its real SDK, against a fake that speaks its wire format."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from talkspurt.errors import ProviderError
from talkspurt.ports import Transcript
from talkspurt.recognizers import deepgram
from talkspurt.recognizers.answers import Patience
from talkspurt.recognizers.deepgram import DeepgramRecognizer, DeepgramStream
from talkspurt.recognizers.outbox import BYTES_PER_S
from talkspurt.testing.fakes import FakeDeepgram
from talkspurt.testing.fakes.deepgram import FakeDeepgramSocket
from talkspurt.testing.virtual_time import run_virtual
from vendors.ears import Listener, feed, silence, voice

KEY = "dg-canary-0123456789abcdef"
QUICK = Patience(connect=1.0, answer=0.3, close=0.3)


@pytest.fixture
async def fake() -> AsyncIterator[FakeDeepgram]:
    async with FakeDeepgram(("where is my order", "thank you"), key=KEY) as fake:
        yield fake


def connect(fake: FakeDeepgram, patience: Patience | None = None, key: str = KEY) -> DeepgramRecognizer:
    return DeepgramRecognizer(base_url=fake.base_url, environment={"DEEPGRAM_API_KEY": key}, patience=patience)


@pytest.fixture
async def recognizer(fake: FakeDeepgram) -> AsyncIterator[DeepgramRecognizer]:
    recognizer = connect(fake)
    yield recognizer
    await recognizer.aclose()


@pytest.fixture
async def stream(recognizer: DeepgramRecognizer) -> AsyncIterator[DeepgramStream]:
    stream = await recognizer.open(locale="en-US", call_id="c1")
    yield stream
    await stream.aclose()


@pytest.fixture
async def listener(stream: DeepgramStream) -> AsyncIterator[Listener]:
    listener = Listener(stream)
    yield listener
    await stream.aclose()
    await asyncio.wait_for(listener.task, 5)


# ── the fake ──────────────────────────────────────────────────────────────────────


def test_the_fake_counts_from_when_it_sounded_and_not_from_when_the_piece_with_it_came() -> None:
    async def settled_after(pieces: tuple[bytes, ...], *, late: float = 0.0) -> float:
        """Seconds from the end of the sound, which is followed by 0.2 s of silence, to the answer."""
        answered, loop = asyncio.Event(), asyncio.get_running_loop()

        class Socket(FakeDeepgramSocket):
            def send_text(self, text: str) -> None:
                answered.set()

        socket = Socket(FakeDeepgram(("hello",), final_after=0.3), {})
        began = loop.time()
        for number, piece in enumerate(pieces):
            await asyncio.sleep(len(piece) / BYTES_PER_S + (late if number == 1 else 0.0))
            socket._listen(piece)
        socket._obey("Finalize")
        await answered.wait()
        return loop.time() - began - 0.2

    sound, rest = voice(0.2), silence(0.2)
    for pieces in ((sound, rest), (sound + rest,), (sound[:1600], sound[1600:] + rest)):
        assert run_virtual(settled_after(pieces)) == pytest.approx(0.3, abs=0.01)
    # A machine that is busy for a moment says nothing of when it sounded; a line that stood still does.
    assert run_virtual(settled_after((sound, rest), late=0.05)) == pytest.approx(0.3, abs=0.01)
    assert run_virtual(settled_after((sound[:640], sound[640:] + rest), late=2.0)) == pytest.approx(2.3, abs=0.01)


# ── hearing ───────────────────────────────────────────────────────────────────────


async def test_audio_goes_in_large_pieces_until_somebody_speaks(
    fake: FakeDeepgram, recognizer: DeepgramRecognizer
) -> None:
    stream = await recognizer.open(locale="en-US", call_id="1")
    socket = fake.sockets[0]

    async def messages_of(seconds: float) -> int:
        before, size = socket.messages, len(socket.audio)
        for _ in range(round(seconds * 50)):
            stream.feed(bytes(320))
            await asyncio.sleep(0.001)
        async with asyncio.timeout(5):
            while len(socket.audio) < size + (seconds - 0.25) * 16_000:
                socket.heard.clear()
                await socket.heard.wait()
        return socket.messages - before

    idle = await messages_of(2.4)
    stream.begin(1, 0.0)
    open_ = await messages_of(2.4)
    stream.end(1)
    assert idle <= 10 < open_ <= 26
    assert await messages_of(2.4) <= 11
    stream.feed(bytes(320))
    stream.begin(2, 0.0)
    stream.finalize(2, 1)
    async with asyncio.timeout(5):
        while "Finalize" not in socket.controls:
            socket.controlled.clear()
            await socket.controlled.wait()
    assert len(socket.audio) == 16_000 * 7.2 + 320, "what was asked for is with the vendor, to the last sample"
    await stream.aclose()


async def test_words_are_finalized_when_asked_for(stream: DeepgramStream, listener: Listener) -> None:
    feed(stream, silence(0.5) + voice(1.0))
    stream.begin(1, 1.2)
    feed(stream, silence(0.4))
    stream.finalize(1, 1)
    assert await listener.answer(1, 1) == Transcript(1, 1, "where is my order")


async def test_a_later_revision_covers_the_utterance_from_its_beginning(
    stream: DeepgramStream, listener: Listener
) -> None:
    stream.begin(1, 0.0)
    feed(stream, voice(0.5))
    stream.finalize(1, 1)
    assert (await listener.answer(1, 1)).text == "where is"
    feed(stream, voice(0.5) + silence(0.4))
    stream.finalize(1, 2)
    assert (await listener.answer(1, 2)).text == "where is my order"


async def test_the_last_word_is_there_as_soon_as_the_voice_has_stopped(
    stream: DeepgramStream, listener: Listener
) -> None:
    stream.begin(1, 0.0)
    feed(stream, voice(0.9) + silence(0.1))
    stream.finalize(1, 1)
    assert (await listener.answer(1, 1)).text == "where is my order"


async def test_utterances_do_not_share_words(stream: DeepgramStream, listener: Listener) -> None:
    stream.begin(1, 0.0)
    feed(stream, voice(1.0) + silence(0.5))
    stream.finalize(1, 1)
    assert (await listener.answer(1, 1)).text == "where is my order"
    stream.end(1)
    feed(stream, silence(0.5) + voice(0.5))
    stream.begin(2, 0.6)
    feed(stream, silence(0.5))
    stream.finalize(2, 1)
    assert (await listener.answer(2, 1)).text == "thank you"


async def test_silence_is_no_words(stream: DeepgramStream, listener: Listener) -> None:
    stream.begin(1, 0.0)
    feed(stream, silence(0.8))
    stream.finalize(1, 1)
    assert await listener.answer(1, 1) == Transcript(1, 1, "")


async def test_asking_twice_without_new_audio_needs_no_second_answer_of_the_vendor(
    fake: FakeDeepgram, stream: DeepgramStream, listener: Listener
) -> None:
    stream.begin(1, 0.0)
    feed(stream, voice(1.0) + silence(0.4))
    stream.finalize(1, 1)
    await listener.answer(1, 1)
    feed(stream, silence(0.04))
    stream.finalize(1, 2)
    assert (await listener.answer(1, 2)).text == "where is my order"
    assert fake.sockets[0].controls.count("Finalize") == 1


async def test_questions_at_once_are_each_answered(stream: DeepgramStream, listener: Listener) -> None:
    stream.begin(1, 0.0)
    feed(stream, voice(0.5))
    stream.finalize(1, 1)
    feed(stream, voice(0.5) + silence(0.4))
    stream.finalize(1, 2)
    assert (await listener.answer(1, 1)).text == "where is"
    assert (await listener.answer(1, 2)).text == "where is my order"


async def test_the_vendor_gets_the_line_as_it_is(
    fake: FakeDeepgram, stream: DeepgramStream, listener: Listener
) -> None:
    sound = silence(0.1) + voice(0.5) + silence(0.3)
    stream.begin(1, 0.0)
    feed(stream, sound)
    stream.finalize(1, 1)
    await listener.answer(1, 1)
    assert bytes(fake.sockets[0].audio) == sound
    query = fake.sockets[0].query
    assert (query["encoding"], query["sample_rate"], query["language"]) == ("linear16", "8000", "en-US")
    assert (query["interim_results"], query["endpointing"]) == ("true", "false")


# ── the socket ────────────────────────────────────────────────────────────────────


async def test_a_quiet_socket_is_kept_alive(
    fake: FakeDeepgram, recognizer: DeepgramRecognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deepgram, "_KEEP_ALIVE_S", 0.02)
    stream = await recognizer.open(locale="en-US", call_id="c1")
    await asyncio.wait_for(fake.sockets[0].controlled.wait(), 5)
    assert fake.sockets[0].controls[0] == "KeepAlive"
    await stream.aclose()


async def test_the_socket_is_closed_in_an_orderly_way(fake: FakeDeepgram, stream: DeepgramStream) -> None:
    await stream.aclose()
    await stream.aclose()
    assert fake.sockets[0].controls[-1] == "CloseStream"
    await asyncio.wait_for(fake.sockets[0].closed.wait(), 5)


async def test_a_lost_socket_fails_what_is_open_and_the_next_utterance_is_heard(
    fake: FakeDeepgram, stream: DeepgramStream, listener: Listener
) -> None:
    fake.answers_finalize = False
    stream.begin(1, 0.0)
    feed(stream, voice(0.5))
    stream.finalize(1, 1)
    await asyncio.wait_for(fake.sockets[0].heard.wait(), 5)
    fake.drop()
    assert (await listener.answer(1, 1)).error == "the connection was lost"
    stream.finalize(1, 2)
    assert "lost" in ((await listener.answer(1, 2)).error or "")
    stream.end(1)
    fake.answers_finalize = True
    feed(stream, silence(0.3) + voice(1.0))
    stream.begin(2, 1.1)
    feed(stream, silence(0.4))
    stream.finalize(2, 1)
    assert await listener.answer(2, 1) == Transcript(2, 1, "where is my order")
    assert stream.reconnections == 1


async def test_a_dead_socket_is_found_by_its_silence_and_replaced(fake: FakeDeepgram) -> None:
    recognizer = connect(fake, QUICK)
    stream = await recognizer.open(locale="en-US", call_id="c1")
    listener = Listener(stream)
    fake.silent = True
    stream.begin(1, 0.0)
    feed(stream, voice(1.0))
    stream.finalize(1, 1)
    assert (await listener.answer(1, 1)).error == "no answer in time"
    stream.end(1)
    fake.silent = False
    async with asyncio.timeout(5):
        while len(fake.sockets) < 2:
            fake.connected.clear()
            await fake.connected.wait()
    stream.begin(2, 0.0)
    feed(stream, voice(1.0) + silence(0.4))
    stream.finalize(2, 1)
    assert (await listener.answer(2, 1)).text == "where is my order"
    await stream.aclose()
    await listener.task


async def test_without_the_vendors_answer_the_deadline_tells_a_guess_that_covers_it(fake: FakeDeepgram) -> None:
    fake.answers_finalize = False
    recognizer = connect(fake, QUICK)
    stream = await recognizer.open(locale="en-US", call_id="c1")
    listener = Listener(stream)
    stream.begin(1, 0.0)
    feed(stream, voice(0.96))
    stream.finalize(1, 1)
    await asyncio.wait_for(fake.sockets[0].heard.wait(), 5)
    feed(stream, silence(0.3))
    assert (await listener.answer(1, 1)).text == "where is my order"
    await stream.aclose()
    await listener.task


@pytest.mark.parametrize("drips", [False, True])
async def test_a_guess_of_a_vendor_that_hangs_is_not_told_as_all_that_was_said(
    fake: FakeDeepgram, *, drips: bool
) -> None:
    recognizer = connect(fake, QUICK)
    stream = await recognizer.open(locale="en-US", call_id="c1")
    listener = Listener(stream)
    fake.answers_finalize = False
    stream.begin(1, 0.0)
    feed(stream, voice(1.0))
    assert (await listener.partial()).text == "where is my order"
    feed(stream, voice(0.6) + silence(0.2))
    stream.finalize(1, 1)
    await asyncio.sleep(0.1)
    if drips:
        fake.sockets[0].send_text('{"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 0.0}')
    answer = await listener.answer(1, 1)
    assert (answer.text, answer.error) == ("", "no answer in time")
    assert answer.failure is not None
    assert answer.failure.fault == "timeout"
    await stream.aclose()
    await listener.task
    await recognizer.aclose()


async def test_audio_that_nobody_takes_is_dropped_from_its_beginning_and_counted(fake: FakeDeepgram) -> None:
    recognizer = connect(fake)
    stream = await recognizer.open(locale="en-US", call_id="c1")
    listener = Listener(stream)
    feed(stream, voice(22.0))  # the event loop had no chance to send anything
    assert stream.dropped_bytes == 2 * 16_000
    stream.begin(1, 0.0)
    feed(stream, silence(0.4))
    stream.finalize(1, 1)
    assert (await listener.answer(1, 1)).error is None
    assert len(fake.sockets[0].audio) == 22.4 * 16_000 - stream.dropped_bytes
    await stream.aclose()
    await listener.task


async def test_words_keep_their_place_when_audio_was_dropped(fake: FakeDeepgram) -> None:
    recognizer = connect(fake)
    stream = await recognizer.open(locale="en-US", call_id="c1")
    listener = Listener(stream)
    feed(stream, silence(22.0))
    feed(stream, voice(1.0))
    stream.begin(1, 1.1)
    feed(stream, silence(0.4))
    stream.finalize(1, 1)
    assert (await listener.answer(1, 1)).text == "where is my order"
    assert stream.dropped_bytes > 0
    await stream.aclose()
    await listener.task


@pytest.mark.parametrize(
    "garbage",
    ["{", "[]", "null", '{"type":"Results"}', '{"type":"Results","channel":{"alternatives":[]}}', '{"type":"New"}'],
)
async def test_garbage_is_passed_over(
    fake: FakeDeepgram, stream: DeepgramStream, listener: Listener, garbage: str
) -> None:
    fake.sockets[0].send_text(garbage)
    stream.begin(1, 0.0)
    feed(stream, voice(1.0) + silence(0.4))
    stream.finalize(1, 1)
    assert (await listener.answer(1, 1)).text == "where is my order"
    assert stream.reconnections == 0


async def test_an_utterance_that_is_not_open_is_answered_with_an_error(
    stream: DeepgramStream, listener: Listener
) -> None:
    stream.finalize(7, 1)
    assert (await listener.answer(7, 1)).error == "the utterance is not open"


async def test_questions_are_bounded(fake: FakeDeepgram, stream: DeepgramStream, listener: Listener) -> None:
    fake.silent = True
    stream.begin(1, 0.0)
    feed(stream, voice(0.5))
    for revision in range(1, 100):
        stream.finalize(1, revision)
    assert (await listener.answer(1, 1)).error == "too many questions at once"


async def test_closing_ends_the_transcripts(stream: DeepgramStream) -> None:
    listener = Listener(stream)
    await asyncio.sleep(0)
    await stream.aclose()
    await asyncio.wait_for(listener.task, 5)
    stream.feed(voice(0.1))
    stream.begin(1, 0.0)
    stream.finalize(1, 1)
    stream.end(1)


async def test_closing_a_dead_socket_is_bounded(fake: FakeDeepgram) -> None:
    recognizer = connect(fake, QUICK)
    stream = await recognizer.open(locale="en-US", call_id="c1")
    fake.sockets[0].deaf = True
    async with asyncio.timeout(3):
        await stream.aclose()
    assert not [task for task in asyncio.all_tasks() if "deepgram" in task.get_name()]


# ── refusals and configuration ────────────────────────────────────────────────────


@pytest.mark.parametrize(("status", "retryable"), [(400, False), (402, False), (429, True), (503, True)])
async def test_a_refused_socket_is_a_provider_error(
    fake: FakeDeepgram, recognizer: DeepgramRecognizer, status: int, retryable: bool
) -> None:
    fake.refuse_with = status
    with pytest.raises(ProviderError, match=f"HTTP {status}") as caught:
        await recognizer.open(locale="en-US", call_id="c1")
    assert caught.value.port == "recognizer"
    assert caught.value.retryable is retryable


@pytest.mark.parametrize("status", [400, 404])
async def test_a_model_that_the_vendor_does_not_know_is_named_with_its_setting(fake: FakeDeepgram, status: int) -> None:
    fake.refuse_with = status
    recognizer = DeepgramRecognizer(
        base_url=fake.base_url, environment={"DEEPGRAM_API_KEY": KEY}, model="nova-2-finnance"
    )
    with pytest.raises(ProviderError) as caught:
        await recognizer.open(locale="en-US", call_id="c1")
    advice = "look at speech.recognizer (the model 'nova-2-finnance', did you mean 'nova-2-finance'?)"
    assert f"HTTP {status}: {advice}" in str(caught.value)
    await recognizer.aclose()


async def test_nobody_at_the_address_is_a_provider_error() -> None:
    recognizer = DeepgramRecognizer(base_url="ws://127.0.0.1:9", environment={"DEEPGRAM_API_KEY": KEY})
    with pytest.raises(ProviderError) as caught:
        await recognizer.open(locale="en-US", call_id="c1")
    assert caught.value.retryable
    await recognizer.aclose()
