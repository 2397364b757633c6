"""Wrote `scenarios.json`: `python -m benchmarks.turns.generate`. 203 calls were frozen before anything was tuned.

Kept so that anybody can see how the scenarios came about; the same seed gives the same file. To add calls, draw them
behind all others, so that those stay what they are. To change any is to make another benchmark, and older figures are
no longer comparable. Either way `scenarios.SHA256` must change with them, in a commit of its own.
"""

import json
import random
from collections.abc import Sequence
from typing import Any, Final

from benchmarks.turns.scenarios import DIGITS, FILE

SEED: Final = 20_261_125

PLAIN: Final = (
    "I'd like to return a lamp.",
    "Where is my order?",
    "The shade was broken when I opened the box.",
    "I never received the second parcel.",
    "I want to change the delivery address.",
    "Could you tell me when it will arrive?",
    "I ordered the wrong color.",
    "The cable is too short for my desk.",
    "I was charged twice for the same lamp.",
    "My neighbor took the parcel for me.",
    "I would like to cancel the blue one.",
    "It makes a strange noise when I turn it on.",
    "The driver left it in front of the garage.",
    "Can I pay with a gift card?",
    "I'd rather have the money back.",
    "It was a present for my sister.",
    "The box was open when it came.",
    "I bought it about three weeks ago.",
    "Please send the invoice again.",
    "There is a scratch on the base.",
    "I forgot my password.",
    "Do you have it in green?",
    "I moved to another city last month.",
    "The bulb burned out after two days.",
    "I need it before the weekend.",
    "Nobody answered my message.",
    "The tracking page shows nothing.",
    "I want to speak about my refund.",
    "The manual is missing.",
    "I'd like to add another lamp to my order.",
    "It's the tall one with the white shade.",
    "Somebody already called me about it.",
    "How long does a refund take?",
    "I think the switch is defective.",
    "My son knocked it over yesterday.",
    "I threw away the receipt.",
)

CLAUSES: Final = (
    ("I'd like to return a lamp.", "It arrived broken."),
    ("I ordered two of them.", "Only one was in the box."),
    ("My order has not arrived.", "It should have been here on Monday."),
    ("I paid by card.", "The money was taken twice."),
    ("The shade is fine.", "The base has a crack."),
    ("I called last week.", "They promised me a refund."),
    ("I want to change my address.", "I moved in with my sister."),
    ("It worked for two days.", "Then the light went out."),
    ("I have the parcel here.", "It is not what I ordered."),
    ("The blue one is too big.", "I would like the small one."),
    ("I got your message.", "I don't understand what it means."),
    ("You sent me the wrong cable.", "I need the long one."),
    ("I was not at home.", "The driver left no note."),
    ("I'd like to cancel my order.", "I found a cheaper one."),
    ("The color is different.", "On the picture it looked darker."),
    ("I already sent it back.", "That was two weeks ago."),
    ("It's a present for my mother.", "Her birthday is on Friday."),
    ("I can't log in any more.", "It says that my password is wrong."),
    ("The lamp flickers.", "I tried another bulb."),
    ("There is a number on the box.", "I can read it to you."),
)

INSIDE: Final = (
    ("I'd like to return", "the blue lamp."),
    ("I wanted to ask you about", "the refund for my last order."),
    ("My order was supposed to arrive on", "Tuesday morning."),
    ("I think the problem is with the", "switch on the cable."),
    ("Could you please send it to", "my office in Boston?"),
    ("It was delivered to", "the wrong apartment."),
    ("I bought it because", "my old one broke."),
    ("The one that I want is the", "tall one with two bulbs."),
    ("I would like to know if", "you still have it in green."),
    ("I paid with my", "other credit card."),
    ("We were told that the", "parcel would come today."),
    ("I need to change the", "name on the invoice."),
    ("Can you tell me whether the", "shade can be washed?"),
    ("The last time I called, you said that", "I would get a new one."),
    ("What I actually want is", "my money back."),
    ("I have been waiting for", "more than three weeks."),
)

THREE: Final = (
    (
        ("I'd like to return a lamp.", "clause"),
        ("It arrived broken,", "inside"),
        "and the box was wet.",
    ),
    (
        ("I ordered it on Monday.", "clause"),
        ("You said that it would come on", "inside"),
        "Thursday or Friday.",
    ),
    (
        ("There were two lamps in the box.", "clause"),
        ("One is fine.", "clause"),
        "The other one has no bulb.",
    ),
    (
        ("I called you yesterday about", "inside"),
        ("my refund.", "clause"),
        "Nobody called me back.",
    ),
    (
        ("My name is Miller.", "clause"),
        ("I live in Boston.", "clause"),
        "I have a question about my order.",
    ),
    (
        ("I would like to change", "inside"),
        ("the address for my order.", "clause"),
        "We moved last week.",
    ),
)

FILLERS: Final = (
    ("Um,", "I'd like to ask about my order."),
    ("Well, um,", "the lamp does not work."),
    ("I'm calling because, um,", "my parcel is lost."),
    ("It was, uh,", "the green one."),
    ("Let me think,", "it was the third of May."),
    ("Yes, so, um,", "I want to send it back."),
    ("I need, uh,", "two more bulbs."),
    ("You know, um,", "I changed my mind."),
)

CORRECTIONS: Final = (
    ("My order is, no wait,", "I mean the other one."),
    ("I ordered two lamps, no,", "sorry, it was three."),
    ("It came on Monday, no wait,", "it was Tuesday."),
    ("I want the blue one, actually no,", "the green one."),
    ("Send it to my office, no,", "please send it home."),
    ("I paid by card, sorry,", "I mean with a gift card."),
    ("It's for my brother, no,", "for my sister."),
    ("I called on Friday, wait,", "that was Thursday."),
)

YES_NO: Final = (
    "Yes.", "No.", "Yeah, that's right.", "No, it isn't.", "Correct.", "Yep.", "Nope.", "Sure.", "Yes, please.",
    "That's right.", "No, thank you.", "Yes, it is.", "Yeah.", "No, that's wrong.", "Okay.", "Of course.",
)  # fmt: skip

ONE_WORD: Final = (
    "Tomorrow.", "Monday.", "Blue.", "Two.", "Nothing.", "Boston.", "Today.", "Miller.", "Maybe.", "Friday.",
    "Seven.", "Green.", "Thanks.", "Never.", "Twice.", "Morning.", "Refund.", "Lamps.",
)  # fmt: skip

INTERRUPTIONS: Final = (
    "Wait, stop.",
    "No, that's not what I asked.",
    "Hold on a second, I have another question.",
    "Actually, can you cancel it?",
    "Excuse me, I need something else.",
    "Sorry, can I ask you something?",
    "That is not the one I mean.",
    "I don't want to hear about that.",
    "How much does it cost?",
    "Can you tell me about the other one?",
    "Listen, I only want my money back.",
    "Okay, but when does it arrive?",
)
SHORT_INTERRUPTIONS: Final = ("Stop.", "No, wait.", "Wait.", "Hold on.", "Stop it.", "No, no.")

BACKCHANNELS: Final = ("Mm-hm.", "Uh-huh.", "Okay.", "Right.", "Yeah.", "I see.", "Mm.", "Sure.")
SPELLED: Final = {"Mm-hm.": "Mm hmm.", "Mm.": "Hmm."}
"""What stands for the sound in the frozen scenarios: `voices` gives the synthesizers its phones."""

SIDE_TALK: Final = (
    "Dinner's nearly ready.",
    "Can you close the door please?",
    "Where did you put the keys?",
    "I'm going out for a minute.",
    "The meeting starts at half past two.",
    "Did you feed the cat this morning?",
    "And now the weather for the weekend.",
    "Mom, can I watch television?",
    "Somebody is at the door.",
    "Tell him that I'll call back later.",
    "More news after the break.",
    "Who left the lights on?",
    "We are out of coffee again.",
    "The printer is not working.",
)

GO_ON: Final = ("Go on, please.", "Please continue.", "Yes, tell me more.", "Go ahead.")

FLITE: Final = ("flite:slt", "flite:rms", "flite:slt", "flite:rms", "flite:awb", "flite:kal16")
ESPEAK: Final = ("espeak:en-us", "espeak:en-us+f2")
RECORDED_DIGITS: Final = ("jackson", "nicolas")
RECORDED_SENTENCES: Final = (
    ("arctic/cmu_arctic_us_axb_a0004.wav", "Lord, but I'm glad to see you again, Phil."),
    ("arctic/cmu_arctic_us_axb_a0005.wav", "Will we ever forget it?"),
    ("arctic/cmu_arctic_us_axb_a0006.wav", "God bless 'em, I hope I'll go on seeing them forever."),
    ("arctic/cmu_arctic_us_aew_a0003.wav", "For the twentieth time that evening the two men shook hands."),
    ("librivox/sense_and_sensibility_01_austen_64kb-0880.wav", "He was not an ill-disposed young man."),
    ("librivox/sense_and_sensibility_01_austen_64kb-0930.wav", "He might even have been made amiable himself."),
)

AGENTS: Final = {
    "yesno": "yesno", "entity": "entity", "interruption": "long", "distraction": "long", "side-talk": "long",
    "echo": "long",
}  # fmt: skip
"""Which of the agents answers a kind of call; all others are answered by the ordinary one."""

Step = dict[str, Any]
Part = dict[str, Any]


class Generator:
    """Draws scenarios, all from one source of chance."""

    def __init__(self) -> None:
        self._draw = random.Random(SEED)
        self._scenarios: list[dict[str, Any]] = []

    def all(self) -> list[dict[str, Any]]:
        """Every scenario."""
        self._frozen()
        self._draw.shuffle(self._scenarios)
        self._further()
        return self._scenarios

    def _frozen(self) -> None:
        """What was frozen before anything was tuned."""
        self._calls("ordinary", 31, quick=(2, 8))
        self._calls("yesno", 19, quick=(1, 14))
        self._calls("entity", 31, quick=(2, 7))
        self._calls("interruption", 38, quick=(2, 7))
        self._calls("distraction", 15, quick=(2, 10))
        self._calls("side-talk", 17, quick=(1, 11))
        self._calls("side-talk-quiet", 16, quick=(1, 8))
        self._calls("echo", 12, quick=(1, 6))
        self._calls("echo-turn", 4, quick=(1, 8))
        self._calls("silence", 4, quick=(1, 4))
        self._calls("both-start", 12, quick=(1, 6))
        self._calls("one-word", 4, quick=(1, 12))

    def _further(self) -> None:
        """Added when all goals had been reached, and drawn by the same rules, before anything was tuned to them.

        Of the three hundred turns placed for each row some cannot be measured; with these, three hundred can.
        """
        frozen = len(self._scenarios)
        self._calls("ordinary", 3, first=31)
        self._calls("yesno", 3, first=19)
        self._calls("interruption", 2, first=38)
        self._calls("distraction", 1, first=15)
        self._calls("side-talk", 1, first=17)
        self._calls("side-talk-quiet", 1, first=16)
        self._calls("echo", 2, first=12)
        self._scenarios[frozen:] = [{**scenario, "further": True} for scenario in self._scenarios[frozen:]]

    def _calls(self, kind: str, count: int, *, first: int = 0, quick: tuple[int, int] = (0, 0)) -> None:
        """`count` calls, numbered from `first` on; of how many of them a quick run takes how many steps."""
        for number in range(first, first + count):
            voice = ESPEAK[number // 6 % 2] if number % 6 == 5 else FLITE[number % len(FLITE)]
            self._scenarios.append(
                {
                    "id": f"{kind}-{number:03d}",
                    "agent": AGENTS.get(kind, "ordinary"),
                    "voice": voice,
                    "channel": self._channel(number, echo=kind in ("echo", "echo-turn")),
                    "seed": self._draw.randrange(1 << 30),
                    "quick_steps": quick[1] if number < quick[0] else 0,
                    "steps": self._steps(kind, number, voice),
                }
            )

    def _steps(self, kind: str, number: int, voice: str) -> list[Step]:
        match kind:
            case "ordinary":
                return self._ordinary(number, voice)
            case "yesno":
                return self._yes_no(number)
            case "entity":
                return self._entities(voice)
            case "interruption":
                return self._interruptions()
            case "distraction":
                return self._distractions(number)
            case "side-talk":
                return self._side_talk(voice)
            case "side-talk-quiet":
                return self._quiet_side_talk(voice)
            case "echo":
                return self._echo()
            case "echo-turn":
                return self._ordinary(number, voice, "echo_turn")
            case "silence":
                return self._silence()
            case "both-start":
                return self._both_start()
            case "one-word":
                return self._one_word()
        raise ValueError(f"no calls of kind '{kind}'")

    def _channel(self, number: int, echo: bool) -> dict[str, Any]:
        draw = self._draw
        channel: dict[str, Any] = {"level_db": round(draw.uniform(-8, 4), 1)}
        if draw.random() < 0.55:
            channel |= {
                "noise": draw.choice(("babble", "street", "music")),
                "snr_db": draw.choice((25, 20, 20, 15, 10)),
            }
        if draw.random() < 0.4:
            channel |= {"loss": draw.choice((0.01, 0.02, 0.03, 0.05)), "jitter_ms": draw.choice((20, 40, 60))}
        if echo:
            channel |= {"echo_db": (-20, -25, -30, -35, -40)[number % 5], "echo_delay_ms": draw.randrange(40, 251)}
        elif draw.random() < 0.2:
            channel |= {"echo_db": draw.choice((-35, -40)), "echo_delay_ms": draw.randrange(40, 251)}
        return channel

    # ── rows ──────────────────────────────────────────────────────────────────────

    def _say(self, row: str, parts: list[Part], tags: Sequence[str] = (), *, one: bool = True, **more: Any) -> Step:
        """The caller answers, `wait` seconds after the agent has finished."""
        return {"do": "answer", "row": row, "wait": round(self._draw.uniform(0.25, 0.8), 2), "parts": parts,
                "one_utterance": one, "tags": list(tags), **more}  # fmt: skip

    def _ordinary(self, number: int, voice: str, row: str = "ordinary") -> list[Step]:
        # As in life: some callers pause often, some never, most now and then.
        share = (0.5, 0.85, 0.45, 0.1)[number % 4]
        steps = []
        for _ in range(10):
            if self._draw.random() < share:
                steps.append(self._paused(voice, row))
            elif self._draw.random() < 0.06:
                file, text = self._draw.choice(RECORDED_SENTENCES)
                instead = self._draw.choice(PLAIN)
                steps.append(self._say(row, [{"files": [file], "text": text}], ("plain", "recorded"), instead=instead))
            else:
                steps.append(self._say(row, [{"text": self._draw.choice(PLAIN)}], ("plain",)))
        return steps

    def _paused(self, voice: str, row: str) -> Step:
        draw = self._draw
        tags = ["paused"]
        if draw.random() < 0.12:
            seconds = [draw.uniform(1.02, 1.5)]
            tags.append("long_pause")
        else:
            seconds = [draw.uniform(0.3, 1.0)]
        kind = "clause" if voice.startswith("espeak") else draw.choices(
            ("clause", "inside", "three", "filler", "correction"), (45, 22, 15, 8, 10)
        )[0]  # fmt: skip
        one = True
        match kind:
            case "clause":
                first, second = draw.choice(CLAUSES)
                one = not voice.startswith("espeak") and draw.random() < 0.7
                pieces, places = [first, second], ["clause"]
            case "inside":
                pieces, places = list(draw.choice(INSIDE)), ["inside"]
            case "three":
                (first, place), (second, other), third = draw.choice(THREE)
                pieces, places = [first, second, third], [place, other]
                seconds.append(draw.uniform(0.3, 1.0))
            case "filler":
                pieces, places = list(draw.choice(FILLERS)), ["filler"]
            case _:
                pieces, places = list(draw.choice(CORRECTIONS)), ["filler"]
        return self._say(row, _with_pauses(pieces, seconds, places), [*tags, kind], one=one)

    def _yes_no(self, number: int) -> list[Step]:
        steps = []
        for turn in range(16):
            text = self._draw.choice(YES_NO)
            tags = ["plain"]
            if turn == 7 and number % 2:
                text, file = ("Yes.", "short/yes_1000ms.wav") if number % 4 == 1 else ("No.", "short/no_1000ms.wav")
                steps.append(self._say("yesno", [{"files": [file], "text": text}], [*tags, "recorded"], instead=text))
            else:
                steps.append(self._say("yesno", [{"text": text}], tags))
        return steps

    def _entities(self, voice: str) -> list[Step]:
        """Two of each kind, in the order in which the agent asks; the runner takes the kind that was asked for."""
        return [self._entity(kind, voice) for kind in ("order_id", "email", "phone", "zip", "amount")] + [
            self._entity(kind, voice) for kind in ("order_id", "email", "phone", "zip", "amount")
        ]

    def _entity(self, kind: str, voice: str) -> Step:
        draw = self._draw
        digits = [draw.randrange(10) for _ in range(10)]
        opening = draw.choice(("", "", "It's ", "That's "))
        match kind:
            case "order_id":
                digits = digits[:7]
                value = "W" + "".join(map(str, digits))
                groups = _groups(digits, draw.choice(((2, 2, 3), (3, 4), (3, 2, 2), (1, 3, 3))))
                groups[0] = f"W {groups[0]}"
            case "email":
                first, last = (
                    draw.choice(("jane", "robert", "susan", "mark")),
                    draw.choice(("miller", "baker", "hill", "cooper")),
                )
                host = draw.choice(("example", "mail", "office"))
                value = f"{first}.{last}@{host}.com"
                groups = draw.choice(
                    ([f"{first} dot {last}", f"at {host} dot com"], [first, f"dot {last}", f"at {host}", "dot com"])
                )
            case "phone":
                digits[0] = draw.randrange(2, 10)
                value = "".join(map(str, digits))
                groups = _groups(digits, draw.choice(((3, 3, 4), (3, 3, 2, 2))))
            case "zip":
                digits = digits[:5]
                value = "".join(map(str, digits))
                groups = _groups(digits, draw.choice(((5,), (3, 2), (2, 3))))
            case _:
                dollars, cents = draw.randrange(21, 99), draw.choice((25, 50, 75, 99))
                value = f"{dollars}.{cents}"
                groups = draw.choice(
                    ([f"{_tens(dollars)} dollars", f"and {_tens(cents)} cents"], [f"{_tens(dollars)} {_tens(cents)}"])
                )
        groups[0] = (opening + groups[0]).capitalize() if opening else groups[0]
        seconds = [draw.uniform(0.3, 1.5) for _ in groups[1:]]
        texts = [f"{group}," for group in groups[:-1]] + [f"{groups[-1]}."]
        step = self._say(
            "entity", _with_pauses(texts, seconds, ["groups"] * len(seconds)), [kind],
            one=voice.startswith("flite"), entity={"kind": kind, "value": value},
        )  # fmt: skip
        if kind in ("phone", "zip") and draw.random() < 0.25:
            step["recorded_digits"] = draw.choice(RECORDED_DIGITS)
            step["recorded_take"] = draw.randrange(5)
        return step

    def _interruptions(self) -> list[Step]:
        steps = [self._go_on()]
        for _ in range(8):
            short = self._draw.random() < 0.35
            text = self._draw.choice(SHORT_INTERRUPTIONS if short else INTERRUPTIONS)
            after = round(self._draw.triangular(1.0, 7.0, 1.5), 2)
            steps.append({"do": "interrupt", "row": "interruption", "after": after, "parts": [{"text": text}],
                          "one_utterance": True, "tags": ["short" if short else "long"]})  # fmt: skip
        return steps

    def _distractions(self, number: int) -> list[Step]:
        steps = []
        kinds = ["backchannel", "noise"] * 10
        self._draw.shuffle(kinds)
        sounds = ("cough", "sneeze", "throat", "door", "click", "rustle", "cough", "throat")
        for turn, kind in enumerate(kinds):
            if turn % 5 == 0:
                steps.append(self._go_on())
            after = round(1.0 + turn % 5 * 2.7 + self._draw.uniform(0, 0.8), 2)
            if kind == "backchannel":
                text = BACKCHANNELS[(turn + 3 * number) % len(BACKCHANNELS)]
                spoken = {"text": text, "spelled": SPELLED[text]} if text in SPELLED else {"text": text}
                steps.append({"do": "distract", "row": "backchannel", "after": after, "parts": [spoken],
                              "one_utterance": True, "tags": [text.strip(".").lower()]})  # fmt: skip
            else:
                sound = sounds[(turn + number) % len(sounds)]
                steps.append({"do": "distract", "row": "noise", "after": after, "sound": sound,
                              "seed": self._draw.randrange(1 << 30), "tags": [sound]})  # fmt: skip
        return steps

    def _other_voice(self, voice: str) -> str:
        return self._draw.choice([other for other in dict.fromkeys(FLITE) if other != voice])

    def _side_remark(self, voice: str) -> Step:
        far = self._draw.random() < 0.5
        return {"row": "side_talk", "parts": [{"text": self._draw.choice(SIDE_TALK)}], "one_utterance": True,
                "voice": self._other_voice(voice), "level_db": round(self._draw.uniform(-12, 0), 1), "far_field": far,
                "seed": self._draw.randrange(1 << 30)}  # fmt: skip

    def _side_talk(self, voice: str) -> list[Step]:
        steps = []
        for turn in range(12):
            if turn % 4 == 0:
                steps.append(self._go_on())
            after = round(1.0 + turn % 4 * 3.3 + self._draw.uniform(0, 0.6), 2)
            remark = self._side_remark(voice)
            steps.append({"do": "distract", "after": after, **remark, "tags": _side_tags(remark, "speaking")})
        return steps

    def _quiet_side_talk(self, voice: str) -> list[Step]:
        steps = []
        for _ in range(6):
            remark = self._side_remark(voice)
            steps.append({"do": "remark", "wait": round(self._draw.uniform(0.5, 1.2), 2), **remark,
                          "tags": _side_tags(remark, "listening")})  # fmt: skip
            steps.append(self._say("one_word", [{"text": self._draw.choice(ONE_WORD)}], ("plain", "after_side_talk")))
        return steps

    def _echo(self) -> list[Step]:
        return [step for _ in range(5) for step in (self._go_on(), {"do": "listen", "row": "echo", "stretch": 2.5})]

    def _silence(self) -> list[Step]:
        steps: list[Step] = []
        for _ in range(5):
            steps.append({"do": "stay_silent", "row": "silence", "seconds": 16.0, "tags": []})
            steps.append(self._say("one_word", [{"text": self._draw.choice(ONE_WORD)}], ("plain", "after_reminder")))
        return steps

    def _both_start(self) -> list[Step]:
        steps = []
        for _ in range(5):
            steps.append(self._say("one_word", [{"text": self._draw.choice(ONE_WORD)}], ("plain", "before_both_start")))
            text = self._draw.choice(INTERRUPTIONS)
            steps.append({"do": "interrupt", "row": "both_start", "after": round(self._draw.uniform(0, 0.2), 2),
                          "parts": [{"text": text}], "one_utterance": True, "tags": []})  # fmt: skip
        return steps

    def _one_word(self) -> list[Step]:
        return [self._say("one_word", [{"text": self._draw.choice(ONE_WORD)}], ("plain",)) for _ in range(15)]

    def _go_on(self) -> Step:
        return self._say("go_on", [{"text": self._draw.choice(GO_ON)}])


def _with_pauses(texts: Sequence[str], seconds: Sequence[float], places: Sequence[str]) -> list[Part]:
    parts: list[Part] = [{"text": texts[0]}]
    for text, pause, place in zip(texts[1:], seconds, places, strict=True):
        parts += [{"pause": round(pause, 2), "place": place}, {"text": text}]
    return parts


def _groups(digits: Sequence[int], sizes: Sequence[int]) -> list[str]:
    words = iter([DIGITS[digit] for digit in digits])
    return [" ".join(next(words) for _ in range(size)) for size in sizes]


def _tens(number: int) -> str:
    names = {2: "twenty", 3: "thirty", 4: "forty", 5: "fifty", 6: "sixty", 7: "seventy", 8: "eighty", 9: "ninety"}
    return f"{names[number // 10]} {DIGITS[number % 10]}" if number % 10 else names[number // 10]


def _side_tags(remark: Step, when: str) -> list[str]:
    return [when, "far_field" if remark["far_field"] else "near_field"]


def main() -> None:
    """Write the file."""
    lines = ",\n".join(json.dumps(scenario, separators=(",", ":")) for scenario in Generator().all())
    FILE.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
