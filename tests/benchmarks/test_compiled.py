"""The wheel that servers run: when it is built anew, and what is compiled of it."""

import tomllib
from pathlib import Path

import pytest

from benchmarks import compiled


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "scripts").mkdir()
    for name in (*compiled.BESIDE, "src/a.py"):
        (tmp_path / name).write_text(name)
    for name, place in (("REPOSITORY", ""), ("FOLDER", "compiled"), ("DIST", "dist"), ("STAMP", "compiled/built-from")):
        monkeypatch.setattr(compiled, name, tmp_path / place)
    for folder in ("compiled", "dist"):
        (tmp_path / folder).mkdir()
    (tmp_path / "dist" / "talkspurt.whl").write_text("")
    (tmp_path / "compiled" / "built-from").write_text(compiled.fingerprint())
    return tmp_path


def test_a_wheel_of_the_sources_as_they_are_is_current(tree: Path) -> None:
    assert compiled.is_current()
    (tree / "src" / "a.pyc").write_text("bytecode")
    assert compiled.is_current()


@pytest.mark.parametrize("changed", [*compiled.BESIDE, "src/a.py", "src/new.py"])
def test_one_of_other_sources_is_not(tree: Path, changed: str) -> None:
    (tree / changed).write_text("other")
    assert not compiled.is_current()


def test_nor_is_one_that_was_taken_away(tree: Path) -> None:
    (tree / "dist" / "talkspurt.whl").unlink()
    assert not compiled.is_current()


def test_nothing_that_awaits_is_compiled_and_every_pattern_means_something() -> None:
    pyproject = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    patterns = pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["modules"]
    for pattern in patterns:
        modules = list(Path(__file__).parents[2].glob(pattern))
        assert modules, pattern
        for module in modules:
            assert "async def" not in module.read_text(), module
