"""How the benchmark of faults measures: silence on the line, the table, and the relay that fails on purpose."""

import asyncio
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from benchmarks.faults.brain import HOURS, rest_of
from benchmarks.faults.call import Outcome
from benchmarks.faults.cases import Case, all_cases, quick_cases
from benchmarks.faults.outage import Outcome as OutageOutcome
from benchmarks.faults.outage_caller import Patient
from benchmarks.faults.relay import MIDDLE, Relay, Trouble
from benchmarks.faults.report import missed, rows
from benchmarks.faults.silence import FRAME, longest_silence
from numpy.typing import NDArray


def sound(*seconds: tuple[float, float], length: float = 10.0) -> NDArray[np.int16]:
    """A tone from each begin to each end."""
    samples = np.zeros(round(8_000 * length), dtype=np.int16)
    for begin, end in seconds:
        place = np.arange(round(8_000 * begin), round(8_000 * end))
        samples[place] = (4_000 * np.sin(place * 0.3)).astype(np.int16)
    return samples


def test_silence_is_where_neither_is_heard() -> None:
    agent = sound((0.5, 2.0), (6.0, 8.0))
    caller = sound((2.5, 3.5))
    assert longest_silence(caller, agent) == pytest.approx(2.5, abs=0.05)


def test_the_wait_for_the_greeting_counts_and_what_follows_the_last_sound_does_not() -> None:
    assert longest_silence(sound((4.0, 5.0)), sound((5.2, 6.0))) == pytest.approx(4.0, abs=0.05)
    assert longest_silence(sound((0.0, 1.0)), sound((1.2, 2.0))) == pytest.approx(0.2, abs=0.05)


def test_a_click_breaks_no_silence_and_a_call_without_a_sound_is_silent_throughout() -> None:
    agent = sound((0.0, 1.0), (4.0, 4.02), (7.0, 8.0))
    assert longest_silence(sound(), agent) == pytest.approx(6.0, abs=0.05)
    assert longest_silence(sound(), sound()) == pytest.approx(10.0, abs=FRAME / 8_000)


def outcome(stage: str, *, lost: bool = False, silence: float = 1.0, switch: float = 0.1, sent: int = 1) -> Outcome:
    case = Case(stage, "500", "during")  # type: ignore[arg-type]
    return Outcome(case, lost, silence, (switch,), sent, HOURS, ())


def test_a_fault_that_touched_nothing_and_an_effect_that_was_not_done_are_no_success() -> None:
    untouched = replace(outcome("model"), touched=False)
    assert missed(rows([untouched])) == ["faults that befell nothing: model 500"]
    assert missed(rows([outcome("model", sent=0)])) == ["effects not done: model 500"]


def test_an_answer_of_which_only_half_was_told_is_no_success() -> None:
    half = replace(outcome("model"), said=HOURS[:2])
    assert missed(rows([half, outcome("model")])) == ["half an answer told: model 500"]
    assert rest_of(" ".join(half.said)).text == HOURS[2:]


def test_of_the_calls_of_a_fault_the_worst_counts() -> None:
    (row,) = rows([outcome("model", silence=1.0), outcome("model", silence=2.5, switch=0.9, sent=3)])
    assert (row["longest_silence_ms"], row["switch_ms"], row["effects_repeated"]) == (2500, 900, 2)
    assert (row["calls"], row["lost"], row["effects_done"]) == (2, 0, 2)


@pytest.mark.parametrize(
    ("worse", "complaint"),
    [
        (outcome("model", lost=True), "calls lost: model 500"),
        (outcome("synthesizer", sent=2), "effects repeated: synthesizer 500"),
        (outcome("recognizer", silence=1.52), "nothing heard by 1.5 s: recognizer 500"),
        (outcome("model", switch=1.1), "slower switch than 1 s: model 500"),
    ],
)
def test_a_goal_that_is_missed_is_named(worse: Outcome, complaint: str) -> None:
    assert missed(rows([outcome("model")])) == []
    assert missed(rows([outcome("recognizer", silence=1.5), worse])) == [complaint]


def test_a_switch_that_nobody_saw_is_no_quick_one() -> None:
    unseen = replace(outcome("recognizer"), switches=())
    (row,) = rows([unseen])
    assert row["switch_ms"] is None
    assert missed([row]) == ["no switch was seen: recognizer 500"]
    nonsense = replace(unseen, case=Case("model", "unknown tool", "during"))
    assert missed(rows([nonsense])) == []


def test_a_silence_of_more_than_three_seconds_misses_both_its_goals() -> None:
    complaints = missed(rows([outcome("recognizer", silence=3.1)]))
    assert complaints == ["longer silence than 3 s: recognizer 500", "nothing heard by 1.5 s: recognizer 500"]


def test_every_fault_befalls_every_stage_before_and_during_a_call() -> None:
    names = [case.name for case in all_cases()]
    assert len(set(names)) == len(names) >= 66
    assert {case.stage for case in quick_cases()} == {case.stage for case in all_cases()}


async def ask(address: str, *, patience: float = 0.3) -> bytes | str:
    """What comes back on a new connection until it ends, or "hangs"."""
    host, _, port = address.partition(":")
    try:
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_connection(host, int(port))
    except TimeoutError:
        return "hangs"
    except ConnectionRefusedError:
        return "refused"
    try:
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(patience):
            return await reader.read()
    except TimeoutError:
        return "hangs"
    except ConnectionResetError:
        return "reset"
    finally:
        writer.transport.abort()


async def test_each_trouble_is_what_its_name_says_and_passes() -> None:
    whole = b"x" * (3 * MIDDLE)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(whole)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Relay(f"127.0.0.1:{port}") as relay:
        for trouble in Trouble:
            await relay.suffer(trouble)
            answer = await ask(relay.address)
            match trouble:
                case Trouble.NONE:
                    assert answer == whole
                case Trouble.RATE_LIMITED | Trouble.SERVER_ERROR | Trouble.EXPIRED_KEY | Trouble.WRONG_TYPE:
                    assert isinstance(answer, bytes)
                    assert answer.startswith(b"HTTP/1.1 ")
                case Trouble.REFUSED:
                    assert answer == "refused"
                case Trouble.TRUNCATED:
                    assert answer == whole[:MIDDLE]
                case Trouble.GARBAGE:
                    assert isinstance(answer, bytes)
                    assert answer[:MIDDLE] == whole[:MIDDLE] != answer
                case _:
                    assert answer == "hangs"
            await relay.suffer(Trouble.NONE)
            assert await ask(relay.address) == whole


# ── a caller who meets an outage ──────────────────────────────────────────────────


def tick(caller: Patient, begin: float, end: float) -> list[float]:
    """When the caller was heard."""
    moments = [round(begin + 0.02 * step, 2) for step in range(round((end - begin) / 0.02))]
    return [moment for moment in moments if caller.tick(moment) is not None]


def test_only_silence_that_the_agent_owes_counts_and_only_since_the_outage() -> None:
    caller = Patient([50], Random(1), 0.0)
    said = tick(caller, 0.0, 9.0)
    assert len(said) == 50
    caller.audio(1.0, 9.0)
    assert caller.longest_silence == 0.0
    caller.suffer(9.5)
    # What the agent says of itself ends a silence, the caller's own pause does not.
    caller.audio(1.0, 12.0)
    assert caller.longest_silence == pytest.approx(2.0)
    tick(caller, 12.0, 20.0)
    assert caller.longest_silence == pytest.approx(2.0)


def test_who_is_not_answered_says_it_again_and_then_presses_a_key() -> None:
    caller = Patient([50], Random(1), 0.0)
    caller.suffer(0.0)
    keys = []
    for step in range(60 * 50):
        caller.tick(0.02 * step)
        keys += [step for _ in caller.take_key()]
    assert caller.keys_pressed == len(keys) == 1
    assert caller.longest_silence == pytest.approx(8.0, abs=0.1)


def test_a_caller_is_lost_when_the_agent_owes_a_word_for_too_long() -> None:
    caller = Patient([50], Random(1), 0.0)
    assert not caller.gave_up(100.0), "the caller has said nothing"
    said = tick(caller, 0.0, 10.0)
    assert not caller.gave_up(said[-1] + 7)
    assert caller.gave_up(said[-1] + 16)
    caller.audio(1.0, 20.0)
    assert not caller.gave_up(100.0)


def test_a_lost_call_of_an_outage_and_a_long_silence_are_named() -> None:
    outcome = OutageOutcome("all cloud providers killed", 100, 2, 0, 3, 90, 7, 5, 2_900, 1_500)
    assert outcome.complaints == []
    assert replace(outcome, lost=1).complaints == ["all cloud providers killed: 1 calls lost"]
    assert replace(outcome, longest_silence_ms=3_001).complaints == [
        "all cloud providers killed: longer silence than 3 s"
    ]
