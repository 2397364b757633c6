"""Running tools: who may, with which arguments, for how long, and how often."""

from talkspurt.effects.dispatcher import ToolDispatcher

__all__ = ["ToolDispatcher"]
