"""The bots of other frameworks, each in its own environment, in one call of two turns: the second breaks into the
answer to the first.
"""

import asyncio
import random
import time
from pathlib import Path

import pybase64
import pytest
from benchmarks.capacity.caller import FRAME, Caller, Turn
from benchmarks.capacity.clips import FRAME as FRAME_BYTES
from benchmarks.capacity.clips import voices
from benchmarks.capacity.load import FOLDER, Line
from benchmarks.capacity.systems import ENVIRONMENTS, PEERS, REPOSITORY, Peer, answering
from benchmarks.capacity.trial import probed
from picows import ws_connect

PATIENCE = 30.0
LATE = 1.0
"""Seconds of lateness that a busy machine is granted. A turn detector that misjudged the end would take longer."""


async def converse(address: str) -> list[Turn]:
    """The two turns of a call, after both were said and answered."""
    sounds = (await asyncio.to_thread(voices, REPOSITORY / FOLDER))[0]
    frames = [
        [pybase64.b64encode(clip[at : at + FRAME_BYTES]) for at in range(0, len(clip), FRAME_BYTES)] for clip in sounds
    ]
    due = time.monotonic()
    caller = Caller([len(clip) for clip in frames], random.Random(1), due + 1.0)
    caller._interrupts_next = True
    line = Line(caller, frames, {}, "CA" + "0" * 32)
    await ws_connect(lambda: line, address)
    async with asyncio.timeout(PATIENCE):
        while len(caller.turns) < 2 or caller.turns[1].answered is None:
            line.tick(time.monotonic())
            assert not line.lost
            due += FRAME
            await asyncio.sleep(max(0.0, due - time.monotonic()))
    line.hang_up()
    await asyncio.sleep(0.5)  # the bot's end of the call belongs to its log
    return caller.turns


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
async def test_a_peer_answers_in_time_and_stops_when_interrupted(peer: Peer, tmp_path: Path) -> None:
    if not (ENVIRONMENTS / peer.bot / "installed").exists():
        pytest.skip(f"{peer.bot} is not installed: run benchmarks/peers/setup")
    async with answering(peer, tmp_path, 0, probe=tmp_path / "probe") as running:
        assert running.socket is not None
        first, second = await converse(running.socket)
    assert [first.early, second.early, second.interrupts] == [False, False, True]
    assert first.answered is not None
    assert first.ended is not None
    assert first.answered - first.ended == pytest.approx(peer.ideal + LATE / 2, abs=LATE / 2 + 0.05)
    assert second.cleared is not None
    assert second.cleared - second.began < LATE
    log = (tmp_path / "server.log").read_text()
    assert [line for line in log.splitlines() if "Traceback" in line or "ERROR" in line] == []
    assert probed(tmp_path / "probe")
