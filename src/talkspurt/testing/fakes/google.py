"""Google's Gemini API on loopback: `POST /v1beta/models/{model}:streamGenerateContent?alt=sse`.

What it assumes about the vendor (ai.google.dev, "Generating content", "Function calling"):
* the answer is server-sent events without a name, each a whole `GenerateContentResponse`: text in
  `candidates[0].content.parts[].text`; a function call whole in one part (`functionCall: {name, args}`, never in
  pieces); `finishReason` in the last one, `usageMetadata` in each, cumulative;
* a model that writes a call wrongly answers without a part and with `finishReason: MALFORMED_FUNCTION_CALL`;
* `contents` begin with the user's; a turn of the model with function calls is followed at once by a turn of the user
  with as many `functionResponse` parts for them, before any text; texts are not empty; names match
  `^[a-zA-Z_][a-zA-Z0-9_.-]{0,63}$`;
* the key is the header `x-goog-api-key`; errors are `{"error": {code, message, status, details}}`, a wrong key status
  400 with the reason `API_KEY_INVALID`, and how long to wait is in a `google.rpc.RetryInfo`.

Not covered: non-streaming requests, images, thinking, the vendor's own tools, cached contents, Vertex AI.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

from talkspurt.testing.fakes.chat import FakeChat, event, require
from talkspurt.testing.fakes.script import ModelReply, ToolUse

_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.-]{0,63}")


class FakeGoogle(FakeChat):
    """Gemini's `streamGenerateContent` with scripted replies."""

    path: ClassVar[str] = "/v1beta/models/{call}"
    garbage: ClassVar[bytes] = b"data: {]\r\n\r\n"
    expired: ClassVar[int] = 400
    statuses: ClassVar[Mapping[int, str]] = {
        400: "INVALID_ARGUMENT",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        429: "RESOURCE_EXHAUSTED",
        500: "INTERNAL",
        503: "UNAVAILABLE",
    }

    @property
    def base_url(self) -> str:
        """What the SDK takes as its base URL."""
        return self.origin

    def given_key(self, headers: Mapping[str, str]) -> str:
        """The header of its own."""
        return headers.get("x-goog-api-key", "")

    def validate(self, body: Any, headers: Mapping[str, str]) -> None:
        """Refuse what Gemini refuses."""
        for name in self.offered(body):
            require(bool(_NAME.fullmatch(name)), f"Invalid function name: {name!r}")
        contents = body.get("contents")
        require(isinstance(contents, list) and len(contents) > 0, "contents is not specified")
        calls: list[str] = []
        for number, content in enumerate(contents):
            role, parts = content.get("role"), content.get("parts") or []
            require(role in ("user", "model"), f"contents[{number}]: please use a valid role: user, model")
            require(number > 0 or role == "user", "contents must begin with a user's turn")
            require(len(parts) > 0, f"contents[{number}].parts: must not be empty")
            for part in parts:
                require("text" not in part or bool(part["text"]), f"contents[{number}]: empty text parameter")
            answers = [part["functionResponse"]["name"] for part in parts if "functionResponse" in part]
            require(
                answers == calls,
                "the number of function response parts must equal the number of function call parts of the turn before",
            )
            require(
                all("functionResponse" in part for part in parts[: len(answers)]), "function responses must come first"
            )
            calls = [part["functionCall"]["name"] for part in parts if "functionCall" in part]
            require(not calls or role == "model", f"contents[{number}]: a function call must be the model's")
            for part in parts:
                require(
                    "functionCall" not in part or isinstance(part["functionCall"].get("args", {}), dict),
                    f"contents[{number}]: args must be an object",
                )
        require(not calls, "function calls at the end have no response")
        system = body.get("systemInstruction", {}).get("parts", [{"text": "x"}])
        require(all(part.get("text") for part in system), "systemInstruction: empty text parameter")

    def pieces(self, body: Any, reply: ModelReply) -> Iterator[bytes]:
        """The reply as `GenerateContentResponse`s."""
        for text in reply.text:
            yield _chunk(reply, [{"text": text}])
        calls = [_call(use) for use in reply.tool_uses]
        if None in calls:
            yield _chunk(reply, [], "MALFORMED_FUNCTION_CALL")
            return
        for call in calls:
            yield _chunk(reply, [call])
        yield _chunk(reply, [{"text": ""}] if reply.text or calls else [], "MAX_TOKENS" if reply.cut_off else "STOP")

    def offered(self, body: Any) -> list[str]:
        """The names of all function declarations."""
        return [
            declaration["name"]
            for tool in body.get("tools", [])
            for declaration in tool.get("functionDeclarations", [])
        ]

    def error_body(self, type_: str, message: str, status: int) -> Any:
        """The body of an error response."""
        return {"error": {"code": status, "message": message, "status": type_, "details": _details(status, message)}}

    def in_stream_error(self) -> bytes:
        """An error report inside an open stream."""
        return event(self.error_body("UNAVAILABLE", "The model is overloaded. Please try again later.", 503))


def _chunk(reply: ModelReply, parts: Sequence[Any], reason: str | None = None) -> bytes:
    entered, left, cached = reply.usage
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if not parts:
        candidate["content"] = {"role": "model"}
    if reason is not None:
        candidate["finishReason"] = reason
    return event(
        {
            "candidates": [candidate],
            "usageMetadata": {
                "promptTokenCount": entered,
                "cachedContentTokenCount": cached,
                "candidatesTokenCount": left,
                "totalTokenCount": entered + left,
            },
            "modelVersion": "gemini-fake",
            "responseId": "fake",
        }
    )


def _call(use: ToolUse) -> dict[str, Any] | None:
    try:
        arguments = json.loads(use.arguments or "{}")
    except ValueError:
        return None
    call = {"name": use.name, "args": arguments}
    return {"functionCall": call | ({"id": use.id} if use.id else {})}


def _details(status: int, message: str) -> list[Any]:
    if status == 429:
        return [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2s"}]
    if status == 400 and "API key" in message:
        return [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
            }
        ]
    return []
