"""What users write: an `Agent` with a prompt, tools, a voice and policies."""

from talkspurt.agent.agent import Agent, MenuKey, Policies, Voice
from talkspurt.agent.caller import Caller
from talkspurt.agent.codes import CodeSender, OneTimeCodes, hash_pin, pin_matches
from talkspurt.agent.effects import AccountOf, Effect, ReadBack
from talkspurt.agent.handover import HandoverAnswer, HandoverDesk
from talkspurt.agent.keypad_secret import KeypadSecret
from talkspurt.agent.policy import Policy
from talkspurt.agent.progress import Progress
from talkspurt.agent.prompt import Prompt
from talkspurt.agent.tools import Tool, ToolError, tool
from talkspurt.core.language import Expectation

__all__ = [
    "AccountOf",
    "Agent",
    "Caller",
    "CodeSender",
    "Effect",
    "Expectation",
    "HandoverAnswer",
    "HandoverDesk",
    "KeypadSecret",
    "MenuKey",
    "OneTimeCodes",
    "Policies",
    "Policy",
    "Progress",
    "Prompt",
    "ReadBack",
    "Tool",
    "ToolError",
    "Voice",
    "hash_pin",
    "pin_matches",
    "tool",
]
