"""Sentences as vectors: MiniLM (all-MiniLM-L6-v2, int8 ONNX), mean pooling, unit length.

Sentences are embedded one at a time: the model is quantised dynamically, so in a batch a sentence's
vector would depend on its neighbours, and the same words must always be understood the same way.
Synchronous and thread-safe; about 2–5 ms a sentence on one core, so callers keep it off the event loop.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

WEIGHTS: Final = "minilm-l6-v2"
"""Name in the model store."""

MAX_TOKENS: Final = 64
"""Longer turns are cut: callers say what they want early, and attention costs grow with length."""

Vectors = NDArray[np.float32]


class SentenceEmbedder:
    """Turns sentences into vectors whose dot product is how alike they are. Remembers the latest ones."""

    def __init__(self, folder: Path, *, threads: int = 1, remembered: int = 4096) -> None:
        """Load `model.onnx` and `tokenizer.json` from `folder`; `remembered` vectors take 1.5 kB each."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._inputs = {entry.name for entry in self._session.get_inputs()}
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._known: OrderedDict[str, Vectors] = OrderedDict()
        self._remembered = remembered
        self._lock = threading.Lock()

    def embed(self, sentences: Sequence[str]) -> Vectors:
        """One unit vector per sentence: float32, `(len(sentences), 384)`."""
        return np.stack([self._vector(sentence) for sentence in sentences])

    def _vector(self, sentence: str) -> Vectors:
        with self._lock:
            known = self._known.get(sentence)
            if known is not None:
                self._known.move_to_end(sentence)
                return known
        vector = self._infer(sentence)
        with self._lock:
            self._known[sentence] = vector
            while len(self._known) > self._remembered:
                self._known.popitem(last=False)
        return vector

    def _infer(self, sentence: str) -> Vectors:
        encoding = self._tokenizer.encode(sentence)
        ids = np.array([encoding.ids], dtype=np.int64)
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        outputs = self._session.run(None, {name: feeds[name] for name in self._inputs})
        pooled = np.asarray(outputs[0], dtype=np.float32)[0].mean(axis=0)
        length = max(float(np.linalg.norm(pooled)), 1e-9)
        return np.asarray(pooled / length, dtype=np.float32)
