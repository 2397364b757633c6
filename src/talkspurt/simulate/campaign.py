"""One `talkspurt call`: one call shown live, or many at once counted, against a given or an own server."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from talkspurt.config import Config
from talkspurt.recognizers import create_recognizer
from talkspurt.simulate.caller import Transcribe, converse, render
from talkspurt.simulate.child_server import child_server
from talkspurt.simulate.display import Conversation, show_report, show_reports
from talkspurt.simulate.lines import Line
from talkspurt.simulate.microphone import load_sound, microphone
from talkspurt.simulate.order_enquiry import order_enquiry
from talkspurt.simulate.report import CallReport
from talkspurt.simulate.twilio import TwilioDouble
from talkspurt.simulate.witness import ANSWER_SECONDS, Witness

START_OFFSET: Final = 0.25
"""Seconds between the starts of calls: people do not dial in the same millisecond."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """What to call, how often, and what to say."""

    lines: tuple[Line, ...] = ()
    scenario: str | None = None
    microphone: bool = False
    url: str = "http://127.0.0.1:8080"
    own_server: bool = False
    voice: str = "slt"
    calls: int = 1
    transcribe: bool = True
    out: Path = Path("build/call.wav")
    line_options: dict[str, Any] = field(default_factory=dict)
    """For `TwilioDouble`."""


async def run_campaign(campaign: Campaign, config: Config, console: Console) -> bool:
    """Hold the calls and print what came of them; returns whether all succeeded."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="talkspurt-")))
        lines: Sequence[Line] = campaign.lines
        if campaign.scenario is not None:
            lines = await order_enquiry(folder / "retail.db")
        options = dict(campaign.line_options)
        with console.status("preparing what the caller says…"):
            clips = await render(lines, campaign.voice)
        url = campaign.url
        if campaign.own_server:
            options["public_url"] = options.get("public_url") or config.server.public_url
            with console.status("starting a server…"):
                log = campaign.out.parent / "server.log"
                url = await stack.enter_async_context(child_server(folder, log))
        if campaign.microphone:
            return await _speak_yourself(url, options, campaign.out, console)
        transcribe = None
        if campaign.transcribe:
            with console.status("loading the recognizer that writes the call down…"):
                transcribe = await stack.enter_async_context(_witness(config))
        if campaign.calls == 1:
            report = await converse(url, lines, clips, transcribe=transcribe, observe=Conversation(console), **options)
            report.recording.write_wav(campaign.out)
            show_report(console, report, campaign.out)
            return report.ok

        async def one(number: int) -> CallReport:
            await asyncio.sleep(number * START_OFFSET)
            return await converse(url, lines, clips, transcribe=transcribe, **options)

        with console.status(f"{campaign.calls} calls at once…"):
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(number)) for number in range(campaign.calls)]
        reports = [task.result() for task in tasks]
        for number, report in enumerate(reports, 1):
            report.recording.write_wav(campaign.out.with_stem(f"{campaign.out.stem}-{number}"))
        return show_reports(console, reports)


@asynccontextmanager
async def _witness(config: Config) -> AsyncIterator[Transcribe]:
    """The local recognizer, whatever the server uses: what was heard is for this machine to say, and nobody waits."""
    speech = config.speech.model_copy(update={"recognizer": "whisper"})
    inference = config.inference.model_copy(update={"patience": ANSWER_SECONDS})
    recognizer = create_recognizer(config.model_copy(update={"speech": speech, "inference": inference}))
    try:
        await recognizer.warm_up()
        yield Witness(recognizer).transcribe
    finally:
        await recognizer.aclose()


async def _speak_yourself(url: str, options: dict[str, Any], out: Path, console: Console) -> bool:
    sound = load_sound()
    async with TwilioDouble(url, max_seconds=3_600.0, **options) as line:
        if await line.answered():
            async with microphone(line, sound):
                console.print("the call is answered; speak, and press Ctrl-C to hang up")
                try:
                    await line.ended()
                except asyncio.CancelledError:
                    line.hang_up()
    end = line.recording.end
    line.recording.write_wav(out)
    console.print(f"ended by {end.by}: {end.reason}; recording: {out}" if end else "no call", highlight=False)
    for error in line.recording.errors:
        console.print(f"error: {error}", highlight=False, style="red")
    return end is not None and not end.failed and not line.recording.errors
