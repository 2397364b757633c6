"""The chat models through the vendors' real SDKs, against fakes that speak their wire formats."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from talkspurt.agent.agent import Agent
from talkspurt.config import Config, ModelConfig
from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered, ToolCalled
from talkspurt.errors import ConfigurationError, ProviderError
from talkspurt.models import create_model
from talkspurt.models.pydantic_ai import CHARACTERS_PER_TOKEN, LONGEST_ARGUMENTS, Patience, PydanticAIModel
from talkspurt.models.vendors import VENDORS
from talkspurt.ports import ReplyPart, ReplyRequest, TextDelta, ToolCallDelta, ToolCallPart, ToolSpec, Usage
from talkspurt.testing.fakes import FakeOpenAI, Fault, ModelReply, ToolUse
from talkspurt.testing.fakes.chat import FakeChat
from vendors.wires import FORMATS, KEY, WIRES, Wire

TOOL = ToolSpec("look_up", "Looks things up.", {"type": "object", "properties": {"id": {"type": "string"}}})
REQUEST = ReplyRequest("You are Sarah.", (CallerSaid("Where is my order?"),), (TOOL,))


class Rig:
    def __init__(self, wire: Wire, fake: FakeChat) -> None:
        self.wire = wire
        self.vendor = wire.vendor
        self.fake = fake
        self.model = self.connect()

    def connect(self, key: str = KEY, patience: Patience | None = None) -> PydanticAIModel:
        return self.wire.connect(self.fake, key=key, patience=patience)

    async def ask(self, request: ReplyRequest = REQUEST) -> list[ReplyPart]:
        async with asyncio.timeout(20):
            return [part async for part in self.model.reply(request)]

    async def parts(self) -> list[ReplyPart]:
        """What comes of the first request, without the signs that a tool call is on its way."""
        return [part for part in await self.ask() if not isinstance(part, ToolCallDelta)]

    async def failure(self, request: ReplyRequest = REQUEST) -> ProviderError:
        with pytest.raises(ProviderError) as caught:
            await self.ask(request)
        return caught.value

    def sent(self) -> str:
        """Everything but the tools of the first request, as text."""
        body = dict(self.fake.requests[0].body)
        for key in ("tools", "toolConfig"):
            body.pop(key, None)
        return json.dumps(body, ensure_ascii=False)


@asynccontextmanager
async def rigged(vendor: str) -> AsyncIterator[Rig]:
    wire = WIRES[vendor]
    async with wire.open() as fake:
        rig = Rig(wire, fake)
        try:
            yield rig
        finally:
            await rig.model.aclose()


@pytest.fixture(params=(*FORMATS, "groq", "mistral"))
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rigged(cast(str, request.param)) as rig:
        yield rig


# ── what comes back ───────────────────────────────────────────────────────────────


async def test_text_arrives_piece_by_piece_in_order(rig: Rig) -> None:
    rig.fake.script(ModelReply(text=("Your", " order", " is", " on", " its way.")))
    parts = await rig.ask()
    assert [p.text for p in parts if isinstance(p, TextDelta)] == ["Your", " order", " is", " on", " its way."]


async def test_the_first_piece_is_passed_on_before_the_second_exists(rig: Rig) -> None:
    rig.fake.script(ModelReply(text=("One moment.", " Here."), fault=Fault.STALL))
    async with asyncio.timeout(5), aclosing(rig.model.reply(REQUEST)) as reply:
        assert await anext(reply) == TextDelta("One moment.")


async def test_pieces_that_are_not_quite_openais_are_read_all_the_same() -> None:
    class Compatible(FakeOpenAI):
        def pieces(self, body: Any, reply: ModelReply) -> Iterator[bytes]:
            for piece in super().pieces(body, reply):
                odd = piece.replace(b'"system_fingerprint": "fp_fake"', b'"system_fingerprint": 7')
                assert odd != piece
                yield odd

    async with Compatible(key=KEY) as fake:
        fake.script(ModelReply(text=("Your", " order."), tool_uses=(ToolUse("look_up", "{}"),)))
        model = PydanticAIModel("openai:any", base_url=fake.base_url, environment={"OPENAI_API_KEY": KEY})
        async with aclosing(model.reply(REQUEST)) as reply:
            parts = [part async for part in reply]
        await model.aclose()
    assert [type(part) for part in parts] == [TextDelta, TextDelta, ToolCallDelta, ToolCallDelta, ToolCallPart, Usage]


async def test_parallel_tool_calls_come_complete_after_the_text_and_before_the_usage(rig: Rig) -> None:
    uses = (ToolUse("look_up", '{"id": "W2378156"}'), ToolUse("look_up", '{"id": "schön"}'), ToolUse("look_up"))
    rig.fake.script(ModelReply(text=("Let me", " look."), tool_uses=uses))
    parts = await rig.parts()
    assert [type(part) for part in parts] == [TextDelta, TextDelta, ToolCallPart, ToolCallPart, ToolCallPart, Usage]
    calls = [part for part in parts if isinstance(part, ToolCallPart)]
    assert [json.loads(call.arguments) for call in calls] == [{"id": "W2378156"}, {"id": "schön"}, {}]
    assert len({call.tool_call for call in calls}) == 3


async def test_the_rest_of_a_reply_is_asked_for_behind_its_words(rig: Rig) -> None:
    rig.fake.script(ModelReply(text=("and on Saturdays.",)))
    await rig.ask(replace(REQUEST, history=(*REQUEST.history, AgentSaid("We are open on Mondays,")), continues=True))
    assert "Repeat nothing" in rig.sent()


LONG = ToolUse("look_up", '{"id": "' + "7" * 120 + '"}')
STREAMED = ("anthropic", "openai", "openai-responses", "bedrock", "groq")
"""The others send a tool call when it is whole."""


@pytest.mark.parametrize("vendor", STREAMED)
async def test_a_tool_call_that_is_being_written_gives_signs_of_it(vendor: str) -> None:
    async with rigged(vendor) as rig:
        rig.fake.script(ModelReply(text=("Let me look.",), tool_uses=(LONG,), gap=0.02))
        loop, times = asyncio.get_running_loop(), []
        async with aclosing(rig.model.reply(REQUEST)) as reply:
            parts = []
            async for part in reply:
                parts.append(part)
                times.append(loop.time())
    signs = [part.letters for part in parts if isinstance(part, ToolCallDelta)]
    assert sum(signs) == pytest.approx(len(LONG.arguments), abs=2)
    assert [type(part) for part in parts] == [TextDelta, *[ToolCallDelta] * len(signs), ToolCallPart, Usage]
    assert len(signs) > 10
    assert times[-1] - times[1] > 0.2, "they come while it is written"


async def test_a_reply_that_was_cut_off_gives_no_tool_calls(rig: Rig) -> None:
    if rig.vendor == "google":
        pytest.skip("the vendor sends whole calls only")
    rig.fake.script(ModelReply(("Let me look.",), (ToolUse("look_up"), ToolUse("look_up", '{"id": "W')), cut_off=True))
    parts: list[ReplyPart] = []

    async def ask() -> None:
        async for part in rig.model.reply(REQUEST):
            parts.append(part)  # noqa: PERF401  # what came before the failure counts

    with pytest.raises(ProviderError, match=r"used up its \d+ tokens .*raise model.max_tokens") as caught:
        await ask()
    assert not [part for part in parts if isinstance(part, ToolCallPart)]
    assert not caught.value.retryable


async def test_a_tool_without_arguments_gets_an_empty_object(rig: Rig) -> None:
    rig.fake.script(ModelReply(tool_uses=(ToolUse("look_up", ""),)))
    parts = await rig.ask()
    assert [part.arguments for part in parts if isinstance(part, ToolCallPart)] == ["{}"]


async def test_malformed_arguments_are_passed_on_as_they_are(rig: Rig) -> None:
    if rig.vendor in ("google", "ollama"):
        pytest.skip("the vendor parses them itself: see the fake")
    rig.fake.script(ModelReply(tool_uses=(ToolUse("look_up", '{"id": '),)))
    parts = await rig.ask()
    assert [part.arguments for part in parts if isinstance(part, ToolCallPart)] == ['{"id": ']


async def test_an_unknown_tool_is_passed_on_by_its_name(rig: Rig) -> None:
    rig.fake.script(ModelReply(tool_uses=(ToolUse("no_such_tool"),)))
    parts = await rig.ask()
    assert [part.name for part in parts if isinstance(part, ToolCallPart)] == ["no_such_tool"]


async def test_a_reply_of_ten_thousand_words_is_cut_off_and_its_request_closed(rig: Rig) -> None:
    rig.fake.script(ModelReply(text=("And on and on it goes. ",) * 2_000, gap=0.0001))
    parts = await rig.ask()
    said = "".join(part.text for part in parts if isinstance(part, TextDelta))
    assert len(said) == 300 * CHARACTERS_PER_TOKEN
    assert isinstance(parts[-1], Usage)
    assert parts[-1].cut_off
    await asyncio.wait_for(rig.fake.requests[0].disconnected.wait(), 5)


@pytest.mark.parametrize("cut_off", [True, False])
async def test_a_reply_that_the_vendor_ended_is_told_from_a_whole_one(rig: Rig, cut_off: bool) -> None:
    rig.fake.script(ModelReply(("Our returns are free within",), cut_off=cut_off))
    parts = await rig.ask()
    assert [part.cut_off for part in parts if isinstance(part, Usage)] == [cut_off]


@pytest.mark.parametrize("vendor", ["anthropic", "openai", "openai-responses", "bedrock"])
async def test_a_tool_call_without_end_is_an_error(vendor: str) -> None:
    async with rigged(vendor) as rig:
        rig.fake.script(ModelReply(tool_uses=(ToolUse("look_up", json.dumps({"id": "x" * LONGEST_ARGUMENTS})),)))
        assert (await rig.failure()).fault == "unreadable"


async def test_an_id_that_the_call_already_has_is_replaced(rig: Rig) -> None:
    rig.fake.script(ModelReply(tool_uses=(ToolUse("look_up", id="call_0"), ToolUse("look_up", id="call_0"))))
    history = (*REQUEST.history, ToolCalled("call_0", "look_up", "{}"), ToolAnswered("call_0", "look_up", "{}"))
    parts = await rig.ask(ReplyRequest("", history, (TOOL,)))
    ids = [part.tool_call for part in parts if isinstance(part, ToolCallPart)]
    assert len({"call_0", *ids}) == 3


async def test_usage_counts_cached_tokens(rig: Rig) -> None:
    rig.fake.script(ModelReply(text=("Hi.",), usage=(1200, 34, 1000)))
    cached = 0 if rig.vendor in ("ollama", "mistral") else 1000  # which does not tell
    assert (await rig.ask())[-1] == Usage(input_tokens=1200, output_tokens=34, cached_tokens=cached)


# ── what is sent ──────────────────────────────────────────────────────────────────


async def test_instructions_tools_and_limits_reach_the_vendor(rig: Rig) -> None:
    await rig.ask()
    body = rig.fake.requests[0].body
    assert "You are Sarah." in rig.sent()
    assert rig.fake.offered(body) == ["look_up"]
    assert re.search(r'"(max_(completion_|output_)?tokens|maxTokens|maxOutputTokens)": 300\b', rig.sent())


async def test_a_proposal_and_its_outcome_are_two_calls(rig: Rig) -> None:
    history = (
        AgentSaid("Hello."),
        CallerSaid("Send it back."),
        ToolCalled("x", "return_item", '{"id":"1"}'),
        ToolAnswered("x", "return_item", '{"status":"needs a yes"}'),
        AgentSaid("Shall I return it?"),
        CallerSaid("Yes."),
        ToolAnswered("x", "return_item", '{"status":"done"}'),
    )
    await rig.ask(ReplyRequest("", history, ()))
    sent = rig.sent()
    assert sent.index("needs a yes") < sent.index("Shall I return it?") < sent.index("done")


async def test_an_answer_that_came_late_stands_next_to_its_call(rig: Rig) -> None:
    history = (
        CallerSaid("Where is it?"),
        ToolCalled("x", "look_up", "{}"),
        AgentSaid("One moment."),
        CallerSaid("Sure."),
        ToolAnswered("x", "look_up", '{"where":"Ulm"}'),
    )
    await rig.ask(ReplyRequest("", history, ()))
    sent = rig.sent()
    assert sent.index("look_up") < sent.index("Ulm") < sent.index("One moment.") < sent.index("Sure.")


async def test_words_that_were_cut_off_and_digits_are_marked(rig: Rig) -> None:
    history = (AgentSaid("Your order is", interrupted=True), CallerSaid("4711", "keypad"))
    await rig.ask(ReplyRequest("", history, ()))
    sent = rig.sent()
    assert "Your order is—" in sent
    assert "(on the keypad) 4711" in sent


@pytest.mark.parametrize("vendor", ["anthropic", "openai"])
async def test_rounds_of_tools_stay_apart(vendor: str) -> None:
    history = (
        CallerSaid("Where is it?"),
        ToolCalled("a", "find", "{}"),
        ToolAnswered("a", "find", "{}"),
        ToolCalled("b", "track", "{}"),
        ToolCalled("c", "track", "{}"),
        ToolAnswered("c", "track", "{}"),
        ToolAnswered("b", "track", "{}"),
    )
    async with rigged(vendor) as rig:
        await rig.ask(ReplyRequest("", history, ()))
    calls = [
        sum(block.get("type") in ("tool_use", "function") for block in message.get("tool_calls") or message["content"])
        for message in rig.fake.requests[0].body["messages"]
        if message["role"] == "assistant"
    ]
    assert calls == [1, 2]


TEXT = st.text(max_size=12)
IDS = st.sampled_from(["a", "b", "c d", "", "x" * 60])
ENTRIES = st.one_of(
    st.builds(CallerSaid, TEXT, st.sampled_from(["voice", "keypad"])),
    st.builds(AgentSaid, TEXT, st.booleans()),
    st.builds(
        ToolCalled, IDS, st.sampled_from(["look_up", "odd name", ""]), st.sampled_from(['{"a":1}', "[]", "{", ""])
    ),
    st.builds(ToolAnswered, IDS, st.sampled_from(["look_up", "odd name", ""]), st.sampled_from(['{"b":2}', ""])),
)


@pytest.mark.parametrize("vendor", FORMATS)
def test_any_interleaving_of_history_is_accepted(vendor: str) -> None:
    with asyncio.Runner() as runner:
        context = rigged(vendor)
        rig = runner.run(context.__aenter__())

        @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(st.lists(ENTRIES, max_size=14))
        def check(history: list[Entry]) -> None:
            rig.fake.requests.clear()
            parts = runner.run(rig.ask(ReplyRequest("Be kind.", tuple(history), (TOOL,))))
            assert isinstance(parts[-1], Usage)
            sent = rig.sent()
            for entry in history:
                if isinstance(entry, CallerSaid | AgentSaid) and entry.text.strip().isalnum():
                    assert entry.text.strip() in sent

        try:
            check()
        finally:
            runner.run(context.__aexit__(None, None, None))


# ── how it fails ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("status", "retryable"), [(400, False), (404, False), (429, True), (500, True), (529, True)])
async def test_a_refusal_is_a_provider_error(rig: Rig, status: int, retryable: bool) -> None:
    rig.fake.script(ModelReply(status=status))
    error = await rig.failure()
    assert (error.port, error.vendor, error.retryable) == ("model", rig.vendor, retryable)
    assert f"HTTP {status}" in str(error)
    assert len(rig.fake.requests) == 1, "the SDK must not repeat by itself"


async def test_credit_that_is_used_up_is_told_from_a_rate_limit() -> None:
    wire = WIRES["openai"]
    async with wire.open() as fake:
        fake.script(ModelReply(status=429, reason="insufficient_quota"))
        model = wire.connect(fake)
        with pytest.raises(ProviderError, match="quota or credit is used up") as caught:
            await anext(model.reply(REQUEST))
        await model.aclose()
    assert (caught.value.fault, caught.value.retryable) == ("quota_exceeded", False)


@pytest.mark.parametrize("fault", [Fault.BREAK, Fault.CUT_SHORT, Fault.GARBAGE, Fault.REPORT])
async def test_a_reply_that_goes_wrong_keeps_its_text_and_ends_in_a_provider_error(rig: Rig, fault: Fault) -> None:
    rig.fake.script(ModelReply(text=("Your order", " is here."), tool_uses=(ToolUse("look_up"),), fault=fault))
    async with asyncio.timeout(10), aclosing(rig.model.reply(REQUEST)) as reply:
        assert await anext(reply) == TextDelta("Your order")
        with pytest.raises(ProviderError) as caught:
            await anext(reply)
    assert caught.value.retryable


async def test_a_tool_call_that_broke_off_is_never_passed_on(rig: Rig) -> None:
    rig.fake.script(ModelReply(tool_uses=(ToolUse("look_up"), ToolUse("look_up")), fault=Fault.CUT_SHORT))
    error = await rig.failure()
    assert error.retryable


async def test_an_unknown_model_names_the_nearest() -> None:
    wire = WIRES["anthropic"]
    async with wire.open() as fake:
        fake.script(ModelReply(status=404))
        model = wire.connect(fake, model="claude-haiku-5.5")
        with pytest.raises(ProviderError, match="did you mean 'anthropic:claude-haiku-5-5'") as caught:
            await model.warm_up()
        await model.aclose()
    assert (caught.value.fault, caught.value.retryable) == ("unknown_model", False)


@pytest.mark.parametrize(
    ("vendor", "model", "setting"),
    [
        ("openai", "gpt-5.6-luna", r'"reasoning_effort": "(none|low|minimal)"'),
        ("openai-responses", "gpt-6.1-sol", r'"reasoning": \{"effort": "(none|low|minimal)"'),
        ("google", "gemini-3.8-flash", r'"thinkingConfig": \{[^}]*"(MINIMAL|LOW|minimal|low)"'),
        ("anthropic", "claude-haiku-4-5", r'"max_tokens": 300\b'),
    ],
)
async def test_a_model_that_reasons_is_held_to_as_little_as_it_can(vendor: str, model: str, setting: str) -> None:
    wire = WIRES[vendor]
    async with wire.open() as fake:
        connected = wire.connect(fake, model=model)
        await connected.warm_up()
        await connected.aclose()
        body = json.dumps(fake.requests[0].body)
    assert re.search(setting, body), body
    assert '"thinking": {"type": "enabled"' not in body


async def test_nobody_at_the_address_is_a_provider_error(rig: Rig) -> None:
    model = PydanticAIModel(
        f"{rig.vendor}:some-model",
        base_url="http://127.0.0.1:9",
        environment={rig.wire.variable: KEY, **rig.wire.environment},
    )
    with pytest.raises(ProviderError) as caught:
        await model.warm_up()
    assert (caught.value.fault, caught.value.retryable) == ("unreachable", True)
    await model.aclose()


async def test_the_key_is_in_no_error(rig: Rig) -> None:
    if not rig.wire.keyed:
        pytest.skip("this server looks at no key")
    wrong = "sk-wrong-canary-9876543210"
    await rig.model.aclose()
    rig.model = rig.connect(key=wrong)
    error = await rig.failure()
    assert not error.retryable
    assert (error.fault, error.rejected) == ("key_rejected", True)
    assert rig.wire.variable in str(error) or rig.vendor == "bedrock"
    assert wrong not in repr(error)
    assert "canary" not in str(error)
    assert error.__suppress_context__


async def test_leaving_a_reply_closes_its_request(rig: Rig) -> None:
    rig.fake.script(ModelReply(text=("Your", " order"), fault=Fault.STALL))
    async with aclosing(rig.model.reply(REQUEST)) as reply:
        await anext(reply)
    await asyncio.wait_for(rig.fake.requests[0].disconnected.wait(), 5)


async def test_cancelling_the_task_closes_its_request(rig: Rig) -> None:
    if rig.vendor == "bedrock":
        # Its SDK waits in a thread until it runs out of patience.
        await rig.model.aclose()
        rig.model = rig.connect(patience=Patience(first=1, between=1))
    rig.fake.script(ModelReply(fault=Fault.HANG))
    task = asyncio.create_task(rig.ask())
    await asyncio.wait_for(rig.fake.received.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(rig.fake.requests[0].disconnected.wait(), 5)


async def test_connections_are_used_again(rig: Rig) -> None:
    if rig.vendor == "mistral":
        pytest.skip("its SDK drops the connection after every stream")
    for _ in range(3):
        await rig.ask()
    assert len({request.client for request in rig.fake.requests}) == 1


# ── how it is chosen ──────────────────────────────────────────────────────────────


AGENT = Agent(name="x", prompt="Be kind.", greeting="Hello.")


def create(name: str) -> Any:
    return create_model(Config(model=ModelConfig(name=name)), AGENT)


@pytest.mark.parametrize(
    ("vendor", "variable"),
    [(name, vendor.keys[0]) for name, vendor in VENDORS.items() if vendor.needs_key and vendor.kind == "text"],
)
def test_a_missing_key_names_its_variable(vendor: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ConfigurationError, match=variable):
        create(f"{vendor}:some-model")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("antropic:claude", "anthropic:claude"),
        ("openia:gpt", "openai:gpt"),
        ("gemini:gemini-4-argon", "google:gemini-4-argon"),
        ("claude-sonnet-5-5", "anthropic:claude-sonnet-5-5"),
        ("Ollama:qwen3", "ollama:qwen3"),
        ("llama.cpp:any", "llamacpp:any"),
        ("mistrall", "mistral:<model>"),
        ("ofline", "offline"),
    ],
)
def test_an_unknown_vendor_names_the_nearest(name: str, near: str) -> None:
    with pytest.raises(ConfigurationError, match=f"did you mean '{near}'"):
        create(name)


def test_a_vendor_without_a_model_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="write openai:<model>"):
        create("openai:")


@pytest.mark.parametrize("vendor", sorted(WIRES))
def test_a_missing_sdk_names_the_extra(vendor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wire = WIRES[vendor]
    for module in [name for name in sys.modules if name.partition(".")[0] == "pydantic_ai" and "providers." in name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(sys.modules, "talkspurt.models.bedrock", raising=False)
    for module in [name for name in sys.modules if f"{name}.".startswith(f"{wire.sdk}.")]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, wire.sdk, None)
    with pytest.raises(ConfigurationError, match=rf"pip install 'talkspurt\[{wire.extra}\]'"):
        PydanticAIModel(
            f"{vendor}:some-model",
            base_url="http://127.0.0.1:9",
            environment={wire.variable: KEY, **wire.environment},
        )


@pytest.mark.parametrize("vendor", ["azure", "llamacpp", "openai-compatible"])
def test_a_server_whose_address_nobody_can_know_asks_for_it(vendor: str) -> None:
    with pytest.raises(ConfigurationError, match=r"needs an address: set model\.base_url"):
        PydanticAIModel(f"{vendor}:some-model", environment={WIRES[vendor].variable: KEY})


def test_bedrock_asks_for_its_region_and_its_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    with pytest.raises(ConfigurationError, match="AWS_REGION"):
        PydanticAIModel("bedrock:some-model", environment={"AWS_BEARER_TOKEN_BEDROCK": KEY})
    with pytest.raises(ConfigurationError, match="AWS_BEARER_TOKEN_BEDROCK"):
        PydanticAIModel("bedrock:some-model", environment={"AWS_REGION": "us-east-1"})


async def test_bedrock_sends_a_key_of_its_own_only_where_nobody_listens() -> None:
    """The SDK refuses to send a bearer token in the clear, so the fake never sees it."""
    async with WIRES["bedrock"].open() as fake:
        model = PydanticAIModel(
            "bedrock:some-model",
            base_url=fake.base_url,
            environment={"AWS_BEARER_TOKEN_BEDROCK": KEY, "AWS_REGION": "us-east-1"},
        )
        with pytest.raises(ProviderError, match="InvalidEndpointConfigurationError"):
            await model.warm_up()
        await model.aclose()
    assert not fake.requests


def test_missing_pydantic_ai_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "talkspurt.models.pydantic_ai", raising=False)
    monkeypatch.setitem(sys.modules, "pydantic_ai.direct", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'talkspurt\[openai\]'"):
        create("openai:some-model")


def test_the_configuration_reaches_the_vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with asyncio.Runner() as runner:

        async def one_reply() -> Any:
            async with FakeOpenAI(key=KEY) as fake:
                config = Config(model=ModelConfig(name="openai:local", base_url=fake.base_url, max_tokens=77))
                model = create_model(config, AGENT)
                await model.warm_up()
                await model.aclose()
                return fake.requests[0].body

        body = runner.run(one_reply())
    assert body["model"] == "local"
    assert body["max_completion_tokens"] == 77
