"""Calls in text: real dispatcher, real confirmations, real shop; the oracle in place of the model."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.retail_tasks.exporter import export_shop
from benchmarks.retail_tasks.judge import answers, differences, missing_calls
from benchmarks.retail_tasks.oracle import Asked, Oracle
from benchmarks.retail_tasks.tasks import Task

from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered, ToolCalled
from talkspurt.retail import create_agent
from talkspurt.retail.importer import import_shop, read_shop
from talkspurt.retail.shop import Shop
from talkspurt.testing.text_call import TextCall


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call went. `failures` says in words what was not as expected; a call without any succeeded."""

    task: str
    failures: tuple[str, ...]
    refusals: tuple[str, ...]
    """The product's words for what it refused."""
    history: tuple[Entry, ...]

    @property
    def succeeded(self) -> bool:
        """Whether everything was as the task expects."""
        return not self.failures


async def import_template(database: Path, template: Path) -> None:
    """Bring tau2's `database` into a new shop at `template`, which each call then gets a copy of."""
    async with Shop(url_of(template)).opened(seeded=False) as shop, shop.writing() as session:
        await import_shop(session, read_shop(database))


def url_of(path: Path) -> str:
    """The database URL of an SQLite file."""
    return f"sqlite+aiosqlite:///{path}"


async def hold_call(task: Task, said: Sequence[str], template: Path, folder: Path) -> Outcome:
    """Hold the call of `task` on a copy of the shop in `folder`: the caller says `said`, one line a turn."""
    database = folder / f"{task.id}.db"
    shutil.copyfile(template, database)
    agent = create_agent(url_of(database))
    asked: list[Asked] = []
    async with agent.lifespan():
        call = TextCall(agent, Oracle(task.tools, observe=asked.append))
        unsaid = list(said)
        while unsaid and not call.ended:
            await call.say(unsaid.pop(0))
    failures = await judge(task, call.history, database)
    if not call.ended:
        failures.append(f"the caller has nothing to say to: {asked[-1].words or 'the read-back'}")
    if unsaid:
        failures.append(f"never asked for: {unsaid[0]}")
    return Outcome(task.id, tuple(failures), refusals(call.history), call.history)


async def judge(task: Task, history: Sequence[Entry], database: Path) -> list[str]:
    """What of the call was not as the task expects."""
    async with Shop(url_of(database)).opened(seeded=False) as shop:
        found = differences(task.expected, await export_shop(shop))
    return [*missing_calls(task, history), *found]


def refusals(history: Sequence[Entry]) -> tuple[str, ...]:
    """What the product refused, and why."""
    return tuple(f"{answer.tool}: {answer.refusal}" for answer in answers(history) if answer.refusal is not None)


def transcript(history: Sequence[Entry]) -> str:
    """The call to read."""
    lines = []
    for entry in history:
        match entry:
            case CallerSaid(text):
                lines.append(f"caller: {text}")
            case AgentSaid(text):
                lines.append(f"agent:  {text}")
            case ToolCalled(_, name, arguments):
                lines.append(f"        {name} {arguments}")
            case ToolAnswered(_, _, content):
                lines.append(f"        → {content[:300]}")
    return "\n".join(lines)
