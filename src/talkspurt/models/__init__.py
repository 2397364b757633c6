"""Who thinks: language models behind the `LanguageModel` port, chosen by one line of configuration.

`model.name` is `offline` (the deterministic brain, no account needed) or `<vendor>:<model>`,
for example `anthropic:claude-sonnet-5-5` or `ollama:qwen3` (the vendors are in `vendors.py`).
`custom:<module>:<attribute>` is a model of the user's own: a function `(config, agent) -> LanguageModel`, found as
agents are. `scripted` says the same in a fixed time, for trials (`talkspurt.testing.scripted`).
"""

import importlib
import sys
from pathlib import Path
from typing import Final

from talkspurt.agent.agent import Agent
from talkspurt.config import Config
from talkspurt.errors import ConfigurationError
from talkspurt.models.vendors import split_name
from talkspurt.ports import LanguageModel
from talkspurt.vendors import Vendor, create_vendor

SCRIPTED: Final = {"scripted": Vendor("talkspurt.testing.scripted:TimedModel")}
CUSTOM: Final = "custom:"


def create_model(config: Config, agent: Agent) -> LanguageModel:
    """The model that `config.model` names, thinking for `agent`; made once and shared by all of its calls.

    Raises `ConfigurationError` for an unknown vendor, a missing key, address or extra, for an agent whose instructions
    alone are too long for the model, or when a custom model cannot be made.
    """
    if config.model.name.startswith(CUSTOM):
        return _create_custom(config, agent)
    if config.model.name in SCRIPTED:
        scripted: LanguageModel = create_vendor("model.name", config.model.name, SCRIPTED, config)
        return scripted
    # Imported when chosen: each brings seconds of imports that the other deployments need not pay.
    if config.model.name == "offline":
        from talkspurt.models.offline import OfflineModel

        return OfflineModel.from_config(config, agent)
    vendor, _ = split_name(config.model.name)
    if vendor.kind == "speech":
        raise ConfigurationError(
            f"model.name = '{config.model.name}' hears and speaks itself: it can hold calls, and nothing else"
        )
    try:
        from talkspurt.models.pydantic_ai import PydanticAIModel
    except ModuleNotFoundError as error:
        # A missing module of our own is a fault of this package, not of the installation.
        if (error.name or "").partition(".")[0] == "talkspurt":
            raise
        raise ConfigurationError(
            f"model.name = '{config.model.name}' needs '{error.name}', which is not installed;"
            f" run: pip install 'talkspurt[{vendor.extra}]'"
        ) from None
    model = PydanticAIModel.from_config(config)
    model.require_room(agent)
    return model


def _create_custom(config: Config, agent: Agent) -> LanguageModel:
    setting, target = f"model.name = '{config.model.name}'", config.model.name.removeprefix(CUSTOM)
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        raise ConfigurationError(f"{setting} must have the form custom:module:attribute")
    # As for agents: the module lies next to the configuration that names it, and is not installed.
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        factory = getattr(importlib.import_module(module_name), attribute, None)
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"{setting}: cannot import {module_name} ({error})") from error
    if not callable(factory):
        raise ConfigurationError(f"{setting}: {target} is no function (config, agent) that makes a LanguageModel")
    model: LanguageModel = factory(config, agent)
    missing = [name for name in ("warm_up", "reply", "aclose") if not callable(getattr(model, name, None))]
    if missing:
        raise ConfigurationError(f"{setting}: what {target} made is no LanguageModel: it has no {missing[0]}()")
    return model


__all__ = ["create_model"]
