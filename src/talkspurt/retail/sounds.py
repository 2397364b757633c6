"""How much two names sound alike to a small recognizer on a telephone line, from their spelling alone.

Pure. English letters become rough speech sounds, in which vowels hardly count, and consonants of one kind (stops,
hisses, nasals, glides) are nearer to each other than to the rest: that is how "they pile" is like "PayPal", and
"discard" like "gift card", though few of their letters agree. It is no pronunciation dictionary, and what it finds is
only ever proposed: the caller hears the name and decides.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

_SPELLINGS: Final = (
    (r"tch|ch", "C"),
    (r"sch|sh|[ct]i(?=on|ou|al)", "S"),
    (r"ph", "f"),
    (r"th", "T"),
    (r"(?<=[a-z])gh(?=t|\b)", ""),
    (r"ck|q(?!u)", "k"),
    (r"qu", "kw"),
    (r"\b[kg](?=n)|\bw(?=r)|(?<=m)b\b", ""),
    (r"c(?=[eiy])", "s"),
    (r"c", "k"),
    (r"x", "ks"),
    (r"dge|g(?=e\b)", "j"),
    (r"\by(?=[aeiou])", "Y"),
    (r"(?<=[^aeiouy\W])e\b|e(?=s\b)", ""),
    (r"[ou][aeiouy]*h?w?(?![a-z])|[ou][aeiouy]*h?", "o"),
    (r"a[aeiouy]*h?", "a"),
    (r"[eiy][aeiouy]*h?", "i"),
)
"""Letters to sounds, in this order; every run of vowels is one, by its first."""
_SOUNDS: Final = tuple((re.compile(pattern), sound) for pattern, sound in _SPELLINGS)
_KINDS: Final = ("pbtdkg", "fvTszSCjh", "mn", "lrwY")
"""Sounds that a narrow line makes alike."""
_PAIRS: Final = ("pb", "td", "kg", "fv", "sz", "SC", "Cj", "fT", "mn", "lr", "lw")
"""Sounds that differ by voicing, or hardly at all."""
_VOWELS: Final = "aio"
_VOWEL: Final = 0.5
"""What a vowel too many or too few costs; a consonant costs 1."""
_NEAR: Final = 0.35
"""What one sound in place of another costs within a pair, or a vowel for a vowel."""
_SAME_KIND: Final = 0.6
_MOST_WORDS: Final = 4
"""Words into which one name is torn at most."""
_SHORTEST: Final = 4.0
"""Weight of the shortest row of sounds that is compared: less is like everything."""
_PART: Final = 0.88
"""What a likeness to the last word of a name alone is worth."""
_LIKE: Final = (0.68, 0.08)
"""The least likeness at which a name is proposed, and how much more alike it must be than any other. Names that a small
recognizer misheard on the line had 0.70 to 0.95; "blender" has 0.63 to "vacuum cleaner"."""
_FAR_LIKE: Final = (0.55, 0.2)
"""The same where no other name comes near: "air fire" among what was ordered with an air purifier."""

_COSTS: Final = {
    frozenset((one, other)): cost
    for groups, cost in ((_KINDS, _SAME_KIND), ((*_PAIRS, _VOWELS), _NEAR))
    for group in groups
    for one in group
    for other in group
    if one != other
}


def nearest(words: Sequence[str], names: Iterable[str]) -> str | None:
    """The one of `names` that some of the `words` in a row sound like; None when none does, or two do."""
    counts = range(1, _MOST_WORDS + 1)
    rows = {" ".join(words[at : at + count]) for count in counts for at in range(len(words) - count + 1)}
    heard = [sounds for sounds in map(_sounds, rows) if _weight(sounds) >= _SHORTEST / 2]
    scores = sorted(((*_scores(name, heard), name) for name in set(names)), key=lambda score: -max(score[:2]))
    if not scores:
        return None
    whole, part, name = scores[0]
    lead = max(whole, part) - max((max(score[:2]) for score in scores[1:]), default=0.0)
    is_like = max(whole, part) >= _LIKE[0] and lead >= _LIKE[1]
    return name if is_like or (whole >= _FAR_LIKE[0] and lead >= _FAR_LIKE[1]) else None


def _scores(name: str, heard: Iterable[str]) -> tuple[float, float]:
    """How much the likeliest of what was `heard` is like a name, and like its last word."""
    form, part = _sounds(name), _sounds(re.split(r"\W", name)[-1])
    forms = ((form, 1.0), (part if part != form else "", _PART))
    whole, last = (
        max((worth * _likeness(each, spoken) for spoken in heard), default=0.0) if _weight(each) >= _SHORTEST else 0.0
        for each, worth in forms
    )
    return whole, last


def _sounds(text: str) -> str:
    spelled = re.sub(r"([b-df-hj-np-tv-z])\1", r"\1", re.sub(r"[^a-z ]", "", text.lower()))
    for pattern, sound in _SOUNDS:
        spelled = pattern.sub(sound, spelled)
    return re.sub(r"(.)\1+", r"\1", spelled.replace(" ", ""))


def _weight(sounds: str) -> float:
    return sum(_VOWEL if sound in _VOWELS else 1.0 for sound in sounds)


def _likeness(one: str, other: str) -> float:
    return max(0.0, 1.0 - _distance(one, other) / max(_weight(one), _weight(other)))


def _distance(one: str, other: str) -> float:
    """The cheapest way from one row of sounds to the other (Wagner and Fischer, with costs of their own)."""
    row = [0.0]
    for sound in other:
        row.append(row[-1] + _weight(sound))
    for mine in one:
        before, row = row, [row[0] + _weight(mine)]
        for place, sound in enumerate(other):
            cost = 0.0 if mine == sound else _COSTS.get(frozenset((mine, sound)), 1.0)
            row.append(min(before[place] + cost, before[place + 1] + _weight(mine), row[place] + _weight(sound)))
    return row[-1]
