"""Which of LiveKit's plugins there are. It imports none of them, nor LiveKit, which takes seconds."""

import pkgutil
from importlib.util import find_spec
from typing import Final

PREFIX: Final = "livekit"
KNOWN: Final = frozenset(
    """
    assemblyai asyncai aws azure baseten bland cambai cartesia clova deepgram elevenlabs fal fireworksai fishaudio
    gladia gnani google gradium groq hume inworld lmnt minimax mistralai murf neuphonic nvidia openai resemble rime
    sarvam simplismart smallestai soniox speechify speechmatics spitch telnyx ultravox upliftai
    """.split()  # noqa: SIM905  # a list of forty strings is not easier to read
)
"""Plugins of LiveKit's own repository that hear or speak, to name the nearest. Any other that is installed works."""


def installed() -> set[str]:
    """The plugins whose packages are installed."""
    livekit = find_spec("livekit")
    folders = [f"{folder}/plugins" for folder in (livekit and livekit.submodule_search_locations) or ()]
    return {module.name for module in pkgutil.iter_modules(folders)}
