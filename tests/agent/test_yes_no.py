"""A wrong yes does what cannot be undone: there must be none, whatever else is missed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkspurt.agent.yes_no import yes_or_no

YES = """
yes|Yes.|YES!|yeah|Yeah.|yep|yup|yea|Yes, please.|yes please do|Yep, go ahead.|go ahead|Go ahead, please.
go right ahead|sure|Sure.|Sure, do it.|sure thing|for sure|absolutely|Absolutely, go ahead.|definitely|certainly
of course|Of course, yes.|correct|That's correct.|that is correct|Correct, yes.|That's right.|That’s right.
yes that's right|that is right|exactly|Mm-hm.|Mm-hmm.|mhm|uh-huh|Uh huh, yes.|okay|Okay.|OK|alright|All right.
okay go ahead|Okay, do it.|alright let's do it|Do it.|please do|do that please|let's do that|Let's do it.
proceed|Please proceed.|you may proceed|I confirm.|confirmed|sounds good|That sounds good.|sounds great thanks
That works for me.|that's fine|Fine by me.|that would be great|That'd be great, thank you.|I'd like that.
I would like that, yes.|you bet|by all means|affirmative|indeed|true|Yes, I'm sure.|I am sure.|I said yes.
Oh yes.|Um, yes.|uh yeah sure|well yes|Yes yes yes.|yeah yeah|Yes sir.|yes ma'am|Yes, it is.|yes I do
Yes, I would.|yes thank you|Yeah, thanks.|That's the one.|Yes, that's the one.|no problem, go ahead
Yes, no problem.|okay yes|Right, yes.|Great, go ahead.|Perfect, yes please.|That's what I want.
yes that's perfect|Yes dear, please.|And yes.|yes it does|you can go ahead|Yeah, that's fine with me.|okey dokey
"""

NO = """
no|No.|NO!|nope|Nope.|nah|No thanks.|No, thank you.|no way|not really|Not really, no.|Not yet.|not now
not at all|don't|Don't.|don't do that|Do not do that.|please don't|No, don't.|never mind|Nevermind.|forget it
Stop.|stop it|That's not right.|that is not right|No, that's not right.|That's wrong.|wrong|incorrect
that's not correct|That isn't right.|it isn't|No, it's not.|it's not that one|absolutely not|Definitely not.
certainly not|of course not|I'd rather not.|I don't think so.|I don't want that.|I do not want to.|uh-uh|nuh uh
negative|No, W2378157.|No, the other one.|no I said the keyboard|I changed my mind.|No, I've changed my mind.
no that's all|No, that's everything.|No, I'm good, thanks.|not today thank you|I never said that.|Leave it.
Please leave it as it is.|no sorry|Um, no.|oh no|well no|No no no.|that is not my order|I can't do that.
I won't.|I said no, not yes
"""

NEITHER = """
|.|...|um|uh|hmm|Hmm.|well|so|you|right|fine|please|thanks|Thank you.|hello|mm|yes but|Yes, but not the lamp.
yes no wait|Yes, no, wait.|yeah no|no yeah|yes and no|yes or no|no that's right|No, that's correct.
yes that's not right|Yes, don't do that.|sure don't|okay stop|okay, no|yes no|no yes|hold on|Hold on a second.
wait|Wait, what?|yes wait|Okay, wait.|yes hold on|hang on|just a moment|one second please|no wait|No, hold on.
I don't know.|not sure|I'm not sure.|I'm not so sure|no idea|dunno|maybe|Maybe yes.|perhaps|I guess.|I guess so.
I think so.|probably|Yeah, probably.|it depends|what|What?|Yes?|Okay?|Right?|Really?|no?|pardon|Why?|why not
Sorry, what?|Could you repeat that?|yes if it's free|Yes, when it arrives.|yes cancel it|cancel it
Yes, cancel that.|go ahead and cancel it|yes the other one|Yes, for the lamp.|yes only the lamp
yes except the lamp|Sure, whatever.|yes, actually no|Actually, yes.|Yes I have a question.|yes my order is late
Okay, bye.|okay thanks|Okay, thank you.|all right thanks|I don't mind.|I wouldn't mind|no problem|no worries
no rush|yesterday|Yes, I'd like a person.|yeah right|are you sure|Are you sure?|I'm sure you are wrong
yes, how much is it|do it later|Sure, how much?|correct me|Let me think.|yes let me think
you're not right, I said no, yes|right now|great job|go ahead without me|sounds good but later|do you think so
why don't you go ahead|I want to go ahead with something else|okay but what about my other order
Is that correct?|that's right, isn't it|absolutely not, I mean yes|Nein|oui
"""


def _forms(table: str) -> list[str]:
    return [form for line in table.strip("\n").split("\n") for form in line.split("|")]


@pytest.mark.parametrize("text", _forms(YES))
def test_understands_a_yes(text: str) -> None:
    assert yes_or_no(text) is True, text


@pytest.mark.parametrize("text", _forms(NO))
def test_understands_a_no(text: str) -> None:
    assert yes_or_no(text) is False, text


@pytest.mark.parametrize("text", _forms(NEITHER))
def test_asks_again_rather_than_guess(text: str) -> None:
    assert yes_or_no(text) is None, text


def test_covers_many_forms() -> None:
    assert len(_forms(YES)) + len(_forms(NO)) + len(_forms(NEITHER)) >= 250


def test_other_languages_are_not_guessed_at() -> None:
    assert yes_or_no("yes", "de-DE") is None
    assert yes_or_no("yes", "en-GB") is True
    assert yes_or_no("yes", "en") is True


_words = st.sampled_from(
    "yes yeah sure okay go ahead do it that's right please no not don't cancel wait but lamp stop".split()  # noqa: SIM905
)


@given(
    st.lists(_words, max_size=8),
    st.sampled_from(["no", "don't", "wait", "not", "but", "cancel", "lamp", "stop"]),
    st.data(),
)
def test_one_word_of_doubt_anywhere_is_never_a_yes(words: list[str], doubt: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(words)))
    assert yes_or_no(" ".join([*words[:at], doubt, *words[at:]])) is not True


@given(st.text(max_size=80))
def test_never_raises(text: str) -> None:
    assert yes_or_no(text) in (True, False, None)


@pytest.mark.parametrize("text", ["yes 不要", "yes не надо", "yes नहीं", "sí yes", "yes 👎", "yes？", "ｙｅｓ"])
def test_what_is_written_otherwise_is_not_passed_over(text: str) -> None:
    assert yes_or_no(text) is None


@pytest.mark.parametrize("text", ["Yes…", "“Yes.”", "Yes — go ahead.", "¡Yes!", "Yes。", "That’s right."])
def test_signs_that_are_no_words_change_nothing(text: str) -> None:
    assert yes_or_no(text) is True
