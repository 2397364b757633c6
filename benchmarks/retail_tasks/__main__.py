"""`python -m benchmarks.retail_tasks [TASK …]`: all calls in text, and with `VOICE=1` those by voice.

With the ids of tasks only these calls are held, shown, and not reported.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.retail_tasks.lines import load_scripts
from benchmarks.retail_tasks.reference import load_database
from benchmarks.retail_tasks.report import write_report
from benchmarks.retail_tasks.tasks import data_folder, load_tasks
from benchmarks.retail_tasks.text import Outcome, hold_call, import_template, transcript
from benchmarks.retail_tasks.voice import place_calls

from talkspurt.errors import TalkspurtError


async def run(only: list[str], *, voice: bool) -> tuple[list[Outcome], list[Outcome] | None]:
    """The calls of all tasks, or of `only` some: in text and, if wanted, by voice."""
    data, scripts = data_folder(), load_scripts()
    tasks = [
        task for task in load_tasks(data / "tasks.json", load_database(data / "db.json")) if not only or task.id in only
    ]
    with tempfile.TemporaryDirectory(prefix="talkspurt-") as name:
        template = Path(name) / "template.db"
        await import_template(data / "db.json", template)
        spoken = await place_calls(tasks, scripts, template) if voice else None
        if only and voice:
            return [], spoken
        lines = {task.id: [turn.way(0) for turn in scripts[task.id].turns] for task in tasks}
        return [await hold_call(task, lines[task.id], template, Path(name)) for task in tasks], spoken


def main() -> int:
    """Returns 1 when a goal is missed, 2 when nothing could be run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retail_tasks")
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="only these, with their transcripts")
    only = parser.parse_args().tasks
    try:
        text, voice = asyncio.run(run(only, voice=os.environ.get("VOICE") == "1"))
    except TalkspurtError as error:
        print(f"no calls were held: {error}", file=sys.stderr)
        return 2
    if not only:
        return write_report(text, voice)
    shown = [*text, *(voice or ())]
    for outcome in shown:
        print(f"── task {outcome.task}\n{transcript(outcome.history)}")
        print("\n".join(f"FAILED: {failure}" for failure in outcome.failures) or "as expected")
    return 0 if all(outcome.succeeded for outcome in shown) else 1


if __name__ == "__main__":
    sys.exit(main())
