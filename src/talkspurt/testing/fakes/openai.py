"""OpenAI's Chat Completions on loopback: `POST /v1/chat/completions` with `stream: true`.

What it assumes about the vendor (platform.openai.com, "Chat Completions: create" and "Streaming"):
* the answer is server-sent events, `data: {chunk}`, closed by `data: [DONE]`; text comes in
  `choices[0].delta.content`; a tool call in `delta.tool_calls`, its id and name in the first
  fragment of its `index`, its arguments in the others; `finish_reason` in the last choice; with
  `stream_options.include_usage` one more chunk has no choices and the usage;
* an assistant message with `tool_calls` must be followed at once by one `tool` message for each id;
  a `tool` message must answer such a call; ids have at most 40 characters; names match
  `^[a-zA-Z0-9_-]{1,64}$`; the key is a bearer token; errors are `{"error": {message, type, param, code}}`.

Not covered: non-streaming requests, images, audio, logprobs, reasoning.
"""

import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from talkspurt.testing.fakes.chat import FakeChat, event, require
from talkspurt.testing.fakes.script import ModelReply, fragments

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool"})
_CODES: Final = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
INSUFFICIENT_QUOTA: Final = "insufficient_quota"
"""Type and code of a refusal with status 429 that no waiting helps."""
STATUSES: Final[Mapping[int, str]] = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    404: "invalid_request_error",
    429: "rate_limit_exceeded",
    500: "server_error",
    503: "server_error",
}
"""OpenAI's error types by HTTP status."""


class FakeOpenAI(FakeChat):
    """Chat Completions with scripted replies."""

    path: ClassVar[str] = "/v1/chat/completions"
    statuses: ClassVar[Mapping[int, str]] = STATUSES

    @property
    def base_url(self) -> str:
        """What the SDK takes as its base URL."""
        return f"{self.origin}/v1"

    def given_key(self, headers: Mapping[str, str]) -> str:
        """The bearer token."""
        return given_key(headers)

    def validate(self, body: Any, headers: Mapping[str, str]) -> None:
        """Refuse what Chat Completions refuses."""
        require(isinstance(body, dict) and isinstance(body.get("model"), str), "model: required")
        require(body.get("stream") is True, "stream: this fake only streams")
        messages = body.get("messages")
        require(isinstance(messages, list) and len(messages) > 0, "messages: required, not empty")
        for tool in body.get("tools", []):
            require(tool.get("type") == "function", "tools: type must be 'function'")
            require(bool(_NAME.fullmatch(tool["function"].get("name", ""))), "tools: invalid name")
            require(tool["function"].get("parameters", {"type": "object"}).get("type") == "object", "tools: parameters")
        waiting: set[str] = set()
        for number, message in enumerate(messages):
            where = f"messages.[{number}]"
            role = message.get("role")
            require(role in _ROLES, f"{where}.role: invalid")
            if role == "tool":
                require(message.get("tool_call_id") in waiting, f"{where}: answers no tool call before it")
                waiting.discard(message["tool_call_id"])
                require(isinstance(message.get("content"), str | list), f"{where}.content: required")
                continue
            require(not waiting, f"{where}: tool calls before it have no answer: {sorted(waiting)}")
            if role == "assistant":
                waiting = self._validate_assistant(where, message)
            else:
                require(isinstance(message.get("content"), str | list), f"{where}.content: required")
        require(not waiting, f"messages: tool calls have no answer: {sorted(waiting)}")

    def _validate_assistant(self, where: str, message: Mapping[str, Any]) -> set[str]:
        calls = message.get("tool_calls")
        require(calls is None or len(calls) > 0, f"{where}.tool_calls: not empty")
        require(bool(message.get("content")) or bool(calls), f"{where}: content or tool_calls is required")
        ids = [call.get("id") for call in calls or []]
        require(len(set(ids)) == len(ids), f"{where}.tool_calls: an id is used twice")
        for call in calls or []:
            require(isinstance(call["id"], str) and 0 < len(call["id"]) <= 40, f"{where}.tool_calls: id too long")
            require(call.get("type") == "function", f"{where}.tool_calls: type")
            require(bool(_NAME.fullmatch(call["function"]["name"])), f"{where}.tool_calls: invalid name")
            require(isinstance(call["function"]["arguments"], str), f"{where}.tool_calls: arguments must be text")
        return set(ids)

    def pieces(self, body: Any, reply: ModelReply) -> Iterator[bytes]:
        """The reply as `chat.completion.chunk` events."""
        common = {
            "id": f"chatcmpl-{uuid.uuid4().hex[:24]}",
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": body["model"],
            "system_fingerprint": "fp_fake",
        }

        def chunk(delta: Any, finish: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            return event(common | {"choices": [choice], "usage": None})

        opening = chunk({"role": "assistant", "content": "" if reply.text else None, "refusal": None})
        for text in reply.text:
            yield opening + chunk({"content": text})
            opening = b""
        for index, use in enumerate(reply.tool_uses):
            call = {
                "index": index,
                "id": use.id or f"call_{uuid.uuid4().hex[:24]}",
                "type": "function",
                "function": {"name": use.name, "arguments": ""},
            }
            yield opening + chunk({"tool_calls": [call]})
            opening = b""
            for fragment in fragments(use.arguments):
                yield chunk({"tool_calls": [{"index": index, "function": {"arguments": fragment}}]})
        closing = opening + chunk({}, "length" if reply.cut_off else "tool_calls" if reply.tool_uses else "stop")
        if (body.get("stream_options") or {}).get("include_usage"):
            entered, left, cached = reply.usage
            usage = {
                "prompt_tokens": entered,
                "completion_tokens": left,
                "total_tokens": entered + left,
                "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
            }
            closing += event(common | {"choices": [], "usage": usage})
        yield closing + b"data: [DONE]\n\n"

    def offered(self, body: Any) -> list[str]:
        """The names in `tools`."""
        return [tool["function"]["name"] for tool in body.get("tools", [])]

    def error_body(self, type_: str, message: str, status: int) -> Any:
        """The body of an error response."""
        return error_body(type_, message, status)

    def in_stream_error(self) -> bytes:
        """An error report inside an open stream."""
        return event(self.error_body("server_error", "The server had an error while processing your request.", 500))


def given_key(headers: Mapping[str, str]) -> str:
    """The bearer token of a request."""
    return headers.get("authorization", "").removeprefix("Bearer ")


def error_body(type_: str, message: str, status: int) -> Any:
    """The body of an error response, as all of OpenAI's interfaces have it."""
    code = type_ if type_ == INSUFFICIENT_QUOTA else _CODES.get(status)
    return {"error": {"message": message, "type": type_, "param": None, "code": code}}
