"""Settings by vendor that mean nobody are refused, and those that somebody reads are not."""

import tomllib
from pathlib import Path

import pytest

from talkspurt import cli
from talkspurt.address_books import require_known_vendors
from talkspurt.config import Config
from talkspurt.errors import ConfigurationError
from talkspurt.ladder.choices import Choices
from talkspurt.speech import livekit_plugins


def read(toml: str) -> Config:
    return Config.model_validate(tomllib.loads(toml))


@pytest.mark.parametrize(
    ("toml", "complaint"),
    [
        (
            'speech.base_url = {google = "https://eu-speech.googleapis.com"}',
            "speech.base_url names 'google', which nobody reads; did you mean 'google-speech'? "
            "(known: deepgram, elevenlabs, google-speech, google-texttospeech, openai, livekit:<plugin>)",
        ),
        (
            'speech.base_url = {openai-realtime = "https://x"}',
            "speech.base_url names 'openai-realtime', which nobody reads; the address of a model stands in "
            "model.base_url",
        ),
        ('speech.base_url = {whisper = "https://x"}', "speech.base_url names 'whisper', which nobody reads"),
        ('speech.base_url = {livekit = "https://x"}', "speech.base_url names 'livekit', which nobody reads"),
        ('speech.base_url = {"livekit:cartesio" = "https://x"}', "did you mean 'livekit:cartesia'?"),
        ('speech.base_url = {"livekit:cartesia:sonic-3" = "https://x"}', "did you mean 'livekit:cartesia'?"),
        ('speech.livekit.cartesio.tts = {voice = "x"}', "speech.livekit names 'cartesio', which nobody reads; did you"),
        ('speech.livekit."livekit:cartesia".tts = {voice = "x"}', "did you mean 'cartesia'?"),
        ('model = {name = "openai:a", base_url = {opnai = "https://x"}}', "did you mean 'openai'? (known: anthropic,"),
        ('model = {name = "openai:a", base_url = {"openai:a" = "https://x"}}', "did you mean 'openai'?"),
        (
            'model = {name = "openai-responses:a", base_url = {openai = "https://eu.api.openai.com/v1"}}',
            "model.base_url names 'openai', which nobody asks, and has no entry for 'openai-responses', which would be "
            "asked at its usual address; did you mean 'openai-responses'?",
        ),
        (
            'choices = [{locale = "es", model = "gemini-live:a"}]\n[model.base_url]\ngoogle = "https://x"',
            "did you mean 'gemini-live'?",
        ),
    ],
)
def test_an_entry_that_nobody_reads_is_refused_with_the_nearest(toml: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Choices(read(toml))
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    "toml",
    [
        # Every vendor's entry as docs/providers.md has it; `providers check` asks others than are configured.
        """
        [speech.base_url]
        deepgram = "wss://x"
        elevenlabs = "https://x"
        openai = "https://x/v1"
        google-speech = "https://x"
        google-texttospeech = "https://x"
        "livekit:cartesia" = "https://x"
        [speech.livekit.assemblyai.stt]
        keyterms_prompt = ["x"]
        [model.base_url]
        anthropic = "https://x"
        openai = "https://x"
        openai-realtime = "https://x"
        openai-responses = "https://x"
        gemini-live = "https://x"
        google = "https://x"
        bedrock = "https://x"
        groq = "https://x"
        mistral = "https://x"
        azure = "https://x"
        ollama = "http://x"
        vllm = "http://x"
        llamacpp = "http://x"
        openai-compatible = "http://x"
        """,
        # A plugin of nobody's list, as a package of the user's own may be.
        """
        speech.recognizer = "livekit:ours"
        speech.livekit.ours.stt = {sample_rate = 8000}
        speech.base_url = {"livekit:ours" = "https://x"}
        """,
        """
        fallbacks.synthesizers = ["livekit:theirs:large"]
        choices = [{locale = "es", synthesizer = "livekit:ours:large"}]
        speech.livekit.ours.tts = {sample_rate = 8000}
        speech.livekit.theirs.tts = {sample_rate = 8000}
        """,
        # A text alone is of whoever is in `name`, and a model of the user's own may read what it likes.
        'model = {name = "scripted", base_url = "https://x"}',
        'model = {name = " openai:a", base_url = "https://x"}',
        'model = {name = "custom:mine:create", base_url = "https://x"}',
        'model = {name = "openai:a", base_url = {mine = "https://x"}}\nfallbacks.models = ["custom:mine:create"]',
        # The one below is asked by its own entry, the one above at its usual address.
        'model = {name = "openai-responses:a", base_url = {openai = "http://x"}}\nfallbacks.models = ["openai:b"]',
    ],
)
def test_what_somebody_reads_is_not_refused(toml: str) -> None:
    require_known_vendors(read(toml))


def test_a_text_alone_is_found_by_the_vendor_also_behind_a_blank() -> None:
    assert read('model = {name = " openai :a", base_url = "https://x"}').model.address("openai") == "https://x"


def test_a_plugin_that_is_installed_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "livekit" / "plugins" / "ours").mkdir(parents=True)
    (tmp_path / "livekit" / "plugins" / "ours" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "ours" in livekit_plugins.installed()
    require_known_vendors(read("speech.livekit.ours.stt = {sample_rate = 8000}"))


def test_without_livekit_no_plugin_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(livekit_plugins, "find_spec", lambda _name: None)
    assert livekit_plugins.installed() == set()


@pytest.mark.parametrize("command", [("config", "check"), ("providers", "check", "scripted")])
def test_the_commands_that_check_say_so_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("talkspurt.toml").write_text('speech.base_url = {google = "https://x"}\n')
    with pytest.raises(SystemExit) as ended:
        cli.main(command)
    assert ended.value.code == 2
    assert "did you mean 'google-speech'" in capsys.readouterr().err
