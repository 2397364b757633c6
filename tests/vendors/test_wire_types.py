"""The fakes against the SDKs' own types: everything that they stream is read by the vendor's models without a doubt."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from google.genai.types import GenerateContentResponse
from groq.types.chat import ChatCompletionChunk as GroqChunk
from mistralai.client.models import CompletionChunk as MistralChunk
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from talkspurt.testing.fakes import (
    FakeAnthropic,
    FakeBedrock,
    FakeGoogle,
    FakeGroq,
    FakeMistral,
    FakeOllama,
    FakeOpenAI,
    FakeOpenAIResponses,
    ModelReply,
    ToolUse,
)
from talkspurt.testing.fakes.chat import FakeChat

REPLY = ModelReply(text=("Let me", " look."), tool_uses=(ToolUse("find", '{"id": "W1"}'), ToolUse("track")))
BODY: dict[str, Any] = {"model": "any", "stream_options": {"include_usage": True}}


def events(fake: FakeChat) -> Iterator[Any]:
    stream = b"".join(fake.pieces(BODY, REPLY))
    for line in stream.decode().splitlines():
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line.removeprefix("data: "))


def anthropic_types() -> TypeAdapter[Any]:
    from anthropic.types import RawMessageStreamEvent

    return TypeAdapter(RawMessageStreamEvent)


@pytest.mark.parametrize(
    ("fake", "type_"),
    [
        (FakeOpenAI, TypeAdapter(ChatCompletionChunk)),
        (FakeOllama, TypeAdapter(ChatCompletionChunk)),
        (FakeOpenAIResponses, TypeAdapter(ResponseStreamEvent)),
        (FakeGoogle, TypeAdapter(GenerateContentResponse)),
        (FakeGroq, TypeAdapter(GroqChunk)),
        (FakeMistral, TypeAdapter(MistralChunk)),
        (FakeAnthropic, anthropic_types()),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_event_is_of_the_sdks_type(fake: type[FakeChat], type_: TypeAdapter[Any]) -> None:
    seen = 0
    for event in events(fake()):
        if event.get("type") == "ping":
            continue  # the SDK swallows it before its types are asked
        read = type_.validate_python(event)
        assert isinstance(read, BaseModel)
        assert not unknown(read), f"fields that the SDK does not know in {event}"
        seen += 1
    assert seen >= 4


def unknown(read: BaseModel) -> set[str]:
    """Fields that only the fake knows of, at the top or one level below."""
    parts = [read, *(value for value in vars(read).values() if isinstance(value, BaseModel))]
    return {name for part in parts for name in (part.model_extra or {})}


def test_bedrocks_messages_are_read_by_botocore() -> None:
    from botocore.eventstream import EventStreamBuffer
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    model = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"))
    stream = model.operation_model("ConverseStream").output_shape.members["stream"]
    buffer = EventStreamBuffer()
    buffer.add_data(b"".join(FakeBedrock().pieces(BODY, REPLY)))
    read = [(message.headers[":event-type"], json.loads(message.payload)) for message in buffer]
    assert [name for name, _ in read][:2] == ["messageStart", "contentBlockDelta"]
    for name, payload in read:
        assert_shape(stream.members[name], payload)


def assert_shape(shape: Any, value: Any) -> None:
    if shape.type_name == "structure":
        assert set(value) <= set(shape.members), f"{set(value) - set(shape.members)} in {shape.name}"
        assert set(shape.required_members) <= set(value), f"{shape.name} misses {shape.required_members}"
        for key, member in value.items():
            assert_shape(shape.members[key], member)
