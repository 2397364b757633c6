"""The agents that answer the benchmark's calls: four kinds, each once per line.

Every call at a time has a line of its own, so that the model, which is told nothing of the call,
can still be asked which replies belong to which call: by the agent's name.
"""

from typing import Final

from benchmarks.turns.brain import GREETINGS

from talkspurt.agent.agent import Agent
from talkspurt.core.language import Expectation

LINES: Final = 5
"""Calls at once."""
KINDS: Final = tuple(GREETINGS)


def name_of(kind: str, line: int) -> str:
    """The agent of a kind that answers on a line."""
    return f"bench-{kind}-{line}"


def number_of(kind: str, line: int) -> str:
    """The number that reaches it."""
    return f"+1800555{KINDS.index(kind):02d}{line:02d}"


def configuration() -> str:
    """The TOML that puts all of them behind their numbers, with the model whose lines are known."""
    lines = ["[model]", 'name = "custom:benchmarks.turns.brain:create"', "", "[agents]"]
    everyone = [(kind, line) for kind in KINDS for line in range(LINES)]
    lines += [f'{name_of(kind, line)} = "benchmarks.turns.agents:{kind}_{line}"' for kind, line in everyone]
    for kind, line in everyone:
        lines += ["", "[[numbers]]", f'number = "{number_of(kind, line)}"', f'agent = "{name_of(kind, line)}"']
    return "\n".join(lines) + "\n"


def __getattr__(attribute: str) -> Agent:
    """`long_3` is the agent `bench-long-3`: twenty agents that differ in nothing but their names."""
    kind, _, line = attribute.rpartition("_")
    if kind not in KINDS or not line.isdecimal():
        raise AttributeError(attribute)
    return Agent(
        name=name_of(kind, int(line)),
        prompt="You are an agent of the turn-taking benchmark.",
        greeting=GREETINGS[kind],
        # As every agent with order numbers states (see talkspurt.retail).
        expects={"order number": Expectation("identifier", r"W\d{7}")},
    )
