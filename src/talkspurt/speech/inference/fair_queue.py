"""Which piece of inference comes next.

What is due earlier comes first, to a tenth of a second; among pieces that are as urgent as each other (all that are due
already, say) the call that has fewer pieces at work and had less work done comes first. So a call that asks for much
waits for calls that ask for little, and none waits for ever. What is made ahead comes after all that is wanted.

The queue is bounded for each call and in all. What finds it full pushes out a piece made ahead, or else, when the
queue in all is full, the least urgent piece of the call that has most waiting, if that has more waiting than its own;
or else it is refused itself. Speech that has begun is never pushed out: it has at most one piece waiting.

Source of the accounts: start-time fair queueing (Goyal, Vin and Cheng, 1996). Pure: no clock and no threads.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from talkspurt.speech.inference.asking import Purpose

URGENCY: Final = 0.1
"""Seconds within which pieces are as urgent as each other: less than a caller notices, more than most pieces take."""


@dataclass(slots=True, eq=False)
class Piece:
    """A piece of work that waits."""

    purpose: Purpose
    due: float
    expires: float
    begun: bool = False
    """Goes on with speech that a caller may hear already."""
    order: int = 0


@dataclass(slots=True)
class _Account:
    """What a call has had. `used` is on the clock of the queue, which goes on as work is done."""

    used: float
    running: int = 0
    waiting: list[Piece] = field(default_factory=list)


class FairQueue:
    """The pieces of all calls that wait. Not thread-safe."""

    def __init__(self, *, per_call: int, in_all: int) -> None:
        self._per_call = per_call
        self._in_all = in_all
        self._accounts: dict[str, _Account] = {}
        self._clock = 0.0
        self._order = 0

    def __len__(self) -> int:
        return sum(len(account.waiting) for account in self._accounts.values())

    def add(self, piece: Piece) -> Piece | None:
        """Let `piece` wait; returns what had to go for it, perhaps itself."""
        account = self._account(piece.purpose.call)
        victim: Piece | None = None
        if not piece.begun and len(account.waiting) >= self._per_call:
            victim = _least_wanted(account.waiting)
        elif not piece.begun and len(self) >= self._in_all:
            victim = _least_wanted(self.waiting()) or self._of_the_greediest(len(account.waiting) + 1)
        if victim is None and not piece.begun and self._is_full(account):
            return piece
        if victim is not None:
            self.remove(victim)
        self._order += 1
        piece.order = self._order
        account.waiting.append(piece)
        return victim

    def take(self, now: float) -> Piece | None:
        """The piece to do now, which is said to have `ended` later; None when none waits that is still of use."""
        useful = [piece for piece in self.waiting() if piece.expires > now]
        if not useful:
            return None
        piece = min(useful, key=lambda each: self._rank(each, now))
        account = self._accounts[piece.purpose.call]
        account.waiting.remove(piece)
        account.running += 1
        self._clock = max(self._clock, account.used)
        return piece

    def ended(self, piece: Piece, seconds: float) -> None:
        """A piece that was taken has been done, and took so long."""
        account = self._accounts[piece.purpose.call]
        account.running -= 1
        account.used += seconds
        if not any(account.running or account.waiting for account in self._accounts.values()):
            self._accounts.clear()
            self._clock = 0.0

    def remove(self, piece: Piece) -> bool:
        """Forget a piece that waits; False when it does not."""
        account = self._accounts.get(piece.purpose.call)
        if account is None or piece not in account.waiting:
            return False
        account.waiting.remove(piece)
        return True

    def waiting(self) -> Iterator[Piece]:
        """All pieces that wait, in no order."""
        return (piece for account in self._accounts.values() for piece in account.waiting)

    def _account(self, call: str) -> _Account:
        account = self._accounts.get(call)
        if account is None:
            # Whoever had no more than the others is even with them.
            self._accounts = {
                name: kept
                for name, kept in self._accounts.items()
                if kept.waiting or kept.running or kept.used > self._clock
            }
            account = self._accounts[call] = _Account(self._clock)
        elif not account.waiting and not account.running:
            # Time in which it asked for nothing is nothing to be made up for.
            account.used = max(account.used, self._clock)
        return account

    def _rank(self, piece: Piece, now: float) -> tuple[bool, int, int, float, float, int]:
        account = self._accounts[piece.purpose.call]
        urgency = max(0, int((piece.due - now) / URGENCY))
        return piece.purpose.ahead, urgency, account.running, account.used, piece.due, piece.order

    def _is_full(self, account: _Account) -> bool:
        return len(account.waiting) >= self._per_call or len(self) >= self._in_all

    def _of_the_greediest(self, than: int) -> Piece | None:
        """The least urgent piece of the call with most waiting, if it has more than `than`."""
        greediest = max(self._accounts.values(), key=lambda account: len(account.waiting))
        if len(greediest.waiting) <= than:
            return None
        droppable = [piece for piece in greediest.waiting if not piece.begun]
        return max(droppable, key=lambda piece: (piece.due, piece.order), default=None)


def _least_wanted(pieces: Iterable[Piece]) -> Piece | None:
    """Of what is made ahead, the piece that is due last."""
    ahead = (piece for piece in pieces if piece.purpose.ahead and not piece.begun)
    return max(ahead, key=lambda piece: (piece.due, piece.order), default=None)
