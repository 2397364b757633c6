"""Groq's chat completions on loopback: `POST /openai/v1/chat/completions`, OpenAI's format but for the usage.

What it assumes about the vendor (console.groq.com/docs, "API reference", and its SDK's types): the usage is in the last
chunk that has a choice, as `x_groq.usage`, whether or not it was asked for.
"""

import json
from collections.abc import Iterator
from typing import Any, ClassVar

from talkspurt.testing.fakes.chat import event
from talkspurt.testing.fakes.openai import FakeOpenAI
from talkspurt.testing.fakes.script import ModelReply


class FakeGroq(FakeOpenAI):
    """Groq's chat completions with scripted replies."""

    path: ClassVar[str] = "/openai/v1/chat/completions"

    @property
    def base_url(self) -> str:
        """What the SDK takes as its base URL."""
        return self.origin

    def pieces(self, body: Any, reply: ModelReply) -> Iterator[bytes]:
        """The reply as OpenAI's chunks, the usage in the last one."""
        *pieces, last = super().pieces({**body, "stream_options": None}, reply)
        yield from pieces
        *others, closing, done, _ = last.split(b"\n\n")
        chunk = json.loads(closing.removeprefix(b"data: "))
        entered, left, cached = reply.usage
        usage = {
            "prompt_tokens": entered,
            "completion_tokens": left,
            "total_tokens": entered + left,
            "prompt_tokens_details": {"cached_tokens": cached},
        }
        yield (
            b"".join(other + b"\n\n" for other in others)
            + event(chunk | {"x_groq": {"id": "req_fake", "usage": usage}})
            + done
            + b"\n\n"
        )
