import asyncio
import base64
import wave
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from simulate.scripted_server import ScriptedServer, Socket
from talkspurt.media.g711 import encode_mulaw
from talkspurt.simulate.caller import (
    AgentAnswered,
    CallEnded,
    CallerActed,
    Connected,
    News,
    Patience,
    converse,
)
from talkspurt.simulate.lines import HangUp, Interrupt, Line, PlayWav, PressKeys, Say, Wait
from talkspurt.simulate.loudness import is_audible
from talkspurt.simulate.report import CallReport

CONNECT = '<Connect><Stream url="ws://HOST/media"/></Connect>'
QUICK = Patience(quiet=0.4, greeting=1.0, answer=1.0, turn=3.0, goodbye=0.1)


def tone(seconds: float) -> NDArray[np.int16]:
    samples: NDArray[np.int16] = (np.sin(np.arange(round(seconds * 8_000)) * 0.5) * 6_000).astype(np.int16)
    return samples


class ToneAgent:
    """Greets, answers every turn `delay` frames after the caller's last audible one, and yields when spoken over."""

    def __init__(self, *, greeting: float = 0.3, reply: float = 0.3, delay: int = 10, replies: int = 99) -> None:
        self.greeting = greeting
        self.reply = reply
        self.delay = delay
        self.replies = replies

    async def __call__(self, socket: Socket) -> None:
        await socket.next("media")
        await self.say(socket, self.greeting)
        silent_for: int | None = None
        while True:
            frame = await socket.next("media")
            if is_audible(base64.b64decode(frame["media"]["payload"])):
                if silent_for is None:
                    await socket.send("clear")
                silent_for = 0
            elif silent_for is not None:
                silent_for += 1
                if silent_for == self.delay:
                    silent_for = None
                    if self.replies == 0:
                        await socket.raw.close(code=1000)
                        return
                    self.replies -= 1
                    await self.say(socket, self.reply)

    async def say(self, socket: Socket, seconds: float) -> None:
        await socket.send("media", media={"payload": base64.b64encode(encode_mulaw(tone(seconds).tobytes())).decode()})


async def hold(
    agent: Callable[[Socket], Awaitable[None]],
    lines: list[Line],
    *,
    observe: Callable[[News], None] | None = None,
    document: str = CONNECT,
) -> CallReport:
    async def transcribe(samples: NDArray[np.int16]) -> str:
        return f"{np.count_nonzero(samples) / 8_000:.1f} s of tone"

    clips = [tone(0.4) if isinstance(line, Say | Interrupt | PlayWav) else None for line in lines]
    server = ScriptedServer({"/twilio/voice": [document]}, agent)
    async with server:
        return await asyncio.wait_for(
            converse(server.url, lines, clips, transcribe=transcribe, observe=observe, patience=QUICK), 30
        )


async def test_speaks_when_the_agent_has_finished_and_measures_the_answers() -> None:
    news: list[News] = []
    report = await hold(ToneAgent(), [Say("one"), PlayWav(Path("two.wav"))], observe=news.append)

    assert report.failures == ()
    assert report.ok
    greeting, first, second = report.turns
    assert greeting.answered == pytest.approx(0.05, abs=0.1)
    for turn in (first, second):
        assert turn.ended - turn.began == pytest.approx(0.4)
        assert turn.latency == pytest.approx(0.2, abs=0.1)
        assert not turn.talked_over
        assert turn.heard == "0.3 s of tone"
    assert first.began >= 0.3 + QUICK.quiet
    assert (first.said, second.said) == ("one", "(two.wav)")
    assert report.latencies == [first.latency, second.latency]
    assert report.heard == " ".join(["0.3 s of tone"] * 3)
    assert [type(item) for item in news] == [
        Connected, AgentAnswered, CallerActed, AgentAnswered, CallerActed, AgentAnswered, CallEnded,
    ]  # fmt: skip


async def test_measures_how_long_an_interrupted_agent_goes_on() -> None:
    report = await hold(ToneAgent(greeting=2.0), [Interrupt("stop", after=0.3)])
    assert report.failures == ()
    greeting, turn = report.turns
    assert turn.began == pytest.approx((greeting.answered or 0.0) + 0.3, abs=0.05)
    assert turn.stopped_after == pytest.approx(0.05, abs=0.08)
    assert greeting.heard in ("0.3 s of tone", "0.4 s of tone")
    assert turn.heard == "0.3 s of tone"
    assert turn.latency == pytest.approx(0.2, abs=0.1)


async def test_an_interruption_that_comes_too_late_is_a_failure() -> None:
    report = await hold(ToneAgent(greeting=0.2), [Interrupt("stop", after=0.9)])
    assert report.failures == ("turn 1 interrupted nothing: the agent had already finished",)


async def test_an_agent_that_does_not_greet_fails_the_call() -> None:
    report = await hold(ToneAgent(greeting=0.0), [Say("hello?")])
    assert report.failures == ("the agent did not greet within 1 s",)
    assert not report.ok


async def test_an_agent_that_does_not_answer_fails_the_call() -> None:
    report = await hold(ToneAgent(delay=500), [Say("hello?"), Say("never said")])
    assert report.failures == ("no answer to turn 1 ('hello?') within 1 s",)
    assert report.turns[1].latency is None
    assert len(report.turns) == 2


async def test_being_hung_up_on_before_the_last_line_fails_the_call() -> None:
    report = await hold(ToneAgent(replies=0), [Say("one"), Say("two")])
    assert report.failures == ("the call ended before line 1 of 2 was answered",)


async def test_being_hung_up_on_after_the_goodbye_is_fine() -> None:
    async def say_goodbye(socket: Socket) -> None:
        agent = ToneAgent()
        await socket.next("media")
        await agent.say(socket, 0.3)
        for _ in range(60):
            await socket.next("media")
        await agent.say(socket, 0.3)
        for _ in range(17):
            await socket.next("media")
        await socket.raw.close(code=1000)

    report = await hold(say_goodbye, [Say("bye")])
    assert report.failures == ()
    assert report.recording.end is not None
    assert report.recording.end.by == "agent"


async def test_waiting_is_silent_and_a_hang_up_meanwhile_is_fine() -> None:
    async def give_up(socket: Socket) -> None:
        await socket.next("media")
        await ToneAgent().say(socket, 0.2)
        for _ in range(30):
            await socket.next("media")
        await socket.raw.close(code=1000)

    report = await hold(give_up, [Wait(30.0)])
    assert report.failures == ()
    assert not np.any(report.recording.caller)


async def test_presses_keys_and_hangs_up() -> None:
    pressed: list[str] = []

    async def keypad(socket: Socket) -> None:
        await socket.next("media")
        agent = ToneAgent()
        await agent.say(socket, 0.2)
        while len(pressed) < 3:
            pressed.append((await socket.next("dtmf"))["dtmf"]["digit"])
        await agent.say(socket, 0.3)
        await socket.next("stop")

    report = await hold(keypad, [PressKeys("12#"), HangUp()])
    assert pressed == ["1", "2", "#"]
    assert report.failures == ()
    assert report.recording.end is not None
    assert report.recording.end.by == "caller"


async def test_a_refused_call_fails_with_the_carriers_reason() -> None:
    report = await hold(ToneAgent(), [Say("hello")], document="<Reject reason='busy'/>")
    assert report.failures == ("rejected the call: busy",)
    assert report.turns == ()


async def test_gaps_and_errors_of_the_line_fail_the_call() -> None:
    async def stutter(socket: Socket) -> None:
        await socket.next("media")
        agent = ToneAgent()
        await agent.say(socket, 0.2)
        for _ in range(20):
            await socket.next("media")
        await agent.say(socket, 0.2)
        await socket.raw.send_bytes(b"?")
        await socket.next("stop")

    report = await hold(stutter, [Wait(0.8)])
    assert [failure.split()[0] for failure in report.failures] == ["31950", "gaps"]


async def test_the_recording_is_written_as_stereo(tmp_path: Path) -> None:
    report = await hold(ToneAgent(), [Say("one")])
    path = tmp_path / "deep" / "call.wav"
    report.recording.write_wav(path)
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, 8_000)
        frames = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").reshape(-1, 2)
    assert np.array_equal(frames[:, 0], report.recording.caller)
    assert np.array_equal(frames[:, 1], report.recording.agent)
