"""Why a caller cancels, read from their own words into one of the two reasons that the shop accepts.

Pure. What fits neither, or both, is asked about, never guessed.
"""

import re
from typing import Final

from talkspurt.agent import ToolError

NO_LONGER_NEEDED: Final = "no longer needed"
BY_MISTAKE: Final = "ordered by mistake"

_MISTAKE: Final = re.compile(
    r"\bmistak\w*|\baccident\w*|\bby error\b|\bin error\b|\bnot mean to\b|\bnever meant to\b"
    r"|\bwrong (?:order|item|one|thing|product|button)\b|\bordered (?:it |them |this |that )?twice\b|\bduplicate\b"
    r"|\bunintentional\w*"
)
_NEED: Final = r"(?:need\w*|want\w*|require\w*|have (?:any |a )?use)"
_NOT_NEEDED: Final = re.compile(
    rf"\bno longer {_NEED}|\bnot (?:really )?{_NEED}|\bnever {_NEED}|\bno use\b|\bno need\b|\bunneeded\b"
    rf"|{_NEED}[^.]*\bany ?more\b|\bchang\w* (?:my|our|his|her|their) mind|\bno more {_NEED}"
)
_DENIED: Final = re.compile(r"\bnot (?:a|by|an) (?:mistake|accident|error)\b|\bno mistake\b")


def cancel_reason(said: str) -> str:
    """`NO_LONGER_NEEDED` or `BY_MISTAKE`. Raises `ToolError` with a question when it is neither, or could be both."""
    text = re.sub(r"(?:did|do|does|was|is|have|wo|ca|would|could)n[’']?t\b", "not", said.lower())
    mistake = bool(_MISTAKE.search(_DENIED.sub("", text)))
    not_needed = bool(_NOT_NEEDED.search(text))
    if mistake and not not_needed:
        return BY_MISTAKE
    if not_needed and not mistake:
        return NO_LONGER_NEEDED
    raise ToolError(
        "I can cancel an order that is no longer needed, or that was ordered by mistake. Is it one of those?"
    )
