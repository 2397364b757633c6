"""Anthropic's Messages API on loopback: `POST /v1/messages` with `stream: true`.

What it assumes about the vendor (docs.anthropic.com, "Messages", "Streaming messages", "Tool use"):
* the answer is server-sent events: `message_start` with the input usage; per content block
  `content_block_start`, `content_block_delta` (`text_delta`, `input_json_delta`) and
  `content_block_stop`; `message_delta` with `stop_reason` and the output usage; `message_stop`;
  `ping` at any time; `error` when it fails midway; the arguments of a tool are held back until they are whole, unless
  it is declared with `eager_input_streaming`;
* the first message is the user's, and so is the last: newer models refuse to go on from an
  assistant's words; texts are not blank; every `tool_use` is answered by a `tool_result` at the
  beginning of the very next message; ids match `^[a-zA-Z0-9_-]+$` and names `^[a-zA-Z0-9_-]{1,64}$`;
  `max_tokens`, the header `anthropic-version` and a key are required: as a bearer token (what the
  SDK sends since API version 2026-10-21) or as `x-api-key`.

In one point it is stricter than the vendor, which merges neighbours: roles must alternate.

Not covered: non-streaming requests, images, documents, thinking, server tools.
"""

import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from talkspurt.testing.fakes.chat import FakeChat, event, require
from talkspurt.testing.fakes.script import ModelReply, fragments

_ID: Final = re.compile(r"[a-zA-Z0-9_-]+")
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class FakeAnthropic(FakeChat):
    """The Messages API with scripted replies."""

    path: ClassVar[str] = "/v1/messages"
    statuses: ClassVar[Mapping[int, str]] = {
        400: "invalid_request_error",
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        429: "rate_limit_error",
        500: "api_error",
        529: "overloaded_error",
    }

    @property
    def base_url(self) -> str:
        """What the SDK takes as its base URL."""
        return self.origin

    def given_key(self, headers: Mapping[str, str]) -> str:
        """The bearer token, or the `x-api-key` header of older SDKs."""
        return headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")

    def validate(self, body: Any, headers: Mapping[str, str]) -> None:
        """Refuse what the Messages API refuses."""
        require("anthropic-version" in headers, "anthropic-version: header is required")
        require(isinstance(body, dict) and isinstance(body.get("model"), str), "model: Field required")
        require(isinstance(body.get("max_tokens"), int) and body["max_tokens"] > 0, "max_tokens: Field required")
        require(body.get("stream") is True, "stream: this fake only streams")
        for tool in body.get("tools", []):
            require(bool(_NAME.fullmatch(tool.get("name", ""))), "tools: invalid name")
            require(tool.get("input_schema", {}).get("type") == "object", "tools: input_schema.type: must be 'object'")
        system = body.get("system", "x")
        for block in system if isinstance(system, list) else []:
            require(bool(block.get("text", "").strip()), "system: text content blocks must be non-empty")
        messages = body.get("messages")
        require(isinstance(messages, list) and len(messages) > 0, "messages: at least one message is required")
        waiting: set[str] = set()
        seen: set[str] = set()
        for number, message in enumerate(messages):
            where = f"messages.{number}"
            require(message.get("role") == ("assistant" if number % 2 else "user"), f"{where}: roles must alternate")
            content = message.get("content")
            blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
            require(isinstance(blocks, list) and len(blocks) > 0, f"{where}: all messages must have non-empty content")
            if message["role"] == "user":
                self._validate_user(where, blocks, waiting)
                waiting = set()
            else:
                waiting = self._validate_assistant(where, blocks, seen)
        require(messages[-1]["role"] == "user", "messages: the conversation must end with a user message")

    def _validate_user(self, where: str, blocks: list[Any], waiting: set[str]) -> None:
        answered: set[str] = set()
        for position, block in enumerate(blocks):
            if block["type"] == "tool_result":
                require(position == len(answered), f"{where}: tool_result blocks must come first")
                require(block["tool_use_id"] in waiting, f"{where}: unexpected tool_use_id {block['tool_use_id']}")
                require(block["tool_use_id"] not in answered, f"{where}: each tool_use must have a single result")
                answered.add(block["tool_use_id"])
            else:
                self._validate_text(where, block)
        require(answered == waiting, f"{where}: tool_use ids without tool_result: {sorted(waiting - answered)}")

    def _validate_assistant(self, where: str, blocks: list[Any], seen: set[str]) -> set[str]:
        ids: set[str] = set()
        for block in blocks:
            if block["type"] != "tool_use":
                self._validate_text(where, block)
                continue
            require(bool(_ID.fullmatch(block["id"])), f"{where}: tool_use.id: invalid")
            require(block["id"] not in seen, f"{where}: tool_use ids must be unique")
            require(bool(_NAME.fullmatch(block["name"])), f"{where}: tool_use.name: invalid")
            require(isinstance(block["input"], dict), f"{where}: tool_use.input: must be an object")
            seen.add(block["id"])
            ids.add(block["id"])
        return ids

    def _validate_text(self, where: str, block: Mapping[str, Any]) -> None:
        require(block["type"] == "text", f"{where}: this fake knows no '{block['type']}' block here")
        require(bool(block["text"].strip()), f"{where}: text content blocks must contain non-whitespace text")

    def pieces(self, body: Any, reply: ModelReply) -> Iterator[bytes]:
        """The reply as Messages events."""
        entered, left, cached = reply.usage
        message = {
            "id": f"msg_{uuid.uuid4().hex[:24]}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {
                "input_tokens": entered - cached,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": cached,
                "output_tokens": 1,
            },
        }
        opening = _event("message_start", message=message) + _event("ping")
        index = 0
        if reply.text:
            opening += _event("content_block_start", index=index, content_block={"type": "text", "text": ""})
            for text in reply.text:
                yield opening + _delta(index, type="text_delta", text=text)
                opening = b""
            opening = _event("content_block_stop", index=index)
            index += 1
        for use in reply.tool_uses:
            block = {
                "type": "tool_use",
                "id": use.id or f"toolu_{uuid.uuid4().hex[:24]}",
                "name": use.name,
                "input": {},
            }
            yield opening + _event("content_block_start", index=index, content_block=block)
            eager = {tool["name"] for tool in body.get("tools", ()) if tool.get("eager_input_streaming")}
            for fragment in ["", *fragments(use.arguments)]:
                yield _delta(index, type="input_json_delta", partial_json=fragment) if use.name in eager else _PING
            if use.name not in eager:
                yield _delta(index, type="input_json_delta", partial_json=use.arguments)
            opening = _event("content_block_stop", index=index)
            index += 1
        reason = "max_tokens" if reply.cut_off else "tool_use" if reply.tool_uses else "end_turn"
        stop = {"stop_reason": reason, "stop_sequence": None}
        yield opening + _event("message_delta", delta=stop, usage={"output_tokens": left}) + _event("message_stop")

    def offered(self, body: Any) -> list[str]:
        """The names in `tools`."""
        return [tool["name"] for tool in body.get("tools", [])]

    def error_body(self, type_: str, message: str, status: int) -> Any:
        """The body of an error response."""
        return {"type": "error", "error": {"type": type_, "message": message}, "request_id": "req_fake"}

    def in_stream_error(self) -> bytes:
        """An error report inside an open stream."""
        return _event("error", error={"type": "overloaded_error", "message": "Overloaded"})


def _event(type_: str, **fields: Any) -> bytes:
    return event({"type": type_, **fields}, type_)


def _delta(index: int, **delta: str) -> bytes:
    return _event("content_block_delta", index=index, delta=delta)


_PING: Final = _event("ping")
