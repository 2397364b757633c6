"""Finds the agents that the configuration names by `module:attribute`."""

import importlib
import sys
from pathlib import Path

from talkspurt.agent.agent import Agent
from talkspurt.errors import ConfigurationError


def load_agent(name: str, target: str) -> Agent:
    """The agent at `module:attribute`, an `Agent` or a function without arguments that makes one.

    Raises `ConfigurationError` saying what is wrong with `agents.<name>`.
    """
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        raise ConfigurationError(f"agents.{name}: '{target}' must have the form module:attribute")
    # As `python -m` does: an agent lies next to the configuration that names it, and is not installed.
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"agents.{name}: cannot import {module_name} ({error})") from error
    found = getattr(module, attribute, None)
    if callable(found) and not isinstance(found, Agent):
        found = found()
    if not isinstance(found, Agent):
        raise ConfigurationError(f"agents.{name}: {target} is no Agent and makes none")
    return found
