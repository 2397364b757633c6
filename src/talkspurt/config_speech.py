"""The `[speech]` section, and `[[choices]]`: who hears, thinks and speaks, for whom and in which language.

[speech]
recognizer = "deepgram"
synthesizer = "elevenlabs"

[[choices]]                        # Spanish, whoever is called
locale = "es"
recognizer = "livekit:assemblyai"
voice = "carmen"

[[choices]]                        # one agent, in all its languages
agent = "concierge"
model = ["anthropic:claude-sonnet-5-5", "openai:gpt-5-mini"]
"""

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from talkspurt.config_secrets import secret_settings, without_logins

_VARIABLES: Final = {
    "elevenlabs.api_key": "ELEVEN_API_KEY",
    "google.credentials_info": "GOOGLE_APPLICATION_CREDENTIALS",
}
"""Variables of LiveKit's plugins that are not called `<PLUGIN>_<OPTION>`."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class LivekitOptions(_Section):
    """What the classes of a plugin are made with, by their own names: `{model = "ink-2"}`. No keys."""

    stt: dict[str, Any] = Field(default_factory=dict)
    tts: dict[str, Any] = Field(default_factory=dict)


class SpeechConfig(_Section):
    """Who hears and who speaks: `whisper`, `deepgram`; `piper`, `elevenlabs`; both: `openai`, `google`, `scripted`,
    `livekit:<plugin>` (docs/providers.md).
    """

    recognizer: str = "whisper"
    synthesizer: str = "piper"
    voice: str = ""
    """The synthesizer's own name of a voice, for all agents; "" for the agent's."""
    weights_dir: Path | None = None
    """Folder of the model store; default: the user's cache folder."""
    weights_from: Path | None = None
    """Folder with weight files or their data wheels, looked into before anything is downloaded."""
    turn_detector: Literal["smart-turn", "none"] = "smart-turn"
    """Who listens whether a voice sounds finished."""
    threads: int = Field(1, ge=1)
    """Threads of one local inference. More make a single call quicker, and several calls slower."""
    region: str = ""
    """Where vendors process speech, such as `eu`: those whose endpoint there is not known are refused."""
    base_url: dict[str, str] = Field(default_factory=dict)
    """Own endpoint per vendor, whatever the region: `{deepgram = "wss://...", "livekit:cartesia" = "https://..."}`."""
    livekit: dict[str, LivekitOptions] = Field(default_factory=dict)
    """Options of `livekit-plugins-*` packages, by plugin."""

    @field_validator("base_url")
    @classmethod
    def _without_logins(cls, addresses: dict[str, str]) -> dict[str, str]:
        return without_logins(addresses)

    @field_validator("livekit")
    @classmethod
    def _without_keys(cls, plugins: dict[str, LivekitOptions]) -> dict[str, LivekitOptions]:
        for plugin, options in plugins.items():
            for kind, of_class in (("stt", options.stt), ("tts", options.tts)):
                for path in secret_settings(of_class):
                    option = path.rpartition(".")[2]
                    variable = _VARIABLES.get(f"{plugin}.{option}", f"{plugin}_{option}".upper())
                    raise ValueError(
                        f"{plugin}.{kind}.{path} looks like a key, and keys belong in the environment: leave it out "
                        f"and set the variable that the plugin reads, usually {variable}"
                    )
        return plugins


def _names(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
"""Who is asked; the others take over when he fails. One alone is followed by those of `[fallbacks]`."""


class ChoiceConfig(_Section):
    """Other providers for an agent, for a language, or for both. What it leaves out stays as it is."""

    agent: str = "*"
    """Its name in [agents]."""
    locale: str = "*"
    """A language (`es`), or that of a country (`es-MX`)."""
    recognizer: Names = ()
    synthesizer: Names = ()
    model: Names = ()
    voice: str | None = None
    """The synthesizer's own name of a voice."""
    model_voice: str | None = None
    """The same of a model that speaks itself; None keeps that of `model.voice` if the vendor is the same."""

    @model_validator(mode="after")
    def _chooses(self) -> "ChoiceConfig":
        if not (self.recognizer or self.synthesizer or self.model or self.voice is not None):
            raise ValueError("give what is chosen: recognizer, synthesizer, model or voice")
        if self.model_voice is not None and not self.model:
            raise ValueError("model_voice is that of a model that speaks itself: give the model, too")
        return self

    def fits(self, agent: str, locale: str) -> bool:
        """Whether it is for calls of `agent` in `locale`."""
        spoken = locale.lower()
        wanted = self.locale.lower()
        return self.agent in ("*", agent) and (wanted in ("*", spoken) or spoken.startswith(f"{wanted}-"))

    @property
    def narrowness(self) -> tuple[bool, int]:
        """How narrow it is: an agent weighs more than a language, and a country more than none."""
        return self.agent != "*", 0 if self.locale == "*" else 1 + self.locale.count("-")
