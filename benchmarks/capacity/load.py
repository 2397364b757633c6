"""The load client: many callers on one event loop, in a process of its own, with frames made beforehand.

    python -m benchmarks.capacity.load --calls 100 --seconds 20 --webhook http://127.0.0.1:8080 --pid 1234
    python -m benchmarks.capacity.load --calls 5 --seconds 20 --socket ws://127.0.0.1:9000/media --pid 1234 --ideal 0.7

It speaks Twilio Media Streams: with `--webhook` it announces each call there and takes url and token from the TwiML,
with `--socket` it connects at once. One line of JSON on standard output: the figures of the window, and what the
processes under `--pid` and this one used of their cores meanwhile.
"""

import argparse
import asyncio
import json
import math
import os
import random
import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pybase64
import uvloop
from benchmarks.capacity.caller import FRAME, Caller, Speaker
from benchmarks.capacity.clips import FRAME as FRAME_BYTES
from benchmarks.capacity.clips import voices
from benchmarks.capacity.figures import in_ms, judge, percentile
from benchmarks.capacity.processes import cpu_seconds, resident_mb
from defusedxml.ElementTree import fromstring
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

FOLDER: Final = Path("build/bench/capacity/clips")
SLOTS: Final = 10
"""Real calls are not in step: each slot's callers send 2 ms after the slot before."""
STARTS_PER_SECOND: Final = 20.0
GREETED: Final = 1.5
"""Seconds that a call's first sound may take before its start counts as over."""
SETTLE: Final = 3.0
"""Seconds between the last call's start and the window."""
_SILENCE: Final = pybase64.b64encode(b"\xff" * FRAME_BYTES)
_SILENT_BYTES: Final = b"\xff\x7f"
_MEDIA: Final = (
    b'{"event":"media","sequenceNumber":"%d","media":{"track":"inbound","chunk":"%d","timestamp":"%d","payload":"%b"},'
    b'"streamSid":"%b"}'
)


class _Media(msgspec.Struct):
    payload: bytes = b""


class _Mark(msgspec.Struct):
    name: str = ""


class _Order(msgspec.Struct):
    """Any message of the server."""

    event: str
    media: _Media | None = None
    mark: _Mark | None = None


_decode = msgspec.json.Decoder(_Order).decode


@dataclass
class Line(WSListener):
    """One call's socket, from the carrier's end."""

    caller: Speaker
    frames: Sequence[Sequence[bytes]]
    """Base64 of every clip's frames."""
    parameters: dict[str, str]
    call_sid: str
    stream_sid: str = field(default_factory=lambda: f"MZ{uuid.uuid4().hex}")
    transport: WSTransport | None = None
    lost: bool = False
    first_audio: float | None = None
    sounded: asyncio.Event = field(default_factory=asyncio.Event)
    _chunk: int = 0
    _sequence: int = 1

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Introduce the stream."""
        self.transport = transport
        start = {
            "accountSid": "AC" + "0" * 32,
            "streamSid": self.stream_sid,
            "callSid": self.call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": self.parameters,
        }
        self._send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        self._send({"event": "start", "sequenceNumber": "1", "start": start, "streamSid": self.stream_sid})

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Obey the server."""
        if frame.msg_type is WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
            return
        now = time.monotonic()
        order = _decode(frame.get_payload_as_memoryview())
        if order.media is not None:
            sound = order.media.payload
            if sound.strip(_SILENT_BYTES):
                if self.first_audio is None:
                    self.first_audio = now
                    self.sounded.set()
                self.caller.audio(len(sound) / 8000, now)
        elif order.mark is not None:
            self.caller.playout.mark(order.mark.name)
        elif order.event == "clear":
            self._return(self.caller.clear(now))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Note it."""
        self.lost = True

    def tick(self, now: float) -> None:
        """Send 20 ms, and the marks that were reached."""
        transport = self.transport
        if transport is None or self.lost:
            return
        said = self.caller.tick(now)
        payload = _SILENCE if said is None else self.frames[said[0]][said[1]]
        self._chunk += 1
        self._sequence += 1
        transport.send(
            WSMsgType.TEXT,
            _MEDIA % (self._sequence, self._chunk, (self._chunk - 1) * 20, payload, self.stream_sid.encode()),
        )
        self._return(self.caller.playout.played(now))

    def hang_up(self) -> None:
        """Say `stop`, and close."""
        if self.transport is not None and not self.lost:
            self._sequence += 1
            stop = {"accountSid": "AC" + "0" * 32, "callSid": self.call_sid}
            self._send({"event": "stop", "sequenceNumber": str(self._sequence), "stop": stop})
            self.transport.send_close()

    def _return(self, names: list[str]) -> None:
        for name in names:
            self._sequence += 1
            self._send(
                {
                    "event": "mark",
                    "sequenceNumber": str(self._sequence),
                    "streamSid": self.stream_sid,
                    "mark": {"name": name},
                }
            )

    def _send(self, message: dict[str, Any]) -> None:
        if self.transport is not None and not self.lost:
            self.transport.send(WSMsgType.TEXT, msgspec.json.encode(message))


class Load:
    """All callers. `run` places the calls, measures and hangs up."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._voices = [
            [
                [pybase64.b64encode(clip[at : at + FRAME_BYTES]) for at in range(0, len(clip), FRAME_BYTES)]
                for clip in said
            ]
            for said in voices(FOLDER)
        ]
        """Each voice's clips in frames. A caller has one voice: another would be somebody else in the room."""
        self._slots: list[list[Line]] = [[] for _ in range(SLOTS)]
        self._lags: list[float] = []
        self._refused = 0
        self.starts: list[tuple[float, float]] = []
        """When each call was announced, and when its first sound came or it was given up."""

    @property
    def lines(self) -> list[Line]:
        """Every call that was connected."""
        return [line for slot in self._slots for line in slot]

    async def run(self) -> dict[str, Any]:
        """The figures."""
        options = self._options
        idle_mb = resident_mb(options.pid)
        pacing = asyncio.create_task(self._pace())
        async with httpx.AsyncClient(trust_env=False, timeout=10.0) as http:
            began = time.monotonic()
            starting = []
            for number in range(options.calls):
                starting.append(asyncio.create_task(self._start(number, http)))
                await asyncio.sleep(max(0.0, began + (number + 1) / options.rate - time.monotonic()))
            await asyncio.gather(*starting)
        await asyncio.sleep(SETTLE)
        begin, cpu, own, theirs = time.monotonic(), cpu_seconds(options.pid), time.process_time(), self._vendors_cpu()
        self._lags.clear()
        await asyncio.sleep(options.seconds)
        end, cpu, own = time.monotonic(), cpu_seconds(options.pid) - cpu, time.process_time() - own
        theirs = self._vendors_cpu() - theirs
        resident = resident_mb(options.pid)
        lags = self._lags.copy()
        pacing.cancel()
        lost = sum(line.lost for line in self.lines)
        for line in self.lines:
            line.hang_up()
        await asyncio.sleep(0.5)
        turns = (turn for line in self.lines for turn in line.caller.turns)
        window = judge(turns, (options.ideal, options.ideal_interrupting or options.ideal), begin, end)
        return {
            "n": options.calls,
            "cpu_percent_per_call": round(100 * cpu / (end - begin) / options.calls, 4),
            "rss_mb_per_call": round((resident - idle_mb) / options.calls, 4),
            "overhead_p50_ms": in_ms(percentile(window.overheads, 0.5)),
            "overhead_p95_ms": in_ms(percentile(window.overheads, 0.95)),
            "barge_in_p50_ms": in_ms(percentile(window.barge_ins, 0.5)),
            "barge_in_p95_ms": in_ms(percentile(window.barge_ins, 0.95)),
            "underruns": window.underruns,
            "missed_turns": window.missed,
            "client_cpu_percent": round(100 * own / (end - begin), 1),
            "vendors_cpu_percent": round(100 * theirs / (end - begin), 1) if options.vendors else None,
            "turns": window.turns,
            "false_stops": window.false_stops,
            "client_lag_p99_ms": in_ms(percentile(lags, 0.99)),
            "refused": self._refused + lost,
            "window": [begin, end],
            "starts": self.starts,
        }

    def _vendors_cpu(self) -> float:
        return cpu_seconds(self._options.vendors) if self._options.vendors else 0.0

    async def _start(self, number: int, http: httpx.AsyncClient) -> None:
        began = time.monotonic()
        sid = f"CA{uuid.uuid4().hex}"
        url: str | None = self._options.socket
        parameters: dict[str, str] = {}
        rng = random.Random(number)
        try:
            if url is None:
                url, parameters = await self._announce(sid, number, http)
            first_words = math.inf if self._options.silent else began + rng.uniform(1.5, 4.5)
            frames = self._voices[number % len(self._voices)]
            caller = Caller([len(clip) for clip in frames], rng, first_words)
            line = Line(caller, frames, parameters, sid)
            await ws_connect(lambda: line, url)
        except (OSError, httpx.HTTPError, ValueError) as error:
            print(f"a call was not connected: {error!r}", file=sys.stderr)
            self._refused += 1
            return
        self._slots[number % SLOTS].append(line)
        with suppress(TimeoutError):
            await asyncio.wait_for(line.sounded.wait(), GREETED)
        self.starts.append((began, line.first_audio or time.monotonic()))

    async def _announce(self, sid: str, number: int, http: httpx.AsyncClient) -> tuple[str, dict[str, str]]:
        fields = {"CallSid": sid, "From": f"+1202555{number:04}", "To": "+12025550100", "CallStatus": "ringing"}
        response = await http.post(f"{self._options.webhook}/twilio/voice", data=fields)
        stream = fromstring(response.raise_for_status().text).find(".//Stream")
        if stream is None:
            raise ValueError(f"the server does not connect the call: {response.text}")
        parameters = {each.get("name", ""): each.get("value", "") for each in stream.iter("Parameter")}
        return str(stream.get("url")), parameters

    async def _pace(self) -> None:
        due = time.monotonic()
        while True:
            for slot in self._slots:
                now = time.monotonic()
                self._lags.append(max(0.0, now - due))
                for line in slot:
                    line.tick(now)
                due += FRAME / SLOTS
                # Late slots are caught up with: a carrier's frames do not get lost because we were busy.
                await asyncio.sleep(max(0.0, due - time.monotonic()))


def main() -> None:
    """Run and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--webhook", help="origin of a server that answers Twilio's webhook")
    parser.add_argument("--socket", help="address of a media socket that needs no webhook")
    parser.add_argument("--pid", type=int, required=True, help="the server's process; its children count too")
    parser.add_argument("--vendors", type=int, help="the process of the fake vendors, which works on the client's core")
    parser.add_argument("--ideal", type=float, default=0.61, help="seconds from end of speech to answer, at best")
    parser.add_argument("--ideal-interrupting", type=float, help="the same of what interrupts; default: the same")
    parser.add_argument("--rate", type=float, default=STARTS_PER_SECOND, help="calls started per second")
    parser.add_argument("--silent", action="store_true", help="callers who say nothing")
    options = parser.parse_args()
    if (options.webhook is None) == (options.socket is None):
        parser.error("give either --webhook or --socket")
    load = Load(options)
    print(json.dumps(uvloop.run(load.run())), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
