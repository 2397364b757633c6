"""Whether the caller has finished, is only listening, or wants the floor: tables of what callers say.

The text is as Whisper writes it: numerals, hyphens between groups, capitals, a full stop at every pause.
"""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkspurt.agent.locales import ENGLISH
from talkspurt.agent.yes_no import ENGLISH as ANSWER_PHRASES
from talkspurt.agent.yes_no import yes_or_no
from talkspurt.core.language import ANYTHING, Completeness, Expectation, Language

LANGUAGE: Language = ENGLISH.language
ORDER = Expectation("identifier", r"W\d{7}")
COMPLETE, OPEN, UNFINISHED = Completeness.COMPLETE, Completeness.OPEN, Completeness.UNFINISHED

ANSWERS: dict[tuple[Expectation, Completeness], str] = {
    (ANYTHING, COMPLETE): """
        Where is my order?|When will it arrive?|Can you repeat that?|Could you look up an order for me?|No.|No, thanks.
        No, that's all.|That's all, thank you.|Goodbye.|Bye.|Okay, bye.|Thank you.|Thanks a lot.|Nothing else.|Hello?
        What's the tracking number?|Is my order on its way?|Hi, where is my order?|What?|Who am I speaking to?
        I ordered a lamp last week. Where is it now?|No, I'm good, thanks. Have a nice day.|Great, thank you so much.
        Who are you?|What day is it supposed to come in?
        Is the light supposed to come on?|Is it due in?|Is it due on?
    """,
    (ANYTHING, OPEN): """
        |.|I want to return my lamp.|It arrived broken.|I'd like a refund.|Yes.|Yeah.|Sure.|Okay.|Hi.|Hello.
        I don't know.|The blue one.|This one.|I'd like to return my headphones.|I'm calling about my order.
        My order hasn't arrived.|I have a question about my order.|I don't know where it is.|I know what it was.
        Yes, it is.|No, it wasn't.|That's what I want.|It's order W2378156.|I bought 2 lamps.
        Not that number, the other one.|I want to log in.
        I want to know what the status is.|my order is late?|Operator.|That's all I need|I do.|where is my order
        It was 25 dollars.|Please hang up the phone.|I lost my order number.|Mm-hmm.|Uh-huh.|It's for my daughter.
        My name is Miller.|Hi, my name is Ann Lee.|My name is Miller. I live in Boston. I have a lamp of yours.
        The light doesn't come on.|I sent it in.|My light won't come on|I want to put it on.|It would not turn on.
        The light is supposed to come on.|I still have the box it was delivered in.|It's not supposed to be on.
        They said the size I want would be back in.|You said I could come in.|What day is it scheduled on
        They told me that it would not come on.
        My name is misspelled and I'm a customer.|My name is not Miller. My name is Muller.
    """,
    (ANYTHING, UNFINISHED): """
        My name is Miller. I live in Boston.|Hi, my name's Ann Lee and I'm from Boston.
        Hello. I'm a customer. I live in Rome.|My name is O'Brien. And I live in New York City.
        I want to return my lamp and|I would like to|I'd like to.|I want|I need|It's my|The|I have a question.
        I've got two things.|So here's the thing.|My name is|The number is.|My order number is|Um.|Uh...|Let me see.
        I want to return the lamp, um|I bought a lamp but|Because|W2378156, no wait|The blue one, I mean
        My order number is W237.|My order number is W.|It's W 2 3 7|237|2 3 7.|I ordered a lamp,|I ordered a -|Well,|So
        I was wondering
        Can you tell me|Hold on.|Just a second.|I'm calling about|Where is my|Where is|Can I ask you something?
        My zip is 191
        The red one, actually.|I'm looking for|it was from|We were|Because I|I have another issue.|My order number.
        I'd like|Hi, I'm|You said that it would come on|It was supposed to be delivered on|I thought it'd come on
        It should arrive on|They promised me that it would come on|My order is due on
    """,
    (Expectation("yes_no"), COMPLETE): """
        Yes.|yes|Yeah.|Yep, go ahead.|No.|No, thanks.|Mm-hmm.|Mm-hm|Uh-huh.|Okay.|Sure, go ahead.|That's right.
        Yes, please.|No, don't.|Yes, it is.|Yes, I do.|No, it's not.|I said yes.|Correct.|Absolutely.|No, sorry.
        Please do.|Yes I am.|No, I don't.|Go ahead, then.|Yes, do it then.|Yes, just do it.|Yes please, for me.
    """,
    (Expectation("yes_no"), OPEN): """
        |I guess so.|Well I don't know.|What was the question?|Right.|No, I want the keyboard instead.|The blue one.
        Yes, cancel it.|No, it's the lamp and not the keyboard.|Yes if it's free.|No, it's W2378157.|Yes, I can wait.
    """,
    (Expectation("yes_no"), UNFINISHED): """
        Yes, but|Yes and|No, wait.|No, I mean|Um.|Yes, I|No, it's|Let me think.|No, W237.|No, it's W 23.|Yes,|Well
        Hold on.|No, because
        Yes, but only the|Yeah, um|I would like to|No, actually
        Yes, just.|Sure, and then|Okay, um, well, so.|Yes, if you could|Yes, I want to
    """,
    (ORDER, COMPLETE): """
        W2378156|W2378156.|w2378156|W-237-8156.|It's W 237 8156.|W two three seven, eight one five six.
        My order number is W2378156.|W-2-3-7-8-1-5-6|Sure, it's W237, 8156, please.|Double u 237 8156
        W237, let me see, 8156|w two three seven eight one five six|It's W237-8156, thank you.
    """,
    (ORDER, OPEN): """
        I don't have it with me.|I lost my email.|Where do I find it?|No.|Sure.|It's 237-8156.|What's that?
        I don't have one.|I'd like to talk to a person.|I have two orders here
    """,
    (ORDER, UNFINISHED): """
        W|W.|W237.|W 2 3 7|W-237-|W2378156, no wait|The number is|It's|237.|2 3 7 8.|Sure, it's W237, I think.|W23781567
        My order number is W 23 78.|W two three seven|W2378156 and|Um.|Let me check.|W, um|Okay, here it is.
        W2378156, um
        double|Hold on.|It's the
    """,
    (Expectation("identifier", r"\d{4,6}"), OPEN): "1234|12345.",
    (Expectation("identifier", r"\d{4,6}"), COMPLETE): "123456",
    (Expectation("identifier", "ABC"), UNFINISHED): "A B",
    (Expectation("identifier"), OPEN): "It's AB12345.|I don't know it.",
    (Expectation("identifier"), UNFINISHED): "AB1|It's 12",
    (Expectation("email"), COMPLETE): """
        john@example.com|John@example.com.|john at example dot com|It's yusuf dot rossi at example dot com.
        j o h n at gmail dot com|John.Smith@gmail.com, thanks.|john at example dot co dot uk|john@example.co.uk
        My email is ann underscore li 24 at mail dot example dot org.
    """,
    (Expectation("email"), OPEN): """
        I don't have one.|I'm not at home right now.|What do you mean?|john at example dot co|john@example.co|Sure.|Yes.
        john@example.de|I forgot my email.|Can I use my order number instead?
    """,
    (Expectation("email"), UNFINISHED): """
        john|You can use john@example|yusuf rossi two four seven five|John Smith|John.|john dot|john dot smith|john at
        john@|john at example|john at example dot|john@example
        It's|My email is|J-O-H-N|yusuf dot rossi two four seven five|john at example dot com, no wait
        john at mail dot example
        john at example dot com and|okay it's j o h n|Sure, it's john dot
    """,
    (
        Expectation("zip"),
        COMPLETE,
    ): "19122|19122.|one nine one two two|191-22|It's 19122.|1 9 1 2 2|19122-1234|1-9-1-2-2",
    (Expectation("zip"), OPEN): "I don't know.|Where do I find it?|Which one?|I have two homes|The other one.|Sure.",
    (
        Expectation("zip"),
        UNFINISHED,
    ): "191|1|one nine one|1 9 1 2.|It's 191|my zip is|19122 1|19122, no wait|19122 and|It's",
    (Expectation("phone"), COMPLETE): """
        555-123-4567|5551234567|five five five, one two three, four five six seven|1-555-123-4567|+1 555 123 4567.
        It's (555) 123-4567, thanks.
    """,
    (Expectation("phone"), OPEN): "I don't have a phone.|Why do you need it?|No.|The same one.",
    (
        Expectation("phone"),
        UNFINISHED,
    ): "555|555-123|555 123 4567 8|1 555 123 456|5 5 5, 1 2 3.|It's 555-1234.|my number is",
    (Expectation("amount"), COMPLETE): """
        $25.50.|Twenty five dollars even.|25 dollars flat|twelve fifty|12.50|It was 89 dollars and 99 cents|fifty cents
        Exactly 20 bucks and 5 cents
    """,
    # "And ninety nine cents" may follow on whole dollars.
    (Expectation("amount"), OPEN): """
        Twenty five.|25|two five|I don't remember.|One hundred fifty|two hundred
        $25|$25.00|Twenty five dollars.|25 dollars|20 bucks|About twenty five dollars.
    """,
    (Expectation("amount"), UNFINISHED): "twenty five dollars and|it was|about|twenty, no wait|a hundred and",
    (Expectation("name"), COMPLETE): """
        Yusuf Rossi|Yusuf Rossi.|My name is Ann Li.|It's Ann Li|Mary Ann Smith|yusuf rossi|Ann Rossi, R-O-S-S-I
    """,
    (
        Expectation("name"),
        OPEN,
    ): "Yusuf.|I don't know.|Hold on please|Why do you need that?|My name is Ann.|I'd rather not say",
    (Expectation("name"), UNFINISHED): "My name is|It's|Yusuf, um|Ann Rossi, R-O|R-O-S|first name is|Ann, no wait|I'm",
}


def _split(table: str) -> list[str]:
    return [case.strip() for line in table.strip().split("\n") for case in line.split("|")]


def _cases() -> list[tuple[str, Expectation, Completeness]]:
    return [(text, asked, whole) for (asked, whole), table in ANSWERS.items() for text in _split(table)]


@pytest.mark.parametrize(("text", "asked", "whole"), _cases())
def test_how_whole_an_answer_is(text: str, asked: Expectation, whole: Completeness) -> None:
    assert LANGUAGE.completeness(text, asked) is whole


def test_covers_every_kind_on_every_side() -> None:
    assert len(_cases()) >= 250
    kinds = {asked.kind for asked, _ in ANSWERS}
    assert {(asked.kind, whole) for asked, whole in ANSWERS} == {
        (kind, whole) for kind in kinds for whole in Completeness
    }


@pytest.mark.parametrize("kind", ["anything", "yes_no", "zip", "email", "phone", "amount", "name"])
@pytest.mark.parametrize(
    "more", [" and", " but", ", um", " and the", ", no wait", ", I mean", ", let me see", " because"]
)
def test_whatever_was_asked_these_words_ask_for_patience(kind: str, more: str) -> None:
    for text in ("Yes", "19122", "john@example.com", "555-123-4567", "$25", "Yusuf Rossi", "Where is my order", "No"):
        assert LANGUAGE.completeness(text + more, Expectation(kind)) is UNFINISHED  # type: ignore[arg-type]


def test_half_of_the_pauses_come_after_a_whole_clause() -> None:
    """None of these is taken for a whole turn: the caller goes on more often than one time in twenty."""
    for clause in (
        "I want to return my lamp.",
        "I ordered a lamp last week.",
        "It came broken.",
        "I'd like to check on an order.",
        "I'm calling about a refund.",
        "Hi, my name is Ann Li.",
        "I think you charged me twice.",
        "Yes, please.",
    ):
        assert LANGUAGE.completeness(clause, ANYTHING) is OPEN


DIGRESSIONS = """
    Where do I find it?|I don't have it with me.|I lost my email.|I'd like to talk to a person.|What do you mean?
    I forgot.|Can I use something else?|I don’t know|Why do you need it?|Real person
    I don't have one.|Oh, I don't have it.|Sorry, I can't find it
"""
NO_DIGRESSIONS = """
    |Sure.|Okay.|I have it here|It's|W237|It's W, three|one nine|I don't know, one nine|john at|It's not on the, um
    My email is Sarah dot Rossi, and it's Sarah with an H, not Sara|It begins with a W, I can't read the rest
    My email is|no idea, let me check|John Smith|I have two orders here|12|I can't find it but|It's 237-8156.
    Good night.|Thank you.|That's not fault I'm not a black|It's not a new time to camera.|No.|Bye.|Hello?|What?
"""


@pytest.mark.parametrize("text", _split(DIGRESSIONS))
@pytest.mark.parametrize("asked", [ORDER, Expectation("phone"), Expectation("zip"), Expectation("email")])
def test_who_says_something_else_begins_no_answer(text: str, asked: Expectation) -> None:
    assert LANGUAGE.digresses(text, asked)


@pytest.mark.parametrize("text", _split(NO_DIGRESSIONS))
@pytest.mark.parametrize("asked", [ORDER, Expectation("phone"), Expectation("zip"), Expectation("email")])
def test_half_an_answer_is_no_digression(text: str, asked: Expectation) -> None:
    assert not LANGUAGE.digresses(text, asked)


LISTENING = """
    Mm-hmm.|Mm-hm|mm hm|MMHM.|Mhm.|Mm.|Mmm...|MMMM|M-M-M|M. M. M. M. M. M.|Yeah, mm-hmm.|Mm-mm.|HMM|Hmm.|Um...|Em...
    H. M. H. M.
    Um-hum.|HMMHM.|Mm-|Uh-huh.|uh huh|Uh-uh.|Okay.|OK|okay okay|Okay, okay.|Right.|right right|Yeah.|Yeah, yeah.|yep
    I see.|Got it.|Sure.|All right.|Alright.|Oh.|Ah.|Aha.|A-ha.|Wow.|Really?|Oh, okay.|Oh I see.|Yeah, okay.|Yes.
    Right, right, right.|Okay, got it.|you|Thank you.|Great.|Oh really|Okay, thank you|Mm-hmm, mm-hmm.|No problem.|Aaa.
"""
SPEAKING = """
    |.|No.|Wait.|Stop.|What?|But|Okay, but|Yeah, but I|Actually|Hello?|Okay stop|right now|I see a problem|Yes I want
    okay okay okay okay okay|Where is my order?|W2378156|five|O|me|hum|agent|Oh wait|the lamp|Thank you for nothing
    Got it wrong|sure it is|huh?|him|home
"""
DEMANDS = """
    Wait.|Stop.|No.|No, no.|No no no.|Hold on.|hang on a second|Excuse me.|Sorry?|Sorry.|What?|One second.
    1 second.|Just a moment.|Actually|actually.|But|But...|Listen.|Pardon?|Agent.|Operator|Human.|No, the other one.
    Wait, that's wrong.|Oh wait|Okay, but|Yeah, but|Um, no|no, W2378157|Stop it.|I want to talk to a human
    Real person please|No, thanks.|Stop that now|no wait|No, five.
    Wait a minute.|Stop talking.|Excuse me, sir.|No, I said|What was that?
    Well, actually|Oh no no no|hey|No. I want the keyboard.|Give me an agent|Excuse me, can I
"""
NO_DEMANDS = """
    |.|Mm-hmm.|Okay.|Right.|Yeah.|Sure.|Oh|Yes please.|no problem|No worries.|Oh no|the lamp|nobody|nothing|Thank you.
    Hello?|No, sir.|Mm-hm. No, sir.|No children.|No kidding|No, please.
    I bought a lamp|butter|stopped|whatever|W2378156|19122
    somebody delivered the package and left it in the rain for days
"""


@pytest.mark.parametrize("text", _split(LISTENING))
def test_a_backchannel_asks_for_nothing(text: str) -> None:
    assert LANGUAGE.is_backchannel(text)
    assert not LANGUAGE.is_demand(text)


@pytest.mark.parametrize("text", _split(SPEAKING))
def test_other_words_are_no_backchannel(text: str) -> None:
    assert not LANGUAGE.is_backchannel(text)


@pytest.mark.parametrize("text", _split(DEMANDS))
def test_a_demand_takes_the_floor(text: str) -> None:
    assert LANGUAGE.is_demand(text)
    assert not LANGUAGE.is_backchannel(text)


@pytest.mark.parametrize("text", _split(NO_DEMANDS))
def test_other_words_do_not_demand_the_floor(text: str) -> None:
    assert not LANGUAGE.is_demand(text)


KINDS = st.sampled_from([asked for asked, _ in ANSWERS])
PLAIN_KINDS = st.sampled_from(["anything", "yes_no", "email", "zip", "phone", "amount"])
PIECES = st.lists(
    st.sampled_from([*(text for text, _, _ in _cases()), "and", ",", "?", "-", "um", "W", "7"]), max_size=6
)


@given(st.one_of(st.text(), PIECES.map(" ".join)), KINDS)
def test_never_raises_and_is_never_both(text: str, asked: Expectation) -> None:
    assert LANGUAGE.completeness(text, asked) in Completeness
    assert LANGUAGE.yes_or_no(text) in (True, False, None)
    assert not (LANGUAGE.is_backchannel(text) and LANGUAGE.is_demand(text))


@given(PIECES.map(" ".join), PLAIN_KINDS)
def test_capitals_and_full_stops_prove_nothing(text: str, kind: str) -> None:
    """Of letters said one by one the capitals count, which recognizers write for them: identifiers are apart."""
    asked = Expectation(kind)  # type: ignore[arg-type]
    text = re.sub(r"\W+$", "", text).lower()
    assert LANGUAGE.completeness(text + ".", asked) is LANGUAGE.completeness(text, asked)
    assert LANGUAGE.completeness(text.capitalize(), asked) is LANGUAGE.completeness(text, asked)
    assert LANGUAGE.is_backchannel(text.upper() + ".") is LANGUAGE.is_backchannel(text)
    assert LANGUAGE.is_demand(text.upper() + "?") is LANGUAGE.is_demand(text)


@pytest.mark.parametrize("text", ["A-H-M-N.", "H of M.", "HNM.", "and", "and and and and", "And then,", "you"])
def test_what_a_recognizer_makes_of_a_hum_leaves_the_agent_its_turn(text: str) -> None:
    assert LANGUAGE.is_backchannel(text)


@pytest.mark.parametrize("text", ["And then cancel it.", "Man.", "No.", "W 2 3", "Go on and on.", ""])
def test_words_that_say_something_are_no_hum(text: str) -> None:
    assert not LANGUAGE.is_backchannel(text)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("You said that.", Completeness.UNFINISHED),
        ("They told me that", Completeness.UNFINISHED),
        ("I want that.", Completeness.OPEN),
        ("I'd like to return that.", Completeness.OPEN),
    ],
)
def test_that_behind_a_verb_of_saying_begins_a_clause(text: str, whole: Completeness) -> None:
    assert LANGUAGE.completeness(text, ANYTHING) is whole


@pytest.mark.parametrize("phrase", [*ANSWER_PHRASES["yes"].split(","), *ANSWER_PHRASES["mild"].split(",")])
def test_no_whole_yes_breaks_off(phrase: str) -> None:
    phrase = phrase.strip()
    for text in (phrase, f"Yes, {phrase}.", f"{phrase}, please.", f"{phrase} then", f"{phrase},"):
        assert not LANGUAGE.breaks_off(text)


@pytest.mark.parametrize(
    "text",
    [
        "Yes, just.",
        "Sure, and",
        "Sure, and then…",
        "Okay, um, well, so.",
        "Yes. Um",
        "Yeah, uh,",
        "Yes, er.",
        "Yes, I want to",
        "Sure, if you could…",
        "Yes, that's",
        "Yes, sorry.",
        "Okay, hmm.",
    ],
)
def test_a_yes_with_the_beginning_of_something_behind_it_breaks_off(text: str) -> None:
    assert yes_or_no(text) is True
    assert LANGUAGE.breaks_off(text)


@pytest.mark.parametrize("text", ["My husband", "The blue", "Could you", "Let me", "I just"])
def test_two_words_that_begin_something_else_are_no_answer_to_a_yes_no_question(text: str) -> None:
    assert LANGUAGE.completeness(text, Expectation("yes_no")) is Completeness.UNFINISHED


@pytest.mark.parametrize("text", ["Share.", "You add.", "We got.", "Thank you."])
def test_what_a_recognizer_makes_of_a_yes_may_be_all(text: str) -> None:
    assert LANGUAGE.completeness(text, Expectation("yes_no")) is Completeness.OPEN


@pytest.mark.parametrize(
    ("question", "bare"),
    [
        ("Shall I go ahead?", True),
        ("Is that right?", True),
        ("Shall I?", True),
        ("Shall I send it to Mallory?", False),
        ("to Mallory?", False),
        ("Shall I go ahead to Mallory?", False),
        ("Shall I go ahead 我?", False),
        ("", False),
    ],
)
def test_a_question_that_holds_no_details_is_one_of_a_list(question: str, bare: bool) -> None:
    assert LANGUAGE.asks_only(question) is bare


@pytest.mark.parametrize(
    ("said", "secret"),
    [
        ("What's your PIN?", True),
        ("Please key in your four-digit PIN. Then press hash.", True),
        ("Thanks. Could you type the code we just texted you?", True),
        ("Please enter your passcode.", True),
        ("What's the verification code?", True),
        ("Your PIN is right. What's your ZIP code?", False),
        ("Thank you, your PIN is right. Please key in your order number.", False),
        ("Key in your PIN, please. Or tell me your order number.", False),
        ("Sure, take your time.", None),
        ("What's the order number of the rolling pin?", False),
        ("Please enter your order number.", False),
        ("", None),
    ],
)
def test_what_asks_for_a_secret(said: str, secret: bool | None) -> None:
    assert LANGUAGE.asks_secret(said) is secret
