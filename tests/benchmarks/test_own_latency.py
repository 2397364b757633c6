"""The benchmark of our own latencies measures every step of every turn, in the order in which they happen."""

import pytest
from benchmarks.own_latency import GOALS_MS, between, figures, measure


@pytest.mark.e2e
def test_every_turn_has_every_step() -> None:
    steps = measure(10)
    assert steps.keys() == GOALS_MS.keys()
    assert {name: len(samples) for name, samples in steps.items()} == {
        "turn_to_model": 10,
        "clause_to_synthesizer": 10,
        "audio_to_line": 10,
        "greeting_to_line": 1,
        "phrase_to_line": 1,
    }
    assert all(0 < sample < 2_000 for samples in steps.values() for sample in samples)


def test_a_row_tells_its_quantiles_beside_the_goal() -> None:
    row = figures("turn_to_model", between([0.0] * 100, [0.001 * number for number in range(100)]))
    assert (row["samples"], row["p50_ms"], row["p95_ms"], row["max_ms"], row["goal_ms"]) == (
        100,
        50.0,
        95.0,
        99.0,
        10.0,
    )
