"""One call as a picture: both voices on one time axis, what was said, and what the conversation decided when.

    python -m benchmarks.turns.picture build/bench/turns/<scenario id> [--from 12] [--to 40] [--out call.svg]

Plain SVG, written here: a drawing of rectangles and words needs no library. From the artefacts come the waveforms,
the caller's events, the words that were heard (`aligned.json`, where it is there) and the line's `clear`s; states and
decisions come from `journal.jsonl`, JSON lines of the form
`{"at": seconds, "kind": "state" | "decision", "name": "…", "detail": "…"}`, and are left out where there is none.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Final

import numpy as np
from benchmarks.turns.align import Samples, Stretch, words_of
from benchmarks.turns.artefacts import CallArtefact, CallerEvent, load
from benchmarks.turns.measure import Track, read_track, stretch_from, texts_of
from numpy.typing import NDArray

RATE_HZ: Final = 8_000
PIXELS_PER_SECOND: Final = 80
"""Half of a pixel is a whole number of samples, so that waves do not drift from the time axis."""
LEFT, RIGHT, TOP = 104, 24, 64
LETTER: Final = 6.1
"""Width of a letter of the 11-pixel labels, on average."""

INK, FAINT, GRID, PAPER = "#22272e", "#6b7480", "#e3e7ec", "#ffffff"
CALLER, NOISE, AGENT = "#2f6db5", "#b9c4d0", "#c2631e"
STATES: Final = {
    "Listening": "#e8eef5", "Hearing": "#bcd4ee", "Endpointing": "#d9cdf0", "Thinking": "#f6e3b0",
    "Speaking": "#f5cfae", "Held": "#f2b8b8", "Ended": "#d5d9de",
}  # fmt: skip
OTHER_STATES: Final = ("#d4ead7", "#cfe5e8", "#ead9e6", "#e5e2cf")
EVENTS: Final = {
    "answer": CALLER, "stop": "#b3264a", "go_on": "#7a5ea8", "stay_silent": "#7a5ea8", "remind": FAINT,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Note:
    """One line of the journal."""

    at: float
    kind: str
    name: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that can be drawn of a call."""

    artefact: CallArtefact
    caller: Samples
    clean: Samples
    agent: Samples
    stretches: tuple[Stretch, ...] = ()
    journal: tuple[Note, ...] = ()


def read_scene(folder: Path) -> Scene:
    """Read a call's folder. Raises what `artefacts.load` raises."""
    stretches: tuple[Stretch, ...] = ()
    aligned = folder / "aligned.json"
    if aligned.exists():
        content = json.loads(aligned.read_text(encoding="utf-8"))["content"]
        stretches = tuple(stretch_from(raw) for raw in content["stretches"])
    journal = folder / "journal.jsonl"
    lines = journal.read_text(encoding="utf-8").splitlines() if journal.exists() else []
    notes = [json.loads(line) for line in lines if line.strip()]
    return Scene(
        load(folder),
        read_track(folder / "call.wav", 0),
        read_track(folder / "clean.wav", 0),
        read_track(folder / "call.wav", 1),
        stretches,
        tuple(Note(float(n["at"]), str(n["kind"]), str(n["name"]), str(n.get("detail", ""))) for n in notes),
    )


# ── drawing ───────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Sheet:
    """Shapes so far, and where on the paper a moment lies."""

    begin: float
    end: float
    shapes: list[str] = field(default_factory=list)
    y: float = TOP

    @property
    def width(self) -> float:
        return LEFT + (self.end - self.begin) * PIXELS_PER_SECOND + RIGHT

    def x(self, at: float) -> float:
        return LEFT + (min(max(at, self.begin), self.end) - self.begin) * PIXELS_PER_SECOND

    def shows(self, begin: float, end: float) -> bool:
        return end > self.begin and begin < self.end

    def box(self, begin: float, end: float, y: float, height: float, fill: str, *, more: str = "") -> None:
        width = max(1.0, self.x(end) - self.x(begin))
        self.shapes.append(
            f'<rect x="{self.x(begin):.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
            f'fill="{fill}" {more}/>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, stroke: str, *, more: str = "") -> None:
        self.shapes.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}" {more}/>')

    def text(self, x: float, y: float, words: str, fill: str = INK, more: str = "") -> None:
        self.shapes.append(f'<text x="{x:.1f}" y="{y:.1f}" fill="{fill}" {more}>{escape(words)}</text>')

    def heading(self, y: float, *lines: str) -> None:
        for number, words in enumerate(lines):
            self.text(LEFT - 10, y + 13 * number, words, INK if not number else FAINT, 'text-anchor="end"')


def draw(scene: Scene, begin: float = 0.0, end: float | None = None) -> str:
    """The call from `begin` to `end` (its own end by default) as an SVG document."""
    call_end = len(scene.agent) / RATE_HZ
    sheet = _Sheet(max(0.0, begin), min(call_end, end if end is not None else call_end))
    if sheet.end <= sheet.begin:
        raise ValueError(f"the call lasts {call_end:.1f} s: there is nothing from {begin:g} s on")
    _events(sheet, scene.artefact.events)
    loudest = float(max(np.abs(scene.clean.astype(np.int32)).max(initial=1), 3_000))
    _wave(sheet, "caller", "on the line", [(scene.caller, NOISE), (scene.clean, CALLER)], loudest)
    _talkspurts(sheet, scene.clean, CALLER)
    _latencies(sheet, scene)
    loudest = float(max(np.abs(scene.agent.astype(np.int32)).max(initial=1), 3_000))
    _wave(sheet, "agent", "as played", [(scene.agent, AGENT)], loudest)
    _talkspurts(sheet, scene.agent, AGENT)
    _heard(sheet, scene)
    _states(sheet, scene.journal)
    _decisions(sheet, scene)
    return _document(sheet, scene)


def _events(sheet: _Sheet, events: Iterable[CallerEvent]) -> None:
    shown = [event for event in events if sheet.shows(event.begin, event.end)]
    lanes = _Lanes(2)
    for event in shown:
        what = event.row.replace("_", " ")
        words = f"{what}: “{event.text}”" if event.text else f"{what} ({event.source.rpartition(':')[2]})"
        room = max(sheet.x(event.end) - sheet.x(event.begin), 90)
        words = _fitting(words, max(room, 260))
        x, lane = lanes.place(sheet.x(event.begin), len(words) * LETTER)
        colour = EVENTS.get(event.expects, FAINT)
        y = sheet.y + lane * 18
        sheet.text(x, y + 10, words, colour)
        for span in event.voiced:
            if sheet.shows(span.begin, span.end):
                sheet.box(span.begin, span.end, sheet.y + 38, 5, colour, more='rx="1"')
    sheet.heading(sheet.y + 10, "what the", "scenario does")
    sheet.y += 52


def _wave(sheet: _Sheet, name: str, note: str, layers: Sequence[tuple[Samples, str]], loudest: float) -> None:
    height = 84.0
    middle = sheet.y + height / 2
    sheet.heading(middle, name, note)
    sheet.line(LEFT, middle, sheet.width - RIGHT, middle, GRID)
    for samples, colour in layers:
        low, high = _envelope(samples[round(sheet.begin * RATE_HZ) : round(sheet.end * RATE_HZ)])
        # A square root brings quiet consonants and noise into sight beside loud vowels.
        up = np.sqrt(np.clip(high / loudest, 0, 1)) * height / 2
        down = np.sqrt(np.clip(-low / loudest, 0, 1)) * height / 2
        points = [f"{LEFT + n / 2:.1f},{middle - value:.1f}" for n, value in enumerate(up)]
        points += [f"{LEFT + n / 2:.1f},{middle + value:.1f}" for n, value in reversed(list(enumerate(down)))]
        sheet.shapes.append(f'<polygon points="{" ".join(points)}" fill="{colour}"/>')
    sheet.y += height + 4


def _envelope(samples: Samples) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest sample for every half pixel."""
    step = RATE_HZ // PIXELS_PER_SECOND // 2
    blocks = samples[: len(samples) // step * step].reshape(-1, step).astype(np.float64)
    return np.minimum(blocks.min(axis=1), 0), np.maximum(blocks.max(axis=1), 0)


def _talkspurts(sheet: _Sheet, samples: Samples, colour: str) -> None:
    sheet.heading(sheet.y + 7, "talkspurts")
    for begin, end in Track(samples).talkspurts:
        if sheet.shows(begin, end):
            sheet.box(begin, end, sheet.y, 7, colour, more='rx="2" opacity="0.85"')
    sheet.y += 18


def _latencies(sheet: _Sheet, scene: Scene) -> None:
    """From the end of what should be answered to the first sample of what followed."""
    agent = Track(scene.agent)
    sheet.heading(sheet.y + 12, "response")
    for event in scene.artefact.events:
        onset = agent.onset(event.end)
        if event.expects not in ("answer", "stop") or onset is None or agent.across(event.end) is not None:
            continue
        if sheet.shows(event.end, onset) and onset - event.end < 12:
            y = sheet.y + 8
            ends = 'marker-start="url(#bar)" marker-end="url(#arrow)"'
            sheet.line(sheet.x(event.end), y, sheet.x(onset), y, INK, more=ends)
            sheet.text((sheet.x(event.end) + sheet.x(onset)) / 2, y + 14, f"{1_000 * (onset - event.end):.0f} ms", INK,
                       'text-anchor="middle"')  # fmt: skip
    sheet.y += 34


def _heard(sheet: _Sheet, scene: Scene) -> None:
    texts = texts_of(scene.artefact)
    if not scene.stretches:
        return
    sheet.heading(sheet.y + 10, "words heard")
    for number, stretch in enumerate(scene.stretches):
        if not sheet.shows(stretch.begin, stretch.end):
            continue
        words = words_of(texts[stretch.text].text)
        shown = [(max(word.begin, sheet.begin), words[word.index], word.share) for word in stretch.words
                 if sheet.shows(word.begin, word.end)]  # fmt: skip
        lanes = _Lanes(2)
        for at, word, share in shown:
            x, lane = lanes.place(sheet.x(at) + 3, len(word) * LETTER)
            sheet.text(x, sheet.y + 10 + lane * 14, word, INK if share >= 0.5 else FAINT,
                       "" if share >= 0.5 else 'text-decoration="line-through"')  # fmt: skip
        sheet.line(sheet.x(stretch.begin), sheet.y - 4, sheet.x(stretch.begin), sheet.y + 26, AGENT)
        complete = stretch.words and stretch.words[-1].index == len(words) - 1 and stretch.words[-1].share > 0.9
        follows = number + 1 < len(scene.stretches) and scene.stretches[number + 1].text == stretch.text
        if not complete and stretch.end < sheet.end:
            mark = "broken off, taken up again" if follows else "broken off"
            sheet.text(sheet.x(stretch.end) + 3, sheet.y + 38, mark, "#b3264a")
            sheet.line(sheet.x(stretch.end), sheet.y - 4, sheet.x(stretch.end), sheet.y + 40, "#b3264a")
    sheet.y += 52


def _states(sheet: _Sheet, journal: Sequence[Note]) -> None:
    states = [note for note in journal if note.kind == "state"]
    if not states:
        return
    sheet.heading(sheet.y + 15, "state")
    colours = dict(STATES)
    for note, following in zip(states, [*states[1:], None], strict=True):
        end = following.at if following else sheet.end
        if not sheet.shows(note.at, end):
            continue
        if note.name not in colours:
            colours[note.name] = OTHER_STATES[(len(colours) - len(STATES)) % len(OTHER_STATES)]
        sheet.box(note.at, end, sheet.y, 24, colours[note.name], more=f'stroke="{PAPER}"')
        room = sheet.x(end) - sheet.x(note.at)
        if len(note.name) * LETTER + 4 <= room:
            sheet.text(sheet.x(note.at) + 4, sheet.y + 16, note.name)
        elif room > 9:
            sheet.text(sheet.x(note.at) + 3, sheet.y + 16, note.name[: int(room / LETTER / 1.3)], FAINT)
    sheet.y += 34


def _decisions(sheet: _Sheet, scene: Scene) -> None:
    decided = [note for note in scene.journal if note.kind == "decision"]
    if not any(note.name == "clear" for note in decided):
        decided += [Note(event.at, "line", "clear") for event in scene.artefact.line if event.kind == "clear"]
    shown = sorted((note for note in decided if sheet.begin <= note.at < sheet.end), key=lambda note: note.at)
    if not shown:
        return
    sheet.heading(sheet.y + 12, "decisions")
    lanes = _Lanes(6)
    deepest = 0
    for note in shown:
        words = _fitting(f"{note.name} {note.detail}".strip().replace("_", " "), 220)
        x, lane = lanes.place(sheet.x(note.at) + 3, len(words) * LETTER + 6)
        deepest = max(deepest, lane)
        y = sheet.y + lane * 15
        colour = {"clear": "#b3264a", "resume": "#2c7a3f", "ask": CALLER}.get(note.name, INK)
        sheet.line(
            sheet.x(note.at), TOP + 52, sheet.x(note.at), y + 12, colour, more='stroke-dasharray="2 3" opacity="0.7"'
        )
        sheet.text(x, y + 11, words, colour)
    sheet.y += 15 * (deepest + 1) + 10


class _Lanes:
    """Places labels so that they do not lie over each other: in the first lane with room, else moved to the right."""

    def __init__(self, count: int) -> None:
        self._ends = [0.0] * count

    def place(self, x: float, width: float) -> tuple[float, int]:
        free = [lane for lane, end in enumerate(self._ends) if end <= x]
        lane = free[0] if free else min(range(len(self._ends)), key=self._ends.__getitem__)
        x = max(x, self._ends[lane])
        self._ends[lane] = x + width + 5
        return x, lane


def _fitting(words: str, room: float) -> str:
    most = max(4, int(room / LETTER))
    return words if len(words) <= most else f"{words[: most - 1].rstrip()}…"


def _document(sheet: _Sheet, scene: Scene) -> str:
    bottom = sheet.y + 6
    grid: list[str] = []
    for second in range(int(np.ceil(sheet.begin)), int(sheet.end) + 1):
        x = sheet.x(second)
        grid.append(f'<line x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{bottom:.1f}" stroke="{GRID}"/>')
        grid.append(f'<text x="{x:.1f}" y="{bottom + 14:.1f}" fill="{FAINT}" text-anchor="middle">{second} s</text>')
    channel = scene.artefact.scenario.get("channel", {})
    line = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in channel.items()) or "clean line"
    title = f"{scene.artefact.id}: {scene.artefact.scenario.get('voice', '')}; {line}"
    height = bottom + 26
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{sheet.width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {sheet.width:.0f} {height:.0f}" '
            'font-family="DejaVu Sans, Verdana, sans-serif" font-size="10.5">',
            '<defs><marker id="arrow" markerWidth="7" markerHeight="7" refX="6" refY="3.5" orient="auto">'
            f'<path d="M0,0 L7,3.5 L0,7 z" fill="{INK}"/></marker>'
            '<marker id="bar" markerWidth="2" markerHeight="9" refX="1" refY="4.5">'
            f'<path d="M1,0 L1,9" stroke="{INK}"/></marker></defs>',
            f'<rect width="100%" height="100%" fill="{PAPER}"/>',
            f'<text x="{LEFT}" y="26" font-size="15" fill="{INK}">{escape(title)}</text>',
            *grid,
            *sheet.shapes,
            "</svg>",
        ]
    )


def main() -> int:
    """The command line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--from", dest="begin", type=float, default=0.0, help="second of the call")
    arguments.add_argument("--to", dest="end", type=float, default=None)
    arguments.add_argument("--out", type=Path, default=None, help="default: call.svg in the folder")
    chosen = arguments.parse_args()
    target = chosen.out or chosen.folder / "call.svg"
    try:
        target.write_text(draw(read_scene(chosen.folder), chosen.begin, chosen.end), encoding="utf-8")
    except (OSError, ValueError) as error:
        print(f"cannot draw {chosen.folder}: {error}", file=sys.stderr)
        return 1
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
