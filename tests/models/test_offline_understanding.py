"""What the offline brain understands, measured on sentences that its examples were not made from."""

import re
import runpy
from pathlib import Path

import pytest

from talkspurt.models.offline.embedding import WEIGHTS, SentenceEmbedder
from talkspurt.models.offline.english import LACKING, TELLS, WAIT, gist, means_all, means_another, ordinal
from talkspurt.models.offline.spelling import wants_spelling
from talkspurt.models.offline.understanding import Comprehension
from talkspurt.retail.dialogue import DIALOGUE
from talkspurt.speech.weights import WeightStore

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = REPOSITORY / "src/talkspurt/models/offline"
BENCHMARK = runpy.run_path(str(REPOSITORY / "benchmarks/intents.py"))


@pytest.fixture(scope="module")
def comprehension(weight_store: WeightStore) -> Comprehension:
    return Comprehension(DIALOGUE, SentenceEmbedder(weight_store.path(WEIGHTS)))


def test_understands_paraphrases_written_apart_from_the_examples(comprehension: Comprehension) -> None:
    report = BENCHMARK["score"](comprehension)
    assert report["sentences"] >= 200
    assert report["accuracy"] >= BENCHMARK["TARGET"], report["confusion"]
    # Some things everyone says alike; what nobody wrote as an example is understood too.
    assert report["unseen"] >= 200
    assert report["accuracy_unseen"] >= BENCHMARK["TARGET"]
    # What it acts upon without asking, in the middle of another question, must be right almost always.
    assert report["accuracy_when_clear"] >= 0.97
    assert report["clear"] >= 0.6


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("I don't have the order number on me", LACKING),
        ("I lost that email", LACKING),
        ("hang on let me look", WAIT),
        ("My order number is W2378156.", TELLS),
    ],
)
def test_understands_answers_that_are_no_answers(comprehension: Comprehension, said: str, meant: str) -> None:
    heard = comprehension.understand(said, asked=True)
    assert heard.best is not None
    assert heard.best.name == meant
    assert comprehension.understand(said).score(LACKING) == -1.0


def test_a_wish_is_found_behind_a_greeting_and_a_story(comprehension: Comprehension) -> None:
    heard = comprehension.understand("Hi there, good morning. My cousin gave me a lamp. I would like to send it back.")
    assert heard.best is not None
    assert heard.best.name == "return_item"


def test_a_question_about_a_detail_is_told_from_the_question_in_general(comprehension: Comprehension) -> None:
    outcomes = next(intent.outcomes for intent in DIALOGUE.intents if intent.name == "order_status")
    asked = comprehension.understand("could you give me the tracking number").topics["order_status"]
    assert asked is not None
    assert "tracking" in str(outcomes[asked].say)
    assert comprehension.understand("where is my order").topics["order_status"] is None


@pytest.mark.parametrize("noise", ["", " ", "...", "?!"])
def test_no_words_mean_nothing(comprehension: Comprehension, noise: str) -> None:
    heard = comprehension.understand(noise)
    assert heard.best is None
    assert heard.clear is None
    assert heard.agrees is None


def test_a_sentence_is_understood_alike_whatever_was_said_before(weight_store: WeightStore) -> None:
    folder = weight_store.path(WEIGHTS)
    alone = SentenceEmbedder(folder).embed(["Where is my order?"])
    after = SentenceEmbedder(folder, remembered=1).embed(
        ["Something much longer than that was said.", "Where is my order?"]
    )
    assert (alone[0] == after[1]).all()


def test_the_gist_has_no_numbers_and_no_hesitation() -> None:
    assert gist("Um, where is order W two three seven, eight one five six?") == "where is order?"
    assert gist("Actually, where is my other order, W5000001?") == "where is my other order?"
    assert gist("I bought two lamps") == "I bought two lamps"
    assert gist("Um, W2378156.") == ""


def test_closed_lists() -> None:
    assert means_all("both of them, please")
    assert means_all("everything")
    assert not means_all("no, that's all")
    assert not means_all("not all of them")
    assert ordinal("the second one") == 1
    assert ordinal("the last") == -1
    assert ordinal("first or second") is None
    assert means_another("what about a different order", "order number")
    assert means_another("another one", "order number")
    assert not means_another("where is my order", "order number")


@pytest.mark.parametrize(
    ("said", "wants"),
    [
        ("Could you spell the number?", True),
        ("how do you spell that", True),
        ("How do I spell it?", True),
        ("How is your name spelled?", True),
        ("Spell it, please.", True),
        ("Let me spell that for you, r o s s i.", False),
        ("I'll spell it.", False),
        ("It's spelled R-O-S-S-I.", False),
        ("Where is it?", None),
        ("My name was spelled wrong.", None),
    ],
)
def test_asking_for_a_spelling_is_told_from_spelling(said: str, wants: bool | None) -> None:
    assert wants_spelling(said) is wants


def test_slower_is_told_from_once_more(comprehension: Comprehension) -> None:
    for said in ("could you slow down a little please", "you talk way too fast", "a bit slower please"):
        heard = comprehension.understand(said)
        assert heard.best is not None
        assert heard.best.name == "slower", said
    heard = comprehension.understand("Say that once more, please.")
    assert heard.best is not None
    assert heard.best.name == "repeat"


def test_the_brain_knows_no_trade() -> None:
    words = r"\b(refunds?|parcels?|shipments?|deliver\w*|retail\w*|purchases?|customers?|shops?|orders?)\b"
    for source in SOURCES.glob("*.py"):
        text = re.sub(r"\bin order\b", "", source.read_text(encoding="utf-8"), flags=re.IGNORECASE)
        assert not re.findall(words, text, re.IGNORECASE), source.name
