"""Questions about the shop are answered from its documents, and from nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkspurt.retail.knowledge import Library, read_passages

LIBRARY = Library.bundled()


@pytest.mark.parametrize(
    ("question", "topic"),
    [
        ("When are you open?", "Opening hours"),
        ("what time do you close on saturday", "Opening hours"),
        ("are you open sundays", "Opening hours"),
        ("What's your return policy?", "Return window"),
        ("How many days do I have to return something?", "Return window"),
        ("is it free to send something back", "How a return works"),
        ("How much does shipping cost?", "Shipping cost"),
        ("how long does delivery take", "Delivery time"),
        ("Do you ship to Canada?", "Destinations"),
        ("my parcel got lost what happens", "A parcel that was lost or damaged"),
        ("how long does a refund take", "Refund time"),
        ("can I get the refund on another card", "Where a refund goes"),
        ("how do i exchange something", "Exchanges"),
        ("can i cancel just one item of my order", "Cancelling an order"),
        ("can I still change my order", "Changing an order"),
        ("Can I pay with bitcoin?", "Payment methods"),
        ("what credit cards do you accept", "Payment methods"),
        ("do gift cards expire", "Gift cards"),
        ("Do you price match other shops?", "Prices and discounts"),
        ("Does the vacuum come with a warranty?", "Warranty"),
        ("Where is your nearest store?", "Stores"),
        ("what do you do with my personal data", "Privacy"),
        ("Unsubscribe me from your newsletter.", "Newsletter"),
    ],
)
def test_a_question_finds_its_answer(question: str, topic: str) -> None:
    found = LIBRARY.search(question)
    assert found is not None
    assert found.topic == topic


@pytest.mark.parametrize(
    "question", ["", "hello", "what is the capital of France", "tell me a joke", "who won the game"]
)
def test_what_the_documents_do_not_say_has_no_answer(question: str) -> None:
    assert LIBRARY.search(question) is None


def test_the_return_window_is_told_with_who_keeps_it() -> None:
    """The shop knows no day of delivery, so it accepts a return of any age."""
    found = LIBRARY.search("How many days do I have to return something?")
    assert found is not None
    assert "30 days" in found.text
    assert "check both when it arrives" in found.text


def test_answers_are_short_enough_to_be_heard() -> None:
    for topic in LIBRARY.topics:
        found = LIBRARY.search(topic)
        assert found is not None
        assert found.topic == topic
        assert 0 < len(found.text.split()) <= 40


@settings(deadline=None)
@given(st.text(max_size=200))
def test_no_question_breaks_the_index(question: str) -> None:
    found = LIBRARY.search(question)
    assert found is None or found.topic in LIBRARY.topics


def test_a_document_is_read_by_its_headings() -> None:
    passages = list(
        read_passages("# Shop\n\nIgnored.\n\n## One\nAlso: uno eins\nFirst line\nsecond.\n\n## Two\nText.\n")
    )
    assert [(each.topic, each.also, each.text) for each in passages] == [
        ("One", "uno eins", "First line second."),
        ("Two", "", "Text."),
    ]
