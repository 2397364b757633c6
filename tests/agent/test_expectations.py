"""What an agent states of its own questions: checked when it is made, and known before the locale's reading."""

from collections.abc import Callable
from typing import Any

import pytest

from talkspurt.agent import Agent, Expectation, tool
from talkspurt.agent.dialogue import Dialogue, Intent, Slot
from talkspurt.agent.locales import ENGLISH
from talkspurt.core.language import ANYTHING, Completeness, Language
from talkspurt.errors import ConfigurationError
from talkspurt.retail import create_agent
from talkspurt.retail.dialogue import DIALOGUE

CODE = Expectation("identifier", r"[A-Z]{2}\d{6}")
HOURS = Intent("hours", ("When are you open?",), say="Nine to five.")


def language(**parts: Any) -> Language:
    return Agent(name="Test", prompt="Help.", greeting="Hello.", **parts).language(ENGLISH.language)


def test_what_the_author_states_comes_first() -> None:
    stated = language(expects={"membership code": CODE, r"\bdo you remember\b": ANYTHING})
    assert stated.expectation("What's your Membership Code, please?") == CODE
    assert stated.expectation("Do you remember the day?") == ANYTHING
    assert stated.expectation("Do you have the box?") == Expectation("yes_no")
    # Only the question counts, not what was said before it.
    assert stated.expectation("Your membership code is fine. What's your ZIP code?") == Expectation("zip")


def test_of_two_statements_the_first_that_fits_counts() -> None:
    stated = language(expects={"old membership code": Expectation("zip"), "membership code": CODE})
    assert stated.expectation("And the old membership code?") == Expectation("zip")
    assert stated.expectation("And the new membership code?") == CODE


def test_a_question_that_reads_an_id_back_does_not_ask_for_it() -> None:
    stated = language(expects={"membership code": CODE})
    assert stated.expectation("Is your membership code A B, 1 2 3, 4 5 6?") == Expectation("yes_no")
    assert stated.expectation("Is that your membership code?") == CODE


def test_the_dialogue_knows_what_its_questions_ask_for() -> None:
    slots = (
        Slot("code", "identifier", noun="pass number", pattern=CODE.pattern, ask="Hi {first_name}! Which pass is it?"),
        Slot("zip", "zip", ask="Where do you live?", retry="Sorry, where was that?"),
        Slot("mail", "email", ask=("Where do I write to?", "How can I write to you?"), keypad="Type it, please."),
        Slot("who", "person", ask="Who are you?"),
        Slot("size", "choice", ask="Do you want it big?", choices=("big", "small")),
        Slot("why", "free", ask="{reason}"),
    )
    known = language(dialogue=Dialogue(intents=(HOURS,), slots=slots))
    assert known.expectation("Hi Ann! Which pass is it?") == CODE
    assert known.expectation("All right. Where do you live?") == Expectation("zip")
    assert known.expectation("Sorry, where was that?") == Expectation("zip")
    assert known.expectation("How can I write to you?") == Expectation("email")
    assert known.expectation("Type it, please.") == Expectation("email")
    assert known.expectation("Who are you?") == Expectation("name")
    assert known.expectation("Do you want it big?") == ANYTHING
    assert known.expectation("Do you want it small?") == Expectation("yes_no")
    # In other words than the dialogue's own: by what callers call it, or as the only id there is.
    assert known.expectation("Could you give me your pass number?") == CODE
    assert known.expectation("What's the number?") == CODE
    assert known.expectation("What are the last four digits?") == Expectation("identifier", r"\d{4}")
    # A wording that is nothing but a blank is no question of its own.
    assert known.expectation("Shall I go ahead?") == Expectation("yes_no")


def test_of_two_ids_none_is_guessed() -> None:
    slots = (
        Slot("order", "identifier", pattern=r"W\d{7}", ask="Which order?"),
        Slot("card", "identifier", pattern=r"\d{8}", ask="Which card?"),
    )
    known = language(dialogue=Dialogue(intents=(HOURS,), slots=slots))
    assert known.expectation("What's the number?") == Expectation("identifier")


def test_the_rest_is_the_locales() -> None:
    known = language(expects={"code": CODE})
    assert known.yes_or_no("yes") is True
    assert known.is_backchannel("mm-hm")
    assert known.is_demand("wait")
    assert known.completeness("AB123", CODE) is Completeness.UNFINISHED
    assert known.completeness("AB123456", CODE) is Completeness.COMPLETE


def test_half_an_id_of_the_agents_own_is_unfinished_whatever_was_asked() -> None:
    known = language(
        expects={"order": Expectation("identifier", r"W\d{7}"), "pin": Expectation("identifier", r"\d{8}")}
    )
    for asked in (ANYTHING, Expectation("yes_no")):
        assert known.completeness("No, it's W237, 81.", asked) is Completeness.UNFINISHED
        assert known.completeness("Where is my order? It's W 2 3 7 8 1 5.", asked) is Completeness.UNFINISHED
        assert known.completeness("No, it's W2378156.", asked) is Completeness.OPEN
        assert known.completeness("I paid 123456", asked) is Completeness.OPEN
        assert known.completeness("W2378 is what it says", asked) is Completeness.OPEN
    assert known.completeness("19122", Expectation("zip")) is Completeness.COMPLETE


def test_the_bundled_agent_states_its_order_number() -> None:
    order = Expectation("identifier", r"W\d{7}")
    known = create_agent("sqlite+aiosqlite://").language(ENGLISH.language)
    assert known.expectation("Could I have the order number?") == order
    kinds = {
        "identifier": order,
        "zip": Expectation("zip"),
        "email": Expectation("email"),
        "person": Expectation("name"),
    }
    for slot in DIALOGUE.slots:
        for said in (slot.ask, slot.retry, slot.keypad):
            if isinstance(said, str):
                assert known.expectation(said) == kinds.get(slot.kind, ANYTHING), said
    assert known.expectation("I found order W, 2 3 7, 8 1 5 6. Is that the one?") == Expectation("yes_no")


@pytest.mark.parametrize(
    ("expects", "said"),
    [
        ({"(": CODE}, r"agent 'Test': expects '\(', which is no regular expression.*backslash"),
        ({" ": CODE}, "words of the question"),
        ({"code": Expectation("identifier")}, "'code' expects an identifier without a pattern: give one"),
        ({"code": Expectation("identifier", "(")}, r"pattern '\(', which is no regular expression"),
        ({"code": Expectation("zip", r"\d{5}")}, "only an identifier has one, so drop it"),
        ({"code": Expectation("colour")}, "unknown kind 'colour': use one of anything, yes_no"),  # type: ignore[arg-type]
        ({"code": r"\d{5}"}, "must be an Expectation"),
    ],
)
def test_a_bad_statement_stops_the_agent_when_it_is_made(expects: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Agent(name="Test", prompt="Help.", greeting="Hello.", expects=expects)


def test_a_tool_says_what_its_answer_asks_for() -> None:
    @tool(expects=CODE)
    async def find_member(name: str) -> dict[str, str]:
        """Find a member."""
        return {"question": "Which code is on the card?"}

    @tool
    async def find_nobody(name: str) -> None:
        """Find nobody."""

    assert find_member.expects == CODE
    assert find_nobody.expects is None


@pytest.mark.parametrize(
    ("expects", "said"),
    [
        (Expectation("identifier", "["), "tool 'find' expects the pattern"),
        (Expectation("identifier"), "give one in capitals and digits"),
        ("zip", r'tool \'find\' expects must be an Expectation, e.g. Expectation\("zip"\)'),
    ],
)
def test_a_tool_that_expects_nonsense_is_refused(expects: Any, said: str) -> None:
    async def find() -> None:
        """Find it."""

    with pytest.raises(ConfigurationError, match=said):
        tool(expects=expects)(find)


def test_the_built_in_names_are_taken() -> None:
    def named(name: str) -> Callable[..., Any]:
        async def function() -> None:
            """Do it."""

        function.__name__ = name
        return function

    for name in ("end_call", "speak_slower"):
        with pytest.raises(ConfigurationError, match=f"tool '{name}' is built in"):
            tool(named(name))
