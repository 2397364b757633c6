"""You are the caller: this computer's microphone and loudspeaker on a simulated line.

Needs the extra `microphone` (sounddevice, on PortAudio). Use a headset: there is no echo cancellation.
"""

import asyncio
import queue
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any, Final

import numpy as np

from talkspurt.errors import ConfigurationError
from talkspurt.media import g711
from talkspurt.simulate.twilio import TwilioDouble

FRAME_SAMPLES: Final = 160
MOST_BEHIND: Final = 0.2
"""Seconds of microphone audio that may wait for the line: beyond, the two clocks have drifted and audio is dropped."""
MOST_FRAMES: Final = 50


def load_sound() -> ModuleType:
    """The sound library. Raises `ConfigurationError` when it is not installed."""
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        raise ConfigurationError(
            f"the microphone cannot be used ({error}); run: pip install 'talkspurt[microphone]' "
            "and sudo apt-get install -y libportaudio2"
        ) from None
    library: ModuleType = sounddevice
    return library


@asynccontextmanager
async def microphone(line: TwilioDouble, sound: ModuleType) -> AsyncIterator[None]:
    """Speak and listen on `line` inside the context. Raises `ConfigurationError` without a sound device."""
    loop = asyncio.get_running_loop()
    heard: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def spoken(pcm: bytes) -> None:
        if line.unsent < MOST_BEHIND:
            line.speak(np.frombuffer(pcm, dtype="<i2"))

    def exchange(recorded: Any, played: Any, _frames: int, _time: Any, _status: Any) -> None:
        loop.call_soon_threadsafe(spoken, bytes(recorded))
        try:
            played[:] = g711.decode_mulaw(heard.get_nowait())
        except queue.Empty:
            played[:] = g711.PCM_SILENCE * FRAME_SAMPLES

    def listen(frame: bytes) -> None:
        if heard.qsize() < MOST_FRAMES:
            heard.put(frame)

    try:
        stream = sound.RawStream(
            samplerate=8_000, blocksize=FRAME_SAMPLES, channels=1, dtype="int16", callback=exchange
        )
    except sound.PortAudioError as error:
        raise ConfigurationError(f"no microphone or loudspeaker: {error}") from None
    line.listener = listen
    with stream:
        try:
            yield
        finally:
            line.listener = None
