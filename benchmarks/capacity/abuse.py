"""One caller's line that misbehaves, beside a load of others: how soon is it cut off, and why?

    python -m benchmarks.capacity.abuse --webhook http://127.0.0.1:8080 --kind flood --seconds 20

`flood` sends audio as fast as the socket takes it, `huge` messages of almost 64 kB, `deaf` asks for answers and never
reads, `churn` opens sockets and drops them. Whenever it is cut off it calls again, until the time is over; one line of
JSON then says how often, after how many seconds, and with which close codes, and how many calls were not taken. The
server has to be in development mode.
"""

import argparse
import asyncio
import json
import logging
import statistics
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import httpx
import pybase64
import uvloop
from defusedxml.ElementTree import fromstring
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

AT_ONCE: Final = 64 * 1024
"""Bytes that wait in this process before it pauses: the offender must not swell instead of the server."""
ONCE_MORE: Final = 0.5
"""Seconds until a refused caller calls again."""
CUT_OFF: Final = 15.0
"""Seconds after which a line that is still open counts as not cut off: longer than a deaf carrier is given."""


class Line(WSListener):
    """The offender's end."""

    def __init__(self) -> None:
        self.code = "none"
        self.gone = asyncio.Event()

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The socket is open."""
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Notice only that we are cut off."""
        if frame.msg_type == WSMsgType.CLOSE:
            self.code = str(int(frame.get_close_code().value))
            transport.disconnect(False)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """It is over."""
        self.gone.set()

    def send(self, message: bytes) -> bool:
        """Send unless too much waits already."""
        if self.transport.underlying_transport.get_write_buffer_size() > AT_ONCE:
            return False
        self.transport.send(WSMsgType.TEXT, message)
        return True


@dataclass
class Found:
    """What became of the offender."""

    lines: int = 0
    refused: int = 0
    """Calls that the server did not take: of its own accord, as too many of one caller."""
    cut_off_after: list[float] = field(default_factory=list)
    close_codes: Counter[str] = field(default_factory=Counter)
    sent_bytes: int = 0

    def as_json(self, kind: str) -> str:
        """One line."""
        after = self.cut_off_after
        return json.dumps(
            {
                "kind": kind,
                "lines": self.lines,
                "refused": self.refused,
                "cut_off": len(after),
                "cut_off_after_s_p50": round(statistics.median(after), 3) if after else None,
                "cut_off_after_s_max": round(max(after), 3) if after else None,
                "close_codes": dict(self.close_codes),
                "sent_mb": round(self.sent_bytes / 1e6, 1),
            }
        )


def _media(audio_bytes: int) -> bytes:
    payload = pybase64.b64encode(b"\x21" * audio_bytes)
    return b'{"event":"media","media":{"track":"inbound","chunk":"1","timestamp":"1","payload":"%b"}}' % payload


async def _pour(line: Line, message: bytes, found: Found) -> None:
    while not line.gone.is_set():
        if line.send(message):
            found.sent_bytes += len(message)
        # A turn for the reading side, and for the other callers of this core.
        await asyncio.sleep(0 if line.transport.underlying_transport.get_write_buffer_size() < AT_ONCE else 0.001)


async def _flood(line: Line, found: Found) -> None:
    await _pour(line, _media(160), found)


async def _huge(line: Line, found: Found) -> None:
    await _pour(line, _media(48_000), found)


async def _deaf(line: Line, found: Found) -> None:
    line.transport.underlying_transport.pause_reading()
    while not line.gone.is_set():
        line.transport.send_ping(b"x" * 100)
        line.send(_media(160))
        found.sent_bytes += 400
        await asyncio.sleep(0.02)


KINDS: Final[dict[str, Callable[[Line, Found], Awaitable[None]]]] = {"flood": _flood, "huge": _huge, "deaf": _deaf}


async def _call(http: httpx.AsyncClient) -> Line | None:
    """A line, or None when the server does not connect the call."""
    sid = f"CA{uuid.uuid4().hex}"
    form = {"CallSid": sid, "From": "+14155550199", "To": "+18005550199", "CallStatus": "ringing"}
    twiml = fromstring((await http.post("/twilio/voice", data=form)).text)
    stream, parameter = twiml.find("Connect/Stream"), twiml.find("Connect/Stream/Parameter")
    if stream is None or parameter is None:
        return None
    _, line = await ws_connect(Line, stream.attrib["url"])
    assert isinstance(line, Line)
    start = {
        "event": "start",
        "start": {
            "streamSid": "MZ1",
            "callSid": sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"token": parameter.attrib["value"]},
        },
    }
    line.send(b'{"event":"connected"}')
    line.send(json.dumps(start).encode())
    return line


async def misbehave(webhook: str, kind: str, seconds: float) -> Found:
    """Do so for that long."""
    found = Found()
    until = time.monotonic() + seconds
    async with httpx.AsyncClient(base_url=webhook, trust_env=False) as http:
        while time.monotonic() < until:
            line = await _call(http)
            if line is None:
                found.refused += 1
                await asyncio.sleep(ONCE_MORE)
                continue
            found.lines += 1
            began = time.monotonic()
            if kind == "churn":
                line.transport.disconnect(False)
                await line.gone.wait()
                continue
            doing = asyncio.ensure_future(KINDS[kind](line, found))
            try:
                async with asyncio.timeout(min(CUT_OFF, max(1.0, until - began))):
                    await line.gone.wait()
            except TimeoutError:
                line.transport.disconnect(False)
            else:
                found.cut_off_after.append(time.monotonic() - began)
                found.close_codes[line.code] += 1
            doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--webhook", required=True, help="origin of a Talkspurt server in development mode")
    parser.add_argument("--kind", choices=[*KINDS, "churn"], default="flood")
    parser.add_argument("--seconds", type=float, default=20.0)
    given = parser.parse_args()
    # picows tells of every pause in writing.
    logging.getLogger("picows").setLevel(logging.ERROR)
    print(uvloop.run(misbehave(given.webhook, given.kind, given.seconds)).as_json(given.kind))


if __name__ == "__main__":
    main()
