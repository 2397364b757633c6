"""What is Piper's own, beyond the contract of every synthesizer."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talkspurt.config import Config
from talkspurt.errors import ConfigurationError, ProviderError, WeightsError
from talkspurt.ports import LINE_RATE_HZ
from talkspurt.speech.weights import WeightStore
from talkspurt.synthesizers import create_synthesizer, piper
from talkspurt.synthesizers.cache import PhraseCache
from talkspurt.synthesizers.piper import MAXIMUM_CHARACTERS, PIECE_CHARACTERS, PiperSynthesizer, split_text


@pytest.fixture
async def synthesizer(weight_store: WeightStore, joe: piper.Voice) -> AsyncIterator[PiperSynthesizer]:
    synthesizer = PiperSynthesizer(weight_store, workers=1, voices={"joe": joe})
    yield synthesizer
    await synthesizer.aclose()


async def speak(synthesizer: PiperSynthesizer, text: str, voice: str = "", locale: str = "en-US") -> bytes:
    return b"".join([chunk.pcm async for chunk in synthesizer.synthesize(text, voice=voice, locale=locale)])


def test_speech_begins_and_ends_without_a_click(spoken: Callable[[str], bytes]) -> None:
    for text in ("Yes.", "Your order is on its way, and it arrives on Tuesday."):
        sound = np.frombuffer(spoken(text), dtype="<i2").astype(int)
        assert abs(sound[0]) < 100
        assert abs(sound[-1]) < 100


def test_speech_begins_within_a_few_milliseconds(spoken: Callable[[str], bytes]) -> None:
    sound = np.abs(np.frombuffer(spoken("Hello there."), dtype="<i2").astype(int))
    assert np.flatnonzero(sound > 330)[0] < 0.02 * LINE_RATE_HZ


def test_chunks_join_as_if_decoded_at_once(joe: piper.Voice) -> None:
    ids = np.array([joe.phonemizer.ids("Your order has been shipped and will arrive on Tuesday.")], dtype=np.int64)
    latent, mask, speaker = joe.engine.frontend(ids)
    whole = joe.engine.decode_all(latent, mask, speaker)
    parts = [
        joe.engine.decode_chunk(latent, mask, speaker, begin, min(begin + 24, latent.shape[2]))
        for begin in range(0, latent.shape[2], 24)
    ]
    error = np.concatenate(parts) - whole
    assert 20 * np.log10(np.sqrt((error**2).mean()) / np.sqrt((whole**2).mean())) < -60


@pytest.mark.parametrize("text", ["-f/etc/passwd", "-w/tmp/x"])
async def test_hostile_text_is_spoken_like_any_other(synthesizer: PiperSynthesizer, text: str) -> None:
    seconds = len(await speak(synthesizer, text)) / 2 / LINE_RATE_HZ
    assert 0.5 < seconds < 10


async def test_a_closed_generator_starts_no_further_chunk(
    synthesizer: PiperSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = 0
    real: Callable[..., Iterator[bytes]] = piper.speak

    def counting(voice: piper.Voice, text: str) -> Iterator[bytes]:
        nonlocal decoded
        for pcm in real(voice, text):
            decoded += bool(pcm)
            yield pcm

    monkeypatch.setattr(piper, "speak", counting)
    text = "It comes with the next delivery on Monday morning, " * 5
    async with aclosing(synthesizer.synthesize(text, voice="", locale="en-US")) as speech:
        async for _ in speech:
            break
    begun = decoded
    await speak(synthesizer, "...")
    assert 0 < begun == decoded


async def test_the_event_loop_goes_on_while_speech_is_made(synthesizer: PiperSynthesizer) -> None:
    speaking = asyncio.create_task(speak(synthesizer, "I will look that up for you right away."))
    turns = 0
    while not speaking.done():
        await asyncio.sleep(0)
        turns += 1
    assert await speaking
    assert turns > 20


@pytest.mark.parametrize(
    ("text", "voice", "locale", "message"),
    [
        ("Hello", "jo", "en-US", r"there is no voice 'jo' \(known: joe\)"),
        ("Hallo", "", "de-DE", "speak English, not 'de-DE'"),
        ("a " * MAXIMUM_CHARACTERS, "", "en-US", "send one sentence at a time"),
    ],
)
async def test_what_it_cannot_speak_is_refused_with_the_reason(
    synthesizer: PiperSynthesizer, text: str, voice: str, locale: str, message: str
) -> None:
    with pytest.raises(ProviderError, match=message) as caught:
        await speak(synthesizer, text, voice, locale)
    assert not caught.value.retryable


async def test_a_failing_engine_is_a_provider_error(weight_store: WeightStore, joe: piper.Voice) -> None:
    class Broken:
        sample_rate = 22_050

        def frontend(self, _ids: Any) -> Any:
            raise RuntimeError("out of memory")

    synthesizer = PiperSynthesizer(weight_store, voices={"joe": piper.Voice(Broken(), joe.phonemizer)})
    with pytest.raises(ProviderError, match="piper synthesizer: out of memory") as caught:
        await speak(synthesizer, "Hello.")
    assert caught.value.retryable
    await synthesizer.aclose()


async def test_missing_weights_say_what_to_run(tmp_path: Path) -> None:
    synthesizer = PiperSynthesizer(WeightStore(tmp_path))
    with pytest.raises(WeightsError, match="run: talkspurt models pull piper-joe"):
        await synthesizer.warm_up()
    await synthesizer.aclose()


async def test_missing_espeak_says_what_to_install(weight_store: WeightStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _program: None)
    synthesizer = PiperSynthesizer(weight_store)
    with pytest.raises(ConfigurationError, match="apt-get install espeak-ng"):
        await synthesizer.warm_up()
    await synthesizer.aclose()


async def test_the_factory_puts_a_cache_before_it() -> None:
    synthesizer = create_synthesizer(Config())
    assert isinstance(synthesizer, PhraseCache)
    assert isinstance(synthesizer.synthesizer, PiperSynthesizer)
    await synthesizer.aclose()


def test_short_text_is_one_piece() -> None:
    assert split_text("Hello. There.") == ["Hello. There."]


def test_long_text_is_cut_at_sentences_and_at_worst_at_words() -> None:
    sentence = "word " * 30
    text = f"{sentence}. {sentence * 4}. Short."
    pieces = split_text(text)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(len(piece) <= PIECE_CHARACTERS for piece in pieces)
    assert all("word" in piece or piece.strip(" .") in ("", "Short") for piece in pieces)
    assert "".join(split_text("x" * 1000)) == "x" * 1000
