"""Several workers on one port: real processes, real sockets, and what happens when one of them dies."""

import asyncio
import json
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from picows import WSHandshakeError

from talkspurt.errors import ConfigurationError
from talkspurt.server.fleet import FEW
from talkspurt.server.origin import Origin
from talkspurt.server.supervisor import Programs, supervise
from talkspurt.simulate.child_server import free_port

from .conftest import DIALLED, PATIENCE, TOKEN, Running, Socket, Twiml, settings
from .worker_programs import HANG, LAG

START = 60.0
"""Seconds for fresh Pythons to import everything on a busy machine."""
UNHURRIED = 30.0
"""A stall that no busy machine reaches."""
ECHO = "server.worker_programs:echo"

# The supervisor that several tests share lives in their event loop.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Workers(Running):
    """A server of several workers."""

    async def answered(self, sid: str, twiml: Twiml | None = None) -> "Answered":
        """A call that is up."""
        twiml = twiml or await self.voice(sid)
        stream = twiml.find("Connect/Stream").attrib["url"]
        path = stream.removeprefix("wss://voice.example.com")
        socket = await self.dial(path=path)
        socket.start(twiml.token, sid)
        told = await asyncio.wait_for(socket.messages.get(), UNHURRIED)
        resume = twiml.find("Redirect").text or ""
        return Answered(
            socket,
            told=int(path.rsplit("/", 1)[1]),
            at=int(told["mark"]["name"].removeprefix("worker-")),
            resume=resume.removeprefix("https://voice.example.com"),
        )

    async def readyz(self) -> dict[str, Any]:
        body: dict[str, Any] = (await self.http.get("/readyz")).json()
        return body

    async def states(self) -> list[str]:
        return [worker["state"] for worker in (await self.readyz())["workers"]]

    async def pid(self, worker: int) -> int:
        """The process of a worker, by its own metrics."""
        # On a busy machine one may be too slow to be among them.
        async with asyncio.timeout(START):
            while True:
                text = (await self.http.get("/metrics")).text
                match = re.search(rf'talkspurt_process_id{{process="worker-{worker}"}} (\S+)', text)
                if match is not None:
                    return int(float(match[1]))


@dataclass
class Answered:
    socket: Socket
    told: int
    """The worker in the TwiML."""
    at: int
    """The worker that has the call."""
    resume: str

    async def alive(self) -> bool:
        self.socket.media(1)
        return await self.socket.echo() == b"\x10" * 160


@asynccontextmanager
async def workers(folder: Path, count: int, *, jobs: str | None = None, **sections: Any) -> AsyncIterator[Workers]:
    server = {"workers": count, "stall_limit": UNHURRIED, "lag_limit": 1000.0, **sections.pop("server", {})}
    config = settings(folder, server=server, **sections)
    ready: asyncio.Future[tuple[Origin, int]] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    task = asyncio.create_task(
        supervise(
            config,
            programs=Programs(ECHO, jobs),
            ready=lambda origin, port: ready.set_result((origin, port)),
            stop=stop,
        )
    )
    first: set[asyncio.Future[Any]] = {task, ready}
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED, timeout=START)
    if task.done():
        task.result()
    origin, port = ready.result()
    # A connection of its own for every request: with one that is kept alive, one worker would answer them all.
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", limits=limits, timeout=UNHURRIED) as http:
        server_ = Workers(port, origin, None, None, stop, task, http)  # type: ignore[arg-type]
        try:
            yield server_
        finally:
            for socket in server_.sockets:
                socket.drop()
            stop.set()
            await asyncio.wait_for(task, START)


async def eventually(check: Any, patience: float = START) -> None:
    async with asyncio.timeout(patience):
        while not await check():  # noqa: ASYNC110 - processes are polled for, as a load balancer does
            await asyncio.sleep(0.02)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def three(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Workers]:
    async with workers(
        tmp_path_factory.mktemp("three"), 3, limits={"calls_per_caller": "1000/minute"}, server={"max_calls": 45}
    ) as server:
        yield server


async def test_forty_calls_are_spread_evenly_and_each_is_where_its_url_says(three: Workers) -> None:
    calls = [await three.answered(f"CA-even-{number}") for number in range(40)]
    assert all(call.at == call.told for call in calls)
    assert sorted(Counter(call.at for call in calls).values()) == [13, 13, 14]
    assert all([await call.alive() for call in calls])
    # Forty of the forty-five of the machine are taken, whichever worker is asked for the others.
    assert [(await three.voice(f"CA-rest-{number}")).verbs[0] for number in range(7)] == ["Connect"] * 5 + ["Say"] * 2
    metrics = (await three.http.get("/metrics")).text
    passed = re.findall(r'talkspurt_sockets_passed_total{process="worker-\d",what="taken"} (\S+)', metrics)
    assert sum(map(float, passed)) > 0, "no socket has reached another worker than its own"
    active = re.findall(r'talkspurt_active_calls{process="(worker-\d)"} (\S+)', metrics)
    assert sorted(float(count) for _, count in active) == [13, 13, 14]
    for number in range(7):
        await three.status("canceled", f"CA-rest-{number}")
    await hang_up(three, calls)


async def hang_up(server: Workers, calls: list[Answered]) -> None:
    for call in calls:
        call.socket.hang_up()
    for call in calls:
        await call.socket.closed()

    async def nobody() -> bool:
        return not sum(worker["calls"] + worker["coming"] for worker in (await server.readyz())["workers"])

    await eventually(nobody)


async def test_a_hang_up_reaches_the_worker_that_has_the_call_whoever_is_told(three: Workers) -> None:
    calls = [await three.answered(f"CA-over-{number}") for number in range(9)]
    assert len({call.at for call in calls}) == 3
    for number, call in enumerate(calls):
        await three.status("completed", f"CA-over-{number}")
        assert await call.socket.closed() == 1000
    await hang_up(three, [])


async def test_a_call_whose_line_broke_comes_back_to_the_worker_that_waits_for_it(three: Workers) -> None:
    for number in range(6):
        call = await three.answered(f"CA-back-{number}")
        again = await three.answered(f"CA-back-{number}", await three.resume(f"CA-back-{number}", path=call.resume))
        assert again.at == call.at
        again.socket.hang_up()
        await again.socket.closed()


async def test_a_socket_without_a_worker_in_its_path_is_taken_by_whoever_it_reaches(three: Workers) -> None:
    twiml = await three.voice("CA-plain")
    socket = await three.dial()
    socket.start(twiml.token, "CA-plain")
    assert (await asyncio.wait_for(socket.messages.get(), PATIENCE))["event"] == "mark"
    socket.hang_up()
    await socket.closed()


async def test_a_passed_socket_is_checked_as_any_other(three: Workers) -> None:
    for worker in range(3):
        with pytest.raises(WSHandshakeError):
            await three.dial(token="guess", path=f"/twilio/media/{worker}")
        with pytest.raises(WSHandshakeError):
            await three.dial(url="wss://voice.example.com/twilio/media", path=f"/twilio/media/{worker}")


async def test_readiness_shows_every_worker_to_the_inside_only(three: Workers) -> None:
    body = await three.readyz()
    assert (body["ready"], body["reasons"]) == (True, [])
    assert [(worker["worker"], worker["state"], worker["full"]) for worker in body["workers"]] == [
        (0, "ready", False),
        (1, "ready", False),
        (2, "ready", False),
    ]
    outside = await three.http.get("/readyz", headers={"X-Forwarded-For": "198.51.100.7"})
    assert outside.json() == {"ready": True, "reasons": []}


async def test_rates_are_counted_for_the_machine(tmp_path: Path) -> None:
    async with workers(tmp_path, 2, limits={"calls_per_caller": "8/minute"}) as server:
        verbs = []
        for number in range(12):
            verbs.append((await server.voice(f"CA{number}")).verbs[0])
            await asyncio.sleep(0.02)  # the other worker has to hear of it
        assert verbs == ["Connect"] * 8 + ["Reject"] * 4


async def test_calls_of_a_worker_that_is_killed_go_on_in_another_and_the_worker_comes_back(tmp_path: Path) -> None:
    async with workers(
        tmp_path, 2, jobs="server.worker_programs:job", limits={"calls_per_caller": "99/minute"}
    ) as server:
        calls = [await server.answered(f"CA{number}") for number in range(6)]
        lost = [number for number, call in enumerate(calls) if call.at == 0]
        assert len(lost) == 3
        pid = await server.pid(0)
        os.kill(pid, signal.SIGKILL)
        for number in lost:
            await calls[number].socket.closed()
            calls[number] = await server.answered(
                f"CA{number}", await server.resume(f"CA{number}", path=calls[number].resume)
            )
        assert all([await call.alive() for call in calls])
        await eventually(lambda: all_ready(server))
        assert await server.pid(0) != pid
        later = [await server.answered(f"CA-later-{number}") for number in range(4)]
        assert Counter(call.at for call in later)[0] >= 3, "the new worker has the fewest calls"
        metrics = (await server.http.get("/metrics")).text
        assert 'talkspurt_processes_ended_total{process="supervisor",kind="worker",reason="SIGKILL"} 1.0' in metrics
    assert (tmp_path / "jobs").read_text() == "started\n", "one jobs process, that nothing has happened to"


async def all_ready(server: Workers) -> bool:
    return set(await server.states()) == {"ready"}


async def test_a_worker_that_hangs_or_is_stopped_is_ended_so_that_its_calls_move(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with workers(tmp_path, 2, server={"stall_limit": 1.0}) as server:
        call = await server.answered("CA1")
        hanging = await server.pid(call.at)
        call.socket.send({"event": "dtmf", "dtmf": {"track": "inbound_track", "digit": HANG}})
        await asyncio.wait_for(call.socket.gone.wait(), 10.0)
        assert "in digit_received" in capfd.readouterr().err, "nobody was told where it hung"
        call = await server.answered("CA1", await server.resume("CA1", path=call.resume))
        assert await call.alive()
        await eventually(lambda: all_ready(server))
        assert hanging not in (await server.pid(0), await server.pid(1))
        stopped = await server.pid(call.at)
        os.kill(stopped, signal.SIGSTOP)
        await asyncio.wait_for(call.socket.gone.wait(), 10.0)
        again = await server.answered("CA1", await server.resume("CA1", path=call.resume))
        assert again.at != call.at
        assert await again.alive()


async def test_whose_an_address_is_and_who_waits_is_known_to_all_workers(tmp_path: Path) -> None:
    server_ = {"max_calls": 1, "when_full": "wait"}
    async with workers(tmp_path, 2, server=server_, limits={"requests_per_address": "2/minute"}) as server:
        assert (await server.voice("CA1")).verbs == ["Connect", "Redirect"]
        await asyncio.sleep(0.1)  # the other worker has to hear of it, and of each thing below
        strangers = [(await server.http.post("/twilio/voice", data={"CallSid": "CA9"})).status_code for _ in range(12)]
        assert set(strangers[6:]) == {429}
        # From the same address, and to either worker.
        assert (await server.voice("CA2")).verbs == ["Say", "Pause", "Redirect"]
        await asyncio.sleep(0.1)
        assert [(await server.voice(f"CA{number}")).verbs for number in range(3, 9)] == [["Say", "Hangup"]] * 6


async def test_full_workers_refuse_new_calls_or_let_them_wait_and_keep_those_that_they_have(tmp_path: Path) -> None:
    server_ = {"when_full": "wait", "longest_wait": 6.0, "lag_limit": 0.5}
    async with workers(tmp_path, 2, server=server_, limits={"calls_per_caller": "12/minute"}) as server:
        calls = [await server.answered(f"CA-has-{number}") for number in range(2 * FEW)]
        for call in calls:
            call.socket.send({"event": "dtmf", "dtmf": {"track": "inbound_track", "digit": LAG}})

        async def full() -> bool:
            return all(worker["full"] for worker in (await server.readyz())["workers"])

        await eventually(full)
        assert (await server.readyz())["ready"], "the calls that it has must find back"
        first = await server.voice("CA3")
        assert first.verbs == ["Say", "Pause", "Redirect"]
        again = (first.find("Redirect").text or "").removeprefix("https://voice.example.com")
        fields = {"From": "+12025550101", "To": DIALLED}
        second = await server.resume("CA3", path=again, **fields)
        assert second.verbs == ["Pause", "Redirect"]
        last = (second.find("Redirect").text or "").removeprefix("https://voice.example.com")
        assert (await server.resume("CA3", path=last, **fields)).verbs == ["Say", "Hangup"]
        assert all([await call.alive() for call in calls])

        async def room() -> bool:
            return not any(worker["full"] for worker in (await server.readyz())["workers"])

        await eventually(room)
        assert (await server.resume("CA3", path=again, **fields)).verbs == ["Connect", "Redirect"]


async def test_what_keeps_workers_from_starting_is_said_once(tmp_path: Path) -> None:
    config = settings(tmp_path, server={"workers": 3})
    programs = Programs("server.worker_programs:without_weights", None)
    with pytest.raises(ConfigurationError, match=r"^run: talkspurt models pull$"):
        await asyncio.wait_for(supervise(config, programs=programs), START)


async def test_a_stopping_server_lets_the_calls_of_all_workers_finish(tmp_path: Path) -> None:
    async with workers(tmp_path, 2, server={"shutdown_grace": 30.0}) as server:
        calls = [await server.answered("CA1"), await server.answered("CA2")]
        assert {call.at for call in calls} == {0, 1}
        server.stop.set()
        await eventually(lambda: drains(server))
        assert (await server.voice("CA3")).verbs == ["Say", "Hangup"]
        assert all([await call.alive() for call in calls])
        assert not server.task.done()
        await hang_up_all(calls)
        await asyncio.wait_for(server.task, START)


async def test_when_the_supervisor_is_killed_its_workers_let_their_calls_finish_and_end(tmp_path: Path) -> None:
    config = settings(tmp_path, server={"workers": 2, "shutdown_grace": 30.0, "stall_limit": UNHURRIED})
    values: dict[str, Any] = json.loads(config.model_dump_json())
    values["twilio"] = {"auth_token": TOKEN}
    values["server"]["port"] = port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__).parent / "worker_programs.py"), json.dumps(values)
    )
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=UNHURRIED) as http:
        server = Workers(port, Origin("https://voice.example.com"), None, None, asyncio.Event(), None, http)  # type: ignore[arg-type]
        await eventually(lambda: answers_ready(server))
        call = await server.answered("CA1")
        pids = [await server.pid(worker) for worker in range(2)]
        process.kill()
        await process.wait()
        await eventually(lambda: drains(server))
        assert (await server.voice("CA2")).verbs == ["Say", "Hangup"]
        assert await call.alive()
        await hang_up_all([call])

        async def ended() -> bool:
            return not any(map(runs, pids))

        await eventually(ended)


def runs(pid: int) -> bool:
    """Whether a process is more than a zombie that nobody has looked for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def answers_ready(server: Workers) -> bool:
    try:
        return (await server.http.get("/readyz")).is_success
    except httpx.TransportError:
        return False


async def drains(server: Workers) -> bool:
    return bool((await server.readyz())["reasons"] == ["draining"])


async def hang_up_all(calls: list[Answered]) -> None:
    for call in calls:
        call.socket.hang_up()
        assert await call.socket.closed() == 1000
