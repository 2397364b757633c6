"""Who thinks: language models behind the `LanguageModel` port, chosen by one line of configuration.

`model.name` is `offline` (the deterministic brain, no account needed) or `<vendor>:<model>`,
for example `anthropic:claude-sonnet-5` or `openai:gpt-5-mini`.
"""

from talkspurt.agent.agent import Agent
from talkspurt.config import Config
from talkspurt.errors import ConfigurationError
from talkspurt.ports import LanguageModel


def create_model(config: Config, agent: Agent) -> LanguageModel:
    """The model that `config.model` names, thinking for `agent`; made once and shared by all of its calls.

    Raises `ConfigurationError` for an unknown vendor, a missing key or a missing extra.
    """
    # Imported when chosen: each brings seconds of imports that the other deployments need not pay.
    if config.model.name == "offline":
        from talkspurt.models.offline import OfflineModel

        return OfflineModel.from_config(config, agent)
    try:
        from talkspurt.models.pydantic_ai import PydanticAIModel
    except ModuleNotFoundError as error:
        # A missing module of our own is a fault of this package, not of the installation.
        if (error.name or "").partition(".")[0] == "talkspurt":
            raise
        raise ConfigurationError(
            f"model.name = '{config.model.name}' needs '{error.name}', which is not installed;"
            f" run: pip install 'talkspurt[{config.model.name.partition(':')[0]}]'"
        ) from None
    return PydanticAIModel.from_config(config)


__all__ = ["create_model"]
