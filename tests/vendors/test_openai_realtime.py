"""OpenAI's Realtime API through the real SDK, against a vendor on loopback."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, cast

import pytest
from openai.types.realtime.realtime_client_event import RealtimeClientEvent
from openai.types.realtime.realtime_server_event import RealtimeServerEvent
from pydantic import BaseModel, TypeAdapter

from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered, ToolCalled
from talkspurt.errors import ConfigurationError, ProviderError
from talkspurt.media.g711 import decode_mulaw
from talkspurt.ports import (
    LINE_RATE_HZ,
    ReplyPart,
    ReplyRequest,
    Stages,
    TextDelta,
    ToolCallDelta,
    ToolCallPart,
    ToolSpec,
    Transcript,
    Usage,
)
from talkspurt.speech_to_speech.openai_realtime import OpenAIRealtime
from talkspurt.telemetry.usage import METER, Meter
from talkspurt.testing.fakes import FakeOpenAIRealtime, Fault, ModelReply, Outage, ToolUse
from talkspurt.testing.fakes.openai_realtime import FakeRealtimeSocket, voice

KEY = "sk-canary-0123456789abcdef"
NAME = "openai-realtime:gpt-realtime-2.1"
TONE = b"\x00\x20\x00\xe0" * 4_000
SILENCE = bytes(2 * 4_800)
WEATHER = ToolSpec("get_weather", "The weather.", {"type": "object", "properties": {"town": {"type": "string"}}})
ASKED = CallerSaid("where is my order")


def vendor(fake: FakeOpenAIRealtime, key: str = KEY, **options: Any) -> OpenAIRealtime:
    return OpenAIRealtime(NAME, base_url=fake.base_url, environment={"OPENAI_API_KEY": key}, **options)


class Caller:
    """A call with the vendor, used as a session uses it."""

    def __init__(self, stages: Stages) -> None:
        self.stages = stages
        self.replies = 0
        self.utterances = 0

    async def open(self) -> None:
        self.stream = await self.stages.recognizer.open(locale="en-US", call_id="c1")

    def feed(self, pcm: bytes) -> None:
        for start in range(0, len(pcm), 320):
            self.stream.feed(pcm[start : start + 320])

    async def says(self) -> str:
        """One utterance that becomes a turn; returns its words."""
        self.utterances += 1
        self.feed(SILENCE)
        self.stream.begin(self.utterances, 0.2)
        self.feed(TONE + SILENCE)
        self.stream.finalize(self.utterances, 1)
        transcript = await self.transcript()
        self.stream.end(self.utterances)
        assert transcript.error is None
        return transcript.text

    async def transcript(self) -> Transcript:
        async with asyncio.timeout(10):
            async for transcript in self.stream.transcripts():
                if transcript.final:
                    return transcript
        raise AssertionError("the stream ended")

    def request(self, *history: Entry, tools: tuple[ToolSpec, ...] = (WEATHER,), pace: float = 1.0) -> ReplyRequest:
        self.replies += 1
        return ReplyRequest(
            "You are Sarah.", history, tools, caller_facts="It is Monday.", reply=self.replies, pace=pace
        )

    async def reply(self, *history: Entry) -> list[ReplyPart]:
        async with asyncio.timeout(10):
            return [part async for part in self.stages.model.reply(self.request(*history))]

    async def sound(self, written: str, reply: int | None = None) -> bytes | None:
        own = self.stages.own_voice
        assert own is not None
        speech = own.speech(reply or self.replies, written)
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
async def fake() -> AsyncIterator[FakeOpenAIRealtime]:
    async with FakeOpenAIRealtime(["where is my order", "thank you"], key=KEY) as fake:
        yield fake


@pytest.fixture
async def caller(fake: FakeOpenAIRealtime) -> AsyncIterator[Caller]:
    model = vendor(fake)
    caller = Caller(model.for_call())
    await caller.open()
    yield caller
    await caller.stream.aclose()
    await model.aclose()


def socket(fake: FakeOpenAIRealtime) -> FakeRealtimeSocket:
    return fake.sockets[-1]


# ── an ordinary turn ──────────────────────────────────────────────────────────────


async def test_the_caller_is_heard_answered_and_spoken_to_over_one_session(
    fake: FakeOpenAIRealtime, caller: Caller
) -> None:
    assert await caller.says() == "where is my order"
    parts = await caller.reply(AgentSaid("Hello."), ASKED)
    assert text_of(parts) == "Certainly. Anything else?"
    assert isinstance(parts[-1], Usage)
    first, second = await caller.sound("Certainly."), await caller.sound("Anything else?")
    assert first is not None
    assert second is not None
    assert first + second == decode_mulaw(voice("Certainly. ") + voice("Anything else?"))
    assert len(first) == pytest.approx(len(decode_mulaw(voice("Certainly. "))), abs=3_200)
    assert await caller.sound("One moment, please.") is None
    [session] = fake.sockets
    assert session.asked[0].words == [("assistant", "Hello."), ("user", "where is my order")]
    assert session.asked[0].last is not None
    assert session.asked[0].last.audio_s is not None, "the model does not hear the caller's voice"
    assert session.errors == []


async def test_nothing_happens_there_that_was_not_asked_for(fake: FakeOpenAIRealtime, caller: Caller) -> None:
    await caller.says()
    await caller.reply(ASKED)
    session = socket(fake).session
    assert session["audio"]["input"]["turn_detection"] is None
    assert session["audio"]["input"]["format"] == session["audio"]["output"]["format"] == {"type": "audio/pcmu"}
    assert session["instructions"] == "You are Sarah.\n\nIt is Monday."
    assert [tool["name"] for tool in session["tools"]] == ["get_weather"]
    assert socket(fake).kinds().count("response.create") == 1


async def test_only_utterances_are_sent(fake: FakeOpenAIRealtime, caller: Caller) -> None:
    caller.feed(100 * SILENCE)
    await caller.says()
    caller.feed(100 * SILENCE)
    await caller.says()
    seconds = len(socket(fake).audio) / LINE_RATE_HZ
    assert seconds == pytest.approx(2 * (0.2 + 1.0 + 0.6), abs=0.2)


async def test_a_voice_that_took_no_turn_leaves_nothing_behind(fake: FakeOpenAIRealtime, caller: Caller) -> None:
    await caller.says()
    caller.stream.begin(7, 0.0)
    caller.feed(TONE)
    caller.stream.end(7)
    await caller.says()
    # The first of the two utterances took no turn either.
    await caller.reply(CallerSaid("thank you"))
    assert socket(fake).asked[0].words == [("user", "thank you")]
    assert "input_audio_buffer.clear" in socket(fake).kinds()
    assert socket(fake).errors == []


async def test_instructions_are_told_once_and_pace_when_it_changes(fake: FakeOpenAIRealtime, caller: Caller) -> None:
    for pace in (1.0, 1.0, 0.85):
        async for _ in caller.stages.model.reply(caller.request(ASKED, pace=pace)):
            pass
    updates = [event for event in socket(fake).received if event["type"] == "session.update"]
    assert ["instructions" in event["session"] for event in updates] == [False, True, False]
    assert updates[-1]["session"] == {"type": "realtime", "audio": {"output": {"speed": 0.85}}}


# ── tools ─────────────────────────────────────────────────────────────────────────


async def test_a_tool_call_comes_whole_and_its_answer_goes_back(fake: FakeOpenAIRealtime, caller: Caller) -> None:
    fake.replies.append(ModelReply(("Let me look. ",), (ToolUse("get_weather", '{"town": "Ulm"}'),)))
    first = await caller.reply(ASKED)
    [call] = [part for part in first if isinstance(part, ToolCallPart)]
    assert (call.name, call.arguments) == ("get_weather", '{"town": "Ulm"}')
    history = (ASKED, AgentSaid("Let me look."), ToolCalled(call.tool_call, call.name, call.arguments))
    await caller.reply(*history, ToolAnswered(call.tool_call, call.name, '{"sky":"blue"}'))
    kinds = [(item.kind, item.text) for item in socket(fake).asked[-1].items]
    assert kinds == [
        ("user", "where is my order"),
        ("assistant", "Let me look. "),
        ("function_call", '{"town": "Ulm"}'),
        ("function_call_output", '{"sky":"blue"}'),
    ]
    assert socket(fake).errors == []


async def test_what_a_tool_came_to_replaces_what_was_said_of_it_before(
    fake: FakeOpenAIRealtime, caller: Caller
) -> None:
    called = (ASKED, ToolCalled("ours-confirmed", "refund", "{}"))
    for content in ('{"status":"running"}', '{"status":"done"}'):
        await caller.reply(*called, ToolAnswered("ours-confirmed", "refund", content))
    outputs = [item.text for item in socket(fake).asked[-1].items if item.kind == "function_call_output"]
    assert outputs == ['{"status":"done"}']


async def test_the_half_of_a_tool_call_is_none(fake: FakeOpenAIRealtime, caller: Caller) -> None:
    fake.replies.append(ModelReply(("Let me ",), (ToolUse("get_weather", "{}"),), fault=Fault.CUT_SHORT))
    with pytest.raises(ProviderError):
        await caller.reply(ASKED)


# ── what was heard ────────────────────────────────────────────────────────────────


async def test_what_the_caller_cut_off_is_cut_off_there_too(fake: FakeOpenAIRealtime, caller: Caller) -> None:
    fake.replies.append(ModelReply(("Your order left this morning. ", "It arrives on Friday.")))
    await caller.reply(ASKED)
    await caller.sound("Your order left this morning.")
    await caller.sound("It arrives on Friday.")
    heard = AgentSaid("Your order left this morning. It arrives", interrupted=True)
    await caller.reply(ASKED, heard, CallerSaid("wait"))
    item = socket(fake).asked[-1].items[1]
    assert item.truncated
    assert item.text == "Your order left this morning. It arrives"
    assert socket(fake).errors == []


async def test_a_guess_that_was_wrong_is_taken_out_again(fake: FakeOpenAIRealtime, caller: Caller) -> None:
    caller.stream.begin(1, 0.0)
    caller.feed(TONE)
    caller.stream.finalize(1, 1)
    assert (await caller.transcript()).text == "where is my order"
    fake.replies.append(ModelReply(("It is on its way. ",) * 10))
    guess = cast(Any, caller.stages.model.reply(caller.request(ASKED)))
    await anext(guess)
    caller.feed(TONE)
    await guess.aclose()
    caller.stream.finalize(1, 2)
    both = (await caller.transcript()).text
    assert both == "where is my order thank you"
    assert text_of(await caller.reply(CallerSaid(both))) == "Certainly. Anything else?"
    assert socket(fake).asked[-1].words == [("user", "where is my order"), ("user", "thank you")]
    assert socket(fake).errors == []


async def test_a_new_request_ends_the_one_before(fake: FakeOpenAIRealtime, caller: Caller) -> None:
    fake.replies.append(ModelReply(("It is on its way. ",) * 20))
    first = cast(Any, caller.stages.model.reply(caller.request(ASKED)))
    await anext(first)
    assert text_of(await caller.reply(ASKED, CallerSaid("no wait"))) == "Certainly. Anything else?"
    with pytest.raises(ProviderError, match="cancelled"):
        await exhaust(first)
    assert socket(fake).errors == []


async def test_a_reply_that_completes_as_it_is_cut_off_holds_up_no_other(
    fake: FakeOpenAIRealtime, caller: Caller
) -> None:
    fake.crossing = True
    fake.replies.append(ModelReply(("It is on its way. ",) * 20))
    first = cast(Any, caller.stages.model.reply(caller.request(ASKED)))
    await anext(first)
    await first.aclose()
    assert text_of(await caller.reply(ASKED, CallerSaid("no wait"))) == "Certainly. Anything else?"
    assert [error["code"] for error in socket(fake).errors] == ["response_cancel_not_active"]


async def exhaust(reply: Any) -> None:
    async with asyncio.timeout(10):
        async for _ in reply:
            pass


async def test_a_message_that_is_shorter_there_is_told_in_words(fake: FakeOpenAIRealtime, caller: Caller) -> None:
    await caller.reply(ASKED)
    message = next(item for item in socket(fake).items if item.kind == "assistant")
    message.audio_s = 0.1
    heard = (ASKED, AgentSaid("Certainly. Anything", interrupted=True), CallerSaid("wait"))
    fake.replies.append(ModelReply(("Yes?",)))
    await caller.reply(*heard)
    await caller.reply(*heard, CallerSaid("hello"))
    said = socket(fake).asked[-1].words
    assert [words for kind, words in said if kind == "assistant"] == ["Certainly. Anything—"]


async def test_a_new_session_is_told_what_was_heard(fake: FakeOpenAIRealtime, caller: Caller) -> None:
    await caller.reply(ASKED)
    await caller.stream.aclose()
    with pytest.raises(ProviderError, match="no session"):
        await caller.reply(ASKED)
    await caller.open()
    await caller.reply(ASKED, AgentSaid("Certainly."), ToolCalled("t1", "look", "{"), ToolAnswered("t1", "look", "{}"))
    assert len(fake.sockets) == 2
    assert socket(fake).asked[0].words == [("user", "where is my order"), ("assistant", "Certainly.")]
    # What has come of the first session can still be spoken.
    assert decode_mulaw(voice("Certainly. ")).startswith(await caller.sound("Certainly.", reply=1) or b"-")


# ── cost ──────────────────────────────────────────────────────────────────────────


async def test_tokens_of_sound_are_counted_apart_and_of_replies_that_nobody_got_too(fake: FakeOpenAIRealtime) -> None:
    meter = Meter()
    METER.set(meter)
    model = vendor(fake)
    caller = Caller(model.for_call())
    await caller.open()
    await caller.says()
    fake.replies.append(ModelReply(("Well. ",), usage=(11, 7, 3)))
    await caller.reply(ASKED)
    used = {(vendor, unit): amount for (_, vendor, unit), amount in meter.used.items()}
    spoken = round(20 * len(voice("Well. ")) / LINE_RATE_HZ)
    assert used == {
        (NAME, "input"): 8,
        (NAME, "cached"): 3,
        (NAME, "output"): 7,
        (NAME, "audio_input"): 11,
        (NAME, "audio_output"): spoken,
        ("openai:gpt-transcribe", "seconds"): pytest.approx(1.8, abs=0.1),
    }
    fake.replies.append(ModelReply(("It is on its way. ",) * 20))
    async with aclosing(cast(Any, caller.stages.model.reply(caller.request(ASKED)))) as guess:
        await anext(guess)
    await caller.reply(ASKED)
    assert meter.used["model", NAME, "discarded"] > 30
    await caller.stream.aclose()
    await model.aclose()


async def test_a_reply_whose_session_is_lost_is_estimated_and_discarded(fake: FakeOpenAIRealtime) -> None:
    meter = Meter()
    METER.set(meter)
    model = vendor(fake)
    caller = Caller(model.for_call())
    await caller.open()
    fake.replies.append(ModelReply(("Your order left this morning. ", "It arrives."), fault=Fault.BREAK))
    with pytest.raises(ProviderError):
        await caller.reply(ASKED)
    used = {unit: amount for (leg, _, unit), amount in meter.used.items() if leg == "model"}
    spoken = 20 * len(voice("Your order left this morning. ")) / LINE_RATE_HZ
    # Instructions, facts, a tool and what was asked, at four letters a token; 30 letters that came, and their sound.
    assert used["input"] == pytest.approx(50, abs=25)
    assert used["output"] == pytest.approx(30 / 4, abs=1)
    assert used["audio_output"] == pytest.approx(spoken, abs=2)
    assert used["discarded"] == pytest.approx(sum(used.values()) - used["discarded"])
    await caller.stream.aclose()
    await model.aclose()
    assert meter.used["model", NAME, "output"] == used["output"], "once"


async def test_a_session_that_is_lost_before_it_said_anything_costs_nothing(fake: FakeOpenAIRealtime) -> None:
    meter = Meter()
    METER.set(meter)
    model = vendor(fake)
    caller = Caller(model.for_call())
    await caller.open()
    fake.replies.append(ModelReply(("Well. ",), fault=Fault.HANG))
    asking = asyncio.create_task(caller.reply(ASKED))
    await asyncio.sleep(0.1)
    fake.drop()
    with pytest.raises(ProviderError):
        await asking
    assert not [unit for leg, _, unit in meter.used if leg == "model"]
    await caller.stream.aclose()
    await model.aclose()


# ── what goes wrong ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("outage", "fault", "rejected"),
    [
        (Outage.EXPIRED_KEY, "key_rejected", True),
        (Outage.RATE_LIMITED, "rate_limited", False),
        (Outage.SERVER_ERROR, "unavailable", False),
        (Outage.REFUSED, "unreachable", False),
    ],
)
async def test_a_session_that_is_refused_says_why_and_not_the_key(
    fake: FakeOpenAIRealtime, outage: Outage, fault: str, rejected: bool
) -> None:
    await fake.suffer(outage)
    model = vendor(fake)
    with pytest.raises(ProviderError) as failed:
        await model.warm_up()
    assert (failed.value.fault, failed.value.rejected) == (fault, rejected)
    assert failed.value.retry_after == (2.0 if outage is Outage.RATE_LIMITED else None)
    assert KEY not in str(failed.value)
    await model.aclose()


@pytest.mark.parametrize("outage", [Outage.HUNG_CONNECT, Outage.HALF_OPEN])
async def test_a_session_that_does_not_begin_is_given_up(
    fake: FakeOpenAIRealtime, outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("talkspurt.speech_to_speech.openai_realtime.CONNECT_S", 0.3)
    await fake.suffer(outage)
    model = vendor(fake)
    async with asyncio.timeout(3):
        with pytest.raises(ProviderError, match="in time"):
            await model.warm_up()
    await model.aclose()


@pytest.mark.parametrize(
    "fault", [Fault.BREAK, Fault.CUT_SHORT, Fault.REPORT], ids=lambda fault: cast(Fault, fault).value
)
async def test_a_reply_that_breaks_off_is_an_error_behind_what_was_said(
    fake: FakeOpenAIRealtime, caller: Caller, fault: Fault
) -> None:
    fake.replies.append(ModelReply(("Your order left this morning. ", "It arrives."), fault=fault))
    said: list[ReplyPart] = []
    with pytest.raises(ProviderError):
        await collect(caller, said)
    assert text_of(said) == "Your order left this morning. "
    with pytest.raises(ProviderError, match="broke off"):
        await caller.sound("Your order left this morning.")


async def test_garbage_is_counted_and_the_reply_goes_on(fake: FakeOpenAIRealtime, caller: Caller) -> None:
    fake.replies.append(ModelReply(("Your order left. ", "It arrives."), fault=Fault.GARBAGE))
    assert text_of(await caller.reply(ASKED)) == "Your order left. It arrives."


async def test_a_tool_call_that_is_being_written_gives_signs_of_it(fake: FakeOpenAIRealtime, caller: Caller) -> None:
    arguments = '{"town": "' + "U" * 40 + '"}'
    fake.replies.append(ModelReply(("Let me look.",), (ToolUse("get_weather", arguments),), gap=0.02))
    parts = await caller.reply(ASKED)
    signs = [part.letters for part in parts if isinstance(part, ToolCallDelta)]
    assert sum(signs) == len(arguments)
    assert [type(part) for part in parts] == [TextDelta, *[ToolCallDelta] * len(signs), ToolCallPart, Usage]


async def test_a_reply_that_was_cut_off_gives_no_tool_calls(fake: FakeOpenAIRealtime, caller: Caller) -> None:
    fake.replies.append(ModelReply((), (ToolUse("get_weather", '{"town": "U'),), cut_off=True))
    with pytest.raises(ProviderError, match=r"raise model\.max_tokens"):
        await caller.reply(ASKED)
    assert text_of(await caller.reply(ASKED)) == "Certainly. Anything else?"


@pytest.mark.parametrize(("bound", "least"), [("LETTERS_PER_TOKEN", 0.1), ("SECONDS_PER_TOKEN", 0.01)])
async def test_a_reply_without_end_is_ended(
    fake: FakeOpenAIRealtime, caller: Caller, monkeypatch: pytest.MonkeyPatch, bound: str, least: float
) -> None:
    monkeypatch.setattr(f"talkspurt.speech_to_speech.call.{bound}", least)
    fake.replies.append(ModelReply(("Well. ",) * 20, (ToolUse("get_weather", "{}"),)))
    parts = await caller.reply(ASKED)
    assert 0 < text_of(parts).count("Well.") < 10
    assert not any(isinstance(part, ToolCallPart) for part in parts)
    assert text_of(await caller.reply(ASKED)) == "Certainly. Anything else?"
    assert socket(fake).errors == []


async def test_sound_without_words_and_without_end_is_no_reply(
    fake: FakeOpenAIRealtime, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("talkspurt.speech_to_speech.call.SECONDS_PER_TOKEN", 0.01)
    fake.wordless = True
    fake.replies.append(ModelReply(("Well. ",) * 20))
    with pytest.raises(ProviderError, match="empty"):
        await caller.reply(ASKED)
    fake.wordless = False
    assert text_of(await caller.reply(ASKED)) == "Certainly. Anything else?"
    assert "response.cancel" in socket(fake).kinds()
    assert socket(fake).errors == []


async def test_a_refused_reply_says_so(fake: FakeOpenAIRealtime, caller: Caller) -> None:
    fake.replies.append(ModelReply(status=429))
    with pytest.raises(ProviderError) as failed:
        await caller.reply(ASKED)
    assert failed.value.fault == "rate_limited"
    assert text_of(await caller.reply(ASKED)) == "Certainly. Anything else?"


@pytest.mark.parametrize("nameless", [False, True])
async def test_a_model_that_does_not_take_the_agents_tools_says_nothing_in_its_name(
    fake: FakeOpenAIRealtime, caller: Caller, nameless: bool
) -> None:
    fake.nameless = nameless
    wordy = replace(WEATHER, description="The weather. " * 100)
    own = caller.stages.own_voice
    assert own is not None
    for _ in range(2):
        with pytest.raises(ProviderError, match="string_above_max_length: the agent's instructions or tools") as failed:
            await exhaust(caller.stages.model.reply(caller.request(ASKED, tools=(wordy,))))
        assert (failed.value.fault, failed.value.retryable) == ("rejected", False)
        await asyncio.sleep(0.2)
        assert not own.speaks(caller.replies), "somebody else's words may be found in it"
    assert len(socket(fake).asked) == 1


async def test_a_pace_that_is_refused_ends_no_session(fake: FakeOpenAIRealtime, caller: Caller) -> None:
    await caller.reply(ASKED)
    async for _ in caller.stages.model.reply(caller.request(ASKED, pace=0.85)):
        pass
    [*_, told] = [event for event in socket(fake).received if event["type"] == "session.update"]
    error = {"type": "invalid_request_error", "code": "invalid_value", "message": "", "event_id": told["event_id"]}
    socket(fake).send_text(json.dumps({"type": "error", "event_id": "e1", "error": error}))
    assert text_of(await caller.reply(ASKED)) == "Certainly. Anything else?"


async def test_an_empty_reply_is_an_error(fake: FakeOpenAIRealtime, caller: Caller) -> None:
    fake.replies.append(ModelReply())
    with pytest.raises(ProviderError, match="empty"):
        await caller.reply(ASKED)


async def test_a_session_that_breaks_ends_the_transcripts_and_fails_what_was_asked(
    fake: FakeOpenAIRealtime, caller: Caller
) -> None:
    fake.transcript_delay = 60
    caller.stream.begin(1, 0.0)
    caller.feed(TONE)
    caller.stream.finalize(1, 1)
    await asyncio.sleep(0.1)
    await fake.suffer(Outage.DROPPED)
    transcripts = caller.stream.transcripts()
    async with asyncio.timeout(5):
        assert (await anext(transcripts)).error
        with pytest.raises(ProviderError, match="connection was lost"):
            await anext(transcripts)
    with pytest.raises(ProviderError):
        await caller.reply(ASKED)


async def test_sound_that_stalls_is_given_up(
    fake: FakeOpenAIRealtime, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("talkspurt.speech_to_speech.call.STALL", 0.3)
    fake.replies.append(ModelReply(("Your order left. ", "It arrives."), fault=Fault.STALL))
    reply = cast(Any, caller.stages.model.reply(caller.request(ASKED)))
    assert await anext(reply) == TextDelta("Your order left. ")
    own = caller.stages.own_voice
    assert own is not None
    speech = own.speech(1, "Your order left. It")
    assert speech is None
    with pytest.raises(ProviderError, match="stalled"):
        await caller.sound("Your order left.")
    await reply.aclose()


async def test_what_is_missing_in_the_configuration_is_said() -> None:
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        OpenAIRealtime(NAME, environment={})
    with pytest.raises(ConfigurationError, match="names no model"):
        OpenAIRealtime("openai-realtime:", environment={"OPENAI_API_KEY": KEY})


# ── the wire ──────────────────────────────────────────────────────────────────────


async def test_both_sides_speak_the_types_of_the_sdk(fake: FakeOpenAIRealtime, caller: Caller) -> None:
    fake.replies.append(ModelReply(("Let me look. ",), (ToolUse("get_weather", '{"town": "Ulm"}'),)))
    await caller.says()
    await caller.reply(ASKED)
    fake.replies.append(ModelReply(("It is on its way. ",) * 20))
    long = cast(Any, caller.stages.model.reply(caller.request(ASKED, AgentSaid("Let", interrupted=True))))
    await anext(long)
    await caller.reply(ASKED, ToolCalled("t1", "look", "{}"), ToolAnswered("t1", "look", "{}"))
    client, server = TypeAdapter[Any](RealtimeClientEvent), TypeAdapter[Any](RealtimeServerEvent)
    for event in socket(fake).received:
        assert not unknown(client.validate_python(event)), event
    for event in socket(fake).sent:
        assert not unknown(server.validate_python(event)), event
    kinds = {event["type"] for event in (*socket(fake).received, *socket(fake).sent)}
    assert {"conversation.item.truncate", "conversation.item.delete", "response.cancel", "response.done"} <= kinds


def unknown(read: Any) -> set[str]:
    """Fields that only we know of, at the top or one level below."""
    assert isinstance(read, BaseModel)
    parts = [read, *(value for value in vars(read).values() if isinstance(value, BaseModel))]
    return {name for part in parts for name in (part.model_extra or {})}


@pytest.mark.parametrize("status", [400, 404])
async def test_a_model_that_the_vendor_does_not_know_is_named(fake: FakeOpenAIRealtime, status: int) -> None:
    fake.refuse_with = status
    environment = {"OPENAI_API_KEY": KEY}
    model = OpenAIRealtime("openai-realtime:gpt-reltime-2.1", base_url=fake.base_url, environment=environment)
    with pytest.raises(ProviderError) as failed:
        await model.warm_up()
    told = str(failed.value)
    assert f"HTTP {status}: there may be no model 'gpt-reltime-2.1' there; did you mean" in told
    assert "'openai-realtime:gpt-realtime-2.1'? (or model.base_url is wrong)" in told
    await model.aclose()
