"""What the language models of these calls say: the same whoever is asked, so that only the fault makes a difference."""

from typing import Any, Final

from talkspurt.models.messages import GO_ON
from talkspurt.testing.fakes import FakeAnthropic, FakeOpenAI, ModelReply, ToolUse
from talkspurt.testing.fakes.openai_realtime import Conversation

LINES: Final = (
    "Please send me a catalog.",
    "Yes please.",
    "What are your opening hours?",
    "Thank you goodbye.",
)
"""What the caller says, in this order: each in one breath, since the recognizer's fake takes a pause for the next."""

SENT: Final = "It is on its way. Is there anything else?"
HOURS: Final = (
    "We are open from nine to five. ",
    "On Saturdays we close at noon. ",
    "What else would you like to know?",
)


def answer(text: str, *, answers_tool: bool) -> ModelReply:
    """The reply to the last message of a request."""
    heard = text.lower()
    if answers_tool:
        return ModelReply(text=(SENT,)) if "sent" in heard else ModelReply(text=("I have not sent it yet.",))
    if "catalog" in heard:
        return ModelReply(tool_uses=(ToolUse("send_catalogue"),))
    if "hours" in heard or "opening" in heard:
        return ModelReply(text=HOURS, gap=0.05)
    if "bye" in heard or "thank" in heard:
        return ModelReply(text=("You are welcome. Goodbye.",))
    return ModelReply(text=("I can send you a catalogue, or tell you when we are open.",))


def rest_of(said: str) -> ModelReply:
    """What comes behind a reply that broke off: the opening hours that are not told yet, or nothing much."""
    untold = tuple(piece for piece in HOURS if piece.strip() not in said)
    return ModelReply(text=untold if len(untold) < len(HOURS) else ("Is there anything else?",))


def tells_hours(said: str) -> bool:
    """Whether all of the answer about the opening hours was told."""
    return all(piece.strip() in said for piece in HOURS)


def answer_spoken(conversation: Conversation) -> ModelReply:
    """The reply of a model that hears and speaks itself."""
    words = [item.text for item in conversation.items if item.kind == "user"]
    results = [item.text for item in conversation.items if item.kind == "function_call_output"]
    if results and "yes" in words[-1].lower():
        return answer(results[-1], answers_tool=True)
    return answer(words[-1] if words else "", answers_tool=False)


class ThinkingOpenAI(FakeOpenAI):
    """The chat fake, which answers what it is asked, unless it is told to say something else."""

    failing: ModelReply | None = None
    """What it says to everything."""

    def validate(self, body: Any, headers: Any) -> None:
        """Also choose the reply, which is taken at once."""
        super().validate(body, headers)
        before, last = ([None, *body["messages"]])[-2:]
        heard = _text(last["content"])
        reply = rest_of(_text(before["content"])) if GO_ON in heard else None
        self.script(self.failing or reply or answer(heard, answers_tool=last["role"] == "tool"))


class ThinkingAnthropic(FakeAnthropic):
    """The messages fake, which answers what it is asked."""

    def validate(self, body: Any, headers: Any) -> None:
        """Also choose the reply, which is taken at once."""
        super().validate(body, headers)
        content = body["messages"][-1]["content"]
        blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
        results = [block for block in blocks if block["type"] == "tool_result"]
        text = " ".join(_text(block.get("content", block.get("text", ""))) for block in results or blocks)
        if GO_ON in text:
            self.script(rest_of(_text(body["messages"][-2]["content"])))
        else:
            self.script(answer(text, answers_tool=bool(results)))


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content or ())
