"""Numbers, order ids, ZIP codes, names and e-mail addresses as people say them.

Pure functions from recognised words to what was meant: "W two three seven, eight one five six",
"double four", "oh" for zero, "twenty three seventy eight", "b as in bravo", "W-2-3-7-8-1-5-6.".
They read; they do not check whether an id exists, and they are not for text that people type.

How it works: words become *atoms*, each a few letters and digits or a gap (a word that is
neither). Ids are looked for within runs of atoms first, so that words around an id do not leak into it.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from talkspurt.agent.spoken.number_words import TENS, UNITS, vocabulary

_SCALES: Final = {"hundred": 100, "thousand": 1000}
_REPEATS: Final = {"double": 2, "dubble": 2, "triple": 3, "treble": 3, "quadruple": 4}
_SOUNDS_LIKE: Final = {"to": "2", "too": "2", "for": "4", "ate": "8", "won": "1"}
"""Words that recognizers write for a digit; digits only between digits."""
_SPELLED: Final = {
    word: word[0].upper()
    for word in vocabulary(
        "alpha alfa bravo charlie delta echo foxtrot golf hotel india juliet juliett kilo lima mike november oscar "
        "papa quebec romeo sierra tango uniform victor whiskey whisky yankee zulu zee zed"
    )
} | {
    "xray": "X",
    "dubya": "W",
    "aitch": "H",
    "haitch": "H",
    "tee": "T",
    "vee": "V",
    "bee": "B",
    "dee": "D",
    "gee": "G",
    "jay": "J",
    "kay": "K",
    "pee": "P",
    "cue": "Q",
    "queue": "Q",
    "eff": "F",
    "ess": "S",
    "ell": "L",
}
_SILENT: Final = frozenset(
    vocabulary(
        "um uh er erm dash hyphen minus hash hashtag pound sign space dot point comma slash capital uppercase letter"
    )
)
"""Words inside ids that stand for nothing, or for punctuation."""
_AS_IN: Final = (("as", "in"), ("like",), ("for",), ("as",), ("is", "for"))

_TOKEN: Final = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)?|\d+")
_ORDINAL_ENDINGS: Final = frozenset({"st", "nd", "rd", "th"})


class _Token(NamedTuple):
    text: str
    glued: bool
    """Written without a space to the token before or after it: "W2378"."""


def alphanumerics(text: str) -> str:
    """All letters and digits that were said as such, in capitals: "W two three, double four" → "W2344"."""
    return "".join(atom for atom in _atoms(text) if atom)


def runs(text: str) -> tuple[str, ...]:
    """The unbroken runs of letters and digits that were said as such, in capitals: "W two, and 5" → ("W2", "5")."""
    return tuple(run for run in _runs(_atoms(text)) if run)


def identifiers(text: str, pattern: str) -> tuple[str, ...]:
    """Every part of `text` that reads as `pattern` (capitals and digits), without the words around it.

    Looks in unbroken runs first; an id broken by other words ("W237, let me see, 8156") is found if
    nothing else was. A letter O where the pattern needs a digit is read as zero.
    """
    whole = re.compile(rf"(?<!\d)(?:{pattern})(?!\d)")
    runs = _runs(_atoms(text))
    for candidates in (runs, ["".join(runs)]):
        found = [match.group() for run in candidates for match in whole.finditer(run)]
        found = found or [match.group() for run in candidates for match in whole.finditer(run.replace("O", "0"))]
        if found:
            return tuple(dict.fromkeys(found))
    return ()


def digits(text: str) -> str:
    """The digits that were said, in order, without letters."""
    return re.sub(r"\D", "", alphanumerics(text).replace("O", "0"))


def trailing_characters(text: str) -> str:
    """The letters and digits that `text` ends with, in capitals; "" when it ends in a word."""
    trailing: list[str] = []
    for atom in reversed(_atoms(text)):
        if not atom:
            break
        trailing.insert(0, atom)
    return "".join(trailing)


def numbers(text: str) -> tuple[str, ...]:
    """Every number in `text` by itself: "twelve fifty" → ("12", "50"), "twenty five" → ("25",)."""
    tokens = _tokens(text)
    found: list[str] = []
    at = 0
    while at < len(tokens):
        number, after = _number(tokens, at)
        if number:
            found.append(number)
        at = max(after, at + 1)
    return tuple(found)


def zip_code(text: str) -> str | None:
    """A five-digit US ZIP code, also from ZIP+4 and from "191-22"; None when there is none or more than one."""
    for pattern in (r"\d{5}", r"\d{9}"):
        found = identifiers(text, pattern)
        if len(found) == 1:
            return found[0][:5]
        if found:
            return None
    said = digits(text)
    return said[:5] if len(said) in (5, 9) else None


_MAIL: Final = re.compile(r"[a-z0-9._%+\-]+@[a-z0-9\-]+(?:\.[a-z0-9\-]+)+")
_MAIL_SIGNS: Final = {
    "at": "@",
    "dot": ".",
    "period": ".",
    "point": ".",
    "underscore": "_",
    "dash": "-",
    "hyphen": "-",
    "minus": "-",
    "plus": "+",
}
_MAIL_LEAD_INS: Final = frozenset(
    vocabulary(
        "is it it's its email mail address my under with to the a sure okay yes yeah as me im i'm um uh that's that so "
        "use using be try"
    )
)
TOP_DOMAINS: Final = frozenset(vocabulary("com org net edu gov io us uk co info"))
"""Endings after which a said address is whole: others are too rare to be told from a misheard word."""

_COUNTRY_DOMAINS: Final = frozenset(
    vocabulary("de fr ca au nl it es ch at eu nz ie in jp be se no dk pl br mx me tv ai")
)
"""Endings that make an address whole only behind a "dot", since they are words or parts of words too."""
_CASE: Final = re.compile(r"\b(?:all )?(?:in )?(?:lower|upper|small)[ -]?case\b|\ball one word\b")
_LETTER_AS_IN: Final = re.compile(r"\b([a-z]),? (?:as in|is for|for|like) (?=\1)[a-z]{2,}")


def email_address(text: str) -> str | None:
    """An e-mail address in lower case, written or said ("yusuf dot rossi at example dot com"); None without one."""
    lowered = _CASE.sub(" ", text.lower().replace("’", "'"))
    lowered = _LETTER_AS_IN.sub(r"\1", lowered).replace("under score", "underscore").replace("at sign", "at")
    if written := _MAIL.search(lowered):
        return written.group().strip(".-")
    words = _mail_words(lowered)
    for at in [index for index, word in enumerate(words) if word == "@"]:
        name = _before(words[:at])
        domain = _domain(words[at + 1 :])
        if name and domain:
            return f"{name}@{domain}"
    return None


def _mail_words(text: str) -> list[str]:
    """Words, signs and digits of an address, in order; number words already digits."""
    words: list[str] = []
    raw = re.findall(r"[a-z']+|\d+|[@._+\-]", re.sub(r"\be-?mail\b", "email", text))
    tokens = [_Token(token, glued=False) for token in raw]
    at = 0
    while at < len(tokens):
        word = tokens[at].text
        number, after = _number(tokens, at)
        repeated, after_repeat = _repeat(tokens, at)
        if repeated:
            words.append(repeated.lower())
            at = after_repeat
        elif number and not word.isdigit():
            words.append(number)
            at = after
        else:
            words.append(_MAIL_SIGNS.get(word, word))
            at += 1
    # A recognizer ends sentences with a full stop and puts hyphens between spelled letters.
    return [word for index, word in enumerate(words) if word != "'" and not _spelling_hyphen(words, index)]


def _spelling_hyphen(words: Sequence[str], at: int) -> bool:
    return words[at] == "-" and 0 < at < len(words) - 1 and len(words[at - 1]) == 1 and len(words[at + 1]) == 1


def _before(words: Sequence[str]) -> str:
    """The local part: everything after the last word that only leads up to it."""
    leads = (at + 1 for at, word in enumerate(words) if word in _MAIL_LEAD_INS and not _joined(words, at))
    return "".join(words[max(leads, default=0) :]).strip(".-+")


def _joined(words: Sequence[str], at: int) -> bool:
    """Whether a sign ties the word to its neighbours, as in "a.b"."""
    return bool({*words[max(at - 1, 0) : at], *words[at + 1 : at + 2]} & {".", "_", "-", "+"})


def _domain(words: Sequence[str]) -> str:
    """A domain from the words after the @, up to and with its top-level domain."""
    read: list[str] = []
    for at, word in enumerate(words):
        named = any(part not in (".", "-") for part in read)
        dotted = read[-1:] == ["."]
        if named and (word in TOP_DOMAINS or (dotted and word in _COUNTRY_DOMAINS)):
            read += [word] if dotted else [".", word]
            following = words[at + 1 : at + 3]
            if following[:1] == ["."] and following[-1] in TOP_DOMAINS | _COUNTRY_DOMAINS:
                continue
            return "".join(read)
        if word not in (".", "-") and not word.isalnum():
            return ""
        read.append(word)
    return ""


_NAME_LABEL: Final = re.compile(r"\b(?:first|last) name(?: is)?\b", re.IGNORECASE)
_NAME_LEAD_IN: Final = re.compile(
    r"^.*\b(?:name is|name's|this is|under the name(?: of)?|it's under|that's|it's|it is|i'm|i am|for)\s+",
    re.IGNORECASE,
)
_NOT_NAMES: Final = frozenset(
    vocabulary(
        "yes yeah no sure okay ok um uh my the a first last name is and sir here speaking hi "
        "hello well it's please thanks"
    )
)


def person_name(text: str) -> tuple[str, str] | None:
    """First and last name from "my name is Yusuf Rossi" or just "Yusuf Rossi"; None without two or three names."""
    said = _NAME_LEAD_IN.sub("", _NAME_LABEL.sub(" ", text))
    names = [word for word in re.findall(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*", said) if word.lower() not in _NOT_NAMES]
    if len(names) not in (2, 3):
        return None
    first, last = (name.capitalize() if name.islower() else name for name in (names[0], names[-1]))
    return first, last


# ── reading atoms ─────────────────────────────────────────────────────────────────


def _tokens(text: str) -> list[_Token]:
    tokens = []
    plain = re.sub(r"\b(e)?x[\s-]ray\b", "xray", text.replace("’", "'"), flags=re.IGNORECASE)
    matches = list(_TOKEN.finditer(re.sub(r"(?<=\d),(?=\d{3}\b)", "", plain)))
    for index, match in enumerate(matches):
        before = index > 0 and matches[index - 1].end() == match.start()
        after = index + 1 < len(matches) and matches[index + 1].start() == match.end()
        tokens.append(_Token(match.group(), before or after))
    return tokens


def _atoms(text: str) -> list[str]:
    """Letters and digits in order; "" is a gap made by a word that is neither."""
    tokens = _tokens(text)
    atoms: list[str] = []
    at = 0
    while at < len(tokens):
        atom, at = _atom(tokens, at, in_digits=bool(atoms) and atoms[-1][-1:].isdigit())
        if atom is not None:
            atoms.append(atom)
    return atoms


def _atom(tokens: Sequence[_Token], at: int, *, in_digits: bool) -> tuple[str | None, int]:
    """The atom that begins at `at` and the index after it; None for a word that stands for nothing."""
    text, glued = tokens[at]
    word = text.lower()
    following = tokens[at + 1].text.lower() if at + 1 < len(tokens) else ""
    repeated, after = _repeat(tokens, at)
    if repeated:
        return repeated, after
    number, after = _number(tokens, at)
    if number:
        return number, after
    if word in _SOUNDS_LIKE and in_digits and _is_digit(following):
        return _SOUNDS_LIKE[word], at + 1
    if word in _SILENT:
        return None, at + 1
    if glued and word in _ORDINAL_ENDINGS:
        return "", at + 1
    if len(word) == 1 and word.isalpha():
        return _letter(tokens, at, in_digits=in_digits)
    if glued and word.isalpha() and len(word) <= 4:
        return word.upper(), at + 1
    if text.isupper() and len(text) <= 3 and (_is_digit(following) or in_digits):
        return text, at + 1
    if word in _SPELLED and (in_digits or _is_character(following) or (at > 0 and _is_character(tokens[at - 1].text))):
        return _SPELLED[word], at + 1
    return "", at + 1


def _letter(tokens: Sequence[_Token], at: int, *, in_digits: bool) -> tuple[str, int]:
    """A letter said alone, perhaps with a word that makes it plain: "b as in bravo"."""
    word = tokens[at].text.lower()
    rest = [token.text.lower() for token in tokens[at + 1 : at + 4]]
    for link in _AS_IN:
        if tuple(rest[: len(link)]) == link and len(rest) > len(link):
            example = rest[len(link)]
            if example.startswith(word) and len(example) > 1:
                return word.upper(), at + 2 + len(link)
    if rest[:1] and _SPELLED.get(rest[0]) == word.upper():
        return word.upper(), at + 2
    if word == "o" and (in_digits or (rest and _is_digit(rest[0]))):
        return "0", at + 1
    goes_on = at > 0 and _is_character(tokens[at - 1].text) and rest[:1] and rest[0] in _SILENT
    if word in "ia" and rest and not _is_character(rest[0]) and not goes_on:
        return "", at + 1
    return word.upper(), at + 1


def _repeat(tokens: Sequence[_Token], at: int) -> tuple[str, int]:
    """What "double four" or "triple nine" stands for, and "double u", which is a letter; ("", at) without one."""
    times = _REPEATS.get(tokens[at].text.lower())
    if times is None or at + 1 >= len(tokens):
        return "", at
    what = tokens[at + 1].text.lower()
    if times == 2 and what in ("u", "you", "yew"):
        return "W", at + 2
    if what in UNITS and UNITS[what] < 10:
        return str(UNITS[what]) * times, at + 2
    if what == "o":
        return "0" * times, at + 2
    if what.isdigit():
        return what[0] * times + what[1:], at + 2
    if len(what) == 1:
        return what.upper() * times, at + 2
    return "", at


def _number(tokens: Sequence[_Token], at: int) -> tuple[str, int]:
    """The digits of one number: "twenty three" → "23", "two hundred and five" → "205"; ("", at) without one."""
    value, after = _below_hundred(tokens, at)
    if value is None:
        return "", at
    scaled = False
    total = 0
    while after < len(tokens) and tokens[after].text.lower() in _SCALES:
        scaled = True
        total += value * _SCALES[tokens[after].text.lower()]
        after += 1
        link = after + 1 if after < len(tokens) and tokens[after].text.lower() == "and" else after
        rest, after_rest = _below_hundred(tokens, link) if link < len(tokens) else (None, after)
        if rest is None:
            return str(total), after
        value, after = rest, after_rest
    if scaled:
        return str(total + value), after
    return (tokens[at].text if tokens[at].text.isdigit() else str(value)), after


def _below_hundred(tokens: Sequence[_Token], at: int) -> tuple[int | None, int]:
    word = tokens[at].text.lower()
    if word.isdigit():
        return int(word), at + 1
    if word in UNITS:
        return UNITS[word], at + 1
    if word not in TENS:
        return None, at
    unit = UNITS.get(tokens[at + 1].text.lower(), 0) if at + 1 < len(tokens) else 0
    return (TENS[word] + unit, at + 2) if 1 <= unit <= 9 else (TENS[word], at + 1)


def _runs(atoms: Sequence[str]) -> list[str]:
    runs = [""]
    for atom in atoms:
        if atom:
            runs[-1] += atom
        elif runs[-1]:
            runs.append("")
    return runs


def _is_digit(word: str) -> bool:
    return word.isdigit() or word in UNITS or word in TENS or word in _REPEATS or word == "o"


def _is_character(word: str) -> bool:
    word = word.lower()
    return _is_digit(word) or (len(word) == 1 and word.isalpha()) or word in _SPELLED
