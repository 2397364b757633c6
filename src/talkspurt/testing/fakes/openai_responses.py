"""OpenAI's Responses API on loopback: `POST /v1/responses` with `stream: true`.

What it assumes about the vendor (platform.openai.com, "Responses: create", "Streaming events"):
* the answer is server-sent events named by their `type`, each with a `sequence_number`: `response.created`,
  `response.in_progress`; per message or function call `response.output_item.added`, its deltas
  (`response.output_text.delta` inside a `response.content_part.added`, or `response.function_call_arguments.delta`),
  their `.done`, and `response.output_item.done`; `response.completed` with the whole response and its usage;
* when it fails midway there is an event `response.failed` whose response has an `error`;
* `input` items are messages, `function_call` and `function_call_output`; every call has an output somewhere behind it
  and every output a call before it; `call_id` has at most 64 characters, names match `^[a-zA-Z0-9_-]{1,64}$`;
* nothing is kept with `store: false`, which a caller's words should never go without: this fake requires it.

Not covered: non-streaming requests, images, reasoning items, the vendor's own tools, conversations kept there.
"""

import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

from talkspurt.testing.fakes.chat import FakeChat, event, require
from talkspurt.testing.fakes.openai import STATUSES, error_body, given_key
from talkspurt.testing.fakes.script import ModelReply, ToolUse, fragments

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ROLES: Final = frozenset({"system", "developer", "user", "assistant"})


class FakeOpenAIResponses(FakeChat):
    """The Responses API with scripted replies."""

    path: ClassVar[str] = "/v1/responses"
    statuses: ClassVar[Mapping[int, str]] = STATUSES

    @property
    def base_url(self) -> str:
        """What the SDK takes as its base URL."""
        return f"{self.origin}/v1"

    def given_key(self, headers: Mapping[str, str]) -> str:
        """The bearer token."""
        return given_key(headers)

    def validate(self, body: Any, headers: Mapping[str, str]) -> None:
        """Refuse what the Responses API refuses, and what should not be asked of it."""
        require(isinstance(body, dict) and isinstance(body.get("model"), str), "model: required")
        require(body.get("stream") is True, "stream: this fake only streams")
        require(body.get("store") is False, "store: this fake keeps nothing")
        for tool in body.get("tools", []):
            require(tool.get("type") == "function", "tools: this fake knows functions only")
            require(bool(_NAME.fullmatch(tool.get("name", ""))), "tools: invalid name")
            require(tool.get("parameters", {}).get("type") == "object", "tools: parameters")
        items = body.get("input")
        require(isinstance(items, list) and len(items) > 0, "input: required, not empty")
        self._validate_items(items)

    def _validate_items(self, items: Sequence[Any]) -> None:
        waiting: set[str] = set()
        seen: set[str] = set()
        for number, item in enumerate(items):
            where = f"input[{number}]"
            match item.get("type", "message"):
                case "function_call":
                    require(0 < len(item["call_id"]) <= 64, f"{where}.call_id: too long")
                    require(item["call_id"] not in seen, f"{where}.call_id: used twice")
                    require(bool(_NAME.fullmatch(item["name"])), f"{where}.name: invalid")
                    require(isinstance(item["arguments"], str), f"{where}.arguments: must be text")
                    waiting.add(item["call_id"])
                    seen.add(item["call_id"])
                case "function_call_output":
                    require(item["call_id"] in waiting, f"{where}: no tool call found for this output")
                    waiting.discard(item["call_id"])
                case "message":
                    require(item.get("role") in _ROLES, f"{where}.role: invalid")
                    require(bool(item.get("content")), f"{where}.content: required")
                case other:
                    require(False, f"{where}: this fake knows no '{other}'")
        require(not waiting, f"input: no tool output found for {sorted(waiting)}")

    def pieces(self, body: Any, reply: ModelReply) -> Iterator[bytes]:
        """The reply as Responses events."""
        return _Answer(body, reply).pieces()

    def offered(self, body: Any) -> list[str]:
        """The names in `tools`."""
        return [tool["name"] for tool in body.get("tools", [])]

    def error_body(self, type_: str, message: str, status: int) -> Any:
        """The body of an error response."""
        return error_body(type_, message, status)

    def in_stream_error(self) -> bytes:
        """A response that failed."""
        answer = _Answer({"model": "any"}, ModelReply())
        error = {"code": "server_error", "message": "The server had an error while processing your request."}
        return answer.event("response.failed", response=answer.response("failed") | {"error": error})


class _Answer:
    """One streamed response."""

    def __init__(self, body: Any, reply: ModelReply) -> None:
        self._body = body
        self._reply = reply
        self._id = f"resp_{uuid.uuid4().hex}"
        self._number = 0
        self._output: list[Any] = []

    def pieces(self) -> Iterator[bytes]:
        opening = self.event("response.created", response=self.response("in_progress"))
        opening += self.event("response.in_progress", response=self.response("in_progress"))
        if self._reply.text:
            for piece in self._message(self._reply.text):
                yield opening + piece
                opening = b""
        for use in self._reply.tool_uses:
            for piece in self._call(use):
                yield opening + piece
                opening = b""
        end = "incomplete" if self._reply.cut_off else "completed"
        yield opening + self.event(f"response.{end}", response=self.response(end))

    def _message(self, texts: Sequence[str]) -> Iterator[bytes]:
        id_, index = f"msg_{uuid.uuid4().hex}", len(self._output)
        place = {"item_id": id_, "output_index": index, "content_index": 0}
        item: dict[str, Any] = {
            "id": id_,
            "type": "message",
            "role": "assistant",
            "status": "in_progress",
            "content": [],
        }
        opening = self.event("response.output_item.added", output_index=index, item=item)
        opening += self.event("response.content_part.added", **place, part=_text_part(""))
        for text in texts:
            yield opening + self.event("response.output_text.delta", **place, delta=text, logprobs=[])
            opening = b""
        whole = "".join(texts)
        item = item | {"status": "completed", "content": [_text_part(whole)]}
        self._output.append(item)
        yield (
            self.event("response.output_text.done", **place, text=whole, logprobs=[])
            + self.event("response.content_part.done", **place, part=_text_part(whole))
            + self.event("response.output_item.done", output_index=index, item=item)
        )

    def _call(self, use: ToolUse) -> Iterator[bytes]:
        id_, index = f"fc_{uuid.uuid4().hex}", len(self._output)
        item = {
            "id": id_,
            "type": "function_call",
            "status": "in_progress",
            "call_id": use.id or f"call_{uuid.uuid4().hex[:24]}",
            "name": use.name,
            "arguments": "",
        }
        opening = self.event("response.output_item.added", output_index=index, item=item)
        for fragment in fragments(use.arguments):
            yield opening + self.event(
                "response.function_call_arguments.delta", item_id=id_, output_index=index, delta=fragment
            )
            opening = b""
        item = item | {"status": "completed", "arguments": use.arguments}
        self._output.append(item)
        yield self.event(
            "response.function_call_arguments.done",
            item_id=id_,
            output_index=index,
            arguments=use.arguments,
        ) + self.event("response.output_item.done", output_index=index, item=item)

    def event(self, type_: str, **fields: Any) -> bytes:
        self._number += 1
        return event({"type": type_, "sequence_number": self._number, **fields}, type_)

    def response(self, status: str) -> dict[str, Any]:
        entered, left, cached = self._reply.usage
        usage = {
            "input_tokens": entered,
            "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
            "output_tokens": left,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": entered + left,
        }
        return {
            "id": self._id,
            "object": "response",
            "created_at": 1_700_000_000,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": None,
            "metadata": {},
            "model": self._body["model"],
            "output": json.loads(json.dumps(self._output)),
            "parallel_tool_calls": True,
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "usage": usage if status in ("completed", "incomplete") else None,
        }


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
