"""Whole calls in real time: a spoken caller on Twilio's wire format, the real server, the real models.

What the agent said is known only from the audio that was played, written down by the recognizer.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import date

import pytest

from e2e.e2e_server import Server
from talkspurt.simulate.caller import Transcribe, run_script
from talkspurt.simulate.lines import HangUp, Interrupt, Line, PressKeys, Say, Wait
from talkspurt.simulate.order_enquiry import spell
from talkspurt.simulate.report import CallReport, Percentiles

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="session")]


def succeeded(report: CallReport) -> CallReport:
    said = [f"{turn.said!r} -> {turn.heard!r} ({turn.latency})" for turn in report.turns]
    assert report.ok, f"{report.failures}\n" + "\n".join(said)
    return report


@pytest.fixture(scope="session")
async def calls(server: Server, transcribe: Transcribe) -> AsyncIterator[dict[str, asyncio.Task[CallReport]]]:
    """Three callers who are on the line at the same time, as callers are."""
    scripts: dict[str, list[Line]] = {
        "order": [
            Say(f"Hi, where is my order? The number is {spell('W5540917')}."),
            PressKeys("60614#"),
            Say("No thanks, that's all. Goodbye."),
        ],
        "return": [
            Say("I would like to return something."),
            PressKeys("2378156#"),
            PressKeys("60614#"),
            Say("The wireless headphones, please."),
            Say("Yes, please go ahead."),
            Say("No, that's all. Goodbye."),
        ],
        "silence": [Wait(60)],
    }
    started = {
        name: asyncio.create_task(
            run_script(server.url, lines, voice="rms", transcribe=transcribe, from_number=f"+1415555020{number}")
        )
        for number, (name, lines) in enumerate(scripts.items())
    }
    yield started
    await asyncio.gather(*started.values(), return_exceptions=True)


async def test_a_caller_asks_for_an_order_and_hears_what_the_database_says(
    server: Server, calls: dict[str, asyncio.Task[CallReport]]
) -> None:
    report = succeeded(await calls["order"])
    [(status, expected_on)] = server.shop("SELECT status, expected_on FROM orders WHERE id = 'W5540917'")
    assert status == "shipped"
    heard = report.turns[2].heard or ""
    # The witness is a small model, and writes "has shit" now and then: the day is said in more words.
    weekday = f"{date.fromisoformat(str(expected_on)):%A}"
    assert re.search(rf"should arrive.*({weekday}|today|tomorrow)", heard, re.IGNORECASE), heard
    assert report.recording.end is not None
    assert report.recording.end.by == "agent"
    [(state, reason)] = server.store(
        "SELECT state, end_reason FROM calls WHERE carrier_call_id = :sid", sid=report.recording.call_sid
    )
    assert (state, reason) == ("ended", "agent_goodbye")


async def test_a_return_by_voice_changes_the_row(server: Server, calls: dict[str, asyncio.Task[CallReport]]) -> None:
    report = succeeded(await calls["return"])
    # The seeded shop has it as delivered: tests/retail says so.
    assert server.shop("SELECT status FROM orders WHERE id = 'W2378156'") == [("return requested",)], report.heard
    assert server.store("SELECT tool, state FROM effects") == [("process_return", "done")]


async def test_a_silent_caller_is_asked_and_then_left_politely(calls: dict[str, asyncio.Task[CallReport]]) -> None:
    report = await calls["silence"]
    assert report.ok, report.failures
    assert re.search(r"still there", report.heard, re.IGNORECASE), report.heard
    assert re.search(r"good\s?bye", report.heard, re.IGNORECASE), report.heard
    assert report.recording.end is not None
    assert report.recording.end.by == "agent"
    assert 30 < report.recording.seconds < 50


async def test_an_interrupted_agent_is_silent_within_400_ms_of_the_callers_first_word(server: Server) -> None:
    report = succeeded(
        await run_script(
            server.url,
            [
                Say("What can you do for me?"),
                # In the middle of "I can check, change or cancel an order", and not in the pause at its comma.
                Interrupt("Wait, stop. I would like to speak to a person.", after=1.2),
                HangUp(),
            ],
        )
    )
    stopped = [turn.stopped_after for turn in report.turns if turn.stopped_after is not None]
    assert stopped, "the caller did not speak over the agent"
    assert max(stopped) <= 0.4


async def test_ten_calls_at_once_are_all_answered_in_time_and_without_gaps(server: Server) -> None:
    async def one(number: int) -> CallReport:
        await asyncio.sleep(number * 0.3)
        return await run_script(
            server.url,
            [
                Say("Hello, where is my order?"),
                PressKeys("5540917#"),
                PressKeys("60614#"),
                Say("No thank you, that's all. Goodbye."),
            ],
            voice=("slt", "rms")[number % 2],
            from_number=f"+1415555{number:04d}",
        )

    reports = await asyncio.gather(*(one(number) for number in range(10)))
    for report in reports:
        succeeded(report)
        assert not report.recording.gaps
    figures = Percentiles.of([latency for report in reports for latency in report.latencies])
    assert figures is not None
    assert figures.count >= 40
    assert figures.p95 <= 4.0, figures
