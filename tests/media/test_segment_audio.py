"""What was spoken last is kept, so that its rest can be sent again; and no more than a minute of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkspurt.media.segment_audio import KEPT_SECONDS, SegmentAudio

RATE = 8000
SECOND = bytes(2 * RATE)


def numbered(samples: int) -> bytes:
    return b"".join(number.to_bytes(2, "little") for number in range(samples))


def test_the_rest_begins_at_the_sample_that_was_asked_for() -> None:
    kept, audio = SegmentAudio(RATE), numbered(4000)
    kept.add(1, audio[:1000])
    kept.add(1, audio[1000:])
    kept.complete(1)
    assert kept.rest(1, 0.0) == audio
    assert kept.rest(1, 0.25) == audio[2 * 2000 :]
    assert kept.rest(1, -1.0) == audio


@pytest.mark.parametrize("offset", [0.5, 0.6, 1e6])
def test_nothing_is_left_behind_the_end(offset: float) -> None:
    kept = SegmentAudio(RATE)
    kept.add(1, numbered(4000))
    kept.complete(1)
    assert kept.rest(1, offset) == b""


def test_what_is_still_being_made_is_told_as_far_as_it_is_here() -> None:
    kept, audio = SegmentAudio(RATE), numbered(4000)
    kept.add(1, audio[:4000])
    assert not kept.is_whole(1)
    assert kept.rest(1, 0.125) == audio[2000:4000]
    kept.add(1, audio[4000:])
    kept.complete(1)
    assert kept.is_whole(1)
    assert kept.rest(1, 0.25) == audio[4000:]


def test_of_what_never_came_nothing_is_here() -> None:
    kept = SegmentAudio(RATE)
    kept.complete(2)
    assert not kept.is_whole(2)
    assert kept.rest(2, 0.0) == b""


def test_the_oldest_is_forgotten_first() -> None:
    kept = SegmentAudio(RATE)
    for segment in range(1, int(KEPT_SECONDS) + 2):
        kept.add(segment, SECOND)
        kept.complete(segment)
    assert kept.rest(1, 0.0) == b""
    assert all(kept.rest(segment, 0.0) == SECOND for segment in range(2, int(KEPT_SECONDS) + 2))


def test_a_forgotten_segment_that_comes_again_is_not_whole() -> None:
    kept = SegmentAudio(RATE)
    for segment in range(int(KEPT_SECONDS) + 1):
        kept.add(segment, SECOND)
        kept.complete(segment)
    kept.add(0, SECOND)
    assert not kept.is_whole(0)


def test_one_segment_longer_than_all_is_kept_while_it_is_spoken() -> None:
    kept = SegmentAudio(RATE)
    for _ in range(int(KEPT_SECONDS) + 5):
        kept.add(1, SECOND)
    kept.complete(1)
    assert kept.rest(1, KEPT_SECONDS) == SECOND * 5


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30)), max_size=40))
def test_no_more_than_a_minute_is_kept_but_for_a_single_segment(pieces: list[tuple[int, int]]) -> None:
    kept = SegmentAudio(RATE)
    for segment, seconds in pieces:
        kept.add(segment, SECOND * seconds)
        kept.complete(segment)
        sizes = [len(kept.rest(number, 0.0)) for number in range(10)]
        assert sum(sizes) <= KEPT_SECONDS * len(SECOND) or sum(size > 0 for size in sizes) == 1
