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


@pytest.mark.parametrize(
    ("written", "meant", "extra"),
    [
        ("deepgramm", "deepgram", "deepgram"),
        ("googel", "google", "google-speech"),
        ("live-kit:x", "livekit", "livekit"),
    ],
)
def test_an_unknown_name_says_what_the_nearest_needs(written: str, meant: str, extra: str) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"did you mean '{meant}'\? It needs: pip install 'talkspurt\[{extra}\]'"
    ):
        create_recognizer(Config(speech=SpeechConfig(recognizer=written)))


def test_what_needs_no_extra_asks_for_none() -> None:
    with pytest.raises(ConfigurationError) as caught:
        create_synthesizer(Config(speech=SpeechConfig(synthesizer="pipper")))
    assert "did you mean 'piper'? (known" in str(caught.value)


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


def located(region: str, **base_url: str) -> dict[str, str]:
    class Anywhere:
        @classmethod
        def from_config(cls, config: Config) -> dict[str, str]:
            return config.speech.base_url

    sys.modules[__name__].__dict__["Anywhere"] = Anywhere
    vendor = Vendor(f"{__name__}:Anywhere", extra="cloudy", regions={"eu": "wss://eu.example.com"}, rest="model")
    config = Config(speech=SpeechConfig(region=region, base_url=base_url))
    addresses: dict[str, str] = create_vendor("speech.recognizer", "parrot:large", {"parrot": vendor}, config)
    return addresses


def test_a_region_is_the_vendors_endpoint_there_unless_one_is_named() -> None:
    assert located("") == {}
    assert located("eu") == {"parrot": "wss://eu.example.com"}
    assert located("eu", parrot="wss://own.example.com") == {"parrot": "wss://own.example.com"}


def test_a_region_in_which_no_endpoint_is_known_is_refused() -> None:
    with pytest.raises(ConfigurationError) as caught:
        located("mars")
    assert str(caught.value) == (
        "speech.recognizer = 'parrot:large': no endpoint of it in speech.region = 'mars' is known (known: eu); "
        'name one: speech.base_url = { "parrot" = "…" }'
    )


def test_local_models_are_in_every_region() -> None:
    assert create_recognizer(Config(speech=SpeechConfig(region="eu", recognizer="scripted")))


def test_deepgram_hears_in_the_region_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPGRAM_API_KEY", "key")
    with pytest.raises(ConfigurationError, match=r"known: au, eu, in"):
        create_recognizer(Config(speech=SpeechConfig(region="us", recognizer="deepgram")))
