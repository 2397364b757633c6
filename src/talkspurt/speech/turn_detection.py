"""Smart Turn on this machine: does the voice sound as if it had finished?

The model hears the last eight seconds of a caller up to the pause. It is no judge of a turn by itself. Over a
telephone line it found 64 % of the ends in human recordings at 0.9 but took a fifth of the pauses after a complete
clause for an end, and with synthetic voices the two score alike (`benchmarks/turn_detection.py`): a score may
shorten a wait and never end a turn.

Invariants: nothing here blocks the event loop; a request whose caller is gone before its turn, or that has waited for
`PATIENCE`, never runs.
"""

import time
from typing import Final

from talkspurt.config import Config
from talkspurt.errors import ProviderError, WeightsError
from talkspurt.ports import LINE_RATE_HZ, TurnDetector
from talkspurt.speech.inference import Ask, Inference, current_purpose, open_inference
from talkspurt.speech.smart_turn import SECONDS

PATIENCE: Final = 0.4
"""Seconds after which a score comes too late to shorten the silence that is being waited for."""


def create_turn_detector(config: Config) -> TurnDetector | None:
    """The detector that `speech.turn_detector` names; None for "none"."""
    return SmartTurn(open_inference(config)) if config.speech.turn_detector == "smart-turn" else None


class SmartTurn:
    """The TurnDetector port on the local model, for all calls of a process. Belongs to one event loop."""

    def __init__(self, inference: Inference, *, patience: float = PATIENCE) -> None:
        self._inference = inference
        self._patience = patience

    async def warm_up(self) -> None:
        """Load the model and judge once. Raises `WeightsError` that says what to do."""
        await self._inference.warm_up("judgement")

    async def finished(self, pcm: bytes, /) -> float:
        """The probability that the caller has finished.

        It is 0 without audio, but near 1 for audio without voice, which the model does not expect: ask it only
        after speech. An odd last byte is left out. Raises `ProviderError`, retryable when its turn does not come.
        """
        now = time.monotonic()
        whole = pcm[: len(pcm) // 2 * 2]
        ask = Ask(current_purpose(), due=now, expires=now + self._patience)
        try:
            return await self._inference.judge(whole[-2 * SECONDS * LINE_RATE_HZ :], ask)
        except WeightsError as error:
            raise ProviderError("turn_detector", "smart-turn", str(error)) from error

    async def aclose(self) -> None:
        """Let go of the model; what waits is answered with an error. Idempotent."""
        await self._inference.aclose()
