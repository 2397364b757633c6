"""An Ollama server on loopback, by its OpenAI-compatible interface: `POST /v1/chat/completions`.

That is the interface that pydantic-ai uses. What differs from OpenAI's own, as far as it is assumed here
(docs.ollama.com, "OpenAI compatibility", and its source):
* a key is not looked at, and tokens that were cached are not told;
* a tool call comes whole in one chunk, and its arguments are always well-formed JSON, because the server has parsed
  them: what a model writes that is no call is text;
* errors are `{"error": {message, type, param, code}}` with `type` `api_error`, `invalid_request_error` or
  `not_found_error`; a model that was not pulled is status 404;
* a prompt over the model's window is not refused: its beginning is left out, without a word.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from talkspurt.testing.fakes.chat import event
from talkspurt.testing.fakes.openai import FakeOpenAI
from talkspurt.testing.fakes.script import ModelReply, ToolUse


class FakeOllama(FakeOpenAI):
    """Ollama's chat completions with scripted replies."""

    statuses: ClassVar[Mapping[int, str]] = {400: "invalid_request_error", 404: "not_found_error", 500: "api_error"}

    def given_key(self, headers: Mapping[str, str]) -> str:
        """Whatever is expected: this server looks at no key."""
        return self.key

    def pieces(self, body: Any, reply: ModelReply) -> Iterator[bytes]:
        """The reply in chunks; a call that is no JSON is text."""
        calls = tuple(use for use in reply.tool_uses if _is_object(use))
        failed = [use for use in reply.tool_uses if use not in calls]
        texts = tuple(f'{{"name": "{use.name}", "arguments": {use.arguments}' for use in failed)
        if not calls:
            uncached = (*reply.usage[:2], 0)
            yield from super().pieces(body, replace(reply, text=reply.text + texts, tool_uses=(), usage=uncached))
            return
        common = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": body["model"],
            "system_fingerprint": "fp_ollama",
        }
        for text in reply.text + texts:
            yield event(common | {"choices": [_choice({"role": "assistant", "content": text})]})
        for index, use in enumerate(calls):
            call = {
                "id": use.id or f"call_{index}",
                "index": index,
                "type": "function",
                "function": {"name": use.name, "arguments": use.arguments or "{}"},
            }
            yield event(common | {"choices": [_choice({"role": "assistant", "content": "", "tool_calls": [call]})]})
        entered, left, _ = reply.usage
        usage = {"prompt_tokens": entered, "completion_tokens": left, "total_tokens": entered + left}
        reason = "length" if reply.cut_off else "tool_calls"
        closing = event(common | {"choices": [_choice({"role": "assistant", "content": ""}, reason)]})
        yield closing + event(common | {"choices": [], "usage": usage}) + _DONE


_DONE: Final = b"data: [DONE]\n\n"


def _choice(delta: Any, finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish}


def _is_object(use: ToolUse) -> bool:
    try:
        return isinstance(json.loads(use.arguments or "{}"), dict)
    except ValueError:
        return False
