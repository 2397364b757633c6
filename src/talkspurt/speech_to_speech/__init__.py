"""Models that hear, think and speak themselves, behind the ports of the stages that they replace.

`model = "openai-realtime:<model>"` chooses one (the vendors are in `models/vendors.py`). Turn-taking, tools, effects
and history stay the conversation's: docs/adr/0015, docs/speech-to-speech.md.

| file | its one question |
|---|---|
| `mirror.py` | what does the vendor's conversation hold, and how does it become ours? |
| `speech.py` `letters.py` | which of the model's sound belongs to which of its words? |
| `speaking.py` | who speaks a segment? |
| `in_text.py` | how is such a model checked? |
| `call.py` | how is one vendor's session three ports of one call? |
| `utterances.py` | which of the caller's words has the vendor understood? |
| `openai_realtime.py` `openai_session.py` `gemini_live.py` | what does the vendor say on the wire? |
| `ear.py` | what did the caller's words sound like, where somebody else writes them down? |
"""

from typing import Final

from talkspurt.config import Config
from talkspurt.models.vendors import split_name
from talkspurt.ports import SpeechToSpeech
from talkspurt.vendors import OPENAI_REGIONS, Vendor, create_vendor

VENDORS: Final = {
    "openai-realtime": Vendor(
        "talkspurt.speech_to_speech.openai_realtime:OpenAIRealtime",
        extra="openai",
        regions=OPENAI_REGIONS,
        section="model",
    ),
    "gemini-live": Vendor("talkspurt.speech_to_speech.gemini_live:GeminiLive", extra="google", section="model"),
}


def create_speech_to_speech(config: Config) -> SpeechToSpeech:
    """Make the vendor that `config.model` names; it has no connection until `warm_up`.

    It hears callers, so its endpoint is in `speech.region`, like a recognizer's. Raises `ConfigurationError` for a
    missing key or extra, and where no endpoint there is known or named.
    """
    vendor, _ = split_name(config.model.name)
    made: SpeechToSpeech = create_vendor("model.name", vendor.name, VENDORS, config)
    return made
