"""Recognizers: one vendor per file, picked by `speech.recognizer`."""

from typing import Final

from talkspurt.config import Config
from talkspurt.ports import Recognizer
from talkspurt.vendors import Vendor, create_vendor

RECOGNIZERS: Final = {
    "whisper": Vendor("talkspurt.recognizers.whisper:WhisperRecognizer"),
    "deepgram": Vendor("talkspurt.recognizers.deepgram:DeepgramRecognizer", extra="deepgram"),
    "openai": Vendor("talkspurt.recognizers.openai:OpenAIRecognizer", extra="openai"),
    "google": Vendor("talkspurt.recognizers.google:GoogleRecognizer", extra="google-speech"),
    "scripted": Vendor("talkspurt.testing.scripted:TimedRecognizer"),
}


def create_recognizer(config: Config) -> Recognizer:
    """Make the configured recognizer; it is cold until `warm_up`.

    Raises `ConfigurationError` for an unknown name or a missing extra.
    """
    recognizer: Recognizer = create_vendor("speech.recognizer", config.speech.recognizer, RECOGNIZERS, config)
    return recognizer
