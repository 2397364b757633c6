"""A telephone line on virtual time: what a carrier does with audio, marks and clears, at the port."""

import asyncio
import math
import struct
from collections import deque
from dataclasses import dataclass, field

from talkspurt.ports import LineListener

FRAME = b"\x00" * 320


def _vowel() -> bytes:
    """Two periods of a vowel at 100 Hz with one resonance: nothing like the tone of the synthesizer's double."""
    period = [math.exp(-n / 30) * math.sin(2 * math.pi * 500 * n / 8000) for n in range(80)]
    return struct.pack("<160h", *(round(12_000 * sample) for sample in period * 2))


VOICE = _vowel()


@dataclass
class VirtualLine:
    """Implements `Transport`; plays what it is sent in real (virtual) time."""

    listener: LineListener | None = None
    queue: list[bytes | str] = field(default_factory=list)
    played: bytearray = field(default_factory=bytearray)
    voiced_until: float = 0.0
    sounds: deque[bytes] = field(default_factory=deque)
    """Frames that come from the caller next."""
    clears: list[float] = field(default_factory=list)
    audible: list[float] = field(default_factory=list)
    """Times at which a frame of the agent was played."""
    sent_ahead: float = 0.0
    closed: bool = False

    def listen(self, listener: LineListener, /) -> None:
        self.listener = listener

    def send_audio(self, pcm: bytes, /) -> None:
        self.queue.append(pcm)
        ahead = sum(len(item) for item in self.queue if isinstance(item, bytes)) / 16_000
        self.sent_ahead = max(self.sent_ahead, ahead)

    def send_mark(self, name: str, /) -> None:
        self.queue.append(name)

    def clear(self) -> None:
        self.clears.append(asyncio.get_running_loop().time())
        marks = [item for item in self.queue if isinstance(item, str)]
        self.queue.clear()
        for mark in marks:
            self._return(mark)

    def close(self) -> None:
        self.closed = True

    def speak(self, seconds: float) -> None:
        """The caller speaks from now on for so long."""
        self.voiced_until = asyncio.get_running_loop().time() + seconds

    def press(self, digits: str) -> None:
        assert self.listener is not None
        for digit in digits:
            self.listener.digit_received(digit)

    async def run(self) -> None:
        """Send and play a frame every 20 ms until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if self.listener is not None and not self.closed:
                heard = VOICE if loop.time() < self.voiced_until else FRAME
                self.listener.audio_received(self.sounds.popleft() if self.sounds else heard)
                self._play(320, loop.time())
            due += 0.02
            await asyncio.sleep(due - loop.time())

    def _play(self, size: int, now: float) -> None:
        while self.queue and (size or isinstance(self.queue[0], str)):
            head = self.queue.pop(0)
            if isinstance(head, str):
                self._return(head)
                continue
            if not self.audible or now > self.audible[-1]:
                self.audible.append(now)
            self.played += head[:size]
            if len(head) > size:
                self.queue.insert(0, head[size:])
            size -= min(size, len(head))

    def _return(self, mark: str) -> None:
        assert self.listener is not None
        self.listener.mark_received(mark)
