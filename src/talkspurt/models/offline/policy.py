"""What the offline brain does next: a pure function of where the dialogue stands and what just happened.

Two things happen: the caller says something (`hear`) or a tool answers (`learn`). Each returns the new
standing and one act. After either, `Steps.advance` looks at what is known and takes the next step: verify
the caller, fill a slot, call the tool. Nothing is remembered about *how* the dialogue came here, so
a barge-in, a change of subject or a dropped reply cannot leave it in the middle of a programme.

A tool's effect is confirmed by the runtime, not here: `GoAhead` only knows that it was asked, and
what to do when the caller's answer was no, unclear, or about something else.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from talkspurt.agent.dialogue import Dialogue, Intent, Slot
from talkspurt.agent.spoken import digits
from talkspurt.agent.tools import SPEAK_SLOWER
from talkspurt.models.offline.classify import Guess
from talkspurt.models.offline.english import HELLO, LACKING, WAIT, WHERE, ordinal
from talkspurt.models.offline.facts import choose, mentioned, read, sounds_like_digits, told
from talkspurt.models.offline.spelling import wants_spelling
from talkspurt.models.offline.standing import (
    Act,
    AnythingElse,
    APerson,
    Call,
    ForSlot,
    GoAhead,
    IsThatRight,
    Move,
    Nothing,
    Option,
    Standing,
    Which,
    forget,
    learned,
    renewed,
    without,
)
from talkspurt.models.offline.steps import READ_BACKS, Steps
from talkspurt.models.offline.understanding import MARGIN, Understood
from talkspurt.models.offline.wording import look_up, sentences, word

REFUSALS: Final = 2
"""Failed verifications until a person is offered."""
RUNNING: Final = {"status": "running"}
"""What the history shows of a tool that has not answered yet."""


class Policy:
    """Decides for one dialogue. Holds no state of a call."""

    def __init__(self, dialogue: Dialogue) -> None:
        self._steps = Steps(dialogue)
        self._dialogue = dialogue
        self._phrases = dialogue.phrases
        self._titled = frozenset(intent.name for intent in dialogue.intents if intent.title)
        self._spelling = next((intent.name for intent in dialogue.intents if intent.act == "spell"), "")

    # ── the caller says something ─────────────────────────────────────────────────

    def hear(self, standing: Standing, heard: Understood) -> Move:
        """The caller's turn is over."""
        heard = self._closer(heard)
        calling = standing.calling
        cut_off = calling is not None and calling.role != "slower" and isinstance(standing.question, Nothing)
        unsaid = standing.unsaid
        standing = replace(standing, turn=standing.turn + 1, calling=None, unsaid="")
        question = standing.question
        noted = self._note(standing, heard)
        news = noted.facts != standing.facts or noted.heard != standing.heard
        # "Sorry, six oh six one four" corrects a number; "sorry?" asks for the last words again.
        empty = heard.agrees is None and not news and not sounds_like_digits(heard.text)
        if empty and self._wants(heard, "slower"):
            return self._steps.slower(standing)
        if empty and self._wants(heard, "spell"):
            return self._steps.spell(standing, heard.text)
        idle = empty and not heard.typed
        if idle and (heard.clear is None or heard.clear.name in (HELLO, WAIT) or self._wants(heard, "repeat")):
            # "Hello?" while a tool ran, or before its result was heard: go on where we were.
            if unsaid and not isinstance(question, GoAhead):
                return self._steps.speak(standing, unsaid)
            if cut_off and standing.intent:
                return self._steps.advance(standing)
        if not heard.typed and not heard.words and heard.agrees is None and not digits(heard.text):
            return self._steps.unheard(standing)
        if self._wants(heard, "repeat") and empty and not isinstance(question, GoAhead):
            return self._steps.repeat(standing)
        match question:
            case GoAhead():
                return self._hear_confirmation(noted, heard, question)
            case IsThatRight():
                return self._hear_read_back(noted, heard, question)
            case ForSlot():
                return self._hear_answer(noted, heard, question.slot, news=news)
            case Which():
                return self._hear_which(noted, heard, question)
            case AnythingElse():
                return self._hear_more(noted, heard)
            case APerson():
                return self._hear_person(noted, heard)
        return self._hear_wish(noted, heard)

    def _closer(self, heard: Understood) -> Understood:
        """What meaning vectors confuse, told by the words: asking to have something spelled, and spelling it."""
        wants = wants_spelling(heard.text) if self._spelling and heard.guesses else None
        if wants is None:
            return heard
        others = tuple(guess for guess in heard.guesses if guess.name != self._spelling)
        sure = Guess(self._spelling, score=1.0, likeness=1.0, example=0)
        return replace(heard, guesses=(sure, *others) if wants else others)

    def _note(self, standing: Standing, heard: Understood) -> Standing:
        """Keep every fact that stands out, whether asked for or not; a new one replaces the old."""
        if heard.typed:
            return standing
        for slot in self._dialogue.slots:
            facts = mentioned(slot, heard.text)
            if not facts or all(standing.facts.get(name) == value for name, value in facts.items()):
                continue
            if slot.resolver:
                standing = replace(forget(standing, slot), heard={**standing.heard, slot.name: heard.text})
            else:
                standing = replace(standing, facts=renewed(standing.facts, facts))
        return standing

    def _hear_wish(self, standing: Standing, heard: Understood) -> Move:
        """The floor is open: do what is wanted, ask when unsure, say so when it is unknown."""
        best = heard.best
        if heard.typed or not heard.words:
            return self._hear_number(standing, heard)
        if heard.agrees is not None and not heard.clear and not standing.heard:
            return self._steps.speak(standing, self._steps.say(standing, self._phrases.go_on))
        if best is None:
            announced = heard.text in standing.heard.values()
            return self._steps.advance(standing) if announced else self._steps.unknown(standing, heard)
        rivals = [
            guess for guess in heard.guesses[1:] if best.score - guess.score < MARGIN and guess.name in self._titled
        ]
        if rivals and best.name in self._titled:
            phrase = self._steps.say(
                standing,
                self._phrases.clarify,
                first=self._steps.title(best.name),
                second=self._steps.title(rivals[0].name),
            )
            return self._steps.speak(replace(standing, question=Which(best.name, rivals[0].name)), phrase)
        return self._steps.begin(standing, heard, best.name)

    def _hear_number(self, standing: Standing, heard: Understood) -> Move:
        """Nothing but a number, or less: it may be for what we were doing."""
        slot = next((slot for slot in self._dialogue.slots if slot.resolver and slot.kind == "identifier"), None)
        if slot and slot.name not in standing.heard and (heard.typed or sounds_like_digits(heard.text)):
            standing = replace(standing, heard={**standing.heard, slot.name: heard.text})
        if standing.heard or heard.agrees is not None:
            return self._steps.advance(standing)
        return self._steps.unknown(standing, heard)

    def _hear_answer(self, standing: Standing, heard: Understood, name: str, *, news: bool) -> Move:
        """We asked for a fact. Digits and choices are taken as answers first; other intents when they are clear."""
        slot = self._dialogue.slot(name)
        answer = self._answer(standing, slot, heard)
        clear = heard.clear
        changed = clear is not None and clear.name not in (LACKING, WHERE, WAIT, HELLO, standing.intent)
        loose = slot.kind in ("free", "person", "choice") and not heard.typed
        if answer and told(slot, heard.text):
            return self._steps.advance(self._answered(standing, slot, answer))
        if answer and not (loose and changed and clear is not None and clear.likeness > 0.6 and slot.kind != "choice"):
            return self._steps.advance(self._answered(standing, slot, answer))
        if slot.resolver and (heard.typed or (sounds_like_digits(heard.text) and not changed)):
            missed = standing.missed.get(name, "")
            joined = sentences(missed, heard.text)
            halves = read(slot, joined) and not read(slot, missed) and not read(slot, heard.text)
            words = joined if halves and not heard.typed else heard.text
            return self._steps.advance(replace(standing, heard={**standing.heard, name: words}, question=Nothing()))
        if not answer and standing.verifying and not slot.resolver:
            standing, news = self._volunteered(standing, slot, heard, news=news)
        if news:
            wish = heard.leader(self._titled)
            return self._steps.begin(standing, heard, wish) if wish else self._steps.advance(standing)
        best = heard.best
        if best and best.name == WAIT:
            return self._steps.speak(standing, self._steps.say(standing, self._phrases.take_your_time))
        if best and best.name == WHERE:
            return self._steps.speak(
                standing, sentences(self._steps.say(standing, slot.help), self._steps.question(standing, slot))
            )
        if best and best.name == LACKING:
            lacking = replace(standing, lacking=standing.lacking | {name}, question=Nothing())
            return self._steps.advance(lacking)
        if changed and clear is not None:
            return self._steps.begin(standing, heard, clear.name)
        if heard.agrees is True:
            # "Yes, I have it", and then the caller looks for it.
            return self._steps.speak(standing, self._steps.question(standing, slot))
        if heard.agrees is False and len(heard.text.split()) <= 3:
            return self._steps.advance(replace(standing, lacking=standing.lacking | {name}, question=Nothing()))
        return self._steps.miss(replace(standing, missed={**standing.missed, name: heard.text}), slot)

    def _volunteered(self, standing: Standing, asked: Slot, heard: Understood, *, news: bool) -> tuple[Standing, bool]:
        """A bare ZIP code given when something else was asked to verify the caller."""
        for slot in self._dialogue.slots:
            if slot.kind == "zip" and slot.name != asked.name and not self._steps.filled(standing, slot.name):
                facts = read(slot, heard.text, typed=heard.typed)
                if facts:
                    return replace(standing, facts={**standing.facts, **facts}), True
        return standing, news

    def _hear_read_back(self, standing: Standing, heard: Understood, question: IsThatRight) -> Move:
        """We proposed a close match."""
        slot = self._dialogue.slot(question.slot)
        open_floor = replace(standing, question=Nothing())
        if heard.agrees is True:
            return self._steps.advance(learned(open_floor, slot, {slot.name: question.value}))
        if slot.name in standing.heard:
            return self._steps.advance(open_floor)
        if heard.typed or (slot.resolver and sounds_like_digits(heard.text)):
            return self._steps.advance(replace(open_floor, heard={**standing.heard, slot.name: heard.text}))
        if heard.agrees is False:
            return self._steps.miss(open_floor, slot)
        if heard.clear and heard.clear.name in self._titled and heard.clear.name != standing.intent:
            return self._steps.begin(open_floor, heard, heard.clear.name)
        if question.times >= READ_BACKS:
            return self._steps.miss(open_floor, slot)
        again = replace(question, times=question.times + 1)
        return self._steps.speak(
            replace(standing, question=again), self._steps.read_back(standing, slot, question.value)
        )

    def _hear_confirmation(self, standing: Standing, heard: Understood, question: GoAhead) -> Move:
        """The runtime read an effect back and did not hear a clear yes."""
        open_floor = replace(standing, question=Nothing())
        intent = self._dialogue.intent(standing.intent)
        if intent is None:
            return self._hear_wish(open_floor, heard)
        if heard.agrees is True:
            return replace(standing, calling=question.call), Act(call=question.call)
        wish = heard.leader(self._titled) if standing.heard else ""
        if wish not in ("", intent.name):
            # "Never mind, where is number A 1 2": the number belongs to the new wish.
            return self._steps.begin(open_floor, heard, wish)
        changed = self._correct(open_floor, intent, heard)
        if changed is not open_floor or standing.heard:
            return self._steps.advance(changed)
        clear = heard.clear
        switched = clear is not None and clear.name != intent.name
        if heard.agrees is False:
            if self._wants(heard, "goodbye"):
                return self._hear_wish(open_floor, heard)
            return self._steps.more(
                open_floor,
                self._steps.say(standing, intent.declined) or self._steps.say(standing, self._phrases.declined),
            )
        if switched and clear is not None and (clear.name in self._titled or self._wants(heard, "goodbye")):
            return self._steps.begin(open_floor, heard, clear.name)
        if question.times >= READ_BACKS:
            return self._steps.offer_person(open_floor, self._steps.say(standing, self._phrases.unconfirmed))
        again = replace(standing, question=GoAhead(question.call, question.times + 1), calling=question.call)
        return again, Act(call=question.call)

    def _correct(self, standing: Standing, intent: Intent, heard: Understood) -> Standing:
        """Choices that the caller changed while confirming: "no, just the lamp"."""
        for slot in map(self._dialogue.slot, intent.slots):
            if slot.kind != "choice":
                continue
            options = standing.options.get(slot.name) or tuple(Option(choice, choice) for choice in slot.choices)
            chosen = choose(heard.text, options, many=slot.many, strict=True)
            value = chosen if slot.many else next(iter(chosen), None)
            if chosen and value != standing.facts.get(slot.name):
                standing = replace(standing, facts={**standing.facts, slot.name: value})
        return standing

    def _hear_which(self, standing: Standing, heard: Understood, question: Which) -> Move:
        """We asked which of two things was meant."""
        open_floor = replace(standing, question=Nothing())
        pair = (question.first, question.second)
        place = ordinal(heard.text)
        if place is not None:
            return self._steps.begin(open_floor, heard, pair[place])
        best = heard.best
        if best and best.name not in pair and heard.clear:
            return self._hear_wish(open_floor, heard)
        if heard.agrees is False:
            return self._steps.speak(open_floor, self._steps.say(standing, self._phrases.go_on))
        scores = [heard.score(name) for name in pair]
        if heard.agrees is None and max(scores) > -0.9 and abs(scores[0] - scores[1]) > 0.02:
            return self._steps.begin(open_floor, heard, pair[scores.index(max(scores))])
        return self._steps.unknown(open_floor, heard)

    def _hear_more(self, standing: Standing, heard: Understood) -> Move:
        """We asked whether there is anything else."""
        open_floor = replace(standing, question=Nothing())
        best = heard.best
        wish = best is not None and (best.name in self._titled and best.score > -0.3)
        if heard.agrees is not None and not wish and not standing.heard:
            goodbye = next((intent for intent in self._dialogue.intents if intent.act == "goodbye"), None)
            if heard.agrees:
                return self._steps.speak(open_floor, self._steps.say(standing, self._phrases.go_on))
            return self._steps.goodbye(open_floor, goodbye)
        return self._hear_wish(open_floor, heard)

    def _hear_person(self, standing: Standing, heard: Understood) -> Move:
        """We offered a person."""
        open_floor = replace(standing, question=Nothing(), trouble=0, misses={})
        if heard.agrees is True or self._means(heard, self._dialogue.person):
            return self._steps.begin(open_floor, heard, self._dialogue.person)
        if heard.clear and heard.clear.name in self._titled:
            return self._hear_wish(open_floor, heard)
        if heard.typed or standing.heard:
            return self._hear_number(open_floor, heard)
        if heard.agrees is False:
            return self._steps.more(open_floor, "")
        return self._hear_wish(open_floor, heard)

    # ── a tool answers ────────────────────────────────────────────────────────────

    def called(self, standing: Standing, tool: str, arguments: Mapping[str, Any]) -> Standing:
        """A tool is called; by us, by the runtime after a yes, or by another model earlier in this call."""
        if standing.calling and standing.calling.tool == tool:
            return standing
        verification = self._dialogue.verification
        if tool == SPEAK_SLOWER:
            return replace(standing, calling=Call("slower", tool, arguments))
        if verification and tool == verification.tool:
            return replace(standing, calling=Call("verify", tool, arguments))
        for slot in self._dialogue.slots:
            if slot.resolver and slot.resolver.tool == tool:
                return replace(standing, calling=Call("resolve", tool, arguments, slot.name))
        known = {fact for slot in self._dialogue.slots for fact in slot.fills()}
        facts = {name: value for name, value in arguments.items() if name in known and value}
        return replace(standing, calling=Call("task", tool, arguments), facts={**standing.facts, **facts})

    def learn(self, standing: Standing, tool: str, result: Mapping[str, Any]) -> Move:
        """A tool has answered."""
        call = standing.calling
        if call is None or call.tool != tool or result == RUNNING:
            return standing, Act()
        standing = replace(standing, calling=None)
        if call.role == "slower":
            return self._steps.again(standing)
        error = look_up(result, "error.kind")
        if error is not None:
            return self._learn_error(standing, call, str(error), result)
        match call.role:
            case "resolve":
                return self._learn_match(standing, call, result)
            case "options":
                return self._learn_options(standing, call, result)
            case "verify":
                if not result.get("verified"):
                    return self._refused(standing, call)
                facts = {name: value for name, value in result.items() if isinstance(value, str)}
                proven = replace(standing, verifying=False, refusals=0, trouble=0, facts={**standing.facts, **facts})
                return self._steps.advance(proven)
        return self._learn_result(standing, call, result)

    def _learn_match(self, standing: Standing, call: Call, result: Mapping[str, Any]) -> Move:
        slot = self._dialogue.slot(call.slot)
        value = result.get(slot.name)
        words = standing.heard.get(slot.name, "")
        standing = replace(standing, heard=without(standing.heard, slot.name))
        if result.get("match") == "exact" and value:
            return self._steps.advance(learned(standing, slot, {slot.name: value}))
        if result.get("match") == "close" and value:
            asked = replace(standing, question=IsThatRight(slot.name, str(value)))
            return self._steps.speak(asked, self._steps.read_back(standing, slot, str(value)))
        return self._steps.miss(replace(standing, missed={**standing.missed, slot.name: words}), slot)

    def _learn_options(self, standing: Standing, call: Call, result: Mapping[str, Any]) -> Move:
        slot = self._dialogue.slot(call.slot)
        found = look_up(result, slot.options.items) if slot.options else None
        options = tuple(_options(slot, found if isinstance(found, list) else []))
        standing = replace(standing, options={**standing.options, slot.name: options})
        if not options:
            return self._steps.more(standing, self._steps.say(standing, self._phrases.none_to_choose))
        named = [option.value for option in options]
        chosen = named if len(set(named)) == 1 else choose(standing.opening, options, many=slot.many, strict=True)
        if chosen:
            value = list(dict.fromkeys(chosen)) if slot.many else chosen[0]
            return self._steps.advance(learned(standing, slot, {slot.name: value}))
        return self._steps.advance(standing)

    def _learn_result(self, standing: Standing, call: Call, result: Mapping[str, Any]) -> Move:
        if result.get("status") == "confirmation_required":
            times = standing.question.times if isinstance(standing.question, GoAhead) else 1
            asked = replace(standing, question=GoAhead(call, times))
            return asked, Act(str(result.get("read_back") or ""))
        standing = replace(standing, question=Nothing(), trouble=0)
        intents = [self._dialogue.intent(standing.intent), *self._dialogue.intents]
        intent = next((intent for intent in intents if intent and intent.tool == call.tool), None)
        values = {**standing.facts, **result}
        fitting = [
            (index, outcome)
            for index, outcome in enumerate(intent.outcomes if intent else ())
            if all(look_up(result, path) == wanted for path, wanted in outcome.where.items())
        ]
        asked_about = [outcome for index, outcome in fitting if index == standing.topic]
        for outcome in [*asked_about, *(outcome for _, outcome in fitting if not outcome.about)]:
            text = word(outcome.say, values, standing.turn)
            if text:
                return self._steps.more(standing, text) if outcome.follow_up else self._steps.speak(standing, text)
        return self._steps.more(standing, "")

    def _learn_error(self, standing: Standing, call: Call, kind: str, result: Mapping[str, Any]) -> Move:
        standing = replace(standing, question=Nothing())
        if kind == "verification_required" and self._dialogue.verification and call.role != "verify":
            return self._steps.advance(replace(standing, verifying=True))
        text = word(self._dialogue.errors.get(kind, ()), {**standing.facts, **result}, standing.turn)
        if call.role == "verify" and kind == "refused":
            return self._refused(standing, call)
        if kind == "refused":
            message = str(look_up(result, "error.message") or "")
            doubted = self._doubted(standing, call, message)
            if doubted is not None:
                return self._steps.ask_again(standing, doubted, text or message)
            return self._steps.more(
                replace(standing, trouble=0), text or message or self._steps.say(standing, self._phrases.trouble)
            )
        if kind in ("attempts_exhausted", "in_doubt"):
            text = text or str(look_up(result, "error.message") or "")
        return self._steps.offer_person(
            replace(standing, verifying=False), text or self._steps.say(standing, self._phrases.trouble)
        )

    def _doubted(self, standing: Standing, call: Call, message: str) -> Slot | None:
        """The slot that a task's refusal is about, by the intent's `doubts`."""
        intent = self._dialogue.intent(standing.intent)
        if intent is None or call.role != "task" or call.tool != intent.tool:
            return None
        found = (name for name, pattern in intent.doubts.items() if re.search(pattern, message, re.IGNORECASE))
        name = next(found, None)
        return None if name is None else self._dialogue.slot(name)

    def _refused(self, standing: Standing, call: Call) -> Move:
        """What the caller told does not verify: ask for the fact that is likeliest wrong, then for a person."""
        verification = self._dialogue.verification
        assert verification is not None, "only a verification is refused"
        reason = self._steps.say(standing, verification.refused)
        standing = replace(standing, refusals=standing.refusals + 1)
        if standing.refusals >= REFUSALS:
            return self._steps.offer_person(replace(standing, verifying=False, refusals=0), reason)
        ways = (way for way in verification.ways if set(self._steps.facts_of(way)) == set(call.arguments))
        way = next(ways, verification.ways[0])
        # Resolved slots exist; what was only heard is in doubt, the last one first.
        doubted = next(
            (self._dialogue.slot(name) for name in reversed(way) if not self._dialogue.slot(name).resolver), None
        )
        slot = doubted or self._dialogue.slot(way[-1])
        asked = replace(forget(standing, slot), question=ForSlot(slot.name))
        return self._steps.speak(asked, sentences(reason, self._steps.say(standing, slot.ask)))

    # ── small things ──────────────────────────────────────────────────────────────

    def _answer(self, standing: Standing, slot: Slot, heard: Understood) -> dict[str, Any]:
        """The facts in an answer to a slot's question."""
        options = standing.options.get(slot.name, ())
        if slot.kind != "choice" and options and slot.name in standing.lacking and not heard.typed:
            chosen = choose(heard.text, options)
            return {slot.name: chosen[0]} if chosen else {}
        if slot.resolver:
            return {}
        return read(slot, heard.text, typed=heard.typed, options=options)

    def _answered(self, standing: Standing, slot: Slot, facts: Mapping[str, Any]) -> Standing:
        answered = learned(replace(standing, question=Nothing()), slot, facts)
        # Of a free answer only the tool can say whether it will do: its doubts are counted until it does.
        return replace(answered, misses=standing.misses) if slot.kind == "free" else answered

    def _wants(self, heard: Understood, act: str) -> bool:
        best = heard.best
        intent = self._dialogue.intent(best.name) if best else None
        return intent is not None and intent.act == act

    def _means(self, heard: Understood, name: str) -> bool:
        return heard.best is not None and heard.best.name == name


def _options(slot: Slot, items: Iterable[Any]) -> Iterable[Option]:
    assert slot.options is not None, "only asked of a slot with options"
    for item in items:
        value = look_up(item, slot.options.value) if isinstance(item, Mapping) else item
        if value:
            label = word(slot.options.label, item) if slot.options.label and isinstance(item, Mapping) else str(value)
            yield Option(str(value), label or str(value))
