"""How a plugin of LiveKit is chosen: mistakes are known at start-up, and say what to do."""

import sys
from types import ModuleType

import pytest

from talkspurt.config import Config, LivekitOptions, SpeechConfig
from talkspurt.errors import ConfigurationError
from talkspurt.recognizers import create_recognizer
from talkspurt.speech import livekit
from talkspurt.synthesizers import create_synthesizer


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("ASSEMBLYAI_API_KEY", "CARTESIA_API_KEY", "DEEPGRAM_API_KEY"):
        monkeypatch.setenv(variable, "key")


def complaint(name: str, options: LivekitOptions | None = None) -> str:
    plugin = name.split(":")[1] if ":" in name else ""
    speech = SpeechConfig(recognizer=name, livekit={plugin: options} if options else {})
    with pytest.raises(ConfigurationError) as caught:
        create_recognizer(Config(speech=speech))
    return str(caught.value)


def test_a_plugin_that_is_not_known_names_the_nearest() -> None:
    assert complaint("livekit:cartesio") == (
        "speech.recognizer: there is no plugin 'cartesio'; did you mean 'livekit:cartesia'?"
    )


def test_a_name_without_a_plugin_is_refused() -> None:
    assert "there is no plugin ''" in complaint("livekit")


def test_a_plugin_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(livekit, "installed", set)
    assert complaint("livekit:assemblyai").endswith("run: pip install 'talkspurt[livekit]' livekit-plugins-assemblyai")


def test_a_plugin_that_only_speaks_does_not_hear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(livekit, "installed", lambda: {"rime"})
    monkeypatch.setitem(sys.modules, "livekit.plugins.rime", ModuleType("livekit.plugins.rime"))
    assert "livekit-plugins-rime recognises no speech" in complaint("livekit:rime")


def test_an_option_that_the_plugin_does_not_know_names_the_nearest() -> None:
    assert complaint("livekit:cartesia", LivekitOptions(stt={"modell": "ink-2"})) == (
        "speech.livekit.cartesia.stt.modell: the plugin has no such option; did you mean 'model'?"
    )


def test_a_missing_key_says_which_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CARTESIA_API_KEY")
    assert complaint("livekit:cartesia") == (
        "speech.recognizer = 'livekit:cartesia' needs a key: set the environment variable CARTESIA_API_KEY"
    )


def test_what_the_plugin_itself_refuses_is_passed_on() -> None:
    options = LivekitOptions(stt={"model": "ink-whisper", "keyterm": ["x"]})
    assert "only supported by turn-detecting models" in complaint("livekit:cartesia", options)


def test_the_synthesizer_is_chosen_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CARTESIA_API_KEY")
    with pytest.raises(ConfigurationError, match=r"^speech.synthesizer = 'livekit:cartesia' needs a key"):
        create_synthesizer(Config(speech=SpeechConfig(synthesizer="livekit:cartesia")))


def test_nothing_can_be_chosen_of_a_local_model() -> None:
    assert complaint("whisper:large") == (
        "speech.recognizer = 'whisper:large': nothing can be chosen of 'whisper'; write it alone"
    )
