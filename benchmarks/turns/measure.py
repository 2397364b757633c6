"""From one call's artefacts to what can be counted: one record per thing the caller did, one per sentence stored.

Pure but for `measure_folder`, which reads a folder, aligns and remembers. Every definition is in `docs/turn-taking.md`;
the words here are the same. What the agent did is taken from the audio that the double played, and from the double's
own log; of the product only the stored history is looked at, and only to be judged.
"""

import hashlib
import json
import math
import wave
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from difflib import SequenceMatcher
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from benchmarks.turns import align as aligner
from benchmarks.turns.align import HeardWord, Samples, Stretch, Templates, Text, align, words_of
from benchmarks.turns.artefacts import ORDER_DOUBT, CallArtefact, CallerEvent, Entity, StoredEntry, load
from numpy.typing import NDArray

from talkspurt.agent.spoken import alphanumerics, digits, email_address, identifiers, zip_code
from talkspurt.simulate.loudness import WINDOW, audible_windows

RATE_HZ: Final = 8_000
SECONDS: Final = WINDOW / RATE_HZ

SETTLED: Final = 0.3
"""Seconds of quiet after which the agent has stopped, and is not between two words."""
CARRIED_ON: Final = 0.5
"""An agent that is audible for this long beyond the caller's end has answered before it."""
STALLED: Final = 0.8
"""Seconds of quiet inside a text, without a `clear`, that are no pause of the voice's own (its longest: 0.5 s)."""
LATE_DECISION: Final = 1.5
"""Seconds after a sound within which a stop is put down to it."""
ANSWER_SECONDS: Final = 2.5
"""Seconds in which an agent would answer what was said beside the telephone."""
ENDED_ITSELF: Final = 1.0
"""A reply whose last word falls within this of the interruption ended; it neither yielded nor talked on."""
UNKNOWN: Final = 1.0
"""Distance from which a stretch is no text that was ordered."""
UNBROKEN: Final = 0.12
"""Seconds between two stretches of a text below which the voice went on: every stop leaves more silence."""
PLACE_DOUBT: Final = 0.12
"""Seconds by which the place where a text breaks off or is taken up may be misjudged."""
WORD_DOUBT: Final = 0.15
"""Seconds by which the beginning of a word may be misjudged (90 % lie within)."""


# ── what is found ─────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Turn:
    """One event of the caller's side, and what the agent made of it. Times in seconds; None: does not apply."""

    id: str
    row: str
    expects: str
    source: str
    labels: dict[str, Any]
    """By what figures can be divided: voice, noise, snr, echo, loss, pause, place, kind, level, field, tags."""
    longest_pause: float
    """Of the pauses inside; 0 without one."""
    cut_in: bool | None = None
    cut_in_after: float | None = None
    """From the event's first voiced sample to the agent's."""
    latency: float | None = None
    """From the last caller sample to the answer's first; infinite when none came."""
    audible_latency: float | None = None
    """The same to anything the agent said, fillers included."""
    asked_after: float | None = None
    """Stage: from the last caller sample until the model was asked for the answer. Negative: speculation."""
    endpoint_after: float | None = None
    """Stage: until the conversation took the turn to be over, where its journal says so."""
    voice_after: float | None = None
    """Stage: from then to the answer's first sample."""
    yielded_after: float | None = None
    """From the first voiced sample of an interruption to the agent's last."""
    talked_on: bool | None = None
    """The agent said its reply to the end in spite of the interruption."""
    stops: int | None = None
    gone: bool | None = None
    """The agent stopped and did not take its text up again."""
    right_word: bool | None = None
    """Every stop was taken up again with no unheard word skipped, at the word that was cut or the one before."""
    resumed_after: float | None = None
    """From the event's last voiced sample to the next audible one of the agent."""
    silent_for: float | None = None
    """From where the agent stopped to where it went on."""
    taken_as_turn: bool | None = None
    """The stored history has the caller say it."""
    ignored: bool | None = None
    reminded_after: float | None = None
    expected: str | None = None
    recognised: str | None = None
    entity_right: bool | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """An agent's sentence of the history beside what was heard of it. `errors` in words."""

    stored: str
    heard: str
    errors: int
    at: float


@dataclass(frozen=True, slots=True)
class Measured:
    """All of one call."""

    call: str
    turns: tuple[Turn, ...]
    said: tuple[Said, ...]
    unknown_seconds: float
    """Agent speech that is none of the texts: should be 0, and casts doubt on the call where it is not."""
    worst_lateness: float
    not_measured: int
    hung_up: bool = False
    """The agent ended the call before the caller had said everything."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One text as it was heard, perhaps in several stretches."""

    text: int
    stretches: tuple[Stretch, ...]

    @property
    def begin(self) -> float:
        """Its first audible moment."""
        return self.stretches[0].begin

    @property
    def end(self) -> float:
        """Its last one."""
        return self.stretches[-1].end

    def heard(self) -> list[HeardWord]:
        """The words of which at least half was played, each once and in order of the text.

        Where the voice goes on without a break the alignment may step over one short word, such as a "for" that
        melts into the number behind it: nothing can have been left out there, so it was heard.
        """
        words: dict[int, HeardWord] = {}
        for stretch in self.stretches:
            for word in stretch.words:
                if word.share >= 0.5:
                    words.setdefault(word.index, word)
        for before, after in pairwise(self.stretches):
            if len(before.heard) and len(after.heard) and after.begin - before.end < UNBROKEN:
                between = range(before.heard.stop, after.heard.start)
                if len(between) == 1:
                    words.setdefault(between[0], HeardWord(between[0], 1.0, before.end, after.begin))
        return [words[index] for index in sorted(words)]


class Track:
    """The agent's audio as a caller hears it."""

    def __init__(self, samples: Samples) -> None:
        self._audible: NDArray[np.bool_] = audible_windows(samples)
        self.talkspurts = list(self._talkspurts())
        """Begin and end of everything that is divided by quiet of `SETTLED` or more."""

    def _talkspurts(self) -> Iterator[tuple[float, float]]:
        where = np.flatnonzero(self._audible)
        if not len(where):
            return
        breaks = np.flatnonzero(np.diff(where) > SETTLED / SECONDS) + 1
        for piece in np.split(where, breaks):
            yield float(piece[0]) * SECONDS, float(piece[-1] + 1) * SECONDS

    def onset(self, moment: float) -> float | None:
        """The first audible window at or after `moment`."""
        first = max(0, math.ceil(moment / SECONDS - 1e-6))
        found = np.flatnonzero(self._audible[first:])
        return (first + int(found[0])) * SECONDS if len(found) else None

    def last_before(self, moment: float) -> float | None:
        """Where the last audible window before `moment` ends."""
        found = np.flatnonzero(self._audible[: max(0, round(moment / SECONDS))])
        return (int(found[-1]) + 1) * SECONDS if len(found) else None

    def across(self, moment: float) -> tuple[float, float] | None:
        """The talkspurt that sounds at `moment`."""
        return next(((begin, end) for begin, end in self.talkspurts if begin <= moment < end), None)


# ── the whole call ────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a call is measured by."""

    artefact: CallArtefact
    agent: Samples
    texts: tuple[Text, ...]
    stretches: tuple[Stretch, ...]
    word_begins: tuple[tuple[float, ...], ...]
    """For each text the second of its template at which each word begins."""
    taken: tuple[float, ...] = ()
    """When the conversation took the turn, by its journal, where there is one: about 50 ms of doubt."""


def texts_of(artefact: CallArtefact) -> tuple[Text, ...]:
    """Everything the agent may have said: its greeting, what the model ordered, and the runtime's own phrases."""
    ordered: dict[str, list[float]] = {artefact.greeting: [0.0]}
    for reply in sorted(artefact.ordered, key=lambda reply: reply.at):
        ordered.setdefault(reply.text, []).append(reply.at)
    phrases = dict.fromkeys(phrase for phrase in artefact.locale.phrases.values() if phrase not in ordered)
    return (
        *(Text(text, tuple(at)) for text, at in ordered.items()),
        *(Text(phrase, always=True) for phrase in phrases),
    )


def measure(evidence: Evidence) -> Measured:
    """Every record of one call."""
    call = _Call(evidence)
    wanted = [event for event in evidence.artefact.events if event.row != "go_on"]
    events = [event for event in wanted if event.measured and call.took_place(event)]
    unknown = [stretch for stretch in evidence.stretches if stretch.distance > UNKNOWN]
    return Measured(
        call=evidence.artefact.id,
        turns=tuple(call.turn(event) for event in events),
        said=tuple(compare_history(evidence)),
        unknown_seconds=sum(stretch.end - stretch.begin for stretch in unknown),
        worst_lateness=evidence.artefact.worst_lateness,
        not_measured=len(wanted) - len(events),
        hung_up=evidence.artefact.hung_up,
    )


class _Call:
    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._artefact = evidence.artefact
        self._track = Track(evidence.agent)
        self._stretches = evidence.stretches
        self._begins = sorted(event.begin for event in self._artefact.events)
        self._clears = [event.at for event in self._artefact.line if event.kind == "clear"]

    def took_place(self, event: CallerEvent) -> bool:
        """Whether the agent could have gone wrong at the event: its caller does not know phrases from replies, nor that
        the agent is about to hang up.
        """
        if event.row in ("backchannel", "noise", "side_talk") and event.expects == "go_on":
            sounding = [stretch for stretch in self._stretches if stretch.begin <= event.begin][-1:]
            if any(self._is_phrase(stretch) for stretch in sounding):
                return False  # no reply, but "Are you still there?"
        if event.expects in ("go_on", "stay_silent"):
            return not self._artefact.hung_up or event.end + ANSWER_SECONDS <= self._artefact.seconds
        return True

    def turn(self, event: CallerEvent) -> Turn:
        """Measure what the event expects."""
        found: dict[str, Any] = {}
        if event.expects == "answer":
            found |= self._cut_in(event)
            if not found.get("cut_in"):
                found |= self._answer(event)
        elif event.expects == "stop":
            found |= self._yield(event) | self._answer(event)
        elif event.expects == "go_on":
            found |= self._going_on(event)
            found["taken_as_turn"] = self._taken_as_turn(event)
            found["ignored"] = not found["gone"] and not found["taken_as_turn"]
        elif event.expects == "stay_silent":
            answer = self._track.onset(event.begin)
            answered = answer is not None and answer < min(event.end + ANSWER_SECONDS, self._until(event))
            found["taken_as_turn"] = self._taken_as_turn(event)
            found["ignored"] = not answered and not found["taken_as_turn"]
        elif event.expects == "remind":
            reminder = self._track.onset(event.begin + 0.05)
            found["reminded_after"] = None if reminder is None else reminder - event.begin
        if event.entity is not None:
            found |= self._entity(event, event.entity)
        longest = max((pause.end - pause.begin for pause in event.pauses), default=0.0)
        return Turn(
            event.id,
            event.row,
            event.expects,
            event.source,
            _labels(event, self._artefact.scenario, longest),
            longest,
            **found,
        )

    # ── turns of the caller ───────────────────────────────────────────────────────

    def _until(self, event: CallerEvent) -> float:
        """Where the caller's next event begins, or the call's end."""
        following = bisect_right(self._begins, event.begin)
        return self._begins[following] if following < len(self._begins) else self._artefact.seconds

    def _cut_in(self, event: CallerEvent) -> dict[str, Any]:
        if self._track.across(event.begin) is not None:
            return {}  # the caller began while the agent spoke: nobody was cut off
        onset = next((begin for begin, _ in self._track.talkspurts if event.begin <= begin < event.end), None)
        return {"cut_in": onset is not None, "cut_in_after": None if onset is None else onset - event.begin}

    def _answer(self, event: CallerEvent) -> dict[str, Any]:
        until = self._until(event)
        still = self._track.across(event.end)
        if still is not None and still[1] - event.end >= CARRIED_ON:
            if event.expects == "stop" and still[0] < event.begin:
                return {}  # it talks on, which `_yield` tells
            return {"latency": 0.0, "audible_latency": 0.0}
        begin = event.end if still is None else still[1]
        audible = self._track.onset(begin)
        if audible is None or audible >= until:
            return {"latency": math.inf, "audible_latency": math.inf}
        answer = next(
            (s for s in self._stretches if begin - SECONDS <= s.begin < until and not self._is_phrase(s)),
            None,
        )
        onset = None if answer is None else self._track.onset(max(begin, answer.begin - SECONDS))
        found: dict[str, Any] = {
            "latency": math.inf if onset is None else onset - event.end,
            "audible_latency": audible - event.end,
        }
        if answer is not None:
            latest = answer.begin + ORDER_DOUBT
            asked = [at for at in self._evidence.texts[answer.text].ordered if event.begin < at < latest]
            found["asked_after"] = asked[-1] - event.end if asked else None
        taken = [at for at in self._evidence.taken if onset is not None and event.begin < at < onset + ORDER_DOUBT]
        if taken:
            found["endpoint_after"] = taken[-1] - event.end
            found["voice_after"] = found["latency"] - found["endpoint_after"]
        return found

    def _is_phrase(self, stretch: Stretch) -> bool:
        return self._evidence.texts[stretch.text].always and stretch.distance <= UNKNOWN

    def _yield(self, event: CallerEvent) -> dict[str, Any]:
        speaking = self._track.across(event.begin)
        if speaking is None:
            # Between two sentences: if it goes on after this, that is what was interrupted.
            onset = self._track.onset(event.begin)
            before = self._track.last_before(event.begin)
            if onset is None or before is None or onset - before >= 2 * SETTLED or onset >= event.end:
                return {}
            speaking = self._track.across(onset)
        assert speaking is not None
        stopped = speaking[1]
        stretch = self._stretch_at(stopped - SECONDS)
        complete = stretch is not None and self._is_complete(stretch, stopped)
        cleared = any(event.begin <= at <= stopped + SETTLED for at in self._clears)
        if complete and not cleared and stopped - event.begin < ENDED_ITSELF:
            return {}
        return {"yielded_after": stopped - event.begin, "talked_on": complete and not cleared}

    def _entity(self, event: CallerEvent, entity: Entity) -> dict[str, Any]:
        said = " ".join(str(entry.content.get("text", "")) for entry in self._caller_said(event))
        return {"expected": entity.value, "recognised": said, "entity_right": entity_in(said, entity)}

    def _caller_said(self, event: CallerEvent) -> list[StoredEntry]:
        until = self._until(event) + SETTLED
        history = self._artefact.history
        return [entry for entry in history if entry.kind == "caller_said" and event.begin < entry.at < until]

    def _taken_as_turn(self, event: CallerEvent) -> bool:
        if self._caller_said(event):
            return True
        # Words of it may have been kept for the turn that followed.
        own = _tokens(event.text)
        if len(own) < 3:
            return False
        later = [e for e in self._artefact.history if e.kind == "caller_said" and e.at > event.begin][:1]
        said = [token for entry in later for token in _tokens(str(entry.content.get("text", "")))]
        shared = sum(block.size for block in SequenceMatcher(None, own, said, autojunk=False).get_matching_blocks())
        return shared >= 0.6 * len(own)

    # ── sounds that are no turn ───────────────────────────────────────────────────

    def _going_on(self, event: CallerEvent) -> dict[str, Any]:
        """Whether and how the agent's speech survived the event."""
        until = min(event.end + LATE_DECISION, self._until(event))
        stops, gone, right = 0, False, True
        resumed_at: float | None = None
        silent_for = 0.0
        for stop in self._stops(event.begin, until):
            stops += 1
            resumed = self._resumption(stop, self._until(event))
            if resumed is None:
                gone = True
                break
            resumed_at, right_here = resumed
            right = right and right_here
            silent_for = max(silent_for, resumed_at - stop)
        if not stops:
            return {"stops": 0, "gone": False}
        if gone or resumed_at is None:
            return {"stops": stops, "gone": True, "right_word": False}
        return {
            "stops": stops,
            "gone": False,
            "right_word": right,
            "resumed_after": max(0.0, resumed_at - event.end),
            "silent_for": silent_for,
        }

    def _stops(self, begin: float, until: float) -> Iterator[float]:
        """Where the agent stopped in the middle of a text, between `begin` and `until`."""
        found: dict[float, bool] = {}
        """Whether it was ordered."""
        for (_, end), (following, _) in pairwise([*self._track.talkspurts, (self._artefact.seconds, math.inf)]):
            if begin <= end <= until and following - end >= STALLED:
                found[end] = False
        for at in self._clears:
            if begin <= at <= until:
                last = self._track.last_before(at + 2 * SECONDS)
                if last is not None:
                    found[last] = True
        previous = -math.inf
        for stop, ordered in sorted(found.items()):
            stretch = self._stretch_at(stop - SECONDS)
            if stop - previous <= SETTLED or stretch is None or self._is_complete(stretch, stop):
                continue
            if ordered or not self._lacks_last_word(stretch, stop):
                previous = stop
                yield stop

    def _resumption(self, stop: float, until: float) -> tuple[float, bool] | None:
        """When the text that broke off at `stop` went on, and whether at the right word."""
        broken = self._stretch_at(stop - SECONDS)
        assert broken is not None
        onset = self._track.onset(stop + 2 * SECONDS)
        if broken.end > stop + SETTLED and onset is not None:
            return onset, True  # it goes on as if nothing had been
        for stretch in self._stretches:
            if stretch.begin < stop or stretch is broken or self._is_phrase(stretch):
                continue
            if stretch.begin >= until or stretch.text != broken.text:
                return None
            onset = self._track.onset(stretch.begin - SECONDS)
            assert onset is not None
            return onset, self._is_right_word(broken, stretch)
        return None

    def _is_right_word(self, broken: Stretch, resumed: Stretch) -> bool:
        begins = [*self._evidence.word_begins[broken.text], math.inf]
        cut = max(0, bisect_right(begins, broken.exit) - 1)
        half_heard = broken.exit >= (begins[cut] + begins[cut + 1]) / 2
        latest = (begins[cut + 1] if half_heard else broken.exit) + PLACE_DOUBT
        earliest = begins[max(0, cut - 1)] - WORD_DOUBT
        return earliest <= resumed.entry <= latest

    def _stretch_at(self, moment: float) -> Stretch | None:
        """The stretch that sounds at `moment`, or the last one before."""
        before = [stretch for stretch in self._stretches if stretch.begin <= moment]
        return before[-1] if before else None

    def _lacks_last_word(self, stretch: Stretch, moment: float) -> bool:
        """Whether of its text all but the last word was heard by `moment`, and that is not said later.

        The alignment is exact to within one word.
        """
        last = len(self._evidence.word_begins[stretch.text]) - 1
        so_far = [word for word in stretch.words if word.share >= 0.5 and (word.begin + word.end) / 2 <= moment]
        found_later = any(
            word.index == last and word.begin > moment
            for later in self._stretches
            if later.text == stretch.text
            for word in later.words
        )
        return last > 1 and bool(so_far) and so_far[-1].index == last - 1 and not found_later

    def _is_complete(self, stretch: Stretch, moment: float) -> bool:
        """Whether its text had been said to the last word by `moment`, or to the middle of it."""
        last = len(self._evidence.word_begins[stretch.text]) - 1
        # The alignment lets the last word end in the silence behind it: its middle is the surer mark.
        return any(
            word.index == last and word.share >= 0.5 and (word.begin + word.end) / 2 <= moment for word in stretch.words
        )


def _labels(event: CallerEvent, scenario: dict[str, Any], longest: float) -> dict[str, Any]:
    channel = scenario.get("channel", {})
    edges = (0.0, 0.3, 0.5, 0.7, 1.0, 1.25)
    return {
        "voice": event.source.partition("/")[0],
        "noise": channel.get("noise", "none"),
        "snr_db": channel.get("snr_db", "clean"),
        "echo_db": channel.get("echo_db", "none"),
        "loss": channel.get("loss", 0),
        "pause": "none" if not longest else f"over {max(edge for edge in edges if edge < longest)} s",
        "place": "+".join(sorted({pause.place for pause in event.pauses})) or "none",
        "kind": event.entity.kind if event.entity else next(iter(event.tags), ""),
        "level_db": event.level_db,
        "far_field": event.far_field,
        "synthetic": event.synthetic,
        "tags": list(event.tags),
        "further": scenario.get("further", False),
    }


def entity_in(said: str, entity: Entity) -> bool:
    """Whether what the history says reads as the entity that was given."""
    match entity.kind:
        case "order_id":
            return identifiers(said, r"W\d{7}") == (entity.value,)
        case "email":
            return email_address(said) == entity.value
        case "zip":
            return zip_code(said) == entity.value
        case "phone":
            return digits(said) == entity.value
        case "amount":
            return "".join(filter(str.isdigit, alphanumerics(said))) == "".join(filter(str.isdigit, entity.value))
        case other:
            raise ValueError(f"unknown kind of entity '{other}'")


# ── heard truth ───────────────────────────────────────────────────────────────────


def replies_of(stretches: Sequence[Stretch]) -> list[Reply]:
    """Put stretches of one text together: a text that is taken up again is one reply, one that begins anew is two."""
    replies: list[Reply] = []
    for stretch in stretches:
        if stretch.distance > UNKNOWN or not len(stretch.heard):
            continue
        last = replies[-1] if replies else None
        if last is not None and last.text == stretch.text:
            reached = max(one.heard.stop for one in last.stretches)
            if stretch.enters >= reached - 3 and (stretch.enters > 0 or reached <= 2):
                replies[-1] = Reply(last.text, (*last.stretches, stretch))
                continue
        replies.append(Reply(stretch.text, (stretch,)))
    return replies


def compare_history(evidence: Evidence) -> list[Said]:
    """Lay the agent's stored words over the heard ones, and count the errors of each stored sentence.

    A word that was heard and not stored is an error of the sentence beside it; a heard text of which
    nothing was stored is a sentence of its own.
    """
    heard: list[tuple[str, int]] = []
    replies = replies_of(evidence.stretches)
    for number, one in enumerate(replies):
        words = words_of(evidence.texts[one.text].text)
        heard += [(_token(words[word.index]), number) for word in one.heard()]
    entries = [entry for entry in evidence.artefact.history if entry.kind == "agent_said"]
    stored = [
        (_token(word), number) for number, entry in enumerate(entries) for word in words_of(str(entry.content["text"]))
    ]
    pairs = _edit([word for word, _ in heard], [word for word, _ in stored])
    errors = [0] * len(entries)
    common: list[list[str]] = [[] for _ in entries]
    beside: dict[int, int] = {}
    """The stored sentence that a heard text was found in, last or first."""
    for left, right in pairs:
        if left is not None and right is not None:
            beside.setdefault(heard[left][1], stored[right][1])
    lost: dict[int, list[str]] = {}
    for left, right in pairs:
        if left is not None and right is not None:
            word, reply = heard[left]
            beside[reply] = stored[right][1]
            common[stored[right][1]].append(word)
        elif right is not None:
            errors[stored[right][1]] += 1
        elif left is not None:
            word, reply = heard[left]
            if reply in beside:
                errors[beside[reply]] += 1
            else:
                lost.setdefault(reply, []).append(word)
    said = [
        Said(str(entry.content["text"]), " ".join(found), count, entry.at)
        for entry, found, count in zip(entries, common, errors, strict=True)
    ]
    said += [Said("", " ".join(found), len(found), replies[reply].begin) for reply, found in lost.items()]
    return said


def _edit(left: Sequence[str], right: Sequence[str]) -> list[tuple[int | None, int | None]]:
    """The cheapest way from one sequence to the other; a replaced word costs as much as a lost and an added one."""
    cost = np.zeros((len(left) + 1, len(right) + 1), dtype=np.int64)
    cost[:, 0], cost[0] = np.arange(len(left) + 1), np.arange(len(right) + 1)
    for i, word in enumerate(left, 1):
        for j, other in enumerate(right, 1):
            cost[i, j] = min(cost[i - 1, j] + 1, cost[i, j - 1] + 1, cost[i - 1, j - 1] + (0 if word == other else 2))
    pairs: list[tuple[int | None, int | None]] = []
    i, j = len(left), len(right)
    while i or j:
        if i and j and left[i - 1] == right[j - 1] and cost[i, j] == cost[i - 1, j - 1]:
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif j and cost[i, j] == cost[i, j - 1] + 1:
            j -= 1
            pairs.append((None, j))
        else:
            i -= 1
            pairs.append((i, None))
    return pairs[::-1]


def _token(word: str) -> str:
    return "".join(character for character in word.lower() if character.isalnum())


def _tokens(text: str) -> list[str]:
    return [_token(word) for word in words_of(text)]


# ── on disk ───────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Kept:
    """What is remembered beside a call's artefacts, and of which code and call it is true."""

    key: str
    content: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, key: str) -> "Kept | None":
        """None when there is none, or one of other code or another call."""
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            return cls(key, raw["content"]) if raw["key"] == key else None
        except (OSError, ValueError, KeyError):
            return None

    def write(self, path: Path) -> None:
        """Write in one step."""
        unfinished = path.with_suffix(".part")
        unfinished.write_text(json.dumps({"key": self.key, "content": self.content}), encoding="utf-8")
        unfinished.replace(path)


def read_track(path: Path, channel: int) -> Samples:
    """One channel of a 16-bit WAV file. Raises `OSError` or `wave.Error`."""
    with wave.open(str(path), "rb") as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        return samples.reshape(-1, file.getnchannels())[:, channel].astype(np.int16)


def gather(folder: Path, templates: Templates) -> Evidence:
    """The evidence of one call; alignment is done once and kept in `aligned.json`. Raises what `load` raises."""
    artefact = load(folder)
    agent = read_track(folder / "call.wav", 1)
    texts = texts_of(artefact)
    key = _key([Path(aligner.__file__), folder / "call.json"])
    kept = Kept.read(folder / "aligned.json", key)
    if kept is None:
        stretches = align(agent, texts, templates)
        kept = Kept(key, {"stretches": [asdict(stretch) for stretch in stretches]})
        used = {stretch.text for stretch in stretches}
        kept.content["begins"] = {
            str(index): [begin / RATE_HZ for begin, _ in templates.of(texts[index].text).words] for index in used
        }
        kept.write(folder / "aligned.json")
    begins = kept.content["begins"]
    return Evidence(
        artefact,
        agent,
        texts,
        tuple(stretch_from(raw) for raw in kept.content["stretches"]),
        tuple(tuple(begins.get(str(index), ())) for index in range(len(texts))),
        read_taken(folder),
    )


def stretch_from(raw: dict[str, Any]) -> Stretch:
    """A stretch as `asdict` wrote it."""
    return Stretch(**{**raw, "words": tuple(HeardWord(**word) for word in raw["words"])})


def read_taken(folder: Path) -> tuple[float, ...]:
    """When the conversation took a turn, by `journal.jsonl`; nothing when the server wrote none."""
    path = folder / "journal.jsonl"
    if not path.exists():
        return ()
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    states = [(float(entry["at"]), str(entry["name"])) for entry in entries if entry["kind"] == "state"]
    # The agent takes the floor from a silent caller, too, to ask whether they are there.
    return tuple(at for (_, before), (at, name) in pairwise(states) if (before, name) == ("Endpointing", "Thinking"))


def measure_folder(folder: Path, templates: Templates) -> Measured:
    """Measure one call, or say what is known from the last time. Raises what `load` raises."""
    files = [Path(__file__), Path(aligner.__file__), folder / "call.json", folder / "journal.jsonl"]
    key = _key(files)
    kept = Kept.read(folder / "measured.json", key)
    if kept is None:
        measured = measure(gather(folder, templates))
        kept = Kept(key, asdict(measured))
        kept.write(folder / "measured.json")
    raw = kept.content
    return Measured(
        call=raw["call"],
        turns=tuple(Turn(**turn) for turn in raw["turns"]),
        said=tuple(Said(**said) for said in raw["said"]),
        unknown_seconds=raw["unknown_seconds"],
        worst_lateness=raw["worst_lateness"],
        not_measured=raw["not_measured"],
        hung_up=raw["hung_up"],
    )


def _key(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.read_bytes() if path.exists() else b"-")
    return digest.hexdigest()
