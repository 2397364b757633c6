"""What English callers say in any conversation, whatever the trade: hello, hold on, I don't have it.

These are example sentences for the classifier, and the few closed word lists that meaning vectors
are poor at ("the second one", "both"). Another language is another module of this shape.
"""

import re
from collections.abc import Mapping
from typing import Final

HELLO: Final = "hello?"
WAIT: Final = "wait?"
LACKING: Final = "lacking?"
WHERE: Final = "where?"
TELLS: Final = "tells?"
"""Names of the brain's own intents; the question mark keeps them apart from an agent's."""

ANYTIME: Final = frozenset({HELLO, WAIT})
WHEN_ASKED: Final = frozenset({LACKING, WHERE, TELLS})
"""Understood only as an answer to a question."""

EXAMPLES: Final[Mapping[str, tuple[str, ...]]] = {
    HELLO: (
        "Hello.",
        "Hi.",
        "Hello, can you hear me?",
        "Hi there.",
        "Good morning.",
        "Good afternoon.",
        "Hey.",
        "Hello, is anyone there?",
        "Are you there?",
        "Hi, how are you?",
        "Good evening.",
    ),
    WAIT: (
        "Hold on.",
        "Hang on a second.",
        "One moment, please.",
        "Let me look for it.",
        "Give me a minute.",
        "Wait, I'm getting it.",
        "Just a second, let me find it.",
        "Let me check.",
        "I'm looking for it now.",
        "Bear with me while I get it.",
        "Let me pull up the email.",
        "Hold on, I need to get a pen.",
    ),
    LACKING: (
        "I don't have it.",
        "I don't know it.",
        "I don't have that number.",
        "I don't have the number with me.",
        "I can't find it.",
        "I lost it.",
        "No idea.",
        "I have no clue what it is.",
        "I don't remember.",
        "I forgot.",
        "I'm not sure what it is.",
        "I deleted the email.",
        "I don't have that on me right now.",
        "I never got a number.",
        "Can we do it without that?",
        "Is there another way?",
        "I don't have that information.",
    ),
    WHERE: (
        "Where do I find it?",
        "Where is that number?",
        "What does it look like?",
        "What do you mean?",
        "Which number do you mean?",
        "What number is that?",
        "Where can I see that?",
        "How do I find the number?",
        "What is that?",
        "Where would it be written?",
    ),
    TELLS: (
        "It's this one.",
        "Sure, it's the following.",
        "Yes, I have it here.",
        "Okay, here it is.",
        "I think it is this.",
        "I believe that's the one.",
        "I found it, it's this.",
        "I bought it with this one.",
        "It was on this one.",
        "The one from last week.",
    ),
}

ABOUT: Final[Mapping[str, tuple[str, ...]]] = {
    LACKING: (
        "I don't have my {noun}.",
        "I don't have the {noun} with me.",
        "I don't know the {noun}.",
        "I can't find the {noun}.",
        "I forgot my {noun}.",
    ),
    TELLS: (
        "My {noun} is this.",
        "The {noun} is the following.",
        "That's my {noun}.",
        "Sure, my {noun} is here.",
        "I have the {noun} right here.",
        "The {noun}, that would be this.",
        "For {noun} this.",
    ),
    WHERE: ("Where do I find the {noun}?", "What is the {noun}?", "Which {noun} do you mean?"),
}
"""The same about one of the agent's own facts."""

_NUMBER_WORD: Final = (
    r"(?:zero|oh|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|"
    r"seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|double|triple|"
    r"[a-z]*\d\w*|[b-hj-z])"
)
_NUMBERS: Final = re.compile(rf"#?\b{_NUMBER_WORD}\b(?:[\s,.\-#]+(?:and\s+)?{_NUMBER_WORD}\b)*", re.IGNORECASE)
_HESITATION: Final = re.compile(
    r"\b(?:u+m+|u+h+|er+m*|h+m+)\b[\s,.]*|\b(?:like|you know|so|well|yeah|actually|okay|oh|alright),\s*", re.IGNORECASE
)
_HIGH: Final = re.compile(r"^high\b(?=,? (?:i|i'm|where|what|when|how|can|could|my|this|there)\b)", re.IGNORECASE)
"""How a recognizer may write the "hi" of whoever goes on at once."""
_NUMBER_IS: Final = re.compile(r"(?<=\w)[\s,.]+(?:and )?the (?:\w+ )?number is[\s,.]*$", re.IGNORECASE)
"""What is left of a sentence whose number has gone."""
_LONG_NUMBER: Final = 5
"""Characters from which a number is an id, a code or a date, not an amount."""


def gist(text: str) -> str:
    """The words without long numbers and hesitation, which say nothing about what is wanted; may be ""."""

    def without_long(number: re.Match[str]) -> str:
        parts = re.findall(r"[a-z0-9]+", number.group(), re.IGNORECASE)
        long = len(parts) > 2 or (len("".join(parts)) >= _LONG_NUMBER and parts[0][-1].isdigit())
        return "" if long else number.group()

    greeted = _HIGH.sub("Hi,", text.strip())
    shortened = _HESITATION.sub("", _NUMBERS.sub(without_long, greeted))
    tidy = re.sub(r"[\s,.\-]*([,.?!])", r"\1", " ".join(_NUMBER_IS.sub("", shortened).split()))
    return tidy.strip(" ,-.#") if re.search(r"\w", tidy) else ""


_ALL: Final = re.compile(
    r"\b(?:all|both|everything|every one|the lot|whole (?:thing|lot|one)|entire|each)\b", re.IGNORECASE
)
_ORDINALS: Final = {
    "first": 0,
    "former": 0,
    "second": 1,
    "latter": 1,
    "third": 2,
    "fourth": 3,
    "last": -1,
    "latest": -1,
}
_ANOTHER: Final = r"\b(?:another|(?:a |the |my |some )?(?:different|other|second|next|new))\s+(?:one|{nouns})\b"


def means_all(text: str) -> bool:
    """Whether it says "all of them", "both" or "the whole thing"."""
    return bool(_ALL.search(text)) and not re.search(r"\bnot\b|\bthat's all\b|\bthat is all\b|\ball i\b", text.lower())


_RULED_OUT: Final = re.compile(
    r"\b(?:except(?: for)?|apart from|other than|but not|(?:(?<=everything )|(?<=all )|(?<=them ))but"
    r"|not(?= (?:the|my|that|those)\b)|(?:don't|do not) (?:want|mean)(?: to \w+)?)\b"
    r"((?:(?!\b(?:but|it's|just|only)\b)[^.,;!?])*)",
    re.IGNORECASE,
)


def ruled_out(text: str) -> tuple[str, str]:
    """What is said apart from exceptions, and the exceptions: "all but the lamp" → ("all", "the lamp")."""
    apart = " ".join(match.group(1).strip() for match in _RULED_OUT.finditer(text.replace("’", "'")))
    return (_RULED_OUT.sub("", text.replace("’", "'")), apart) if apart else (text, "")


def ordinal(text: str) -> int | None:
    """The place that "the second one" or "the last one" names; None without one."""
    places = [_ORDINALS[word] for word in re.findall(r"[a-z]+", text.lower()) if word in _ORDINALS]
    return places[0] if len(places) == 1 else None


def means_another(text: str, noun: str) -> bool:
    """Whether it says "another one" or "a different number": what was known as `noun` does not hold any more."""
    nouns = "|".join(re.escape(part) + "s?" for part in noun.lower().split() if part not in ("number", "code"))
    return bool(re.search(_ANOTHER.format(nouns=nouns or "one"), text.lower()))
