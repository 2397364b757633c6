"""Connections that ask for nothing: how many there may be, and who may open none at all.

Opening and closing connections costs a stranger nothing, and each costs us a descriptor and some 100 µs. So those that
wait for a request are bounded: one more, and the one that has waited longest goes, for a carrier's request follows its
connection at once. And an address that has had its share of requests is not let in again for a while. The addresses of
our own proxies are those of everybody.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Final, Protocol

from talkspurt.server.addresses import network_of
from talkspurt.telemetry import metrics

MOST_WAITING: Final = 256
"""Connections of this process without a request. Calls need their descriptors beside them (`descriptors`)."""
SHUT_FOR: Final = 10.0
"""Seconds for which an address that asked too often cannot connect."""
MOST_SHUT_OUT: Final = 4096
"""Addresses remembered for that; the oldest are forgotten."""


class Waiting(Protocol):
    """A connection, as far as the door knows it."""

    def turn_away(self) -> None:
        """Drop it."""


class Door:
    """The connections of one process."""

    def __init__(self, trusted_proxies: Collection[str], *, now: Callable[[], float] | None = None) -> None:
        """`now` is a monotonic clock in seconds; default: the running loop's."""
        self._trusted_proxies = frozenset(trusted_proxies)
        self._now = now or asyncio.get_running_loop().time
        self._waiting: dict[Waiting, None] = {}
        """Longest waiting first."""
        self._shut_out: dict[str, float] = {}

    def shut_out(self, address: str) -> None:
        """Let nobody from this address connect for a while."""
        if address in self._trusted_proxies:
            return
        network = network_of(address)
        self._shut_out.pop(network, None)
        self._shut_out[network] = self._now() + SHUT_FOR
        if len(self._shut_out) > MOST_SHUT_OUT:
            del self._shut_out[next(iter(self._shut_out))]

    def lets_in(self, address: str) -> bool:
        """Whether somebody from this address may connect."""
        if address in self._trusted_proxies:
            # Whatever a neighbour of theirs did: an IPv6 network is shut out as a whole.
            return True
        network = network_of(address)
        until = self._shut_out.get(network)
        if until is None:
            return True
        if until > self._now():
            metrics.CONNECTIONS_DROPPED.labels("shut_out").inc()
            return False
        del self._shut_out[network]
        return True

    def waits(self, connection: Waiting) -> None:
        """A connection waits for a request; one that has waited longer may have to go."""
        self._waiting[connection] = None
        if len(self._waiting) > MOST_WAITING:
            longest = next(iter(self._waiting))
            del self._waiting[longest]
            metrics.CONNECTIONS_DROPPED.labels("crowded").inc()
            longest.turn_away()

    def leaves(self, connection: Waiting) -> None:
        """It has asked for something, or is gone. Idempotent."""
        self._waiting.pop(connection, None)
