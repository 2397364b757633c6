"""A secret that is keyed in, through the real session, pad and dispatcher: it reaches its tool and nothing else."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from session.line import VirtualLine
from session.stage import Stage, on_virtual_time, stage
from talkspurt import KeypadSecret, tool
from talkspurt.core.history import AgentSaid, CallerSaid, ToolAnswered
from talkspurt.core.keypad import KEPT_FROM_YOU
from talkspurt.core.secret_entry import NOT_ENTERED
from talkspurt.effects.secrets import LATE, TRAILING
from talkspurt.media.tones import FRAME, FRAME_BYTES, HIGH_HZ, KEYS, LOW_HZ, RATE_HZ, key_tone
from talkspurt.ports import ReplyPart, ReplyRequest, TextDelta, ToolCallPart
from talkspurt.testing.providers import ScriptedModel, ScriptedRecognizer
from talkspurt.testing.virtual_time import run_virtual

CANARY = "83649271"
PROMPT = "Please key in your PIN."


class Ears(ScriptedRecognizer):
    """Keeps all the audio that a recognizer gets."""

    def __init__(self, *lines: str) -> None:
        super().__init__(lines)
        self.audio = bytearray()

    async def open(self, *, locale: str, call_id: str) -> Any:
        stream = await super().open(locale=locale, call_id=call_id)
        feed = stream.feed

        def listen(pcm: bytes, /) -> None:
            self.audio += pcm
            feed(pcm)

        stream.feed = listen  # type: ignore[method-assign]
        return stream

    def keys(self, offset: int = 0) -> str:
        """The keys that can be heard in it."""
        audio = bytes(self.audio[2 * offset :])
        frames = [audio[at : at + FRAME_BYTES] for at in range(0, len(audio) - FRAME_BYTES + 1, FRAME_BYTES)]
        return "".join(key_tone(frame) or "" for frame in frames)


def tone(key: str, frames: int) -> list[bytes]:
    """What a carrier leaves of a key in the audio; it begins in the middle of a frame."""
    row = next(index for index, keys in enumerate(KEYS) if key in keys)
    seconds = np.arange(frames * FRAME) / RATE_HZ
    wave = np.sin(2 * np.pi * LOW_HZ[row] * seconds) + np.sin(2 * np.pi * HIGH_HZ[KEYS[row].index(key)] * seconds)
    pcm = bytes(FRAME) + (4000 * wave).astype("<i2").tobytes() + bytes(FRAME)
    return [pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm), FRAME_BYTES)]


async def key_in(line: VirtualLine, keys: str, *, gap: float = 0.2) -> None:
    """Press keys that are heard in the audio too, and told by the carrier while they are."""
    for key in keys:
        line.sounds.extend(tone(key, 5))
        await asyncio.sleep(0.06)
        line.press(key)
        await asyncio.sleep(gap)


def pins() -> tuple[list[str], Any]:
    seen: list[str] = []

    @tool
    async def verify_pin(pin: Annotated[str, KeypadSecret(PROMPT, length=8)]) -> dict[str, str]:
        """Check the PIN."""
        seen.append(pin)
        return {"echo": f"You said {pin}.", "verified": "yes"}

    return seen, verify_pin


def verifying(request: ReplyRequest) -> list[ReplyPart]:
    last = request.history[-1]
    if isinstance(last, CallerSaid) and "verify" in last.text:
        return [ToolCallPart("t1", "verify_pin", "{}")]
    verified = isinstance(last, ToolAnswered) and "verified" in last.content
    return [TextDelta("You are verified." if verified else "Never mind.")]


async def floor(call: Stage, name: str) -> None:
    await call.until(lambda: type(call.session.floor).__name__ == name)


def said(call: Stage) -> str:
    return " ".join(entry.text for entry in call.recorder.entries if isinstance(entry, AgentSaid))


@on_virtual_time
async def test_a_secret_reaches_its_tool_and_the_model_hears_that_it_was_right() -> None:
    seen, verify_pin = pins()
    async with stage(ScriptedModel(verifying), ["verify me"], tools=(verify_pin,)) as call:
        await call.says()
        await floor(call, "Collecting")
        call.line.press(CANARY)
        await call.until(lambda: "You are verified." in said(call))
        assert seen == [CANARY]
        assert [entry.text for entry in call.recorder.entries if isinstance(entry, CallerSaid)] == ["verify me"]


@pytest.mark.parametrize("moment", ["prompt", "collecting", "voice"])
def test_the_canary_is_in_nothing_that_anyone_may_read_or_hear(
    moment: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen, verify_pin = pins()
    ears = Ears("verify me", "")
    everything: list[str] = []
    caplog.set_level(logging.DEBUG)

    @on_virtual_time
    async def run() -> None:
        async with stage(ScriptedModel(verifying), tools=(verify_pin,), recognizer=ears, journals=tmp_path) as call:
            await call.says()
            await floor(call, "Speaking" if moment == "prompt" else "Collecting")
            if moment == "voice":
                call.line.speak(0.6)
                await floor(call, "Hearing")
            await key_in(call.line, CANARY + "#")
            await call.until(lambda: "You are verified." in said(call))
            call.session.hung_up()
            await call.task
            assert seen == [CANARY]
            written = [
                repr(call.recorder.entries),
                json.dumps(call.recorder.snapshots),
                repr(call.model.requests),
                repr(call.session._conversation.snapshot()),
                repr(vars(call.session._pad)),
                *call.synthesizer.spoken,
            ]
            everything.extend(written)

    with capture_logs() as logs:
        run()
    assert "secret_in_tool_result" in repr(logs), "the tool is one that repeats its secret"
    everything += [repr(logs), caplog.text, (tmp_path / "CA1.jsonl").read_text()]
    for text in everything:
        assert CANARY not in text
        assert CANARY[:4] not in text
    for offset in (0, FRAME // 4, FRAME // 2, 3 * FRAME // 4):
        assert ears.keys(offset) == ""


@on_virtual_time
async def test_tones_of_a_secret_are_no_voice() -> None:
    seen, verify_pin = pins()
    async with stage(ScriptedModel(verifying), ["verify me"], tools=(verify_pin,)) as call:
        await call.says()
        await floor(call, "Collecting")
        states: set[str] = set()
        watching = asyncio.create_task(watch(call, states))
        await key_in(call.line, CANARY)
        await call.until(lambda: "You are verified." in said(call))
        watching.cancel()
        assert seen == [CANARY]
        assert not states & {"Hearing", "Yielding", "Endpointing"}


async def watch(call: Stage, states: set[str]) -> None:
    while True:
        states.add(type(call.session.floor).__name__)
        await asyncio.sleep(0.01)


async def times(monkeypatch: pytest.MonkeyPatch, *, muted: bool) -> tuple[float, list[int]]:
    """When a voice stopped while a secret is collected, and where the agent's audio lay beside it."""
    _, verify_pin = pins()
    played: list[int] = []
    async with stage(ScriptedModel(verifying), ["verify me", "I have none"], tools=(verify_pin,)) as call:
        await call.says()
        if not muted:
            monkeypatch.setattr(call.session._pad, "claims", lambda _now: False)
        play = call.session._evidence.play

        def note(pcm: bytes, position: int) -> None:
            played.append(position)
            play(pcm, position)

        monkeypatch.setattr(call.session._evidence, "play", note)
        await floor(call, "Collecting")
        await floor(call, "Speaking")
        await floor(call, "Collecting")
        call.line.speak(0.8)
        await floor(call, "Endpointing")
        stopped: float = call.session.floor.stopped_at  # type: ignore[union-attr]
        await call.until(lambda: "Never mind." in said(call))
        answers = [entry.content for entry in call.recorder.entries if isinstance(entry, ToolAnswered)]
        assert answers == [NOT_ENTERED]
        return stopped, played


@pytest.mark.interpreted
def test_what_comes_through_the_muter_keeps_its_place_on_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped, played = run_virtual(times(monkeypatch, muted=True))
    plainly, beside = run_virtual(times(monkeypatch, muted=False))
    assert stopped == pytest.approx(plainly, abs=0.002)
    assert len(played) > 20
    assert played[:20] == pytest.approx(beside[:20], abs=16)


@on_virtual_time
async def test_keys_that_nobody_asked_for_behind_a_secret_may_be_it_once_more_and_are_masked_once() -> None:
    """Whoever is told that it was wrong keys it in again before any tool asks."""
    _, verify_pin = pins()
    ears = Ears("verify me")
    async with stage(ScriptedModel(verifying), tools=(verify_pin,), recognizer=ears) as call:
        await call.says()
        await floor(call, "Collecting")
        await key_in(call.line, CANARY)
        await call.listening()
        await asyncio.sleep(TRAILING)
        await key_in(call.line, f"{CANARY}#")
        await call.until(lambda: CallerSaid(KEPT_FROM_YOU, "keypad") in call.recorder.entries)
        assert ears.keys() == ""
        await call.listening()
        # The agent has been told, and what comes now is an answer to it.
        before = len(ears.audio)
        await key_in(call.line, "5#")
        await call.until(lambda: CallerSaid("5", "keypad") in call.recorder.entries)
        assert set(ears.keys()) == {"5", "#"}
        await asyncio.sleep(1.0)
        assert call.session._incoming._muter.held == 0
        assert len(ears.audio) > before


@on_virtual_time
async def test_a_number_that_the_agent_asks_for_behind_a_secret_is_not_masked() -> None:
    _, verify_pin = pins()

    def asking(request: ReplyRequest) -> list[ReplyPart]:
        last = request.history[-1]
        if isinstance(last, ToolAnswered):
            return [TextDelta("Thank you. What's your ZIP code?")]
        return verifying(request)

    async with stage(ScriptedModel(asking), ["verify me"], tools=(verify_pin,)) as call:
        await call.says()
        await floor(call, "Collecting")
        call.line.press(CANARY)
        await call.until(lambda: "ZIP code" in said(call))
        await asyncio.sleep(TRAILING)
        call.line.press("19122")
        await call.until(lambda: CallerSaid("19122", "keypad") in call.recorder.entries)


@on_virtual_time
async def test_a_pin_that_the_model_asks_for_itself_is_kept_from_it() -> None:
    """No tool has been called that would collect it."""
    _, verify_pin = pins()

    def asking(request: ReplyRequest) -> list[ReplyPart]:
        last = request.history[-1]
        if last == CallerSaid(KEPT_FROM_YOU, "keypad"):
            return [TextDelta("What is it about?")]
        return [TextDelta("Please key in your PIN. Then press hash.")]

    ears = Ears("verify me")
    async with stage(ScriptedModel(asking), tools=(verify_pin,), recognizer=ears) as call:
        await call.says()
        await call.until(lambda: "PIN" in said(call))
        await key_in(call.line, f"{CANARY}#")
        await call.until(lambda: CallerSaid(KEPT_FROM_YOU, "keypad") in call.recorder.entries)
        assert CANARY not in str(call.recorder.entries)
        assert CANARY not in str(call.recorder.snapshots)
        assert ears.keys() == ""
        await call.until(lambda: "What is it about?" in said(call))
        await call.listening()
        call.line.press("19#")
        await call.until(lambda: CallerSaid("19", "keypad") in call.recorder.entries)


@pytest.mark.parametrize("meanwhile", ["silence", "words"])
def test_it_is_kept_from_it_however_long_the_caller_looks_for_it(meanwhile: str) -> None:
    async def run() -> None:
        _, verify_pin = pins()

        def asking(request: ReplyRequest) -> list[ReplyPart]:
            said_last = request.history[-1]
            asked = said_last == CallerSaid("verify me", "voice")
            return [TextDelta("Please key in your PIN." if asked else "Sure, take your time.")]

        async with stage(ScriptedModel(asking), ["verify me", "one second"], tools=(verify_pin,)) as call:
            await call.says()
            await call.until(lambda: "PIN" in said(call))
            if meanwhile == "words":
                await call.listening()
                await call.says()
                await call.until(lambda: "take your time" in said(call))
            else:
                await asyncio.sleep(14.0)
            call.line.press(f"{CANARY}#")
            await call.until(lambda: CallerSaid(KEPT_FROM_YOU, "keypad") in call.recorder.entries)
            assert CANARY not in str(call.recorder.entries)

    run_virtual(run())


@on_virtual_time
async def test_an_agent_without_a_tool_for_secrets_takes_the_keys_that_it_asks_for() -> None:
    asking = [TextDelta("Please key in your PIN.")]
    async with stage(ScriptedModel(lambda _request: asking), ["verify me"]) as call:
        await call.says()
        await call.until(lambda: "PIN" in said(call))
        call.line.press("4711#")
        await call.until(lambda: CallerSaid("4711", "keypad") in call.recorder.entries)


@pytest.mark.parametrize("keys", [f"#{CANARY}#", f"{CANARY[:4]} {CANARY[4:]}#"])
def test_a_second_try_with_a_slip_or_a_pause_in_it_stays_masked_although_the_agent_asks_for_it(keys: str) -> None:
    run_virtual(try_again(keys))


async def try_again(keys: str) -> None:
    seen, verify_pin = pins()

    def asking(request: ReplyRequest) -> list[ReplyPart]:
        last = request.history[-1]
        if isinstance(last, ToolAnswered):
            return [TextDelta("That isn't right. Please enter the PIN we sent to your phone again.")]
        return verifying(request)

    async with stage(ScriptedModel(asking), ["verify me"], tools=(verify_pin,)) as call:
        await call.says()
        await floor(call, "Collecting")
        call.line.press(CANARY)
        await call.until(lambda: "phone again" in said(call))
        await asyncio.sleep(TRAILING)
        for key in keys:
            await asyncio.sleep(2.4 if key == " " else 0.3)
            call.line.press(key.strip())
        await call.until(lambda: CallerSaid(KEPT_FROM_YOU, "keypad") in call.recorder.entries)
        await asyncio.sleep(10.0)
        keyed = [entry.text for entry in call.recorder.entries if isinstance(entry, CallerSaid)]
        assert not set(" ".join(keyed)) & set(CANARY)
        assert seen == [CANARY]


@on_virtual_time
async def test_keys_long_behind_a_secret_are_ordinary() -> None:
    _, verify_pin = pins()
    async with stage(ScriptedModel(verifying), ["verify me"], tools=(verify_pin,)) as call:
        await call.says()
        await floor(call, "Collecting")
        call.line.press(CANARY)
        await call.listening()
        call.session._pad._masked_until = 0.0
        await asyncio.sleep(TRAILING)
        call.line.press("5#")
        await call.until(lambda: CallerSaid("5", "keypad") in call.recorder.entries)


@on_virtual_time
async def test_no_audio_is_lost_or_doubled_on_the_way_through_the_muter() -> None:
    _, verify_pin = pins()
    ears = Ears("verify me")
    line = VirtualLine()
    async with stage(ScriptedModel(verifying), tools=(verify_pin,), recognizer=ears, line=line) as call:
        await call.says()
        await floor(call, "Collecting")
        marker = [bytes([index, 0] * FRAME) for index in range(1, 40)]
        line.sounds.extend(marker)
        await asyncio.sleep(0.3)
        await key_in(line, CANARY)
        await asyncio.sleep(TRAILING + 1.0)
        assert call.session._incoming._heard == len(ears.audio) // 2
        assert b"".join(marker[:10]) in bytes(ears.audio)


@on_virtual_time
async def test_keys_after_a_secret_was_given_up_are_swallowed_for_a_while() -> None:
    seen, verify_pin = pins()
    async with stage(ScriptedModel(verifying), ["verify me", "no"], tools=(verify_pin,)) as call:
        await call.says()
        await floor(call, "Collecting")
        call.line.press(CANARY[:3])
        call.line.speak(0.6)
        await call.until(lambda: "Never mind." in said(call), within=20.0)
        call.line.press(CANARY[3:])
        await asyncio.sleep(LATE)
        assert seen == []
        assert call.session._dispatcher._wanting == {}
        assert "keypad" not in repr(call.recorder.entries)


@on_virtual_time
async def test_a_hang_up_in_the_middle_wipes_the_pad_and_runs_nothing() -> None:
    seen, verify_pin = pins()
    async with stage(ScriptedModel(verifying), ["verify me"], tools=(verify_pin,)) as call:
        await call.says()
        await floor(call, "Collecting")
        call.line.press(CANARY[:5])
        assert call.session._pad._digits == CANARY[:5].encode()
        call.session.hung_up()
        assert await call.task == "caller_hung_up"
        assert call.session._pad._digits == b""
        assert seen == []


@on_virtual_time
async def test_a_process_that_takes_the_call_over_does_not_know_the_first_digits() -> None:
    seen, verify_pin = pins()
    async with stage(ScriptedModel(verifying), ["verify me"], tools=(verify_pin,)) as call:
        await call.says()
        await floor(call, "Collecting")
        call.line.press(CANARY[:5])
        # As it was stored, not as it is by now.
        snapshot = call.recorder.snapshots[-1]
    async with stage(ScriptedModel(verifying), tools=(verify_pin,), snapshot=json.loads(json.dumps(snapshot))) as call:
        await call.until(lambda: "Never mind." in said(call))
        assert seen == []
        # The rest, and all of it once more, behind the time in which all keys are swallowed.
        call.line.press(CANARY[5:])
        await asyncio.sleep(LATE + 0.1)
        call.line.press(f"{CANARY}#")
        await call.until(lambda: CallerSaid(KEPT_FROM_YOU, "keypad") in call.recorder.entries)
        keyed = [entry.text for entry in call.recorder.entries if isinstance(entry, CallerSaid)]
        assert not set(" ".join(keyed)) & set(CANARY)
        assert CANARY[5:] not in json.dumps(call.session._conversation.snapshot())
