"""The pacer sends a little ahead, marks every chunk, and forgets at once."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkspurt.core.playback import MARKS_APART
from talkspurt.media.pacing import CHUNK, LOW, Pacer, read_mark


def test_the_lead_stays_between_low_and_low_plus_chunk_while_audio_is_there() -> None:
    pacer = Pacer(8000)
    pacer.append(bytes(2 * 8000 * 3))
    sent, now = 0.0, 100.0
    while not pacer.idle:
        for chunk in pacer.due(now):
            sent += len(chunk.pcm) / 16000
        lead = sent - (now - 100.0)
        assert pacer.idle or LOW <= lead <= LOW + CHUNK
        now += 0.02


def test_after_a_pause_the_lead_begins_anew() -> None:
    pacer = Pacer(8000)
    pacer.append(bytes(3200))
    pacer.due(0.0)
    pacer.append(bytes(16000))
    assert sum(len(chunk.pcm) for chunk in pacer.due(50.0)) / 16000 <= LOW + CHUNK


def test_restart_forgets_and_numbers_marks_by_the_new_epoch() -> None:
    pacer = Pacer(8000)
    pacer.append(bytes(32000))
    pacer.due(0.0)
    pacer.restart(3)
    assert pacer.idle
    assert pacer.position == 0.0
    pacer.append(bytes(320))
    assert [chunk.mark for chunk in pacer.due(0.1)] == ["3:160"]


def test_each_chunk_knows_when_it_is_played() -> None:
    pacer = Pacer(8000)
    pacer.append(bytes(2 * 8000))
    assert [chunk.at for chunk in pacer.due(5.0)] == pytest.approx([5.0, 5.16])
    assert [chunk.at for chunk in pacer.due(5.1)] == pytest.approx([5.32])
    # It comes late for the rest, which is played at once.
    assert [chunk.at for chunk in pacer.due(7.0)] == pytest.approx([7.0, 7.16])


def test_audio_that_waited_here_while_the_carrier_ran_dry_is_late_by_the_silence() -> None:
    pacer = Pacer(8000)
    pacer.append(b"\x00" * 16_000)
    assert [chunk.late for chunk in pacer.due(0.0)] == [0.0, 0.0]
    assert [chunk.late for chunk in pacer.due(0.2)] == [0.0], "what is sent within the lead is in time"
    late = [chunk.late for chunk in pacer.due(0.6)]
    assert late == pytest.approx([0.6 - 3 * CHUNK, 0.0])


def test_audio_that_was_not_there_in_time_is_no_lateness_of_who_sends_it() -> None:
    pacer = Pacer(8000)
    pacer.append(b"\x00" * 1600)
    pacer.due(0.0)
    pacer.append(b"\x00" * 1600)
    assert [chunk.late for chunk in pacer.due(5.0)] == [0.0]


def test_a_new_epoch_is_played_at_once() -> None:
    pacer = Pacer(8000)
    pacer.append(bytes(2 * 8000))
    pacer.due(5.0)
    pacer.restart(1)
    pacer.append(bytes(320))
    assert [chunk.at for chunk in pacer.due(5.05)] == [5.05]


@given(st.lists(st.integers(0, 4000), max_size=30), st.lists(st.floats(0, 0.5), min_size=1, max_size=30))
def test_every_sample_is_sent_once_in_order(sizes: list[int], steps: list[float]) -> None:
    pacer, sent, now, counter = Pacer(8000), b"", 0.0, 0
    whole = b""
    for size in sizes:
        piece = b"".join((counter + n).to_bytes(2, "little") for n in range(size) if counter + n < 65536)
        counter += size
        whole += piece
        pacer.append(piece)
        now += steps[size % len(steps)]
        sent += b"".join(chunk.pcm for chunk in pacer.due(now))
    while not pacer.idle:
        now += 0.02
        sent += b"".join(chunk.pcm for chunk in pacer.due(now))
    assert sent == whole


@given(st.text(max_size=60) | st.from_regex(r"\A[0-9٣²+_ -]{1,3}:[0-9٣²+_ -]{1,3}\Z"))
def test_foreign_marks_are_not_read(name: str) -> None:
    ours = re.fullmatch(r"([0-9]+):([0-9]+)", name)
    assert read_mark(name) == (ours and (int(ours[1]), int(ours[2])))


def test_own_marks_are_read() -> None:
    assert read_mark("12:3400") == (12, 3400)
    assert read_mark("12:") is None
    assert read_mark("x:1") is None
    assert read_mark("²:1") is None


def test_marks_are_as_far_apart_as_the_ledger_reckons() -> None:
    assert CHUNK == MARKS_APART
