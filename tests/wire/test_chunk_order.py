"""Numbered audio comes out once, in order, with silence where some is missing."""

from hypothesis import given
from hypothesis import strategies as st

from talkspurt.wire.chunk_order import MAX_FILL_BYTES, RESTART, SILENCE, WINDOW, ChunkOrder

FRAME = 160


def frame(chunk: int) -> bytes:
    """20 ms that say which chunk they are."""
    return bytes([chunk % 251]) * FRAME


def push(order: ChunkOrder, *chunks: int) -> list[bytes]:
    return [piece for chunk in chunks for piece in order.push(chunk, chunk * 20, frame(chunk))]


def test_audio_in_order_passes_untouched() -> None:
    order = ChunkOrder()
    assert push(order, 2, 3, 4) == [frame(2), frame(3), frame(4)]
    assert (order.gaps, order.duplicate, order.late, order.reordered) == (0, 0, 0, 0)


def test_two_swapped_chunks_are_swapped_back() -> None:
    order = ChunkOrder()
    assert push(order, 1, 3, 2, 4) == [frame(1), frame(2), frame(3), frame(4)]
    assert order.reordered == 1
    assert order.gaps == 0


def test_a_repeated_chunk_is_dropped_whether_it_was_played_or_is_held() -> None:
    order = ChunkOrder()
    assert push(order, 1, 1, 3, 3) == [frame(1)]
    assert order.duplicate == 2


def test_a_lost_chunk_becomes_as_much_silence_after_the_window() -> None:
    order = ChunkOrder()
    assert push(order, 1, 3, 4) == [frame(1)]
    assert push(order, 5) == [SILENCE * FRAME, frame(3), frame(4), frame(5)]
    assert (order.gaps, order.filled_ms) == (1, 20)


def test_a_chunk_that_comes_after_its_silence_is_late_not_duplicate() -> None:
    order = ChunkOrder()
    push(order, 1, 3, 4, 5)
    assert push(order, 2) == []
    assert (order.late, order.duplicate) == (1, 0)
    assert push(order, 2) == []
    assert (order.late, order.duplicate) == (1, 1)


def test_a_jump_of_the_timestamp_without_a_lost_number_is_silence_too() -> None:
    order = ChunkOrder()
    order.push(1, 0, frame(1))
    assert order.push(2, 520, frame(2)) == (SILENCE * 8 * 500, frame(2))
    assert order.push(3, 540, frame(3)) == (frame(3),)


def test_jitter_of_the_timestamp_is_no_gap() -> None:
    order = ChunkOrder()
    order.push(1, 0, frame(1))
    for chunk, timestamp in ((2, 31), (3, 38), (4, 77), (5, 80)):
        assert order.push(chunk, timestamp, frame(chunk)) == (frame(chunk),)
    assert order.gaps == 0


def test_a_timestamp_that_lies_costs_at_most_a_second_of_silence() -> None:
    order = ChunkOrder()
    order.push(1, 0, frame(1))
    assert order.push(2, 10**12, frame(2)) == (SILENCE * MAX_FILL_BYTES, frame(2))
    assert order.push(3, 40, frame(3)) == (frame(3),)
    assert order.push(4, 60, frame(4)) == (frame(4),)


def test_a_far_end_that_counts_from_one_again_is_heard() -> None:
    order = ChunkOrder()
    push(order, *range(1, RESTART + 10))
    assert push(order, 1, 2) == [frame(1), frame(2)]
    assert order.restarts == 1


def test_a_carrier_that_does_not_number_is_played_as_it_comes() -> None:
    order = ChunkOrder()
    assert [order.push(0, 0, frame(n)) for n in range(3)] == [(frame(0),), (frame(1),), (frame(2),)]


def test_flush_gives_out_what_was_held() -> None:
    order = ChunkOrder()
    push(order, 1, 3, 5)
    assert order.flush() == (SILENCE * FRAME, frame(3), SILENCE * FRAME, frame(5))
    assert order.flush() == ()


@given(st.data(), st.integers(1, 10**9), st.integers(1, 60))
def test_mild_disorder_is_mended_completely(data: st.DataObject, first: int, count: int) -> None:
    """Chunks displaced by less than the window, some doubled, come out as they were sent."""
    chunks = list(range(first, first + count))
    keys = [data.draw(st.integers(0, WINDOW - 1)) if chunk > first else 0 for chunk in chunks]
    sent = [chunk for _, chunk in sorted(zip((c + k for c, k in zip(chunks, keys, strict=True)), chunks, strict=True))]
    if sent[0] != first:
        sent.remove(first)
        sent.insert(0, first)
    doubled = [chunk for chunk in sent for _ in range(data.draw(st.integers(1, 2)))]
    order = ChunkOrder()
    heard = push(order, *doubled) + list(order.flush())
    assert heard == [frame(chunk) for chunk in chunks]
    assert order.duplicate == len(doubled) - len(sent)


@given(st.lists(st.tuples(st.integers(1, 200), st.integers(0, 10**7)), max_size=120))
def test_any_numbers_come_out_once_and_rising_with_bounded_silence(messages: list[tuple[int, int]]) -> None:
    order = ChunkOrder()
    played: list[int] = []
    held = 0
    for number, timestamp in messages:
        pieces = order.push(number, timestamp, frame(number))
        chunks = [piece[0] for piece in pieces if piece[0] != 0xFF]
        silences = [piece for piece in pieces if piece[0] == 0xFF]
        assert all(len(silence) <= MAX_FILL_BYTES for silence in silences)
        assert len(silences) <= len(chunks)
        played += chunks
        held += 1 - len(chunks)
    played += [piece[0] for piece in order.flush() if piece[0] != 0xFF]
    assert played == sorted(set(played))
    assert len(played) + order.duplicate + order.late == len(messages)
