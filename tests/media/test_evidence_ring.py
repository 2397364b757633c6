"""The ring gives back what was written at a position, or silence, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkspurt.media.g711 import decode_mulaw
from talkspurt.media.ring import SampleRing

CAPACITY = 16

steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 40), st.integers(-4, 80)),
        st.tuples(st.just("append"), st.integers(0, 40), st.just(0)),
        st.tuples(st.just("silence"), st.integers(-4, 80), st.just(0)),
    ),
    max_size=12,
)


@given(steps, st.integers(-20, 100), st.integers(0, 60))
def test_it_agrees_with_a_tape_of_unlimited_length(steps: list[tuple[str, int, int]], first: int, length: int) -> None:
    ring, tape, end, value = SampleRing(CAPACITY), dict[int, int](), 0, 0
    for name, argument, place in steps:
        if name in ("write", "append"):
            at = place if name == "write" else end
            # 126 values that mu-law knows, none of them silence.
            pcm = decode_mulaw(bytes((value + n) % 126 for n in range(argument)))
            value += argument
            if name == "write":
                ring.write(pcm, at)
            else:
                ring.append(pcm)
            tape |= {at + n: sample for n, sample in enumerate(memoryview(pcm).cast("h"))}
            end = max(end, at + argument)
        else:
            ring.silence_from(argument)
            tape = {position: sample for position, sample in tape.items() if position < argument}
    assert ring.end == end
    assert ring.begin == max(0, end - CAPACITY)
    expected = [tape.get(at, 0) if ring.begin <= at < end else 0 for at in range(first, first + length)]
    assert (ring.read(first, first + length) * 32_768).round().astype(int).tolist() == expected
    assert list(memoryview(ring.read_pcm(first, first + length)).cast("h")) == expected
    # Nothing that was written here is silence.
    assert ring.is_silent(first, first + length) == (not any(expected))


def test_half_a_sample_is_ignored() -> None:
    ring = SampleRing(CAPACITY)
    ring.append(b"\x84\x03\x84\x03\x84")
    assert ring.end == 2


def test_a_ring_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        SampleRing(0)
