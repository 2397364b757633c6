"""Callers who wait for room: so many on this machine, and no more.

Each of them costs a webhook every few seconds and the company a minute of telephone after the other. Whoever waits is
told that he may, and asks again; a seat is kept for him until he must have asked. Any worker may be asked, so all of
them are told who waits.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Literal

SEAT_KEPT: Final = 20.0
"""Seconds from one answer to the next request: the sentence that is said first, the silence, and a slow network."""


class WaitingRoom:
    """The callers who wait, as one worker knows them."""

    def __init__(
        self,
        seats: int,
        *,
        tell: Callable[[Literal["waits"], str], None] = lambda _kind, _who: None,
        now: Callable[[], float] | None = None,
    ) -> None:
        """`tell` is told who waits. `now` is a monotonic clock in seconds; default: the running loop's."""
        self._seats = seats
        self._tell = tell
        self._now = now or asyncio.get_running_loop().time
        self._until: dict[str, float] = {}
        """By the carrier's id of the call; whose seat is kept the shortest first."""

    def takes(self, carrier_call_id: str, *, waits_already: bool) -> bool:
        """Keep a seat for a caller; False when all are taken. Who waits already is not sent away for another."""
        while self._until and next(iter(self._until.values())) <= self._now():
            del self._until[next(iter(self._until))]
        known = waits_already or carrier_call_id in self._until
        if not known and len(self._until) >= self._seats:
            return False
        self.note(carrier_call_id)
        self._tell("waits", carrier_call_id)
        return True

    def leaves(self, carrier_call_id: str) -> None:
        """He has got through, or was told that all lines are busy. Idempotent."""
        self._until.pop(carrier_call_id, None)

    def note(self, carrier_call_id: str) -> None:
        """Another worker has told a caller that he may wait."""
        self._until.pop(carrier_call_id, None)
        self._until[carrier_call_id] = self._now() + SEAT_KEPT
