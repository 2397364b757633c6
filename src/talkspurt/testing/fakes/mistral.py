"""Mistral's chat completions on loopback: `POST /v1/chat/completions`, close to OpenAI's.

What differs, as far as it is assumed here (docs.mistral.ai, "Chat completion", and its SDK's types):
* a tool call comes whole in one chunk; the usage is in the last chunk, beside its `finish_reason`, and
  tells nothing of a cache;
* an assistant's message may have an empty list of tool calls;
* errors are `{"object": "error", message, type, param, code}`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from talkspurt.testing.fakes.chat import event
from talkspurt.testing.fakes.openai import FakeOpenAI
from talkspurt.testing.fakes.script import ModelReply


class FakeMistral(FakeOpenAI):
    """Mistral's chat completions with scripted replies."""

    statuses: ClassVar[Mapping[int, str]] = {
        400: "invalid_request_error",
        401: "unauthorized",
        404: "invalid_model",
        429: "rate_limited",
        500: "internal_server_error",
    }

    @property
    def base_url(self) -> str:
        """What the SDK takes as its server URL."""
        return self.origin

    def validate(self, body: Any, headers: Mapping[str, str]) -> None:
        """Refuse what OpenAI refuses, but for empty lists of tool calls."""
        messages = [
            {key: value for key, value in message.items() if key != "tool_calls" or value}
            for message in body.get("messages", [])
        ]
        super().validate({**body, "messages": messages}, headers)

    def pieces(self, body: Any, reply: ModelReply) -> Iterator[bytes]:
        """The reply in chunks."""
        common = {
            "id": "cmpl-fake",
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": body["model"],
        }
        opening = event(common | {"choices": [_choice({"role": "assistant", "content": ""})]})
        for text in reply.text:
            yield opening + event(common | {"choices": [_choice({"content": text})]})
            opening = b""
        for index, use in enumerate(reply.tool_uses):
            call = {
                "id": use.id or f"fake0000{index}",
                "index": index,
                "function": {"name": use.name, "arguments": use.arguments},
            }
            yield opening + event(common | {"choices": [_choice({"content": "", "tool_calls": [call]})]})
            opening = b""
        entered, left, _ = reply.usage
        usage = {
            "prompt_tokens": entered,
            "completion_tokens": left,
            "total_tokens": entered + left,
        }
        reason = "length" if reply.cut_off else "tool_calls" if reply.tool_uses else "stop"
        closing = event(common | {"choices": [_choice({"content": ""}, reason)], "usage": usage})
        yield opening + closing + b"data: [DONE]\n\n"

    def error_body(self, type_: str, message: str, status: int) -> Any:
        """The body of an error response."""
        return {"object": "error", "message": message, "type": type_, "param": None, "code": None}


def _choice(delta: Any, finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish}
