"""How an agent talks without a language model, as data: intents, examples, slots, replies."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dialogue:
    """To be written."""
