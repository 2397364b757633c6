"""Keeps the answers to common questions, so that the next caller who asks one hears it without a model being asked.

A language model in front of another one. A false answer is worse than a question too many, so it keeps next to nothing:

* only the first thing that a caller says, and only behind words of the agent that were heard: no answer hangs on
  what was said, looked up or found out about the caller before;
* only questions without anything that may be personal (a number, an address, a name, "my"), and only once several
  calls have asked them in the same words; in English, because it is not known of other languages which words those are;
* only whole answers of the configured model (none of its fallbacks) without a tool call, a long number or an address;
* for an hour, and under a key of all that the model was told: instructions, tools, its name, the locale, what was known
  of the call (which names the day), what the agent had said, and the question's words. Another version of the prompt
  has other keys.

Questions are kept as hashes. All is in memory, and the least recently used is forgotten first.
"""

import asyncio
import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from talkspurt.core.history import AgentSaid, CallerSaid
from talkspurt.ports import (
    LanguageModel,
    ReplyPart,
    ReplyRequest,
    TextDelta,
    ToolCallPart,
    ToolSpec,
    Usage,
    keep_connected,
)
from talkspurt.speech.inference import current_purpose
from talkspurt.telemetry.metrics import KNOWN_ANSWERS
from talkspurt.telemetry.usage import METER

CALLS: Final = 3
"""In as many calls a question has to be asked before its answer is kept: what one caller says is no common question."""
LIFE: Final = 3600.0
"""Seconds that an answer is good for: what a model once made up is not repeated for ever."""
LONGEST_QUESTION: Final = 160
LONGEST_ANSWER: Final = 600
"""Letters."""
REMEMBERED: Final = 8
"""Questions that are being counted, for each answer that may be kept."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WORD: Final = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_NUMBERS: Final = _words(
    """zero oh two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand double triple"""
)
_OF_ONESELF: Final = _words(
    """my mine me myself our ours we we're we've us i'm i've i'd i'll im ive am was name named called calling speaking
    this it's here husband wife son daughter mother father mom dad dot"""
)
"""Words around which people say who they are and what is theirs."""
_SPELLED: Final = frozenset("bcdefghjklmnopqrstuvwxyz")
"""Letters that are no words."""
_DAYS: Final = _words(
    """monday tuesday wednesday thursday friday saturday sunday january february march april may june july august
    september october november december christmas easter thanksgiving english"""
)
"""Written with a capital, and nobody's name."""
_LONG_NUMBER: Final = re.compile(r"\d(?:[\s().-]?\d){4,}|@")


@dataclass(frozen=True, slots=True)
class _Answer:
    text: str
    tokens: int
    """What it took to find it."""
    until: float


@dataclass(slots=True)
class _Asked:
    calls: int = 0
    last: str = field(default="")
    """The call that asked last."""


class KnownAnswers:
    """A `LanguageModel` in front of another one, which it asks what it does not know."""

    def __init__(self, model: LanguageModel, name: str, *, capacity: int) -> None:
        """`name` is the configured model's, as its `Usage` tells it; `capacity` the answers that are kept."""
        self.model = model
        """The one behind."""
        self._name = name
        self._capacity = capacity
        self._answers: OrderedDict[str, _Answer] = OrderedDict()
        self._asked: OrderedDict[str, _Asked] = OrderedDict()
        self._told: tuple[str, tuple[ToolSpec, ...], str] = ("", (), "")
        """The last instructions and tools, and the version that they make."""

    async def warm_up(self) -> None:
        """Warm the model behind."""
        await self.model.warm_up()

    async def keep_connected(self) -> None:
        """Have a connection of the model behind open, if it has any. Raises nothing."""
        await keep_connected(self.model)

    async def reply(self, request: ReplyRequest, /) -> AsyncGenerator[ReplyPart, None]:
        """Stream the answer that is known, or else what the model behind says."""
        key = self._key(request)
        now = asyncio.get_running_loop().time()
        known = self._answers.get(key) if key is not None else None
        if known is not None and known.until > now:
            assert key is not None
            self._answers.move_to_end(key)
            KNOWN_ANSWERS.labels("told").inc()
            meter = METER.get()
            if meter is not None:
                meter.add("model", self._name, "spared", known.tokens)
            yield TextDelta(known.text)
            return
        keep = key is not None and self._is_common(key)
        text: list[str] = []
        usage: Usage | None = None
        async with aclosing(self.model.reply(request)) as parts:
            async for part in parts:
                match part:
                    case TextDelta():
                        text.append(part.text)
                    case ToolCallPart() | Usage(cut_off=True):
                        keep = False
                    case Usage():
                        usage = part
                yield part
        if keep and key is not None and usage is not None and usage.model == self._name:
            self._keep(key, "".join(text).strip(), usage, now)

    async def aclose(self) -> None:
        """Forget all, and close the model behind. Idempotent."""
        self._answers.clear()
        self._asked.clear()
        await self.model.aclose()

    def _key(self, request: ReplyRequest) -> str | None:
        """What the answer hangs on; None when it must not be kept."""
        *before, question = request.history
        if not isinstance(question, CallerSaid) or question.source != "voice" or not request.locale.startswith("en"):
            return None
        if not all(isinstance(entry, AgentSaid) and not entry.interrupted for entry in before):
            return None
        words = question_words(question.text)
        if words is None:
            return None
        said = [entry.text for entry in before if isinstance(entry, AgentSaid)]
        whole = [self._version(request), request.locale, request.caller_facts, said, words]
        return hashlib.sha256(json.dumps(whole).encode()).hexdigest()

    def _version(self, request: ReplyRequest) -> str:
        instructions, tools, version = self._told
        if not version or instructions != request.instructions or tools != request.tools:
            version = prompt_version(self._name, request)
            self._told = (request.instructions, request.tools, version)
        return version

    def _is_common(self, key: str) -> bool:
        asked = self._asked.setdefault(key, _Asked())
        self._asked.move_to_end(key)
        while len(self._asked) > REMEMBERED * self._capacity:
            self._asked.popitem(last=False)
        call = current_purpose().call
        if call and call != asked.last:
            asked.last = call
            asked.calls += 1
        return asked.calls >= CALLS

    def _keep(self, key: str, text: str, usage: Usage, now: float) -> None:
        if not text or len(text) > LONGEST_ANSWER or _LONG_NUMBER.search(text):
            return
        self._answers[key] = _Answer(text, usage.input_tokens + usage.output_tokens, now + LIFE)
        self._answers.move_to_end(key)
        while len(self._answers) > self._capacity:
            self._answers.popitem(last=False)
        KNOWN_ANSWERS.labels("kept").inc()


def prompt_version(name: str, request: ReplyRequest) -> str:
    """A hash of all that an agent's model is told in every call."""
    tools = [(tool.name, tool.description, tool.parameters) for tool in request.tools]
    told = json.dumps([name, request.instructions, tools], sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()


def question_words(text: str) -> str | None:
    """The words of a question, so that the same one is known again; None for one that may be about somebody."""
    plain = text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    if len(plain) > LONGEST_QUESTION or "@" in plain or any(character.isdigit() for character in plain):
        return None
    words = _WORD.findall(plain)
    lower = [word.casefold() for word in words]
    personal = _NUMBERS | _OF_ONESELF | _SPELLED
    if not words or any(word in personal for word in lower):
        return None
    sentences = re.split(r"[.?!]\s*", plain)
    firsts = {found[0] for sentence in sentences if (found := _WORD.findall(sentence))}
    for word, small in zip(words, lower, strict=True):
        if word != small and word not in firsts and small not in _DAYS and small.partition("'")[0] != "i":
            # Perhaps somebody's name.
            return None
    return " ".join(lower)
