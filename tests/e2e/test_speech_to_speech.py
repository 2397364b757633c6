"""Whole calls with models that hear, think and speak themselves: the vendors on loopback, everything else as it is."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from e2e.counter import DONE
from e2e.e2e_server import Server, running_server
from talkspurt.simulate.caller import run_script
from talkspurt.simulate.lines import HangUp, Interrupt, Say, Wait
from talkspurt.simulate.report import CallReport
from talkspurt.speech_to_speech.letters import letters
from talkspurt.testing.fakes import (
    FakeDeepgram,
    FakeElevenLabs,
    FakeGeminiLive,
    FakeOpenAI,
    FakeOpenAIRealtime,
    ModelReply,
    Outage,
    ToolUse,
)
from talkspurt.testing.fakes.gemini_live import Turn
from talkspurt.testing.fakes.openai_realtime import Conversation, heard_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="session")]

TESTS = Path(__file__).resolve().parents[1]
STORY = (
    "We have been selling shoes in this town for a hundred years. ",
    "My grandfather opened the first shop beside the river. ",
    "It was flooded twice and burned down once. ",
    "Since then we have been here on the hill.",
)
HEARD = ("what are your hours on monday", "tell me your story", "wait please cancel my order", "yes please", "and now")
"""What the caller is understood to say, line by line: each is said without a pause, so that none is heard in two."""
SCRIPT = (
    Say("What are your hours?"),
    Say("Tell me more."),
    Interrupt("Please stop it now.", after=5.0),
    Say("Yes."),
    Say("And now?"),
    Wait(3),
    Say("Are you there?"),
    Wait(3),
    HangUp(),
)


@dataclass
class Thinking:
    """What either vendor's model makes of what it hears."""

    last: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it was asked for the reply in whose middle it dies."""

    def decide(self, words: str, answers: str) -> ModelReply:
        if "until six" in answers and "hours" in words:
            return ModelReply(("We are open until six.",))
        if "cancelled" in answers and "yes" in words:
            return ModelReply(("It is cancelled.",))
        if "hours" in words:
            return ModelReply(("Let me see.",), (ToolUse("opening_hours", '{"day": "Monday"}'),))
        if "cancel" in words:
            return ModelReply((), (ToolUse("cancel_order", '{"order_id": "W1"}'),))
        if "now" in words:
            self.last.set()
        return ModelReply(STORY)

    def by_item(self, conversation: Conversation) -> ModelReply:
        words = [item.text for item in conversation.items if item.kind == "user"][-1]
        answers = [item.text for item in conversation.items if item.kind == "function_call_output"]
        return self.decide(words, answers[-1] if answers else "")

    def by_turn(self, turn: Turn) -> ModelReply:
        told = [text for role, text in turn.history if role == "user" and not text.startswith("(")]
        # What is not told in words it hears.
        words = turn.said or HEARD[len(told)]
        if words.startswith("("):
            words = told[-1]
        answers = [text for _, text in turn.history if text.startswith("(The tool")]
        return self.decide(words, json.dumps(turn.responses) if turn.responses else "".join(answers[-1:]))


@dataclass
class Held:
    """A call that was held, and what is known of it."""

    server: Server
    report: CallReport
    turns: list[tuple[str, dict[str, object]]]

    @property
    def spoken(self) -> list[str]:
        """What was heard of the agent, each time until somebody else had the floor or a tool was asked."""
        parted = [str(content["text"]) if kind == "agent_said" else "\n" for kind, content in self.turns]
        return [said.strip() for said in " ".join(parted).split("\n") if said.strip()]


async def hold(folder: Path, vendor: str, url: str, thinking: Thinking, die: Callable[[], Awaitable[None]]) -> Held:
    """The call, at whose end the vendor dies in the middle of a sentence."""
    async with AsyncExitStack() as stack:
        chat = await stack.enter_async_context(FakeOpenAI(otherwise=ModelReply(("Somebody else is here now.",))))
        # It takes over with the last seconds of the line, in which the caller may be heard once more.
        heard = (*HEARD, "are you there") if vendor == "gemini-live" else ("are you there", "are you there")
        deepgram = await stack.enter_async_context(FakeDeepgram(heard))
        elevenlabs = await stack.enter_async_context(FakeElevenLabs())
        configuration = f"""
            [model]
            name = "{vendor}:some-model"
            base_url = {{ {vendor} = "{url}", openai = "{chat.base_url}" }}
            [fallbacks]
            models = ["openai:some-model"]
            [speech]
            recognizer = "deepgram"
            synthesizer = "elevenlabs"
            turn_detector = "none"
            [speech.base_url]
            deepgram = "{deepgram.base_url}"
            elevenlabs = "{elevenlabs.base_url}"
            [agents]
            counter = "e2e.counter:agent"
            [[numbers]]
            number = "*"
            agent = "counter"
        """
        keys = dict.fromkeys(("OPENAI_API_KEY", "GOOGLE_API_KEY", "DEEPGRAM_API_KEY"), "test-key")
        path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
        more = {"ELEVENLABS_API_KEY": elevenlabs.key, DONE: str(folder / "done"), "PYTHONPATH": path}
        certificate = folder / "certificate.pem"
        if certificate.exists():
            more["SSL_CERT_FILE"] = str(certificate)
        server = await stack.enter_async_context(running_server(folder, configuration=configuration, **keys, **more))
        calling = asyncio.create_task(run_script(server.url, SCRIPT))
        dying = asyncio.create_task(_die(thinking, die))
        report = await calling
        dying.cancel()
        # What was used is written behind the end of the call.
        await asyncio.sleep(0.5)
        rows = server.store("SELECT kind, content FROM turns ORDER BY n")
        return Held(server, report, [(str(kind), json.loads(str(content))) for kind, content in rows])


async def _die(thinking: Thinking, die: Callable[[], Awaitable[None]]) -> None:
    await thinking.last.wait()
    await asyncio.sleep(1.0)
    await die()


@pytest.fixture(scope="session")
async def realtime() -> AsyncIterator[FakeOpenAIRealtime]:
    async with FakeOpenAIRealtime(HEARD) as fake:
        yield fake


@pytest.fixture(scope="session")
async def live() -> AsyncIterator[FakeGeminiLive]:
    async with FakeGeminiLive() as fake:
        yield fake


@pytest.fixture(scope="session")
async def calls(
    realtime: FakeOpenAIRealtime, live: FakeGeminiLive, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, asyncio.Task[Held]]]:
    """A call with each vendor, at the same time."""
    first, second = Thinking(), Thinking()
    realtime.answer, live.answer = first.by_item, second.by_turn

    async def realtime_dies() -> None:
        await realtime.suffer(Outage.REFUSED)
        realtime.drop()

    async def live_dies() -> None:
        live.outage = Outage.SERVER_ERROR
        live.drop()

    folders = {name: tmp_path_factory.mktemp(name) for name in ("openai-realtime", "gemini-live")}
    (folders["gemini-live"] / "certificate.pem").write_bytes(live.certificate.read_bytes())
    started = {
        "openai-realtime": asyncio.create_task(
            hold(folders["openai-realtime"], "openai-realtime", realtime.base_url, first, realtime_dies)
        ),
        "gemini-live": asyncio.create_task(
            hold(folders["gemini-live"], "gemini-live", live.base_url, second, live_dies)
        ),
    }
    yield started
    await asyncio.gather(*started.values(), return_exceptions=True)


VENDORS = pytest.mark.parametrize("vendor", ["openai-realtime", "gemini-live"])


@VENDORS
async def test_a_turn_with_a_tool_is_answered_in_the_models_voice(
    calls: dict[str, asyncio.Task[Held]], vendor: str
) -> None:
    call = await calls[vendor]
    assert ("caller_said", {"text": HEARD[0], "source": "voice"}) in call.turns, call.turns
    assert "We are open until six." in call.spoken, call.spoken
    assert [content["name"] for kind, content in call.turns if kind == "tool_called"][:1] == ["opening_hours"]
    # Its sound is counted; nothing of the model's was synthesized by anybody else, up to its end.
    units = {
        unit for (unit,) in call.server.store("SELECT unit FROM usage WHERE vendor = :v", v=f"{vendor}:some-model")
    }
    assert {"input", "output", "audio_input", "audio_output"} <= units


@VENDORS
async def test_an_effect_is_read_back_and_executed_once_behind_a_yes(
    calls: dict[str, asyncio.Task[Held]], vendor: str
) -> None:
    call = await calls[vendor]
    assert "I will cancel order W1 for you. Shall I go ahead?" in call.spoken, call.spoken
    assert (call.server.folder / "done").read_text(encoding="utf-8").splitlines() == ["W1"]
    assert call.server.store("SELECT tool, state FROM effects") == [("cancel_order", "done")]
    assert "It is cancelled." in call.spoken, call.spoken


@VENDORS
async def test_history_has_of_a_story_that_was_cut_off_what_was_played_of_it(
    calls: dict[str, asyncio.Task[Held]], vendor: str
) -> None:
    call = await calls[vendor]
    told, interrupting = call.report.turns[2], call.report.turns[3]
    assert told.answered is not None
    assert interrupting.stopped_after is not None
    played = heard_of("".join(STORY), interrupting.began + interrupting.stopped_after - told.answered)
    cut = next(text for text in call.spoken if text.startswith("We have been selling"))
    assert "".join(STORY).startswith(cut)
    assert abs(len(cut.split()) - len(played.split())) <= 2, (cut, played)


async def test_openais_conversation_is_ours_at_every_request(
    calls: dict[str, asyncio.Task[Held]], realtime: FakeOpenAIRealtime
) -> None:
    call = await calls["openai-realtime"]
    session = next(session for session in realtime.sockets if session.asked)
    assert session.errors == []
    words = session.asked[-1].words
    assert [letters(text) for kind, text in words if kind == "user"] == [letters(text) for text in HEARD]
    cut = next(text for text in call.spoken if text.startswith("We have been selling"))
    kept = next(text for kind, text in words if kind == "assistant" and "We have been selling" in text)
    assert "".join(STORY).startswith(kept)
    assert abs(len(kept.split()) - len(cut.split())) <= 1, (kept, cut)


async def test_gemini_is_told_what_was_heard_and_hears_the_last_words(
    calls: dict[str, asyncio.Task[Held]], live: FakeGeminiLive
) -> None:
    call = await calls["gemini-live"]
    last = live.turns[-1]
    assert last.audio_s > 0.3
    cut = next(text for text in call.spoken if text.startswith("We have been selling"))
    assert ("model", cut + "—") in last.history
    assert [text for role, text in last.history if role == "user" and not text.startswith("(")] == list(HEARD[:4])


@VENDORS
async def test_a_vendor_that_dies_in_the_middle_of_a_sentence_ends_no_call(
    calls: dict[str, asyncio.Task[Held]], vendor: str
) -> None:
    call = await calls[vendor]
    assert "Somebody else is here now." in call.spoken[-1], call.spoken
    assert ("caller_said", {"text": "are you there", "source": "voice"}) in call.turns, call.turns
    assert call.report.turns[-1].latency is not None, call.report.failures
