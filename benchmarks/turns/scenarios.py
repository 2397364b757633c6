"""The frozen scenarios: read, checked, and cut down for a quick run.

A scenario is one call: `agent` (the kind that answers), `voice`, `channel` (the line), and
`steps`, which `caller` carries out in order. `generate` wrote them: all but the
`further` ones, which are the last, before anything was tuned.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Final

FILE: Final = Path(__file__).parent / "scenarios.json"
SHA256: Final = "dad17eb70764ae1669d0087ca36cd32f135486a788640bd59d3db7a15ab0ab8a"
DIGITS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

Scenario = dict[str, Any]


def load_scenarios(*, quick: bool) -> list[Scenario]:
    """All scenarios, or with `quick` the first steps of a few of each row.

    Raises `RuntimeError` when the file is not the frozen one.
    """
    content = FILE.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise RuntimeError(f"{FILE.name} is not the frozen one: SHA-256 {found}, not {SHA256}; see generate.py")
    scenarios: list[Scenario] = json.loads(content)
    if not quick:
        return scenarios
    return [{**s, "steps": s["steps"][: s["quick_steps"]]} for s in scenarios if s["quick_steps"]]


def hash_of(scenario: Scenario) -> str:
    """Identifies what a call is, down to its last pause."""
    return hashlib.sha256(json.dumps(scenario, sort_keys=True).encode()).hexdigest()[:16]
