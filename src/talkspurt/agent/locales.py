"""What the runtime itself says, per locale: phrases by name, as data.

A phrase is a template; its blanks are filled with the arguments of the core's `Phrase`.
Every locale has every phrase: the tests compare them with what the core may ask for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from talkspurt.agent.listening import English
from talkspurt.agent.spoken_form.english import english_form
from talkspurt.core.language import Language
from talkspurt.core.spoken_form import SpokenForm
from talkspurt.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Locale:
    """The language of a call."""

    tag: str
    phrases: Mapping[str, str]
    language: Language
    """How what is said in it is read."""
    spoken_form: Callable[[str], SpokenForm]
    """How a text in it is said."""


ENGLISH = Locale(
    tag="en-US",
    phrases=MappingProxyType(
        {
            "filler": "One moment, please.",
            "tool_filler": "Let me look that up for you.",
            "still_working": "I'm still on it, just a moment longer.",
            "apology": "I'm sorry, something went wrong on my side. Could you say that again?",
            "missed": "Sorry, I didn't catch that. Could you say it again?",
            "missed_again": "I still can't hear you well. You can also use the keypad, and press hash at the end.",
            "menu": "I'm sorry, I can't hear you. {choices}",
            "still_there": "Are you still there?",
            "offer_help": "Take your time. I can repeat what I said, or you can use the keypad.",
            "line_back": "Sorry, we were cut off for a moment. Please go on.",
            "goodbye": "Thanks for calling. Goodbye.",
            "goodbye_silence": "I can't hear anyone, so I'll hang up now. Please call again any time. Goodbye.",
            "goodbye_trouble": "I'm sorry, I can't help you properly right now.",
            "goodbye_time": "I'm sorry, we have reached the longest time for one call. Please call again. Goodbye.",
            "goodbye_shutdown": "I'm sorry, I have to end this call. Please call again in a moment. Goodbye.",
            "goodbye_operator": "I have to end this call now. Goodbye.",
            "goodbye_handover": "I'm putting you through now. One moment, please.",
            "back_unanswered": "I'm back with you. I couldn't get through to anybody.",
            "back": "I'm back with you.",
            "goodbye_agent": "Thanks for calling. Goodbye.",
            "lines_busy": "All our lines are busy at the moment. Please call again in a few minutes. Goodbye.",
            "please_wait": "All our lines are busy at the moment. Please stay on the line.",
            "still_waiting": "Thank you for waiting. You will be answered as soon as a line is free.",
        }
    ),
    language=English(),
    spoken_form=english_form,
)

LOCALES: Mapping[str, Locale] = MappingProxyType({"en-US": ENGLISH})


def find_locale(tag: str) -> Locale:
    """The locale of that BCP 47 tag. Raises `ConfigurationError` naming those there are."""
    if tag not in LOCALES:
        raise ConfigurationError(f"locale '{tag}' is not available; use one of: {', '.join(sorted(LOCALES))}")
    return LOCALES[tag]
