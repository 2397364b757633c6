"""Recognizers: one vendor per file, picked by `speech.recognizer`."""

from typing import Final

from talkspurt.config import Config
from talkspurt.ports import Recognizer
from talkspurt.vendors import OPENAI_REGIONS, Vendor, create_vendor

RECOGNIZERS: Final = {
    "whisper": Vendor("talkspurt.recognizers.whisper:WhisperRecognizer"),
    "openai": Vendor(
        "talkspurt.recognizers.openai:OpenAIRecognizer", extra="openai", rest="model", regions=OPENAI_REGIONS
    ),
    "google": Vendor(
        "talkspurt.recognizers.google:GoogleRecognizer",
        extra="google-speech",
        rest="model",
        regions={region: f"https://{region}-speech.googleapis.com" for region in ("eu", "us")},
        address="google-speech",
    ),
    "deepgram": Vendor(
        "talkspurt.recognizers.deepgram:DeepgramRecognizer",
        extra="deepgram",
        rest="model",
        regions={region: f"wss://api.{region}.deepgram.com" for region in ("au", "eu", "in")},
    ),
    "livekit": Vendor("talkspurt.recognizers.livekit:LivekitRecognizer", extra="livekit", rest="plugin"),
    "scripted": Vendor("talkspurt.testing.scripted:TimedRecognizer"),
}


def create_recognizer(config: Config) -> Recognizer:
    """Make the configured recognizer; it is cold until `warm_up`.

    Raises `ConfigurationError` for an unknown name or a missing extra.
    """
    recognizer: Recognizer = create_vendor("speech.recognizer", config.speech.recognizer, RECOGNIZERS, config)
    return recognizer
