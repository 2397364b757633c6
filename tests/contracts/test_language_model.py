"""What every `LanguageModel` owes its callers, run on each of them.

To join, add an entry to `CASES`: a context that gives a `Case` with one request that is
answered in words and one that is answered with a call of one of its tools.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, cast

import pytest

from talkspurt.agent.dialogue import Dialogue, Intent, Outcome
from talkspurt.agent.small_talk import SMALL_TALK
from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered, ToolCalled
from talkspurt.models.offline import OfflineModel
from talkspurt.models.offline.embedding import WEIGHTS, SentenceEmbedder
from talkspurt.models.offline.understanding import Comprehension
from talkspurt.ports import LanguageModel, ReplyPart, ReplyRequest, TextDelta, ToolCallPart, ToolSpec, Usage
from talkspurt.speech.weights import WeightStore, default_root
from talkspurt.speech_to_speech.gemini_live import GeminiLive
from talkspurt.speech_to_speech.in_text import InText
from talkspurt.speech_to_speech.openai_realtime import OpenAIRealtime
from talkspurt.testing.fakes import FakeGeminiLive, FakeOpenAIRealtime, ModelReply, ToolUse
from talkspurt.testing.fakes.chat import FakeChat
from talkspurt.testing.fakes.gemini_live import Turn
from talkspurt.testing.fakes.openai_realtime import Conversation
from vendors.wires import KEY, WIRES, Wire

WEATHER = ToolSpec(
    "get_weather",
    "The weather in a town.",
    {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
)
GREETING = AgentSaid("Thank you for calling, how can I help?")


@dataclass(frozen=True)
class Case:
    model: LanguageModel
    answered_in_words: ReplyRequest
    answered_with_a_tool: ReplyRequest


def weatherman(fake: type[FakeChat]) -> FakeChat:
    """A vendor that calls the tool when it is offered, else talks."""

    class Weatherman(fake):  # type: ignore[valid-type, misc]
        def pieces(self, body: Any, reply: ModelReply) -> Any:
            use = ToolUse("get_weather", '{"town": "Ulm"}')
            offered = "get_weather" in self.offered(body)
            return super().pieces(body, replace(reply, text=(), tool_uses=(use,)) if offered else reply)

    made: FakeChat = Weatherman(key=KEY)
    return made


@asynccontextmanager
async def cloud(wire: Wire) -> AsyncIterator[Case]:
    async with weatherman(wire.fake) as fake:
        model = wire.connect(fake)
        request = ReplyRequest("You are Sarah.", (GREETING, CallerSaid("What is the weather in Ulm?")), ())
        try:
            yield Case(model, request, replace(request, tools=(WEATHER,)))
        finally:
            await model.aclose()


FORECASTER = Dialogue(
    intents=(
        Intent(
            "weather",
            ("What is the weather in Ulm?", "Will it rain today?", "How warm is it outside?"),
            tool="get_weather",
            arguments={"town": "Ulm"},
            outcomes=(Outcome("It's {sky}."),),
        ),
        *SMALL_TALK,
    )
)


@cache
def comprehension() -> Comprehension:
    """What `warm_up` loads; it keeps no state of a call."""
    return Comprehension(FORECASTER, SentenceEmbedder(WeightStore(default_root()).path(WEIGHTS)))


class Forecaster(OfflineModel):
    """One whose examples were embedded once for all tests, which takes seconds; it has to be warmed up like any."""

    def _load(self) -> Comprehension:
        return comprehension()


@asynccontextmanager
async def offline() -> AsyncIterator[Case]:
    model = Forecaster(FORECASTER, WeightStore(default_root()))
    request = ReplyRequest("You are Sarah.", (GREETING, CallerSaid("What is the weather in Ulm?")), ())
    try:
        yield Case(model, request, replace(request, tools=(WEATHER,)))
    finally:
        await model.aclose()


@asynccontextmanager
async def realtime() -> AsyncIterator[Case]:
    """A model that speaks itself, asked in text: every request is a session that is told the whole history."""

    def answer(conversation: Conversation) -> ModelReply:
        offered = [tool["name"] for tool in conversation.session.get("tools", ())]
        use = ToolUse("get_weather", '{"town": "Ulm"}')
        return ModelReply((), (use,)) if "get_weather" in offered else ModelReply(("It is ", "sunny."))

    async with FakeOpenAIRealtime(answer=answer, key=KEY) as fake:
        fake.speed = 100.0
        vendor = OpenAIRealtime(
            "openai-realtime:some-model", base_url=fake.base_url, environment={"OPENAI_API_KEY": KEY}
        )
        model = InText(vendor)
        request = ReplyRequest("You are Sarah.", (GREETING, CallerSaid("What is the weather in Ulm?")), ())
        try:
            yield Case(model, request, replace(request, tools=(WEATHER,)))
        finally:
            await model.aclose()
            assert [error for session in fake.sockets for error in session.errors] == []


@asynccontextmanager
async def live() -> AsyncIterator[Case]:
    """The same of the vendor whose sessions live for one turn."""

    def answer(turn: Turn) -> ModelReply:
        declared = [each["name"] for tool in turn.setup.get("tools", ()) for each in tool["functionDeclarations"]]
        use = ToolUse("get_weather", '{"town": "Ulm"}')
        return ModelReply((), (use,)) if "get_weather" in declared else ModelReply(("It is ", "sunny."))

    async with FakeGeminiLive(answer=answer, key=KEY) as fake:
        fake.speed = 100.0
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("SSL_CERT_FILE", str(fake.certificate))
            vendor = GeminiLive("gemini-live:some-model", base_url=fake.base_url, environment={"GOOGLE_API_KEY": KEY})
        model = InText(vendor)
        request = ReplyRequest("You are Sarah.", (GREETING, CallerSaid("What is the weather in Ulm?")), ())
        try:
            yield Case(model, request, replace(request, tools=(WEATHER,)))
        finally:
            await model.aclose()


CASES: dict[str, Callable[[], AbstractAsyncContextManager[Case]]] = {
    "offline": offline,
    "openai-realtime": realtime,
    "gemini-live": live,
    **{name: partial(cloud, wire) for name, wire in WIRES.items()},
}


@pytest.fixture(params=sorted(CASES))
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    async with CASES[cast(str, request.param)]() as case:
        yield case


async def collect(model: LanguageModel, request: ReplyRequest) -> list[ReplyPart]:
    async with asyncio.timeout(20):
        return [part async for part in model.reply(request)]


def text_of(parts: list[ReplyPart]) -> str:
    return "".join(part.text for part in parts if isinstance(part, TextDelta))


async def test_words_come_in_pieces_and_usage_comes_last_and_once(case: Case) -> None:
    parts = await collect(case.model, case.answered_in_words)
    assert text_of(parts).strip()
    assert [isinstance(part, Usage) for part in parts] == [False] * (len(parts) - 1) + [True]


async def test_no_piece_of_text_is_empty(case: Case) -> None:
    parts = await collect(case.model, case.answered_in_words)
    assert all(part.text for part in parts if isinstance(part, TextDelta))


async def test_a_tool_call_is_complete_and_of_an_offered_tool(case: Case) -> None:
    parts = await collect(case.model, case.answered_with_a_tool)
    calls = [part for part in parts if isinstance(part, ToolCallPart)]
    assert calls
    for call in calls:
        assert call.tool_call
        assert call.name in {tool.name for tool in case.answered_with_a_tool.tools}
        assert isinstance(json.loads(call.arguments), dict)
    assert isinstance(parts[-1], Usage)


async def test_an_offered_tool_is_not_called_when_it_is_not_offered(case: Case) -> None:
    parts = await collect(case.model, replace(case.answered_with_a_tool, tools=()))
    assert not [part for part in parts if isinstance(part, ToolCallPart)]


async def test_tool_call_ids_are_new_within_the_call(case: Case) -> None:
    history: tuple[Entry, ...] = case.answered_with_a_tool.history
    ids: list[str] = []
    for _ in range(3):
        parts = await collect(case.model, replace(case.answered_with_a_tool, history=history))
        for part in parts:
            if isinstance(part, ToolCallPart):
                ids.append(part.tool_call)
                history += (
                    ToolCalled(part.tool_call, part.name, part.arguments),
                    ToolAnswered(part.tool_call, part.name, "{}"),
                )
        history += (AgentSaid("Anything else?"), case.answered_with_a_tool.history[-1])
    assert ids
    assert len(set(ids)) == len(ids)


async def test_nothing_is_kept_between_requests(case: Case) -> None:
    first = await collect(case.model, case.answered_in_words)
    await collect(case.model, case.answered_with_a_tool)
    again = await collect(case.model, case.answered_in_words)
    assert text_of(first) == text_of(again)


@pytest.mark.parametrize(
    "history",
    [
        (),
        (GREETING,),
        (GREETING, AgentSaid("Are you still there?")),
        (GREETING, CallerSaid("Yes."), CallerSaid("12345", "keypad"), CallerSaid("  ")),
        (GREETING, CallerSaid("Hi"), AgentSaid("Let me", interrupted=True), CallerSaid("No wait")),
        (GREETING, CallerSaid("Hi"), ToolCalled("a", "get_weather", '{"town":"Ulm"}')),
        (GREETING, ToolCalled("a", "get_weather", "{}"), CallerSaid("Hello?"), ToolAnswered("a", "get_weather", "{}")),
        (ToolAnswered("lost", "get_weather", '{"sun": true}'), CallerSaid("Well?")),
        (
            CallerSaid("Send it back"),
            ToolCalled("a", "odd name!", "not json"),
            ToolAnswered("a", "odd name!", '{"status":"needs_yes"}'),
            AgentSaid("Shall I?"),
            CallerSaid("Yes"),
            ToolAnswered("a", "odd name!", '{"status":"done"}'),
        ),
    ],
    ids=lambda history: "-".join(type(entry).__name__ for entry in history) or "empty",
)
async def test_any_history_of_a_call_is_accepted(case: Case, history: tuple[Entry, ...]) -> None:
    parts = await collect(case.model, replace(case.answered_in_words, history=history))
    assert isinstance(parts[-1], Usage)


async def test_a_reply_can_be_left_at_any_piece_and_the_model_goes_on(case: Case) -> None:
    async with aclosing(cast(Any, case.model.reply(case.answered_in_words))) as reply:
        await anext(reply)
    assert text_of(await collect(case.model, case.answered_in_words)).strip()


async def test_a_reply_that_nobody_reads_costs_nothing(case: Case) -> None:
    reply = cast(Any, case.model.reply(case.answered_in_words))
    await reply.aclose()
    assert text_of(await collect(case.model, case.answered_in_words)).strip()


async def test_replies_at_the_same_time_do_not_mix(case: Case) -> None:
    async with asyncio.TaskGroup() as group:
        words = [group.create_task(collect(case.model, case.answered_in_words)) for _ in range(3)]
        tools = [group.create_task(collect(case.model, case.answered_with_a_tool)) for _ in range(3)]
    assert len({text_of(task.result()) for task in words}) == 1
    for task in words:
        assert not [part for part in task.result() if isinstance(part, ToolCallPart)]
    for task in tools:
        assert [part for part in task.result() if isinstance(part, ToolCallPart)]


async def test_it_is_warm_after_warm_up_and_can_be_closed_twice(case: Case) -> None:
    await case.model.warm_up()
    assert text_of(await collect(case.model, case.answered_in_words)).strip()
    await case.model.aclose()
    await case.model.aclose()
