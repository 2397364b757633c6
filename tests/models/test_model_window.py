"""What does not fit a model's window: refused at the start, shortened in a call, and learnt from the vendor's no."""

import pytest

from talkspurt.agent import Agent
from talkspurt.config import Config
from talkspurt.core.history import AgentSaid, CallerSaid, Entry
from talkspurt.effects.dispatcher import tool_specs
from talkspurt.errors import ConfigurationError, ProviderError
from talkspurt.models.pydantic_ai import BUILT_IN_TOOLS
from talkspurt.models.window import LEFT_OUT, tokens_of_tools
from talkspurt.ports import ReplyRequest, Usage
from talkspurt.testing.fakes import FakeOpenAI, ModelReply
from talkspurt.testing.fakes.chat import require
from vendors.wires import KEY, WIRES


class SmallWindow(FakeOpenAI):
    """A server that takes so many bytes and no more."""

    takes = 6_000

    def validate(self, body: object, headers: object) -> None:
        super().validate(body, headers)  # type: ignore[arg-type]
        require(len(str(body)) <= self.takes, "This model's maximum context length is 1024 tokens.")


def long_call(turns: int) -> tuple[Entry, ...]:
    history: list[Entry] = []
    for number in range(turns):
        history += [CallerSaid(f"Question {number}. " + "and so on " * 8), AgentSaid("An answer. " * 8)]
    return (*history, CallerSaid("The last question."))


def test_instructions_that_are_too_long_alone_stop_the_start() -> None:
    model = WIRES["openai"].connect(FakeOpenAI(key=KEY), context_window=2_000)
    added = tokens_of_tools(tool_specs(Agent(name="brief", prompt="Be kind.", greeting="Hello.")))
    assert added <= BUILT_IN_TOOLS < 2 * added
    model.require_room(Agent(name="brief", prompt="Be kind.", greeting="Hello."))
    with pytest.raises(ConfigurationError, match=r"agent 'wordy': its prompt and tools take about \d+ tokens"):
        model.require_room(Agent(name="wordy", prompt="Be kind. " * 2_000, greeting="Hello."))


@pytest.mark.parametrize(
    ("window", "of_the_first", "of_the_second"),
    [(50_000, 50_000, None), ({"ollama:qwen3": 16_384}, None, 16_384), (None, None, None)],
)
def test_a_window_is_that_of_one_model(
    window: int | dict[str, int] | None, of_the_first: int | None, of_the_second: int | None
) -> None:
    model = {"name": "anthropic:claude-sonnet-4-5", "context_window": window}
    config = Config.model_validate({"model": model, "fallbacks": {"models": ["ollama:qwen3"]}})
    assert config.model.window == of_the_first
    assert config.model.model_copy(update={"name": "ollama:qwen3"}).window == of_the_second


async def test_a_call_over_the_window_is_sent_without_its_oldest_turns() -> None:
    async with FakeOpenAI(key=KEY) as fake:
        model = WIRES["openai"].connect(fake, context_window=1_500)
        parts = [part async for part in model.reply(ReplyRequest("Be kind.", long_call(60), ()))]
        await model.aclose()
    sent = str(fake.requests[0].body)
    assert isinstance(parts[-1], Usage)
    assert LEFT_OUT in sent
    assert "The last question." in sent
    assert "Question 0." not in sent
    assert len(sent) < 1_500 * 4


async def test_a_vendors_no_is_learnt_and_the_question_asked_again_shorter() -> None:
    async with SmallWindow(key=KEY, otherwise=ModelReply(text=("Yes.",))) as fake:
        model = WIRES["openai"].connect(fake, context_window=2_600)
        request = ReplyRequest("Be kind.", long_call(36), ())
        assert [part async for part in model.reply(request)]
        assert len(fake.requests) == 2
        assert len(str(fake.requests[1].body)) < len(str(fake.requests[0].body))
        assert [part async for part in model.reply(request)]
        assert len(fake.requests) == 3, "what was learnt is kept"
        await model.aclose()


async def test_what_cannot_be_shortened_is_an_error_that_says_so() -> None:
    async with SmallWindow(key=KEY) as fake:
        model = WIRES["openai"].connect(fake, context_window=100_000)
        with pytest.raises(ProviderError) as caught:
            async for _ in model.reply(ReplyRequest("Be kind. " * 2_000, (CallerSaid("Hi."),), ())):
                pass
        later = [part async for part in model.reply(ReplyRequest("Be kind.", long_call(10), ()))]
        await model.aclose()
    assert isinstance(later[-1], Usage)
    assert LEFT_OUT not in str(fake.requests[-1].body), "other calls are not cut short for it"
    assert (caught.value.fault, caught.value.retryable) == ("too_long", False)
