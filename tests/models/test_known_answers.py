"""Answers to common questions are told again; nothing that may be about somebody is kept."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

import pytest

from ladder.rungs import Step, StepModel, rung
from talkspurt import Agent
from talkspurt.config import Config
from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered, ToolCalled
from talkspurt.errors import ProviderError
from talkspurt.ladder import LadderModel, create_model
from talkspurt.models.known_answers import CALLS, LIFE, KnownAnswers, question_words
from talkspurt.ports import ReplyPart, ReplyRequest, TextDelta, ToolCallPart, ToolSpec, Usage
from talkspurt.speech.inference import Purpose, context_for
from talkspurt.telemetry.usage import METER, Meter, MeteredModel
from talkspurt.testing.virtual_time import run_virtual

GREETING = AgentSaid("Thanks for calling. How can I help?")
TOOLS = (ToolSpec("find_order", "Find an order.", {"type": "object"}),)
QUESTION = "What are your opening hours?"


def asking(question: str = QUESTION, *before: Entry) -> ReplyRequest:
    history = (*(before or (GREETING,)), CallerSaid(question, "voice"))
    return ReplyRequest("Be kind.", history, TOOLS, caller_facts="Today is Monday.")


class Clerk:
    """Answers everything with the number of the question, or as it is told."""

    def __init__(self, *parts: ReplyPart | Exception, name: str = "any:model") -> None:
        self.parts = parts
        self.name = name
        self.asked = 0
        self.closed = 0

    async def warm_up(self) -> None:
        """Nothing to do."""

    async def reply(self, request: ReplyRequest, /) -> AsyncGenerator[ReplyPart, None]:
        self.asked += 1
        for part in self.parts or (TextDelta("From nine "), TextDelta(f"to five. {'I' * self.asked}")):
            if isinstance(part, Exception):
                raise part
            yield part
        yield Usage(input_tokens=100, output_tokens=10, cached_tokens=80, model=self.name)

    async def aclose(self) -> None:
        self.closed += 1


async def ask(model: KnownAnswers, request: ReplyRequest, call: str, meter: Meter | None = None) -> str:
    """What a call hears."""

    async def hear() -> str:
        METER.set(meter)
        said = ""
        async with aclosing(model.reply(request)) as parts:
            async for part in parts:
                said += part.text if isinstance(part, TextDelta) else ""
        return said

    return await asyncio.create_task(hear(), context=context_for(Purpose(call)))


def answers(
    clerk: Clerk, requests: Sequence[ReplyRequest], *, calls: Sequence[str] = (), capacity: int = 10
) -> list[str]:
    """What successive calls hear of one model."""

    async def scenario() -> list[str]:
        model = KnownAnswers(clerk, "any:model", capacity=capacity)
        names = calls or [f"c{number}" for number in range(len(requests))]
        return [await ask(model, request, call) for request, call in zip(requests, names, strict=True)]

    return run_virtual(scenario())


def test_what_enough_calls_have_asked_is_not_asked_of_the_model_again() -> None:
    clerk = Clerk()
    heard = answers(clerk, [asking()] * (CALLS + 2))
    assert clerk.asked == CALLS
    assert heard[-2:] == [heard[CALLS - 1]] * 2


def test_the_same_words_are_the_same_question_however_they_are_written() -> None:
    clerk = Clerk()
    ways = ["what are your opening hours", "What are your opening hours?", "What are your, opening hours."]
    answers(clerk, [asking(way) for way in (*ways, *ways)])
    assert clerk.asked == CALLS


def test_one_caller_makes_no_common_question() -> None:
    clerk = Clerk()
    answers(clerk, [asking()] * 6, calls=["c1"] * 6)
    assert clerk.asked == 6


@pytest.mark.parametrize(
    "other",
    [
        replace(asking(), instructions="Be brief."),
        replace(asking(), tools=(replace(TOOLS[0], description="Find orders."),)),
        replace(asking(), tools=()),
        replace(asking(), caller_facts="Today is Tuesday."),
        replace(asking(), locale="en-GB"),
        asking(QUESTION, AgentSaid("Hello. Are you calling about an order?")),
        asking("What are your closing hours?"),
    ],
    ids=["instructions", "tool", "no tools", "day", "locale", "greeting", "words"],
)
def test_another_prompt_is_another_question(other: ReplyRequest) -> None:
    clerk = Clerk()
    answers(clerk, [*[asking()] * CALLS, other])
    assert clerk.asked == CALLS + 1


@pytest.mark.parametrize(
    "request_",
    [
        asking("And on Sunday?", GREETING, CallerSaid(QUESTION, "voice"), AgentSaid("From nine to five.")),
        asking(QUESTION, GREETING, ToolCalled("t1", "verify", "{}"), ToolAnswered("t1", "verify", "{}")),
        asking(QUESTION, AgentSaid("Thanks for", interrupted=True)),
        replace(asking(), history=(GREETING, CallerSaid("what are your opening hours", "keypad"))),
        replace(asking(), history=(GREETING, ToolCalled("t1", "look", "{}"), ToolAnswered("t1", "look", "{}"))),
        replace(asking(), locale="de-DE"),
        asking("Where is my order?"),
        asking("Where is order W123?"),
    ],
    ids=["later turn", "tool", "cut off", "keys", "after a tool", "language", "mine", "number"],
)
def test_what_may_hang_on_the_caller_is_always_asked(request_: ReplyRequest) -> None:
    clerk = Clerk()
    answers(clerk, [request_] * (CALLS + 2))
    assert clerk.asked == CALLS + 2


@pytest.mark.parametrize(
    "parts",
    [
        (TextDelta("Let me see."), ToolCallPart("t1", "find_order", "{}")),
        (ToolCallPart("t1", "end_call", "{}"),),
        (TextDelta("Call 555 0100 now."),),
        (TextDelta("Write to ann@example.com."),),
        (TextDelta("Well. " * 200),),
        (TextDelta("Our returns are free within"), Usage(100, 10, model="any:model", cut_off=True)),
        (TextDelta("  "),),
        (),
    ],
    ids=["tool", "goodbye", "number", "address", "long", "cut off", "nothing", "a fallback's"],
)
def test_what_is_no_plain_answer_of_the_configured_model_is_not_kept(parts: tuple[ReplyPart, ...]) -> None:
    clerk = Clerk(*parts, name="any:model" if parts else "another:model")
    answers(clerk, [asking()] * (CALLS + 2))
    assert clerk.asked == CALLS + 2


def test_an_answer_that_broke_off_is_not_kept() -> None:
    clerk = Clerk(TextDelta("From nine "), ProviderError("model", "any", "broke off"))

    async def scenario() -> None:
        model = KnownAnswers(clerk, "any:model", capacity=10)
        for call in range(CALLS + 2):
            with pytest.raises(ProviderError):
                await ask(model, asking(), f"c{call}")

    run_virtual(scenario())
    assert clerk.asked == CALLS + 2


def test_a_caller_who_hangs_up_in_the_middle_leaves_no_half_answer() -> None:
    clerk = Clerk()

    async def scenario() -> None:
        model = KnownAnswers(clerk, "any:model", capacity=10)
        for call in range(CALLS + 1):

            async def hear() -> None:
                async with aclosing(model.reply(asking())) as parts:
                    async for _ in parts:
                        return

            await asyncio.create_task(hear(), context=context_for(Purpose(f"c{call}")))
        await ask(model, asking(), "last")

    run_virtual(scenario())
    assert clerk.asked == CALLS + 2


def test_an_answer_is_good_for_an_hour() -> None:
    clerk = Clerk()

    async def scenario() -> None:
        model = KnownAnswers(clerk, "any:model", capacity=10)
        for call in range(CALLS + 1):
            await ask(model, asking(), f"c{call}")
        assert clerk.asked == CALLS
        await asyncio.sleep(LIFE + 1)
        await ask(model, asking(), "late")
        assert clerk.asked == CALLS + 1

    run_virtual(scenario())


def test_no_more_is_kept_than_may_be_and_what_was_asked_longest_ago_goes() -> None:
    clerk = Clerk()
    questions = ["Do you sell lamps?", "Do you sell chairs?", "Do you sell tables?"]
    requests = [asking(question) for question in questions for _ in range(CALLS)]
    answers(clerk, [*requests, asking(questions[2]), asking(questions[0])], capacity=2)
    assert clerk.asked == 3 * CALLS + 1


def test_what_was_spared_is_metered() -> None:
    async def scenario() -> None:
        model = KnownAnswers(MeteredModel(Clerk(), "any:model"), "any:model", capacity=10)
        for call in range(CALLS):
            await ask(model, asking(), f"c{call}")
        meter = Meter()
        await ask(model, asking(), "last", meter)
        assert dict(meter.used) == {("model", "any:model", "spared"): 110.0}

    run_virtual(scenario())


def test_what_is_known_is_told_when_no_model_answers() -> None:
    whole: list[Step] = [TextDelta("From nine."), Usage(1, 1, model="any:model")]
    first = StepModel(*[whole] * CALLS, [ProviderError("model", "any", "down")])

    async def scenario() -> None:
        model = KnownAnswers(LadderModel([rung("a", first)]), "any:model", capacity=10)
        for call in range(CALLS + 3):
            assert await ask(model, asking(), f"c{call}") == "From nine."
        with pytest.raises(ProviderError):
            await ask(model, asking("Do you sell lamps?"), "other")

    run_virtual(scenario())


def test_it_is_off_unless_wanted_and_never_before_a_local_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    agent = Agent(name="Ann", prompt="Be kind.", greeting="Hello.")
    assert not isinstance(create_model(Config(model={"name": "openai:gpt-5-mini"}), agent), KnownAnswers)
    wanted = create_model(Config(model={"name": "openai:gpt-5-mini", "known_answers": 100}), agent)
    assert isinstance(wanted, KnownAnswers)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("What are your opening hours?", "what are your opening hours"),
        ("Hello. Do you ship to Alaska?", None),
        ("Are you open on Sundays? On Sunday?", None),
        ("Are you open on Sunday?", "are you open on sunday"),
        ("How long do I have to return something?", "how long do i have to return something"),
        ("What\u2019s your address?", "what's your address"),
        ("My name is Ann.", None),
        ("I'm calling about a lamp.", None),
        ("Is order 7 there?", None),
        ("It is double you two three.", None),
        ("It's A as in apple, b, c.", None),
        ("This is Ann.", None),
        ("Can Ann Smith return it?", None),
        ("ann at example dot com", None),
        ("write to ann@example.com", None),
        ("", None),
        ("?!", None),
        ("so " * 100, None),
    ],
)
def test_a_question_that_may_be_about_somebody_is_none(text: str, words: str | None) -> None:
    assert question_words(text) == words
