"""What is worked out once for an agent's tools is worked out again for other tools."""

import pytest

from talkspurt.core.history import CallerSaid
from talkspurt.models.pydantic_ai import PydanticAIModel
from talkspurt.ports import ReplyRequest, ToolSpec
from talkspurt.testing.fakes import FakeAnthropic, FakeOpenAI, ModelReply


def tool(name: str, required: str) -> ToolSpec:
    properties = {required: {"type": "string", "title": "Left out"}}
    return ToolSpec(name, "Do it.", {"type": "object", "properties": properties, "required": [required]})


FIRST, SECOND, THIRD = tool("first", "a"), tool("second", "b"), tool("first", "c")


@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
async def test_each_request_has_the_tools_that_it_was_given(vendor: str) -> None:
    kind = FakeOpenAI if vendor == "openai" else FakeAnthropic
    async with kind(otherwise=ModelReply(text=("Yes.",))) as fake:
        key = f"{vendor.upper()}_API_KEY"
        model = PydanticAIModel(f"{vendor}:some-model", base_url=fake.base_url, environment={key: "test-key"})
        given = [(FIRST, SECOND), (FIRST, SECOND), (SECOND, FIRST), (FIRST,), (THIRD,), ()]
        for tools in given:
            async for _ in model.reply(ReplyRequest("Be kind.", (CallerSaid("Hello?"),), tools)):
                pass
        await model.aclose()
        sent = [[_told(each, vendor) for each in request.body.get("tools", ())] for request in fake.requests]
    assert sent == [[(spec.name, *spec.parameters["required"]) for spec in tools] for tools in given]


def _told(tool: dict[str, dict[str, object]], vendor: str) -> tuple[object, ...]:
    function = tool["function"] if vendor == "openai" else tool
    schema = function["parameters" if vendor == "openai" else "input_schema"]
    assert isinstance(schema, dict)
    return (function["name"], *schema["required"])
