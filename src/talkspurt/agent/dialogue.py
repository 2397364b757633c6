"""How an agent talks when no language model is configured, as data.

A `Dialogue` is what `talkspurt.models.offline` speaks from: what callers may want (`Intent`), what
must be known before it can be done (`Slot`), how a caller is verified (`Verification`), and the
wording of it all (`Phrases`). It holds no code: everything a trade has of its own is in these values.

Templates. Wordings have blanks, filled from what is known about the call (slots) and from a tool's
result: `{eta}`, `{error.message}`, `{orders.0.status}`, `{items.name}` (a list when `items` is one). A blank
may say how it is spoken: `{order_id:spell}` letter by letter, `{order_id:ending}` its last four,
`{items.name:list}` "a, b and c", `{total:money}` "12 dollars and 5 cents", `{orders:count}` "2 orders",
`{email:email}` "ann dot li at example dot com", `{name:letters}` "A N N, L I". Of several wordings the first
whose blanks can all be filled is spoken, so put the one that says most first. Wordings with the same
blanks are variety: they are taken in turn, never at random.

Replies are heard, not read: keep each under about twenty words.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from talkspurt.errors import ConfigurationError

Wordings = str | tuple[str, ...]
"""One template or several."""

SlotKind = Literal["identifier", "zip", "email", "person", "choice", "free"]
"""How a value is recognised in what the caller says:

`identifier` letters and digits that match `Slot.pattern`; `zip` a US ZIP code; `email` an address;
`person` a first and a last name; `choice` one of `Slot.choices` or of what `Slot.options` finds;
`free` whatever the caller answers.
"""


@dataclass(frozen=True, slots=True)
class Resolver:
    """A tool that matches what was heard against values that exist.

    It is called with the caller's own words as `argument` and answers
    `{"match": "exact" | "close" | "none", "<slot>": value}`; a close match is read back before it is used.
    """

    tool: str
    argument: str = "heard"
    read_back: Wordings = "I found {value:spell}. Is that right?"


@dataclass(frozen=True, slots=True)
class Options:
    """A tool that lists what a caller may choose from.

    `items` names the list in its result, `value` the field that is chosen by.
    """

    tool: str
    items: str
    value: str
    label: str = ""
    """Template over one item; "" for the value itself."""
    arguments: Mapping[str, str] = field(default_factory=dict)
    """Argument to template over what is known."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One fact that the caller has to tell.

    A `person` fills `first_name` and `last_name`; every other kind fills its own name.
    """

    name: str
    kind: SlotKind
    ask: Wordings
    noun: str = ""
    """What callers call it ("order number"); default: the name in words."""
    retry: Wordings = ()
    """Asked when the answer was not understood; default: `Phrases.unheard` and the question."""
    keypad: Wordings = ()
    """Offered when hearing has failed twice; () when a keypad cannot say it."""
    help: Wordings = ()
    """Where the caller can find it."""
    pattern: str = ""
    """Regular expression of an `identifier`, in capital letters and digits."""
    choices: tuple[str, ...] = ()
    """What a `choice` is made from when that never changes."""
    options: Options | None = None
    """Where a `choice` comes from; for other kinds, what is offered to a caller who does not know it."""
    resolver: Resolver | None = None
    many: bool = False
    """Several may be chosen: the value is a list."""
    opening: str = ""
    """Regular expression, for a `free` slot: a wish that has these words in it ("cancel it, I ordered it by mistake")
    tells this already, and is the answer as it stands."""

    def fills(self) -> tuple[str, ...]:
        """Names of the facts that this slot fills."""
        return ("first_name", "last_name") if self.kind == "person" else (self.name,)

    def spoken(self) -> str:
        """What callers call it."""
        return self.noun or self.name.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is said about a tool's result when every field in `where` has the value given; dots go into objects."""

    say: Wordings
    where: Mapping[str, Any] = field(default_factory=dict)
    about: tuple[str, ...] = ()
    """Example questions that this words the answer to ("what's the tracking number"); () for the answer in general."""
    follow_up: bool = True
    """Ask afterwards whether there is anything else."""


@dataclass(frozen=True, slots=True)
class Intent:
    """Something callers want, and what is done about it.

    With a `tool` it is called once all `slots` are filled, and `outcomes` word its result (the
    first that fits). Without one, `say` is the whole answer.
    """

    name: str
    examples: tuple[str, ...]
    title: str = ""
    """Completes "Do you want to …": "return an item". Intents without one are never offered."""
    slots: tuple[str, ...] = ()
    tool: str = ""
    arguments: Mapping[str, Wordings] = field(default_factory=dict)
    """Argument to template, or to several of which the first that can be filled counts; default: every slot under its
    own name."""
    doubts: Mapping[str, str] = field(default_factory=dict)
    """What a refusal of the tool is about: slot to a regular expression over the message. The message is said, and the
    caller's answer fills the slot anew. A slot that is only here is never asked for unless the tool does."""
    outcomes: tuple[Outcome, ...] = ()
    say: Wordings = ()
    declined: Wordings = ()
    """Said when the caller does not confirm the tool's effect; default: `Phrases.declined`."""
    act: Literal["answer", "repeat", "slower", "spell", "goodbye", "unknown"] = "answer"
    """`repeat` says the last words again; `slower` too, and more slowly from then on; `spell` spells the id, name or
    address that was mentioned last; `goodbye` hangs up after `say`; `unknown` collects what the agent cannot
    help with: `say` admits it, and when that happens again and again, a person is offered."""


@dataclass(frozen=True, slots=True)
class Verification:
    """How a caller proves who they are when a tool answers `verification_required`."""

    tool: str
    ways: tuple[tuple[str, ...], ...]
    """Sets of slots, best first; any one of them is enough. The tool takes their facts as arguments."""
    ask: Wordings = ()
    """Said before the first question, to explain it."""
    refused: Wordings = "That doesn't match what we have on file."


@dataclass(frozen=True, slots=True)
class Phrases:
    """Wording that every conversation needs, whatever the trade."""

    hello: Wordings = "Hi there! How can I help?"
    unheard: Wordings = ("Sorry, I didn't catch that.", "I'm sorry, I missed that.")
    say_again: Wordings = "Could you say that again, please?"
    unknown: Wordings = (
        "I'm sorry, I don't know that. I can help you {abilities}.",
        "I'm afraid I can't help with that. I can help you {abilities}.",
    )
    """`{abilities}` lists a few intents by title."""
    beyond: Wordings = "I'm sorry, that's beyond me."
    """Instead of `unknown`, when a person is offered."""
    clarify: Wordings = "Just to be sure: do you want to {first}, or {second}?"
    anything_else: Wordings = ("Anything else?", "Is there anything else?")
    go_on: Wordings = "Of course. What can I do for you?"
    take_your_time: Wordings = "Sure, take your time."
    ask_choice: Wordings = ("You have {choices}. Which one?",)
    ask_many: Wordings = ("Which of these: {choices}?",)
    none_to_choose: Wordings = "I'm sorry, I couldn't find anything there."
    offer_person: Wordings = "Would you like me to get someone to help you?"
    stuck: Wordings = "I'm sorry, I can't go on without that."
    trouble: Wordings = "I'm sorry, I'm having trouble looking that up right now."
    declined: Wordings = ("Okay, I won't do that.", "No problem, I've left it as it is.")
    unconfirmed: Wordings = "I haven't changed anything, to be safe."
    spelled: Wordings = ("That's {value:letters}.", "I'll spell it: {value:letters}.")
    nothing_to_spell: Wordings = "I'm sorry, I don't know what I could spell for you."
    goodbye: Wordings = "Thank you for calling. Goodbye!"


@dataclass(frozen=True, slots=True)
class Dialogue:
    """All that an agent can talk about. Checked when made: a name that leads nowhere is a `ConfigurationError`."""

    intents: tuple[Intent, ...]
    slots: tuple[Slot, ...] = ()
    verification: Verification | None = None
    person: str = ""
    """The intent that hands the caller to a person; offered when the agent is stuck."""
    errors: Mapping[str, Wordings] = field(default_factory=dict)
    """What to say about a tool's error, by its kind; default: `refused` says its message, others `Phrases.trouble`."""
    phrases: Phrases = field(default_factory=Phrases)

    def __post_init__(self) -> None:
        mistakes = list(_mistakes(self))
        if mistakes:
            raise ConfigurationError("dialogue: " + "; ".join(mistakes))

    def intent(self, name: str) -> Intent | None:
        """The intent of that name, or None."""
        return next((intent for intent in self.intents if intent.name == name), None)

    def slot(self, name: str) -> Slot:
        """The slot of that name. Raises `KeyError`."""
        for slot in self.slots:
            if slot.name == name:
                return slot
        raise KeyError(name)

    def tools(self) -> frozenset[str]:
        """Names of all tools that the dialogue calls."""
        names = {intent.tool for intent in self.intents}
        names |= {slot.resolver.tool for slot in self.slots if slot.resolver}
        names |= {slot.options.tool for slot in self.slots if slot.options}
        if self.verification:
            names.add(self.verification.tool)
        return frozenset(names - {""})


def _mistakes(dialogue: Dialogue) -> list[str]:
    """One sentence per fault that would otherwise be met in the middle of a call."""
    found = []
    intents = [intent.name for intent in dialogue.intents]
    slots = [slot.name for slot in dialogue.slots]
    if not intents:
        found.append("declare at least one intent")
    found += [f"two intents are named '{name}'" for name in sorted({n for n in intents if intents.count(n) > 1})]
    found += [f"two slots are named '{name}'" for name in sorted({n for n in slots if slots.count(n) > 1})]
    for intent in dialogue.intents:
        if not intent.examples:
            found.append(f"intent '{intent.name}' needs at least one example sentence")
        if intent.act not in ("repeat", "slower", "spell") and not intent.tool and not intent.say:
            found.append(f"intent '{intent.name}' neither calls a tool nor says anything; give it `tool` or `say`")
        if intent.tool and not intent.outcomes:
            found.append(f"intent '{intent.name}' calls '{intent.tool}' but has no outcomes; say what its result means")
        found += [
            f"intent '{intent.name}' needs the unknown slot '{name}'"
            for name in (*intent.slots, *intent.doubts)
            if name not in slots
        ]
        found += [
            f"intent '{intent.name}' has a doubt that is no regular expression: {error}"
            for error in filter(None, map(_error_in, intent.doubts.values()))
        ]
    for slot in dialogue.slots:
        if slot.kind == "identifier" and not slot.pattern:
            found.append(f"slot '{slot.name}' is an identifier and needs a pattern")
        if slot.kind == "choice" and not (slot.choices or slot.options):
            found.append(f"slot '{slot.name}' is a choice and needs choices or options")
        found += [
            f"slot '{slot.name}' has a pattern that is no regular expression: {error}"
            for error in filter(None, map(_error_in, (slot.pattern, slot.opening)))
        ]
        if slot.opening and slot.kind != "free":
            found.append(f"slot '{slot.name}' has opening words but is no free slot")
    for way in dialogue.verification.ways if dialogue.verification else ():
        found += [f"verification needs the unknown slot '{name}'" for name in way if name not in slots]
    if dialogue.person and dialogue.person not in intents:
        found.append(f"person names the unknown intent '{dialogue.person}'")
    return found


def _error_in(pattern: str) -> re.error | None:
    try:
        re.compile(pattern)
    except re.error as error:
        return error
    return None
