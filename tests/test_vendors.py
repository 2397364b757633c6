"""Choosing a vendor by its configured name."""

import sys
from pathlib import Path

import pytest

from talkspurt.config import Config, SpeechConfig
from talkspurt.errors import ConfigurationError
from talkspurt.recognizers import create_recognizer
from talkspurt.synthesizers import create_synthesizer
from talkspurt.vendors import Vendor, create_vendor


class Parrot:
    def __init__(self, threads: int) -> None:
        self.threads = threads

    @classmethod
    def from_config(cls, config: Config) -> "Parrot":
        return cls(config.speech.threads)


def test_the_named_vendor_is_made_from_the_configuration() -> None:
    parrot = create_vendor(
        "speech.recognizer", "parrot", {"parrot": Vendor(f"{__name__}:Parrot")}, Config(speech=SpeechConfig(threads=3))
    )
    assert isinstance(parrot, Parrot)
    assert parrot.threads == 3


def test_an_unknown_recognizer_names_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match=r"speech\.recognizer: unknown name 'wisper'; did you mean 'whisper'"):
        create_recognizer(Config(speech=SpeechConfig(recognizer="wisper")))


def test_an_unknown_synthesizer_names_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'elevenlabs'"):
        create_synthesizer(Config(speech=SpeechConfig(synthesizer="eleven-labs")))


def test_a_missing_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = "vendor_with_a_missing_sdk"
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / f"{module}.py").write_text("import sdk_that_nobody_installed\n")
    with pytest.raises(ConfigurationError, match=r"pip install 'talkspurt\[cloudy\]'"):
        create_vendor("speech.recognizer", "x", {"x": Vendor(f"{module}:Any", extra="cloudy")}, Config())
    assert module not in sys.modules


def test_a_missing_module_of_our_own_is_not_blamed_on_the_user() -> None:
    with pytest.raises(ModuleNotFoundError):
        create_vendor("speech.recognizer", "x", {"x": Vendor("talkspurt.nowhere:Any", extra="cloudy")}, Config())
