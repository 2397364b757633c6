"""Cold hand-overs as the carrier sees them: who is dialled, how it went, and that the caller comes back."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from talkspurt.agent import Caller, ToolError
from talkspurt.agent.handover import HandoverAnswer
from talkspurt.errors import StoreError
from talkspurt.server.handover.desk import Desk
from talkspurt.server.handover.targets import Targets
from talkspurt.store import Handover
from talkspurt.store.handovers import OPEN

from .conftest import CALLER, EchoSession, Running, Socket, Twiml, running, settings, total

RESUME = "/twilio/resume"
TARGETS = {
    "billing": {"number": "+12025550123", "otherwise": "front_desk", "ring": 20},
    "front_desk": "+12025550124",
}


async def leaves(server: Running, target: str = "billing", sid: str = "CA1") -> tuple[Socket, EchoSession]:
    """A caller who is with the agent asks for a person, and the agent has said that it tries."""
    socket, session = await server.call(sid)
    await server.store.handovers.request(session.call.id, target=target, reason="A bill")
    session.end("handover")
    assert await socket.closed() == 1000
    return socket, session


async def handed(server: Running, session: EchoSession) -> Handover:
    handover = await server.store.handovers.latest_of(session.call.id)
    assert handover is not None
    return handover


async def steps(server: Running, session: EchoSession) -> list[str]:
    handover = await handed(server, session)
    return [f"{step.state} {step.detail}".strip() for step in await server.store.handovers.steps(handover.id)]


def dialled(twiml: Twiml) -> tuple[str, str]:
    """The number that is dialled, and where the carrier reports how that went."""
    action = twiml.find("Dial").attrib["action"].removeprefix("https://voice.example.com")
    return twiml.find("Dial/Number").text or "", action


@contextmanager
def away(server: Running, step: str) -> Iterator[None]:
    """The database takes no such step of a hand-over for a while."""

    async def fail(*_: object) -> None:
        raise StoreError("refused the connection")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server.store.handovers, step, fail)
        yield


async def test_the_line_is_let_go_of_while_an_effect_of_the_call_still_runs(server: Running) -> None:
    """The caller has heard "I'm trying to put you through to billing now", and waits."""
    socket, session = await server.call()
    session.wound_up.clear()
    await server.store.handovers.request(session.call.id, target="billing", reason="A bill")
    session.end("handover")
    assert await socket.closed() == 1000
    assert dialled(await server.resume())[0] == "+12025550123"
    session.wound_up.set()


async def test_a_handover_dials_the_configured_number_and_ends_with_it(server: Running) -> None:
    _, session = await leaves(server)
    twiml = await server.resume()
    number, action = dialled(twiml)
    assert number == "+12025550123"
    assert twiml.find("Dial").attrib["answerOnBridge"] == "true"
    assert twiml.find("Dial").attrib["timeout"] == "25"
    assert action.startswith("/twilio/resume?handover=")
    assert (await server.resume()).text == twiml.text, "what the carrier repeats is answered alike, and rings once"
    status = twiml.find("Dial/Number").attrib["statusCallback"].removeprefix("https://voice.example.com")
    answered = await server.post(status, {"CallSid": "CA9", "CallStatus": "in-progress"})
    assert answered.status_code == 204
    assert (await server.resume(path=action, DialCallStatus="completed")).verbs == ["Hangup"]
    assert await steps(server, session) == ["requested", "waiting", "ringing", "connected", "completed"]
    call = await server.store.calls.find(session.call.id)
    assert call is not None
    assert (call.state, call.end_reason) == ("ended", "handover")


async def test_a_line_is_free_again_when_the_telephone_there_says_so(server: Running) -> None:
    """The caller has hung up, and the word of that was lost: nobody else would say so for four hours."""
    for number in (1, 2):
        await leaves(server, sid=f"CA{number}")
    twiml = await server.resume("CA1")
    telephone = twiml.find("Dial/Number")
    assert telephone.attrib["statusCallbackEvent"] == "answered completed"
    status = telephone.attrib["statusCallback"].removeprefix("https://voice.example.com")
    for news in ("in-progress", "completed"):
        assert "number 1 in the queue" in waiting(await server.resume("CA2"))
        await server.post(status, {"CallSid": "CA9", "CallStatus": news})
    assert dialled(await server.resume("CA2"))[0] == "+12025550123"
    assert (await server.resume("CA1", path=dialled(twiml)[1], DialCallStatus="completed")).verbs == ["Hangup"]


async def test_a_telephone_that_nobody_answers_is_told_of_by_the_callers_line_alone(server: Running) -> None:
    """Both say it at the same moment: were it acted upon twice, the next place would be rung and left at once."""
    _, session = await leaves(server)
    twiml = await server.resume()
    status = twiml.find("Dial/Number").attrib["statusCallback"].removeprefix("https://voice.example.com")
    await server.post(status, {"CallSid": "CA9", "CallStatus": "busy"})
    assert (await handed(server, session)).state == "ringing"
    assert (await server.resume(path=dialled(twiml)[1], DialCallStatus="busy")).verbs == ["Connect", "Redirect"]


async def test_news_of_a_telephone_that_finds_no_database_is_acted_upon_when_it_is_back(server: Running) -> None:
    _, session = await leaves(server)
    twiml = await server.resume()
    status = twiml.find("Dial/Number").attrib["statusCallback"].removeprefix("https://voice.example.com")
    with away(server, "find"):
        assert (await server.post(status, {"CallSid": "CA9", "CallStatus": "in-progress"})).status_code == 204
    async with asyncio.timeout(5):
        while (await handed(server, session)).state != "connected":  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        ("busy", "busy"),
        ("no-answer", "no_answer"),
        ("failed", "failed"),
        ("canceled", "no_answer"),
        ("something-new", "failed"),
    ],
)
async def test_a_caller_whom_nobody_answers_comes_back_to_the_agent(server: Running, status: str, cause: str) -> None:
    _, session = await leaves(server)
    _, action = dialled(await server.resume())
    twiml = await server.resume(path=action, DialCallStatus=status)
    assert twiml.verbs == ["Connect", "Redirect"]
    _, again = await server.connect(twiml)
    assert again.attachment == 2
    assert (await handed(server, session)).cause == cause
    assert (await steps(server, session))[-1] == f"failed {cause}"


async def test_the_next_place_is_tried_and_late_news_of_the_first_changes_nothing(tmp_path: Path) -> None:
    async with running(settings(tmp_path, handover={"targets": TARGETS})) as server:
        _, session = await leaves(server)
        number, first = dialled(await server.resume())
        assert number == "+12025550123"
        number, second = dialled(await server.resume(path=first, DialCallStatus="busy"))
        assert number == "+12025550124"
        # A proxy repeats the first report.
        assert dialled(await server.resume(path=first, DialCallStatus="busy")) == (number, second)
        assert (await server.resume(path=second, DialCallStatus="no-answer")).verbs == ["Connect", "Redirect"]
        assert (await handed(server, session)).tried == ("billing",)
        assert await steps(server, session) == [
            "requested",
            "waiting",
            "ringing",
            "waiting busy",
            "ringing",
            "failed no_answer",
        ]


async def test_a_talk_that_ends_while_the_database_is_away_is_over_and_written_down_later(server: Running) -> None:
    _, session = await leaves(server)
    _, action = dialled(await server.resume())
    with away(server, "open_of"):
        assert (await server.resume(path=action, DialCallStatus="completed")).verbs == ["Hangup"]
    async with asyncio.timeout(5):
        while (await steps(server, session))[-1] != "completed":  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_place_where_nobody_answers_while_the_database_is_away_is_not_rung_again(server: Running) -> None:
    _, session = await leaves(server)
    _, action = dialled(await server.resume())
    with away(server, "open_of"):
        held = await server.resume(path=action, DialCallStatus="busy")
        assert held.verbs == ["Say", "Pause", "Redirect"]
    again = (held.find("Redirect").text or "").removeprefix("https://voice.example.com")
    assert (await server.resume(path=again)).verbs == ["Connect", "Redirect"]
    assert (await steps(server, session))[-1] == "failed busy"


async def test_a_key_that_is_pressed_while_the_database_is_away_counts(server: Running) -> None:
    await leaves(server, sid="CA1")
    _, session = await leaves(server, sid="CA2")
    await server.resume("CA1")
    await server.resume("CA2")
    with away(server, "seen"):
        held = await server.resume("CA2", Digits="1")
    again = (held.find("Redirect").text or "").removeprefix("https://voice.example.com")
    assert (await server.resume("CA2", path=again)).verbs == ["Connect", "Redirect"]
    assert (await steps(server, session))[-1] == "failed callback"


async def test_a_place_that_is_gone_from_the_configuration_comes_back_to_the_agent(server: Running) -> None:
    await leaves(server, "nowhere")
    assert (await server.resume()).verbs == ["Connect", "Redirect"]


async def test_a_session_that_hands_over_to_nobody_keeps_its_caller(server: Running) -> None:
    socket, session = await server.call()
    session.end("handover")
    await socket.closed()
    assert (await server.resume()).verbs == ["Connect", "Redirect"]


async def test_whoever_hangs_up_while_it_rings_was_not_handed_over(server: Running) -> None:
    _, session = await leaves(server)
    await server.resume()
    assert await server.status("completed") == 204
    call = await server.store.calls.find(session.call.id)
    assert call is not None
    assert (call.state, call.end_reason) == ("ended", "caller_hung_up")
    assert (await steps(server, session))[-1] == "canceled caller_gone"


async def test_whoever_hangs_up_while_the_agent_still_speaks_is_not_rung_for(server: Running) -> None:
    socket, session = await server.call()
    await server.store.handovers.request(session.call.id, target="billing", reason="A bill")
    socket.hang_up()
    await socket.closed()
    assert await steps(server, session) == ["requested", "canceled caller_gone"]


# ── the queue ─────────────────────────────────────────────────────────────────────


async def test_callers_wait_in_line_and_are_told_where_they_stand(server: Running) -> None:
    for number in (1, 2, 3):
        await leaves(server, sid=f"CA{number}")
    _, action = dialled(await server.resume("CA1"))
    assert "number 1 in the queue" in waiting(await server.resume("CA2"))
    assert "number 2 in the queue" in waiting(await server.resume("CA3"))
    assert (await server.resume("CA1", path=action, DialCallStatus="completed")).verbs == ["Hangup"]
    assert "number 2 in the queue" in waiting(await server.resume("CA3")), "the queue is kept in order"
    dialled(await server.resume("CA2"))
    assert "number 1 in the queue" in waiting(await server.resume("CA3"))


async def test_a_target_with_two_lines_rings_for_two(tmp_path: Path) -> None:
    targets = {"billing": {"number": "+12025550123", "lines": 2}}
    async with running(settings(tmp_path, handover={"targets": targets})) as server:
        for number in (1, 2, 3):
            await leaves(server, sid=f"CA{number}")
        dialled(await server.resume("CA1"))
        dialled(await server.resume("CA2"))
        assert "number 1" in waiting(await server.resume("CA3"))


async def test_a_caller_who_waits_can_have_a_call_back_instead(server: Running) -> None:
    await leaves(server, sid="CA1")
    _, session = await leaves(server, sid="CA2")
    await server.resume("CA1")
    twiml = await server.resume("CA2")
    assert "Press 1 to be called back" in waiting(twiml)
    assert twiml.find("Gather").attrib == {
        "action": "https://voice.example.com/twilio/resume",
        "method": "POST",
        "numDigits": "1",
        "timeout": "1",
    }
    before = total("talkspurt_callbacks_total")
    for _ in range(2):
        assert (await server.resume("CA2", Digits="1")).verbs == ["Connect", "Redirect"]
    (callback,) = await server.store.callbacks.outstanding()
    assert (callback.call_id, callback.number, callback.target) == (session.call.id, CALLER, "billing")
    assert total("talkspurt_callbacks_total") == before + 1
    assert (await steps(server, session))[-1] == "failed callback"


@pytest.mark.parametrize("key", ["2", "*"])
async def test_a_caller_who_waits_can_come_back_to_the_agent(server: Running, key: str) -> None:
    await leaves(server, sid="CA1")
    await leaves(server, sid="CA2")
    await server.resume("CA1")
    assert "queue" in waiting(await server.resume("CA2", Digits="7")), "other keys mean nothing"
    assert (await server.resume("CA2", Digits=key)).verbs == ["Connect", "Redirect"]


async def test_nobody_waits_for_ever(tmp_path: Path) -> None:
    async with running(settings(tmp_path, handover={"max_wait": 0.001})) as server:
        await leaves(server, sid="CA1")
        assert (await server.resume("CA1")).verbs == ["Connect", "Redirect"]


async def test_hold_music_is_played_where_there_is_some(tmp_path: Path) -> None:
    async with running(settings(tmp_path, handover={"hold_music": "https://example.com/hold.mp3"})) as server:
        await leaves(server, sid="CA1")
        await leaves(server, sid="CA2")
        await server.resume("CA1")
        assert (await server.resume("CA2")).find("Gather/Play").text == "https://example.com/hold.mp3"


def waiting(twiml: Twiml) -> str:
    assert twiml.verbs == ["Gather", "Redirect"], twiml.text
    return twiml.find("Gather/Say").text or ""


# ── what the agent may say ────────────────────────────────────────────────────────

NIGHT = datetime(2026, 11, 27, 3, 0, tzinfo=UTC)
"""A Friday at three in the morning; in New York it is still Thursday evening."""


def desk(server: Running, now: datetime = NIGHT, **targets: object) -> Desk:
    config = settings(Path(), handover={"targets": targets or {"billing": "+12025550123"}}).handover
    return Desk(Targets.from_config(config, kinds=frozenset({"cold"})), server.store, lambda: now)


def caller_of(session: EchoSession, number: str = CALLER) -> Caller:
    return Caller(call_id=session.call.id, number=number)


async def test_the_agent_says_that_it_tries_or_how_many_are_before(server: Running) -> None:
    _, first = await server.call("CA1")
    _, second = await server.call("CA2")
    answer = await desk(server).hand_over(caller_of(first), target=None, reason="A bill")
    assert (answer.status, answer.handed_over, answer.position) == ("connecting", True, None)
    assert await desk(server).hand_over(caller_of(first), target="Billing", reason="again") == answer
    answer = await desk(server).hand_over(caller_of(second), target="billing", reason="A bill")
    assert (answer.status, answer.position) == ("queued", 2)
    assert "number 2" in answer.message


async def test_nobody_is_promised_when_the_place_is_closed(server: Running) -> None:
    _, session = await server.call()
    hours = {"number": "+12025550123", "hours": ["mon-fri 09:00-17:00"], "time_zone": "America/New_York"}
    answer = await desk(server, billing=hours).hand_over(caller_of(session), target="billing", reason="A bill")
    assert (answer.status, answer.handed_over, answer.callback) == ("closed", False, True)
    assert answer.opens == "tomorrow at 9 AM"
    assert await server.store.handovers.open_of(session.call.id) is None
    assert len(await server.store.callbacks.outstanding()) == 1


async def test_a_place_that_is_closed_is_said_to_open_when_it_does_itself(server: Running) -> None:
    """Not when the place that would stand in for it does."""
    _, session = await server.call()
    billing = {"number": "+12025550123", "hours": ["mon-fri 09:00-17:00"], "otherwise": "front_desk"}
    front_desk = {"number": "+12025550124", "hours": ["sun 08:00-12:00"]}
    saturday = datetime(2026, 11, 28, 20, 0, tzinfo=UTC)
    answer = await desk(server, saturday, billing=billing, front_desk=front_desk).hand_over(
        caller_of(session), target="billing", reason="A bill"
    )
    assert answer.opens == "on Monday at 9 AM"
    assert answer.message.startswith("Nobody is in billing right now; they are back on Monday at 9 AM.")


async def test_another_place_that_is_open_takes_the_call(server: Running) -> None:
    _, session = await server.call()
    closed = {"number": "+12025550123", "hours": ["mon 09:00-10:00"], "otherwise": "night"}
    answer = await desk(server, billing=closed, night="+12025550124").hand_over(
        caller_of(session), target="billing", reason="A bill"
    )
    assert (answer.status, answer.target) == ("connecting", "night")


async def test_an_account_that_was_not_verified_is_nobodys(server: Running) -> None:
    _, session = await server.call()
    caller = caller_of(session)
    caller.account = "maya_collins"
    await desk(server).call_back(caller, target=None, reason="A bill")
    await desk(server).hand_over(caller, target=None, reason="A bill")
    (callback,) = await server.store.callbacks.outstanding()
    assert (callback.account, (await handed(server, session)).account) == (None, None)


async def test_nobody_is_promised_a_call_to_a_withheld_number(server: Running) -> None:
    _, session = await server.call()
    answer = await desk(server).call_back(caller_of(session, ""), target=None, reason="A bill")
    assert (answer.callback, await server.store.callbacks.outstanding()) == (False, ())


@pytest.mark.parametrize("wish", [Desk.hand_over, Desk.call_back])
async def test_where_there_is_no_place_a_named_one_gets_the_call_back_that_any_would(
    server: Running, wish: Callable[..., Awaitable[HandoverAnswer]]
) -> None:
    _, session = await server.call()
    nowhere = Desk(Targets(()), server.store, lambda: NIGHT)
    answer = await wish(nowhere, caller_of(session), target="billing", reason="A bill")
    assert (answer.status, answer.target, answer.callback) == ("unavailable", None, True)
    (callback,) = await server.store.callbacks.outstanding()
    assert (callback.target, callback.reason) == (None, "For billing: A bill")


async def test_a_call_back_from_a_place_that_there_is_not_is_noted_for_anybody(server: Running) -> None:
    _, session = await server.call()
    answer = await desk(server).call_back(caller_of(session), target="the florist", reason="Roses")
    assert (answer.target, answer.callback) == (None, True)
    (callback,) = await server.store.callbacks.outstanding()
    assert (callback.target, callback.reason) == (None, "For the florist: Roses")


async def test_a_place_that_there_is_not_is_refused_with_those_that_are(server: Running) -> None:
    _, session = await server.call()
    with pytest.raises(ToolError, match="Places it can go to: billing"):
        await desk(server).hand_over(caller_of(session), target="the florist", reason="Roses")
    assert await server.store.handovers.open_of(session.call.id) is None


async def test_a_call_back_that_the_call_has_already_is_not_said_to_be_another(server: Running) -> None:
    _, session = await server.call()
    billing = {"number": "+12025550123", "hours": ["mon-fri 09:00-17:00"]}
    place = desk(server, billing=billing, returns="+12025550124")
    caller = caller_of(session)
    asked = "I've asked a colleague to call you back on this number."
    assert (await place.call_back(caller, target="returns", reason="A parcel")).message == asked
    assert (await place.call_back(caller, target="returns", reason="A parcel")).message == asked
    kept = "A colleague from returns was asked earlier in this call to call back on this number."
    for answer in (
        await place.call_back(caller, target="billing", reason="A bill"),
        await place.hand_over(caller, target="billing", reason="A bill"),
    ):
        assert answer.callback
        assert asked not in answer.message
        assert kept in answer.message
    caller.verify("maya_collins")
    assert kept in (await place.call_back(caller, target="returns", reason="A parcel")).message
    (only,) = await server.store.callbacks.outstanding()
    assert (only.target, only.account, only.reason) == ("returns", None, "A parcel")


async def test_after_two_failures_a_call_back_is_noted_and_nobody_is_rung(server: Running) -> None:
    _, session = await server.call()
    records = server.store.handovers
    for _ in range(2):
        assert (await desk(server).hand_over(caller_of(session), target=None, reason="A bill")).handed_over
        handover = await records.open_of(session.call.id)
        assert handover is not None
        assert await records.move(handover, "failed", leaving=OPEN, cause="busy")
    answer = await desk(server).hand_over(caller_of(session), target=None, reason="A bill")
    assert (answer.handed_over, answer.callback) == (False, True)


async def test_where_no_agent_is_left_to_come_back_to_nobody_is_rung_twice(server: Running) -> None:
    _, session = await server.call()
    caller = caller_of(session)
    assert (await desk(server).hand_over(caller, target=None, reason="", last_resort=True)).handed_over
    handover = await server.store.handovers.open_of(session.call.id)
    assert handover is not None
    assert await server.store.handovers.move(handover, "failed", leaving=OPEN, cause="came_back")
    answer = await desk(server).hand_over(caller, target=None, reason="", last_resort=True)
    assert (answer.handed_over, answer.callback) == (False, True)


async def test_whoever_comes_back_by_a_key_has_not_failed(server: Running) -> None:
    _, session = await server.call()
    records = server.store.handovers
    for cause in ("came_back", "callback", "came_back", "busy"):
        assert (await desk(server).hand_over(caller_of(session, ""), target=None, reason="A bill")).handed_over
        handover = await records.open_of(session.call.id)
        assert handover is not None
        assert await records.move(handover, "failed", leaving=OPEN, cause=cause)
    assert (await desk(server).hand_over(caller_of(session, ""), target=None, reason="A bill")).handed_over
