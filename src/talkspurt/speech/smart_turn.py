"""Smart Turn: does the voice sound as if it had finished? Blocking; for inference threads.

The padding costs nothing, since all its frames are alike and one is computed for them.
Source: Smart Turn v3.2 (Daily, BSD-2-Clause), `smart-turn-v3.2-cpu.onnx`, int8; its input is what
Whisper's feature extractor makes of eight seconds with `do_normalize`, the silence in front.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
import soxr
from numpy.typing import NDArray

from talkspurt.errors import WeightsError
from talkspurt.ports import LINE_RATE_HZ

WEIGHTS: Final = "smart-turn-v3.2"
MODEL: Final = "smart-turn-v3.2-cpu.onnx"

SECONDS: Final = 8
"""What the model hears. Earlier audio is not looked at, shorter audio is padded in front."""

MODEL_RATE_HZ: Final = 16_000
_WINDOW: Final = 400
_HOP: Final = 160
_MELS: Final = 80
_SAMPLES: Final = SECONDS * MODEL_RATE_HZ
_FRAMES: Final = _SAMPLES // _HOP
_BLOCK: Final = 16
"""Frames transformed together. All 800 at once take 6 ms instead of 2, since arrays so large come fresh from the
system; and OpenBLAS would split the product over its threads, which on a busy machine wait for each other (p95
124 ms instead of 45). It does so above 2^18 multiplications: 80 x 201 x 16 is just below."""


class Judge:
    """The loaded model."""

    def __init__(self, model: Path) -> None:
        """Load it: a tenth of a second. Raises `WeightsError` when it cannot be read."""
        import onnxruntime
        from faster_whisper.feature_extractor import FeatureExtractor

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session: Any = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise WeightsError(f"cannot load {model.name}: {error}; run: talkspurt models pull {WEIGHTS}") from error
        self._mel: NDArray[np.float32] = FeatureExtractor(feature_size=_MELS).mel_filters
        self._hann: NDArray[np.float32] = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)

    def warm_up(self) -> None:
        """Judge once."""
        self.finished(bytes(2 * LINE_RATE_HZ))

    def finished(self, pcm: bytes) -> float:
        """The probability that the caller has finished, from PCM16 at the line's rate."""
        samples = np.frombuffer(pcm, dtype="<i2", count=len(pcm) // 2)[-SECONDS * LINE_RATE_HZ :]
        if not len(samples):
            return 0.0
        return self.score(soxr.resample(np.divide(samples, 32768, dtype=np.float32), LINE_RATE_HZ, MODEL_RATE_HZ))

    def score(self, audio: NDArray[np.float32]) -> float:
        """The same of up to eight seconds at 16 kHz (float32 in -1..1, mono)."""
        (answer,) = self._session.run(None, {"input_features": self.features(audio)[np.newaxis]})
        return float(np.clip(answer.item(), 0.0, 1.0))

    def features(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the model takes, (80, 800), of such audio."""
        padding = _SAMPLES - len(audio)
        # Mean and variance are those of the eight seconds, padding included: it becomes the constant `-mean`.
        mean = audio.sum(dtype=np.float64) / _SAMPLES
        variance = np.square(audio, dtype=np.float64).sum() / _SAMPLES - mean**2
        scale = 1 / np.sqrt(variance + 1e-7)
        # Frame k covers 200 samples on both sides of sample 160 k. The first frames that lie in the padding are
        # all alike, so the last of them stands for all; a frame that sees the audio's beginning is computed.
        alike = max(0, (padding - _WINDOW // 2) // _HOP)
        begin = alike * _HOP
        signal = np.zeros(_SAMPLES - begin, dtype=np.float32)
        signal[padding - begin :] = audio
        signal -= np.float32(mean)
        signal *= np.float32(scale)
        around = np.pad(signal, _WINDOW // 2, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(around, _WINDOW)[::_HOP][:-1]
        features = np.empty((_MELS, _FRAMES), dtype=np.float32)
        for first in range(0, len(frames), _BLOCK):
            spectrum = np.fft.rfft(frames[first : first + _BLOCK] * self._hann, axis=-1)
            power = np.square(spectrum.real) + np.square(spectrum.imag)
            features[:, alike + first :][:, : len(power)] = self._mel @ power.T
        features[:, :alike] = features[:, alike : alike + 1]
        np.log10(np.maximum(features, np.float32(1e-10), out=features), out=features)
        np.maximum(features, features.max() - 8, out=features)
        features += 4
        features /= 4
        return features
