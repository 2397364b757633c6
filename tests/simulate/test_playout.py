from hypothesis import given
from hypothesis import strategies as st

from talkspurt.media.g711 import encode_mulaw
from talkspurt.simulate.playout import CAPACITY_BYTES, FRAME_BYTES, PlayoutBuffer

SILENCE = b"\xff" * FRAME_BYTES
TONE = encode_mulaw((b"\x00\x20" * 4 + b"\x00\xe0" * 4) * 20)


def ticks(buffer: PlayoutBuffer, count: int) -> list[bytes]:
    return [buffer.tick().frame for _ in range(count)]


def test_plays_audio_in_order_and_silence_when_dry() -> None:
    buffer = PlayoutBuffer()
    buffer.enqueue(TONE[:100])
    buffer.enqueue(TONE[100:] + b"\x01" * 10)
    assert ticks(buffer, 3) == [TONE, b"\x01" * 10 + b"\xff" * 150, SILENCE]


def test_a_mark_on_an_empty_buffer_comes_back_at_once() -> None:
    assert PlayoutBuffer().mark("m") == ("m",)


def test_a_mark_comes_back_on_the_tick_after_its_last_sample_began() -> None:
    buffer = PlayoutBuffer()
    buffer.enqueue(TONE * 2)
    assert buffer.mark("end") == ()
    assert [buffer.tick().marks for _ in range(3)] == [(), (), ("end",)]


def test_a_mark_behind_a_frame_that_still_sounds_waits_for_it() -> None:
    buffer = PlayoutBuffer()
    buffer.enqueue(TONE)
    buffer.tick()
    assert buffer.mark("late") == ()
    assert not buffer.idle
    assert buffer.tick().marks == ("late",)
    assert buffer.idle


def test_clear_drops_the_audio_and_returns_its_marks_at_once_and_only_once() -> None:
    buffer = PlayoutBuffer()
    buffer.enqueue(TONE * 3)
    buffer.mark("a")
    buffer.enqueue(TONE)
    buffer.mark("b")
    buffer.tick()
    assert buffer.clear() == ("a", "b")
    tick = buffer.tick()
    assert (tick.frame, tick.marks) == (SILENCE, ())
    assert buffer.clear() == ()


def test_a_mark_after_clear_does_not_wait_for_what_was_dropped() -> None:
    buffer = PlayoutBuffer()
    buffer.enqueue(TONE * 50)
    buffer.clear()
    assert buffer.mark("next") == ("next",)
    buffer.enqueue(TONE)
    buffer.mark("played")
    buffer.tick()
    assert buffer.tick().marks == ("played",)


def test_an_underrun_that_cuts_a_sound_is_a_gap_of_its_length() -> None:
    buffer = PlayoutBuffer()
    buffer.enqueue(TONE * 2)
    ticks(buffer, 5)
    buffer.enqueue(TONE)
    tick = buffer.tick()
    assert (round(tick.gap, 3), tick.pause) == (0.06, 0.0)
    buffer.enqueue(TONE)
    assert buffer.tick().gap == 0.0


def test_an_underrun_in_silence_is_a_pause() -> None:
    buffer = PlayoutBuffer()
    buffer.enqueue(TONE + SILENCE * 2)
    ticks(buffer, 13)
    buffer.enqueue(TONE)
    tick = buffer.tick()
    assert (tick.gap, round(tick.pause, 3)) == (0.0, 0.2)


def test_audio_after_a_second_is_something_new() -> None:
    buffer = PlayoutBuffer()
    buffer.enqueue(TONE)
    ticks(buffer, 1 + 51)
    buffer.enqueue(TONE)
    assert (buffer.tick().gap, buffer.tick().pause) == (0.0, 0.0)


def test_an_underrun_after_clear_is_no_gap() -> None:
    buffer = PlayoutBuffer()
    buffer.enqueue(TONE * 10)
    ticks(buffer, 2)
    buffer.clear()
    ticks(buffer, 4)
    buffer.enqueue(TONE)
    assert (buffer.tick().gap, buffer.tick().pause) == (0.0, 0.0)


def test_audio_after_the_caller_acted_is_an_answer() -> None:
    buffer = PlayoutBuffer()
    buffer.enqueue(TONE * 2)
    ticks(buffer, 4)
    buffer.caller_acted()
    buffer.enqueue(TONE)
    tick = buffer.tick()
    assert (tick.gap, tick.pause) == (0.0, 0.0)


def test_a_caller_who_speaks_over_the_agent_hides_no_gap() -> None:
    buffer = PlayoutBuffer()
    buffer.enqueue(TONE * 2)
    buffer.tick()
    buffer.caller_acted()
    ticks(buffer, 3)
    buffer.enqueue(TONE)
    assert round(buffer.tick().gap, 3) == 0.04


def test_the_first_audio_of_a_call_ends_no_gap() -> None:
    buffer = PlayoutBuffer()
    ticks(buffer, 3)
    buffer.enqueue(TONE)
    tick = buffer.tick()
    assert (tick.gap, tick.pause) == (0.0, 0.0)


def test_audio_beyond_ten_minutes_is_discarded() -> None:
    buffer = PlayoutBuffer()
    assert buffer.enqueue(b"\xff" * (CAPACITY_BYTES - 5)) == 0
    assert buffer.enqueue(b"\xff" * 12) == 7
    assert buffer.queued == 600.0


@given(st.lists(st.one_of(st.integers(1, 400), st.just("mark"), st.just("clear"), st.just("tick")), max_size=60))
def test_every_mark_returns_exactly_once_and_never_before_its_audio(steps: list[int | str]) -> None:
    buffer = PlayoutBuffer()
    sent = heard = 0
    waiting: dict[str, int] = {}
    for number, step in enumerate([*steps, *["tick"] * 200]):
        returned: tuple[str, ...] = ()
        match step:
            case int():
                buffer.enqueue(b"\x01" * step)
                sent += step
            case "mark":
                waiting[str(number)] = sent
                returned = buffer.mark(str(number))
            case "clear":
                returned = buffer.clear()
                assert set(returned) == set(waiting) or not buffer.queued
                sent = heard
                waiting = dict.fromkeys(waiting, 0)
            case _:
                tick = buffer.tick()
                returned = tick.marks
                assert all(waiting[name] <= heard for name in returned)
                heard += FRAME_BYTES - tick.frame.count(b"\xff")
        for name in returned:
            assert waiting.pop(name) <= heard
    assert not waiting
    assert heard == sent
