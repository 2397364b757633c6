"""What the agent's last words ask for; a wrong kind costs a cut-in or a second of silence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkspurt.agent.locales import ENGLISH
from talkspurt.agent.questions import last_question
from talkspurt.core.language import Expectation

QUESTIONS = {
    "yes_no": """
        Is that right?|I'll return the Desk Lamp. Shall I go ahead?|Do you want me to cancel it?
        Would you like a refund?
        Can you hear me?|Are you still there?|You'd like to return the lamp, right?|So you'd like to return the lamp?
        I found order W, 2 3 7, 8 1 5 6. Is that the one?|Is your order number W, 2 3 7, 8 1 5 6?
        Does that work for you?
        Would you like me to get a colleague for you?|That's the blue one, isn't it?|Sound good?|Ready?|Is that correct?
        Okay, and is this the address on your account?|Should I send the label to your email?|Can I put you on hold?
        Can you confirm that this is right?|Is that right? Take your time.|Please say yes or no.
        Is it the lamp, yes or no?
        Has it arrived?|Do you want to go ahead or not?|Did you receive the package?|Is everything okay?
        Thanks, Ann. May I help you with a return?|Your order number is W 2 3 7, correct?
        I’ll refund 45 dollars. Shall I go ahead?|Do you know if it was delivered?|Would you mind if I put you on hold?
    """,
    "anything": """
        |Thanks for calling. How can I help?|Do you want a refund or an exchange?|Anything else?|What happened?
        Is there anything else I can help with?|Is there anything else?|Your order was delivered on Friday.
        I'm sorry, I don't know that.|Which item would you like to return?|Why would you like to return it?
        Just to be sure: do you want to return an item, or check an order?|What's your order number or your email?
        What's your ZIP code and your phone number?|When did you order it?
        What's your email, your ZIP code?|Have the order ready.|What a nice email address.
        Could you say that again, please?
        How do you spell your last name?|Would you like the lamp or the keyboard?|Could you tell me what is wrong?
        What can I do for you?|Do you have any other questions?|I've sent it to your email.|What's the color?
        I see orders ending in 8 1 5 6 and 0 0 0 1. Which one is it?|Where is the order number printed?
    """,
    "identifier": """
        Can I have your order number?|Could you tell me your order number, please?|What's your order number?
        May I have the tracking number?|And your order number?|Please tell me your order number.
        Do you have your order number?|Would you be able to tell me the order number?|What is your member ID?
        Could I get your account number please?
        What's your order number? It's in your confirmation email.|I'll need your reference number.
        Let's try the keypad: please type the digits of your order number, then press hash.|What's the number?
        Sorry, I didn't get that. Could you say the order number one digit at a time?|Great, what's the coupon code?
    """,
    "email": """
        What's the email address on your account?|What is your e-mail?|Could you spell your email address for me?
        Sorry, could you say the email address again, slowly?|And your email?|Which email did you use?
        Can I get your email?|Do you know the email address on the account?
    """,
    "zip": """
        What's the ZIP code on your account?|And the ZIP?|Could you give me your zip code?|What's your postal code?
        Sorry, could you say the ZIP code again, one digit at a time?|Please type the digits of your ZIP code.
        Please tell me your ZIP code, when you have it.
        To keep your account safe, what's the five digit ZIP code?
    """,
    "phone": """
        What's the best number to reach you?|What is your phone number?|Is there a phone number we can reach you at?
        Could I have your mobile number?
        What's a good callback number?|Which phone number is on the account?
    """,
    "amount": "How much did you pay?|How much was the charge?|What was the amount?|What's the total amount?",
    "name": """
        What's your first and last name?|What's your first and last name, please?|Can I have your full name?
        Who am I speaking with?|And your name?|Sorry, could you say your first and last name again?|What's your name?
        What name is on the order?
    """,
}


def _cases() -> list[tuple[str, str]]:
    return [
        (said.strip(), kind)
        for kind, table in QUESTIONS.items()
        for line in table.strip().split("\n")
        for said in line.split("|")
    ]


@pytest.mark.parametrize(("said", "kind"), _cases())
def test_what_a_question_asks_for(said: str, kind: str) -> None:
    assert ENGLISH.language.expectation(said).kind == kind


@pytest.mark.parametrize(
    ("said", "pattern"),
    [
        ("What are the last four digits of your card number?", r"\d{4}"),
        ("Please tell me your six-digit access code.", r"\d{6}"),
        ("What's your 8 digit member number?", r"\d{8}"),
        ("What's your order number?", ""),
    ],
)
def test_a_question_may_say_how_long_the_number_is(said: str, pattern: str) -> None:
    assert ENGLISH.language.expectation(said) == Expectation("identifier", pattern)


def test_the_last_question_counts() -> None:
    assert last_question("Is it blue? What's your ZIP?") == "What's your ZIP?"
    assert last_question("Is it blue? It's on the box.") == "Is it blue?"
    assert last_question("Really? One. Two. Three. Four.") == "Four."
    assert last_question(" ") == ""


@given(st.text())
def test_never_raises(said: str) -> None:
    assert ENGLISH.language.expectation(said).kind in QUESTIONS
