"""The conversation so far, in order, with places kept open for what is not settled yet.

A segment's place is taken when it is ordered, its words come from the playback ledger; a
tool's answer takes the place behind its call, whenever it comes. So history is always in
an order that a language model accepts, and always says only what was heard.

What a model is shown (`shown`) begins anew with each caller: what was told to the one before is not for the next.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered, ToolCalled
from talkspurt.core.playback import Playback


@dataclass(frozen=True, slots=True)
class Spoken:
    """The place of a segment of the agent's speech."""

    segment: int
    stock: bool = False
    """A stock sentence of the runtime: it asks for nothing of its own."""


@dataclass(frozen=True, slots=True)
class Called:
    """The place of a tool call and of its answer, None while it runs."""

    call: ToolCalled
    content: str | None = None


@dataclass(frozen=True, slots=True)
class HandedOn(Called):
    """The place of the tool call by which somebody else took the phone."""


@dataclass(frozen=True, slots=True)
class ForEarlierCaller(Called):
    """The place of a late answer to a tool that was called for somebody who has not got the phone any more."""


Place = CallerSaid | Spoken | Called

RUNNING = '{"status":"running"}'
"""What a model is told of a tool that has not answered yet."""


class Log:
    """Everything said and done, in order."""

    def __init__(self) -> None:
        self.places: list[Place] = []
        self.recorded = 0
        """How many places have been handed to the store."""

    def add(self, place: Place) -> None:
        """Take the next place."""
        self.places.append(place)

    def add_before(self, segment: int, place: Place) -> None:
        """Take the place before that of a segment, which nobody has heard yet."""
        begun = next(
            index for index, each in enumerate(self.places) if isinstance(each, Spoken) and each.segment == segment
        )
        self.places.insert(begun, place)

    @property
    def callers_turns(self) -> int:
        """How many turns the caller has had."""
        return sum(isinstance(place, CallerSaid) for place in self.places)

    def postpone(self, tool_call: str) -> None:
        """Let a call that has no answer yet take the next place instead: what was said since led to its answer."""
        index, place = self._called(tool_call)
        if place is not None and place.content is None:
            # Nothing from here on has been recorded: an open place holds back all that follow.
            self.places.append(self.places.pop(index))

    def is_shown(self, tool_call: str) -> bool:
        """Whether it was called for whoever has the phone now."""
        index, _ = self._called(tool_call)
        return not any(isinstance(place, HandedOn) for place in self.places[index + 1 :])

    def answer(self, tool_call: str, content: str) -> bool:
        """Fill in a tool's answer; only the first one lands. False for an unknown or answered call."""
        index, place = self._called(tool_call)
        if place is None or place.content is not None:
            return False
        self.places[index] = replace(place, content=content)
        return True

    def hand_on(self, tool_call: str) -> bool:
        """Somebody else took the phone by that call. False for an unknown one."""
        index, place = self._called(tool_call)
        if place is None:
            return False
        self.places[index] = HandedOn(place.call, place.content)
        return True

    def _called(self, tool_call: str) -> tuple[int, Called | None]:
        """The latest place of a tool call, and which one it is; None if there is none."""
        for index in range(len(self.places) - 1, -1, -1):
            place = self.places[index]
            if isinstance(place, Called) and place.call.tool_call == tool_call:
                return index, place
        return -1, None

    def history(self, playback: Playback) -> tuple[Entry, ...]:
        """What has been said and heard."""
        return _told(self.places, playback, expecting=False)

    def shown(self, playback: Playback) -> tuple[Entry, ...]:
        """What a model is told for its next words: speech on its way counts as heard, and nothing of earlier callers.

        It begins with the words by which the phone was handed on the last time.
        """
        handed = [index for index, place in enumerate(self.places) if isinstance(place, HandedOn)]
        if not handed:
            return _told(self.places, playback, expecting=True)
        before = self.places[: handed[-1]]
        words = next(([place] for place in reversed(before) if isinstance(place, CallerSaid)), [])
        since = (place for place in self.places[handed[-1] :] if not isinstance(place, ForEarlierCaller))
        return _told([*words, *since], playback, expecting=True)

    def last_said(self, playback: Playback) -> str:
        """The agent's last words that were heard, up to where the caller spoke before: "" when there are none.

        Stock sentences do not count: after "Could you say that again?" the question is still the one before.
        """
        words: list[str] = []
        for place in reversed(self.places):
            if isinstance(place, CallerSaid):
                break
            if isinstance(place, Spoken) and not place.stock and playback.segments[place.segment].settled:
                words.insert(0, playback.segments[place.segment].text)
        return " ".join(words)

    def turns_since_keys(self, playback: Playback) -> Iterator[str]:
        """What the agent has said or is about to say since keys came or a tool was called, the latest turn first.

        Without stock sentences: after "Are you still there?" the question is still the one before.
        """
        words: list[str] = []
        for place in reversed(self.places):
            match place:
                case Spoken(segment, stock):
                    if not stock:
                        words.insert(0, playback.segments[segment].text)
                case CallerSaid(source="voice"):
                    yield " ".join(words)
                    words = []
                case _:
                    break
        yield " ".join(words)

    def settled(self, playback: Playback, *, tentative: int | None = None) -> tuple[Entry, ...]:
        """Entries that are final since the last time this was asked, in order; the segment `tentative` is not yet."""
        entries: list[Entry] = []
        while self.recorded < len(self.places):
            place = self.places[self.recorded]
            if isinstance(place, Spoken) and (
                place.segment == tentative or not playback.segments[place.segment].settled
            ):
                break
            if isinstance(place, Called) and place.content is None:
                break
            entries.extend(_entries(place, playback, expecting=False))
            self.recorded += 1
        return tuple(entries)


def _told(places: Iterable[Place], playback: Playback, *, expecting: bool) -> tuple[Entry, ...]:
    entries: list[Entry] = []
    for place in places:
        for entry in _entries(place, playback, expecting):
            last = entries[-1] if entries else None
            if isinstance(entry, AgentSaid) and isinstance(last, AgentSaid) and not last.interrupted:
                entries[-1] = AgentSaid(f"{last.text} {entry.text}", entry.interrupted)
            else:
                entries.append(entry)
    return tuple(entries)


def _entries(place: Place, playback: Playback, expecting: bool) -> tuple[Entry, ...]:
    match place:
        case CallerSaid():
            return (place,)
        case Called(call, content):
            return (call, ToolAnswered(call.tool_call, call.name, RUNNING if content is None else content))
        case Spoken(segment):
            known = playback.segments[segment]
            if (known.settled or expecting) and known.text:
                return (AgentSaid(known.text, known.interrupted),)
            return ()
