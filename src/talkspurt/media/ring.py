"""The last samples of one direction of a line, found by their position since the call began.

Memory is fixed: what is older than the capacity is overwritten. What was never written, or was
skipped, reads as silence, so positions always mean the same samples. Writing costs a copy.
"""

import numpy as np
from numpy.typing import NDArray


class SampleRing:
    """PCM16 samples by absolute position. Holds `capacity` samples up to `end`."""

    def __init__(self, capacity: int) -> None:
        if capacity <= 0:
            raise ValueError("a ring holds at least one sample")
        self._samples: NDArray[np.int16] = np.zeros(capacity, dtype=np.int16)
        self._capacity = capacity
        self._end = 0

    @property
    def end(self) -> int:
        """One past the last position that was written."""
        return self._end

    @property
    def begin(self) -> int:
        """The first position that is still held."""
        return max(0, self._end - self._capacity)

    def write(self, samples: NDArray[np.int16], at: int) -> None:
        """Put `samples` at position `at`, over what is there; a gap before them becomes silence."""
        last = at + len(samples)
        if at > self._end:
            self._fill(max(self._end, last - self._capacity), at)
        end = max(self._end, last)
        first = max(at, end - self._capacity, 0)
        if first < last:
            self._put(samples[first - at :], first)
        self._end = end

    def silence_from(self, at: int) -> None:
        """Make everything from position `at` on silent."""
        self._fill(max(at, self.begin), self._end)

    def read(self, first: int, last: int) -> NDArray[np.float32]:
        """Positions `first` to `last` as magnitudes of at most 1: float32, `(last - first,)`, the caller's own."""
        samples: NDArray[np.float32] = np.zeros(max(0, last - first), dtype=np.float32)
        held_first, held_last = max(first, self.begin), min(last, self._end)
        if held_first < held_last:
            start = held_first % self._capacity
            length = held_last - held_first
            head = min(length, self._capacity - start)
            offset = held_first - first
            samples[offset : offset + head] = self._samples[start : start + head]
            samples[offset + head : offset + length] = self._samples[: length - head]
            samples *= np.float32(1 / 32_768)
        return samples

    def _put(self, samples: NDArray[np.int16], at: int) -> None:
        start = at % self._capacity
        head = min(len(samples), self._capacity - start)
        self._samples[start : start + head] = samples[:head]
        if head < len(samples):
            self._samples[: len(samples) - head] = samples[head:]

    def _fill(self, first: int, last: int) -> None:
        if first < last:
            start = first % self._capacity
            head = min(last - first, self._capacity - start)
            self._samples[start : start + head] = 0
            self._samples[: last - first - head] = 0
