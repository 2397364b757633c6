"""Stock phrases are spoken once for a machine, and survive whatever happens to the disk."""

import asyncio
import os
from contextlib import aclosing
from pathlib import Path

from talkspurt.ports import SpeechChunk
from talkspurt.synthesizers.cache import PhraseCache
from talkspurt.synthesizers.stock import StockPhrases
from talkspurt.testing.providers import ToneSynthesizer

KEY = ("piper", "joe", "en-US", "One moment, please.")
SPEECH = [SpeechChunk(b"\x01\x00" * 800, (("One", 0.0), ("moment,", 0.05))), SpeechChunk(b"\x02\x00" * 400)]


def test_what_is_stored_is_loaded_as_one_piece_with_its_words(tmp_path: Path) -> None:
    stock = StockPhrases(tmp_path / "phrases")
    assert stock.load(*KEY) is None
    stock.store(SPEECH, *KEY)
    assert stock.load(*KEY) == [SpeechChunk(SPEECH[0].pcm + SPEECH[1].pcm, SPEECH[0].words)]
    for place in range(len(KEY)):
        other = list(KEY)
        other[place] += "x"
        assert stock.load(*other) is None


def test_a_file_that_was_cut_off_or_overwritten_is_made_anew(tmp_path: Path) -> None:
    stock = StockPhrases(tmp_path)
    stock.store(SPEECH, *KEY)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for broken in (whole[:-1], b"", b"nonsense", b"{}\n" + bytes(10), whole[5:]):
        file.write_bytes(broken)
        assert stock.load(*KEY) is None
    stock.store(SPEECH, *KEY)
    assert stock.load(*KEY) is not None


def test_a_folder_that_cannot_be_written_keeps_nothing_and_says_nothing_to_callers(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    stock = StockPhrases(tmp_path / "file" / "phrases")
    stock.store(SPEECH, *KEY)
    assert stock.load(*KEY) is None


def test_over_its_capacity_the_longest_unused_go(tmp_path: Path) -> None:
    stock = StockPhrases(tmp_path, capacity_bytes=8_000)
    for number in range(5):
        stock.store(SPEECH, *KEY[:3], str(number))
        for file in tmp_path.iterdir():
            # Another second has passed: a file system may not tell less.
            os.utime(file, (file.stat().st_atime, file.stat().st_mtime - 1))
    kept = [number for number in range(5) if stock.load(*KEY[:3], str(number)) is not None]
    assert kept == [2, 3, 4]
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 8_000


async def heard(cache: PhraseCache) -> bytes:
    async with aclosing(cache.synthesize("Hello.", voice="", locale="en-US")) as speech:
        return b"".join([chunk.pcm async for chunk in speech])


async def test_a_learnt_phrase_is_spoken_once_over_two_starts(tmp_path: Path) -> None:
    heards = []
    for start in range(2):
        tone = ToneSynthesizer(speed=1000)
        cache = PhraseCache(tone, "tone", stock=StockPhrases(tmp_path))
        await cache.learn("Hello.", voice="", locale="en-US")
        assert cache.remembers("Hello.", voice="", locale="en-US", pace=1.0)
        heards.append(await heard(cache))
        assert len(tone.spoken) == (1 if start == 0 else 0)
        await cache.aclose()
    assert heards[0] == heards[1]


async def test_what_calls_say_is_never_written(tmp_path: Path) -> None:
    cache = PhraseCache(ToneSynthesizer(speed=1000), "tone", stock=StockPhrases(tmp_path))
    await heard(cache)
    await cache.aclose()
    assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == []
