"""What a vendor's conversation holds, and what has to be done to it so that it holds ours.

A speech-to-speech vendor keeps the conversation itself, as items: the caller's audio, the model's own speech, tool
calls and their answers. Ours is the history that comes with every request: what the caller was understood to say, and
of the model's words only those that were heard. Before each request the two are laid side by side (`reconcile`): what
history does not know is deleted (an utterance that was no turn, a reply that was guessed or never heard), speech that
was cut off is truncated where it was last heard, and what the vendor cannot know (the runtime's own sentences, keys,
what an effect came to, everything before a new session) is told it as text, in its place.

Audio is kept wherever it says what history says, because the vendor hears more in it than words. Where the two cannot
be brought together, the audio goes and history's words take its place: what was not heard is never left standing.

Pure: equal items and history give equal changes; behind its own changes `reconcile` finds nothing more to do.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal

from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered, ToolCalled
from talkspurt.speech_to_speech.letters import letters, words_behind, words_within
from talkspurt.speech_to_speech.speech import Speech

LEAST = 3
"""Letters by which words that were cut off are recognised as the beginning of a message."""
CUT_OFF = "—"
"""Ends words that were cut off; a model that copies it speaks nothing."""


@dataclass(frozen=True, slots=True)
class CallerAudio:
    """A stretch of the caller's voice; an utterance is one or several of them."""

    id: str
    utterance: int
    text: str | None = None
    """Its transcript; None while it has not come."""


@dataclass(frozen=True, slots=True)
class AgentAudio:
    """A message that the model spoke."""

    id: str
    speech: Speech
    heard: int | None = None
    """It was truncated behind so many letters."""

    @property
    def letters(self) -> str:
        """Its letters, as far as they stand."""
        return self.speech.letters[: self.heard]


@dataclass(frozen=True, slots=True)
class Told:
    """Words that the vendor was told as text."""

    id: str
    by: Literal["caller", "agent"]
    text: str


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool call. `tool_call` is our id, which is the vendor's too if the vendor made it."""

    id: str
    tool_call: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answered."""

    id: str
    tool_call: str
    content: str


Item = CallerAudio | AgentAudio | Told | ToolUse | ToolResult


@dataclass(frozen=True, slots=True)
class Delete:
    """Take an item out of the vendor's conversation."""

    id: str


@dataclass(frozen=True, slots=True)
class Truncate:
    """Cut a message that the model spoke behind what was heard of it."""

    id: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Create:
    """Put an item in behind the item `after`; None for the beginning."""

    item: Told | ToolUse | ToolResult
    after: str | None


Change = Delete | Truncate | Create


def reconcile(
    items: Sequence[Item], history: Iterable[Entry], new_id: Callable[[], str], *, spared: Collection[str] = ()
) -> tuple[list[Change], list[Item]]:
    """What to do to a conversation that holds `items` so that it holds `history`, and what it holds then.

    `spared`: ids of items that history may not know yet. `new_id` makes the ids of new items.
    """
    match = _Match(items, new_id)
    for entry in _answered_once(history):
        match.take(entry)
    return match.result(spared)


def _answered_once(history: Iterable[Entry]) -> Iterator[Entry]:
    """History with a call of its own for every answer that has none: its call was left behind, or answered before."""
    waiting: set[str] = set()
    made = 0
    for entry in history:
        if isinstance(entry, ToolCalled):
            waiting.add(entry.tool_call)
        elif isinstance(entry, ToolAnswered):
            if entry.tool_call not in waiting:
                made += 1
                entry = replace(entry, tool_call=f"{entry.tool_call}-again-{made}")  # noqa: PLW2901
                yield ToolCalled(entry.tool_call, entry.name, "{}")
            waiting.discard(entry.tool_call)
        yield entry


class _Match:
    """Walks through history and finds for each entry what already says it."""

    def __init__(self, items: Sequence[Item], new_id: Callable[[], str]) -> None:
        self._items = list(items)
        self._new_id = new_id
        self._at = 0
        """Items before this one have been passed by: words are not looked for there, and nothing is put there."""
        self._places = {item.id: place for place, item in enumerate(items)}
        self._kept: dict[str, Item] = {}
        """Items that history knows, as they are from now on."""
        self._truncated: list[Change] = []
        self._created: list[Create] = []
        self._last: str | None = None
        """The item behind which a new one is put."""
        self._after: dict[str | None, list[Item]] = {}
        self._uses = {item.tool_call: item for item in items if isinstance(item, ToolUse)}
        self._results = {item.tool_call: item for item in items if isinstance(item, ToolResult)}

    def take(self, entry: Entry) -> None:
        match entry:
            case CallerSaid(text, source):
                self._caller(f"(on the keypad) {text}" if source == "keypad" else text)
            case AgentSaid(text, interrupted):
                self._agent(text, interrupted)
            case ToolCalled(tool_call, name, arguments):
                known = self._uses.get(tool_call)
                if known is None:
                    self._create(ToolUse(self._new_id(), tool_call, name, arguments))
                else:
                    self._keep(known)
            case ToolAnswered(tool_call, _, content):
                answered = self._results.get(tool_call)
                if answered is None or answered.content != content:
                    self._create(ToolResult(self._new_id(), tool_call, content))
                else:
                    self._keep(answered)

    def result(self, spared: Collection[str]) -> tuple[list[Change], list[Item]]:
        gone = [item for item in self._items if item.id not in self._kept and item.id not in spared]
        deleted: list[Change] = [Delete(item.id) for item in gone]
        dead = {item.id for item in gone}
        left: list[Item] = list(self._behind(None))
        for item in self._items:
            if item.id not in dead:
                left.append(self._kept.get(item.id, item))
                left.extend(self._behind(item.id))
        return [*deleted, *self._truncated, *self._created], left

    def _behind(self, id_: str | None) -> Iterable[Item]:
        for item in self._after.get(id_, ()):
            yield item
            yield from self._behind(item.id)

    # ── words ─────────────────────────────────────────────────────────────────────

    def _caller(self, text: str) -> None:
        sought = letters(text)
        if not sought:
            return
        for at in range(self._at, len(self._items)):
            run = self._said(at)
            if run and letters(" ".join(words for _, words in run)) == sought:
                for item, _ in run:
                    self._keep(item)
                return
        self._create(Told(self._new_id(), "caller", text))

    def _said(self, at: int) -> list[tuple[CallerAudio | Told, str]]:
        """What the caller said in the utterance that begins with this item."""
        first = self._items[at]
        if isinstance(first, Told) and first.by == "caller":
            return [(first, first.text)]
        if not isinstance(first, CallerAudio):
            return []
        run = [item for item in self._items[at:] if isinstance(item, CallerAudio) and item.utterance == first.utterance]
        return [(item, item.text or "") for item in run]

    def _agent(self, text: str, interrupted: bool) -> None:
        """Lay the agent's words over the messages that hold them; what no message holds is told in its place."""
        sought, done, bounds = letters(text), 0, _bounds(text)
        for at in range(self._at, len(self._items)):
            if done == len(sought):
                return
            item = self._items[at]
            if isinstance(item, Told) and item.by == "agent":
                said = letters(item.text)
            elif isinstance(item, AgentAudio):
                said = item.letters
            else:
                continue
            place = sought.find(said, done) if said else -1
            if place in bounds and place + len(said) in bounds:
                self._tell(text, done, place)
                self._keep(item)
                done = place + len(said)
            elif isinstance(item, AgentAudio) and (common := _cut_off(sought[done:], item, bounds, len(sought))):
                self._tell(text, done, len(sought) - common)
                self._keep(replace(item, heard=common))
                self._truncated.append(Truncate(item.id, item.speech.seconds_until(common)))
                done = len(sought)
        self._tell(text, done, len(sought), interrupted=interrupted)

    def _tell(self, text: str, begin: int, end: int, *, interrupted: bool = False) -> None:
        """Tell the words of `text` between these letters."""
        words = words_within(words_behind(text, begin), end - begin)
        if letters(words):
            self._create(Told(self._new_id(), "agent", words + CUT_OFF if interrupted else words))

    # ── items ─────────────────────────────────────────────────────────────────────

    def _keep(self, item: Item) -> None:
        self._kept[item.id] = item
        # Tools that were asked for at once are answered behind all of their calls, in history each behind its own.
        if self._places[item.id] >= self._at:
            self._at = self._places[item.id] + 1
            self._last = item.id

    def _create(self, item: Told | ToolUse | ToolResult) -> None:
        self._created.append(Create(item, self._last))
        self._after.setdefault(self._last, []).append(item)
        self._last = item.id


def _bounds(text: str) -> frozenset[int]:
    """After how many letters words of `text` end, and 0."""
    return frozenset(accumulate((len(letters(word)) for word in text.split()), initial=0))


def _cut_off(words: str, item: AgentAudio, bounds: Collection[int], end: int) -> int:
    """How many letters of a message the `words` end with: it was cut off there. `end` is where they end in `bounds`."""
    said, ends = item.letters, _bounds(item.speech.text)
    for count in range(min(len(words), len(said)), LEAST - 1, -1):
        if count in ends and end - count in bounds and words.endswith(said[:count]):
            return count
    return 0
