"""The scripted model of `talkspurt.testing` may be asked twice for a turn, as guesses at turns do."""

import pytest

from talkspurt.core.history import AgentSaid, CallerSaid, Entry
from talkspurt.ports import ReplyRequest, TextDelta
from talkspurt.testing.providers import ScriptedModel

GREETING = AgentSaid("Hello.")
FIRST: tuple[Entry, ...] = (GREETING, CallerSaid("Where is"), AgentSaid("One."))


async def said(model: ScriptedModel, *history: Entry) -> str:
    parts = [part async for part in model.reply(ReplyRequest("", history, ()))]
    return "".join(part.text for part in parts if isinstance(part, TextDelta)).strip()


@pytest.mark.parametrize("guesses", [("Where is",), ("Where is", "Where is my order?")])
async def test_a_guess_that_was_dropped_skips_no_reply(guesses: tuple[str, ...]) -> None:
    model = ScriptedModel.saying("One.", "Two.", first=0, between=0)
    for words in guesses:
        assert await said(model, GREETING, CallerSaid(words)) == "One."
    assert await said(model, *FIRST, CallerSaid("And then?")) == "Two."
    assert len(model.requests) == len(guesses) + 1


async def test_a_reply_that_was_never_heard_is_not_said_again() -> None:
    model = ScriptedModel.saying("One.", "Two.", first=0, between=0)
    await said(model, GREETING, CallerSaid("Where is"))
    assert await said(model, GREETING, CallerSaid("Where is"), CallerSaid("Stop.")) == "Two."


async def test_the_last_reply_is_said_again() -> None:
    model = ScriptedModel.saying("One.", first=0, between=0)
    await said(model, GREETING, CallerSaid("Where is"))
    assert await said(model, *FIRST, CallerSaid("And then?")) == "One."
