"""What users write: an `Agent` with a prompt, tools, a voice and policies."""

from talkspurt.agent.agent import Agent, Policies, Voice
from talkspurt.agent.caller import Caller
from talkspurt.agent.tools import KeypadSecret, Tool, ToolError, tool
from talkspurt.core.language import Expectation

__all__ = ["Agent", "Caller", "Expectation", "KeypadSecret", "Policies", "Tool", "ToolError", "Voice", "tool"]
