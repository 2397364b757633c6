"""Gemini Live through the real SDK, against a vendor on loopback."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from google.genai.types import LiveServerMessage
from picows import WSCloseCode

from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered, ToolCalled
from talkspurt.errors import ConfigurationError, ProviderError
from talkspurt.media.g711 import decode_mulaw
from talkspurt.ports import ReplyPart, ReplyRequest, TextDelta, ToolCallPart, ToolSpec, Usage
from talkspurt.speech_to_speech.gemini_live import GeminiLive
from talkspurt.telemetry.usage import METER, Meter
from talkspurt.testing.fakes import FakeGeminiLive, Fault, ModelReply, Outage, ToolUse
from talkspurt.testing.fakes.openai_realtime import voice
from talkspurt.testing.providers import ScriptedRecognizer

KEY = "canary-0123456789abcdef"
NAME = "gemini-live:some-model"
TONE = b"\xff\x20\x00\xe0" * 4_000
WEATHER = ToolSpec("get_weather", "The weather.", {"type": "object", "properties": {"town": {"type": "string"}}})
ASKED = CallerSaid("where is my order")


class Caller:
    """A call with the vendor, used as a session uses it."""

    def __init__(self, vendor: GeminiLive) -> None:
        self.stages = vendor.for_call(ScriptedRecognizer(["where is my order", "thank you"], delay=0.01))
        self.replies = 0
        self.utterances = 0

    async def open(self) -> None:
        self.stream = await self.stages.recognizer.open(locale="en-US", call_id="c1")

    async def says(self) -> str:
        """One utterance that becomes a turn; returns its words."""
        self.utterances += 1
        for start in range(0, len(TONE), 320):
            self.stream.feed(TONE[start : start + 320])
        self.stream.begin(self.utterances, 0.5)
        self.stream.finalize(self.utterances, 1)
        async with asyncio.timeout(5):
            async for transcript in self.stream.transcripts():
                self.stream.end(self.utterances)
                return transcript.text
        raise AssertionError("the stream ended")

    def request(self, *history: Entry) -> ReplyRequest:
        self.replies += 1
        return ReplyRequest("You are Sarah.", history, (WEATHER,), caller_facts="It is Monday.", reply=self.replies)

    async def reply(self, *history: Entry) -> list[ReplyPart]:
        async with asyncio.timeout(10):
            return [part async for part in self.stages.model.reply(self.request(*history))]

    async def sound(self, written: str) -> bytes | None:
        own = self.stages.own_voice
        assert own is not None
        speech = own.speech(self.replies, written)
        if speech is None:
            return None
        async with asyncio.timeout(10):
            return b"".join([chunk.pcm async for chunk in speech])


async def collect(caller: Caller, said: list[ReplyPart]) -> None:
    """Add what comes of a reply to `said`, until it ends or fails."""
    async with asyncio.timeout(10):
        async for part in caller.stages.model.reply(caller.request(ASKED)):
            said.append(part)  # noqa: PERF401 - also what comes before a failure


def text_of(parts: list[ReplyPart]) -> str:
    return "".join(part.text for part in parts if isinstance(part, TextDelta))


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeGeminiLive]:
    async with FakeGeminiLive(["(her voice)"] * 9, key=KEY) as fake:
        monkeypatch.setenv("SSL_CERT_FILE", str(fake.certificate))
        yield fake


@pytest.fixture
async def caller(fake: FakeGeminiLive) -> AsyncIterator[Caller]:
    model = GeminiLive(NAME, base_url=fake.base_url, environment={"GOOGLE_API_KEY": KEY})
    caller = Caller(model)
    await caller.open()
    yield caller
    await caller.stream.aclose()
    await model.aclose()


async def test_the_callers_voice_is_heard_and_answered_with_a_voice(fake: FakeGeminiLive, caller: Caller) -> None:
    assert await caller.says() == "where is my order"
    parts = await caller.reply(AgentSaid("Hello."), ASKED)
    assert text_of(parts) == "Certainly. Anything else?"
    assert isinstance(parts[-1], Usage)
    [turn] = fake.turns
    assert (turn.said, turn.history[1:]) == ("(her voice)", [("model", "Hello.")])
    assert turn.audio_s == pytest.approx(0.5, abs=0.05)
    first, second = await caller.sound("Certainly."), await caller.sound("Anything else?")
    assert first
    assert second
    whole = decode_mulaw(voice("Certainly. ") + voice("Anything else?"))
    assert len(first) + len(second) == pytest.approx(len(whole), rel=0.02)
    assert len(first) == pytest.approx(len(decode_mulaw(voice("Certainly. "))), abs=4_000)
    assert await caller.sound("One moment, please.") is None


async def test_what_no_voice_said_is_told_in_words(fake: FakeGeminiLive, caller: Caller) -> None:
    await caller.reply(CallerSaid("12345", "keypad"))
    assert (fake.turns[0].said, fake.turns[0].audio_s) == ("(on the keypad) 12345", 0.0)


async def test_a_session_knows_nothing_but_what_was_heard(fake: FakeGeminiLive, caller: Caller) -> None:
    fake.replies.append(ModelReply(("Your order left this morning. ", "It arrives on Friday.")))
    await caller.says()
    await caller.reply(ASKED)
    await caller.says()
    await caller.reply(ASKED, AgentSaid("Your order left", interrupted=True), CallerSaid("thank you"))
    assert fake.turns[-1].history[1:] == [("user", "where is my order"), ("model", "Your order left—")]
    assert len(fake.sockets) == 2
    assert all(socket.closed.is_set() for socket in fake.sockets[:1])


async def test_the_session_of_the_next_turn_begins_when_the_caller_does(fake: FakeGeminiLive, caller: Caller) -> None:
    await caller.reply(ASKED)
    sockets = len(fake.sockets)
    await caller.says()
    await asyncio.sleep(0.2)
    assert len(fake.sockets) == sockets + 1
    await caller.reply(ASKED, AgentSaid("Certainly."), CallerSaid("where is my order"))
    assert len(fake.sockets) == sockets + 1
    assert fake.turns[-1].audio_s > 0


async def test_tools_are_answered_in_the_session_of_their_turn(fake: FakeGeminiLive, caller: Caller) -> None:
    fake.replies.append(ModelReply(("Let me look.",), (ToolUse("get_weather", '{"town": "Ulm"}'),)))
    parts = await caller.reply(ASKED)
    [call] = [part for part in parts if isinstance(part, ToolCallPart)]
    assert (call.name, call.arguments) == ("get_weather", '{"town": "Ulm"}')
    asked = (ASKED, AgentSaid("Let me look."), ToolCalled(call.tool_call, call.name, call.arguments))
    said = await caller.reply(*asked, ToolAnswered(call.tool_call, call.name, '{"sky":"blue"}'))
    assert text_of(said) == "Certainly. Anything else?"
    assert len(fake.sockets) == 1
    assert fake.turns[-1].responses == [{"id": call.tool_call, "name": "get_weather", "response": {"sky": "blue"}}]


async def test_tools_whose_turn_was_cut_off_are_told_to_another_session(fake: FakeGeminiLive, caller: Caller) -> None:
    fake.replies.append(ModelReply(("Let me look.",), (ToolUse("get_weather", '{"town": "Ulm"}'),)))
    parts = await caller.reply(ASKED)
    [call] = [part for part in parts if isinstance(part, ToolCallPart)]
    await caller.reply(
        ASKED,
        AgentSaid("Let me", interrupted=True),
        ToolCalled(call.tool_call, call.name, call.arguments),
        ToolAnswered(call.tool_call, call.name, '{"sky":"blue"}'),
        CallerSaid("wait"),
    )
    assert len(fake.sockets) == 2
    told = '(The tool get_weather, called with {"town": "Ulm"}, answered: {"sky":"blue"})'
    assert fake.turns[-1].history[2:] == [("model", "Let me—"), ("user", told)]


async def test_a_reply_that_is_left_ends_its_session(fake: FakeGeminiLive, caller: Caller) -> None:
    fake.replies.append(ModelReply(("It is on its way. ",) * 20))
    reply = cast(Any, caller.stages.model.reply(caller.request(ASKED)))
    await anext(reply)
    await reply.aclose()
    async with asyncio.timeout(5):
        await fake.sockets[0].closed.wait()


async def test_a_turn_waits_for_its_tools_only_while_somebody_listens(fake: FakeGeminiLive, caller: Caller) -> None:
    looks = ModelReply(("Let me look.",), (ToolUse("get_weather", '{"town": "Ulm"}'),))
    fake.replies.extend([looks, looks])
    await caller.stream.aclose()
    await caller.reply(ASKED)
    async with asyncio.timeout(5):
        await fake.sockets[0].closed.wait()
    await caller.open()
    await caller.says()
    await caller.reply(ASKED)
    assert not fake.sockets[-1].closed.is_set()


@pytest.mark.parametrize(("bound", "least"), [("LETTERS_PER_TOKEN", 0.1), ("SECONDS_PER_TOKEN", 0.01)])
async def test_a_reply_without_end_is_ended(
    fake: FakeGeminiLive, caller: Caller, monkeypatch: pytest.MonkeyPatch, bound: str, least: float
) -> None:
    monkeypatch.setattr(f"talkspurt.speech_to_speech.call.{bound}", least)
    fake.replies.append(ModelReply(("Well. ",) * 20, (ToolUse("get_weather", "{}"),)))
    parts = await caller.reply(ASKED)
    assert 0 < text_of(parts).count("Well.") < 10
    assert not any(isinstance(part, ToolCallPart) for part in parts)
    async with asyncio.timeout(5):
        await fake.sockets[0].closed.wait()


async def test_tokens_of_sound_are_counted_apart(fake: FakeGeminiLive) -> None:
    meter = Meter()
    METER.set(meter)
    model = GeminiLive(NAME, base_url=fake.base_url, environment={"GEMINI_API_KEY": KEY})
    caller = Caller(model)
    await caller.open()
    fake.replies.append(ModelReply(("Well. ",), usage=(11, 7, 3)))
    await caller.reply(ASKED)
    spoken = round(25 * len(voice("Well. ")) / 8_000)
    assert {unit: amount for (_, _, unit), amount in meter.used.items()} == {
        "input": 8,
        "cached": 3,
        "output": 7,
        "audio_input": 11,
        "audio_output": spoken,
    }
    await caller.stream.aclose()
    await model.aclose()


@pytest.mark.parametrize(
    ("outage", "fault"),
    [
        (Outage.EXPIRED_KEY, "key_rejected"),
        (Outage.RATE_LIMITED, "rate_limited"),
        (Outage.SERVER_ERROR, "unavailable"),
    ],
)
async def test_a_session_that_is_refused_says_why_and_not_the_key(
    fake: FakeGeminiLive, outage: Outage, fault: str
) -> None:
    fake.outage = outage
    model = GeminiLive(NAME, base_url=fake.base_url, environment={"GOOGLE_API_KEY": KEY})
    with pytest.raises(ProviderError) as failed:
        await model.warm_up()
    assert (failed.value.fault, failed.value.rejected) == (fault, fault == "key_rejected")
    assert failed.value.retry_after == (2.0 if outage is Outage.RATE_LIMITED else None)
    assert KEY not in str(failed.value)
    await model.aclose()


@pytest.mark.parametrize(
    "fault", [Fault.BREAK, Fault.CUT_SHORT, Fault.GARBAGE], ids=lambda fault: cast(Fault, fault).value
)
async def test_a_reply_that_breaks_off_is_an_error_behind_what_was_said(
    fake: FakeGeminiLive, caller: Caller, fault: Fault
) -> None:
    fake.replies.append(ModelReply(("Your order left this morning. ", "It arrives."), fault=fault))
    said: list[ReplyPart] = []
    with pytest.raises(ProviderError):
        await collect(caller, said)
    assert text_of(said) == "Your order left this morning. "
    assert text_of(await caller.reply(ASKED)) == "Certainly. Anything else?"


async def test_what_is_missing_in_the_configuration_is_said() -> None:
    with pytest.raises(ConfigurationError, match="GOOGLE_API_KEY"):
        GeminiLive(NAME, environment={})


async def test_what_the_fake_says_is_of_the_sdks_types(fake: FakeGeminiLive, caller: Caller) -> None:
    fake.replies.append(ModelReply(("Let me look.",), (ToolUse("get_weather", '{"town": "Ulm"}'),)))
    await caller.says()
    [call] = [part for part in await caller.reply(ASKED) if isinstance(part, ToolCallPart)]
    asked = (ASKED, AgentSaid("Let me look."), ToolCalled(call.tool_call, call.name, call.arguments))
    await caller.reply(*asked, ToolAnswered(call.tool_call, call.name, "{}"))
    for message in fake.sockets[0].sent:
        LiveServerMessage.model_validate(message)


@pytest.mark.parametrize(
    "reason",
    [
        "API key not valid. Please pass a valid API key.",
        "API Key not found. Please pass a valid API key.",
        "API key expired. Please renew the API key.",
    ],
)
async def test_a_key_that_is_revoked_while_the_server_runs_is_a_rejected_key(fake: FakeGeminiLive, reason: str) -> None:
    fake.close_with = reason
    model = GeminiLive(NAME, base_url=fake.base_url, environment={"GOOGLE_API_KEY": KEY})
    with pytest.raises(ProviderError) as failed:
        await model.warm_up()
    assert (failed.value.fault, failed.value.rejected, failed.value.retryable) == ("key_rejected", True, False)
    assert "status 1007: the key is not accepted" in str(failed.value)
    assert "there may be no model" not in str(failed.value)
    await model.aclose()


async def test_a_setup_that_is_refused_for_anything_else_is_no_rejected_key(fake: FakeGeminiLive) -> None:
    fake.close_with = "Invalid value at 'setup.tools[0]': the API key of the shop"
    model = GeminiLive(NAME, base_url=fake.base_url, environment={"GOOGLE_API_KEY": KEY})
    with pytest.raises(ProviderError, match="there may be no model") as failed:
        await model.warm_up()
    assert (failed.value.fault, failed.value.rejected) == ("rejected", False)
    await model.aclose()


async def test_a_session_that_the_vendor_drops_closes_the_provider_to_no_other_call(fake: FakeGeminiLive) -> None:
    fake.close_with, fake.close_code = "Requested entity was not found.", WSCloseCode.POLICY_VIOLATION
    model = GeminiLive(NAME, base_url=fake.base_url, environment={"GOOGLE_API_KEY": KEY})
    with pytest.raises(ProviderError, match="status 1008") as failed:
        await model.warm_up()
    assert (failed.value.fault, failed.value.rejected, failed.value.retryable) == ("unavailable", False, True)
    await model.aclose()


@pytest.mark.parametrize("status", [400, 404])
async def test_a_model_that_the_vendor_does_not_know_is_named(fake: FakeGeminiLive, status: int) -> None:
    fake.refuse_with = status
    model = GeminiLive("gemini-live:no-such-model", base_url=fake.base_url, environment={"GOOGLE_API_KEY": KEY})
    with pytest.raises(ProviderError) as failed:
        await model.warm_up()
    assert f"{status}: there may be no model 'no-such-model' there (or model.base_url is wrong)" in str(failed.value)
    await model.aclose()
