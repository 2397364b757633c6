"""Splits a Piper voice into the two graphs that streaming needs, once, when the weights are pulled.

streaming-vits does this on first use (several seconds, beside the model); here it happens in
`models pull`, into a folder of the store, so that neither the first call nor a read-only store pays.
"""

import contextlib
import io
import json
from pathlib import Path

from talkspurt.errors import WeightsError


def split_voice(folder: Path, target: Path) -> None:
    """Write the front end and the decoder of the one `.onnx` voice in `folder` to `target`."""
    # Imported here: only a pull needs the onnx library, a server never does.
    from streaming_vits.graph import split

    voice = voice_file(folder)
    settings = json.loads(voice.with_suffix(".onnx.json").read_text(encoding="utf-8"))
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            split(voice, target, sample_rate=settings["audio"]["sample_rate"], verbose=False)
    except (ValueError, KeyError) as error:
        raise WeightsError(f"{voice.name} is not a Piper voice that can be streamed: {error}") from error


def voice_file(folder: Path) -> Path:
    """The voice's `.onnx` file in its folder of the store."""
    voices = sorted(folder.glob("*.onnx"))
    if len(voices) != 1:
        raise WeightsError(f"{folder} holds {len(voices)} voices instead of one; run: talkspurt models verify")
    return voices[0]
