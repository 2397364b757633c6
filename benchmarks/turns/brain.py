"""A language model whose lines are known: it answers deterministically from the history.

Four kinds of agent (`agents`), told apart by their instructions. No two replies are alike, for
each holds numbers drawn from the history, so that no phrase cache makes the agent look faster
than it is. What it was asked and what it said goes to the file that `ORDERS_VARIABLE` names,
one JSON object a line: the runner's only way to know what the agent wanted to say.
"""

import asyncio
import hashlib
import json
import os
import random
import re
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

from talkspurt.agent.agent import Agent
from talkspurt.config import Config
from talkspurt.core.history import AgentSaid, CallerSaid
from talkspurt.ports import ReplyPart, ReplyRequest, TextDelta

ORDERS_VARIABLE: Final = "BENCH_TURNS_ORDERS"
FIRST_SECONDS: Final = 0.01
"""Time to the first word, that of the local model whose place this takes: the offline brain answers in 1 to 7 ms."""
WORD_SECONDS: Final = 0.002

LONG_SENTENCES: Final = 3
"""Some fifteen seconds with this voice."""

GREETINGS: Final = {
    "ordinary": "Hello, this is the lamp store. How can I help you today?",
    "yesno": "Hello, this is the lamp store. Are you calling about an order?",
    "entity": "Hello, this is the lamp store. What's your order number?",
    "long": "Hello, this is the lamp store. What would you like to hear about?",
}
ENTITY_QUESTIONS: Final = {
    "order_id": "What's your order number?",
    "email": "What's your e-mail address?",
    "phone": "What phone number can we reach you on?",
    "zip": "What's your ZIP code?",
    "amount": "How much was it?",
}
"""In the order in which they are asked; the greeting asks the first."""

_ORDINARY: Final = (
    "Okay, case {n}. What else?",
    "Thanks, note {n}. What comes next?",
    "I see, item {n}. How come?",
    "Right, list {n}. What happened?",
    "Good, number {n}. What then?",
    "Noted, page {n}. How can I help?",
)
_YES_NO: Final = (
    "That was {n} dollars. Is that right?",
    "It arrives on the {day}th. Does that work?",
    "I can send back number {n}. Shall I go ahead?",
    "It weighs {n} ounces. Is that correct?",
    "We have {n} of these left. Would you like one?",
    "The card ends in {n}. Is that the right one?",
)
_ENTITY: Final = ("Thanks, entry {n}.", "Got it, step {n}.", "Okay, field {n}.", "Good, line {n}.")
_LONG: Final = (
    "The lamp number {n} has a heavy base of painted steel and a shade of white linen.",
    "It stands {n} inches tall and its cable reaches the far corner of a living room.",
    "We keep {n} of them in the warehouse and send them out every morning before nine.",
    "If the glass arrives broken you can return it within {day} days at our expense.",
    "Most customers put it beside the sofa in room {n} because the light is warm.",
    "The bulb uses {n} percent less power than the old one and will last for years.",
    "There is a smaller version for {n} dollars that fits on a shelf next to the bed.",
    "A switch on the cable lets you choose between {day} levels without getting up.",
    "The paint comes from a family that has mixed its own colors for {n} years now.",
    "You may combine it with the table which is number {n} in our printed catalog.",
)


def reply_to(kind: str, history: tuple[object, ...]) -> str:
    """What the agent of that kind says after `history`; the same history, the same words."""
    said = [entry.text for entry in history if isinstance(entry, AgentSaid | CallerSaid)]
    # A hash of its own, because Python's differs between processes. No secret is made here.
    draw = random.Random(hashlib.sha256("\n".join([kind, *said]).encode()).digest())
    fill = {"n": draw.randrange(21, 999), "day": draw.randrange(3, 28)}
    match kind:
        case "ordinary":
            return draw.choice(_ORDINARY).format(**fill)
        case "yesno":
            return draw.choice(_YES_NO).format(**fill)
        case "entity":
            # A question that was cut off is asked again.
            asked = sum(isinstance(entry, AgentSaid) and not entry.interrupted for entry in history)
            question = list(ENTITY_QUESTIONS.values())[max(1, asked) % len(ENTITY_QUESTIONS)]
            return f"{draw.choice(_ENTITY).format(**fill)} {question}"
        case "long":
            opening = draw.choice(("Of course.", "Certainly.", "With pleasure.", "Sure."))
            sentences = [
                line.format(n=draw.randrange(21, 999), day=draw.randrange(3, 28))
                for line in draw.sample(_LONG, LONG_SENTENCES)
            ]
            return " ".join([opening, *sentences])
    raise ValueError(f"no agent of kind '{kind}'")


def question_in(text: str) -> str | None:
    """The kind of entity that the agent's words ask for."""
    return next((kind for kind, question in ENTITY_QUESTIONS.items() if question in text), None)


class KnownLines:
    """The model. Fits `talkspurt.ports.LanguageModel`; one per agent."""

    def __init__(self, agent: str, orders: Path | None) -> None:
        match = re.fullmatch(r"bench-(\w+)-\d+", agent)
        if match is None:
            raise ValueError(f"'{agent}' is no agent of the benchmark")
        self._agent = agent
        self._kind = match[1]
        self._orders = orders

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def reply(self, request: ReplyRequest, /) -> AsyncGenerator[ReplyPart, None]:
        """Say what `reply_to` says, word by word."""
        asked = time.time()
        text = reply_to(self._kind, request.history)
        given = False
        try:
            await asyncio.sleep(FIRST_SECONDS)
            for word in text.split():
                yield TextDelta(f"{word} ")
                await asyncio.sleep(WORD_SECONDS)
            given = True
        finally:
            self._note(asked, text, given, request)

    async def aclose(self) -> None:
        """Nothing to release."""

    def _note(self, asked: float, text: str, given: bool, request: ReplyRequest) -> None:
        if self._orders is None:
            return
        heard = [entry.text for entry in request.history if isinstance(entry, CallerSaid)]
        order = {"agent": self._agent, "at": asked, "text": text, "given": given, "heard_so_far": heard}
        # One short write in append mode: lines of several models never mix.
        with self._orders.open("a", encoding="utf-8") as file:
            file.write(json.dumps(order) + "\n")


def create(_config: Config, agent: Agent) -> KnownLines:
    """What `model.name = "custom:benchmarks.turns.brain:create"` calls."""
    orders = os.environ.get(ORDERS_VARIABLE)
    return KnownLines(agent.name, Path(orders) if orders else None)
