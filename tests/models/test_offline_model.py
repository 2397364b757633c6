"""The offline brain's edges: configuration, missing weights, any history at all."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from talkspurt.agent import Agent
from talkspurt.agent.dialogue import Dialogue, Intent, Outcome, Slot, Verification
from talkspurt.config import Config, SpeechConfig
from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered, ToolCalled
from talkspurt.errors import ConfigurationError, WeightsError
from talkspurt.models import create_model
from talkspurt.models.offline import OfflineModel
from talkspurt.models.offline.embedding import WEIGHTS, SentenceEmbedder
from talkspurt.models.offline.model import stand
from talkspurt.models.offline.policy import Policy
from talkspurt.models.offline.standing import Act
from talkspurt.models.offline.understanding import Comprehension
from talkspurt.ports import ReplyRequest, TextDelta
from talkspurt.retail import create_agent
from talkspurt.retail.dialogue import DIALOGUE
from talkspurt.speech.weights import WeightStore

HOURS = Intent("hours", ("When are you open?",), say="Nine to five.")


def test_an_agent_without_a_dialogue_is_told_what_to_do() -> None:
    agent = Agent(name="Mute", prompt="Help.", greeting="Hello.")
    with pytest.raises(ConfigurationError, match=r"'Mute' has no dialogue.*model\.name"):
        OfflineModel.from_config(Config(), agent)


def test_a_dialogue_that_calls_a_tool_the_agent_lacks_is_refused() -> None:
    agent = Agent(name="Sarah", prompt="Help.", greeting="Hello.", dialogue=DIALOGUE)
    with pytest.raises(ConfigurationError, match=r"check_order_status.*not among its tools"):
        OfflineModel.from_config(Config(), agent)


async def test_the_bundled_agent_runs_on_it_by_default() -> None:
    model = create_model(Config(), create_agent("sqlite+aiosqlite://"))
    assert isinstance(model, OfflineModel)
    await model.aclose()
    await model.aclose()


async def test_missing_weights_are_an_error_that_says_how_to_get_them(tmp_path: Path) -> None:
    agent = create_agent("sqlite+aiosqlite://")
    model = OfflineModel.from_config(Config(speech=SpeechConfig(weights_dir=tmp_path)), agent)
    with pytest.raises(WeightsError, match="talkspurt models pull"):
        await model.warm_up()
    await model.aclose()


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (lambda: Dialogue(intents=()), "at least one intent"),
        (lambda: Dialogue(intents=(HOURS, HOURS)), "two intents are named 'hours'"),
        (lambda: Dialogue(intents=(replace(HOURS, examples=()),)), "needs at least one example"),
        (lambda: Dialogue(intents=(replace(HOURS, say=()),)), "neither calls a tool nor says anything"),
        (lambda: Dialogue(intents=(replace(HOURS, tool="look"),)), "has no outcomes"),
        (lambda: Dialogue(intents=(replace(HOURS, slots=("day",)),)), "unknown slot 'day'"),
        (lambda: Dialogue(intents=(HOURS,), slots=(Slot("id", "identifier", ask="?"),)), "needs a pattern"),
        (lambda: Dialogue(intents=(HOURS,), slots=(Slot("id", "identifier", ask="?", pattern="("),)), "no regular"),
        (lambda: Dialogue(intents=(HOURS,), slots=(Slot("size", "choice", ask="?"),)), "needs choices or options"),
        (lambda: Dialogue(intents=(HOURS,), slots=(Slot("a", "zip", ask="?"),) * 2), "two slots are named 'a'"),
        (lambda: Dialogue(intents=(HOURS,), verification=Verification("v", (("pin",),))), "unknown slot 'pin'"),
        (lambda: Dialogue(intents=(HOURS,), person="nobody"), "unknown intent 'nobody'"),
    ],
)
def test_a_dialogue_that_leads_nowhere_is_refused_when_it_is_made(mistake: object, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        mistake()  # type: ignore[operator]


def test_a_dialogue_names_the_tools_it_calls() -> None:
    tool = replace(HOURS, tool="look", outcomes=(Outcome("Nine."),))
    assert Dialogue(intents=(tool,)).tools() == {"look"}
    assert "find_order" in DIALOGUE.tools()
    assert "verify_caller" in DIALOGUE.tools()


@pytest.fixture(scope="module")
def brain(weight_store: WeightStore) -> tuple[Policy, Comprehension]:
    return Policy(DIALOGUE), Comprehension(DIALOGUE, SentenceEmbedder(weight_store.path(WEIGHTS)))


_said = st.sampled_from(
    [
        "Where is my order?",
        "W2378156",
        "I want to return the lamp",
        "I don't have it",
        "yes",
        "no",
        "hmm",
        "",
        "19122",
        "both",
        "the first one",
        "hold on",
        "what?",
        "get me a person",
        "my email is a at b dot com",
        "my name is Ann Li",
        "thanks",
        "goodbye",
        "what's the weather",
        "give it back and get my money",
    ]
)
_results = st.sampled_from(
    [
        {"match": "exact", "order_id": "W2378156"},
        {"match": "close", "order_id": "W2378156"},
        {"match": "none", "order_id": None},
        {"match": "exact"},
        {"verified": True, "first_name": "Ann"},
        {"verified": False},
        {"order_id": "W2378156", "status": "delivered", "items": [{"name": "Lamp"}, {"name": "Kettle"}], "total": "$5"},
        {"items": []},
        {"items": "nonsense", "orders": [None, 3, {"order_id": None}]},
        {"orders": [{"order_id": "W1", "status": "lost"}]},
        {"status": "confirmation_required", "read_back": "Shall I?"},
        {"status": "return requested", "items": ["Lamp"]},
        {"handed_over": True, "message": "One moment."},
        {"error": {"kind": "verification_required", "message": "m"}},
        {"error": {"kind": "refused", "message": "That can't be returned."}},
        {"error": {"kind": "attempts_exhausted", "message": "m"}},
        {"error": {"kind": "timeout"}},
        {"error": "odd"},
        {},
    ]
)
_tools = st.sampled_from([*sorted(DIALOGUE.tools()), "end_call", "unknown"])


@st.composite
def _histories(draw: st.DrawFn) -> tuple[Entry, ...]:
    """Histories of any order; half of the tool answers are to whatever the brain itself would have called."""
    entries: list[Entry] = []
    for _ in range(draw(st.integers(1, 12))):
        match draw(st.sampled_from(["caller", "caller", "keypad", "agent", "tool", "ours", "ours"])):
            case "caller":
                entries.append(CallerSaid(draw(_said)))
            case "keypad":
                entries.append(CallerSaid(draw(st.text("0123456789*#", max_size=9)), "keypad"))
            case "agent":
                entries.append(AgentSaid(draw(st.sampled_from(["Could you", "Anything else?"])), draw(st.booleans())))
            case "tool":
                name = draw(_tools)
                entries.append(
                    ToolCalled("x", name, draw(st.sampled_from(["{}", '{"order_id":"W1"}', "broken", "[]"])))
                )
                entries.append(ToolAnswered("x", name, json.dumps(draw(_results))))
            case _:
                entries.append(ToolAnswered("?", "?", json.dumps(draw(_results))))
    return tuple(entries)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_histories())
def test_no_history_is_too_strange(brain: tuple[Policy, Comprehension], entries: tuple[Entry, ...]) -> None:
    policy, comprehension = brain
    history: tuple[Entry, ...] = ()
    act = Act()
    for entry in entries:
        if isinstance(entry, ToolAnswered) and entry.name == "?":
            if act.call is None:
                continue
            called = ToolCalled("o", act.call.tool, json.dumps(act.call.arguments))
            history += (called, replace(entry, tool_call="o", name=act.call.tool))
        else:
            history += (entry,)
        _, act = stand(history, policy, comprehension, "en-US")
        if isinstance(entry, CallerSaid):
            assert act.text or act.call, "a turn of the caller is always answered"
        assert not any(sign in act.text for sign in "{}")


@pytest.fixture
async def model(weight_store: WeightStore) -> AsyncIterator[OfflineModel]:
    model = OfflineModel(DIALOGUE, weight_store)
    yield model
    await model.aclose()


async def test_text_is_streamed_sentence_by_sentence(model: OfflineModel) -> None:
    history = (CallerSaid("What's the weather like today?"),)
    parts = [part async for part in model.reply(ReplyRequest("", history, ()))]
    texts = [part.text for part in parts if isinstance(part, TextDelta)]
    assert len(texts) > 1
    assert all(text.rstrip()[-1] in ".?!" for text in texts)
