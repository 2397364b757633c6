"""The next step of a dialogue, from what is known: verify the caller, fill a slot, call the tool, say something.

It does not read what the caller or a tool said: `policy` does, and comes here with what follows. Every
step is a pure function of the standing, and returns the new one with one act.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from talkspurt.agent.dialogue import Dialogue, Intent, Slot, Wordings
from talkspurt.agent.tools import SPEAK_SLOWER
from talkspurt.models.offline.english import WAIT, means_another
from talkspurt.models.offline.facts import mentioned, told
from talkspurt.models.offline.spelling import to_spell
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
    Standing,
    forget,
    learned,
)
from talkspurt.models.offline.understanding import SENTENCE, Understood
from talkspurt.models.offline.wording import enumeration, first_of, letters, sentences, word

TRIES: Final = 3
"""Failed tries at one slot, or turns that lead nowhere, until a person is offered; before the last, the keypad is."""
READ_BACKS: Final = 2
"""Times an effect is read back before it is dropped."""


class Steps:
    """What to do next in one dialogue. Holds no state of a call."""

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue
        self._phrases = dialogue.phrases
        self._titled = frozenset(intent.name for intent in dialogue.intents if intent.title)

    # ── the next step ─────────────────────────────────────────────────────────────

    def advance(self, standing: Standing) -> Move:
        """Go on with what is wanted, from what is known."""
        standing = replace(standing, question=Nothing())
        intent = self._dialogue.intent(standing.intent)
        if intent is None:
            return self.speak(standing, self.say(standing, self._phrases.go_on))
        if standing.verifying:
            return self._verify(standing)
        for slot in map(self._dialogue.slot, (*intent.slots, *intent.doubts)):
            if not self.filled(standing, slot.name):
                if slot.name not in standing.misses and (facts := told(slot, standing.opening)):
                    standing = learned(standing, slot, facts)
                elif slot.name in intent.slots:
                    return self._fill(standing, slot)
        values = {**standing.facts, "said": standing.opening, "topic": self.title(standing.before) or "not said"}
        templates = intent.arguments or {fact: f"{{{fact}}}" for fact in self.facts_of(intent.slots)}
        arguments = {name: first_of(template, values) for name, template in templates.items()}
        call = Call("task", intent.tool, {name: value for name, value in arguments.items() if value is not None})
        return self._call(standing, call)

    def _verify(self, standing: Standing) -> Move:
        verification = self._dialogue.verification
        assert verification is not None, "verifying without a verification"
        known = [way for way in verification.ways if all(self.filled(standing, name) for name in way)]
        if known:
            facts = {fact: standing.facts[fact] for fact in self.facts_of(known[0])}
            return self._call(standing, Call("verify", verification.tool, facts))
        open_ways = [way for way in verification.ways if not standing.lacking & set(way)]
        # What the caller has begun to tell is gone on with: a name given unasked calls for the ZIP, not the e-mail.
        open_ways.sort(key=lambda way: not any(self.filled(standing, name) for name in way))
        if not open_ways:
            return self.offer_person(replace(standing, verifying=False), self.say(standing, self._phrases.stuck))
        slot = next(self._dialogue.slot(name) for name in open_ways[0] if not self.filled(standing, name))
        why = "" if standing.explained else self.say(standing, verification.ask)
        standing, act = self._fill(replace(standing, explained=True), slot)
        if act.text and not act.call:
            return self.speak(standing, sentences(why, act.text))
        return standing, act

    def _fill(self, standing: Standing, slot: Slot) -> Move:
        """Get one fact: from words already heard, from a list, or by asking."""
        if slot.name in standing.heard and slot.resolver:
            arguments = {slot.resolver.argument: standing.heard[slot.name]}
            return self._call(standing, Call("resolve", slot.resolver.tool, arguments, slot.name))
        lacking = slot.name in standing.lacking
        if slot.options and (slot.kind == "choice" or lacking) and slot.name not in standing.options:
            arguments = {name: first_of(template, standing.facts) for name, template in slot.options.arguments.items()}
            return self._call(standing, Call("options", slot.options.tool, arguments, slot.name))
        if lacking and slot.name not in standing.options:
            return self.offer_person(standing, self.say(standing, self._phrases.stuck))
        return self.speak(replace(standing, question=ForSlot(slot.name)), self.question(standing, slot))

    def question(self, standing: Standing, slot: Slot) -> str:
        """How a slot is asked for, with what there is to choose from."""
        options = standing.options.get(slot.name, ())
        labels = list(dict.fromkeys(option.label for option in options))
        if not labels or (slot.kind != "choice" and slot.name not in standing.lacking):
            return self.say(standing, slot.ask)
        wording = self._phrases.ask_many if slot.many else self._phrases.ask_choice
        return self.say(standing, wording, choices=enumeration(labels))

    # ── beginning and ending intents ──────────────────────────────────────────────

    def begin(self, standing: Standing, heard: Understood, name: str) -> Move:
        """Do what the caller wants."""
        intent = self._dialogue.intent(name)
        if intent is None:
            return self._small_words(standing, name)
        match intent.act:
            case "repeat":
                return self.repeat(standing)
            case "slower":
                return self.slower(standing)
            case "spell":
                return self.spell(standing, heard.text)
            case "goodbye":
                return self.goodbye(standing, intent)
            case "unknown" if not isinstance(standing.question, ForSlot):
                return self.unknown(standing, heard)
        if not intent.tool:
            return self._answer_plainly(standing, intent)
        again = intent.name == standing.intent and isinstance(standing.question, ForSlot)
        if not again:
            standing = replace(standing, misses={}, missed={}, trouble=0, question=Nothing(), verifying=False)
        for slot in map(self._dialogue.slot, (*intent.slots, *intent.doubts)):
            if slot.name in standing.heard:
                continue
            named = bool(mentioned(slot, heard.text))
            fleeting = slot.kind == "choice" or (slot.kind == "free" and not again)
            stale = fleeting and intent.name != self._dialogue.person and not named
            if stale or (slot.kind == "identifier" and means_another(heard.text, slot.spoken())):
                standing = forget(standing, slot)
        topic = heard.topics.get(name)
        before = standing.before if name == standing.intent else standing.intent
        return self.advance(replace(standing, intent=name, before=before, topic=topic, opening=heard.text))

    def _answer_plainly(self, standing: Standing, intent: Intent) -> Move:
        """An intent without a tool; a question that was open stays open."""
        text = word(intent.say, {**standing.facts, "abilities": self._abilities()}, standing.turn)
        titled = intent.name in self._titled
        trouble = 0 if titled else standing.trouble
        match standing.question:
            case ForSlot(slot):
                return self.speak(standing, sentences(text, self.question(standing, self._dialogue.slot(slot))))
            case Nothing() | AnythingElse() if titled or standing.intent:
                return self.more(replace(standing, trouble=trouble), text)
        return self.speak(replace(standing, trouble=trouble, question=Nothing()), text)

    def _small_words(self, standing: Standing, name: str) -> Move:
        """The brain's own intents, outside a question they would answer."""
        phrase = self._phrases.take_your_time if name == WAIT else self._phrases.hello
        text = self.say(standing, phrase)
        if isinstance(standing.question, ForSlot):
            text = self.question(standing, self._dialogue.slot(standing.question.slot))
        return self.speak(standing, text)

    def goodbye(self, standing: Standing, intent: Intent | None) -> Move:
        """Say goodbye and hang up."""
        text = self.say(standing, intent.say if intent else ()) or self.say(standing, self._phrases.goodbye)
        return replace(standing, question=Nothing(), said=text), Act(text, hang_up=True)

    def more(self, standing: Standing, text: str) -> Move:
        """Something is finished: ask whether there is anything else."""
        asked = replace(standing, question=AnythingElse(), verifying=False)
        return self.speak(asked, sentences(text, self.say(standing, self._phrases.anything_else)))

    def repeat(self, standing: Standing) -> Move:
        """Say the last words again."""
        return self.speak(standing, standing.said or self.say(standing, self._phrases.hello))

    def again(self, standing: Standing) -> Move:
        """Say the last words again; an effect is read back by the runtime, so it is proposed again."""
        match standing.question:
            case GoAhead(call):
                return replace(standing, calling=call), Act(call=call)
        return self.repeat(standing)

    def slower(self, standing: Standing) -> Move:
        """Speak more slowly; once the runtime does, the last words are said again."""
        return self._call(standing, Call("slower", SPEAK_SLOWER, {}))

    def spell(self, standing: Standing, asked: str) -> Move:
        """Spell what was mentioned last, or say that there is nothing to spell; an open question stays open."""
        value = to_spell(self._dialogue.slots, standing, asked)
        if value and letters(value) in standing.said:
            return self.again(standing)
        wordings = self._phrases.spelled if value else self._phrases.nothing_to_spell
        text = self.say(standing, wordings, value=value)
        match standing.question:
            case GoAhead(call):
                return replace(standing, calling=call), Act(text, call=call)
            case ForSlot(name):
                return self.speak(standing, sentences(text, self.question(standing, self._dialogue.slot(name))))
            case IsThatRight(name, proposed):
                read_back = self.read_back(standing, self._dialogue.slot(name), proposed)
                return self.speak(standing, sentences(text, read_back))
            case AnythingElse():
                return self.more(standing, text)
        return self.speak(standing, text)

    # ── when it does not go on ────────────────────────────────────────────────────

    def miss(self, standing: Standing, slot: Slot) -> Move:
        """A slot's answer was not understood: ask again, then by keypad, then offer a person."""
        misses = standing.misses.get(slot.name, 0) + 1
        standing = replace(standing, misses={**standing.misses, slot.name: misses}, trouble=standing.trouble + 1)
        if misses >= TRIES:
            return self.offer_person(standing, self.say(standing, self._phrases.stuck))
        standing = replace(standing, question=ForSlot(slot.name))
        keypad = self.say(standing, slot.keypad) if misses == TRIES - 1 else ""
        retry = self.say(standing, slot.retry)
        plain = sentences(self.say(standing, self._phrases.unheard), self.question(standing, slot))
        listed = slot.kind == "choice" and bool(standing.options.get(slot.name))
        return self.speak(standing, keypad or (plain if listed else retry) or plain)

    def ask_again(self, standing: Standing, slot: Slot, message: str) -> Move:
        """The tool could not do with what was told about a slot, and says why: the next answer is for it."""
        misses = standing.misses.get(slot.name, 0) + 1
        standing = replace(forget(standing, slot), misses={**standing.misses, slot.name: misses})
        if misses > TRIES:
            return self.offer_person(standing, message)
        question = message if message.endswith("?") else sentences(message, self.say(standing, slot.ask))
        return self.speak(replace(standing, question=ForSlot(slot.name)), question)

    def unheard(self, standing: Standing) -> Move:
        """No words at all."""
        standing = replace(standing, trouble=standing.trouble + 1)
        sorry = self.say(standing, self._phrases.unheard)
        match standing.question:
            case GoAhead(call, times) if times < READ_BACKS:
                return replace(standing, question=GoAhead(call, times + 1), calling=call), Act(call=call)
            case GoAhead():
                return self.offer_person(standing, self.say(standing, self._phrases.unconfirmed))
            case ForSlot(name):
                return self.miss(standing, self._dialogue.slot(name))
        if standing.trouble >= TRIES:
            return self.offer_person(standing, sorry)
        return self.speak(standing, sentences(sorry, self.say(standing, self._phrases.say_again)))

    def unknown(self, standing: Standing, heard: Understood) -> Move:
        """Something that no intent is about: say so, and what can be done instead."""
        standing = replace(standing, trouble=standing.trouble + 1, question=Nothing())
        unheard = self.say(standing, self._phrases.unheard)
        if heard.words < SENTENCE and not heard.clear:
            # A word or two that mean nothing are more likely misheard than beyond us.
            text = sentences(unheard, self.say(standing, self._phrases.say_again))
        else:
            intent = next((intent for intent in self._dialogue.intents if intent.act == "unknown"), None)
            wordings = intent.say if intent else self._phrases.unknown
            text = self.say(standing, wordings, abilities=self._abilities())
        if standing.trouble >= TRIES:
            return self.offer_person(standing, self.say(standing, self._phrases.beyond))
        return self.speak(standing, text)

    def offer_person(self, standing: Standing, why: str) -> Move:
        """Nothing more can be done here: offer a person, if there is a way to one."""
        standing = replace(standing, misses={}, missed={}, trouble=0, heard={})
        if not self._dialogue.person:
            return self.more(standing, why)
        return self.speak(
            replace(standing, question=APerson()), sentences(why, self.say(standing, self._phrases.offer_person))
        )

    # ── small things ──────────────────────────────────────────────────────────────

    def speak(self, standing: Standing, text: str) -> Move:
        """Say this."""
        return replace(standing, said=text), Act(text)

    def _call(self, standing: Standing, call: Call) -> Move:
        return replace(standing, calling=call), Act(call=call)

    def say(self, standing: Standing, wordings: Wordings, **values: Any) -> str:
        """One of the wordings, filled from what is known."""
        return word(wordings, {**standing.facts, **values}, standing.turn)

    def read_back(self, standing: Standing, slot: Slot, value: str) -> str:
        """The question whether a close match is right."""
        assert slot.resolver is not None, "only a resolved slot is read back"
        return self.say(standing, slot.resolver.read_back, value=value)

    def filled(self, standing: Standing, name: str) -> bool:
        """Whether the slot of that name is known, and nothing newer was heard about it."""
        return name not in standing.heard and all(fact in standing.facts for fact in self._dialogue.slot(name).fills())

    def facts_of(self, names: Iterable[str]) -> list[str]:
        """Names of the facts that these slots fill."""
        return [fact for name in names for fact in self._dialogue.slot(name).fills()]

    def title(self, name: str) -> str:
        """What the intent of that name is called when it is offered; "" for none."""
        intent = self._dialogue.intent(name)
        return intent.title if intent else ""

    def _abilities(self) -> str:
        return enumeration([intent.title for intent in self._dialogue.intents if intent.title][:3], "or")
