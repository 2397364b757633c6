"""A conversation as JSON: there and back, and never out of nonsense."""

import json
from typing import Any

import pytest

from core.call_world import Asks, Says, World, settings
from talkspurt.core import snapshot as snapshot_module
from talkspurt.core.commands import Command
from talkspurt.core.conversation import Conversation
from talkspurt.core.digits import Digits
from talkspurt.core.events import CallerHungUp, EffectProposed, Event
from talkspurt.core.history import CallerSaid
from talkspurt.core.snapshot import Decoder, Writer, encode
from talkspurt.core.states import Ended
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


def test_a_state_that_is_written_later_is_that_of_the_moment_in_which_it_was_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[tuple[dict[str, Any], Any]] = []
    receive = Conversation.receive

    def noted(self: Conversation, event: Event | None, now: float) -> tuple[Command, ...]:
        commands = receive(self, event, now)
        taken.append((self.state(), json.loads(json.dumps(self.snapshot()))))
        return commands

    monkeypatch.setattr(Conversation, "receive", noted)
    call = busy()
    call.asks("and what of my other order?").run(5.0)
    call.give(CallerHungUp())
    assert isinstance(taken[-1][0]["floor"], Ended)
    assert len(taken) > 20
    writer = Writer()
    # In whatever order: none depends on which others were written before.
    for state, then in (*taken, *reversed(taken)):
        assert json.loads(writer.write(state, {"caller": "x"})) == then | {"caller": "x"}


@pytest.mark.interpreted
def test_what_was_said_long_ago_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[Any] = []

    def counted(value: Any) -> Any:
        encoded.append(value)
        return encode(value)

    monkeypatch.setattr(snapshot_module, "encode", counted)
    places = [CallerSaid(str(n)) for n in range(300)]
    writer = Writer()
    writer.write({"version": 7, "places": tuple(places)}, {})
    encoded.clear()
    places[7] = CallerSaid("other words")
    places.append(CallerSaid("new"))
    again = writer.write({"version": 7, "places": tuple(places)}, {})
    assert [value for value in encoded if isinstance(value, CallerSaid)] == [places[7], places[300]]
    assert json.loads(again) == {"version": 7, "places": [encode(place) for place in places]}
    writer.write({"version": 7, "places": ()}, {})
    assert not writer._known


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
