"""How good a witness `align` is: speech whose words lie at known places, cut at random, counted.

The truth is the local voice's own phoneme durations, which `align` never sees: it gets fresh speech of the same text
as its template, and finds words in that by ear.

    python -m benchmarks.turns.align_validation [--cuts 5]

prints the share of cuts and of resumed replies where the count of heard words is right, exactly and to within one.
"""

import argparse
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from benchmarks.turns.align import (
    HOP,
    RATE_HZ,
    Samples,
    Stretch,
    Templates,
    Text,
    align,
    silent_frames,
    words_of,
)

from talkspurt.config import load_config
from talkspurt.media.g711 import decode_mulaw, encode_mulaw
from talkspurt.speech.piper_voice import DEFAULT_VOICE, VOICES, Voice, load_voice, render
from talkspurt.speech.weights import WeightStore

GOAL: Final = 0.99

SENTENCES: Final = (
    "Thank you for calling Acme Store, how can I help you today?",
    "Your order was shipped yesterday and should arrive by Friday.",
    "I found three items in that order: a water bottle, a desk lamp, and running shoes.",
    "Could you please give me your order number, one digit at a time?",
    "Let me check that for you.",
    "I am sorry, but that order has already been delivered.",
    "To cancel this order I need your confirmation, is that right?",
    "The refund of twenty four dollars will go back to your original payment method within seven days.",
    "What is your zip code?",
    "Please hold on a second while I look this up.",
    "I can help with returns, exchanges, refunds, and changes to your account.",
    "Your new address is twelve Maple Street, Denver, Colorado.",
    "Is there anything else I can do for you?",
    "The blue one costs nineteen dollars and ninety nine cents.",
    "Your order number is W two three seven, eight one five six, correct?",
    "I could not find an account with that email address, so could you spell it for me?",
    "Sorry, I did not catch that.",
    "The package left our warehouse on Monday morning. It should be with you tomorrow.",
    "You will receive an email when the exchange has been processed.",
    "Just to be sure, you want to return the headphones and keep the charger, is that right?",
    "Our support team is open from eight to five on weekdays. On Sundays we are closed.",
    "That item is currently out of stock, but a similar one is available.",
    "Please tell me your first and last name.",
    "Unfortunately returns are only possible within thirty days after delivery.",
    "You paid with a gift card, and the balance was eighty two dollars.",
    "Okay, your request has been cancelled and nothing was charged.",
    "The tracking number ends with four four seven one.",
    "I have put it on list 731. What else can I do for you?",
    "Which one would you like to talk about?",
    "The desk lamp is available in white, black, and silver.",
    "A person from our team will call you back tomorrow.",
    "It seems that your phone line is a bit noisy, could you repeat that?",
    "The total comes to 105 dollars for 16 items.",
    "No problem, we can change the size from medium to large.",
    "Do you want me to go ahead with this change?",
    "Every order above fifty dollars ships free of charge.",
    "Your loyalty points will expire at the end of next month.",
    "The courier tried to deliver it twice, but nobody was home.",
    "Great news, your parcel is already on the truck. It carries number 382, not 17.",
    "If you prefer, I can transfer you to one of my colleagues.",
)


@dataclass(frozen=True, slots=True)
class Known:
    """Speech and the places of its words in samples."""

    text: str
    samples: Samples
    words: tuple[tuple[int, int], ...]

    def heard(self, begin: int, end: int) -> int:
        """Words of which at least half lies in `begin`..`end`."""
        return sum(min(end, last) - max(begin, first) >= (last - first) / 2 for first, last in self.words)


@lru_cache(maxsize=1)
def _voice() -> Voice:
    return load_voice(WeightStore.from_config(load_config()), VOICES[DEFAULT_VOICE], 1)


def known_speech(text: str) -> Known:
    """Speak `text` and take its words' places from the voice. Raises `WeightsError`, `ValueError` without durations."""
    chunks = list(render(_voice(), text))
    pcm = b"".join(chunk.pcm for chunk in chunks)
    samples = np.frombuffer(decode_mulaw(encode_mulaw(pcm)), dtype="<i2").astype(np.int16)
    begins = [round(at * RATE_HZ) for chunk in chunks for word, at in chunk.words if words_of(word)]
    if len(begins) != len(words_of(text)):
        raise ValueError("the voice does not say where its words are; run: talkspurt models pull")
    silent = silent_frames(samples)
    words = []
    for begin, following in zip(begins, [*begins[1:], len(samples)], strict=True):
        # A pause belongs to no word: the voice counts it to the one before.
        voiced = np.flatnonzero(~silent[begin // HOP : following // HOP])
        words.append((begin, min(following, (begin // HOP + int(voiced[-1]) + 1) * HOP) if len(voiced) else following))
    return Known(text, samples, tuple(words))


@dataclass(frozen=True, slots=True)
class Outcome:
    """Errors in words, one per trial; positive when too many were found."""

    cut: tuple[int, ...]
    resumed: tuple[int, ...]
    """At the place where a reply that had been cut was taken up again."""


def validate(speech: Sequence[Known], templates: Templates, *, cuts: int, seed: int = 3) -> Outcome:
    """Cut each of `speech` at `cuts` random points; take it up again at a random word; compare with the truth."""
    chance = random.Random(seed)
    cut_errors, resume_errors = [], []
    for number, known in enumerate(speech):
        decoy = speech[(number + 1) % len(speech)].text
        texts = [Text(decoy), Text(known.text)]
        for _ in range(cuts):
            cut = chance.randrange(RATE_HZ // 3, len(known.samples))
            stretches = [one for one in align(known.samples[:cut], texts, templates) if one.text == 1]
            found = max((stretch.heard.stop for stretch in stretches), default=0)
            cut_errors.append(found - known.heard(0, cut))

            spoken = known.heard(0, cut)
            again = max(0, min(spoken, len(known.words) - 3) - chance.randrange(3))
            begin = known.words[again][0]
            pause = np.zeros(chance.randrange(RATE_HZ // 4, RATE_HZ), dtype=np.int16)
            played = np.concatenate((known.samples[:cut], pause, known.samples[begin:]))
            resume_errors.append(_taken_up(align(played, texts, templates), (cut + len(pause)) / RATE_HZ) - again)
    return Outcome(tuple(cut_errors), tuple(resume_errors))


def _taken_up(stretches: Sequence[Stretch], at: float) -> int:
    """The word with which the second text goes on at `at`; -99 when something else is heard there."""
    for stretch in stretches:
        if stretch.text == 1 and stretch.end > at:
            if stretch.begin > at - 0.1:
                return stretch.enters
            return min(stretch.words, key=lambda word: abs(word.begin - at)).index
    return -99


def main() -> int:
    """Print both rates; 2 when one is below the goal."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--cuts", type=int, default=5, help="per sentence")
    outcome = validate([known_speech(text) for text in SENTENCES], Templates(), cuts=arguments.parse_args().cuts)
    good = True
    for name, errors in (("cut", outcome.cut), ("resumed", outcome.resumed)):
        within = sum(abs(error) <= 1 for error in errors) / len(errors)
        exact = sum(error == 0 for error in errors) / len(errors)
        good = good and within >= GOAL
        print(f"{name:8} n {len(errors):4}  exact {exact:6.1%}  within one word {within:6.1%}  goal {GOAL:.0%}")
    return 0 if good else 2


if __name__ == "__main__":
    sys.exit(main())
