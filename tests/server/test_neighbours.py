"""Workers reach each other: notices to all, a connection to one, and nothing waits for who does not read."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from talkspurt.server.neighbours import LARGEST, Kind, Neighbours

from .conftest import PATIENCE


class Desk:
    """A worker's post, and what came."""

    def __init__(self, folder: Path, index: int) -> None:
        self.post = Neighbours(folder, index, 3)
        self.notices: asyncio.Queue[tuple[Kind, str]] = asyncio.Queue()
        self.connections: asyncio.Queue[tuple[socket.socket, bytes]] = asyncio.Queue()

    def open(self) -> None:
        self.post.open(
            lambda kind, text: self.notices.put_nowait((kind, text)),
            lambda connection, head: self.connections.put_nowait((connection, head)),
        )


@pytest.fixture
def desks() -> Iterator[list[Desk]]:
    """Three of them; in a folder of its own, because the path of a Unix socket must be short."""
    folder = Path(mkdtemp())
    made = [Desk(folder, index) for index in range(3)]
    yield made
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


@pytest.fixture
async def opened(desks: list[Desk]) -> object:
    for desk in desks:
        desk.open()
    yield desks
    for desk in desks:
        desk.post.close()


async def test_a_notice_reaches_all_others(opened: list[Desk]) -> None:
    opened[1].post.tell("hang_up", "CA1")
    for desk in (opened[0], opened[2]):
        assert await asyncio.wait_for(desk.notices.get(), PATIENCE) == ("hang_up", "CA1")
    assert opened[1].notices.empty()


async def test_a_connection_goes_on_in_another_hand_with_what_was_read(opened: list[Desk]) -> None:
    ours, theirs = socket.socketpair()
    head = b"GET / HTTP/1.1\r\n" + b"x" * 70_000
    assert opened[0].post.pass_on(2, ours.fileno(), head)
    ours.close()
    connection, read = await asyncio.wait_for(opened[2].connections.get(), PATIENCE)
    assert read == head
    theirs.sendall(b"more")
    assert connection.recv(10) == b"more"
    connection.sendall(b"answer")
    assert theirs.recv(10) == b"answer"
    connection.close()
    theirs.close()


async def test_what_cannot_be_passed_on_stays(opened: list[Desk]) -> None:
    ours, theirs = socket.socketpair()
    opened[2].post.close()
    assert not opened[0].post.pass_on(2, ours.fileno(), b"GET")
    assert not opened[0].post.pass_on(1, ours.fileno(), b"x" * (LARGEST + 1))
    opened[0].post.tell("hang_up", "CA1")
    assert await asyncio.wait_for(opened[1].notices.get(), PATIENCE) == ("hang_up", "CA1")
    theirs.sendall(b"still here")
    assert ours.recv(20) == b"still here"
    ours.close()
    theirs.close()


async def test_a_neighbour_that_does_not_read_is_not_waited_for(opened: list[Desk]) -> None:
    ours, theirs = socket.socketpair()
    # Nothing is read while this does not await.
    passed = [opened[0].post.pass_on(1, ours.fileno(), b"GET") for _ in range(2000)]
    assert passed[0]
    assert not passed[-1]
    for _ in range(sum(passed)):
        connection, _ = await asyncio.wait_for(opened[1].connections.get(), PATIENCE)
        connection.close()
    assert opened[0].post.pass_on(1, ours.fileno(), b"GET")
    (await asyncio.wait_for(opened[1].connections.get(), PATIENCE))[0].close()
    ours.close()
    theirs.close()


async def test_a_crowd_of_notices_is_told_whole_and_keeps_no_connection_out(opened: list[Desk]) -> None:
    ours, theirs = socket.socketpair()
    for number in range(700):
        opened[0].post.tell("arrived", f"CA{number}")
    assert opened[0].post.pass_on(1, ours.fileno(), b"GET")
    told = [await asyncio.wait_for(opened[1].notices.get(), PATIENCE) for _ in range(700)]
    assert told == [("arrived", f"CA{number}") for number in range(700)]
    (await asyncio.wait_for(opened[1].connections.get(), PATIENCE))[0].close()
    ours.close()
    theirs.close()


async def test_a_worker_that_was_started_again_takes_the_place_of_the_one_that_died(opened: list[Desk]) -> None:
    """The dead one left its socket in the folder."""
    successor = Desk(opened[1].post._folder, 1)
    successor.open()
    opened[0].post.tell("arrived", "CA7")
    assert await asyncio.wait_for(successor.notices.get(), PATIENCE) == ("arrived", "CA7")
    successor.post.close()


async def test_nonsense_harms_nobody(opened: list[Desk]) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        for message in (b"", b"\n\n", b"\x63?", b"\x63\n\x64"):
            for kind in ("notices", "connections"):
                stranger.sendto(message, str(opened[0].post._path(kind, 0)))
    opened[1].post.tell("arrived", "CA1")
    assert await asyncio.wait_for(opened[0].notices.get(), PATIENCE) == ("arrived", "CA1")
    assert opened[0].connections.empty()
