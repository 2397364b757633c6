"""The load table between processes: what is torn or old is not believed."""

import time
from pathlib import Path

import pytest

from talkspurt.server.load_table import ABSENT, FRESH, MOST_WORKERS, Load, LoadTable, State


def test_what_one_worker_writes_the_others_read(tmp_path: Path) -> None:
    table = LoadTable.create(tmp_path / "load", 3)
    other = LoadTable.open(tmp_path / "load")
    written = Load(State.READY, 12.5, calls=7, full=True, lag=0.25, lateness=0.5, given=(0, 3, 1))
    other.write(1, written)
    assert table.read_all() == [Load(given=(0, 0, 0)), written, Load(given=(0, 0, 0))]


def test_the_largest_table_has_room_for_its_places(tmp_path: Path) -> None:
    table = LoadTable.create(tmp_path / "load", MOST_WORKERS)
    given = tuple(range(1000, 1000 + MOST_WORKERS))
    for worker in range(MOST_WORKERS):
        table.write(worker, Load(State.READY, float(worker), given=given))
    assert [load.heartbeat for load in table.read_all()] == [float(worker) for worker in range(MOST_WORKERS)]
    assert all(load.given == given for load in table.read_all())
    assert not table.started


def test_a_slot_that_is_being_written_is_not_believed(tmp_path: Path) -> None:
    table = LoadTable.create(tmp_path / "load", 2)
    table.write(1, Load(State.READY, 5.0, calls=3))
    data = bytearray((tmp_path / "load").read_bytes())
    for position in range(192, 192 + 20):
        torn = data.copy()
        torn[position] ^= 0xFF
        (tmp_path / "torn").write_bytes(torn)
        assert LoadTable.open(tmp_path / "torn").read(1) == ABSENT


def test_a_worker_that_writes_no_more_is_not_fresh() -> None:
    now = time.monotonic()
    assert Load(State.READY, now).fresh(now + FRESH - 0.01)
    assert not Load(State.READY, now).fresh(now + FRESH)
    assert not Load(State.ABSENT, now).fresh(now)


def test_that_all_were_warm_once_is_kept(tmp_path: Path) -> None:
    table = LoadTable.create(tmp_path / "load", 2)
    assert not LoadTable.open(tmp_path / "load").started
    table.note_started()
    assert LoadTable.open(tmp_path / "load").started


def test_a_table_is_never_made_over_another(tmp_path: Path) -> None:
    LoadTable.create(tmp_path / "load", 2)
    with pytest.raises(FileExistsError):
        LoadTable.create(tmp_path / "load", 2)
