"""Shows simulated calls on a terminal: the conversation as it happens, and a table of what was measured.

On anything that is not a terminal the same lines come without colour.
"""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from talkspurt.simulate.caller import AgentAnswered, CallEnded, CallerActed, Connected, News
from talkspurt.simulate.report import CallReport, Percentiles, TurnReport


class Conversation:
    """Prints one call, line by line; an observer for `run_script`."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __call__(self, news: News) -> None:
        """Print one thing that happened."""
        match news:
            case Connected():
                self._line(0.0, "dim", "", "the call is answered")
            case CallerActed(at=at, said=said):
                self._line(at, "cyan", "Caller", said)
            case AgentAnswered(turn) if turn.answered is None:
                self._line(turn.ended, "red", "Agent", "(no answer)")
            case AgentAnswered(turn):
                self._line(turn.answered or 0.0, "green", "Agent", _words(turn), _timing(turn))
            case CallEnded(end, at):
                self._line(at, "dim", "", f"{end.by}: {end.reason}")

    def _line(self, at: float, style: str, who: str, text: str, note: str = "") -> None:
        clock = f"{int(at) // 60:02}:{at % 60:04.1f}"
        note = f"  [dim]{note}[/]" if note else ""
        self._console.print(
            f"[dim]{clock}[/]  [bold {style}]{who:<6}[/]  {escape(text)}{note}", highlight=False, soft_wrap=True
        )


def show_report(console: Console, report: CallReport, wav: Path | None) -> None:
    """Print the table of one call, and what failed."""
    table = Table("turn", "said", "latency", "notes", title="Turns of the caller", title_justify="left")
    for turn in report.turns:
        if turn.number:
            latency = "no answer" if turn.latency is None else f"{turn.latency:.2f} s"
            table.add_row(str(turn.number), escape(turn.said), latency, _notes(turn))
    if table.row_count:
        console.print(table)
    recording, end = report.recording, report.recording.end
    facts = [f"{recording.seconds:.1f} s", f"{len(recording.gaps)} gaps", f"{len(recording.of('pause'))} pauses"]
    if end is not None:
        facts.append(f"ended by {end.by}: {end.reason}")
    _say(console, "; ".join(facts))
    if recording.worst_lateness > 0.1:
        _say(console, f"note: this machine was busy, the line ran up to {recording.worst_lateness * 1000:.0f} ms late")
    if wav is not None:
        _say(console, f"recording: {wav} (left the caller, right the agent)")
    _show_failures(console, report)


def show_reports(console: Console, reports: Sequence[CallReport]) -> bool:
    """Print a table of many calls and their latency; returns whether all succeeded."""
    headings = ("call", "turns", "slowest turn", "gaps", "ended by", "result")
    table = Table(*headings, title="Calls", title_justify="left")
    for number, report in enumerate(reports, 1):
        end = report.recording.end
        table.add_row(
            str(number),
            str(len(report.latencies)),
            f"{max(report.latencies):.2f} s" if report.latencies else "-",
            str(len(report.recording.gaps)),
            end.by if end else "-",
            "ok" if report.ok else "FAILED",
        )
    console.print(table)
    if latency := Percentiles.of([value for report in reports for value in report.latencies]):
        _say(
            console,
            f"turn latency over {latency.count} turns: p50 {latency.p50:.2f} s, p95 {latency.p95:.2f} s, "
            f"worst {latency.worst:.2f} s",
        )
    _say(console, f"{sum(report.ok for report in reports)} of {len(reports)} calls succeeded")
    for number, report in enumerate(reports, 1):
        _show_failures(console, report, f"call {number} ")
    return all(report.ok for report in reports)


def _show_failures(console: Console, report: CallReport, who: str = "the call ") -> None:
    for failure in report.failures:
        console.print(f"[bold red]{who}failed:[/] {escape(failure)}", highlight=False, soft_wrap=True)


def _say(console: Console, text: str) -> None:
    console.print(escape(text), highlight=False, soft_wrap=True)


def _words(turn: TurnReport) -> str:
    if turn.heard is None:
        return "(speaks)"
    return turn.heard or "(no words)"


def _timing(turn: TurnReport) -> str:
    if turn.number == 0:
        return f"{turn.answered:.2f} s after the answer" if turn.answered is not None else ""
    return f"after {turn.latency:.2f} s" if turn.latency is not None else ""


def _notes(turn: TurnReport) -> str:
    notes = []
    if turn.stopped_after is not None:
        notes.append(f"the agent stopped after {turn.stopped_after:.2f} s")
    if turn.talked_over:
        notes.append("both spoke at once")
    return ", ".join(notes)
