"""Word error rate of the local recognizer on telephone speech.

Real recordings (`librivox, arctic, jfk, vosk, cards` of the shared data) go through the recognizer's
own port as a call would bring them: 8 kHz, µ-law and back, in frames of 20 ms, with a little silence
before and after. Nothing is skipped: without the data it exits with 1, above the goal with 2.

Normaliser: whisper-normalizer's `EnglishTextNormalizer` (case, punctuation, spelling, numbers as
digits) on both sides, then every digit a word of its own, because "5 5" and "55" are one utterance.

    python benchmarks/recognition.py [--data FOLDER]
"""

import argparse
import asyncio
import json
import os
import re
import sys
import time
import wave
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import soxr
from whisper_normalizer.english import EnglishTextNormalizer

from talkspurt.config import load_config
from talkspurt.media.g711 import decode_mulaw, encode_mulaw
from talkspurt.ports import LINE_RATE_HZ, Recognizer, RecognizerStream
from talkspurt.recognizers import create_recognizer

SETS = ("librivox", "arctic", "jfk", "vosk", "cards")
GOAL = 0.10
FRAME_BYTES = LINE_RATE_HZ // 50 * 2
LEAD_IN = 0.3
"""Seconds of silence before the words, as the session asks of a recognizer."""
ENDPOINT_SILENCE = 0.6
"""Seconds of silence after them, when a conversation finalizes."""

REPOSITORY = Path(__file__).resolve().parent.parent
DEFAULT_DATA = os.environ.get("TALKSPURT_SHARED_DATA") or str(REPOSITORY / "../shared/data")


@dataclass(frozen=True)
class Recognition:
    """One recording and what was heard in it; `seconds` from `finalize` to the answer."""

    file: str
    expected: str
    heard: str
    audio_seconds: float
    seconds: float


def load_manifest(data: Path) -> list[dict[str, Any]]:
    """The recordings that count. Raises `FileNotFoundError` when data is missing."""
    entries = json.loads((data / "speech/manifest.json").read_text(encoding="utf-8"))
    chosen = [entry for entry in entries if entry["file"].partition("/")[0] in SETS]
    missing = set(SETS) - {entry["file"].partition("/")[0] for entry in chosen}
    if missing:
        raise FileNotFoundError(f"{data}/speech has no {', '.join(sorted(missing))}")
    return chosen


def telephone(path: Path) -> bytes:
    """A WAV file as PCM16 that has been through an 8 kHz µ-law line."""
    with wave.open(str(path)) as recording:
        assert recording.getsampwidth() == 2
        assert recording.getnchannels() == 1
        samples = np.frombuffer(recording.readframes(recording.getnframes()), dtype="<i2").astype(np.float32)
        rate_hz = recording.getframerate()
    if rate_hz != LINE_RATE_HZ:
        samples = soxr.resample(samples, rate_hz, LINE_RATE_HZ)
    return decode_mulaw(encode_mulaw(np.clip(samples, -32768, 32767).astype("<i2").tobytes()))


async def recognize(stream: RecognizerStream, utterance: int, pcm: bytes) -> tuple[str, float]:
    """What one stream hears in `pcm`, and how long the answer took. Raises `RuntimeError` on an error."""
    line = bytes(2 * int(LEAD_IN * LINE_RATE_HZ)) + pcm + bytes(2 * int(ENDPOINT_SILENCE * LINE_RATE_HZ))
    stream.begin(utterance, 0.0)
    for start in range(0, len(line), FRAME_BYTES):
        stream.feed(line[start : start + FRAME_BYTES])
    asked = time.perf_counter()
    stream.finalize(utterance, 1)
    async for transcript in stream.transcripts():
        if transcript.final and transcript.utterance == utterance:
            if transcript.error:
                raise RuntimeError(transcript.error)
            stream.end(utterance)
            return transcript.text, time.perf_counter() - asked
    raise RuntimeError("the stream ended without an answer")


async def run(recognizer: Recognizer, data: Path) -> list[Recognition]:
    """Recognize every recording on one stream, one after the other."""
    await recognizer.warm_up()
    results = []
    stream = await recognizer.open(locale="en-US", call_id="benchmark")
    try:
        for number, entry in enumerate(load_manifest(data), start=1):
            pcm = telephone(data / "speech" / entry["file"])
            heard, seconds = await recognize(stream, number, pcm)
            results.append(Recognition(entry["file"], entry["text"], heard, len(pcm) / 2 / LINE_RATE_HZ, seconds))
    finally:
        await stream.aclose()
    return results


def normalise(text: str) -> str:
    """Text as it is compared; see the module's docstring."""
    return " ".join(re.sub(r"(\d)", r" \1 ", EnglishTextNormalizer()(text)).split())


def word_error_rate(results: list[Recognition]) -> float:
    """Errors per expected word, over all results together."""
    rate: float = jiwer.wer([normalise(r.expected) for r in results], [normalise(r.heard) for r in results])
    return rate


async def main() -> int:
    """Run, print, write `build/bench/recognition.json`; the exit status."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=Path(DEFAULT_DATA))
    data = arguments.parse_args().data
    recognizer = create_recognizer(load_config(environment={"TALKSPURT_INFERENCE__PATIENCE": "30", **os.environ}))
    try:
        results = await run(recognizer, data)
    except FileNotFoundError as error:
        print(f"the recordings are missing: {error}; name their folder with --data", file=sys.stderr)
        return 1
    finally:
        await recognizer.aclose()
    print(f"{'set':10} {'recordings':>10} {'speech':>8} {'WER':>7} {'answer p50':>11} {'max':>7}")
    for name in (*SETS, ""):
        chosen = [result for result in results if result.file.startswith(name)]
        waits = sorted(result.seconds for result in chosen)
        print(
            f"{name or 'all':10} {len(chosen):10} {sum(r.audio_seconds for r in chosen):6.1f} s "
            f"{word_error_rate(chosen):7.1%} {waits[len(waits) // 2]:9.2f} s {waits[-1]:5.2f} s"
        )
    for result in results:
        if normalise(result.expected) != normalise(result.heard):
            print(f"  {result.file}\n    said  {normalise(result.expected)}\n    heard {normalise(result.heard)}")
    rate = word_error_rate(results)
    report = REPOSITORY / "build/bench/recognition.json"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps({"wer": rate, "goal": GOAL, "results": [asdict(r) for r in results]}, indent=1))
    print(f"word error rate {rate:.1%}, goal {GOAL:.0%}")
    return 0 if rate <= GOAL else 2


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
