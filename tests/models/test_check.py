"""The check of a model by `talkspurt providers check`, whatever the model does."""

import asyncio

from talkspurt.models.check import ANSWER, check_model
from talkspurt.ports import TextDelta
from talkspurt.testing.providers import ScriptedModel
from talkspurt.testing.virtual_time import run_virtual


def test_a_model_that_takes_a_question_and_never_answers_is_a_problem_and_no_endless_wait() -> None:
    async def check() -> tuple[str, float]:
        model = ScriptedModel(lambda _: [TextDelta("Hello.")], first=10 * ANSWER)
        result = await check_model("openai-realtime:x", model, instructions="", tools=(), requests=3)
        return result.problem, asyncio.get_running_loop().time()

    problem, seconds = run_virtual(check())
    assert "had not answered it within 30 s" in problem
    assert seconds < ANSWER + 1.0
