"""`talkspurt prompt show` and `talkspurt providers check`, the latter against a fake in a process's own loop."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from talkspurt.testing.fakes import FakeAnthropic

KEY = "sk-canary-0123456789abcdef"


def talkspurt(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    kept = {name: value for name, value in os.environ.items() if not name.startswith("TALKSPURT_")}
    return subprocess.run(
        [sys.executable, "-m", "talkspurt", *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=cwd,
        env={**kept, "COLUMNS": "200", "NO_COLOR": "1", **environment},
    )


def test_the_prompt_is_shown_with_what_changes_last(tmp_path: Path) -> None:
    shown = talkspurt("prompt", "show", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    parts = ["You are Sarah", "How you speak", "What you can do", "How you work", "Rules", "This call"]
    places = [shown.stdout.index(part) for part in parts]
    assert places == sorted(places)
    assert "Today is" in shown.stdout[places[-1] :]
    assert "Today is" not in shown.stdout[: places[-1]]
    assert "tokens, the same in every call" in shown.stderr


def test_an_agent_that_is_not_there_is_named(tmp_path: Path) -> None:
    shown = talkspurt("prompt", "show", "nobody", cwd=tmp_path)
    assert shown.returncode == 2
    assert "there is no agent 'nobody' in [agents]; there are: retail" in shown.stderr


async def check(*arguments: str, cwd: Path, key: str = KEY) -> subprocess.CompletedProcess[str]:
    async with FakeAnthropic(key=KEY) as fake:
        return await asyncio.to_thread(
            lambda: talkspurt(
                "providers",
                "check",
                *arguments,
                cwd=cwd,
                ANTHROPIC_API_KEY=key,
                TALKSPURT_MODEL="anthropic:claude-haiku-5-5",
                ANTHROPIC_BASE_URL=fake.base_url,
            )
        )


async def test_a_model_that_answers_is_shown_with_its_times(tmp_path: Path) -> None:
    shown = await check("--requests", "2", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "anthropic:claude-haiku-5-5" in shown.stdout
    assert shown.stdout.count(" ms") == 3
    assert "answers" in shown.stdout


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("anthropic:claude-haiku-5-5", "look at ANTHROPIC_API_KEY"), ("antropic:x", "did you mean 'anthropic:x'")],
)
async def test_what_is_wrong_is_said_and_the_exit_status_tells(tmp_path: Path, name: str, complaint: str) -> None:
    shown = await check(name, cwd=tmp_path, key="sk-wrong")
    assert shown.returncode == 1
    assert complaint in shown.stdout
    assert "sk-wrong" not in shown.stdout + shown.stderr
