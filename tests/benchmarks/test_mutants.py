"""Which faults are made for mutation testing, and what is kept of their trials."""

import ast
from pathlib import Path

import pytest

# Benchmarks are run from the repository and are not installed.
from benchmarks.mutants.operators import edits, mutated
from benchmarks.mutants.results import Results, sample, summarise, survivors, table
from benchmarks.mutants.trial import CORE, ROOT, TESTS, Mutant, Trial, digest, modules, mutants

DIGEST = "benchmarks.mutants.results.digest"

MODULE = '''"""What it is."""
from dataclasses import dataclass
Kind = Literal["one", "two"]
News = Came | Went

@dataclass(frozen=True)
class Rules:
    """Some."""
    patience: float = 0.5
    quiet: bool = False

def over(now: float | None, rules: Rules) -> bool:
    """Whether it is."""
    assert now is not None, "why"
    if not rules.quiet and now >= max(rules.patience, 1):
        note("over", now)
        return True
    if rules is None:
        raise ValueError("no rules")
    match rules:
        case Rules(quiet=True) if now:
            return give(late=now)
        case _:
            return False
'''


LATE = "now >= max(rules.patience, 1)"


def faults(source: str = MODULE) -> list[tuple[str, str, str]]:
    return [(edit.operator, edit.before, edit.after) for edit in edits(ast.parse(source))]


@pytest.mark.parametrize(
    "fault",
    [
        ("constant", "0.5", "0.75"),
        ("constant", "False", "True"),
        ("comparison", LATE, "now > max(rules.patience, 1)"),
        ("comparison", "rules is None", "rules is not None"),
        ("and/or", f"not rules.quiet and {LATE}", f"not rules.quiet or {LATE}"),
        ("dropped condition", f"not rules.quiet and {LATE}", "not rules.quiet"),
        ("dropped not", "not rules.quiet", "rules.quiet"),
        ("min/max", "max(rules.patience, 1)", "min(rules.patience, 1)"),
        ("dropped statement", "note('over', now)", "pass"),
        ("swapped arguments", "note('over', now)", "note(now, 'over')"),
        ("return value", "return True", "return None"),
        ("dropped statement", "raise ValueError('no rules')", "pass"),
        ("dropped guard", "case Rules(quiet=True) if now:", "case Rules(quiet=True):"),
        ("wider pattern", "Rules(quiet=True)", "Rules()"),
        ("dropped case", "case Rules(quiet=True) if now:", ""),
        ("dropped argument", "give(late=now)", "give()"),
    ],
)
def test_each_kind_of_fault_is_made(fault: tuple[str, str, str]) -> None:
    assert fault in faults()


def test_what_no_call_can_notice_is_left_alone() -> None:
    about = " ".join(before for _, before, _ in faults())
    for quiet in ("What it is", "'one'", "Came", "frozen", "float | None", "why", "Some", "Whether"):
        assert quiet not in about, quiet
    assert ("constant", "'no rules'", "''") not in faults(), "the wording of an error"
    assert not [fault for fault in faults() if fault[0] == "swapped arguments" and fault[1].startswith("max")]


def test_every_fault_is_a_module_of_its_own_and_leaves_the_source_as_it_was() -> None:
    tree = ast.parse(MODULE)
    sources = {mutated(tree, edit) for edit in edits(tree)}
    assert len(sources) == len(edits(tree))
    assert ast.unparse(tree) + "\n" not in sources
    assert ast.unparse(tree) == ast.unparse(ast.parse(MODULE))
    for source in sources:
        compile(source, "mutant", "exec")


def test_all_faults_in_the_core_compile() -> None:
    for module in modules():
        tree = ast.parse((ROOT / CORE / f"{module}.py").read_text(encoding="utf-8"))
        for edit in edits(tree)[::9]:
            compile(mutated(tree, edit), module, "exec")


def test_a_sample_is_of_all_modules_repeatable_and_part_of_every_larger_one() -> None:
    small, large = sample(60, "a", []), sample(300, "a", [])
    assert {mutant.module for mutant in small} == set(modules())
    assert small == sample(60, "a", [])
    assert set(small) < set(large)
    assert set(sample(60, "b", [])) != set(small)
    assert all(mutant.module == "log" for mutant in sample(60, "a", ["log"]))


def results(folder: Path) -> Results:
    return Results(folder / "mutants.json", fresh=False)


def test_a_kill_holds_until_the_module_changes_and_a_survivor_until_a_test_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, *_ = mutants("log")
    kept = results(tmp_path)
    kept.add(Trial(one, "killed", "test_log.py::test", 1.0))
    kept.add(Trial(two, "survived", "", 9.0))
    kept.write(summarise(kept, [one, two]))
    again = results(tmp_path)
    assert [bool(again.known(mutant)) for mutant in (one, two)] == [True, True]
    monkeypatch.setattr(DIGEST, lambda path: "other tests" if path == ROOT / TESTS else digest(path))
    assert [bool(results(tmp_path).known(mutant)) for mutant in (one, two)] == [True, False]
    monkeypatch.setattr(DIGEST, lambda _path: "other source")
    assert results(tmp_path).known(one) is None


def test_the_score_counts_what_was_noticed_also_by_never_ending(tmp_path: Path) -> None:
    chosen = mutants("log")[:5]
    kept = results(tmp_path)
    for mutant, outcome in zip(chosen, ("killed", "timeout", "survived", "killed"), strict=False):
        kept.add(Trial(mutant, outcome, "", 1.0))  # type: ignore[arg-type]
    summary = summarise(kept, chosen)
    row = summary["modules"]["log"]
    assert (row["mutants"], row["killed"], row["survived"], row["timeout"], row["score"]) == (4, 2, 1, 1, 0.75)
    assert row["low"] < 0.75 < row["high"]
    assert summary["missing"] == 1
    assert "| log | 4 | 2 | 1 | 1 | 75.0% (" in table(summary)
    assert chosen[2].key in survivors(kept, chosen)
    assert chosen[0].key not in survivors(kept, chosen)


def test_a_mutant_is_named_by_what_it_is() -> None:
    assert Mutant("log", 7, 52, "constant", "1", "2").key == "log:52 [constant] 1 → 2"
    assert Mutant("log", 8, 52, "constant", "1", "2", twin=1).key == "log:52 [constant] 1 → 2 (2)"
