"""What is Piper's own, beyond the contract of every synthesizer."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talkspurt.config import Config
from talkspurt.errors import ConfigurationError, ProviderError, WeightsError
from talkspurt.ports import LINE_RATE_HZ, SpeechChunk
from talkspurt.speech import piper_voice as piper
from talkspurt.speech.inference import Purpose, context_for
from talkspurt.speech.inference.local import LocalInference
from talkspurt.speech.inference.models import Models
from talkspurt.speech.piper_voice import PIECE_CHARACTERS, split_text
from talkspurt.speech.weights import WeightStore
from talkspurt.synthesizers import create_synthesizer
from talkspurt.synthesizers.cache import PhraseCache
from talkspurt.synthesizers.piper import MAXIMUM_CHARACTERS, PiperSynthesizer
from talkspurt.telemetry.usage import MeteredSynthesizer


@pytest.fixture
async def synthesizer(weight_store: WeightStore, joe: piper.Voice) -> AsyncIterator[PiperSynthesizer]:
    synthesizer = speaking(weight_store, joe)
    yield synthesizer
    await synthesizer.aclose()


def speaking(store: WeightStore, *voices: piper.Voice) -> PiperSynthesizer:
    return PiperSynthesizer(LocalInference(Models(store, voices=dict(zip(["joe"], voices, strict=False)))), patience=30)


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
    made = joe.front_end(joe.phonemizer.ids("Your order has been shipped and will arrive on Tuesday."))
    latent, mask, speaker = made.values, made.mask, made.speaker
    whole = joe.engine.decode_all(latent, mask, speaker)
    parts = [
        joe.engine.decode_chunk(latent, mask, speaker, begin, min(begin + 24, latent.shape[2]))
        for begin in range(0, latent.shape[2], 24)
    ]
    error = np.concatenate(parts) - whole
    assert 20 * np.log10(np.sqrt((error**2).mean()) / np.sqrt((whole**2).mean())) < -60


def word_times(voice: piper.Voice, text: str, pace: float = 1.0) -> tuple[np.ndarray, list[tuple[str, float]]]:
    chunks = list(piper.render(voice, text, pace=pace))
    sound = np.frombuffer(b"".join(chunk.pcm for chunk in chunks), dtype="<i2") / 32_768
    return sound, [word for chunk in chunks for word in chunk.words]


@pytest.mark.parametrize("pace", [1.0, 0.8])
def test_a_word_behind_a_pause_begins_where_the_silence_ends(joe: piper.Voice, pace: float) -> None:
    steady = piper.Voice(joe.engine, joe.phonemizer, steady=True)
    text = "Of the 25 items, $5 each, two are in the store, and most of them, I think, are not."
    sound, words = word_times(steady, text, pace)
    assert [word for word, _ in words] == text.split()
    loud = np.sqrt((sound[: len(sound) // 40 * 40].reshape(-1, 40) ** 2).mean(axis=1)) > 10 ** (-42 / 20)
    onsets = [at * 0.005 for at in range(12, len(loud)) if loud[at] and not loud[at - 12 : at].any()]
    for (before, _), (_, start) in itertools.pairwise(words):
        if before.endswith(","):
            assert min(abs(start - onset) for onset in onsets) < 0.06


def test_words_of_pieces_keep_their_order_and_come_behind_each_other(joe: piper.Voice) -> None:
    words = piper.Words("one two three")
    words.add((("one", 0.1), ("tw", 0.5)), 0.0)
    assert words.take() == (("one", 0.1), ("two", 0.5))
    words.add((("o", 0.0), ("three", 0.2)), 2.0)
    assert words.take() == (("three", 2.2),)


async def test_a_long_text_has_the_times_of_all_its_pieces(synthesizer: PiperSynthesizer) -> None:
    text = "It comes with the next delivery. … " * 10 + "x" * (PIECE_CHARACTERS + 1)
    chunks = [chunk async for chunk in synthesizer.synthesize(text, voice="", locale="en-US")]
    words = [word for chunk in chunks for word in chunk.words]
    assert [word for word, _ in words] == text.split()
    times = [start for _, start in words]
    assert times == sorted(times)
    assert times[-1] > times[0] + 10


async def test_a_front_end_without_durations_speaks_without_word_times(
    weight_store: WeightStore, joe: piper.Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    class WithoutDurations:
        def __init__(self, front_end: Any) -> None:
            self._front_end = front_end

        def get_outputs(self) -> Any:
            return self._front_end.get_outputs()[:2]

        def run(self, names: list[str], given: Any) -> Any:
            return self._front_end.run(names, given)

    monkeypatch.setattr(joe.engine, "fe", WithoutDurations(joe.engine.fe))
    synthesizer = speaking(weight_store, joe)
    chunks = [chunk async for chunk in synthesizer.synthesize("Hello there. …", voice="", locale="en-US")]
    assert sum(len(chunk.pcm) for chunk in chunks) > LINE_RATE_HZ
    assert all(chunk.words == () for chunk in chunks)
    await synthesizer.aclose()


@pytest.mark.parametrize("text", ["-f/etc/passwd", "-w/tmp/x"])
async def test_hostile_text_is_spoken_like_any_other(synthesizer: PiperSynthesizer, text: str) -> None:
    seconds = len(await speak(synthesizer, text)) / 2 / LINE_RATE_HZ
    assert 0.5 < seconds < 10


async def test_a_closed_generator_starts_no_further_chunk(
    synthesizer: PiperSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = 0
    real: Callable[..., Iterator[SpeechChunk]] = piper.render

    def counting(voice: piper.Voice, text: str, *, pace: float) -> Iterator[SpeechChunk]:
        nonlocal decoded
        for chunk in real(voice, text, pace=pace):
            decoded += bool(chunk.pcm)
            yield chunk

    monkeypatch.setattr(piper, "render", counting)
    text = "It comes with the next delivery on Monday morning, " * 5
    async with aclosing(synthesizer.synthesize(text, voice="", locale="en-US")) as speech:
        async for _ in speech:
            break
    begun = decoded
    await speak(synthesizer, "...")
    assert 0 < begun == decoded


async def test_what_no_call_waits_for_has_time(weight_store: WeightStore, joe: piper.Voice) -> None:
    """A greeting that is spoken while a busy server starts is not given up."""
    impatient = PiperSynthesizer(LocalInference(Models(weight_store, voices={"joe": joe})), patience=0.0)
    assert await speak(impatient, "Hello.")
    task = asyncio.create_task(speak(impatient, "Hello."), context=context_for(Purpose("a call")))
    with pytest.raises(ProviderError, match="its turn did not come in time"):
        await task
    await impatient.aclose()


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
        def scales(self, **_noise: Any) -> Any:
            raise RuntimeError("out of memory")

    synthesizer = speaking(weight_store, piper.Voice(Broken(), joe.phonemizer))
    with pytest.raises(ProviderError, match="piper synthesizer: out of memory") as caught:
        await speak(synthesizer, "Hello.")
    assert caught.value.retryable
    await synthesizer.aclose()


async def test_missing_weights_say_what_to_run(tmp_path: Path) -> None:
    synthesizer = speaking(WeightStore(tmp_path))
    with pytest.raises(WeightsError, match="run: talkspurt models pull piper-joe"):
        await synthesizer.warm_up()
    await synthesizer.aclose()


async def test_missing_espeak_says_what_to_install(weight_store: WeightStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _program: None)
    synthesizer = speaking(weight_store)
    with pytest.raises(ConfigurationError, match="apt-get install espeak-ng"):
        await synthesizer.warm_up()
    await synthesizer.aclose()


async def test_the_factory_puts_a_cache_before_it() -> None:
    synthesizer = create_synthesizer(Config())
    assert isinstance(synthesizer, PhraseCache)
    assert isinstance(synthesizer.synthesizer, MeteredSynthesizer)
    assert isinstance(synthesizer.synthesizer.synthesizer, PiperSynthesizer)
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
