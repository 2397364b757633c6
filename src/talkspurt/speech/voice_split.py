"""Splits a Piper voice into the two graphs that streaming needs, once, when the weights are pulled.

streaming-vits does this on first use (several seconds, beside the model); here it happens in
`models pull`, into a folder of the store, so that neither the first call nor a read-only store pays.

The front end then gets one output more than the library gives it, `DURATIONS`: how long each phoneme
lasts, which it computes anyway and from which the times of the words follow.
"""

import contextlib
import io
import json
from pathlib import Path
from typing import Final

from talkspurt.errors import WeightsError

DURATIONS: Final = "durations"
"""The front end's output of decoder frames per phoneme of its input, shape (1, 1, phonemes).

A front end without it (an unusual export, or one split by an earlier version) speaks without word times.
"""


def split_voice(folder: Path, target: Path) -> None:
    """Write the front end and the decoder of the one `.onnx` voice in `folder` to `target`."""
    # Imported here: only a pull needs the onnx library, a server never does.
    from streaming_vits.graph import split

    voice = voice_file(folder)
    settings = json.loads(voice.with_suffix(".onnx.json").read_text(encoding="utf-8"))
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            parts = split(voice, target, sample_rate=settings["audio"]["sample_rate"], verbose=False)
    except (ValueError, KeyError) as error:
        raise WeightsError(f"{voice.name} is not a Piper voice that can be streamed: {error}") from error
    _expose_durations(target / parts.frontend)


def _expose_durations(front_end: Path) -> None:
    """Name the durations as an output, if they can be told from the rest of the graph."""
    import onnx

    model = onnx.load(str(front_end))
    graph = model.graph
    # VITS rounds durations up to whole frames and sums them to know where each phoneme begins; nothing else is both.
    summed = {node.input[0] for node in graph.node if node.op_type == "CumSum"}
    found = [node.output[0] for node in graph.node if node.op_type == "Ceil" and node.output[0] in summed]
    if len(found) != 1:
        return
    graph.node.append(onnx.helper.make_node("Identity", found, [DURATIONS]))
    graph.output.append(onnx.helper.make_tensor_value_info(DURATIONS, onnx.TensorProto.FLOAT, None))
    onnx.save(model, str(front_end))


def voice_file(folder: Path) -> Path:
    """The voice's `.onnx` file in its folder of the store."""
    voices = sorted(folder.glob("*.onnx"))
    if len(voices) != 1:
        raise WeightsError(f"{folder} holds {len(voices)} voices instead of one; run: talkspurt models verify")
    return voices[0]
