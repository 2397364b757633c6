"""Somebody else takes the phone: what was begun for the caller before is not theirs."""

from collections import deque

from core.call_world import Asks, HandsOn, Part, Proposes, Returns, Says, Starts, World
from talkspurt.core.commands import CancelReply, RequestReply, RunTool, Speak, WithdrawEffect
from talkspurt.core.events import CallerChanged, EffectProposed, ToolProgressed, ToolReturned
from talkspurt.core.history import ToolCalled
from talkspurt.core.states import Speaking

ELM_STREET = '{"address":"12 Elm Street"}'


def handing_on(*replies: list[Part], work: Starts | Proposes | None = None) -> World:
    """The first reply asks for `work`, if there is any; a call of `new_caller` hands the phone on."""
    first: list[list[Part]] = [[Asks("work", "t1", ELM_STREET)], [Says("I am at it. ")]] if work else []

    def tool(command: RunTool) -> HandsOn | Returns | Starts | Proposes | None:
        return HandsOn() if command.name == "new_caller" else work or Returns()

    return World(replies=deque([*first, *replies]), tool=tool)


def spoken(call: World) -> str:
    return " ".join(str(speak.text) for speak in call.of(Speak))


def test_a_reply_ends_with_the_words_that_somebody_else_has_the_phone() -> None:
    """The model that wrote it knows what the caller before had said, and would prove with it who the next one is."""
    call = handing_on(
        [Says("Hello. "), Asks("new_caller", "t1"), Asks("verify", "t2"), Says("It goes to 12 Elm Street. ")],
        [Says("Who is that? ")],
    )
    call.answered().asks("my son is on now").listens()
    assert [command.name for command in call.of(RunTool)] == ["new_caller"]
    assert call.of(CancelReply) == [CancelReply(1)]
    assert "Elm Street" not in spoken(call)
    assert call.said[-2:] == ["Hello.", "Who is that?"]
    assert "verify" not in str(call.of(RequestReply)[-1].history)


def test_a_guessed_reply_ends_there_too() -> None:
    call = handing_on([Asks("new_caller", "t1", after=0.0), Asks("verify", "t2", after=0.0)], [Says("Who is that? ")])
    call.answered().says("my son is on now", 0.8).listens()
    assert "speculation_kept" in call.counted
    assert [command.name for command in call.of(RunTool)] == ["new_caller"]


def test_what_a_tool_told_the_caller_before_is_not_said_to_the_next() -> None:
    call = handing_on([Asks("new_caller", "t2")], [Says("Who is that? ")], work=Starts(later=None))
    call.answered().asks().listens()
    call.starts("here is my wife").run(0.5)
    call.give(ToolProgressed("t1", "It is on its way to 12 Elm Street."))
    call.stops().listens().run(15.0)
    assert call.said.count("Who is that?") == 1
    assert "Elm Street" not in spoken(call)


def test_what_a_tool_of_the_same_reply_told_the_caller_before_is_not_said_to_the_next() -> None:
    def tool(command: RunTool) -> HandsOn | None:
        return HandsOn(after=0.2) if command.name == "new_caller" else None

    call = World(replies=deque([[Asks("work", "t1"), Asks("new_caller", "t2")]]), tool=tool).answered()
    call.asks("and here is my wife")
    call.run_until(lambda world: len(world.of(RunTool)) == 2)
    call.give(ToolProgressed("t1", "It is on its way to 12 Elm Street."))
    call.run(8.0)
    assert call.phrases, "she is told that it takes a moment"
    assert "Elm Street" not in spoken(call)


def test_nobody_waits_for_a_tool_of_the_caller_before() -> None:
    call = handing_on([Asks("new_caller", "t2")], [Says("Who is that? ")], work=Starts(later=None))
    call.answered().asks().listens().asks("here is my wife").listens()
    call.give(ToolProgressed("t1", "It is on its way to 12 Elm Street."))
    call.run(12.0)
    assert "Elm Street" not in spoken(call)
    assert call.phrases == ["still_there"]


def test_what_their_tool_tells_by_now_is_said_to_nobody() -> None:
    """Also where the turn that waits for it goes on, and says what it is waiting for."""

    def tool(command: RunTool) -> HandsOn | None:
        return HandsOn() if command.name == "new_caller" else None

    call = World(replies=deque([[Asks("work", "t1"), Asks("new_caller", "t2")]]), tool=tool).answered()
    call.asks("and here is my wife")
    call.run_until(lambda world: any(isinstance(event, CallerChanged) for event in world.delivered))
    call.give(ToolProgressed("t1", "It is on its way to 12 Elm Street."))
    call.run(8.0)
    assert call.phrases, "she is told that it takes a moment"
    assert "Elm Street" not in spoken(call)


def test_what_came_of_their_tool_is_recorded_and_shown_to_nobody() -> None:
    call = handing_on([Asks("new_caller", "t2")], [Says("Who is that? ")], [Says("Hm. ")], work=Starts(later=None))
    call.answered().asks().listens().asks("here is my wife").listens()
    asked = len(call.of(RequestReply))
    call.give(ToolReturned("t1", '{"ok":true}'))
    call.run(3.0)
    assert len(call.of(RequestReply)) == asked, "nobody waits for it"
    call.asks("hello").listens()
    assert "Elm Street" not in str(call.of(RequestReply)[-1].history)
    assert ToolCalled("t1-finished", "work", ELM_STREET) in call.history


def test_an_answer_that_came_before_is_not_told_to_the_next() -> None:
    call = handing_on([Says("Hm. ")], work=Starts(later=None)).answered().asks().listens()
    call.starts("here is")
    call.give(ToolReturned("t1", '{"ok":true}'))
    call.give(CallerChanged("t1", "{}"))
    assert not call.conversation._agent.untold


def test_a_read_back_is_not_read_to_whoever_takes_the_phone() -> None:
    call = handing_on(
        [Asks("new_caller", "t2", after=2.0)],
        [Says("Who is that? ")],
        work=Proposes("I will send it to 12 Elm Street. It costs five. Shall I?"),
    )
    proposing, _, handing, asking = call.replies
    call.replies = deque([proposing + handing, asking])
    call.answered().asks("and my wife is here now")
    call.run_until(lambda world: isinstance(world.floor, Speaking)).listens().run(1.0)
    (proposed,) = (event for event in call.delivered if isinstance(event, EffectProposed))
    assert call.of(WithdrawEffect) == [WithdrawEffect(proposed.proposal)]
    assert call.said[-1].endswith("Who is that?")
    assert "Shall I?" not in " ".join(call.said)
