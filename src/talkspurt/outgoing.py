"""The audio of one call on its way out: through the pacer to the line that the call has at the moment.

It decides nothing and knows samples only; whose words they are, `speaker` knows. The evidence of whose voice is on the
line is told of all that is sent, with the place at which it will be played: an echo of it comes back from there.
Epochs, positions and marks are those of `media/pacing`.

Nothing happens per frame but `tick`, which is synchronous.
"""

import asyncio
from collections.abc import Callable

from talkspurt.media.evidence import LineEvidence
from talkspurt.media.pacing import Pacer
from talkspurt.ports import LINE_RATE_HZ, Transport
from talkspurt.telemetry.lateness import PLAYOUTS


class OutgoingAudio:
    """PCM16 at the line's rate, sent a little ahead of its time. Without a line it waits for one."""

    def __init__(self, evidence: LineEvidence, delivered: Callable[[], int], *, epoch: int) -> None:
        """`delivered` tells how many samples the line has brought so far."""
        self.transport: Transport | None = None
        """The line; None while there is none."""
        self._evidence = evidence
        self._delivered = delivered
        self._pacer = Pacer(LINE_RATE_HZ)
        self._pacer.restart(epoch)

    @property
    def epoch(self) -> int:
        """The playback epoch that is being sent."""
        return self._pacer.epoch

    @property
    def position(self) -> float:
        """Where in the epoch the next sample that is added will lie, in seconds."""
        return self._pacer.position

    @property
    def sent(self) -> int:
        """Samples of the epoch that were sent: no mark can lie beyond them."""
        return self._pacer.sent

    @property
    def until_next(self) -> float:
        """Seconds until the next sample that is added is played."""
        return self._pacer.until_next(asyncio.get_running_loop().time())

    def add(self, pcm: bytes) -> None:
        """Send this behind all that was added before, and what is due of it at once."""
        self._pacer.append(pcm)
        self.tick(asyncio.get_running_loop().time())

    def restart(self, epoch: int) -> None:
        """Forget what has not been played, here and at the carrier, and begin `epoch` at position 0."""
        self._pacer.restart(epoch)
        self._evidence.stop(self._delivered())
        if self.transport is not None:
            self.transport.clear()

    def tick(self, now: float) -> None:
        """Send what is due at `now`, by the event loop's clock."""
        transport = self.transport
        if transport is None or self._pacer.idle:
            return
        for chunk in self._pacer.due(now):
            transport.send_audio(chunk.pcm)
            transport.send_mark(chunk.mark)
            PLAYOUTS.note(chunk.late)
            self._evidence.play(chunk.pcm, self._delivered() + round((chunk.at - now) * LINE_RATE_HZ))
