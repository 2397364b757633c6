"""The agents behind the numbers that the benchmark's callers dial, as the server's process sees them: one a task.

Each is the bundled agent on a shop of its own, with the oracle in place of its model. The folder that `FOLDER_VARIABLE`
names holds the shops, the tools of each task, and the file to which the oracle appends what it asks for.
"""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.retail_tasks.oracle import Asked, Oracle
from benchmarks.retail_tasks.text import url_of

from talkspurt.agent.agent import Agent
from talkspurt.config import Config
from talkspurt.retail import create_agent

FOLDER_VARIABLE: Final = "BENCH_RETAIL_TASKS"
PREFIX: Final = "retail-"


def number_of(task: str) -> str:
    """The number that reaches a task's agent."""
    return f"+1800555{int(task):04d}"


def shop_of(folder: Path, task: str) -> Path:
    """A task's shop."""
    return folder / f"{task}.db"


def asked_in(folder: Path) -> Path:
    """Where the oracle writes down what it asks for: one JSON object a line."""
    return folder / "asked.jsonl"


def tools_in(folder: Path) -> Path:
    """Where the tools of each task are: all that the server's process knows of it."""
    return folder / "tools.json"


def configuration(tasks: list[str]) -> str:
    """The TOML that puts the agents of `tasks` behind their numbers."""
    lines = ["[model]", f'name = "custom:{__name__}:create_model"', "", "[agents]"]
    lines += [f'{PREFIX}{task} = "{__name__}:task_{task}"' for task in tasks]
    for task in tasks:
        lines += ["", "[[numbers]]", f'number = "{number_of(task)}"', f'agent = "{PREFIX}{task}"']
    return "\n".join(lines) + "\n"


def create_model(_config: Config, agent: Agent) -> Oracle:
    """The oracle of an agent's task; what it asks for goes to the file."""
    folder, task = Path(os.environ[FOLDER_VARIABLE]), agent.name.removeprefix(PREFIX)
    tools = json.loads(tools_in(folder).read_text(encoding="utf-8"))[task]

    def note(asked: Asked) -> None:
        # One short write in append mode: lines of several calls never mix.
        with asked_in(folder).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"task": task, **asdict(asked)}) + "\n")

    return Oracle(tools, observe=note)


def __getattr__(attribute: str) -> Any:
    """`task_75` is the agent of task 75."""
    task = attribute.removeprefix("task_")
    if task == attribute:
        raise AttributeError(attribute)
    shop = shop_of(Path(os.environ[FOLDER_VARIABLE]), task)
    return replace(create_agent(url_of(shop)), name=f"{PREFIX}{task}")
