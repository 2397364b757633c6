"""Whose turn it is, as far as the caller's English words tell: whole, unfinished, "I'm listening", "let me speak".

Three rules carry it.

1. **A full stop proves nothing.** Recognizers end every stretch of audio with one; only a comma or a dash at the
   end says something, and a question mark where the words are a question too.
2. **A whole clause is not a whole turn.** At least half of the pauses that callers make within a turn come after a
   complete clause ("I want to return my lamp. … It arrived broken."), so a request is `OPEN`, however
   well it is built. `COMPLETE` is kept for what leaves nothing to add: the id, the address, the yes that was asked
   for, a question put to the agent, a goodbye, a no. A lone "yes" to an open question is the beginning of something.
3. **Doubt costs patience, never words.** Between `OPEN` and `UNFINISHED`, half an entity is `UNFINISHED`: a second
   more of silence is cheaper than a number that has to be said again. Between `OPEN` and `COMPLETE`, `OPEN`.

Word lists are data; another language is another class of this shape, with its own.
"""

import re
from typing import Final

from talkspurt.agent.questions import last_requests, names_a_thing, read_question
from talkspurt.agent.spoken import (
    TOP_DOMAINS,
    digits,
    email_address,
    identifiers,
    numbers,
    person_name,
    trailing_characters,
    zip_code,
)
from talkspurt.agent.yes_no import yes_or_no
from talkspurt.core.language import Completeness, Expectation

COMPLETE, OPEN, UNFINISHED = Completeness.COMPLETE, Completeness.OPEN, Completeness.UNFINISHED


class English:
    """How English callers speak. Fits `talkspurt.core.language.Language`; holds no state."""

    def yes_or_no(self, text: str, /) -> bool | None:
        """True a clear yes, False a clear no, None anything else."""
        return yes_or_no(text, "en")

    def expectation(self, said: str, /) -> Expectation:
        """What the agent's words ask for."""
        return read_question(said)

    def completeness(self, text: str, expectation: Expectation, /) -> Completeness:
        """How whole `text` is as an answer."""
        text = text.replace("’", "'")
        words = _plain(text)
        if not words:
            return OPEN
        if expectation.kind == "yes_no":
            return _yes_no(text, words)
        if _trails(text, words):
            return UNFINISHED
        match expectation.kind:
            case "identifier":
                return _identifier(text, words, expectation.pattern)
            case "email":
                return _email(text, words)
            case "zip":
                return COMPLETE if zip_code(text) else _part_of_a_number(text, words)
            case "phone":
                return COMPLETE if _is_phone(digits(text)) else _part_of_a_number(text, words)
            case "amount":
                return _amount(text, words)
            case "name":
                return _name(text, words)
        return _anything(text, words)

    def breaks_off(self, text: str, /) -> bool:
        """Whether a clear yes has the beginning of something behind it; a mark is none: some end all with a comma."""
        return bool(_BREAKING_OFF.search(_plain(text)))

    def digresses(self, text: str, expectation: Expectation, /) -> bool:
        """Whether it says in so many words something else than the number or the address that was asked for."""
        text = text.replace("’", "'")
        words = _plain(text)
        # "One" may stand for a thing, and a recognizer reads "oh" as a zero.
        told = _NOT_A_DIGIT.sub("", words.removeprefix("oh "))
        if not words or digits(told) or trailing_characters(told) or _PLUS.search(text.lower()):
            return False
        if self.completeness(text, expectation) is not OPEN:
            return False
        # No goodbye, no "that's not": of digits in noise a recognizer makes "Good night." and "That's not fault".
        asks = text.rstrip().endswith("?") and bool(_QUESTION.match(words))
        return asks or bool(_DIGRESSION.match(words) or _A_PERSON.search(words))

    def is_backchannel(self, text: str, /) -> bool:
        """Whether it only says "I am listening"."""
        # A hum counts as one word, in however many pieces it was written ("M. M. M.").
        words = [] if _is_hum(text) or _is_empty(text) else _plain(text).split()
        if len(words) > _LONGEST_BACKCHANNEL or not re.search(r"[a-z]", text.lower()):
            return False
        at = 0
        while at < len(words):
            phrase = next((end for end in range(len(words), at, -1) if _is_listening(" ".join(words[at:end]))), 0)
            if not phrase:
                return False
            at = phrase
        return True

    def is_hum(self, text: str, /) -> bool:
        """Whether it is no word."""
        return _is_hum(text) or _plain(text) in _HUMS

    def is_demand(self, text: str, /) -> bool:
        """Whether it takes the floor however short it is."""
        words = _plain(text)
        if self.is_backchannel(text):
            return False
        demand = _SOFTENING.sub("", words) or words
        if _NO_DEMAND.fullmatch(demand):
            return False
        return bool(_DEMAND.match(demand)) or (len(words.split()) <= _SHORT_REQUEST and bool(_A_PERSON.search(words)))

    def asks_only(self, text: str, /) -> bool:
        """Whether it asks for a yes in so many words and no others."""
        return text.isascii() and _plain(text) in _CLOSING_QUESTIONS

    def asks_secret(self, said: str, /) -> bool | None:
        """Whether the agent's words ask for what nobody but the caller may know; None if they ask for nothing."""
        for request in reversed(last_requests(said)):
            if _SECRET.search(_plain(request)):
                return True
            if "?" in request or names_a_thing(request):
                return False
        return None


def _phrases(lines: str) -> tuple[str, ...]:
    """Phrases with commas between, longest first."""
    return tuple(sorted((" ".join(phrase.split()) for phrase in lines.split(",")), key=len, reverse=True))


def _any_of(lines: str) -> str:
    """A regular expression of these phrases."""
    return "|".join(re.escape(phrase).replace(r"\ ", " ") for phrase in _phrases(lines))


def _plain(text: str) -> str:
    """Small letters, digits and apostrophes, with single spaces."""
    return " ".join(re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower().replace("’", "'")))


# ── words that ask for more ───────────────────────────────────────────────────────

_TRAILING_MARK: Final = re.compile(r"[,;:—–-]\W*$")
"""Recognizers write these for a voice that stays up or breaks off; "…" and "." they write for silence too."""

_CONNECTIVES: Final = _any_of("""
    and, or, but, because, cause, then, if, when, while, which, since, although, though, unless, until, plus,
    as well as, except, than, whether, also
""")
_DETERMINERS: Final = _any_of("the, an, my, your, his, her, our, their, its, every, very, double, triple")
_CONTRACTIONS: Final = _any_of("""
    it's, i'm, i've, i'd, i'll, that's, there's, they're, we're, we've, you're, he's, she's, what's, where's, who's,
    how's, here's, name's, number's, code's, email's, gonna, wanna, gotta
""")
_SUBJECTS: Final = _any_of("we, he, she, they")
_PREPOSITIONS: Final = _any_of("""
    to, of, for, with, from, at, by, about, into, without, between, under, regarding, like, called, dot, underscore,
    hyphen, dash
""")
_DUE: Final = (
    r"(?:arrive|delivered|scheduled|due"
    r"|(?:said|told|promised|thought)(?: \S+){0,3} (?:it|they)(?: would| will| should)? come|(?:it|they)'d come) on"
)
"""A day is to follow. Elsewhere "on" may end a sentence, as any "in" may: "it does not come on", "what it came in"."""
_EXCEPT_AFTER: Final = (
    r"(?<!guess )(?<!think )(?<!hope )(?<!suppose )so|(?<!can )(?<!will )(?<!'ll )wait|(?<! [a-z\d] )[ai]"
)
"""Unfinished but in "I guess so", "I'll wait", and in a word that is spelled: "R-O-S-S-I"."""
_HESITATIONS: Final = r"u+m+|(?<!uh )u+h+|e+r+m?|(?<!m )(?<!mm )h+m+|you know|well"
_SEARCHING: Final = _any_of("""
    let's see, let me see, let me check, let me think, let me look, let me find it, let me get it, one second,
    one moment, one minute, one sec, 1 second, 1 moment, 1 minute, a second, a moment, a minute, a sec, hold on,
    hang on, bear with me
""")
_CORRECTING: Final = _any_of("no wait, wait no, i mean, sorry, actually, or rather, make that, scratch that")
_OBJECT_WANTING: Final = (
    r"(?<!what )(?<!all )(?<!that )(?<!as )(?<!thing )(?<!if )i(?:'d| would)?(?: just| really| only| also)? "
    r"(?:want|need|wanted|needed|like|bought|ordered)"
)
_CLAUSE_WANTING: Final = (
    r"(?:said|say|says|told \w+|tell \w+|promised|think|thought|mean|means|believe|guess|hope|so|sure|afraid|sorry)"
    r" that"
)
_TRAILING_WORDS: Final = re.compile(
    rf"(?:^|\s)(?:{_CONNECTIVES}|{_DETERMINERS}|{_CONTRACTIONS}|{_SUBJECTS}|{_EXCEPT_AFTER}|{_HESITATIONS}|{_SEARCHING}"
    rf"|{_OBJECT_WANTING}|{_CLAUSE_WANTING}|to be|going|trying|looking|calling)$"
)
_TRAILING_CORRECTION: Final = re.compile(rf"\s(?:{_CORRECTING})$|^(?:no wait|wait no|i mean|actually|or rather)$")
_TRAILING_PREPOSITION: Final = re.compile(rf"(?:^|\s)(?:{_PREPOSITIONS})$")
_TRAILING_DAY: Final = re.compile(rf"(?:^|\s)(?:{_DUE})$")
_STRANDED: Final = re.compile(r"(?:^|\s)(?:what|which|who|where|when|how)(?:'s)? (?:\S+ )*\S+$")
"""A clause whose question word belongs to its end: "who am I speaking to", "the address I sent it to"."""
_TRAILING_AUXILIARY: Final = re.compile(
    r"(?:^|\s)(?:is|are|was|were|am|be|been|will|would|could|should|can|must|does|did|do|have|has|had|isn't|wasn't)$"
)
_SHORT_ANSWER: Final = re.compile(
    r"^(?:(?:yes|yeah|yep|no|nope|sure|of course|oh|okay|well|i think|i guess|i hope) )+"
    r"(?:please )?(?:i|you|he|she|it|we|they|there|that|this) \S+$"
    r"|^(?:please |yes |yeah )*(?:do|i do|i did|i am|i will|i would|i can|i have|you can|please do)$"
)
"""Sentences that may end in an auxiliary: "yes, it is", "I do"."""
_ASKED_WITHIN: Final = re.compile(r"\b(?:what|where|when|who|how|which|why) (?:\S+ ){1,5}(?:is|are|was|were|am)$")
"""… and those that hold a question: "I don't know where it is"."""
_ANNOUNCED: Final = _any_of("""
    the thing is, the problem is, the issue is, the question is, the reason is, my question is, my problem is,
    quick question, two things, let me explain, first thing, first of all, for one thing, it's like this, are you ready,
    i was wondering, i was just wondering, i wanted to ask, i wanted to ask you something, i want to ask,
    i want to ask you something, i'd like to ask, i'd like to know, i want to know, i need to know, do you know,
    can i ask, can i ask you something, can i ask a question, may i ask, could i ask, can i ask you a question,
    can you tell me, could you tell me, can you please, could you please, can you check, i'll spell it,
    i'll spell it for you, i'll spell that, i'll read it to you, here it is, i have it here, i have it right here,
    i've got it here, i've got it right here, yes i have it, yeah i have it, sure i have it
""")
_ANNOUNCEMENT: Final = re.compile(
    r"(?:^|\s)(?:"
    r"(?:i have|i've got|i got|i had|there's|there is|there are|it's about) (?:just |also )?"
    r"(?:an?|one|two|three|another|some|a couple of|a few|several|[123]) (?:\w+ )?"
    r"(?:questions?|things?|problems?|issues?|requests?|concerns?|complaints?)"
    r"|here's (?:the|my) (?:thing|problem|issue|question|situation|number|code|address|deal)"
    r"|^(?:(?:sure|yes|yeah|okay|ok|so|well) )*(?:my|the) (?:\w+ )?(?:number|code|e ?mail|address|name)(?: address)?"
    rf"|{_ANNOUNCED})$"
)
"""Says that something is coming and not yet what."""


def _trails(text: str, words: str) -> bool:
    """Whether the end asks for more, whatever was expected."""
    if _TRAILING_MARK.search(text) or _TRAILING_WORDS.search(words) or _TRAILING_CORRECTION.search(words):
        # "Mm-hmm" is a yes, any other hum is thinking.
        return not (_is_hum(text) and yes_or_no(text, "en"))
    asks = text.rstrip().endswith("?")
    if _TRAILING_PREPOSITION.search(words):
        return not (asks and _STRANDED.search(words))
    if _TRAILING_DAY.search(words):
        return not (asks or _STRANDED.search(words))
    if _TRAILING_AUXILIARY.search(words):
        return not (_SHORT_ANSWER.search(words) or _ASKED_WITHIN.search(words))
    return bool(_ANNOUNCEMENT.search(words))


# ── answers to what was asked ─────────────────────────────────────────────────────

_LONG_REFUSAL: Final = 4
"""Words from which a no is more than a no: "No, I want the keyboard", and may go on."""


_BEGINNING: Final = re.compile(
    r"(?:my|the|an?|this|these|his|her|our|i|can|could|would|let|what|how|when|where|why|which|is|do|does|if) \S+$"
)
"""Two words that begin something other than an answer: "my husband", "could you"."""


_BREAKING_OFF: Final = re.compile(
    r"(?:^|\s)(?:and(?: then)?|(?<!do )(?<!it )so|(?<!very )well|just|sorry|that(?:'s| is)|i want to"
    r"|if you (?:could|would)|u+m+|(?<!uh )u+h+|e+r+m?|(?<!m )(?<!mm )(?<!um )(?<!uh )h+m+)$"
)
"""What `yes_or_no` passes over as meaning nothing, and behind which a sentence goes on."""


def _yes_no(text: str, words: str) -> Completeness:
    answer = yes_or_no(text, "en")
    # "No, sorry" is polite; only here does a closing "sorry" not take something back.
    # And "Go ahead, then" is all that there is to it.
    polite = words.removesuffix(" sorry" if answer is False else " then") if answer is not None else words
    if _trails(text if polite == words else polite, polite):
        return UNFINISHED
    if answer is None:
        return UNFINISHED if _BEGINNING.match(words) else OPEN
    if answer:
        return UNFINISHED if _BREAKING_OFF.search(words) else COMPLETE
    # "No, W237" corrects an id that was read back.
    if _part_of_a_number(text, words) is UNFINISHED:
        return UNFINISHED if len(trailing_characters(text)) < _ANY_ID else OPEN
    return COMPLETE if len(words.split()) <= _LONG_REFUSAL else OPEN


_NOT_A_DIGIT: Final = re.compile(
    r"\b(?:this|that|the|same|first|second|third|last|other|have|which|another|got|no|any|each|every|either|wrong|right|only"
    r"|new|old|big|small|blue|red|black|white|find|see) (?:one|ones)$"
)
"""Where "one" stands for a thing."""
_CALLED_A_NUMBER: Final = re.compile(r"\b(?:number|code|zip|id|pin|digits|double u)\b")
_ATTEMPT: Final = 3
"""Letters and digits from which an answer that ends in other words was still an attempt at the number."""


def _identifier(text: str, words: str, pattern: str) -> Completeness:
    found = identifiers(text, pattern) if pattern else ()
    if found:
        # An id that may be longer still is not known to be whole.
        longer = any(re.fullmatch(pattern, found[-1] + more) for more in "0A")
        return OPEN if longer else COMPLETE
    if not pattern:
        # Nobody has said what the id looks like: five characters may be all of it.
        return OPEN if len(trailing_characters(text)) >= _ANY_ID else _part_of_a_number(text, words)
    # All digits without the letters that begin the pattern: those were misheard, or left out.
    bare = re.sub(r"^[A-Z]+", "", pattern)
    if bare and identifiers(digits(text), bare):
        return OPEN
    return _part_of_a_number(text, words)


_ANY_ID: Final = 5


def _part_of_a_number(text: str, words: str) -> Completeness:
    """The answer holds no whole number: half of one, or something else?"""
    if _NOT_A_DIGIT.search(words):
        return OPEN
    if trailing_characters(text) or len(digits(text)) >= _ATTEMPT:
        return UNFINISHED
    return OPEN


def _is_phone(number: str) -> bool:
    """Ten digits, or eleven with the country's 1: no area code begins with it."""
    return len(number.removeprefix("1")) == 10


_OTHERWISE: Final = _any_of("""
    don't, do not, doesn't, can't, cannot, didn't, not, never, no, nope, idea, forgot, forget, remember, know,
    sure, have, haven't, what, why, where, which, how, who, when, want, need, would, could, can, you, i, we, they,
    this, that's, person, human, agent, help, yes, yeah, yep, okay, ok, please, thanks, thank, hello, hi, sorry, later,
    already, order, return, refund, find, look, looking
""")
_OTHER_THAN_AN_ENTITY: Final = re.compile(rf"\b(?:{_OTHERWISE})\b")
"""Words of whoever says something else than the name or address that was asked for."""
_DIGRESSION: Final = re.compile(
    r"(?:(?:oh|um|uh|well|so|sorry|okay|ok|yes|yeah|no|but|and|actually|i think|i'm sorry|i'm afraid) )*"
    r"(?:(?:i|we) (?:don't|do not|didn't|can't|cannot|can not|couldn't|haven't|won't|never|forgot|lost|want|need)"
    r"|(?:i'd|we'd|i would) like|i'm calling|(?:can|could) (?:you|i|we)|no idea)\b"
)
"""Says why there is no answer, or wants something else. "I have it here" does neither."""
_ADDRESS_LEAD_IN: Final = re.compile(
    r"^(?:(?:okay|ok|sure|yes|yeah|so|well|um|uh|it's|it is|that's|my|the|e ?mail|email|address|is|that would be) )*"
)
_LONGEST_LOCAL_PART: Final = 4
"""Words that a local part has, spelled ones apart: "yusuf dot rossi"."""
_PLUS: Final = re.compile(r"\b(?:dot|point|period|underscore|dash|hyphen|at)\b|@")


def _email(text: str, words: str) -> Completeness:
    address = email_address(text)
    ending = address.rpartition(".")[2] if address else ""
    if address and words.endswith(("dot uk", "co uk")):
        ending = "uk"
    if address and ending != "co":
        if ending in TOP_DOMAINS:
            return COMPLETE
        # "mail.example" may go on with "dot com"; two letters are a country.
        return OPEN if len(ending) == 2 else UNFINISHED
    if address:
        return OPEN  # "dot co" is an ending, and the beginning of "dot co dot uk".
    if _OTHER_THAN_AN_ENTITY.search(_ADDRESS_LEAD_IN.sub("", words)) and "@" not in text:
        # "Sure, it's j dot" is an address; "I'm not at home" is none.
        spelled = len(re.findall(r"(?<!\S)[a-z0-9](?!\S)", words)) >= _ATTEMPT
        return UNFINISHED if spelled else OPEN
    if _PLUS.search(text.lower()) or trailing_characters(text):
        return UNFINISHED
    return UNFINISHED if len(_ADDRESS_LEAD_IN.sub("", words).split()) <= _LONGEST_LOCAL_PART else OPEN


_UNITS: Final = re.compile(r"\$ ?\d|\b(?:dollars?|bucks?|cents?|usd)\b")


_CENTS: Final = re.compile(r"\bcents?\b|\d\.(?!00)\d\d\b|\b(?:even|exactly|flat)\W*$")
"""".00" is what a recognizer writes for dollars alone."""


def _amount(text: str, words: str) -> Completeness:
    said = numbers(text)
    if not said:
        return OPEN
    if _UNITS.search(text.lower()):
        # "Fifty two dollars" may go on with "and ninety nine cents".
        return COMPLETE if _CENTS.search(text.lower()) else OPEN
    # "Twelve fifty": dollars and cents.
    in_cents = len(said) == 2 and len(said[1]) == 2
    return COMPLETE if in_cents else OPEN


_NAME_LEAD_IN: Final = re.compile(
    r"^(?:.*\b(?:name is|name's|this is|under the name of|it's under|that's|it's|it is|i'm|i am)\s|"
    r"(?:sure|yes|yeah|okay|ok|so|well)\s)"
)


def _name(text: str, words: str) -> Completeness:
    told = _NAME_LEAD_IN.sub("", words)
    names = [word for word in told.split() if len(word) > 1]
    spelled = "".join(word for word in told.split() if len(word) == 1)
    if re.search(r"(?:^|\s)\w$", told):
        # "Rossi, R O S S I" is spelled to its end; "R O S" is not.
        return COMPLETE if len(names) > 1 and spelled.endswith(names[-1]) else UNFINISHED
    if _OTHER_THAN_AN_ENTITY.search(told):
        return OPEN
    # One name may be all that this caller gives; nothing in the word tells.
    return COMPLETE if person_name(text) else OPEN


# ── free speech ───────────────────────────────────────────────────────────────────

_GOODBYES: Final = _any_of("""
    no, nope, nah, no thanks, no thank you, thanks, thank you, thanks a lot, that's all, that's it, that's everything,
    that is all, that'll be all, that will be all, that was all, nothing else, nothing, goodbye, good bye, bye, bye bye,
    i'm good, i'm all set, all set, not today, not right now, never mind, have a nice day, have a good day,
    have a good one, have a great day, you too, take care, see you, good night, that's all i needed,
    i don't need anything else
""")
_CLOSING: Final = re.compile(
    r"^(?:(?:okay|ok|great|perfect|alright|all right|well|oh|good|yes|yeah|cool|fine|no|nope) )*"
    rf"(?:{_GOODBYES})(?: (?:{_GOODBYES}|very much|so much|now|then|for now|for today|today|for your help))*$"
)
"""Nothing comes after these but the end of the call."""
_QUESTION: Final = re.compile(
    r"^(?:(?:and|but|so|okay|ok|hi|hello|hey|um|uh|well|yes|yeah|no|sorry|oh|wait|then|excuse me|please) )*"
    r"(?:(?:what|where|when|why|who|whose|which|how)(?:'s|'re|'d|'ll)? \S+"
    r"|(?:is|are|was|were|am|do|does|did|have|has|had|can|could|will|would|should|shall|may|isn't|aren't|wasn't|don't|"
    r"doesn't|didn't|haven't|hasn't|can't|couldn't|won't|wouldn't|shouldn't) "
    r"(?:i|you|he|she|it|we|they|that|this|these|those|there|the|my|your|our|anyone|anybody|someone|somebody)\b \S+)"
)
"""A question by its words: of its mark alone a recognizer is not to be trusted, it also follows the melody."""
_CALL_FOR_ATTENTION: Final = re.compile(r"^(?:hello|hello hello|are you there|hello are you there|what|pardon|sorry)$")
_SHORT_NUMBER: Final = re.compile(r"^\W*(?:\d\W*){1,4}$")


_GREETING: Final = r"(?:hi|hello|hey|good (?:morning|afternoon|evening)|yes|yeah|so|well|okay)"
_INTRODUCTION: Final = re.compile(
    rf"(?:{_GREETING} )*"
    r"(?:my (?:first |last |full )?name(?:'s| is) (?!not |wrong|misspelled|spelled)[\w']+(?: [\w']+){0,2}"
    r"|i(?:'m| am) (?:calling )?from \w+(?: \w+){0,2}|i live in \w+(?: \w+){0,2}"
    r"|i(?:'m| am) a (?:new |regular |long time )?customer(?: of yours)?)"
)
"""Who speaks: nobody calls to say that."""


def _introduces_only(text: str) -> bool:
    """Whether it says who speaks in more than one clause, and nothing else: what they want is still to come."""
    clauses = [_plain(part) for part in re.split(r"[.!?,;]+|\band\b", text, flags=re.IGNORECASE)]
    said = [clause for clause in clauses if clause and not re.fullmatch(_GREETING, clause)]
    return len(said) > 1 and all(map(_INTRODUCTION.fullmatch, said))


def _anything(text: str, words: str) -> Completeness:
    if _CLOSING.match(words):
        return COMPLETE
    if _introduces_only(text):
        return UNFINISHED
    run = trailing_characters(text)
    if run and not _NOT_A_DIGIT.search(words) and len(run) < _ANY_ID:
        # Nothing but a few digits, or a number that was called one: the shortest that callers give has five.
        alone = _SHORT_NUMBER.match(text) is not None
        if alone or _CALLED_A_NUMBER.search(words) or re.match(r"[A-Z]+\d", run):
            return UNFINISHED
    if not text.rstrip().rstrip("\"'”").endswith("?"):
        return OPEN
    last = _plain(re.split(r"(?<=[.?!])\s+", text.strip())[-1])
    return COMPLETE if _QUESTION.match(last) or _CALL_FOR_ATTENTION.match(last) else OPEN


_SECRET: Final = re.compile(
    r"(?:\b(?:your|the|a|that) (?:\w+ digit )?pins?\b|\bpin (?:code|number)\b|\bpass ?(?:code|word|phrase)\b"
    r"|\b(?:one time|security|verification) code\b"
    r"|\bcode (?:that |which )?(?:we|i)(?:'ve|'ll| have| will)?(?: just)?"
    r" (?:sent|send|texted|text|e ?mailed|e ?mail)\b)"
    r"(?! (?:is|was|has|did|does|doesn't|didn't|isn't|wasn't)\b)"
)
"""What an agent may ask a caller to key in and no model may be told. A rolling pin is none, and "your
PIN is right" asks for none."""


# ── while the agent speaks ────────────────────────────────────────────────────────

_LONGEST_BACKCHANNEL: Final = 4
_HUM: Final = re.compile(r"(?=.*m)(?:[ue]h?)?(?:[hm]|(?<=m)hum)+")
"""What Whisper tiny.en writes for a hum, without spaces and marks. Measured on flite's, espeak's and synthetic
hums at 8 kHz: "Mm-hmm.", "MMHM.", "Mmm...", "M-M-M", "M. M. M. M.", "HMM", "Um...", "Em..."."""
_LISTENING: Final = frozenset(
    _phrases("""
    uh huh, uh uh, uhuh, a ha, aha, ah ha, ah, ahh, aah, aaa, a, uh, oh, ooh, ohh, okay, ok, okey, kay, alright,
    all right, right, yeah, yea, ya, yah, yep, yup, yes, sure, i see, got it, gotcha, i got it, i understand,
    makes sense, understood, wow, really, great, good, nice, cool, perfect, lovely, fine, wonderful, excellent,
    of course, exactly, interesting, i know, true, thank you, thanks, no problem, no worries, no rush, very good,
    sounds good, oh no, you, bless you, fair enough, good to know, um hum
    """)
)
"""Asks for nothing. Whisper writes "Uh-uh." for most of the "uh-huh" it hears at all, and "you" for silence."""


_CLOSING_QUESTIONS: Final = frozenset(
    _phrases(
        """
        shall i, shall i go ahead, shall i go on, shall i do that, shall i do it, shall i proceed, should i, should i
        go ahead, should i do that, may i, may i go ahead, can i go ahead, do you want me to, do you want me to go
        ahead, would you like me to, would you like me to go ahead, do you want that, do you agree, is that right, is
        that correct, is that okay, is that all right, okay, all right
        """
    )
)
"""A read-back may close with one of these, which need not be heard to its end; any other may hold what is done."""
_HUMS: Final = frozenset({"uh huh", "uhhuh", "uhuh", "ah huh", "aha", "mhm"})
"""Those without an m, and one that is all m and h."""


def _is_hum(text: str) -> bool:
    letters = re.sub(r"[^a-z0-9]", "", text.lower())
    return bool(_HUM.fullmatch(letters))


_SAYS_NOTHING: Final = frozenset(
    ["and", "then", "the", "an", "a", "of", "so", "um", "uh", "oh", "em", "en", "you", "ah"]
)
_HUMMED_LETTERS: Final = frozenset("aehmnu")
_CONSONANTS: Final = frozenset("hmn")
"""What a hum is spelled with ("A-H-M-N.", "HNM"): nobody spells a name of these letters into the agent's speech."""


def _is_empty(text: str) -> bool:
    """Whether no word of it means anything by itself ("and and and"): a hum, or nothing yet."""
    words = _plain(text).split()
    return bool(words) and all(
        word in _SAYS_NOTHING or (len(word) == 1 and word in _HUMMED_LETTERS) or set(word) <= _CONSONANTS
        for word in words
    )


def _is_listening(phrase: str) -> bool:
    return phrase in _LISTENING or _is_hum(phrase)


_SOFTENING: Final = re.compile(
    r"^(?:(?:oh|ah|um|uh|er|mm|hm|hmm|okay|ok|yeah|yes|right|well|so|and|hey|hi|sure|i see|please) )+"
)
_DEMANDS: Final = _any_of("""
    wait, stop, no, nope, hold on, hold up, hang on, hold it, excuse me, hey, sorry, i'm sorry, what, pardon,
    one second, one moment, one minute, one sec, 1 second, 1 seconds, 1 moment, 1 minute, just a second,
    just a moment, just a minute, just a sec, just one second, a second, a moment, give me a second, give me a minute,
    give me a moment, actually, but, listen, look, shut up, be quiet, quiet, enough, that's wrong, wrong, not that,
    let me speak, let me talk, let me finish, can i say, may i say, slow down, slower, too fast, say again,
    say that again, come again, repeat, don't, cancel, never mind, nevermind, i have a question, are you there,
    i can't hear you, i didn't, who is this, agent, operator, representative
""")
"""No "hello": who says it into the agent's speech hears the answer, which is that the agent goes on, and tiny.en makes
"Hello?" of an "mm"."""
_DEMAND: Final = re.compile(rf"(?:{_DEMANDS})\b")
_CONTRADICTING: Final = _any_of("""
    it, its, that, this, there, now, not, thanks, thank, me, my, i, i'm, you, we, they, he, she, the, a,
    zero, one, two, three, four, five, six, seven, eight, nine
""")
_NO_DEMAND: Final = re.compile(rf"no (?!(?:{_DEMANDS}|{_CONTRADICTING}|\w*\d\w*)\b)[\w']+")
"""Of an "mm-hm" recognizers make "No, sir." and "No children.": a no with one word behind it with which nobody
contradicts. None of the frozen scenarios' interruptions is like it."""
_SHORT_REQUEST: Final = 8
_A_PERSON: Final = re.compile(
    r"\b(?:human|humans|agent|operator|representative|real person|live person|a person|somebody|supervisor|manager)\b"
)
