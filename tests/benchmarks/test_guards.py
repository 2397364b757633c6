"""Each guard that `make guards` takes away is where its list says, and so are the tests that have to notice."""

import ast
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

# Benchmarks are run from the repository and are not installed.
from benchmarks.guards import GUARDS
from benchmarks.guards.guard import Guard

ROOT = Path(__file__).parent.parent.parent

_read = cache(lambda file: (ROOT / file).read_text(encoding="utf-8"))
_parsed = cache(lambda text: ast.dump(ast.parse(text)))


def _faults(guard: Guard) -> Iterator[str]:
    text = _read(f"src/talkspurt/{guard.file}")
    try:
        if _parsed(guard.taken_from(text)) == _parsed(text):
            yield f"{guard.keeps}: nothing is taken away"
    except (LookupError, SyntaxError) as error:
        yield f"{guard.keeps}: {error}"
    files, _, chosen = guard.tests.partition(" -k ")
    names = [name for file in files.split() for name in re.findall(r"def (test_\w+)", _read(file))]
    words = set(re.findall(r"\w+", " ".join(shlex.split(chosen)))) - {"and", "or", "not", "postgresql"}
    for word in words:
        if not any(word in name for name in names):
            yield f"{guard.keeps}: no test of {files} is called {word}"


def test_every_guard_is_where_the_list_says_and_so_are_its_tests() -> None:
    assert [fault for guard in GUARDS for fault in _faults(guard)] == []


def test_no_guard_is_listed_twice() -> None:
    assert [keeps for keeps, count in Counter(guard.keeps for guard in GUARDS).items() if count > 1] == []


@pytest.mark.parametrize("source", ["here", "nowhere", "is"])
def test_a_guard_that_is_not_there_once_or_changes_nothing_is_found(source: str) -> None:
    (text, *_) = [guard for guard in GUARDS if guard.file == "agent/caller.py"]
    (fault,) = _faults(Guard("a gate", text.file, source, source, "tests/agent/test_once.py"))
    assert fault.startswith("a gate: ")
