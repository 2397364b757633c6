"""`talkspurt cost` tells what the latest calls would cost so many times over, and with whom else."""

import asyncio
from pathlib import Path

import pytest

from cli.test_cli import clean, run  # noqa: F401  (a fixture)
from talkspurt.store import Store
from talkspurt.telemetry.usage import Meter


async def placed() -> None:
    store = await Store.open("sqlite+aiosqlite:///talkspurt.db")
    call = await store.calls.admit(carrier_call_id="CA1", caller="", dialled="", agent="retail", locale="en-US")
    meter = Meter()
    meter.add("recognition", "whisper", "seconds", 120)
    meter.add("model", "offline", "input", 9_000)
    meter.add("model", "offline", "output", 300)
    meter.add("carrier", "twilio", "seconds", 120)
    await store.usage.add(call.id, meter.used)
    await store.calls.end(call.id, "agent_goodbye")
    await store.aclose()


def test_calls_are_priced(capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(placed())
    assert run("cost", "--calls", "1000") == 0
    told = capsys.readouterr().out
    assert "whisper" in told
    assert "$25.00" in told, "two minutes of the carrier, a thousand times"
    assert "average of 1 call" in told
    assert run("cost", "--model", "anthropic:claude-sonnet-5", "--recognizer", "deepgram") == 0
    told = capsys.readouterr().out
    assert "$21.00" in told, "9,000 tokens in and 300 out, a thousand times"
    assert "$15.40" in told
    assert run("cost", "--model", "mistral:nobody-knows") == 0
    told = capsys.readouterr().out
    assert "unknown" in told
    assert "at least" in told


def test_without_calls_it_says_which_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cost") == 0
    assert "store.url" in capsys.readouterr().out


def test_a_price_list_that_is_not_there_is_one_clear_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    asyncio.run(placed())
    assert run("cost", "--prices", str(tmp_path / "none.toml")) == 2
    assert "none.toml" in capsys.readouterr().err
