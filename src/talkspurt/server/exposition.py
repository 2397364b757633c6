"""The metrics of all processes of a server as one exposition: whichever worker is asked collects the others'.

Every process keeps its metrics in its own memory, which costs the frame path nothing, and shows them on a Unix socket
in the run folder. In what a collector sees every sample names its process; sums are the collector's affair, and a
counter of a process that was started again begins anew, which `rate` knows.

Source: Prometheus' text format, in which all samples of a family follow its one `# HELP`.
"""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from talkspurt.telemetry import metrics

PATIENCE: Final = 1.0
"""Seconds for another process to show its metrics; one that hangs is left out."""
_SUFFIX: Final = ".metrics"
_LABELLED: Final = re.compile(r"(?m)^([A-Za-z_:][\w:]*)\{")
_BARE: Final = re.compile(r"(?m)^([A-Za-z_:][\w:]*) ")


async def show_metrics(folder: Path, process: str) -> asyncio.Server:
    """Show this process's metrics to the others; `close` what is returned."""

    async def show(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                writer.write(metrics.exposition())
                await writer.drain()
        except (OSError, TimeoutError):
            pass
        finally:
            writer.close()

    path = folder / f"{process}{_SUFFIX}"
    path.unlink(missing_ok=True)
    return await asyncio.start_unix_server(show, path)


async def collect_metrics(folder: Path, process: str) -> bytes:
    """The metrics of all processes with a socket in `folder`; `process` is this one."""
    paths = _paths(folder, process)
    shown = await asyncio.gather(*map(_ask, paths))
    others = {path.stem: text for path, text in zip(paths, shown, strict=True) if text}
    return merged({process: metrics.exposition().decode(), **others}).encode()


def _paths(folder: Path, process: str) -> list[Path]:
    return [path for path in sorted(folder.glob(f"*{_SUFFIX}")) if path.stem != process]


async def _ask(path: Path) -> str:
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                return (await reader.read(-1)).decode()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return ""


def merged(expositions: Mapping[str, str]) -> str:
    """One exposition of several, by the names of their processes, which become a label."""
    families: dict[str, list[str]] = {}
    for process, text in expositions.items():
        for family in text.split("# HELP ")[1:]:
            about, kind, samples = family.split("\n", 2)
            labelled = _LABELLED.sub(rf'\1{{process="{process}",', samples)
            labelled = _BARE.sub(rf'\1{{process="{process}"}} ', labelled)
            families.setdefault(f"# HELP {about}\n{kind}\n", []).append(labelled)
    return "".join(head + "".join(samples) for head, samples in families.items())
