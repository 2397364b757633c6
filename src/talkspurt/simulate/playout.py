"""The carrier's playout buffer: what the agent sent and the caller has not heard yet.

Pure: the line calls `tick` once per 20 ms and plays what it returns; nothing here knows a
clock. Marks come back when the audio before them **has been played**, that is on the tick
after its last sample began to play, and at once when nothing is queued or a `clear` dropped
what they waited for.

What counts as a gap. An underrun plays silence. It is a **gap** (audible, the agent's fault)
when three things hold: the last 40 ms before it were audible, so that a sound was cut and not
a pause prolonged; audio came again within one second; and neither a `clear` nor the caller
(voice or key) came in between, for what follows these is another reply. The carrier cannot know
where replies begin and end, and this needs no such knowledge: speech that has ended fades into
silence first. Silence between two sentences that grew because the second came late is counted
apart, as a **pause**.

Source: Twilio's "Media Streams - WebSocket Messages" (media, mark, clear) and error 31931.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from talkspurt.media.g711 import MULAW_SILENCE
from talkspurt.simulate.loudness import is_audible

FRAME_BYTES: Final = 160
"""20 ms of mu-law at 8 kHz."""
CAPACITY_BYTES: Final = 10 * 60 * 8_000
"""Twilio holds ten minutes and discards the rest."""
GAP_WINDOW_TICKS: Final = 50
"""Audio that comes later than this after an underrun is something new, not the rest of a cut sound."""
TAIL_FRAMES: Final = 2
"""Frames before an underrun that decide whether a sound was cut: a plosive's closure lasts longer than one."""


@dataclass(frozen=True, slots=True)
class Tick:
    """20 ms on the line: what plays now, and what the audio before it has completed."""

    frame: bytes
    marks: tuple[str, ...] = ()
    """Marks whose audio has now been played."""
    gap: float = 0.0
    """Seconds of an audible hole that ended with this frame."""
    pause: float = 0.0
    """Seconds of an underrun in silence that ended with this frame."""


class PlayoutBuffer:
    """Audio and marks in the order they came, played 20 ms at a time."""

    def __init__(self) -> None:
        self._audio = bytearray()
        self._received = 0
        self._played = 0
        self._marks: deque[tuple[int, str]] = deque()
        self._sounding = False
        self._tail: deque[bool] = deque(maxlen=TAIL_FRAMES)
        """Whether the last frames were audible; empty when what comes next cannot be the rest of them."""
        self._dry_ticks = 0

    @property
    def queued(self) -> float:
        """Seconds of audio that wait to be played."""
        return len(self._audio) / 8_000

    @property
    def idle(self) -> bool:
        """Nothing is queued, and nothing queued is still sounding."""
        return not self._audio and not self._sounding

    def enqueue(self, audio: bytes) -> int:
        """Append mu-law audio of any length; returns how many bytes did not fit and were discarded."""
        room = CAPACITY_BYTES - len(self._audio)
        self._audio += audio[:room]
        self._received += min(len(audio), room)
        return max(0, len(audio) - room)

    def mark(self, name: str) -> tuple[str, ...]:
        """Place a mark behind the audio so far; returns it when it is to be echoed at once."""
        if self.idle:
            return (name,)
        self._marks.append((self._received, name))
        return ()

    def clear(self) -> tuple[str, ...]:
        """Drop all that has not been played; returns the marks that waited for it, to be echoed at once."""
        dropped = tuple(name for _, name in self._marks)
        self._marks.clear()
        self._received = self._played
        self._audio.clear()
        self._tail.clear()
        return dropped

    def caller_acted(self) -> None:
        """The caller spoke or pressed a key: audio after an underrun is an answer now, not the rest of a reply."""
        if not self._audio:
            self._tail.clear()

    def tick(self) -> Tick:
        """Play the next 20 ms."""
        marks = self._completed_marks()
        if not self._audio:
            self._sounding = False
            self._dry_ticks += 1
            return Tick(MULAW_SILENCE * FRAME_BYTES, marks)
        gap, pause = self._end_of_underrun()
        frame = bytes(self._audio[:FRAME_BYTES])
        del self._audio[:FRAME_BYTES]
        self._played += len(frame)
        self._sounding = True
        self._tail.append(is_audible(frame))
        return Tick(frame.ljust(FRAME_BYTES, MULAW_SILENCE), marks, gap, pause)

    def _completed_marks(self) -> tuple[str, ...]:
        completed = []
        while self._marks and self._marks[0][0] <= self._played:
            completed.append(self._marks.popleft()[1])
        return tuple(completed)

    def _end_of_underrun(self) -> tuple[float, float]:
        """Seconds of the gap and of the pause that end with this frame; at most one is not zero."""
        ticks, self._dry_ticks = self._dry_ticks, 0
        if not ticks or ticks > GAP_WINDOW_TICKS or not self._tail:
            return 0.0, 0.0
        return (ticks * 0.02, 0.0) if any(self._tail) else (0.0, ticks * 0.02)
