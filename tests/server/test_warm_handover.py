"""Warm hand-overs over real HTTP and real sockets: the carrier's double rings colleagues over its REST interface,
asked by Twilio's own SDK, and they listen, press a key or none, are machines, hang up.

The agent is an echo: what it says is tested elsewhere. Here it is who is rung, what the caller hears meanwhile, where
they end up, and that every step is on record.
"""

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from talkspurt.config import Config
from talkspurt.errors import StoreError
from talkspurt.simulate.child_server import free_port
from talkspurt.simulate.exchange import Colleague, ExchangeDouble
from talkspurt.simulate.twilio import TwilioDouble
from talkspurt.store import Handover, Store

from .conftest import DIALLED, PUBLIC, TOKEN, EchoSession, Running, running, settings

ACCOUNT = "AC" + "0" * 32
BILLING, FRONT_DESK = "+12025550123", "+12025550124"
CALLER = "+12025550101"


async def short_words(_text: str) -> NDArray[np.int16]:
    """The carrier's voice to callers: a fifth of a second, whatever it says."""
    return np.full(1600, 3000, np.int16)


@dataclass
class Scene:
    """A server, a carrier and a caller who is with the agent."""

    server: Running
    exchange: ExchangeDouble
    line: TwilioDouble
    session: EchoSession

    @property
    def call_id(self) -> str:
        return self.session.call.id

    async def ask_for(self, target: str = "billing") -> None:
        """The agent lets the caller go to a person."""
        await self.server.store.handovers.request(
            self.call_id, target=target, reason="An invoice that is wrong", account="maya_collins", level=1
        )
        self.session.end("handover")

    async def steps(self) -> list[str]:
        handover = await self.server.store.handovers.latest_of(self.call_id)
        assert handover is not None
        return [f"{step.state} {step.detail}".strip() for step in await self.server.store.handovers.steps(handover.id)]

    async def state(self) -> tuple[str, str | None]:
        call = await self.server.store.calls.find(self.call_id)
        assert call is not None
        return call.state, call.end_reason

    async def back_with_agent(self) -> None:
        """Wait until the caller is attached to a session again."""
        session = await asyncio.wait_for(self.server.switchboard.arrived.get(), 30)
        assert session.attachment == 2
        assert await self.state() == ("live", None)

    async def until_step(self, step: str) -> None:
        async with asyncio.timeout(20):
            while step not in await self.steps():  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def over(self, reason: str) -> None:
        """Wait until the call is on record as over."""
        async with asyncio.timeout(20):
            while (await self.state())[0] != "ended":  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert await self.state() == ("ended", reason)

    def heard(self) -> list[str]:
        return [event.detail for event in self.line.recording.of("said")]


@asynccontextmanager
async def on_the_line(server: Running, exchange: ExchangeDouble, number: str = CALLER) -> AsyncIterator[Scene]:
    line = TwilioDouble(
        f"http://127.0.0.1:{server.port}",
        public_url=PUBLIC,
        auth_token=TOKEN,
        from_number=number,
        to_number=DIALLED,
        exchange=exchange,
        carrier_voice=short_words,
    )
    async with line:
        session = await server.switchboard.next_session()
        yield Scene(server, exchange, line, session)


def warm(folder: Path, exchange: ExchangeDouble, **handover: Any) -> Any:
    targets = {
        "billing": {"number": BILLING, "kind": "warm", "ring": 5, "otherwise": "front_desk"},
        "front_desk": {"number": FRONT_DESK, "kind": "warm", "ring": 5},
    }
    return settings(
        folder,
        twilio={"account_sid": ACCOUNT, "api_url": exchange.api_url},
        handover={"targets": targets, **handover},
    )


@pytest.fixture
async def exchange() -> AsyncIterator[ExchangeDouble]:
    async with ExchangeDouble(public_url=PUBLIC, auth_token=TOKEN) as double:
        yield double
        # What a colleague's telephone still reports when the test's server is closed reaches nobody.
        assert [problem for problem in double.problems if "cannot reach" not in problem] == []


@pytest.fixture
async def scene(tmp_path: Path, exchange: ExchangeDouble) -> AsyncIterator[Scene]:
    async with running(warm(tmp_path, exchange)) as server:
        exchange.serve(f"http://127.0.0.1:{server.port}")
        async with on_the_line(server, exchange) as scene:
            yield scene


async def test_a_colleague_hears_the_briefing_takes_the_call_and_speaks_with_the_caller(scene: Scene) -> None:
    scene.exchange.hire(BILLING, Colleague(keys=("2", "1")))
    await scene.ask_for()
    end = await asyncio.wait_for(scene.line.ended(), 30)
    assert (end.by, end.failed) == ("agent", False)
    assert await scene.state() == ("ended", "handover")
    assert await scene.steps() == [
        "requested",
        "waiting",
        "ringing",
        "briefing",
        "briefing listens",
        "accepted",
        "connected",
        "completed",
    ]
    announced, briefed = scene.exchange.of(BILLING, "hears Call")
    assert announced == (
        "hears Call for billing. The caller is verified by facts that match our records. Nothing was changed in this "
        "call. Press 2 to hear who is calling and why, 1 to take the call, or 3 to decline."
    )
    assert briefed == (
        "hears Call for billing, from 1 2 0 2 5 5 5 0 1 0 1. The caller is verified by facts that match our records "
        "for account maya collins. They want: An invoice that is wrong. Nothing was changed in this call. "
        "Press 1 to take the call, 2 to hear this again, or 3 to decline."
    )
    assert scene.exchange.of(BILLING)[-2:] == ["joins", "completed"]
    assert scene.heard()[0] == "Press 1 to be called back instead, or 2 to come back to me."
    assert [event.kind for event in scene.line.recording.events if event.kind in ("joined", "left")] == [
        "joined",
        "left",
    ]


async def test_a_briefing_can_be_heard_again(scene: Scene) -> None:
    scene.exchange.hire(BILLING, Colleague(keys=("2", "2", "1")))
    await scene.ask_for()
    await asyncio.wait_for(scene.line.ended(), 30)
    assert len(scene.exchange.of(BILLING, "hears Call for billing, from")) == 2
    assert (await scene.steps())[-1] == "completed"


@pytest.mark.parametrize(
    ("colleague", "cause"),
    [
        (Colleague(outcome="busy"), "busy"),
        (Colleague(outcome="failed"), "failed"),
        (Colleague(outcome="no-answer"), "no_answer"),
        (Colleague(keys=("3",)), "declined"),
        (Colleague(keys=()), "no_response"),
        (Colleague(keys=(), hesitates=8.0, answered_by="machine_start"), "voicemail"),
        (Colleague(keys=(), hesitates=8.0, hangs_up_after=0.1), "hung_up"),
    ],
)
async def test_whoever_does_not_take_the_call_is_followed_by_the_next_and_then_the_agent(
    scene: Scene, colleague: Colleague, cause: str
) -> None:
    scene.exchange.hire(BILLING, colleague)
    scene.exchange.hire(FRONT_DESK, colleague)
    await scene.ask_for()
    await scene.back_with_agent()
    steps = await scene.steps()
    assert f"waiting {cause}" in steps
    assert steps[-1] == f"failed {cause}"
    assert scene.exchange.of(FRONT_DESK, "rings")
    assert not scene.line.recording.of("joined")


async def test_the_next_place_takes_the_call_when_the_first_is_busy(scene: Scene) -> None:
    scene.exchange.hire(BILLING, Colleague(outcome="busy"))
    scene.exchange.hire(FRONT_DESK, Colleague())
    await scene.ask_for()
    await asyncio.wait_for(scene.line.ended(), 30)
    assert scene.exchange.of(FRONT_DESK)[-1] == "completed"
    assert await scene.state() == ("ended", "handover")


async def test_a_caller_who_hangs_up_while_it_rings_silences_the_telephone(scene: Scene) -> None:
    scene.exchange.hire(BILLING, Colleague(answers_after=4.0))
    await scene.ask_for()
    await scene.exchange.until(lambda: bool(scene.exchange.of(BILLING, "rings")))
    scene.line.hang_up()
    await scene.exchange.until(lambda: scene.exchange.of(BILLING)[-1] == "canceled")
    await scene.over("caller_hung_up")
    assert (await scene.steps())[-1] == "canceled caller_gone"


async def test_a_caller_who_hangs_up_during_the_briefing_frees_the_colleague(scene: Scene) -> None:
    scene.exchange.hire(BILLING, Colleague(keys=(), hesitates=8.0))
    await scene.ask_for()
    await scene.until_step("briefing")
    scene.line.hang_up()
    await scene.exchange.until(lambda: scene.exchange.of(BILLING)[-1] == "completed")
    assert not scene.exchange.of(FRONT_DESK)


async def test_a_caller_who_hangs_up_on_the_colleague_ends_it_for_both(scene: Scene) -> None:
    scene.exchange.hire(BILLING, Colleague(talks=None))
    await scene.ask_for()
    await scene.until_step("connected")
    scene.line.hang_up()
    await scene.exchange.until(lambda: scene.exchange.of(BILLING)[-1] == "completed")
    await scene.over("handover")
    assert (await scene.steps())[-1] == "completed"


async def test_a_colleague_who_hangs_up_before_the_caller_joins_leaves_them_with_the_agent(scene: Scene) -> None:
    scene.exchange.hire(BILLING, Colleague(hangs_up_after=4.0))
    scene.exchange.hire(FRONT_DESK, Colleague(outcome="busy"))
    # The orders to the caller's line are lost until then, so that they come only when their hold sentence is over.
    scene.exchange.lose_redirects = 4
    await scene.ask_for()
    await scene.back_with_agent()
    assert "accepted" in await scene.steps()
    assert "waiting hung_up" in await scene.steps()


async def test_an_order_to_the_callers_line_that_is_lost_is_given_again(scene: Scene) -> None:
    scene.exchange.hire(BILLING, Colleague())
    scene.exchange.lose_redirects = 1
    await scene.ask_for()
    await scene.until_step("accepted")
    accepted = scene.line.now
    await asyncio.wait_for(scene.line.ended(), 30)
    (joined,) = scene.line.recording.of("joined")
    assert joined.at - accepted < 5, "and not when ten seconds of silence are over"
    assert (await scene.steps())[-2:] == ["connected", "completed"]


async def test_a_caller_whose_colleague_has_gone_unheard_is_not_left_in_an_empty_room(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("talkspurt.server.handover.documents.ALONE_SECONDS", 1)
    scene.exchange.hire(BILLING, Colleague(hangs_up_after=4.0))
    scene.exchange.hire(FRONT_DESK, Colleague(outcome="busy"))
    scene.exchange.lose_redirects = 100
    scene.exchange.lose_reports = True
    await scene.ask_for()
    await scene.exchange.until(lambda: bool(scene.line.recording.of("joined")))
    # From here on all goes through again; what was lost stays lost.
    scene.exchange.lose_redirects, scene.exchange.lose_reports = 0, False
    await scene.back_with_agent()
    assert "waiting hung_up" in await scene.steps()
    assert (await scene.steps())[-1] == "failed busy"


async def test_a_caller_who_presses_1_is_called_back_and_nobody_is_rung_any_longer(scene: Scene) -> None:
    scene.exchange.hire(BILLING, Colleague(answers_after=4.0))
    await scene.ask_for()
    await scene.exchange.until(lambda: bool(scene.heard()))
    scene.line.press("1")
    await scene.back_with_agent()
    (callback,) = await scene.server.store.callbacks.outstanding()
    assert (callback.number, callback.target, callback.account) == (CALLER, "billing", "maya_collins")
    await scene.exchange.until(lambda: scene.exchange.of(BILLING)[-1] == "canceled")


async def test_a_carrier_that_calls_nobody_out_brings_the_caller_back(scene: Scene) -> None:
    scene.exchange.broken = True
    await scene.ask_for()
    await scene.back_with_agent()
    assert (await scene.steps())[-1] == "failed failed"
    assert scene.exchange.log == []


async def test_what_was_done_and_is_pending_is_told_to_the_colleague(scene: Scene) -> None:
    from talkspurt.ports import EffectRecord

    call = await scene.server.store.calls.find(scene.call_id)
    assert call is not None
    ledger = scene.server.store.effects.ledger(call.id, call.fence)
    await ledger.propose(EffectRecord("p1", scene.call_id, "process_return", '{"order_id":"W2378156"}', "proposed"))
    await ledger.propose(EffectRecord("p2", scene.call_id, "offer_refund", '{"order_id":"W1"}', "proposed"))
    assert await ledger.read_back("p1", heard_at=5.0)
    assert await ledger.confirm("p1", turn=2, key="k1")
    assert await ledger.begin("p1", patience=5.0)
    await ledger.finish("p1", state="done", result="{}")
    scene.exchange.hire(BILLING, Colleague(keys=("2", "1")))
    await scene.ask_for()
    await scene.exchange.until(lambda: bool(scene.exchange.of(BILLING, "hears Call for billing, from")))
    announced, briefing = scene.exchange.of(BILLING, "hears Call")
    assert "W2378156" not in announced
    assert "Done in this call: process return, order id W2378156." in briefing
    assert "Pending: offer refund, order id W1 was offered, and the caller has not said yes." in briefing


async def test_two_callers_share_one_telephone_one_after_the_other(tmp_path: Path, exchange: ExchangeDouble) -> None:
    async with running(warm(tmp_path, exchange)) as server:
        exchange.serve(f"http://127.0.0.1:{server.port}")
        exchange.hire(BILLING, Colleague(talks=1.0))
        async with (
            on_the_line(server, exchange) as first,
            on_the_line(server, exchange, "+12025550102") as second,
        ):
            await first.ask_for()
            await first.until_step("ringing")
            await second.ask_for()
            await exchange.until(lambda: any("number 1 in the queue" in text for text in second.heard()))
            await asyncio.wait_for(first.line.ended(), 30)
            await asyncio.wait_for(second.line.ended(), 60)
            assert (await second.steps())[-1] == "completed"
            assert exchange.of(BILLING).count("rings") == 2


async def test_a_server_that_is_replaced_while_it_rings_loses_nobody(tmp_path: Path, exchange: ExchangeDouble) -> None:
    """The telephone and the caller's line know only URLs: another process with the same database goes on."""
    exchange.hire(BILLING, Colleague(answers_after=3.0))
    config = warm(tmp_path, exchange)
    async with running(config) as server:
        exchange.serve(f"http://127.0.0.1:{server.port}")
        line = TwilioDouble(
            f"http://127.0.0.1:{server.port}",
            public_url=PUBLIC,
            auth_token=TOKEN,
            from_number=CALLER,
            to_number=DIALLED,
            exchange=exchange,
            carrier_voice=short_words,
        )
        await line.__aenter__()
        session = await server.switchboard.next_session()
        await Scene(server, exchange, line, session).ask_for()
        await exchange.until(lambda: bool(exchange.of(BILLING, "rings")))
        port = server.port
    again = config.model_copy(update={"server": config.server.model_copy(update={"port": port})})
    async with running(again) as server:
        scene = Scene(server, exchange, line, session)
        await asyncio.wait_for(line.ended(), 30)
        assert (await scene.steps())[-1] == "completed"
        await line.aclose()


@asynccontextmanager
async def in_a_process(config: Config, port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """The server in a process that can be killed; an agent that says nothing but what it hears."""
    values = config.model_dump(mode="json", exclude_none=True)
    values["server"]["port"] = port
    values["twilio"] = {"account_sid": ACCOUNT, "auth_token": TOKEN, "api_url": config.twilio.api_url}
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__).parent / "echo_server.py"), json.dumps(values), stdout=DEVNULL
    )
    try:
        async with asyncio.timeout(60), httpx.AsyncClient() as client:
            while True:
                with suppress(httpx.TransportError):
                    if (await client.get(f"http://127.0.0.1:{port}/readyz")).is_success:
                        break
                await asyncio.sleep(0.05)
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


class LoadBalancer:
    """Passes connections on to the server that is up: what a company has in front of two processes."""

    def __init__(self, port: int) -> None:
        self.backend = port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.backend)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._pump(reader, back), self._pump(there, writer))

    @staticmethod
    async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.close()


async def test_a_server_that_is_killed_while_it_rings_loses_nobody(tmp_path: Path, exchange: ExchangeDouble) -> None:
    config, ports = warm(tmp_path, exchange), [free_port(), free_port()]
    exchange.hire(BILLING, Colleague(answers_after=2.0))
    async with (
        LoadBalancer(ports[0]) as balancer,
        in_a_process(config, ports[0]) as first,
        in_a_process(config, ports[1]),
        stored(config) as store,
    ):
        url = f"http://127.0.0.1:{balancer.port}"
        exchange.serve(url)
        async with TwilioDouble(
            url,
            public_url=PUBLIC,
            auth_token=TOKEN,
            from_number=CALLER,
            to_number=DIALLED,
            exchange=exchange,
            carrier_voice=short_words,
        ) as line:
            await exchange.until(lambda: bool(line.recording.of("stream_started")))
            call = await store.calls.by_carrier_id(line.recording.call_sid)
            assert call is not None
            await store.handovers.request(call.id, target="billing", reason="A bill")
            line.press("#")
            await exchange.until(lambda: bool(exchange.of(BILLING, "rings") and line.recording.of("said")))
            first.kill()
            await first.wait()
            balancer.backend = ports[1]
            await asyncio.wait_for(line.ended(), 60)
        handover = await store.handovers.latest_of(call.id)
        assert handover is not None
        steps = [step.state for step in await store.handovers.steps(handover.id)]
        assert steps == ["requested", "waiting", "ringing", "briefing", "accepted", "connected", "completed"]
        assert exchange.of(BILLING).count("rings") == 1


@asynccontextmanager
async def stored(config: Config) -> AsyncIterator[Store]:
    store = await Store.open(config.store.url)
    yield store
    await store.aclose()


async def test_a_key_of_a_colleague_that_finds_no_database_counts_when_it_is_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, failures = scene.server.store.handovers.find, 0

    async def away(handover_id: str) -> Handover | None:
        nonlocal failures
        if "presses 1" in scene.exchange.of(BILLING) and failures < 1:
            failures += 1
            raise StoreError("refused the connection")
        return await known(handover_id)

    monkeypatch.setattr("talkspurt.server.guard.HOLD_SECONDS", 1)
    monkeypatch.setattr(scene.server.store.handovers, "find", away)
    scene.exchange.hire(BILLING, Colleague(keys=("1",)))
    await scene.ask_for()
    await asyncio.wait_for(scene.line.ended(), 30)
    assert failures == 1
    assert "hears One moment, please." in scene.exchange.of(BILLING)
    assert (await scene.steps())[-2:] == ["connected", "completed"]


async def test_news_of_an_earlier_ringing_is_ignored(scene: Scene) -> None:
    scene.exchange.hire(BILLING, Colleague(outcome="busy"))
    scene.exchange.hire(FRONT_DESK, Colleague(answers_after=4.8))
    await scene.ask_for()
    await scene.exchange.until(lambda: bool(scene.exchange.of(FRONT_DESK, "rings")))
    handover = await scene.server.store.handovers.open_of(scene.call_id)
    assert handover is not None
    assert handover.attempt == 2
    path = f"/twilio/leg/status?handover={handover.id}&attempt=1"
    assert (await scene.server.post(path, {"CallSid": "CA9", "CallStatus": "no-answer"})).status_code == 204
    answered = await scene.server.post(f"/twilio/leg?handover={handover.id}&attempt=1", {"CallSid": "CA9"})
    assert "not waiting any more" in answered.text
    # Nor can a key that nobody has been asked for.
    accepted = f"/twilio/leg/key?handover={handover.id}&attempt=2"
    assert "<Conference" not in (await scene.server.post(accepted, {"CallSid": "CA9", "Digits": "1"})).text
    latest = await scene.server.store.handovers.open_of(scene.call_id)
    assert latest is not None
    assert (latest.state, latest.attempt) == ("ringing", 2)


@pytest.mark.parametrize(
    "path", ["/twilio/room", "/twilio/leg", "/twilio/leg/key", "/twilio/leg/status", "/twilio/leg/machine"]
)
async def test_nobody_else_can_take_or_end_a_call(scene: Scene, path: str) -> None:
    url = f"{path}?handover=x&attempt=1"
    fields = {"CallSid": "CA1", "Digits": "1", "CallStatus": "completed", "AnsweredBy": "fax"}
    assert (await scene.server.post(url, fields, token="guess")).status_code == 403
    signed_for_another = await scene.server.http.post(
        f"{path}?handover=y&attempt=1",
        data=fields,
        headers={"X-Twilio-Signature": signature(f"{PUBLIC}{url}", fields)},
    )
    assert signed_for_another.status_code == 403


async def test_news_of_a_room_needs_a_signature_too(scene: Scene) -> None:
    fields = {"ConferenceSid": "CF1", "StatusCallbackEvent": "conference-start"}
    path = "/twilio/conference?handover=x&attempt=1"
    assert (await scene.server.post(path, fields, token="guess")).status_code == 403
    assert (await scene.server.post(path, fields)).status_code == 204
    assert (await scene.server.post(path, {"StatusCallbackEvent": "x"})).status_code == 400


def signature(url: str, fields: dict[str, str]) -> str:
    from twilio.request_validator import RequestValidator

    return str(RequestValidator(TOKEN).compute_signature(url, fields))
