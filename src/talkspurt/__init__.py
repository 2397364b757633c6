"""A voice agent that answers a company's phone.

The public names an agent is written with; everything else is reached through
its own package. `ARCHITECTURE.md` is the map.
"""

from talkspurt.agent import (
    AccountOf,
    Agent,
    Caller,
    Effect,
    KeypadSecret,
    Policy,
    Progress,
    Prompt,
    ReadBack,
    ToolError,
    Voice,
    tool,
)

__all__ = [
    "AccountOf",
    "Agent",
    "Caller",
    "Effect",
    "KeypadSecret",
    "Policy",
    "Progress",
    "Prompt",
    "ReadBack",
    "ToolError",
    "Voice",
    "tool",
]
