"""Starting, readiness and stopping; and that no secret comes out anywhere."""

import asyncio
import io
import logging
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from twilio.request_validator import RequestValidator

from talkspurt.errors import ConfigurationError, StoreError, WeightsError
from talkspurt.server.origin import Origin
from talkspurt.server.serve import missing_settings, serve
from talkspurt.simulate.child_server import free_port
from talkspurt.store import Store
from talkspurt.telemetry.logs import configure_logging

from .conftest import OTHER_TOKEN, PATIENCE, TOKEN, EchoSwitchboard, Running, running, settings, total


async def readiness(server: Running) -> tuple[int, list[str]]:
    response = await server.http.get("/readyz")
    return response.status_code, response.json()["reasons"]


async def test_a_warm_server_is_alive_ready_and_measured(server: Running) -> None:
    assert (await server.http.get("/livez")).status_code == 200
    assert await readiness(server) == (200, [])
    socket, _ = await server.call()
    metrics = await server.http.get("/metrics")
    assert "talkspurt_active_calls 1.0" in metrics.text
    socket.hang_up()
    await socket.closed()
    assert total("talkspurt_active_calls") == 0


async def test_metrics_are_not_shown_through_a_proxy(server: Running) -> None:
    response = await server.http.get("/metrics", headers={"X-Forwarded-For": "198.51.100.7"})
    assert response.status_code == 404


async def test_without_its_database_the_server_is_alive_but_not_ready(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> None:
        raise StoreError("gone")

    monkeypatch.setattr(server.store, "ping", fail)
    assert await readiness(server) == (503, ["database"])
    assert (await server.http.get("/livez")).status_code == 200


async def test_while_warming_up_it_is_alive_but_neither_ready_nor_answering(tmp_path: Path) -> None:
    warm, warming = asyncio.Event(), asyncio.Event()
    ports: list[int] = []
    stop = asyncio.Event()

    @asynccontextmanager
    async def opened(store: Store) -> AsyncIterator[EchoSwitchboard]:
        warming.set()
        await warm.wait()
        yield EchoSwitchboard()

    before = await Store.open(settings(tmp_path).store.url)
    await before.calls.admit(carrier_call_id="CA-before", caller="", dialled="", agent="retail", locale="en-US")
    await before.aclose()
    # The port is only told when ready, so the test chooses it.
    port = free_port()
    config = settings(tmp_path, server={"port": port})
    task = asyncio.create_task(serve(config, opened, ready=lambda _, bound: ports.append(bound), stop=stop))
    await asyncio.wait_for(warming.wait(), PATIENCE)
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", transport=httpx.AsyncHTTPTransport(retries=5)
    ) as http:
        response = await http.get("/readyz")
        assert (response.status_code, response.json()["reasons"]) == (503, ["warming"])
        assert (await http.get("/livez")).status_code == 200
        server = Running(port, Origin("https://voice.example.com"), EchoSwitchboard(), None, stop, task, http)  # type: ignore[arg-type]
        assert (await server.voice()).verbs == ["Say", "Hangup"]
        # A call of the process before this one is kept, and not sent to a socket that would be refused.
        assert (await server.resume("CA-before")).verbs == ["Pause", "Redirect"]
        assert ports == []
        warm.set()
        while not ports:  # noqa: ASYNC110 - readiness is what is polled for, as a load balancer does
            await asyncio.sleep(0)
        assert (await http.get("/readyz")).status_code == 200
        assert (await server.voice("CA2")).verbs == ["Connect", "Redirect"]
        assert (await server.resume("CA-before")).verbs == ["Connect", "Redirect"]
    stop.set()
    await asyncio.wait_for(task, PATIENCE)


async def test_a_stopping_server_takes_no_new_call_and_lets_the_running_one_finish(tmp_path: Path) -> None:
    async with running(settings(tmp_path, server={"shutdown_grace": 30.0})) as server:
        socket, session = await server.call()
        server.stop.set()
        while (await readiness(server))[0] == 200:
            pass
        assert await readiness(server) == (503, ["draining"])
        assert (await server.voice("CA2")).verbs == ["Say", "Hangup"]
        socket.media(1)
        await socket.echo()
        assert not server.task.done()
        session.end("agent_goodbye")
        assert await socket.closed() == 1000
        await asyncio.wait_for(server.task, PATIENCE)
        assert server.switchboard.ended == []


async def test_when_the_grace_is_over_calls_are_asked_to_end(tmp_path: Path) -> None:
    async with running(settings(tmp_path, server={"shutdown_grace": 0.0})) as server:
        socket, _ = await server.call()
        server.stop.set()
        assert await socket.closed() == 1000
        await asyncio.wait_for(server.task, PATIENCE)
        assert server.switchboard.ended == ["shutdown"]


async def test_a_call_that_does_not_end_is_cut_off_and_stays_live_for_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("talkspurt.server.reception.FAREWELL", 0.05)
    config = settings(tmp_path)
    async with running(config) as server:
        server.switchboard.stubborn = True
        socket, _ = await server.call()
        server.stop.set()
        await socket.closed()
        await asyncio.wait_for(server.task, PATIENCE)
    async with running(config) as other:
        _, session = await other.connect(await other.resume())
        assert session.attachment == 2


async def test_in_development_unsigned_requests_pass_and_urls_are_local(tmp_path: Path) -> None:
    async with running(settings(tmp_path, server={"development": True, "public_url": None})) as server:
        response = await server.post("/twilio/voice", {"CallSid": "CA1", "From": "", "To": "+12025550100"}, token=None)
        assert f'url="ws://127.0.0.1:{server.port}/twilio/media"' in response.text
        assert f">http://127.0.0.1:{server.port}/twilio/resume<" in response.text
        assert (await server.dial(token=None)).close_code is None


async def test_development_is_announced_loudly(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        async with running(settings(tmp_path, server={"development": True})):
            pass
    (warning,) = [event for event in logs if event["event"] == "development_mode"]
    assert warning["log_level"] == "warning"
    assert "unsigned" in warning["danger"]


@pytest.mark.parametrize("missing", [{"server": {"public_url": None}}, {"twilio": {"auth_token": None}}])
async def test_without_what_signatures_need_the_server_starts_and_refuses_every_call(
    tmp_path: Path, missing: dict[str, Any]
) -> None:
    config = settings(tmp_path, **missing)
    assert missing_settings(config)
    async with running(config) as server, httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["reasons"]) == (503, ["unconfigured"])
        form = {"CallSid": "CA1", "From": "+14155550100", "To": "+18005550199"}
        url = f"http://127.0.0.1:{server.port}/twilio/voice"
        signature = RequestValidator(TOKEN).compute_signature(url, form)
        answer = await client.post("/twilio/voice", data=form, headers={"X-Twilio-Signature": signature})
        assert answer.status_code == 403


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"limits": {"requests_per_address": "many"}}, "600/minute"),
        ({"handover": {"targets": {"billing": "911"}}}, "E.164"),
        ({"store": {"url": "mysql://x"}}, "store.url"),
    ],
)
async def test_a_configuration_that_cannot_work_is_refused_with_what_to_do(
    tmp_path: Path, sections: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        async with running(settings(tmp_path, **sections)):
            pass


async def test_a_port_that_is_taken_is_refused_with_what_to_do(server: Running, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"server\.port"):
        async with running(settings(tmp_path, server={"port": server.port})):
            pass


async def test_what_prevents_warming_up_is_raised_as_it_is(tmp_path: Path) -> None:
    @asynccontextmanager
    async def opened(store: Store) -> AsyncIterator[EchoSwitchboard]:
        raise WeightsError("run: talkspurt models pull")
        yield EchoSwitchboard()

    with pytest.raises(WeightsError, match="models pull"):
        await serve(settings(tmp_path), opened)


async def test_a_client_that_connects_and_says_nothing_is_sent_away(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("talkspurt.server.http.REQUEST_DEADLINE", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /twilio/voice HTTP/1.1\r\nHost: x\r\n")
    assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
    writer.close()
    await writer.wait_closed()


async def test_a_client_that_stops_within_a_second_request_is_sent_away(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("talkspurt.server.http.REQUEST_DEADLINE", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await asyncio.wait_for(reader.readuntil(b"ok\n"), PATIENCE)).startswith(b"HTTP/1.1 200")
    writer.write(b"POST /twilio/voice HTTP/1.1\r\nHost: x\r\n")
    assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
    writer.close()
    await writer.wait_closed()


async def test_who_had_connected_before_the_end_is_still_answered(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        assert (await server.http.get("/livez")).status_code == 200  # by now the connection has been accepted
        server.stop.set()
        await asyncio.sleep(0.3)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await asyncio.wait_for(reader.read(), PATIENCE)).startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()


START_PATIENCE = 60.0
"""Seconds for a fresh Python to import everything on a busy machine."""

SCRIPT = """
import asyncio, sys
from contextlib import asynccontextmanager
from talkspurt.config import Config
from talkspurt.server.serve import missing_settings, serve
from talkspurt.telemetry.logs import configure_logging
import uvloop

@asynccontextmanager
async def opened(store):
    yield None

config = Config.model_validate({
    "server": {"port": 0, "development": True},
    "store": {"url": "sqlite+aiosqlite:///" + sys.argv[1]},
})
configure_logging()
uvloop.run(serve(config, opened, ready=lambda origin, port: print(port, flush=True)))
"""


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_process_with_zero(tmp_path: Path, sent: signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        textwrap.dedent(SCRIPT),
        str(tmp_path / "calls.db"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    try:
        assert int(await asyncio.wait_for(process.stdout.readline(), START_PATIENCE)) > 0
        process.send_signal(sent)
        _, errors = await asyncio.wait_for(process.communicate(), START_PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    assert b"Traceback" not in errors


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    configure_logging(level="debug", style="json", secrets=[TOKEN, OTHER_TOKEN], stream=stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


async def test_no_secret_reaches_a_log_an_answer_or_a_url(log: io.StringIO, tmp_path: Path) -> None:
    """The auth tokens appear nowhere; a stream token appears in its `<Parameter>` and nowhere else."""
    answers: list[str] = []
    async with running(settings(tmp_path)) as server:
        twiml = await server.voice()
        answers.append(twiml.text.replace(f'value="{twiml.token}"', ""))
        socket, session = await server.connect(twiml)
        replay = await server.dial()
        replay.start(twiml.token, "CA1")
        await replay.closed()
        unsigned = await server.post("/twilio/voice", {"CallSid": "CA2"}, token="guess")
        answers += [unsigned.text, repr(unsigned.headers)]
        session.fail()
        await socket.closed()
        again = await server.resume()
        answers.append(again.text.replace(f'value="{again.token}"', ""))
        answers.append((await server.http.get("/metrics")).text)
        answers.append((await server.http.get("/readyz")).text)
    answers.append(log.getvalue())
    assert "session_failed" in log.getvalue(), "the log was not captured"
    for secret in (TOKEN, OTHER_TOKEN, twiml.token, again.token):
        assert not any(secret in answer for answer in answers)
