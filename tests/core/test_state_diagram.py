"""The page that shows the states is drawn from the table that the conversation asserts."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from talkspurt.core.states import TRANSITIONS

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "state_diagram.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("state_diagram", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.interpreted
def test_the_committed_page_is_current() -> None:
    script = load()
    assert script.PAGE.read_text(encoding="utf-8") == script.render(), "run: python scripts/state_diagram.py"


def test_every_state_says_what_it_waits_for() -> None:
    assert list(load().DEADLINES) == [state.__name__ for state in TRANSITIONS]
