"""How a slow tool lets the caller know how far it is.

    @tool(finishes_later=True, timeout=120)
    async def find_parcel(progress: Progress, order_id: str) -> str:
        await progress("The depot is looking for it.")

Injected by type, like `Caller`. The words are said when the caller waits and nobody speaks, behind a filler:
never over the caller, never in a row, and only the newest. Nothing comes of words that are told too late.
"""

import asyncio
from collections.abc import Callable
from typing import Final

MOST: Final = 20
"""Words of one run beyond these are not passed on: nobody wants to hear them."""


def _nobody(_words: str) -> None:
    """Nobody listens, as in a test that calls the function itself."""


class Progress:
    """Tells the caller something while a tool runs: `await progress("Still checking with the warehouse.")`."""

    def __init__(self, tell: Callable[[str], None] = _nobody) -> None:
        self._tell = tell
        self._left = MOST

    async def __call__(self, words: str) -> None:
        """Let the caller hear `words`, a short sentence, at the next good moment. Never raises, and does not wait."""
        if self._left > 0 and words.strip():
            self._left -= 1
            self._tell(words)
        # A loop that tells progress lets others go on.
        await asyncio.sleep(0)
