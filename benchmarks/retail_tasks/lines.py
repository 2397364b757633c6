"""What the callers say: the scripts in `scripts/`, one for each task."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from talkspurt.agent import spoken

FOLDER: Final = Path(__file__).with_name("scripts")
FAREWELL: Final = "No, that's all, thank you. Goodbye."
"""Every caller's last line."""
KEYS: Final = "keys:"
"""Begins a turn that is typed on the keypad."""

_DIGITS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a caller: what is said first, and what when the agent asks for the same again."""

    ways: tuple[str, ...]

    def way(self, attempt: int) -> str:
        """How it is said for the `attempt`-th time, from 0; the last way for good."""
        return self.ways[min(attempt, len(self.ways) - 1)]


@dataclass(frozen=True, slots=True)
class Script:
    """A caller's part of one call."""

    task: str
    turns: tuple[Turn, ...]
    by_voice: tuple[Turn, ...] = ()
    """What is said on the line, for tasks whose calls are placed by voice too; none for the others. A small recognizer
    gets names wrong, so these callers identify themselves by an order number and the ZIP code."""


def load_scripts() -> dict[str, Script]:
    """All scripts, by the id of their task. Raises `ValueError` for a task that has two."""
    scripts: dict[str, Script] = {}
    for path in sorted(FOLDER.glob("*.toml")):
        for task, table in tomllib.loads(path.read_text(encoding="utf-8")).items():
            if task in scripts:
                raise ValueError(f"{path.name} has a second script for task {task}")
            by_voice = [_patient(line) for line in table.get("voice", ())]
            scripts[task] = Script(task, _turns([[line] for line in table["lines"]]), _turns(by_voice))
    return scripts


def _turns(lines: Sequence[Sequence[str]]) -> tuple[Turn, ...]:
    return (*(Turn(tuple(ways)) for ways in lines), Turn((FAREWELL,))) if lines else ()


def _patient(line: str) -> list[str]:
    """A line, and what follows when it was not understood: its number digit by digit, and then on the keypad."""
    numbers = spoken.identifiers(line, r"W?\d{7}") or spoken.identifiers(line, r"\d{5}")
    if not numbers:
        return [line, f"I said {line[0].lower()}{line[1:]}"]
    digits = numbers[0].removeprefix("W")
    return [line, ", ".join(_DIGITS[int(digit)] for digit in digits) + ".", f"{KEYS}{digits}#"]
