"""A conversation as JSON: there and back, and never out of nonsense."""

import json
from typing import Any

import pytest

from core.call_world import Asks, Says, World, settings
from talkspurt.core.conversation import Conversation
from talkspurt.core.digits import Digits
from talkspurt.core.events import EffectProposed
from talkspurt.core.snapshot import Decoder, encode
from talkspurt.core.turn import AgentTurn, Line


def busy() -> World:
    """A call with everything in its state: words on the line, a tool, a proposal."""
    call = World(tool=lambda _command: None)
    call.replies.append([Says("Let me see how that goes. "), Asks("refund"), Asks("look")])
    call.answered().asks("refund me").run(0.5)
    call.give(EffectProposed("t1", "p1", "I refund it. Shall I?", "{}"))
    call.run(0.5)
    return call


def test_everything_survives_json() -> None:
    snapshot = busy().conversation.snapshot()
    assert snapshot["pending"]
    assert snapshot["running"]
    assert snapshot["turn"]
    copy = Conversation.restore(settings(), json.loads(json.dumps(snapshot)))
    assert copy.snapshot() == snapshot


@pytest.mark.parametrize(
    "value",
    [
        None,
        1.5,
        "text",
        (1, (2, 3)),
        frozenset({"a", "b"}),
        {1: (2,), 3: "x"},
        AgentTurn(tools=frozenset({"t"}), held=(Line("a", "p"),)),
    ],
)
def test_values_come_back(value: Any) -> None:
    assert Decoder([AgentTurn, Line]).decode(json.loads(json.dumps(encode(value)))) == value


@pytest.mark.parametrize(
    "nonsense",
    [
        {},
        {"~": "Unknown"},
        {"~": None},
        {"~": ["x"]},
        {"a": 1},
        {"~": "Digits", "unknown": 1},
        {"~": "Line"},
        {"~": "frozenset"},
        {"~": "frozenset", "items": None},
        {"~": "frozenset", "items": [[1]]},
        {"~": "dict", "items": [1]},
        {"~": "dict", "items": [[1, 2, 3]]},
        {"~": "dict", "items": [[[1], 2]]},
        [[{"~": "Digits", "typed": {"~": "?"}}]],
    ],
)
def test_what_was_never_encoded_is_refused(nonsense: Any) -> None:
    with pytest.raises(ValueError, match="snapshot holds no readable"):
        Decoder([Digits, Line]).decode(nonsense)


WRONG: list[tuple[str, Any]] = [
    *[(key, {"~": "Unknown"}) for key in ("floor", "turn", "pending", "running", "places", "playback")],
    *[(key, "nonsense") for key in ("floor", "turn", "pending", "running", "places", "playback")],
    *[(key, 7) for key in ("floor", "turn", "pending", "running", "places", "playback")],
    *[(key, {"~": "Line", "text": "x"}) for key in ("floor", "turn", "pending", "running", "places", "playback")],
    *[(key, [{"~": "Line", "text": "x"}]) for key in ("places", "playback")],
    *[(key, None) for key in ("floor", "running", "places", "playback")],
    *[(key, "1") for key in ("now", "attachment", "talkspurt", "utterances", "revisions", "misses", "quiet_since")],
    *[(key, None) for key in ("replies", "segments", "failures", "recorded", "epoch", "heard", "progress_at")],
    ("suspended", "yes"),
    ("prompts", 3),
    ("running", {"~": "dict", "items": [["t1", "x"]]}),
    ("places", [{"~": "Spoken", "segment": 99}]),
    ("recorded", 10_000),
]


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_a_snapshot_with_a_wrong_part_is_refused(key: str, value: Any) -> None:
    snapshot = busy().conversation.snapshot() | {key: value}
    with pytest.raises(ValueError, match="snapshot"):
        Conversation.restore(settings(), snapshot)


def test_a_snapshot_without_a_part_is_refused() -> None:
    snapshot = busy().conversation.snapshot()
    for key in snapshot:
        less = {name: value for name, value in snapshot.items() if name != key}
        with pytest.raises(ValueError, match="snapshot"):
            Conversation.restore(settings(), less)


@pytest.mark.parametrize("nonsense", [None, [], "x", 1, {}, {"version": 999}])
def test_what_is_no_snapshot_is_refused(nonsense: Any) -> None:
    with pytest.raises(ValueError, match="snapshot"):
        Conversation.restore(settings(), nonsense)
