"""Synthesizers: one vendor per file, picked by `speech.synthesizer`, behind a cache of phrases."""

from typing import Final

from talkspurt.config import Config
from talkspurt.ports import Synthesizer
from talkspurt.speech.weights import default_root
from talkspurt.synthesizers.cache import PhraseCache
from talkspurt.synthesizers.stock import StockPhrases
from talkspurt.telemetry.usage import MeteredSynthesizer
from talkspurt.vendors import OPENAI_REGIONS, Vendor, create_vendor

SYNTHESIZERS: Final = {
    "piper": Vendor("talkspurt.synthesizers.piper:PiperSynthesizer"),
    "openai": Vendor(
        "talkspurt.synthesizers.openai:OpenAISynthesizer", extra="openai", rest="model", regions=OPENAI_REGIONS
    ),
    "google": Vendor(
        "talkspurt.synthesizers.google:GoogleSynthesizer",
        extra="google-speech",
        regions={region: f"https://{region}-texttospeech.googleapis.com" for region in ("eu", "us")},
        address="google-texttospeech",
    ),
    "elevenlabs": Vendor(
        "talkspurt.synthesizers.elevenlabs:ElevenLabsSynthesizer",
        extra="elevenlabs",
        rest="model",
        regions={
            "us": "https://api.us.elevenlabs.io",
            **{region: f"https://api.{region}.residency.elevenlabs.io" for region in ("eu", "in", "sg")},
        },
    ),
    "livekit": Vendor("talkspurt.synthesizers.livekit:LivekitSynthesizer", extra="livekit", rest="plugin"),
    "scripted": Vendor("talkspurt.testing.scripted:TimedSynthesizer"),
}


def create_synthesizer(config: Config) -> Synthesizer:
    """Make the configured synthesizer, with a cache of phrases before it; it is cold until `warm_up`.

    Raises `ConfigurationError` for an unknown name or a missing extra.
    """
    synthesizer: Synthesizer = create_vendor("speech.synthesizer", config.speech.synthesizer, SYNTHESIZERS, config)
    name = config.speech.synthesizer
    root = config.speech.weights_dir or default_root()
    stock, settings = StockPhrases(root.parent / "phrases"), getattr(synthesizer, "settings", "")
    return PhraseCache(MeteredSynthesizer(synthesizer, name), name, stock=stock, settings=settings)
