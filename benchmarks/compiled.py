"""`make wheel`: builds the wheel whose media path is machine code into `dist`, and unpacks it into `build/compiled`.

    python -m benchmarks.compiled

What is unpacked there comes first in a `PYTHONPATH`, so that measurements and tests run what production does. Nothing
is built again before the sources have changed.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = REPOSITORY / "build" / "compiled"
DIST: Final = REPOSITORY / "dist"
STAMP: Final = FOLDER / "built-from"
BESIDE: Final = ("pyproject.toml", "requirements.lock", "README.md", "LICENSE", "scripts/hatch_build.py")
"""What else than the sources goes into it, or makes it."""
PROOF: Final = "from talkspurt.core import conversation; assert conversation.__file__.endswith('.so'), conversation"


def fingerprint() -> str:
    """Of everything that the wheel is made from."""
    found = hashlib.sha256(sys.version.encode())
    sources = [path for path in (REPOSITORY / "src").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    for path in sorted([*sources, *(REPOSITORY / name for name in BESIDE)]):
        found.update(f"{path.relative_to(REPOSITORY)}\0".encode() + path.read_bytes())
    return found.hexdigest()


def is_current() -> bool:
    """Whether what lies in `FOLDER` was built from the sources as they are."""
    return STAMP.exists() and STAMP.read_text() == fingerprint() and any(DIST.glob("*.whl"))


def build() -> Path:
    """Build the wheel and unpack it. Raises `CalledProcessError`, whose cause has been printed by then."""
    made_from = fingerprint()
    scratch = REPOSITORY / "build" / "wheel"
    shutil.rmtree(scratch, ignore_errors=True)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(scratch)],
        cwd=REPOSITORY, env={**os.environ, "TALKSPURT_COMPILED": "1"}, check=True,
    )  # fmt: skip
    (built,) = scratch.glob("*.whl")
    shutil.rmtree(FOLDER, ignore_errors=True)
    with zipfile.ZipFile(built) as wheel:
        wheel.extractall(FOLDER)
    subprocess.run([sys.executable, "-c", PROOF], cwd=FOLDER, env={**os.environ, "PYTHONPATH": str(FOLDER)}, check=True)
    DIST.mkdir(exist_ok=True)
    wheel_file = Path(shutil.copy(built, DIST))
    # Sources that were edited meanwhile are in it, but not what would be compiled of them.
    STAMP.write_text(made_from if fingerprint() == made_from else "")
    return wheel_file


def main() -> int:
    """Build it unless it is there."""
    if is_current():
        print(f"{FOLDER.relative_to(REPOSITORY)} and the wheel in {DIST.name} are current")
        return 0
    try:
        wheel_file = build()
    except subprocess.CalledProcessError as error:
        return error.returncode
    if not is_current():
        print("the sources were edited while they were compiled: build it again", file=sys.stderr)
        return 1
    print(wheel_file.relative_to(REPOSITORY))
    return 0


if __name__ == "__main__":
    sys.exit(main())
