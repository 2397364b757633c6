"""What one media message costs the server in CPU time.

    python benchmarks/media_messages.py [calls] [seconds]

First the pure part, in a loop: parse, put in order, decode G.711, deliver 20 ms to a listener that
does nothing. Then the whole, at the speed of real calls: a server process of its own holds `calls`
sockets and this process sends each of them 50 messages a second; the figure is the CPU time of the
server's process, kernel included, by message. Exits non-zero when a call or a message got lost.
"""

import asyncio
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

import httpx
import pybase64
import uvloop
from picows import WSListener, WSMsgType, WSTransport, ws_connect

from talkspurt.config import Config
from talkspurt.ports import Call, Transport
from talkspurt.server.serve import serve
from talkspurt.store import Store
from talkspurt.telemetry import metrics
from talkspurt.telemetry.logs import configure_logging
from talkspurt.transports.twilio import TwilioTransport
from talkspurt.wire.twilio import parse

MESSAGES = 200_000


def message(chunk: int) -> bytes:
    """A message as Twilio sends it."""
    payload = pybase64.b64encode(os.urandom(160)).decode()
    body = {"track": "inbound", "chunk": str(chunk), "timestamp": str(chunk * 20), "payload": payload}
    return json.dumps(
        {"event": "media", "sequenceNumber": str(chunk + 1), "streamSid": "MZ" + "0" * 32, "media": body},
        separators=(",", ":"),
    ).encode()


@dataclass
class Outcome:
    """How a call went."""

    reason: str = "caller_hung_up"
    handover_target: str | None = None


class Counting:
    """A listener that counts frames and does nothing else."""

    def __init__(self) -> None:
        self.frames = 0
        self.closed = asyncio.Event()

    def audio_received(self, pcm: bytes, /) -> None:
        """20 ms."""
        self.frames += 1

    def digit_received(self, digit: str, /) -> None:
        """Nothing."""

    def mark_received(self, name: str, /) -> None:
        """Nothing."""

    def line_closed(self, *, hung_up: bool) -> None:
        """The end."""
        self.closed.set()


class NoLine:
    """A socket that takes everything."""

    waiting_bytes = 0

    def send(self, data: bytes, /) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""

    def abort(self) -> None:
        """Nothing."""


def pure() -> tuple[float, float]:
    """Microseconds by received message, and by sent one."""
    messages = [message(chunk) for chunk in range(1, 1001)]
    pcm = os.urandom(320)

    async def run() -> tuple[float, float]:
        listener = Counting()
        received = 0.0
        for _ in range(MESSAGES // 1000):
            transport = TwilioTransport("MZ", NoLine())
            transport.listen(listener)
            began = time.process_time()
            for data in messages:
                transport.receive(parse(data))
            received += time.process_time() - began
        assert listener.frames == MESSAGES
        began = time.process_time()
        for _ in range(MESSAGES):
            transport.send_audio(pcm)
        return received / MESSAGES * 1e6, (time.process_time() - began) / MESSAGES * 1e6

    return asyncio.run(run())


def server(pipe: Connection, folder: str) -> None:
    """The server's process: tells its port, then on demand its frames and CPU seconds."""
    listeners: list[Counting] = []
    configure_logging(level="error")

    class Silent:
        def ring(self, agent: str, locale: str, /) -> None:
            """Nothing."""

        async def answer(
            self,
            call: Call,
            transport: Transport,
            attachment: int,
            snapshot: str | None,
            conclude: Callable[[Outcome], Awaitable[None]],
            /,
        ) -> None:
            listener = Counting()
            listeners.append(listener)
            transport.listen(listener)
            await listener.closed.wait()
            await conclude(Outcome())

        def hang_up(self, call_id: str, /) -> None:
            """Nothing."""

        def request_end(self, reason: str, /) -> None:
            """Nothing."""

    @asynccontextmanager
    async def opened(store: Store) -> AsyncIterator[Silent]:
        yield Silent()

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def asked() -> None:
            if pipe.recv() == "stop":
                stop.set()
            else:
                pipe.send((len(listeners), sum(listener.frames for listener in listeners), time.process_time()))

        loop.add_reader(pipe.fileno(), asked)
        config = Config.model_validate(
            {
                "server": {"port": 0, "development": True, "max_calls": 10_000, "shutdown_grace": 0},
                "store": {"url": f"sqlite+aiosqlite:///{folder}/calls.db"},
                "limits": {"requests_per_address": "1000000/minute", "calls_per_caller": "1000000/minute"},
            }
        )
        await serve(config, opened, ready=lambda _, port: pipe.send(port), stop=stop)

    uvloop.run(run())
    assert metrics.REGISTRY.get_sample_value("talkspurt_frame_errors_total") == 0


class Carrier(WSListener):
    """The other end of a socket."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Keep it."""
        self.transport = transport


async def connect(port: int, http: httpx.AsyncClient, number: int) -> Carrier:
    """One call that is up."""
    fields = {"CallSid": f"CA{number}", "From": "+12025550101", "To": "+12025550100"}
    text = (await http.post("/twilio/voice", data=fields)).text
    token = text.split('name="token" value="')[1].split('"')[0]
    _, carrier = await ws_connect(Carrier, f"ws://127.0.0.1:{port}/twilio/media")
    assert isinstance(carrier, Carrier)
    start = {
        "streamSid": "MZ",
        "callSid": f"CA{number}",
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": token},
    }
    carrier.transport.send(WSMsgType.TEXT, json.dumps({"event": "start", "start": start}).encode())
    return carrier


async def load(pipe: Connection, port: int, calls: int, seconds: float) -> tuple[float, int, int]:
    """Send real-time calls; returns the server's CPU seconds, messages sent, frames delivered."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        carriers = [await connect(port, http, number) for number in range(calls)]
    loop = asyncio.get_running_loop()

    def ask() -> tuple[int, int, float]:
        pipe.send("how")
        answer: tuple[int, int, float] = pipe.recv()
        return answer

    while (await asyncio.to_thread(ask))[0] < calls:  # noqa: ASYNC110 - the other process can only be asked
        await asyncio.sleep(0.05)
    _, frames, cpu = await asyncio.to_thread(ask)
    ticks = int(seconds * 50)
    due = loop.time()
    for tick in range(ticks):
        data = message(tick + 1)
        # Real calls are not in step: each tenth of them sends 2 ms after the one before.
        for tenth in range(10):
            for carrier in carriers[tenth::10]:
                carrier.transport.send(WSMsgType.TEXT, data)
            due += 0.002
            await asyncio.sleep(max(0.0, due - loop.time()))
    await asyncio.sleep(0.2)
    _, frames_after, cpu_after = await asyncio.to_thread(ask)
    for carrier in carriers:
        carrier.transport.disconnect()
    return cpu_after - cpu, ticks * calls, frames_after - frames


def main() -> int:
    """Measure and print."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 10.0
    received, sent = pure()
    print(f"wire and transport alone: {received:.2f} µs per message received, {sent:.2f} µs per message sent")
    with tempfile.TemporaryDirectory() as folder:
        pipe, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=server, args=(theirs, folder))
        process.start()
        port: int = pipe.recv()
        cpu, messages, frames = uvloop.run(load(pipe, port, calls, seconds))
        pipe.send("stop")
        process.join(30)
    print(
        f"whole server, {calls} calls in real time: {cpu / messages * 1e6:.1f} µs of CPU per message, "
        f"{cpu / seconds / calls * 100:.2f} % of a core per call"
    )
    if frames != messages or process.exitcode != 0:
        print(f"lost: {messages - frames} of {messages} messages; the server ended with {process.exitcode}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
