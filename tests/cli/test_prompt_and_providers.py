"""`talkspurt prompt show` and `talkspurt providers check`, the latter against fakes in the test's own loop."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tomli_w

from talkspurt.speech.check import SENTENCE
from talkspurt.testing.fakes import FakeAnthropic, FakeAssemblyAI, FakeCartesia, FakeDeepgram, FakeElevenLabs, Speech

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


def test_tools_of_mcp_servers_are_counted_as_in_calls_and_a_missing_server_is_told_apart_from_the_prompt(
    tmp_path: Path,
) -> None:
    warehouse = Path(__file__).parents[1] / "tool_servers" / "warehouse.py"

    def shown(*arguments: str) -> subprocess.CompletedProcess[str]:
        server = {"agents": ["retail"], "command": "python", "arguments": list(arguments), "tools": {"check_stock": {}}}
        settings = tomli_w.dumps({"mcp": {"servers": {"warehouse": {**server, "connect_timeout": 60.0}}}})
        (tmp_path / "talkspurt.toml").write_text(settings)
        return talkspurt("prompt", "show", cwd=tmp_path)

    def tools(shown: subprocess.CompletedProcess[str]) -> int:
        assert shown.returncode == 0, shown.stderr
        [count] = re.findall(r"for (\d+) tools", shown.stderr)
        return int(count)

    plain = talkspurt("prompt", "show", cwd=tmp_path)
    with_it, without = shown(str(warehouse), "stdio", str(tmp_path)), shown("-c", "")
    assert tools(with_it) == tools(plain) + 1
    assert without.stdout.splitlines()[0] == with_it.stdout.splitlines()[0]
    assert "mcp" not in without.stdout
    assert "warehouse" in without.stderr


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
    shown = await check("anthropic:claude-haiku-5-5", "--requests", "2", cwd=tmp_path)
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


async def check_speech(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    keys = {f"{vendor}_API_KEY": KEY for vendor in ("DEEPGRAM", "ELEVENLABS", "ASSEMBLYAI", "CARTESIA")}
    return await asyncio.to_thread(
        lambda: talkspurt("providers", "check", *arguments, cwd=cwd, **{**keys, **environment})
    )


async def test_all_of_the_configuration_think_hear_and_speak(tmp_path: Path) -> None:
    async with (
        FakeDeepgram((SENTENCE,) * 2, key=KEY) as hearing,
        FakeElevenLabs(key=KEY) as speaking,
        FakeCartesia(key=KEY) as plugin,
    ):
        (tmp_path / "talkspurt.toml").write_text(
            f"""
            model = "scripted"
            [speech]
            recognizer = "deepgram"
            synthesizer = "elevenlabs"
            base_url = {{deepgram = "{hearing.base_url}", elevenlabs = "{speaking.base_url}"}}
            livekit.cartesia.tts = {{base_url = "{plugin.base_url}"}}
            [fallbacks]
            synthesizers = ["livekit:cartesia"]
            """
        )
        shown = await check_speech("--requests", "2", cwd=tmp_path)
        assert shown.returncode == 0, shown.stdout + shown.stderr
        lines = {line.split()[0]: line for line in shown.stdout.splitlines() if line.split()}
        assert "hears, 9 of 9 words right" in lines["deepgram"]
        assert "speaks, with word times" in lines["elevenlabs"]
        assert "speaks, with word times" in lines["livekit:cartesia"]
        for name in ("scripted", "deepgram", "elevenlabs", "livekit:cartesia"):
            assert lines[name].count(" ms") == 3
        assert len(hearing.sockets) == 1
        assert len(speaking.requests) == 2


async def test_names_on_the_command_line_are_the_only_ones_asked(tmp_path: Path) -> None:
    async with FakeAssemblyAI((SENTENCE,), key=KEY) as fake:
        toml = f'[speech.livekit.assemblyai.stt]\nbase_url = "{fake.base_url}"\n'
        (tmp_path / "talkspurt.toml").write_text(toml)
        shown = await check_speech("--recognizer", "livekit:assemblyai", "--requests", "1", cwd=tmp_path)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "9 of 9 words right" in shown.stdout
    assert "offline" not in shown.stdout
    assert "piper" not in shown.stdout


async def test_what_is_wrong_with_a_voice_or_an_ear_is_a_sentence_and_the_exit_status_tells(tmp_path: Path) -> None:
    async with FakeDeepgram(("something else entirely",), key=KEY) as hearing, FakeElevenLabs(key="other") as speaking:
        (tmp_path / "talkspurt.toml").write_text(
            f'[speech]\nbase_url = {{deepgram = "{hearing.base_url}", elevenlabs = "{speaking.base_url}"}}\n'
        )
        shown = await check_speech("deepgram", "elevenlabs", "livekit:cartesio", "--requests", "1", cwd=tmp_path)
    assert shown.returncode == 1
    said = " ".join(shown.stdout.split())
    assert f"it heard 'something else entirely'; the recording says '{SENTENCE}'" in said
    assert "elevenlabs synthesizer: HTTP 401" in said
    assert "did you mean 'livekit:cartesia'" in said
    assert KEY not in shown.stdout + shown.stderr


async def test_a_voice_that_is_silent_is_not_taken_for_one_that_speaks(tmp_path: Path) -> None:
    async with FakeElevenLabs(key=KEY, otherwise=Speech(status=500)) as fake:
        (tmp_path / "talkspurt.toml").write_text(f'[speech]\nbase_url = {{elevenlabs = "{fake.base_url}"}}\n')
        shown = await check_speech("--synthesizer", "elevenlabs", cwd=tmp_path)
    assert shown.returncode == 1
    assert "elevenlabs synthesizer: HTTP 500" in shown.stdout
