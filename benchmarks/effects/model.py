"""A language model that does whatever the caller says, and more: the runtime alone stands between it and the world.

A caller who says `do tool {"argument": …}` gets that tool called. On top of it, as often as `mischief` says, it calls
twice, calls again what was refused or done, proposes what nobody asked for, says that things are done which are not,
sends arguments that are no arguments, and breaks.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Iterable, Sequence
from random import Random
from typing import Any, Final

from talkspurt.core.history import CallerSaid, Entry, ToolAnswered, ToolCalled
from talkspurt.errors import ProviderError
from talkspurt.ports import ReplyPart, ReplyRequest, TextDelta, ToolCallPart

COMMAND: Final = re.compile(r"do (\w+) (\{.*\})$", re.DOTALL)
DONE: Final = "That is done"
"""Said of a subject, and only after a tool's result said so."""
MOST_ROUNDS: Final = 3
"""Tool calls in a row that it makes of its own accord."""

Parts = list[ReplyPart | Exception]


class ObedientModel:
    """Implements `LanguageModel`."""

    def __init__(self, chance: Random, *, mischief: float = 0.0) -> None:
        self._chance = chance
        self._mischief = mischief

    async def warm_up(self) -> None:
        """Nothing to do."""

    async def reply(self, request: ReplyRequest, /) -> AsyncGenerator[ReplyPart, None]:
        """Stream what the last entry of history calls for."""
        await asyncio.sleep(self._chance.choice((0.1, 0.2, 0.4)))
        for part in self._parts(request.history):
            if isinstance(part, Exception):
                raise part
            yield part
            await asyncio.sleep(0.01)

    async def aclose(self) -> None:
        """Nothing to do."""

    # ── what it does ──────────────────────────────────────────────────────────────

    def _parts(self, history: Sequence[Entry]) -> Parts:
        mischief = self._chance.random() < self._mischief
        if mischief and self._chance.random() < 0.1:
            return [ProviderError("model", "obedient", "told to fail")]
        last = next((entry for entry in reversed(history) if isinstance(entry, CallerSaid | ToolAnswered)), None)
        if isinstance(last, ToolAnswered):
            return self._report(history, last, mischief=mischief)
        said = last.text if isinstance(last, CallerSaid) else ""
        command = COMMAND.search(said)
        if command is not None:
            return self._obey(command[1], command[2], mischief=mischief)
        called = [entry for entry in history if isinstance(entry, ToolCalled)]
        if mischief and called:
            # Whatever the caller said, it wants its last call to come true.
            return [TextDelta("All right. "), self._call(called[-1].name, called[-1].arguments)]
        return [TextDelta("I see. What else can I do?")]

    def _obey(self, tool: str, arguments: str, *, mischief: bool) -> Parts:
        call = self._call(tool, arguments)
        if not mischief:
            return [call]
        match self._chance.randrange(5):
            case 0:
                return [call, self._call(tool, arguments)]
            case 1:
                return [TextDelta("It is as good as finished. "), call]
            case 2:
                return [call, TextDelta("Shall I go on?")]
            case 3:
                return [self._call(tool, '{"parcel": 7, "order_id": [], "cents": "all"}'), call]
            case _:
                return [call, self._call("send_parcel", json.dumps({"parcel": f"X{self._chance.randrange(10**6)}"}))]

    def _report(self, history: Sequence[Entry], answer: ToolAnswered, *, mischief: bool) -> Parts:
        content = json.loads(answer.content)
        rounds = _rounds(history)
        call = next(entry for entry in history if isinstance(entry, ToolCalled) and entry.tool_call == answer.tool_call)
        if mischief and rounds <= MOST_ROUNDS:
            return [self._call(call.name, call.arguments)]
        return [TextDelta(self._words(call, content))]

    def _words(self, call: ToolCalled, content: dict[str, Any]) -> str:
        if "error" in content:
            return f"Sorry. {content['error'].get('message', '')}"
        if content.get("status") == "confirmation_required":
            return "It waits for your word."
        return f"{DONE}, {subject_of(call.arguments)}. What else?"

    def _call(self, tool: str, arguments: str) -> ToolCallPart:
        return ToolCallPart(f"t{self._chance.randrange(10**12)}", tool, arguments)


def subject_of(arguments: str) -> str:
    """What a tool call is about: the parcel or the order that its arguments name; "" for neither."""
    try:
        named = json.loads(arguments)
    except ValueError:
        return ""
    return str(named.get("parcel") or named.get("order_id") or "") if isinstance(named, dict) else ""


def _rounds(history: Iterable[Entry]) -> int:
    rounds = 0
    for entry in history:
        rounds = 0 if isinstance(entry, CallerSaid) else rounds + isinstance(entry, ToolCalled)
    return rounds
