"""Whether a caller said yes or no, in the many ways there are.

It decides about things that cannot be undone, so it is lopsided on purpose: **a yes is only what can be
read as yes from the first word to the last**; one word that it does not know, a question mark, a
"but" or a "wait", and the answer is None, which costs one more question. A no may have anything
around it, because a wrong no costs one more question too.

It is not a classifier and learns nothing: a language is a list of phrases, read longest first.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, Literal

Sense = Literal["yes", "mild", "no", "not", "unsure", "thanks", "filler", "other"]
"""`mild` is a yes that also ends conversations ("okay"), `not` a no that swallows a yes right after it ("don't do it");
`filler` changes nothing and means nothing alone."""

ENGLISH: Final[Mapping[Sense, str]] = {
    "yes": """
        yes, yeah, yep, yup, yea, ya, yah, aye, yes sir, yes ma'am, yessir, uh huh, mm hm, mm hmm, mhm, mmhm,
        mmhmm, mm hum, um hum, um hmm, uh hum, sure, sure thing, for sure, absolutely, definitely, certainly,
        totally, indeed, of course, by all means, you bet, you got it, affirmative, agreed, i agree, i
        confirm, confirm, confirmed, i can confirm, correct, exactly, precisely, that's correct, that is
        correct, it's correct, that's right, that is right, it's right, this is correct, this is right, that's
        the one, that is the one, that's it exactly, you're right, you are right, you're correct, that's true,
        true, go ahead, go right ahead, go for it, do it, do that, do so, please do, let's do it, let's do
        that, let's do this, let's go ahead, you can go ahead, you may go ahead, proceed, you may proceed, you
        can proceed, process it, submit it, confirm it, make it so, sounds good, sounds great, sounds right,
        sounds fine, sounds perfect, that sounds good, that sounds great, that sounds right, that sounds fine,
        that sounds perfect, that'll work, that works, works for me, that works for me, that's fine, that is
        fine, that's okay, that is okay, that's ok, that's perfect, that's great, that's good, fine by me,
        fine with me, that's fine with me, okay with me, looks good, that looks right, looks right, that would
        be great, that'd be great, that would be good, that'd be good, that would be lovely, that'd be lovely,
        that would be perfect, that would be fine, i'd like that, i would like that, i'd love that, i'd love
        to, i'd like to, i would like to, i want that, i want it, that's what i want, that is what i want,
        that's what i said, i said yes, i already said yes, i'm sure, i am sure, i'm positive, one hundred
        percent, 100 percent, okey dokey, okie dokie, be my guest, yes indeed, without a doubt, no doubt, you
        have my okay, you have my permission
    """,
    "mild": "okay, ok, kay, k, alright, all right, very well",
    "no": """
        no, nope, nah, naw, nay, negative, no way, no thanks, no thank you, uh uh, nuh uh, mm mm, nuh, never
        mind, nevermind, wrong, that's wrong, incorrect, that's incorrect, not really, not at all, not yet,
        not quite, not exactly, not now, not today, absolutely not, definitely not, certainly not, of course
        not, sure not, i'd rather not, i would rather not, i don't think so, don't think so, forget it, forget
        about it, forget that, stop, stop it, stop that, i changed my mind, i've changed my mind, changed my
        mind, no good, false, leave it, leave it alone, leave it as it is, let it be, hell no, god no
    """,
    "not": """
        not, don't, do not, doesn't, isn't, is not, wasn't, aren't, won't, wouldn't, can't, cannot, didn't,
        never
    """,
    "unsure": """
        wait, wait a minute, wait a second, hold on, hang on, hold up, one second, one moment, one minute,
        just a second, just a moment, just a minute, just a sec, a moment, give me a second, give me a minute,
        give me a moment, let me think, let me check, let me see, not sure, i'm not sure, i am not sure, i'm
        not certain, not certain, not so sure, not too sure, not quite sure, not really sure, no idea, i have
        no idea, no clue, don't know, i don't know, do not know, i dunno, dunno, don't understand, i don't
        understand, do not understand, didn't hear, didn't catch, didn't get, don't remember, can't remember,
        can't hear, can't tell, maybe, maybe not, perhaps, perhaps not, possibly, probably, probably not, i
        guess, i guess so, i guess not, i suppose, i suppose so, i think so, i think, i hope so, kind of, sort
        of, it depends, depends, what, pardon, pardon me, excuse me, come again, who, why, why not, how, when,
        which, don't mind, i don't mind, wouldn't mind, do not mind, don't care, i don't care, no matter,
        doesn't matter, can't wait, actually, yes and no, yes or no, yeah no, no yeah, don't get me wrong, why
        don't you, why don't we, yeah right
    """,
    "thanks": "thanks, thank you, thank you very much, thanks a lot, thank you so much, many thanks, cheers",
    "filler": """
        um, uh, er, erm, ah, oh, hm, hmm, mm, well, so, and, then, please, right, fine, good, great, perfect,
        lovely, wonderful, excellent, cool, nice, very, just, dear, sir, ma'am, madam, miss, hey, hi, hello,
        sorry, i do, i am, i would, i will, it is, it does, it was, that is, that's, they are, we are, you
        can, you may, you could, you are, we can, i want to, if you would, if you could, if you don't mind, if
        you please, no problem, no problem at all, not a problem, no worries, no rush, that's all right,
        that's alright, now, today, with that, for me, with it
    """,
}

_WORD: Final = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[^\x00-\x7f\w\s\u2000-\u206f\u00a1-\u00bf\u3000-\u303f\uff01-\uff0f]")
"""Of any script, and what is no punctuation either ("👎"): what is not known must not be passed over."""


def _lexicon(senses: Mapping[Sense, str]) -> dict[tuple[str, ...], Sense]:
    """Phrases as tuples of words; of a phrase listed twice, the more careful sense counts."""
    lexicon: dict[tuple[str, ...], Sense] = {}
    order: tuple[Sense, ...] = ("yes", "mild", "filler", "thanks", "no", "not", "unsure")
    for sense in order:
        for phrase in senses.get(sense, "").split(","):
            words = tuple(phrase.split())
            if words:
                lexicon[words] = sense
    return lexicon


_LEXICONS: Final = {"en": _lexicon(ENGLISH)}
_LONGEST: Final = {language: max(map(len, lexicon)) for language, lexicon in _LEXICONS.items()}


def yes_or_no(text: str, locale: str = "en-US") -> bool | None:
    """True for a clear yes, False for a no, None when it is neither, both, or in a language not known here."""
    language = locale.split("-", maxsplit=1)[0].lower()
    if language not in _LEXICONS:
        return None
    senses = list(_senses(text, language))
    if "unsure" in senses or "?" in text:
        return None
    agreed = "yes" in senses or "mild" in senses
    refused = "no" in senses or "not" in senses
    if refused:
        return None if agreed else False
    if not agreed or "other" in senses:
        return None
    # "Okay, thanks" ends conversations as often as it agrees.
    return None if "yes" not in senses and "thanks" in senses else True


def _senses(text: str, language: str) -> Iterator[Sense]:
    """The sense of each phrase in `text`, longest phrases first from the left."""
    lexicon, longest = _LEXICONS[language], _LONGEST[language]
    words = tuple(_WORD.findall(text.lower().replace("’", "'")))
    at, previous = 0, ""
    while at < len(words):
        for length in range(min(longest, len(words) - at), 0, -1):
            sense = lexicon.get(words[at : at + length])
            if sense is not None:
                if previous != "not" or sense != "yes":
                    yield sense
                at, previous = at + length, sense
                break
        else:
            yield "other"
            at, previous = at + 1, "other"
