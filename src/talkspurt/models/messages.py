"""Turns a call's history into the messages a chat model is sent.

A telephone call is not a chat: the agent speaks first, either side speaks twice in a row, a
tool answers while the two are talking, an answer comes twice (a proposal, then its outcome)
or never. The vendors refuse all of that. The rules kept here are the strictest of theirs, so that
every vendor accepts the result:

1. the first and the last message are the user's, and roles alternate;
2. no text is blank;
3. every tool call is answered in the very next message, before any text;
4. tool-call ids are ours, unique and short: an id of another vendor would not pass everywhere;
5. a name has only letters, digits, `_` and `-`, and begins with a letter or `_`; arguments are a JSON object.

Nothing here does I/O or keeps state. Equal history gives equal messages, and as a call goes on
its messages only grow at the end (but for the stand-ins below), which is what prompt caches need.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, Literal

import msgspec
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered, ToolCalled

CALL_BEGINS: Final = "(The call begins.)"
"""Stands for the caller before the agent's greeting."""
CALLER_SILENT: Final = "(The caller says nothing.)"
"""Stands for the caller when it is the agent's turn after its own words."""
GO_ON: Final = (
    "(You broke off behind your last word. Say the rest of your answer, beginning with the next word."
    " Repeat nothing, and do not mention it.)"
)
"""Stands for the caller when a reply broke off in the middle, and another one is to be the rest of it."""
NO_ANSWER: Final = '{"status":"no answer yet"}'
"""Stands for the answer of a tool that has not returned: leaving the call out would have it made again."""
CUT_OFF: Final = "—"
"""Ends words that were cut off; a dash, because a model that copies it speaks nothing."""

_FORBIDDEN_IN_NAMES: Final = re.compile(r"[^a-zA-Z0-9_-]")
_FIRST_IN_NAMES: Final = re.compile(r"[a-zA-Z_]")
_LONGEST_NAME: Final = 64


@dataclass(frozen=True, slots=True)
class _Said:
    by: Literal["caller", "agent"]
    text: str


@dataclass(slots=True)
class _ToolUse:
    name: str
    arguments: str
    round: int
    """Calls of one round were made together; a call made after an answer belongs to the next round."""
    content: str | None = None


def to_messages(history: Iterable[Entry], *, continues: bool = False) -> list[ModelMessage]:
    """The history as messages that every vendor accepts, ready for the agent's next reply.

    `continues` as in `ReplyRequest`.
    """
    messages: list[ModelMessage] = []
    tool_calls = 0
    for _, group in groupby(_exchanges(history), key=_grouping):
        items = list(group)
        if isinstance(items[0], _ToolUse):
            uses = [item for item in items if isinstance(item, _ToolUse)]
            ids = [f"call_{number}" for number in range(tool_calls + 1, tool_calls + 1 + len(uses))]
            tool_calls += len(uses)
            _add_tool_round(messages, uses, ids)
        else:
            said = [item for item in items if isinstance(item, _Said)]
            _add_words(messages, said[0].by, " ".join(item.text for item in said))
    if not messages:
        _add_words(messages, "caller", CALL_BEGINS)
    elif isinstance(messages[-1], ModelResponse):
        _add_words(messages, "caller", GO_ON if continues else CALLER_SILENT)
    return messages


def _grouping(item: _Said | _ToolUse) -> tuple[str, int]:
    return (item.by, 0) if isinstance(item, _Said) else ("tool", item.round)


def _exchanges(history: Iterable[Entry]) -> list[_Said | _ToolUse]:
    """The history with each tool's answer moved to its call, in the order of words and calls."""
    exchanges: list[_Said | _ToolUse] = []
    uses: dict[str, _ToolUse] = {}
    round_, answered = 0, False
    for entry in history:
        match entry:
            case CallerSaid(text, source):
                if text.strip():
                    words = _clean(text.strip())
                    exchanges.append(_Said("caller", f"(on the keypad) {words}" if source == "keypad" else words))
            case AgentSaid(text, interrupted):
                if text.strip():
                    words = _clean(text.strip())
                    exchanges.append(_Said("agent", words + CUT_OFF if interrupted else words))
            case ToolCalled(tool_call, name, arguments):
                if answered:
                    round_, answered = round_ + 1, False
                uses[tool_call] = _ToolUse(tool_name(name), object_text(arguments), round_)
                exchanges.append(uses[tool_call])
            case ToolAnswered(tool_call, name, content):
                use = uses.get(tool_call)
                if use is None or use.content is not None:
                    # Its call was left behind, or this is the outcome of a proposal: a call of its own, made here.
                    round_ += 1
                    use = _ToolUse(use.name if use else tool_name(name), use.arguments if use else "{}", round_)
                    uses[tool_call] = use
                    exchanges.append(use)
                use.content = _clean(content)
                answered = True
    return exchanges


def _add_words(messages: list[ModelMessage], by: Literal["caller", "agent"], text: str) -> None:
    if by == "caller":
        if not messages or not isinstance(messages[-1], ModelRequest):
            messages.append(ModelRequest(parts=[]))
        request = messages[-1]
        assert isinstance(request, ModelRequest)
        request.parts = [*request.parts, UserPromptPart(text)]
        return
    if not messages:
        _add_words(messages, "caller", CALL_BEGINS)
    messages.append(ModelResponse(parts=[TextPart(text)]))


def _add_tool_round(messages: list[ModelMessage], uses: Sequence[_ToolUse], ids: Sequence[str]) -> None:
    if not messages:
        _add_words(messages, "caller", CALL_BEGINS)
    if not isinstance(messages[-1], ModelResponse):
        messages.append(ModelResponse(parts=[]))
    response = messages[-1]
    assert isinstance(response, ModelResponse)
    calls = [ToolCallPart(use.name, use.arguments, tool_call_id=id_) for use, id_ in zip(uses, ids, strict=True)]
    response.parts = [*response.parts, *calls]
    messages.append(
        ModelRequest(
            parts=[
                ToolReturnPart(use.name, use.content or NO_ANSWER, tool_call_id=id_)
                for use, id_ in zip(uses, ids, strict=True)
            ]
        )
    )


def tool_name(name: str) -> str:
    """`name` as every vendor accepts it."""
    clean = _FORBIDDEN_IN_NAMES.sub("_", name)
    return (clean if _FIRST_IN_NAMES.match(clean) else f"_{clean}")[:_LONGEST_NAME]


def object_text(arguments: str) -> str:
    """`arguments` when it is a JSON object; else an object that shows the model what it wrote."""
    try:
        if isinstance(msgspec.json.decode(arguments or "{}"), dict):
            return arguments or "{}"
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    return json.dumps({"malformed": _clean(arguments)})


def _clean(text: str) -> str:
    """`text` without lone surrogates, which no vendor's JSON can carry."""
    return text.encode("utf-8", "replace").decode("utf-8")
