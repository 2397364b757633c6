import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "audit.py"


@pytest.fixture
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def package(name: str, *findings: str) -> dict[str, Any]:
    return {"name": name, "version": "1.0", "vulns": [{"id": finding, "fix_versions": ["2.0"]} for finding in findings]}


def test_a_finding_fails_the_build_and_says_what_mends_it(audit: ModuleType) -> None:
    lines, failed = audit.judge([package("good"), package("bad", "CVE-1")], "")
    assert failed
    assert "VULNERABLE: bad 1.0: CVE-1, fixed in 2.0" in lines


def test_a_silent_service_is_said_loudly_and_fails_nothing(audit: ModuleType) -> None:
    for packages in ([], [{"name": "a", "skip_reason": "Dependency not found"}]):
        lines, failed = audit.judge(packages, "connection refused")
        assert not failed
        assert "NOTHING WAS AUDITED" in lines[0]
        assert "connection refused" in lines[1]


def test_packages_that_could_not_be_audited_are_named(audit: ModuleType) -> None:
    lines, failed = audit.judge([package("good"), {"name": "odd", "skip_reason": "?"}], "")
    assert not failed
    assert lines == ["audited 1 of 2 locked packages: 0 vulnerabilities", "WARNING: not audited: odd"]
