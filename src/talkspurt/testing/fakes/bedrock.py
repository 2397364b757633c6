"""Amazon Bedrock's ConverseStream on loopback: `POST /model/{modelId}/converse-stream`.

What it assumes about the vendor (docs.aws.amazon.com, "ConverseStream", "Event stream encoding"):
* the answer is a stream of binary messages: total length and headers' length (4 bytes each, big-endian), CRC-32 of
  those 8 bytes, headers (`:event-type`, `:content-type`, `:message-type`), a JSON payload, CRC-32 of all before it;
* the events are `messageStart`; per block `contentBlockStart` (tool uses only), `contentBlockDelta` with `text` or
  `toolUse.input` in pieces, `contentBlockStop`; `messageStop` with the `stopReason`; `metadata` with the usage, whose
  `inputTokens` do not count those read from the cache;
* a failure midway is a message of the type `exception`;
* messages begin with the user's and alternate; every `toolUse` is answered in the very next message; ids and names
  match `^[a-zA-Z0-9_-]{1,64}$`; tools in the history need a `toolConfig`; texts are not blank;
* the key is a bearer token, or a request signed with version 4, whose `Credential` begins with the id of the key. The
  signature itself is not computed again here;
* errors are `{"message"}` with their name in the header `x-amzn-errortype`.

Not covered: Converse without a stream, images, documents, guardrails, reasoning.
"""

import json
import re
import struct
import uuid
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

from talkspurt.testing.fakes.chat import FakeChat, require
from talkspurt.testing.fakes.script import ModelReply, fragments

_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_SIGNED: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/\d{8}/[a-z0-9-]+/bedrock/aws4_request, "
    r"SignedHeaders=[a-z0-9;-]+, Signature=[0-9a-f]{64}"
)
_TEXT: Final = 7
"""The type number of a header that is text."""


class FakeBedrock(FakeChat):
    """ConverseStream with scripted replies. `key` is a Bedrock API key or the id of an access key."""

    path: ClassVar[str] = "/model/{model:path}/converse-stream"
    media_type: ClassVar[str] = "application/vnd.amazon.eventstream"
    garbage: ClassVar[bytes] = b"\x00\x00\x00\x20\x00\x00\x00\x00garbage that is no message\x00\x00"
    expired: ClassVar[int] = 403
    statuses: ClassVar[Mapping[int, str]] = {
        400: "ValidationException",
        403: "ExpiredTokenException",
        404: "ResourceNotFoundException",
        408: "ModelTimeoutException",
        429: "ThrottlingException",
        500: "InternalServerException",
        503: "ServiceUnavailableException",
    }

    @property
    def base_url(self) -> str:
        """What the SDK takes as its endpoint URL."""
        return self.origin

    def given_key(self, headers: Mapping[str, str]) -> str:
        """The bearer token, or the id of the access key that signed."""
        given = headers.get("authorization", "")
        signed = _SIGNED.fullmatch(given)
        return signed["key"] if signed else given.removeprefix("Bearer ")

    def error_headers(self, type_: str) -> Mapping[str, str]:
        """The name of the error."""
        return {"x-amzn-errortype": f"{type_}:http://internal.amazon.com/coral/com.amazon.bedrock/"}

    def validate(self, body: Any, headers: Mapping[str, str]) -> None:
        """Refuse what ConverseStream refuses."""
        names = self.offered(body)
        for name in names:
            require(bool(_ID.fullmatch(name)), f"toolConfig: invalid name {name!r}")
        for block in body.get("system", []):
            require("text" not in block or bool(block["text"].strip()), "system: text must not be blank")
        messages = body.get("messages")
        require(isinstance(messages, list) and len(messages) > 0, "messages: at least one is required")
        waiting: set[str] = set()
        for number, message in enumerate(messages):
            role, blocks = message.get("role"), message.get("content")
            require(role == ("assistant" if number % 2 else "user"), "A conversation must alternate between roles")
            require(isinstance(blocks, list) and len(blocks) > 0, f"messages.{number}.content is empty")
            answered = [block["toolResult"]["toolUseId"] for block in blocks if "toolResult" in block]
            require(sorted(answered) == sorted(waiting), "toolResult blocks must match the toolUse blocks before")
            require(all("text" not in block or bool(block["text"].strip()) for block in blocks), "text is blank")
            uses = [block["toolUse"] for block in blocks if "toolUse" in block]
            for use in uses:
                require(bool(_ID.fullmatch(use["toolUseId"])), "toolUseId: invalid")
                require(bool(_ID.fullmatch(use["name"])), "toolUse.name: invalid")
                require(isinstance(use["input"], dict), "toolUse.input: must be an object")
            require(not (answered or uses) or bool(names), "toolConfig must be defined when using tool blocks")
            waiting = {use["toolUseId"] for use in uses}
            require(len(waiting) == len(uses), "toolUse ids must be unique")
        require(messages[-1]["role"] == "user", "A conversation must end with a user message")

    def pieces(self, body: Any, reply: ModelReply) -> Iterator[bytes]:
        """The reply as ConverseStream events."""
        entered, left, cached = reply.usage
        opening = _event("messageStart", {"role": "assistant"})
        index = 0
        if reply.text:
            for text in reply.text:
                yield opening + _delta(index, {"text": text})
                opening = b""
            opening = _event("contentBlockStop", {"contentBlockIndex": index})
            index += 1
        for use in reply.tool_uses:
            start = {"toolUse": {"toolUseId": use.id or f"tooluse_{uuid.uuid4().hex[:22]}", "name": use.name}}
            yield opening + _event("contentBlockStart", {"contentBlockIndex": index, "start": start})
            for fragment in fragments(use.arguments):
                yield _delta(index, {"toolUse": {"input": fragment}})
            opening = _event("contentBlockStop", {"contentBlockIndex": index})
            index += 1
        usage = {
            "inputTokens": entered - cached,
            "outputTokens": left,
            "totalTokens": entered + left,
            "cacheReadInputTokens": cached,
            "cacheWriteInputTokens": 0,
        }
        reason = "max_tokens" if reply.cut_off else "tool_use" if reply.tool_uses else "end_turn"
        yield (
            opening
            + _event("messageStop", {"stopReason": reason})
            + _event("metadata", {"usage": usage, "metrics": {"latencyMs": 1}})
        )

    def offered(self, body: Any) -> list[str]:
        """The names of all tool specifications."""
        tools = (body.get("toolConfig") or {}).get("tools", [])
        return [tool["toolSpec"]["name"] for tool in tools if "toolSpec" in tool]

    def error_body(self, type_: str, message: str, status: int) -> Any:
        """The body of an error response."""
        return {"message": message}

    def in_stream_error(self) -> bytes:
        """An exception inside an open stream."""
        return _message(
            (
                (":exception-type", "serviceUnavailableException"),
                (":content-type", "application/json"),
                (":message-type", "exception"),
            ),
            {"message": "Bedrock is unable to process your request."},
        )


def _delta(index: int, delta: Any) -> bytes:
    return _event("contentBlockDelta", {"contentBlockIndex": index, "delta": delta})


def _event(type_: str, payload: Any) -> bytes:
    return _message(
        ((":event-type", type_), (":content-type", "application/json"), (":message-type", "event")), payload
    )


def _message(headers: Sequence[tuple[str, str]], payload: Any) -> bytes:
    encoded = b"".join(
        struct.pack(f"!B{len(name)}sBH{len(value)}s", len(name), name.encode(), _TEXT, len(value), value.encode())
        for name, value in headers
    )
    data = json.dumps(payload).encode()
    prelude = struct.pack("!II", 16 + len(encoded) + len(data), len(encoded))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + encoded + data
    return message + struct.pack("!I", zlib.crc32(message))
