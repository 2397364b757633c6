"""`python -m benchmarks.guards`: take the guards of effects away, one at a time, and see that a test notices.

Exits with 1 when a guard can be removed without anybody noticing, or is not where the list says.
"""

import argparse
import compileall
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks.effects.postgres import postgresql
from benchmarks.guards import GUARDS
from benchmarks.guards.guard import Guard

ROOT: Final = Path(__file__).parent.parent.parent
TIMEOUT: Final = 300
"""Seconds for the tests of one guard."""


def noticed(guard: Guard, folder: Path, url: str) -> tuple[bool, str]:
    """Whether a test fails without the guard, and which; `url` is of a PostgreSQL for those that need one."""
    file = folder / "src/talkspurt" / guard.file
    text = file.read_text(encoding="utf-8")
    try:
        without = guard.taken_from(text)
    except LookupError as error:
        return False, str(error)
    file.write_text(without, encoding="utf-8")
    try:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *shlex.split(guard.tests)]
        environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
        environment |= {"TALKSPURT_TEST_POSTGRESQL": url} if guard.needs_postgresql else {}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    finally:
        file.write_text(text, encoding="utf-8")
    failed = next((line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))), "")
    # Status 1 is a test that failed; any other means that pytest itself could not run.
    return done.returncode == 1 and bool(failed), failed.partition("::")[2].partition(" ")[0] or f"{guard.tests} passed"


def main() -> int:
    """Returns 1 when a guard can be removed unnoticed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guards", description=__doc__)
    parser.add_argument("--only", default="", help="guards whose description has this in it")
    asked = parser.parse_args()
    chosen = [guard for guard in GUARDS if asked.only in guard.keeps]
    unnoticed = 0
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        url = ""
        if any(guard.needs_postgresql for guard in chosen):
            cluster = stack.enter_context(postgresql())
            cluster.create("guards")
            url = cluster.url("guards")
        shutil.copytree(ROOT / "src", Path(name) / "src", ignore=shutil.ignore_patterns("__pycache__"))
        # The tests write no bytecode; without this each run of them would compile the whole package.
        compileall.compile_dir(Path(name) / "src", quiet=1)
        for guard in chosen:
            seen, test = noticed(guard, Path(name), url)
            unnoticed += not seen
            print(f"{'noticed' if seen else 'MISSED ':8} {guard.keeps}: {test}", flush=True)
    print(f"{unnoticed} of {len(chosen)} guards can be removed without anybody noticing")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
