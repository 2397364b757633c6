"""Which mutants are tried, what is known of them, and what it comes to."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks.intervals import wilson
from benchmarks.mutants.trial import CORE, ROOT, TESTS, Mutant, Trial, digest, modules, mutants

LEAST: Final = 8
"""Mutants of a small module, if it has as many."""


def sample(number: int, seed: str, only: list[str]) -> list[Mutant]:
    """About so many mutants, of each module in proportion to its own, in an order that is fair at any time.

    Chance is drawn by each mutant's name: a larger sample holds the smaller one, and a change elsewhere changes little.
    """
    every = {module: mutants(module) for module in modules() if not only or module in only}
    total = sum(map(len, every.values()))

    def drawn(mutant: Mutant) -> str:
        return hashlib.sha256(f"{seed}:{mutant.key}".encode()).hexdigest()

    chosen: list[Mutant] = []
    for possible in every.values():
        share = max(LEAST, round(number * len(possible) / total))
        chosen.extend(sorted(possible, key=drawn)[:share])
    return sorted(chosen, key=drawn)


class Results:
    """What is known of the mutants tried so far, in a file."""

    def __init__(self, path: Path, *, fresh: bool) -> None:
        self._path = path
        self._tests = digest(ROOT / TESTS)
        self._sources = {module: digest(ROOT / CORE / f"{module}.py") for module in modules()}
        self.trials: dict[str, dict[str, Any]] = {}
        if path.is_file() and not fresh:
            self.trials = json.loads(path.read_text(encoding="utf-8"))["trials"]

    def known(self, mutant: Mutant) -> dict[str, Any] | None:
        """What became of it, if that still holds."""
        trial = self.trials.get(mutant.key)
        if trial is None or trial["source"] != self._sources[mutant.module]:
            return None
        return trial if trial["outcome"] != "survived" or trial["tests"] == self._tests else None

    def add(self, trial: Trial) -> None:
        """Keep it."""
        about = asdict(trial.mutant) | {"outcome": trial.outcome, "test": trial.test, "seconds": trial.seconds}
        self.trials[trial.mutant.key] = about | {"source": self._sources[trial.mutant.module], "tests": self._tests}

    def write(self, summary: dict[str, Any]) -> None:
        """Replace the file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps({"summary": summary, "trials": self.trials}, indent=1) + "\n", encoding="utf-8")
        new.replace(self._path)


def summarise(results: Results, chosen: list[Mutant]) -> dict[str, Any]:
    """Counts and score per module and of all; what was noticed counts, whether by a failure or by never ending."""
    rows: dict[str, dict[str, Any]] = {}
    for name in [*sorted({mutant.module for mutant in chosen}), "all"]:
        tried = [
            known["outcome"]
            for mutant in chosen
            if name in ("all", mutant.module) and (known := results.known(mutant)) is not None
        ]
        counts = {outcome: tried.count(outcome) for outcome in ("killed", "survived", "timeout")}
        noticed = len(tried) - counts["survived"]
        low, high = wilson(noticed, len(tried)) if tried else (0.0, 1.0)
        rows[name] = {"mutants": len(tried), **counts, "score": noticed / len(tried) if tried else None}
        rows[name] |= {"low": low, "high": high}
    return {"modules": rows, "missing": len(chosen) - rows["all"]["mutants"]}


def table(summary: dict[str, Any]) -> str:
    """The summary as Markdown."""
    lines = ["| module | mutants | killed | survived | timeouts | score (95 %) |", "|---|--:|--:|--:|--:|--:|"]
    for name, row in summary["modules"].items():
        score = f"{row['score']:.1%} ({row['low']:.0%}–{row['high']:.0%})" if row["mutants"] else "–"
        cells = (name, row["mutants"], row["killed"], row["survived"], row["timeout"], score)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def survivors(results: Results, chosen: list[Mutant]) -> str:
    """The mutants that no test noticed."""
    found = [m for m in chosen if (known := results.known(m)) is not None and known["outcome"] == "survived"]
    return "\n".join(m.key for m in sorted(found, key=lambda mutant: (mutant.module, mutant.line, mutant.number)))
