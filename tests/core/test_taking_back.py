"""A conversation that let its caller go to a person goes on when nobody took the call."""

import json
from typing import Any

from core.call_world import Asks, Fails, Says, World, settings
from talkspurt.core.commands import Phrase, RequestReply, Speak, StopPlayback
from talkspurt.core.conversation import Conversation
from talkspurt.core.events import EndRequested, HandoverReturned, LineClosed, LineOpened, ReplyFailed, ToolReturned
from talkspurt.core.history import CallerSaid, ToolAnswered, ToolCalled
from talkspurt.core.states import Ended, Opening, Thinking

BUSY = HandoverReturned("back_unanswered", '{"status":"busy"}')


def handed_over(**rules: Any) -> dict[str, Any]:
    """What is stored of a call whose caller has just left for a person."""
    world = World(settings(**rules))
    world.replies.extend(([Asks("escalate", "t1", '{"reason":"a bill"}')], [Says("I am putting you through. ")]))
    world.dial()
    world.run(4.0)
    world.asks("a person please").run_until(lambda world: len(world.of(RequestReply)) == 2)
    world.give(EndRequested("handover", "t1"))
    world.run_until(lambda world: bool(world.ended))
    snapshot: dict[str, Any] = json.loads(json.dumps(world.conversation.snapshot()))
    assert world.ended == "handover"
    return snapshot


def taken_back(snapshot: dict[str, Any]) -> tuple[Conversation, list[Any]]:
    conversation = Conversation.take_back(settings(), snapshot, BUSY)
    commands: list[Any] = []
    now = conversation.snapshot()["now"]
    for orphan in conversation.orphaned():
        commands.extend(conversation.receive(orphan, now))
    commands.extend(conversation.receive(LineOpened(2), now + 0.1))
    return conversation, commands


def test_the_caller_hears_at_once_that_they_are_back_and_the_model_is_told_why() -> None:
    snapshot = handed_over()
    conversation, commands = taken_back(snapshot)
    assert isinstance(conversation.floor, Thinking)
    (speak,) = [command for command in commands if isinstance(command, Speak)]
    assert speak.text == Phrase("back_unanswered")
    (request,) = [command for command in commands if isinstance(command, RequestReply)]
    assert CallerSaid("a person please") in request.history
    assert request.history[-2:] == (
        ToolCalled("t1-returned", "escalate", '{"reason":"a bill"}'),
        ToolAnswered("t1-returned", "escalate", BUSY.content),
    )


def test_what_was_played_before_is_not_mistaken_for_what_is_played_now() -> None:
    snapshot = handed_over()
    conversation, commands = taken_back(snapshot)
    assert conversation.epoch > snapshot["epoch"]
    assert [command.epoch for command in commands if isinstance(command, StopPlayback)] == [conversation.epoch]
    assert all(command.epoch == conversation.epoch for command in commands if isinstance(command, Speak))


def test_time_away_does_not_count_as_time_of_the_call() -> None:
    snapshot = handed_over()
    conversation = Conversation.take_back(settings(), snapshot, BUSY)
    assert isinstance(conversation.floor, Opening)
    assert conversation.floor.since == snapshot["now"]
    conversation.receive(None, snapshot["now"] + settings().opening_timeout + 0.1)
    assert isinstance(conversation.floor, Ended)
    assert conversation.floor.reason == "no_media"


def test_only_a_call_that_was_handed_over_is_taken_back() -> None:
    world = World(settings())
    world.dial()
    world.run(4.0)
    running = Conversation.take_back(settings(), json.loads(json.dumps(world.conversation.snapshot())), BUSY)
    assert type(running.floor) is type(world.floor)
    world.lose_line(hung_up=True)
    ended = Conversation.take_back(settings(), json.loads(json.dumps(world.conversation.snapshot())), BUSY)
    assert isinstance(ended.floor, Ended)
    assert ended.orphaned() == ()


def test_who_is_let_go_twice_comes_back_twice() -> None:
    conversation, _ = taken_back(handed_over())
    conversation.receive(EndRequested("handover", "t2"), conversation.snapshot()["now"])
    while not isinstance(conversation.floor, Ended):
        assert conversation.deadline is not None
        conversation.receive(None, conversation.deadline)
    assert conversation.floor.reason == "handover"
    _, commands = taken_back(json.loads(json.dumps(conversation.snapshot())))
    (request,) = [command for command in commands if isinstance(command, RequestReply)]
    # Which tool it was nobody knows any more; the model is told all the same.
    assert request.history[-1] == ToolAnswered("handover-returned", "handover", BUSY.content)


def test_a_model_that_fails_then_is_apologised_for() -> None:
    conversation, commands = taken_back(handed_over())
    now = conversation.snapshot()["now"]
    for _ in range(2):
        reply = next(command.reply for command in commands if isinstance(command, RequestReply))
        commands = list(conversation.receive(ReplyFailed(reply, "down"), now))
    assert Phrase("apology") in [command.text for command in commands if isinstance(command, Speak)]
    assert not isinstance(conversation.floor, Ended)


def test_what_was_running_when_they_left_is_settled() -> None:
    """An effect that was being executed died with its process: it may or may not have happened."""
    world = World(settings())
    world.tool = lambda _command: None
    world.replies.extend(([Asks("look", "t1")], [Fails()]))
    world.dial()
    world.run(4.0)
    world.asks("look it up").run(1.0)
    world.give(EndRequested("handover", "t1"))
    snapshot = json.loads(json.dumps(world.conversation.snapshot()))
    back = Conversation.take_back(settings(), snapshot, BUSY)
    orphans = back.orphaned()
    assert any(isinstance(orphan, ToolReturned) and orphan.tool_call == "t1" for orphan in orphans)
    assert any(isinstance(orphan, LineClosed) for orphan in orphans), "the call had not been let go yet"
