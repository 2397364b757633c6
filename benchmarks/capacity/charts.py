"""The benchmark's charts, as plain SVG: how overhead and CPU grow with the number of calls on one core."""

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Final

from benchmarks.capacity.figures import ENOUGH_P95_MS, Record, fitted_line

WIDTH, HEIGHT = 720, 380
LEFT, RIGHT, TOP, BOTTOM = 64, 170, 40, 48
INK, FAINT, GRID, PAPER = "#22272e", "#6b7480", "#e3e7ec", "#ffffff"
COLOURS: Final = {
    "talkspurt_scripted": "#2f6db5", "talkspurt_networked": "#7fb0e6", "pipecat_default": "#c2631e",
    "pipecat_timeout": "#e0a372", "livekit": "#5c8a3a",
}  # fmt: skip
MOST_MS: Final = 400.0
TICKS: Final = 5


def draw(records: Sequence[Record], folder: Path) -> None:
    """Write `capacity-overhead.svg` and `capacity-cpu.svg`."""
    folder.mkdir(parents=True, exist_ok=True)
    overhead = chart(
        records, lambda record: record.overhead_p95_ms, f"Overhead p95 in ms, by calls (limit {ENOUGH_P95_MS:.0f})",
        most=MOST_MS, limit=ENOUGH_P95_MS,
    )  # fmt: skip
    cpu = chart(
        [record for record in records if record.system.startswith("talkspurt")],
        lambda record: record.cpu_percent_per_call * record.n,
        "CPU of one core in %, by calls, with the fitted line",
        most=100.0, fitted=True,
    )  # fmt: skip
    (folder / "capacity-overhead.svg").write_text(overhead, encoding="utf-8")
    (folder / "capacity-cpu.svg").write_text(cpu, encoding="utf-8")


def chart(
    records: Sequence[Record],
    value: Callable[[Record], float | None],
    title: str,
    *,
    most: float,
    limit: float | None = None,
    fitted: bool = False,
) -> str:
    """One chart: a line for each system, calls to the right, `value` upwards, cut off at `most`."""
    widest = max((record.n for record in records), default=1)

    def x(n: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * n / widest

    def y(height: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * max(0.0, min(height, most)) / most

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" '
        f'font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{PAPER}"/>',
        f'<text x="{LEFT}" y="22" fill="{INK}" font-size="14">{escape(title)}</text>',
    ]
    for tick in range(TICKS + 1):
        height, n = most * tick / TICKS, widest * tick / TICKS
        parts += [
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(height):.1f}" y2="{y(height):.1f}" stroke="{GRID}"/>',
            f'<text x="{LEFT - 8}" y="{y(height) + 4:.1f}" text-anchor="end" fill="{FAINT}">{height:g}</text>',
            f'<text x="{x(n):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle" fill="{FAINT}">{n:.0f}</text>',
        ]
    if limit is not None:
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(limit):.1f}" y2="{y(limit):.1f}" stroke="{INK}" '
            'stroke-dasharray="5 4"/>'
        )
    for row, system in enumerate(dict.fromkeys(record.system for record in records)):
        colour = COLOURS.get(system, FAINT)
        points = [
            (float(record.n), found)
            for record in records
            if record.system == system and (found := value(record)) is not None
        ]
        path = " ".join(f"{x(n):.1f},{y(height):.1f}" for n, height in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x(n):.1f}" cy="{y(height):.1f}" r="3" fill="{colour}"/>' for n, height in points]
        label = system.replace("_", ", ")
        if fitted and len({n for n, _ in points}) > 1:
            start, slope = fitted_line(points)
            label += f": {start:.1f} + {slope:.2f} n"
        parts.append(f'<text x="{WIDTH - RIGHT + 10}" y="{TOP + 16 + 20 * row}" fill="{colour}">{escape(label)}</text>')
    return "\n".join([*parts, "</svg>\n"])
