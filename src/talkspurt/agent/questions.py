"""What an agent's words ask for: its last question, read as the kind of answer it expects.

A question is told by its *shape* ("what's your …", "could you tell me …", "is that …") and by the *thing* it
names ("ZIP code"). Shape comes first: "could I have your order number?" and "is your order number right?" name the same
thing and expect an id and a yes. What is doubtful is `anything`, the only kind that never takes a turn early.

"Anything else?" is `anything` on purpose, although it is a yes/no question: a lone "yes" there is the beginning of
what else there is, while after "is that right?" it is all there is.
"""

import re
from typing import Final

from talkspurt.core.language import ANYTHING, Expectation, Kind

_SENTENCE_END: Final = re.compile(r"(?<=[.?!…])[\"'”’)]*\s+")
_REACH: Final = 3
"""Sentences from the end in which a question still stands: "What's your order number? It's in your email."."""


def last_question(said: str) -> str:
    """The last question in `said`, or its last sentence when it asks nothing; "" when nothing was said."""
    return (last_requests(said) or [""])[-1]


def last_requests(said: str) -> list[str]:
    """What in `said` may ask for something: its last question, or without one its last sentences."""
    sentences = [sentence for sentence in _SENTENCE_END.split(said.replace("’", "'").strip()) if sentence][-_REACH:]
    questions = [sentence for sentence in sentences if "?" in sentence]
    return questions[-1:] or sentences


def read_question(said: str) -> Expectation:
    """What the agent's words `said` ask for, from their last question or request."""
    question = last_question(said).lower()
    asked = "?" in question
    clauses = [clause for clause in _CLAUSE_END.split(question) if re.search(r"[a-z]", clause)]
    if _ANYTHING_ELSE.search(question):
        return ANYTHING
    if _YES_OR_NO.search(question) or _TAG.search(question):
        return Expectation("yes_no")
    for clause in reversed(clauses):
        words = _LEAD_IN.sub("", clause)
        if _PROPOSAL.match(words):
            return _yes_no_unless_choice(question)
        if _REQUEST.match(words) or (asked and _WHAT.match(words)):
            return _thing(question)
        if asked and _HOW_ELSE.match(words):
            return ANYTHING
        if asked and _INVERTED.match(words):
            return _yes_no_unless_choice(question)
    if asked and _STATED.match(_LEAD_IN.sub("", question)):
        return _yes_no_unless_choice(question)
    # "And your ZIP code?": nothing but the thing itself.
    return _thing(question) if asked else ANYTHING


# ── the shape of a question ───────────────────────────────────────────────────────

_CLAUSE_END: Final = re.compile(r"[,;:—–]\s+|\s[-—–]\s")
_LEAD_IN: Final = re.compile(
    r"^(?:\W|\b(?:and|or|but|so|then|now|well|okay|ok|great|perfect|thanks|thank you|sure|sorry|alright|all right|"
    r"please|just|also|first|next|finally|got it|no problem|of course|oh|right)\b)+"
)
_ANYTHING_ELSE: Final = re.compile(
    r"\b(?:anything|something|what) (?:else|more)\b|\bany(?: other| more|thing)? (?:questions?|requests?)\b"
)
_TAG: Final = re.compile(
    r"(?:,|\bis that|\bis it|\bis this) ?(?:right|correct|ok|okay|yes|yeah|no|all right|alright)\W*\?\W*$"
    r"|, ?(?:is|are|was|were|do|does|did|has|have|can|will|would)(?:n't)? (?:it|that|he|she|you|they|we|i)\W*\?\W*$"
    r"|^\W*(?:ready|right|correct|okay|ok|agreed|deal|still there|sounds? (?:good|right|okay))\W*\?\W*$"
)
_YES_OR_NO: Final = re.compile(r"\byes or no\b")
_TELL: Final = (
    r"(?:tell|give|say|spell|repeat|read|provide|share|type|enter|state|remind|let me (?:have|know|get)|"
    r"(?:confirm|verify)(?! (?:that|if|whether|it's|this is)\b))"
)
_REQUEST: Final = re.compile(
    rf"(?:can|could|may|might) (?:i|we) (?:please |just |also |quickly )*(?:have|get|take|ask|see|grab|hear|know)\b"
    rf"|(?:can|could|would|will) you (?:please |just |also |kindly )*{_TELL}\b"
    rf"|(?:would|are) you (?:be )?able to {_TELL}\b|is there an? (?:\w+ )?(?:phone|number|e-?mail)\b"
    rf"|(?:would|do) you mind (?:telling|giving|saying|spelling|repeating|reading|providing|confirming|typing)\b"
    r"|(?:do|would|did) you (?:happen to )?(?:have|know|remember|recall|get) (?:your|the|that|an?|it)\b(?=.*\b"
    r"(?:number|code|zip|postcode|id|e-?mail address)\b)"
    rf"|(?:go ahead and )?{_TELL}\b"
    r"|(?:i|we)(?:'ll| will)? (?:also |just |still )*need (?:your|the|an?)\b"
)
_WHAT: Final = re.compile(r"(?:what|which|who|whose|how much)\b")
_HOW_ELSE: Final = re.compile(r"(?:where|when|why|how)\b")
_PROPOSAL: Final = re.compile(
    r"(?:shall|should) (?:i|we)\b|(?:would you like|do you want|did you want|would you prefer|would you mind if)\b"
    r"|(?:can|could|may) (?:i|we) (?:go ahead|proceed|do that|help|place|put|send|use|try|transfer|connect)\b"
)
_INVERTED: Final = re.compile(
    r"(?:is|are|was|were|am|do|does|did|have|has|had|can|could|shall|should|will|would|may|might|must)(?:n't)?"
    r" (?:i|you|he|she|it|we|they|that|this|these|those|there|the|your|my|our|any|everything|someone|order)\b"
)
_STATED: Final = re.compile(
    r"(?:you|i|it|that|this|we|they)(?:'\w+)? \w+|(?:your|the) (?:[\w'-]+ )+(?:is|are|was|were)\b"
)
"""A statement with a question mark: "So you'd like to return the lamp?"."""
_CHOICE: Final = re.compile(r"\bor\b(?! (?:not|so|no|anything|something)\b)")


def _yes_no_unless_choice(question: str) -> Expectation:
    # "Do you want a refund or an exchange?" has no yes for an answer.
    return ANYTHING if _CHOICE.search(question) else Expectation("yes_no")


# ── the thing it names ────────────────────────────────────────────────────────────

_THINGS: Final[tuple[tuple[Kind, re.Pattern[str]], ...]] = (
    ("email", re.compile(r"(?<!confirmation )\be-?mail(?: address)?\b(?! (?:we|i|you|that|from|with)\b)")),
    ("zip", re.compile(r"\bzip(?: ?code)?\b|\bpost(?:al )?code\b")),
    (
        "phone",
        re.compile(
            r"\b(?:tele)?phone\b|\b(?:mobile|cell|callback|call-back|contact) number\b"
            r"|\bnumber (?:can|should|may|could) (?:we|i) (?:call|reach|use to)"
            r"|\bnumber to (?:call|reach)\b|\bbest number\b"
        ),
    ),
    ("amount", re.compile(r"\bhow much (?:did|do|was|were|have|is|would|money)\b|\b(?:what|the) (?:\w+ )?amount\b")),
    (
        "name",
        re.compile(
            r"\b(?:full|first and last|first and your last) names?\b|\byour name\b|\bname (?:is )?on (?:the|your)\b"
            r"|\bwhat name\b|\bwho am i (?:speaking|talking)\b|\bwho(?:'s| is) (?:calling|this)\b"
        ),
    ),
    (
        "identifier",
        re.compile(
            r"\b(?:order|confirmation|tracking|account|customer|reference|case|ticket|member|membership|invoice|booking|"
            r"reservation|serial|policy|claim|return|loyalty|rewards?|card|id) (?:number|id|code)\b"
            r"|\b(?:promo|coupon|gift|security|verification|access|member) code\b|\bpin\b"
            r"|\b(?:the|that|your) (?:number|id|code)\b|\bdigits\b|\b[\w-]+[- ]digit (?:number|code|pin|id)\b"
        ),
    ),
)
_COUNTS: Final = {
    "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "twelve": 12,
}  # fmt: skip
_DIGITS: Final = re.compile(
    rf"\b(?:(?:last|first) (?P<last>\d{{1,2}}|{'|'.join(_COUNTS)})\b(?: digits| numbers)?"
    rf"|(?P<long>\d{{1,2}}|{'|'.join(_COUNTS)})[- ]digits?\b)"
)
"""A question that says how long the number is: "the last four digits", "your six-digit code"."""


def names_a_thing(said: str) -> bool:
    """Whether `said` names something that callers are asked for: an order number, an e-mail address."""
    return any(words.search(said.lower()) for _, words in _THINGS)


def _thing(question: str) -> Expectation:
    """The one thing a question asks for; two of them ("your order number or your email") are `anything`."""
    named = {kind for kind, words in _THINGS if words.search(question)}
    if len(named) > 1:
        # "The digits of your ZIP code", "the phone number": the more special kind is meant.
        rest = named - {"identifier"}
        if len(rest) > 1 or re.search(r"\b(?:and|or)\b", question):
            return ANYTHING
        named = rest
    if not named:
        return ANYTHING
    kind = named.pop()
    if kind != "identifier":
        return Expectation(kind)
    length = _DIGITS.search(question)
    if length is None:
        return Expectation("identifier")
    count = length["last"] or length["long"]
    return Expectation("identifier", rf"\d{{{_COUNTS.get(count) or int(count)}}}")
