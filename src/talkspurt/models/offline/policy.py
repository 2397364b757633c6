"""What the offline brain does next: a pure function of where the dialogue stands and what just happened.

Two things happen: the caller says something (`hear`) or a tool answers (`learn`). Each returns the new
standing and one act. After either, `_advance` looks at what is known and takes the next step: verify
the caller, fill a slot, call the tool. Nothing is remembered about *how* the dialogue came here, so
a barge-in, a change of subject or a dropped reply cannot leave it in the middle of a programme.

A tool's effect is confirmed by the runtime, not here: `GoAhead` only knows that it was asked, and
what to do when the caller's answer was no, unclear, or about something else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from talkspurt.agent.dialogue import Dialogue, Intent, Slot, Wordings
from talkspurt.agent.spoken import digits
from talkspurt.models.offline.english import HELLO, LACKING, WAIT, WHERE, means_another, ordinal
from talkspurt.models.offline.facts import choose, mentioned, read, sounds_like_digits
from talkspurt.models.offline.standing import (
    Act,
    AnythingElse,
    APerson,
    Call,
    ForSlot,
    GoAhead,
    IsThatRight,
    Nothing,
    Option,
    Standing,
    Which,
)
from talkspurt.models.offline.understanding import MARGIN, SENTENCE, Understood
from talkspurt.models.offline.wording import enumeration, evaluate, look_up, sentences, word

TRIES: Final = 3
"""Failed tries at one slot, or turns that lead nowhere, until a person is offered; before the last, the keypad is."""
READ_BACKS: Final = 2
"""Times an effect is read back before it is dropped."""
REFUSALS: Final = 2
"""Failed verifications until a person is offered."""
RUNNING: Final = {"status": "running"}
"""What the history shows of a tool that has not answered yet."""

_Value = TypeVar("_Value")
Move = tuple[Standing, Act]


class Policy:
    """Decides for one dialogue. Holds no state of a call."""

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue
        self._phrases = dialogue.phrases
        self._titled = frozenset(intent.name for intent in dialogue.intents if intent.title)

    # ── the caller says something ─────────────────────────────────────────────────

    def hear(self, standing: Standing, heard: Understood) -> Move:
        """The caller's turn is over."""
        cut_off = standing.calling is not None and isinstance(standing.question, Nothing)
        unsaid = standing.unsaid
        standing = replace(standing, turn=standing.turn + 1, calling=None, unsaid="")
        question = standing.question
        noted = self._note(standing, heard)
        news = noted.facts != standing.facts or noted.heard != standing.heard
        # "Sorry, six oh six one four" corrects a number; "sorry?" asks for the last words again.
        empty = heard.agrees is None and not news and not sounds_like_digits(heard.text)
        idle = empty and not heard.typed
        if idle and (heard.clear is None or heard.clear.name in (HELLO, WAIT) or self._wants(heard, "repeat")):
            # "Hello?" while a tool ran, or before its result was heard: go on where we were.
            if unsaid and not isinstance(question, GoAhead):
                return self._speak(standing, unsaid)
            if cut_off and standing.intent:
                return self._advance(standing)
        if not heard.typed and not heard.words and heard.agrees is None and not digits(heard.text):
            return self._unheard(standing)
        if self._wants(heard, "repeat") and empty and not isinstance(question, GoAhead):
            return self._repeat(standing)
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

    def _note(self, standing: Standing, heard: Understood) -> Standing:
        """Keep every fact that stands out, whether asked for or not; a new one replaces the old."""
        if heard.typed:
            return standing
        for slot in self._dialogue.slots:
            facts = mentioned(slot, heard.text)
            if not facts or all(standing.facts.get(name) == value for name, value in facts.items()):
                continue
            if slot.resolver:
                standing = replace(_forget(standing, slot), heard={**standing.heard, slot.name: heard.text})
            else:
                standing = replace(standing, facts={**standing.facts, **facts})
        return standing

    def _hear_wish(self, standing: Standing, heard: Understood) -> Move:
        """The floor is open: do what is wanted, ask when unsure, say so when it is unknown."""
        best = heard.best
        if heard.typed or not heard.words:
            return self._hear_number(standing, heard)
        if heard.agrees is not None and not heard.clear and not standing.heard:
            return self._speak(standing, self._say(standing, self._phrases.go_on))
        if best is None:
            announced = heard.text in standing.heard.values()
            return self._advance(standing) if announced else self._unknown(standing, heard)
        rivals = [
            guess for guess in heard.guesses[1:] if best.score - guess.score < MARGIN and guess.name in self._titled
        ]
        if rivals and best.name in self._titled:
            phrase = self._say(
                standing, self._phrases.clarify, first=self._title(best.name), second=self._title(rivals[0].name)
            )
            return self._speak(replace(standing, question=Which(best.name, rivals[0].name)), phrase)
        return self._begin(standing, heard, best.name)

    def _hear_number(self, standing: Standing, heard: Understood) -> Move:
        """Nothing but a number, or less: it may be for what we were doing."""
        slot = next((slot for slot in self._dialogue.slots if slot.resolver and slot.kind == "identifier"), None)
        if slot and slot.name not in standing.heard and (heard.typed or sounds_like_digits(heard.text)):
            standing = replace(standing, heard={**standing.heard, slot.name: heard.text})
        if standing.heard or heard.agrees is not None:
            return self._advance(standing)
        return self._unknown(standing, heard)

    def _hear_answer(self, standing: Standing, heard: Understood, name: str, *, news: bool) -> Move:
        """We asked for a fact. Digits and choices are taken as answers first; other intents when they are clear."""
        slot = self._dialogue.slot(name)
        answer = self._answer(standing, slot, heard)
        clear = heard.clear
        changed = clear is not None and clear.name not in (LACKING, WHERE, WAIT, HELLO, standing.intent)
        loose = slot.kind in ("free", "person", "choice") and not heard.typed
        if answer and not (loose and changed and clear is not None and clear.likeness > 0.6 and slot.kind != "choice"):
            return self._advance(self._answered(standing, slot, answer))
        if slot.resolver and (heard.typed or (sounds_like_digits(heard.text) and not changed)):
            missed = standing.missed.get(name, "")
            joined = sentences(missed, heard.text)
            halves = read(slot, joined) and not read(slot, missed) and not read(slot, heard.text)
            words = joined if halves and not heard.typed else heard.text
            return self._advance(replace(standing, heard={**standing.heard, name: words}, question=Nothing()))
        if not answer and standing.verifying and not slot.resolver:
            standing, news = self._volunteered(standing, slot, heard, news=news)
        if news:
            wish = heard.leader(self._titled)
            return self._begin(standing, heard, wish) if wish else self._advance(standing)
        best = heard.best
        if best and best.name == WAIT:
            return self._speak(standing, self._say(standing, self._phrases.take_your_time))
        if best and best.name == WHERE:
            return self._speak(standing, sentences(self._say(standing, slot.help), self._question(standing, slot)))
        if best and best.name == LACKING:
            lacking = replace(standing, lacking=standing.lacking | {name}, question=Nothing())
            return self._advance(lacking)
        if changed and clear is not None:
            return self._begin(standing, heard, clear.name)
        if heard.agrees is True:
            # "Yes, I have it", and then the caller looks for it.
            return self._speak(standing, self._question(standing, slot))
        if heard.agrees is False and len(heard.text.split()) <= 3:
            return self._advance(replace(standing, lacking=standing.lacking | {name}, question=Nothing()))
        return self._miss(replace(standing, missed={**standing.missed, name: heard.text}), slot)

    def _volunteered(self, standing: Standing, asked: Slot, heard: Understood, *, news: bool) -> tuple[Standing, bool]:
        """A bare ZIP code given when something else was asked to verify the caller."""
        for slot in self._dialogue.slots:
            if slot.kind == "zip" and slot.name != asked.name and not self._filled(standing, slot.name):
                facts = read(slot, heard.text, typed=heard.typed)
                if facts:
                    return replace(standing, facts={**standing.facts, **facts}), True
        return standing, news

    def _hear_read_back(self, standing: Standing, heard: Understood, question: IsThatRight) -> Move:
        """We proposed a close match."""
        slot = self._dialogue.slot(question.slot)
        open_floor = replace(standing, question=Nothing())
        if heard.agrees is True:
            return self._advance(_learned(open_floor, slot, {slot.name: question.value}))
        if slot.name in standing.heard:
            return self._advance(open_floor)
        if heard.typed or (slot.resolver and sounds_like_digits(heard.text)):
            return self._advance(replace(open_floor, heard={**standing.heard, slot.name: heard.text}))
        if heard.agrees is False:
            return self._miss(open_floor, slot)
        if heard.clear and heard.clear.name in self._titled and heard.clear.name != standing.intent:
            return self._begin(open_floor, heard, heard.clear.name)
        if question.times >= READ_BACKS:
            return self._miss(open_floor, slot)
        again = replace(question, times=question.times + 1)
        return self._speak(replace(standing, question=again), self._read_back(standing, slot, question.value))

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
            return self._begin(open_floor, heard, wish)
        changed = self._correct(open_floor, intent, heard)
        if changed is not open_floor or standing.heard:
            return self._advance(changed)
        clear = heard.clear
        switched = clear is not None and clear.name != intent.name
        if heard.agrees is False:
            if self._wants(heard, "goodbye"):
                return self._hear_wish(open_floor, heard)
            return self._more(
                open_floor, self._say(standing, intent.declined) or self._say(standing, self._phrases.declined)
            )
        if switched and clear is not None and (clear.name in self._titled or self._wants(heard, "goodbye")):
            return self._begin(open_floor, heard, clear.name)
        if question.times >= READ_BACKS:
            return self._offer_person(open_floor, self._say(standing, self._phrases.unconfirmed))
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
            return self._begin(open_floor, heard, pair[place])
        best = heard.best
        if best and best.name not in pair and heard.clear:
            return self._hear_wish(open_floor, heard)
        if heard.agrees is False:
            return self._speak(open_floor, self._say(standing, self._phrases.go_on))
        scores = [heard.score(name) for name in pair]
        if heard.agrees is None and max(scores) > -0.9 and abs(scores[0] - scores[1]) > 0.02:
            return self._begin(open_floor, heard, pair[scores.index(max(scores))])
        return self._unknown(open_floor, heard)

    def _hear_more(self, standing: Standing, heard: Understood) -> Move:
        """We asked whether there is anything else."""
        open_floor = replace(standing, question=Nothing())
        best = heard.best
        wish = best is not None and (best.name in self._titled and best.score > -0.3)
        if heard.agrees is not None and not wish and not standing.heard:
            goodbye = next((intent for intent in self._dialogue.intents if intent.act == "goodbye"), None)
            if heard.agrees:
                return self._speak(open_floor, self._say(standing, self._phrases.go_on))
            return self._goodbye(open_floor, goodbye)
        return self._hear_wish(open_floor, heard)

    def _hear_person(self, standing: Standing, heard: Understood) -> Move:
        """We offered a person."""
        open_floor = replace(standing, question=Nothing(), trouble=0, misses={})
        if heard.agrees is True or self._means(heard, self._dialogue.person):
            return self._begin(open_floor, heard, self._dialogue.person)
        if heard.clear and heard.clear.name in self._titled:
            return self._hear_wish(open_floor, heard)
        if heard.typed or standing.heard:
            return self._hear_number(open_floor, heard)
        if heard.agrees is False:
            return self._more(open_floor, "")
        return self._hear_wish(open_floor, heard)

    # ── a tool answers ────────────────────────────────────────────────────────────

    def called(self, standing: Standing, tool: str, arguments: Mapping[str, Any]) -> Standing:
        """A tool is called; by us, by the runtime after a yes, or by another model earlier in this call."""
        if standing.calling and standing.calling.tool == tool:
            return standing
        verification = self._dialogue.verification
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
                return self._advance(proven)
        return self._learn_result(standing, call, result)

    def _learn_match(self, standing: Standing, call: Call, result: Mapping[str, Any]) -> Move:
        slot = self._dialogue.slot(call.slot)
        value = result.get(slot.name)
        words = standing.heard.get(slot.name, "")
        standing = replace(standing, heard=_without(standing.heard, slot.name))
        if result.get("match") == "exact" and value:
            return self._advance(_learned(standing, slot, {slot.name: value}))
        if result.get("match") == "close" and value:
            asked = replace(standing, question=IsThatRight(slot.name, str(value)))
            return self._speak(asked, self._read_back(standing, slot, str(value)))
        return self._miss(replace(standing, missed={**standing.missed, slot.name: words}), slot)

    def _learn_options(self, standing: Standing, call: Call, result: Mapping[str, Any]) -> Move:
        slot = self._dialogue.slot(call.slot)
        found = look_up(result, slot.options.items) if slot.options else None
        options = tuple(_options(slot, found if isinstance(found, list) else []))
        standing = replace(standing, options={**standing.options, slot.name: options})
        if not options:
            return self._more(standing, self._say(standing, self._phrases.none_to_choose))
        named = [option.value for option in options]
        chosen = named if len(set(named)) == 1 else choose(standing.opening, options, many=slot.many, strict=True)
        if chosen:
            value = list(dict.fromkeys(chosen)) if slot.many else chosen[0]
            return self._advance(_learned(standing, slot, {slot.name: value}))
        return self._advance(standing)

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
                return self._more(standing, text) if outcome.follow_up else self._speak(standing, text)
        return self._more(standing, "")

    def _learn_error(self, standing: Standing, call: Call, kind: str, result: Mapping[str, Any]) -> Move:
        standing = replace(standing, question=Nothing())
        if kind == "verification_required" and self._dialogue.verification and call.role != "verify":
            return self._advance(replace(standing, verifying=True))
        text = word(self._dialogue.errors.get(kind, ()), {**standing.facts, **result}, standing.turn)
        if call.role == "verify" and kind == "refused":
            return self._refused(standing, call)
        if kind == "refused":
            message = str(look_up(result, "error.message") or "")
            return self._more(
                replace(standing, trouble=0), text or message or self._say(standing, self._phrases.trouble)
            )
        if kind in ("attempts_exhausted", "in_doubt"):
            text = text or str(look_up(result, "error.message") or "")
        return self._offer_person(
            replace(standing, verifying=False), text or self._say(standing, self._phrases.trouble)
        )

    def _refused(self, standing: Standing, call: Call) -> Move:
        """What the caller told does not verify: ask for the fact that is likeliest wrong, then for a person."""
        verification = self._dialogue.verification
        assert verification is not None, "only a verification is refused"
        reason = self._say(standing, verification.refused)
        standing = replace(standing, refusals=standing.refusals + 1)
        if standing.refusals >= REFUSALS:
            return self._offer_person(replace(standing, verifying=False, refusals=0), reason)
        ways = (way for way in verification.ways if set(self._facts_of(way)) == set(call.arguments))
        way = next(ways, verification.ways[0])
        # Resolved slots exist; what was only heard is in doubt, the last one first.
        doubted = next(
            (self._dialogue.slot(name) for name in reversed(way) if not self._dialogue.slot(name).resolver), None
        )
        slot = doubted or self._dialogue.slot(way[-1])
        asked = replace(_forget(standing, slot), question=ForSlot(slot.name))
        return self._speak(asked, sentences(reason, self._say(standing, slot.ask)))

    # ── the next step ─────────────────────────────────────────────────────────────

    def _advance(self, standing: Standing) -> Move:
        """Go on with what is wanted, from what is known."""
        standing = replace(standing, question=Nothing())
        intent = self._dialogue.intent(standing.intent)
        if intent is None:
            return self._speak(standing, self._say(standing, self._phrases.go_on))
        if standing.verifying:
            return self._verify(standing)
        for name in intent.slots:
            if not self._filled(standing, name):
                return self._fill(standing, self._dialogue.slot(name))
        values = {**standing.facts, "said": standing.opening, "topic": self._title(standing.before) or "not said"}
        templates = intent.arguments or {fact: f"{{{fact}}}" for fact in self._facts_of(intent.slots)}
        arguments = {name: evaluate(template, values) for name, template in templates.items()}
        call = Call("task", intent.tool, {name: value for name, value in arguments.items() if value is not None})
        return self._call(standing, call)

    def _verify(self, standing: Standing) -> Move:
        verification = self._dialogue.verification
        assert verification is not None, "verifying without a verification"
        known = [way for way in verification.ways if all(self._filled(standing, name) for name in way)]
        if known:
            facts = {fact: standing.facts[fact] for fact in self._facts_of(known[0])}
            return self._call(standing, Call("verify", verification.tool, facts))
        open_ways = [way for way in verification.ways if not standing.lacking & set(way)]
        # What the caller has begun to tell is gone on with: a name given unasked calls for the ZIP, not the e-mail.
        open_ways.sort(key=lambda way: not any(self._filled(standing, name) for name in way))
        if not open_ways:
            return self._offer_person(replace(standing, verifying=False), self._say(standing, self._phrases.stuck))
        slot = next(self._dialogue.slot(name) for name in open_ways[0] if not self._filled(standing, name))
        why = "" if standing.explained else self._say(standing, verification.ask)
        standing, act = self._fill(replace(standing, explained=True), slot)
        if act.text and not act.call:
            return self._speak(standing, sentences(why, act.text))
        return standing, act

    def _fill(self, standing: Standing, slot: Slot) -> Move:
        """Get one fact: from words already heard, from a list, or by asking."""
        if slot.name in standing.heard and slot.resolver:
            arguments = {slot.resolver.argument: standing.heard[slot.name]}
            return self._call(standing, Call("resolve", slot.resolver.tool, arguments, slot.name))
        lacking = slot.name in standing.lacking
        if slot.options and (slot.kind == "choice" or lacking) and slot.name not in standing.options:
            arguments = {name: evaluate(template, standing.facts) for name, template in slot.options.arguments.items()}
            return self._call(standing, Call("options", slot.options.tool, arguments, slot.name))
        if lacking and slot.name not in standing.options:
            return self._offer_person(standing, self._say(standing, self._phrases.stuck))
        return self._speak(replace(standing, question=ForSlot(slot.name)), self._question(standing, slot))

    def _question(self, standing: Standing, slot: Slot) -> str:
        """How a slot is asked for, with what there is to choose from."""
        options = standing.options.get(slot.name, ())
        labels = list(dict.fromkeys(option.label for option in options))
        if not labels or (slot.kind != "choice" and slot.name not in standing.lacking):
            return self._say(standing, slot.ask)
        wording = self._phrases.ask_many if slot.many else self._phrases.ask_choice
        return self._say(standing, wording, choices=enumeration(labels))

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
        return _learned(replace(standing, question=Nothing()), slot, facts)

    # ── beginning and ending intents ──────────────────────────────────────────────

    def _begin(self, standing: Standing, heard: Understood, name: str) -> Move:
        """Do what the caller wants."""
        intent = self._dialogue.intent(name)
        if intent is None:
            return self._small_words(standing, name)
        match intent.act:
            case "repeat":
                return self._repeat(standing)
            case "goodbye":
                return self._goodbye(standing, intent)
            case "unknown" if not isinstance(standing.question, ForSlot):
                return self._unknown(standing, heard)
        if not intent.tool:
            return self._answer_plainly(standing, intent)
        again = intent.name == standing.intent and isinstance(standing.question, ForSlot)
        if not again:
            standing = replace(standing, misses={}, missed={}, trouble=0, question=Nothing(), verifying=False)
        for slot in map(self._dialogue.slot, intent.slots):
            if slot.name in standing.heard:
                continue
            stale = slot.kind == "choice" and intent.name != self._dialogue.person
            if stale or (slot.kind == "identifier" and means_another(heard.text, slot.spoken())):
                standing = _forget(standing, slot)
        topic = heard.topics.get(name)
        before = standing.before if name == standing.intent else standing.intent
        return self._advance(replace(standing, intent=name, before=before, topic=topic, opening=heard.text))

    def _answer_plainly(self, standing: Standing, intent: Intent) -> Move:
        """An intent without a tool; a question that was open stays open."""
        text = word(intent.say, {**standing.facts, "abilities": self._abilities()}, standing.turn)
        titled = intent.name in self._titled
        trouble = 0 if titled else standing.trouble
        match standing.question:
            case ForSlot(slot):
                return self._speak(standing, sentences(text, self._question(standing, self._dialogue.slot(slot))))
            case Nothing() | AnythingElse() if titled or standing.intent:
                return self._more(replace(standing, trouble=trouble), text)
        return self._speak(replace(standing, trouble=trouble, question=Nothing()), text)

    def _small_words(self, standing: Standing, name: str) -> Move:
        """The brain's own intents, outside a question they would answer."""
        phrase = self._phrases.take_your_time if name == WAIT else self._phrases.hello
        text = self._say(standing, phrase)
        if isinstance(standing.question, ForSlot):
            text = self._question(standing, self._dialogue.slot(standing.question.slot))
        return self._speak(standing, text)

    def _goodbye(self, standing: Standing, intent: Intent | None) -> Move:
        text = self._say(standing, intent.say if intent else ()) or self._say(standing, self._phrases.goodbye)
        return replace(standing, question=Nothing(), said=text), Act(text, hang_up=True)

    def _more(self, standing: Standing, text: str) -> Move:
        """Something is finished: ask whether there is anything else."""
        asked = replace(standing, question=AnythingElse(), verifying=False)
        return self._speak(asked, sentences(text, self._say(standing, self._phrases.anything_else)))

    def _repeat(self, standing: Standing) -> Move:
        """Say the last words again."""
        return self._speak(standing, standing.said or self._say(standing, self._phrases.hello))

    # ── when it does not go on ────────────────────────────────────────────────────

    def _miss(self, standing: Standing, slot: Slot) -> Move:
        """A slot's answer was not understood: ask again, then by keypad, then offer a person."""
        misses = standing.misses.get(slot.name, 0) + 1
        standing = replace(standing, misses={**standing.misses, slot.name: misses}, trouble=standing.trouble + 1)
        if misses >= TRIES:
            return self._offer_person(standing, self._say(standing, self._phrases.stuck))
        standing = replace(standing, question=ForSlot(slot.name))
        keypad = self._say(standing, slot.keypad) if misses == TRIES - 1 else ""
        retry = self._say(standing, slot.retry)
        plain = sentences(self._say(standing, self._phrases.unheard), self._question(standing, slot))
        listed = slot.kind == "choice" and bool(standing.options.get(slot.name))
        return self._speak(standing, keypad or (plain if listed else retry) or plain)

    def _unheard(self, standing: Standing) -> Move:
        """No words at all."""
        standing = replace(standing, trouble=standing.trouble + 1)
        sorry = self._say(standing, self._phrases.unheard)
        match standing.question:
            case GoAhead(call, times) if times < READ_BACKS:
                return replace(standing, question=GoAhead(call, times + 1), calling=call), Act(call=call)
            case GoAhead():
                return self._offer_person(standing, self._say(standing, self._phrases.unconfirmed))
            case ForSlot(name):
                return self._miss(standing, self._dialogue.slot(name))
        if standing.trouble >= TRIES:
            return self._offer_person(standing, sorry)
        return self._speak(standing, sentences(sorry, self._say(standing, self._phrases.say_again)))

    def _unknown(self, standing: Standing, heard: Understood) -> Move:
        """Something that no intent is about: say so, and what can be done instead."""
        standing = replace(standing, trouble=standing.trouble + 1, question=Nothing())
        unheard = self._say(standing, self._phrases.unheard)
        if heard.words < SENTENCE and not heard.clear:
            # A word or two that mean nothing are more likely misheard than beyond us.
            text = sentences(unheard, self._say(standing, self._phrases.say_again))
        else:
            intent = next((intent for intent in self._dialogue.intents if intent.act == "unknown"), None)
            wordings = intent.say if intent else self._phrases.unknown
            text = self._say(standing, wordings, abilities=self._abilities())
        if standing.trouble >= TRIES:
            return self._offer_person(standing, self._say(standing, self._phrases.beyond))
        return self._speak(standing, text)

    def _offer_person(self, standing: Standing, why: str) -> Move:
        """Nothing more can be done here: offer a person, if there is a way to one."""
        standing = replace(standing, misses={}, missed={}, trouble=0, heard={})
        if not self._dialogue.person:
            return self._more(standing, why)
        return self._speak(
            replace(standing, question=APerson()), sentences(why, self._say(standing, self._phrases.offer_person))
        )

    # ── small things ──────────────────────────────────────────────────────────────

    def _speak(self, standing: Standing, text: str) -> Move:
        return replace(standing, said=text), Act(text)

    def _call(self, standing: Standing, call: Call) -> Move:
        return replace(standing, calling=call), Act(call=call)

    def _say(self, standing: Standing, wordings: Wordings, **values: Any) -> str:
        return word(wordings, {**standing.facts, **values}, standing.turn)

    def _read_back(self, standing: Standing, slot: Slot, value: str) -> str:
        assert slot.resolver is not None, "only a resolved slot is read back"
        return self._say(standing, slot.resolver.read_back, value=value)

    def _filled(self, standing: Standing, name: str) -> bool:
        return name not in standing.heard and all(fact in standing.facts for fact in self._dialogue.slot(name).fills())

    def _facts_of(self, names: Iterable[str]) -> list[str]:
        return [fact for name in names for fact in self._dialogue.slot(name).fills()]

    def _title(self, name: str) -> str:
        intent = self._dialogue.intent(name)
        return intent.title if intent else ""

    def _abilities(self) -> str:
        return enumeration([intent.title for intent in self._dialogue.intents if intent.title][:3], "or")

    def _wants(self, heard: Understood, act: str) -> bool:
        best = heard.best
        intent = self._dialogue.intent(best.name) if best else None
        return intent is not None and intent.act == act

    def _means(self, heard: Understood, name: str) -> bool:
        return heard.best is not None and heard.best.name == name


def _learned(standing: Standing, slot: Slot, facts: Mapping[str, Any]) -> Standing:
    return replace(
        standing,
        facts={**standing.facts, **facts},
        heard=_without(standing.heard, slot.name),
        missed=_without(standing.missed, slot.name),
        misses=_without(standing.misses, slot.name),
        lacking=standing.lacking - {slot.name},
        trouble=0,
    )


def _forget(standing: Standing, slot: Slot) -> Standing:
    """Nothing is known of this slot any more, nor of choices, which may hang on it."""
    return replace(
        standing,
        facts={name: value for name, value in standing.facts.items() if name not in slot.fills()},
        lacking=standing.lacking - {slot.name},
        options={
            name: options for name, options in standing.options.items() if name == slot.name and slot.kind != "choice"
        },
    )


def _options(slot: Slot, items: Iterable[Any]) -> Iterable[Option]:
    assert slot.options is not None, "only asked of a slot with options"
    for item in items:
        value = look_up(item, slot.options.value) if isinstance(item, Mapping) else item
        if value:
            label = word(slot.options.label, item) if slot.options.label and isinstance(item, Mapping) else str(value)
            yield Option(str(value), label or str(value))


def _without(mapping: Mapping[str, _Value], name: str) -> dict[str, _Value]:
    return {key: value for key, value in mapping.items() if key != name}
