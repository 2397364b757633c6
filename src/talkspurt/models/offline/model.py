"""The offline brain as a `LanguageModel`: the history goes in, one act comes out.

It keeps nothing between requests. Each request folds the whole history through the policy, which
is cheap: meaning vectors of sentences heard before are remembered (a memo, not a state).
"""

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

from talkspurt.agent.agent import Agent
from talkspurt.agent.dialogue import Dialogue
from talkspurt.agent.tools import END_CALL, NEW_CALLER, SPEAK_SLOWER
from talkspurt.config import Config
from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered, ToolCalled
from talkspurt.errors import ConfigurationError, ProviderError
from talkspurt.models.offline.embedding import WEIGHTS, SentenceEmbedder
from talkspurt.models.offline.policy import Policy
from talkspurt.models.offline.standing import Act, ForSlot, IsThatRight, Standing
from talkspurt.models.offline.understanding import Comprehension
from talkspurt.models.offline.wording import sentences, word
from talkspurt.ports import ReplyPart, ReplyRequest, TextDelta, ToolCallPart, Usage
from talkspurt.speech.weights import WeightStore

DEADLINE: Final = 5.0
"""Seconds for one reply: a thousand times what it takes, so only a stuck machine meets it."""
WARM_UP_DEADLINE: Final = 120.0
"""Seconds to load the model and embed an agent's examples."""

_Result = TypeVar("_Result")


class OfflineModel:
    """Thinks for one agent with its `Dialogue`; shared by all calls. Fits `talkspurt.ports.LanguageModel`."""

    def __init__(self, dialogue: Dialogue, store: WeightStore, *, threads: int = 1) -> None:
        """Loads nothing yet; `warm_up` does."""
        self._dialogue = dialogue
        self._store = store
        self._threads = threads
        self._policy = Policy(dialogue)
        self._comprehension: Comprehension | None = None
        self._warming = asyncio.Lock()
        # One thread: sentences are embedded one at a time anyway, and a burst waits milliseconds.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="offline-brain")

    @classmethod
    def from_config(cls, config: Config, agent: Agent) -> "OfflineModel":
        """The brain of `agent`. Raises `ConfigurationError` when it has no dialogue, or one that needs other tools."""
        if agent.dialogue is None:
            raise ConfigurationError(
                f"agent '{agent.name}' has no dialogue, which the offline model speaks from; "
                "give Agent(dialogue=...) or set model.name to a language model"
            )
        missing = sorted(name for name in agent.dialogue.tools() if agent.tool(name) is None)
        if missing:
            raise ConfigurationError(
                f"the dialogue of agent '{agent.name}' calls {', '.join(missing)}, which is not among its tools"
            )
        return cls(agent.dialogue, WeightStore.from_config(config), threads=config.speech.threads)

    async def warm_up(self) -> None:
        """Load the sentence model and embed the examples. Raises `WeightsError`."""
        async with self._warming:
            if self._comprehension is None:
                self._comprehension = await self._run(self._load, WARM_UP_DEADLINE)

    async def reply(self, request: ReplyRequest, /) -> AsyncGenerator[ReplyPart, None]:
        """Stream the reply to the end of the history: text, then at most one tool call."""
        if self._comprehension is None:
            await self.warm_up()
        offered = {tool.name for tool in request.tools}
        act = await self._run(lambda: self._decide(request), DEADLINE)
        if act.call and act.call.tool not in offered:
            act = Act(word(self._dialogue.phrases.trouble, {}))
        for part in _sentences_of(act.text):
            yield TextDelta(part)
        if act.call:
            yield ToolCallPart(_new_id(), act.call.tool, json.dumps(act.call.arguments, sort_keys=True))
        elif act.hang_up and END_CALL in offered:
            yield ToolCallPart(_new_id(), END_CALL, "{}")
        yield Usage()

    async def aclose(self) -> None:
        """Let the thread end. Idempotent."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _load(self) -> Comprehension:
        folder: Path = self._store.path(WEIGHTS)
        return Comprehension(self._dialogue, SentenceEmbedder(folder, threads=self._threads))

    def _decide(self, request: ReplyRequest) -> Act:
        assert self._comprehension is not None, "reply warms up first"
        # It knows only whole answers, so what has been said of one does not count.
        history = request.history[:-1] if request.continues else request.history
        standing, act = stand(history, self._policy, self._comprehension, request.locale)
        if act.call and act.call.role == "slower" and all(tool.name != SPEAK_SLOWER for tool in request.tools):
            # A runtime with one pace only: at least the words are said again.
            return self._policy.learn(standing, SPEAK_SLOWER, {})[1]
        return act

    async def _run(self, work: Callable[[], _Result], deadline: float) -> _Result:
        loop = asyncio.get_running_loop()
        try:
            return await asyncio.wait_for(loop.run_in_executor(self._executor, work), deadline)
        except TimeoutError:
            raise ProviderError("model", "offline", f"no answer within {deadline:g} s", retryable=True) from None


def stand(
    history: tuple[Entry, ...], policy: Policy, comprehension: Comprehension, locale: str
) -> tuple[Standing, Act]:
    """Where the dialogue stands after `history`, and what to do next there."""
    standing, act = Standing(), Act()
    for entry in _turns(history):
        match entry:
            case CallerSaid(text, source):
                standing = replace(standing, unsaid=act.text)
                asked = isinstance(standing.question, ForSlot | IsThatRight)
                heard = comprehension.understand(text, typed=source == "keypad", asked=asked, locale=locale)
                standing, act = policy.hear(standing, heard)
            case AgentSaid(text, interrupted):
                # What was really said counts, unless only its beginning was heard.
                cut = interrupted and standing.said.startswith(text.rstrip(" .…,"))
                standing, act = standing if cut else replace(standing, said=text), Act()
            case ToolCalled(name=name) | ToolAnswered(name=name) if name == NEW_CALLER:
                # Of the runtime, right behind the words by which somebody else became the caller: those are answered.
                pass
            case ToolCalled(_, name, arguments):
                standing = policy.called(standing, name, _object(arguments))
            case ToolAnswered(_, name, content):
                standing, act = policy.learn(standing, name, _object(content))
    return standing, act


def _turns(history: tuple[Entry, ...]) -> Iterator[Entry]:
    """The history with neighbouring entries of one speaker joined.

    Two turns of the caller with nothing between them are one: the reply to the first was
    dropped before a word of it was heard.
    """
    pending: CallerSaid | AgentSaid | None = None
    for entry in history:
        match pending, entry:
            case CallerSaid(before, "voice"), CallerSaid(text, "voice"):
                pending = CallerSaid(sentences(before, text))
                continue
            case AgentSaid(before, _), AgentSaid(text, interrupted):
                pending = AgentSaid(sentences(before, text), interrupted)
                continue
        if pending is not None:
            yield pending
            pending = None
        if isinstance(entry, CallerSaid | AgentSaid):
            pending = entry
        else:
            yield entry
    if pending is not None:
        yield pending


def _object(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _sentences_of(text: str) -> Iterator[str]:
    """Text in pieces as a language model streams it; together they are the text."""
    start = 0
    for index, character in enumerate(text):
        if character in ".?!" and text[index + 1 : index + 2] == " ":
            yield text[start : index + 2]
            start = index + 2
    if text[start:]:
        yield text[start:]


def _new_id() -> str:
    # Random rather than counted: a dropped speculative reply must not share its id with the next one.
    return f"call-{uuid.uuid4().hex[:12]}"
